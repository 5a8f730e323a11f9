// The kubeconfig and the files that it names, loaded, and looked at again as time goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/async/blocking_calls.h"
#include "agent/async/timeline.h"
#include "agent/base/result.h"
#include "agent/kube/transport/kubeconfig.h"
#include "agent/kube/transport/tls.h"

namespace daemonsetd::kube {

// What connections and requests are made with.
struct Access {
  ServerAddress server;
  std::string server_name;       // that the server's certificate must bear
  TlsContext tls;                // null for http://
  std::string token;             // of "Authorization: Bearer"; empty without one
  std::uint64_t generation = 0;  // another one after a change: connections made before are not used again
};

class Credentials {
 public:
  Credentials(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
              std::string kubeconfig_path);

  // As the files are now: they are looked at once a second while somebody asks. Files that became unusable are logged
  // and what they held before stays in use. kDenied when there is nothing to use: names file, entry and field.
  Task<Result<std::shared_ptr<const Access>>> Get();

  // Waits for look-ups under way. Required before destruction.
  Task<void> Close() { return calls_.Close(); }

 private:
  struct Loaded;
  static std::shared_ptr<const Loaded> Look(const std::string& path, const std::shared_ptr<const Loaded>& before);
  void Take(std::shared_ptr<const Loaded> found);

  async::Timeline& timeline_;
  const std::string path_;
  async::BlockingCalls calls_;
  async::Semaphore looking_;
  std::shared_ptr<const Loaded> loaded_;
  MonoTime next_look_;
};

}  // namespace daemonsetd::kube

// The local interface: HTTP/1.1 over a Unix socket. The socket's mode and group say who may ask, and restart pods. On
// the network, if at all, there is only what routes.h calls public, without TLS, to everybody who reaches the address.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/async/task.h"
#include "agent/async/timeline.h"
#include "agent/base/result.h"
#include "agent/local/metrics.h"
#include "agent/local/routes.h"
#include "agent/local/snapshot_holder.h"

namespace daemonsetd::local {

struct ServerOptions {
  std::string socket_path = "/run/daemonsetd/daemonsetd.sock";
  std::string group;  // owns the socket; empty or unknown on this machine: the agent's own group
  std::size_t max_connections = 64;
  // Where metrics and health are served on the network as well: "127.0.0.1:9100"; empty: nowhere.
  std::string metrics_address;
  std::size_t max_network_connections = 8;
  Nanoseconds read_timeout = Seconds(10);   // for a whole request, and between two requests
  Nanoseconds write_timeout = Seconds(10);  // for an answer, and for each piece of a stream
  Nanoseconds follow_interval = Milliseconds(250);
};

// Where a container's log is.
struct LogSource {
  std::string path;
  std::function<bool()> finished;  // true once the container writes no more; null: it never does
};
// kAbsent: no such pod, container or attempt. kInvalid: the pod has several containers and the request names none.
using FindLog = std::function<Result<LogSource>(const LogRequest&)>;

// What the snapshot cannot answer. Errors: kAbsent 404, kInvalid 400, kConflict 409, kTimeout 504, kRetry 503, else
// 500; the message ends with what to do next. A function that is null is told to be unsupported.
struct Handlers {
  FindLog find_log;
  std::function<Result<statusv1::RestartAnswer>(const RestartRequest&)> restart;
  // Its deadline is its own.
  std::function<Task<Result<statusv1::UsageList>>()> usage;
  // The checks of /livez beyond that the loop turns. Null: there are none.
  std::function<std::vector<HealthCheck>()> liveness;
  // The configuration in force, as JSON. Null: an empty object.
  std::function<std::string()> configz;
};

class Server {
 public:
  // Everything passed by reference must outlive the server.
  Server(async::Executor executor, async::Timeline& timeline, SnapshotHolder& snapshots, Registry& registry,
         async::BlockingPool& pool, Handlers handlers, ServerOptions options);
  // Removes the socket file if it is still the one that Open made.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Makes the directory and the socket. kExists: another process listens there. kInvalid: the path is too long, or
  // something that is no socket is in the way.
  Status Open();

  // Answers until the caller is cancelled; then closes every connection and waits for it. Open() first.
  Task<void> Serve();

  std::size_t connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // keeps Beast out of the agent's other translation units
};

}  // namespace daemonsetd::local

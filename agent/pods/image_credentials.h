// Credentials of registries, from a file of the node in Docker's config.json format and from Secrets. Matching is the
// kubelet's (pkg/credentialprovider/keyring.go). Docker's credential helpers are not run. No text from the file is ever
// logged.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/file_stamp.h"
#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "cri.pb.h"

namespace daemonsetd::pods {

struct ImageCredential {
  std::string host;  // may hold "*" within one label; with its port
  std::string path;  // "/team", or empty
  ::runtime::v1::AuthConfig auth;
};

// The entries of "auths", the most specific of each host first. kInvalid, with the place and without its content.
Result<std::vector<ImageCredential>> ParseImageCredentials(std::string_view json);

// The credentials in a Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg; none in another type,
// as in the kubelet. kInvalid, with the place and without its content.
Result<std::vector<ImageCredential>> ReadPullSecret(const corev1::Secret& secret);

// The order in which FindImageCredentials answers: the most specific of each host first.
void SortCredentials(std::vector<ImageCredential>& credentials);

// All that match `repository` ("quay.io/team/image", "docker.io/library/busybox"), best first; a pull tries them in
// turn. Those of Docker Hub's old key "index.docker.io" only when nothing else matches. Pure.
std::vector<::runtime::v1::AuthConfig> FindImageCredentials(const std::vector<ImageCredential>& credentials,
                                                            std::string_view repository);

// Reads the file, and reads it again when it changed. Loop thread.
class ImageCredentials {
 public:
  // `path` empty: no file, no credentials. `pool` must outlive every call.
  ImageCredentials(std::string path, async::BlockingPool& pool);

  struct Answer {
    std::vector<::runtime::v1::AuthConfig> auths;
    // What is wrong with the file; the credentials that were read from it before stay in use. A pull that fails
    // should say it.
    Status file = Ok();
  };
  Task<Answer> Find(std::string repository);

 private:
  struct File {
    std::optional<async::FileStamp> stamp;  // of the version that was read
    std::vector<ImageCredential> credentials;
    Status status = Ok();
  };
  static Result<async::FileStamp> StampOf(const std::string& path);
  static File Read(const std::string& path, const File& before);

  std::string path_;
  async::BlockingPool& pool_;
  std::shared_ptr<const File> file_ = std::make_shared<const File>();
};

}  // namespace daemonsetd::pods

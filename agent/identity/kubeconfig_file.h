// Kubeconfigs that we write, and what we need to know of those that we read.
#pragma once

#include <string>

#include "agent/async/descriptor.h"
#include "agent/base/result.h"
#include "agent/kube/transport/kubeconfig.h"

namespace daemonsetd::identity {

// Where the API server is and who vouches for it, out of a kubeconfig, with the authority's certificates read.
struct ClusterAccess {
  std::string server;           // "https://10.0.0.1:6443"
  std::string tls_server_name;  // empty: the host
  std::string authority;        // PEM; empty: those that the system trusts
};

// Blocks. Errors name the file and the field.
Result<kube::Kubeconfig> ReadKubeconfig(const std::string& path);
Result<ClusterAccess> ReadClusterAccess(const kube::Kubeconfig& kubeconfig);

// One context. The user's credentials are a file that holds certificate and key,
std::string KubeconfigWithFile(const ClusterAccess& cluster, const std::string& certificate_and_key);
// or the same as text, or a token.
std::string KubeconfigWithText(const ClusterAccess& cluster, const std::string& certificate, const std::string& key);
std::string KubeconfigWithToken(const ClusterAccess& cluster, const std::string& token);

// A file in memory alone, for secrets that must not touch the disk; it lives as long as this.
class MemoryFile {
 public:
  static Result<MemoryFile> Make(const std::string& text);
  std::string path() const;

 private:
  explicit MemoryFile(async::Descriptor file) : file_(std::move(file)) {}
  async::Descriptor file_;
};

}  // namespace daemonsetd::identity

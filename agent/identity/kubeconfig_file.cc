#include "agent/identity/kubeconfig_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "agent/identity/certificate.h"
#include "agent/kube/transport/files.h"
#include "agent/model/special_types.h"

namespace daemonsetd::identity {
namespace {

constexpr std::size_t kMaximumAuthority = std::size_t{1} << 20;

// In double quotes, which YAML and JSON read alike.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string Kubeconfig(const ClusterAccess& cluster, const std::string& user) {
  std::string text = fmt::format(
      "apiVersion: v1\nkind: Config\nclusters:\n- name: cluster\n  cluster:\n    server: {}\n", Quoted(cluster.server));
  if (!cluster.tls_server_name.empty()) {
    text += fmt::format("    tls-server-name: {}\n", Quoted(cluster.tls_server_name));
  }
  if (!cluster.authority.empty()) {
    text += fmt::format("    certificate-authority-data: {}\n", model::EncodeBase64(cluster.authority));
  }
  return text + "users:\n- name: daemonsetd\n  user:\n" + user +
         "contexts:\n- name: daemonsetd\n  context:\n    cluster: cluster\n    user: daemonsetd\n"
         "current-context: daemonsetd\n";
}

}  // namespace

Result<kube::Kubeconfig> ReadKubeconfig(const std::string& path) {
  const Result<std::string> text = kube::ReadSmallFile(path, kube::kMaxKubeconfig);
  if (!text) return text.error().WithContext(path);
  kube::KubeconfigResult parsed = kube::ParseKubeconfig(*text, path);
  if (parsed.kubeconfig) return std::move(*parsed.kubeconfig);
  return Error(ErrorKind::kInvalid, kube::ReasonsOf(parsed));
}

Result<ClusterAccess> ReadClusterAccess(const kube::Kubeconfig& kubeconfig) {
  ClusterAccess cluster{.server = kube::ToString(kubeconfig.server),
                        .tls_server_name = kubeconfig.tls_server_name,
                        .authority = kubeconfig.certificate_authority.text};
  const std::string& file = kubeconfig.certificate_authority.file;
  if (file.empty()) return cluster;
  Result<std::string> authority = kube::ReadSmallFile(file, kMaximumAuthority);
  if (!authority) return authority.error().WithContext(file);
  cluster.authority = std::move(*authority);
  return cluster;
}

std::string KubeconfigWithFile(const ClusterAccess& cluster, const std::string& certificate_and_key) {
  const std::string file = Quoted(certificate_and_key);
  return Kubeconfig(cluster, fmt::format("    client-certificate: {}\n    client-key: {}\n", file, file));
}

std::string KubeconfigWithText(const ClusterAccess& cluster, const std::string& certificate, const std::string& key) {
  return Kubeconfig(cluster, fmt::format("    client-certificate-data: {}\n    client-key-data: {}\n",
                                         model::EncodeBase64(certificate), model::EncodeBase64(key)));
}

std::string KubeconfigWithToken(const ClusterAccess& cluster, const std::string& token) {
  return Kubeconfig(cluster, fmt::format("    token: {}\n", Quoted(token)));
}

Result<MemoryFile> MemoryFile::Make(const std::string& text) {
  async::Descriptor file(::memfd_create("daemonsetd-kubeconfig", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(text.size());
  if (!file || ::write(file.get(), text.data(), text.size()) != size) {
    return Error(ErrorKind::kFatal, fmt::format("cannot keep a file in memory: {}", std::strerror(errno)));
  }
  return MemoryFile(std::move(file));
}

std::string MemoryFile::path() const { return fmt::format("/proc/self/fd/{}", file_.get()); }

}  // namespace daemonsetd::identity

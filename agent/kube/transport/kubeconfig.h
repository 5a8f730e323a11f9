// The file that says where the API server is and who we are to it. Form: k8s.io/client-go/tools/clientcmd/api/v1.
// Only its text is read here; the files that it names are read by credentials.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/codec.h"

namespace daemonsetd::kube {

constexpr std::size_t kMaxKubeconfig = std::size_t{1} << 20;

struct ServerAddress {
  bool tls = true;
  std::string host;  // a DNS name in lower case, or an IP address without brackets
  std::uint16_t port = 0;
  std::string path;  // in front of every request's target: "" or "/k8s/clusters/c-1", without a slash at its end
};

// "10.0.0.1:6443", "[::1]:6443", "api.example" where the port is the scheme's own: the value of a Host header.
std::string HostHeader(const ServerAddress& address);
// "https://10.0.0.1:6443/k8s", for people.
std::string ToString(const ServerAddress& address);

// A certificate or key in PEM form, or the file that holds it. At most one is set: "...-data" wins, as in kubectl.
struct PemSource {
  std::string file;  // relative paths are made from the kubeconfig's folder
  std::string text;

  bool given() const { return !file.empty() || !text.empty(); }
};

// What the current context stands for.
struct Kubeconfig {
  std::string cluster;  // names of the entries, for error texts
  std::string user;
  ServerAddress server;
  std::string tls_server_name;      // the name that the server's certificate must bear; empty: the host
  PemSource certificate_authority;  // not given: those that the system trusts
  PemSource client_certificate;     // given exactly when `client_key` is
  PemSource client_key;
  std::string token;
  std::string token_file;  // wins over `token`
};

struct KubeconfigResult {
  std::optional<Kubeconfig> kubeconfig;    // none when there are errors
  std::vector<model::DecodeError> errors;  // all at once; no text of the file in them but names, paths and addresses
};

// The errors, for people, with semicolons between.
std::string ReasonsOf(const KubeconfigResult& result);

// Refused, since we could not do what they ask: exec, auth-provider, username, password, as..., proxy-url; and
// insecure-skip-tls-verify, since whoever answers would decide what runs on this node as root; and http:// to another
// machine. Entries that the current context does not use are not looked at.
KubeconfigResult ParseKubeconfig(std::string_view text, std::string_view file);

}  // namespace daemonsetd::kube

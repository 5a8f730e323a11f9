#include "agent/kube/transport/kubeconfig.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "agent/model/document_reader.h"
#include "agent/model/message_decoder.h"
#include "agent/model/names.h"
#include "agent/model/special_types.h"

namespace daemonsetd::kube {
namespace {

using model::Node;

constexpr std::string_view kExample = "write it as https://10.0.0.1:6443";
constexpr std::size_t kNamesShown = 5;
constexpr std::size_t kNameShown = 128;  // characters of each

constexpr std::array<std::string_view, 8> kClusterFields = {"certificate-authority",
                                                            "certificate-authority-data",
                                                            "disable-compression",
                                                            "extensions",
                                                            "insecure-skip-tls-verify",
                                                            "proxy-url",
                                                            "server",
                                                            "tls-server-name"};
constexpr std::array<std::string_view, 15> kUserFields = {"as",
                                                          "as-groups",
                                                          "as-uid",
                                                          "as-user-extra",
                                                          "auth-provider",
                                                          "client-certificate",
                                                          "client-certificate-data",
                                                          "client-key",
                                                          "client-key-data",
                                                          "exec",
                                                          "extensions",
                                                          "password",
                                                          "token",
                                                          "tokenFile",
                                                          "username"};

std::string Quoted(std::string_view kind, std::string_view name) {
  return fmt::format("{} \"{}\"", kind, name.substr(0, kNameShown));
}

bool IsSet(const Node* node) {
  return node != nullptr && node->kind != Node::Kind::kNull &&
         !(node->kind == Node::Kind::kString && node->text.empty()) &&
         !(node->kind == Node::Kind::kSequence && node->items.empty());
}

bool HoldsOnly(std::string_view text, char first, char last) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return c >= first && c <= last; });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsHost(std::string_view text) {
  return model::IsIpAddress(text) || (text.size() <= 253 && model::CheckDns1123SubdomainWithUnderscore(text).empty());
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "::1" || (model::IsIpAddress(host) && host.starts_with("127."));
}

// The reason, or "" with `address` filled in.
std::string ParseServer(std::string_view url, ServerAddress& address) {
  if (url.starts_with("https://")) {
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    address.tls = false;
    url.remove_prefix(7);
  } else {
    return fmt::format("has no scheme; {}", kExample);
  }
  const std::size_t end = std::min(url.find_first_of("/?#"), url.size());
  std::string_view host = url.substr(0, end);
  std::string_view path = url.substr(end);
  if (path.find_first_of("?#") != std::string_view::npos || !HoldsOnly(path, '!', '~')) {
    return "has more than a path behind the address; remove query and fragment";
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  address.path = std::string(path);
  if (host.find('@') != std::string_view::npos) {
    return "holds a user or password, which is not used; remove it and write credentials in the user entry";
  }
  std::string_view port;
  if (host.starts_with('[')) {
    const std::size_t bracket = host.find(']');
    if (bracket == std::string_view::npos) return "has a \"[\" without \"]\"; write it as https://[fd00::1]:6443";
    port = host.substr(bracket + 1);
    host = host.substr(1, bracket - 1);
    if (!model::IsIpAddress(host) || host.find(':') == std::string_view::npos) {
      return "has no IPv6 address between \"[\" and \"]\"; write it as https://[fd00::1]:6443";
    }
  } else {
    const std::size_t colon = std::min(host.find(':'), host.size());
    port = host.substr(colon);
    host = host.substr(0, colon);
  }
  address.host = Lower(host);
  if (!IsHost(address.host)) return fmt::format("does not name a host; {}", kExample);
  address.port = address.tls ? 443 : 80;
  if (!port.empty()) {
    int number = 0;
    const auto [rest, code] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port[0] != ':' || code != std::errc() || rest != port.data() + port.size() || !model::IsPortNumber(number)) {
      return fmt::format("does not end with a port from 1 to 65535; {}", kExample);
    }
    address.port = static_cast<std::uint16_t>(number);
  }
  if (!address.tls && !IsLoopback(address.host)) {
    return "is not encrypted; http:// is only for a proxy on this machine. Write https://";
  }
  return "";
}

class Parser {
 public:
  Parser(std::string_view file, KubeconfigResult& result)
      : file_(file), folder_(std::filesystem::path(file).parent_path()), errors_(result.errors) {}

  void Parse(const Node& root, Kubeconfig& out) {
    if (root.kind != Node::Kind::kMapping) {
      Report(root.line, "", "", "is not a mapping; a kubeconfig begins with \"apiVersion: v1\" and \"kind: Config\"");
      return;
    }
    if (!CheckKind(root)) return;
    const std::string context_name = Text(root, "", "current-context");
    if (context_name.empty()) {
      if (errors_.empty()) {
        Report(root.line, "", "current-context", fmt::format("is not set; {}", Choices(root, "contexts")));
      }
      return;
    }
    const std::string object = Quoted("context", context_name);
    const Node* context =
        Entry(root, "contexts", "context", context_name, LineOf(root, "current-context"), "current-context");
    if (context == nullptr) return;
    out.cluster = Text(*context, object, "cluster");
    out.user = Text(*context, object, "user");
    if (out.cluster.empty()) {
      Report(context->line, object, "cluster", fmt::format("is not set; {}", Choices(root, "clusters")));
    } else if (const Node* cluster =
                   Entry(root, "clusters", "cluster", out.cluster, LineOf(*context, "cluster"), object + ": cluster")) {
      ReadCluster(*cluster, Quoted("cluster", out.cluster), out);
    }
    if (!out.user.empty()) {
      if (const Node* user = Entry(root, "users", "user", out.user, LineOf(*context, "user"), object + ": user")) {
        ReadUser(*user, Quoted("user", out.user), out);
      }
    } else if (errors_.empty() && out.server.tls) {
      Report(context->line, object, "user", fmt::format("is not set; {}", Choices(root, "users")));
    }
  }

 private:
  void Report(int line, std::string object, std::string field, std::string message) {
    errors_.push_back({.file = file_,
                       .line = line,
                       .object = std::move(object),
                       .field = std::move(field),
                       .message = std::move(message)});
  }

  static int LineOf(const Node& map, std::string_view key) {
    for (const model::Member& member : map.members) {
      if (member.key == key) return member.line;
    }
    return map.line;
  }

  // "" when it is not set, or reported.
  std::string Text(const Node& map, const std::string& object, std::string_view key) {
    const Node* node = map.Find(key);
    if (node == nullptr || node->kind == Node::Kind::kNull) return "";
    if (node->kind != Node::Kind::kString) {
      Report(LineOf(map, key), object, std::string(key), "must be a text; put it in quotes");
      return "";
    }
    return node->text;
  }

  bool CheckKind(const Node& root) {
    // Both may be missing, as for kubectl.
    const std::string version = Text(root, "", "apiVersion");
    const std::string kind = Text(root, "", "kind");
    if (!version.empty() && version != "v1") {
      Report(LineOf(root, "apiVersion"), "", "apiVersion", "is not known for a kubeconfig; write v1");
    }
    if (!kind.empty() && kind != "Config") {
      Report(LineOf(root, "kind"), "", "kind", "this is not a kubeconfig, whose kind is Config; name another file");
    }
    return errors_.empty();
  }

  static std::string Choices(const Node& root, std::string_view list) {
    std::string names;
    std::size_t count = 0;
    if (const Node* entries = root.Find(list); entries != nullptr) {
      for (const Node* entry : entries->items) {
        const Node* name = entry->Find("name");
        if (name == nullptr || !IsSet(name) || ++count > kNamesShown) continue;
        names += fmt::format("{}{}", names.empty() ? "" : ", ", name->text.substr(0, kNameShown));
      }
    }
    if (names.empty()) return fmt::format("add one to {}, which has no entry", list);
    return fmt::format("write the name of one of {}: {}{}", list, names, count > kNamesShown ? ", ..." : "");
  }

  // The object under `key` of the entry of `list` with that name; null when it was reported. `wanted_by` and its line
  // are those of the reference.
  const Node* Entry(const Node& root, std::string_view list, std::string_view key, const std::string& name, int line,
                    const std::string& wanted_by) {
    const Node* entries = root.Find(list);
    if (entries != nullptr && entries->kind != Node::Kind::kNull && entries->kind != Node::Kind::kSequence) {
      Report(LineOf(root, list), "", std::string(list), "must be a list; write each entry as \"- name: ...\"");
      return nullptr;
    }
    const Node* found = nullptr;
    if (entries != nullptr) {
      for (const Node* entry : entries->items) {
        const Node* its_name = entry->Find("name");
        if (its_name == nullptr || its_name->kind != Node::Kind::kString || its_name->text != name) continue;
        if (found != nullptr) {
          Report(entry->line, Quoted(key, name), "name", "stands twice in " + std::string(list) + "; remove one");
          return nullptr;
        }
        found = entry;
      }
    }
    if (found == nullptr) {
      Report(line, "", wanted_by,
             fmt::format("names \"{}\", which is not there; {}", name.substr(0, kNameShown), Choices(root, list)));
      return nullptr;
    }
    const Node* object = found->Find(key);
    if (object == nullptr || object->kind != Node::Kind::kMapping) {
      Report(found->line, Quoted(key, name), std::string(key), "is not a mapping; write its fields below it, indented");
      return nullptr;
    }
    return object;
  }

  // A misspelt field would silently be a missing credential.
  template <std::size_t N>
  void CheckFields(const Node& map, const std::string& object, const std::array<std::string_view, N>& known) {
    for (std::size_t i = 0; i < map.members.size(); ++i) {
      const model::Member& member = map.members[i];
      const bool twice = std::any_of(map.members.begin(), map.members.begin() + static_cast<std::ptrdiff_t>(i),
                                     [&](const model::Member& other) { return other.key == member.key; });
      if (twice) Report(member.line, object, member.key.substr(0, kNameShown), "stands twice; remove one");
      if (std::find(known.begin(), known.end(), member.key) != known.end()) continue;
      const std::string_view nearest = model::Nearest(member.key, {known.begin(), known.end()});
      Report(member.line, object, member.key.substr(0, kNameShown),
             nearest.empty() ? fmt::format("unknown field; the fields here are {}", fmt::join(known, ", "))
                             : fmt::format("unknown field; did you mean \"{}\"?", nearest));
    }
  }

  void Refuse(const Node& map, const std::string& object, std::string_view key, std::string_view reason) {
    if (IsSet(map.Find(key))) Report(LineOf(map, key), object, std::string(key), std::string(reason));
  }

  std::string Path(const std::string& path) const {
    return path.empty() ? "" : (folder_ / path).lexically_normal().string();
  }

  PemSource Pem(const Node& map, const std::string& object, const std::string& key) {
    const std::string data_key = key + "-data";
    PemSource source{.file = Path(Text(map, object, key)), .text = ""};
    std::string encoded = Text(map, object, data_key);
    if (encoded.empty()) return source;
    source.file.clear();
    std::erase_if(encoded, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
    const std::optional<std::string> decoded = model::DecodeBase64(encoded);
    if (!decoded || decoded->find("-----BEGIN ") == std::string::npos) {
      // The text itself is no PEM source, yet something was given: errors keep it from being used.
      Report(
          LineOf(map, data_key), object, data_key,
          fmt::format("is not the base64 text of a PEM file; write the output of `base64 -w0 FILE`, or {}: FILE", key));
      return source;
    }
    source.text = *decoded;
    return source;
  }

  void ReadCluster(const Node& cluster, const std::string& object, Kubeconfig& out) {
    CheckFields(cluster, object, kClusterFields);
    const std::string url = Text(cluster, object, "server");
    if (url.empty()) {
      if (!IsSet(cluster.Find("server")))
        Report(cluster.line, object, "server", fmt::format("is not set; {}", kExample));
    } else if (const std::string reason = ParseServer(url, out.server); !reason.empty()) {
      Report(LineOf(cluster, "server"), object, "server", reason);
    }
    out.tls_server_name = Lower(Text(cluster, object, "tls-server-name"));
    if (!out.tls_server_name.empty() && !IsHost(out.tls_server_name)) {
      Report(LineOf(cluster, "tls-server-name"), object, "tls-server-name",
             "is neither a DNS name nor an IP address; write what the server's certificate bears");
    }
    const Node* insecure = cluster.Find("insecure-skip-tls-verify");
    if (IsSet(insecure) && !(insecure->kind == Node::Kind::kBool && insecure->text == "false")) {
      Report(LineOf(cluster, "insecure-skip-tls-verify"), object, "insecure-skip-tls-verify",
             "is refused: whoever answers in the server's place would run containers on this node as root. Write "
             "certificate-authority with the file that signs the server's certificate");
    }
    Refuse(cluster, object, "proxy-url",
           "proxies are not supported; remove it and let the node reach the server itself");
    out.certificate_authority = Pem(cluster, object, "certificate-authority");
  }

  void ReadUser(const Node& user, const std::string& object, Kubeconfig& out) {
    constexpr std::string_view kInstead = "give client-certificate and client-key, token or tokenFile instead";
    CheckFields(user, object, kUserFields);
    Refuse(user, object, "exec", fmt::format("programs that fetch credentials are not run; {}", kInstead));
    Refuse(user, object, "auth-provider", fmt::format("providers of credentials are not supported; {}", kInstead));
    for (const std::string_view field : {"username", "password"}) {
      Refuse(user, object, field, fmt::format("API servers no longer take passwords; {}", kInstead));
    }
    for (const std::string_view field : {"as", "as-uid", "as-groups", "as-user-extra"}) {
      Refuse(user, object, field, "the agent does not act for others; remove it and give it credentials of its own");
    }
    const std::size_t before = errors_.size();
    out.client_certificate = Pem(user, object, "client-certificate");
    out.client_key = Pem(user, object, "client-key");
    out.token = Text(user, object, "token");
    out.token_file = Path(Text(user, object, "tokenFile"));
    if (!HoldsOnly(out.token, '!', '~')) {
      Report(LineOf(user, "token"), object, "token", "holds blanks or characters that no token has; copy it again");
    }
    if (errors_.size() != before) return;
    if (out.client_certificate.given() != out.client_key.given()) {
      const std::string_view missing = out.client_key.given() ? "client-certificate" : "client-key";
      const std::string_view given = out.client_key.given() ? "client-key" : "client-certificate";
      Report(user.line, object, std::string(missing),
             fmt::format("is not set, though {} is; give both or none", given));
    } else if (errors_.empty() && out.server.tls && !out.client_certificate.given() && out.token.empty() &&
               out.token_file.empty()) {
      Report(user.line, object, "", fmt::format("has no credentials; {}", kInstead));
    }
  }

  const std::string file_;
  const std::filesystem::path folder_;
  std::vector<model::DecodeError>& errors_;
};

}  // namespace

std::string HostHeader(const ServerAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  std::string text = v6 ? "[" + address.host + "]" : address.host;
  if (address.port != (address.tls ? 443 : 80)) text += fmt::format(":{}", address.port);
  return text;
}

std::string ToString(const ServerAddress& address) {
  return fmt::format("{}://{}{}", address.tls ? "https" : "http", HostHeader(address), address.path);
}

std::string ReasonsOf(const KubeconfigResult& result) {
  std::string reasons;
  for (const model::DecodeError& error : result.errors) {
    reasons += (reasons.empty() ? "" : "; ") + model::ToString(error);
  }
  return reasons;
}

KubeconfigResult ParseKubeconfig(std::string_view text, std::string_view file) {
  KubeconfigResult result;
  const auto refuse = [&](int line, std::string message) {
    result.errors.push_back({.file = std::string(file), .line = line, .message = std::move(message)});
  };
  if (text.size() > kMaxKubeconfig) {
    refuse(0, fmt::format("is {} bytes long; a kubeconfig has at most {}", text.size(), kMaxKubeconfig));
    return result;
  }
  model::Tree tree;
  const std::vector<model::ReadDocument> documents = model::ReadDocuments(text, tree);
  for (const model::ReadDocument& document : documents) {
    if (document.error) refuse(document.error->line, document.error->message);
  }
  if (!result.errors.empty()) return result;
  if (documents.size() != 1) {
    refuse(documents.empty() ? 0 : documents[1].root->line,
           documents.empty() ? "is empty; write a kubeconfig, or name another file"
                             : "a second document; a kubeconfig holds one: remove this part");
    return result;
  }
  Kubeconfig kubeconfig;
  Parser(file, result).Parse(*documents[0].root, kubeconfig);
  std::sort(result.errors.begin(), result.errors.end(), [](const model::DecodeError& a, const model::DecodeError& b) {
    return std::tie(a.line, a.object, a.field, a.message) < std::tie(b.line, b.object, b.field, b.message);
  });
  if (result.errors.empty()) result.kubeconfig = std::move(kubeconfig);
  return result;
}

}  // namespace daemonsetd::kube

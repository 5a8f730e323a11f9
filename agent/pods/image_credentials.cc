#include "agent/pods/image_credentials.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/model/json_reader.h"
#include "agent/model/special_types.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {

namespace v1 = ::runtime::v1;

namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 20;
constexpr std::string_view kOldDockerHub = "index.docker.io";

std::string TextOf(const model::Node& entry, std::string_view key) {
  const model::Node* node = entry.Find(key);
  return node != nullptr && node->kind == model::Node::Kind::kString ? node->text : "";
}

// "https://index.docker.io/v1/" → host "index.docker.io", no path. Scheme and the API's version say nothing.
ImageCredential SplitKey(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  const std::size_t slash = std::min(key.find('/'), key.size());
  ImageCredential credential{.host = std::string(key.substr(0, slash)), .path = std::string(key.substr(slash))};
  for (const std::string_view version : {"/v1/", "/v2/"}) {
    if (credential.path.starts_with(version)) credential.path.erase(0, version.size() - 1);
  }
  if (credential.path == "/") credential.path.clear();
  return credential;
}

Status ReadEntry(const model::Node& entry, v1::AuthConfig& auth) {
  if (entry.kind != model::Node::Kind::kMapping) return Error(ErrorKind::kInvalid, "must be an object");
  auth.set_username(TextOf(entry, "username"));
  auth.set_password(TextOf(entry, "password"));
  if (const std::string encoded = TextOf(entry, "auth"); !encoded.empty()) {
    const std::optional<std::string> decoded = model::DecodeBase64(encoded);
    const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) {
      return Error(ErrorKind::kInvalid, "auth must be the base64 text of user:password");
    }
    auth.set_username(decoded->substr(0, colon));
    auth.set_password(decoded->substr(colon + 1));
  }
  if (const std::string token = TextOf(entry, "identitytoken"); !token.empty()) {
    // Runtimes look at the user first.
    auth.Clear();
    auth.set_identity_token(token);
  }
  return Ok();
}

// "*" stands for any characters of one label.
bool MatchesLabel(std::string_view pattern, std::string_view label) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == label;
  if (!label.starts_with(pattern.substr(0, star))) return false;
  for (std::size_t skip = star; skip <= label.size(); ++skip) {
    if (MatchesLabel(pattern.substr(star + 1), label.substr(skip))) return true;
  }
  return false;
}

// The host without its port, and the port with its colon or nothing.
std::pair<std::string_view, std::string_view> SplitPort(std::string_view host) {
  const std::size_t bracket = host.rfind(']');  // IPv6
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return {host, {}};
  return {host.substr(0, colon), host.substr(colon)};
}

bool MatchesHost(std::string_view pattern, std::string_view host) {
  const auto [pattern_name, pattern_port] = SplitPort(pattern);
  const auto [name, port] = SplitPort(host);
  if (pattern_port != port) return false;
  std::string_view patterns = pattern_name;
  std::string_view labels = name;
  while (true) {
    const std::size_t pattern_end = patterns.find('.');
    const std::size_t end = labels.find('.');
    if (!MatchesLabel(patterns.substr(0, pattern_end), labels.substr(0, end))) return false;
    if (pattern_end == std::string_view::npos || end == std::string_view::npos) return pattern_end == end;
    patterns.remove_prefix(pattern_end + 1);
    labels.remove_prefix(end + 1);
  }
}

Result<const model::Node*> ReadObject(std::string_view json, model::Tree& tree) {
  std::vector<const model::Node*> roots;
  if (model::ReadJson(json, tree, roots) || roots.size() != 1 || roots[0]->kind != model::Node::Kind::kMapping) {
    // The reader's own words could quote the file.
    return Error(ErrorKind::kInvalid, "is not one JSON object; write it as `docker login` does");
  }
  return roots[0];
}

Result<std::vector<ImageCredential>> ReadEntries(const model::Node& auths) {
  std::vector<ImageCredential> credentials;
  for (const model::Member& member : auths.members) {
    ImageCredential credential = SplitKey(member.key);
    if (const Status read = ReadEntry(*member.value, credential.auth); !read) {
      return read.error().WithContext(fmt::format("line {}: auths[{}]", member.line, member.key));
    }
    if (credential.host.empty()) {
      return Error(ErrorKind::kInvalid, fmt::format("line {}: auths has a key without a registry", member.line));
    }
    credentials.push_back(std::move(credential));
  }
  SortCredentials(credentials);
  return credentials;
}

}  // namespace

Result<std::vector<ImageCredential>> ParseImageCredentials(std::string_view json) {
  model::Tree tree;
  const Result<const model::Node*> root = ReadObject(json, tree);
  if (!root) return root.error();
  const model::Node* auths = (*root)->Find("auths");
  if (auths == nullptr || auths->kind != model::Node::Kind::kMapping) {
    return Error(ErrorKind::kInvalid,
                 "has no object \"auths\"; write {\"auths\": {\"registry.example\": {\"auth\": \"...\"}}}. Credential "
                 "helpers are not used");
  }
  return ReadEntries(*auths);
}

Result<std::vector<ImageCredential>> ReadPullSecret(const corev1::Secret& secret) {
  const auto parse = [&secret](const std::string& key, const auto& read) -> Result<std::vector<ImageCredential>> {
    const auto data = secret.data().find(key);
    if (data == secret.data().end()) return Error(ErrorKind::kInvalid, "has no key " + key);
    Result<std::vector<ImageCredential>> credentials = read(data->second);
    if (!credentials) return credentials.error().WithContext("key " + key);
    return credentials;
  };
  if (secret.type() == "kubernetes.io/dockerconfigjson") return parse(".dockerconfigjson", ParseImageCredentials);
  if (secret.type() != "kubernetes.io/dockercfg") return std::vector<ImageCredential>();
  // The old form is what stands in "auths" now.
  return parse(".dockercfg", [](std::string_view json) -> Result<std::vector<ImageCredential>> {
    model::Tree tree;
    const Result<const model::Node*> root = ReadObject(json, tree);
    if (!root) return root.error();
    return ReadEntries(**root);
  });
}

void SortCredentials(std::vector<ImageCredential>& credentials) {
  // The same place under two spellings: in the order of their users, so that every run tries the same first.
  std::sort(credentials.begin(), credentials.end(), [](const ImageCredential& a, const ImageCredential& b) {
    return std::pair(b.host + b.path, a.auth.username()) < std::pair(a.host + a.path, b.auth.username());
  });
}

std::vector<v1::AuthConfig> FindImageCredentials(const std::vector<ImageCredential>& credentials,
                                                 std::string_view repository) {
  const std::size_t slash = std::min(repository.find('/'), repository.size());
  const std::string_view host = repository.substr(0, slash);
  const std::string_view path = repository.substr(slash);
  std::vector<v1::AuthConfig> found;
  std::vector<v1::AuthConfig> docker_hub;
  for (const ImageCredential& credential : credentials) {
    if (MatchesHost(credential.host, host) && path.starts_with(credential.path)) found.push_back(credential.auth);
    if (credential.host == kOldDockerHub && credential.path.empty()) docker_hub.push_back(credential.auth);
  }
  return found.empty() && host == "docker.io" ? docker_hub : found;
}

ImageCredentials::ImageCredentials(std::string path, async::BlockingPool& pool) : path_(std::move(path)), pool_(pool) {}

Result<async::FileStamp> ImageCredentials::StampOf(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return SystemError("imageCredentialsFile " + path, errno);
  return async::FileStampOf(status);
}

ImageCredentials::File ImageCredentials::Read(const std::string& path, const File& before) {
  const Result<async::FileStamp> stamp = StampOf(path);
  if (stamp && before.stamp == *stamp) return before;
  File file = before;
  file.stamp.reset();
  if (!stamp) {
    if (stamp.error().kind() == ErrorKind::kAbsent) file.credentials.clear();  // taken away on purpose
    file.status = stamp.error();
    return file;
  }
  file.stamp = *stamp;
  const Result<std::string> text = ReadSmallFile(path, kMaxFile);
  Result<std::vector<ImageCredential>> credentials =
      text ? ParseImageCredentials(*text) : Result<std::vector<ImageCredential>>(text.error());
  file.status = Ok();
  if (credentials) {
    file.credentials = std::move(*credentials);
  } else {
    file.status = credentials.error().WithContext("imageCredentialsFile " + path);
  }
  return file;
}

Task<ImageCredentials::Answer> ImageCredentials::Find(std::string repository) {
  if (path_.empty()) co_return Answer();
  const auto read = std::make_shared<File>();
  std::function<Status()> work = [path = path_, before = file_, read]() -> Status {
    *read = Read(path, *before);
    return Ok();
  };
  const Status done = co_await pool_.Run(std::move(work));
  if (!done) co_return Answer{.auths = {}, .file = done.error()};
  if (!read->status && file_->status) {
    log::Warning("cannot read image credentials", {{"err", read->status.error().message()}});
  }
  file_ = read;
  co_return Answer{.auths = FindImageCredentials(file_->credentials, repository), .file = file_->status};
}

}  // namespace daemonsetd::pods

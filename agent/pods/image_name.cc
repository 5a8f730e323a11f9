#include "agent/pods/image_name.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kMaxName = 255;  // registry and repository together
constexpr std::size_t kMaxTag = 128;
constexpr std::size_t kMaxInput = 1024;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWord(char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '_'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); }

bool IsTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTag && IsWord(tag.front()) &&
         std::all_of(tag.begin(), tag.end(), [](char c) { return IsWord(c) || c == '.' || c == '-'; });
}

// "sha256:<hex>": algorithm parts of letters and digits, joined by one of "+._-", then at least 32 hex digits.
bool IsDigest(std::string_view digest) {
  const std::size_t colon = digest.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view algorithm = digest.substr(0, colon);
  const std::string_view hex = digest.substr(colon + 1);
  bool part_begins = true;
  for (const char c : algorithm) {
    if (IsLower(c) || IsUpper(c) || (!part_begins && IsDigit(c))) {
      part_begins = false;
    } else if (!part_begins && std::string_view("+._-").find(c) != std::string_view::npos) {
      part_begins = true;
    } else {
      return false;
    }
  }
  if (part_begins) return false;
  if (algorithm == "sha256" && hex.size() != 64) return false;
  if (algorithm == "sha512" && hex.size() != 128) return false;
  return hex.size() >= 32 && std::all_of(hex.begin(), hex.end(), IsHex);
}

// [a-z0-9]+ parts, joined by ".", "_", "__" or any number of "-".
bool IsPathComponent(std::string_view part) {
  const auto alphanumeric = [](char c) { return IsLower(c) || IsDigit(c); };
  if (part.empty() || !alphanumeric(part.front()) || !alphanumeric(part.back())) return false;
  for (std::size_t i = 0; i < part.size();) {
    if (alphanumeric(part[i])) {
      ++i;
      continue;
    }
    const std::size_t start = i;
    while (i < part.size() && !alphanumeric(part[i])) ++i;
    const std::string_view separator = part.substr(start, i - start);
    const bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (separator != "." && separator != "_" && separator != "__" && !dashes) return false;
  }
  return true;
}

bool IsRegistry(std::string_view registry) {
  std::string_view host = registry;
  if (registry.starts_with('[')) {
    const std::size_t close = registry.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    const std::string_view address = registry.substr(1, close - 1);
    if (!std::all_of(address.begin(), address.end(),
                     [](char c) { return IsHex(c) || (c >= 'A' && c <= 'F') || c == ':'; })) {
      return false;
    }
    if (close + 1 == registry.size()) return true;
    host = registry.substr(close + 1);
    if (host.front() != ':') return false;
  } else if (const std::size_t colon = registry.find(':'); colon != std::string_view::npos) {
    host = registry.substr(colon);
  } else {
    host = {};
  }
  if (!host.empty()) {
    const std::string_view port = host.substr(1);
    if (port.empty() || !std::all_of(port.begin(), port.end(), IsDigit)) return false;
    if (registry.starts_with('[')) return true;
  }
  std::string_view labels = registry.substr(0, registry.size() - host.size());
  while (true) {
    const std::size_t dot = labels.find('.');
    const std::string_view label = labels.substr(0, dot);
    const auto alphanumeric = [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c); };
    if (label.empty() || !alphanumeric(label.front()) || !alphanumeric(label.back()) ||
        !std::all_of(label.begin(), label.end(), [&](char c) { return alphanumeric(c) || c == '-'; })) {
      return false;
    }
    if (dot == std::string_view::npos) return true;
    labels = labels.substr(dot + 1);
  }
}

// A first part that looks like a host is one; otherwise the whole name is a path at docker.io.
bool LooksLikeRegistry(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:[") != std::string_view::npos ||
         std::any_of(part.begin(), part.end(), IsUpper);
}

Status CheckRepository(std::string_view repository) {
  while (true) {
    const std::size_t slash = repository.find('/');
    const std::string_view part = repository.substr(0, slash);
    if (!IsPathComponent(part)) {
      return Error(ErrorKind::kInvalid,
                   part.empty()
                       ? std::string("a part of the repository is empty")
                       : fmt::format("\"{}\" is no part of a repository: lower-case letters, digits and single "
                                     "separators are allowed",
                                     part));
    }
    if (slash == std::string_view::npos) return Ok();
    repository = repository.substr(slash + 1);
  }
}

Result<ImageName> Parse(std::string_view text) {
  if (text.empty()) return Error(ErrorKind::kInvalid, "the name is empty");
  ImageName name;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    name.digest = text.substr(at + 1);
    if (!IsDigest(name.digest)) {
      return Error(ErrorKind::kInvalid, "what follows \"@\" is no digest, such as sha256:<64 hex digits>");
    }
    text = text.substr(0, at);
  }
  const std::size_t slash = text.rfind('/');
  const std::size_t colon = text.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon != std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    if (!IsTag(name.tag)) {
      return Error(ErrorKind::kInvalid,
                   "what follows \":\" is no tag: letters, digits, \"_\", \".\" and \"-\", at most "
                   "128");
    }
    text = text.substr(0, colon);
  }

  const std::size_t first = text.find('/');
  std::string_view repository = text;
  if (first != std::string_view::npos && LooksLikeRegistry(text.substr(0, first))) {
    name.registry = text.substr(0, first);
    if (!IsRegistry(name.registry)) return Error(ErrorKind::kInvalid, "the registry is no host name");
    repository = text.substr(first + 1);
    if (name.registry == "index.docker.io") name.registry = "docker.io";
  } else {
    name.registry = "docker.io";
    if (text.size() == 64 && std::all_of(text.begin(), text.end(), IsHex)) {
      return Error(ErrorKind::kInvalid, "64 hex digits are an image ID and no name");
    }
  }
  DAEMONSETD_RETURN_IF_ERROR(CheckRepository(repository));
  name.repository = repository;
  if (name.registry == "docker.io" && repository.find('/') == std::string_view::npos) {
    name.repository = "library/" + name.repository;
  }
  if (name.registry.size() + 1 + name.repository.size() > kMaxName) {
    return Error(ErrorKind::kInvalid, fmt::format("registry and repository have more than {} characters", kMaxName));
  }
  if (name.tag.empty() && name.digest.empty()) name.tag = "latest";
  return name;
}

}  // namespace

std::string ImageName::Canonical() const {
  if (!digest.empty()) return fmt::format("{}/{}@{}", registry, repository, digest);
  return fmt::format("{}/{}:{}", registry, repository, tag);
}

Result<ImageName> ParseImageName(std::string_view name) {
  if (name.size() > kMaxInput) {
    return Error(ErrorKind::kInvalid, fmt::format("image name of {} characters; at most {}", name.size(), kMaxInput));
  }
  Result<ImageName> parsed = Parse(name);
  if (!parsed) return parsed.error().WithContext(fmt::format("image \"{}\"", name));
  return parsed;
}

std::string CanonicalImageName(const std::string& name) {
  const auto parsed = ParseImageName(name);
  return parsed ? parsed->Canonical() : name;
}

}  // namespace daemonsetd::pods

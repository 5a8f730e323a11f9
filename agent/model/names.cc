#include "agent/model/names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

namespace daemonsetd::model {
namespace {

// Deliberately not <cctype>: the locale must not change what a valid name is.
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || IsUpper(c); }

constexpr std::string_view kLabelRule =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view kSubdomainRule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view kUnderscoreSubdomainRule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
    "start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view kNamePartRule =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr std::string_view kLabelValueRule =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
constexpr std::string_view kQualifiedNameRule =
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. "
    "'example.com/MyName')";

std::string Join(std::string left, std::string_view right) {
  if (!left.empty()) {
    left += ", ";
  }
  return left.append(right);
}

std::string AtMost(std::string_view text, std::size_t length) {
  return text.size() > length ? "must be no more than " + std::to_string(length) + " characters" : std::string();
}

bool IsLabelText(std::string_view text) {
  return !text.empty() && IsLowerAlnum(text.front()) && IsLowerAlnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

bool IsUnderscoreLabelText(std::string_view text) {
  if (text.starts_with('_')) {
    text.remove_prefix(1);
  }
  return !text.empty() && IsLowerAlnum(text.front()) && IsLowerAlnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return IsLowerAlnum(c) || c == '-' || c == '_'; });
}

// True when `test` holds for every part of `text` between dots.
template <class Test>
bool EveryPart(std::string_view text, char separator, Test test) {
  while (true) {
    const std::size_t end = text.find(separator);
    if (!test(text.substr(0, end))) {
      return false;
    }
    if (end == std::string_view::npos) {
      return true;
    }
    text.remove_prefix(end + 1);
  }
}

bool IsNamePart(std::string_view text) {
  return !text.empty() && IsAlnum(text.front()) && IsAlnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

// One path component of a repository: [a-z0-9]+ joined by '.', '_', '__' or any number of '-'.
bool IsRepositoryComponent(std::string_view text) {
  if (text.empty() || !IsLowerAlnum(text.front()) || !IsLowerAlnum(text.back())) {
    return false;
  }
  for (std::size_t i = 0; i < text.size();) {
    if (IsLowerAlnum(text[i])) {
      ++i;
      continue;
    }
    const char separator = text[i];
    std::size_t end = i;
    while (end < text.size() && text[end] == separator) {
      ++end;
    }
    const std::size_t length = end - i;
    const bool fits = separator == '-' || (separator == '.' && length == 1) || (separator == '_' && length <= 2);
    if (!fits || !IsLowerAlnum(text[end])) {
      return false;
    }
    i = end;
  }
  return true;
}

bool IsRegistryHost(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !IsIpAddress(text.substr(1, end - 1))) {
      return false;
    }
    text.remove_prefix(end + 1);
    return text.empty() || (text.size() > 1 && text.front() == ':' && std::ranges::all_of(text.substr(1), IsDigit));
  }
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || !std::ranges::all_of(port, IsDigit)) {
      return false;
    }
    text = text.substr(0, colon);
  }
  return EveryPart(text, '.', [](std::string_view part) {
    return !part.empty() && IsAlnum(part.front()) && IsAlnum(part.back()) &&
           std::ranges::all_of(part, [](char c) { return IsAlnum(c) || c == '-'; });
  });
}

// The image service knows sha256, sha384 and sha512, written in lower-case hexadecimal.
bool IsImageDigest(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return false;
  }
  const std::string_view algorithm = text.substr(0, colon);
  const std::string_view hex = text.substr(colon + 1);
  const std::size_t length = algorithm == "sha256" ? 64 : algorithm == "sha384" ? 96 : algorithm == "sha512" ? 128 : 0;
  return length != 0 && hex.size() == length &&
         std::ranges::all_of(hex, [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); });
}

bool IsImageTag(std::string_view text) {
  const auto is_word = [](char c) { return IsAlnum(c) || c == '_'; };
  return !text.empty() && text.size() <= 128 && is_word(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool IsRepository(std::string_view name) {
  const std::size_t slash = name.find('/');
  std::string_view path = name;
  if (slash != std::string_view::npos) {
    const std::string_view head = name.substr(0, slash);
    const bool is_host =
        head.find_first_of(".:") != std::string_view::npos || head == "localhost" || std::ranges::any_of(head, IsUpper);
    if (is_host) {
      if (!IsRegistryHost(head)) {
        return false;
      }
      path = name.substr(slash + 1);
    }
  }
  return path.size() <= 255 && EveryPart(path, '/', IsRepositoryComponent);
}

}  // namespace

std::string CheckDns1123Label(std::string_view text) {
  std::string reason = AtMost(text, 63);
  if (!IsLabelText(text)) {
    reason = Join(std::move(reason),
                  !text.empty() && EveryPart(text, '.', IsLabelText) ? "must not contain dots" : kLabelRule);
  }
  return reason;
}

std::string CheckDns1123Subdomain(std::string_view text) {
  std::string reason = AtMost(text, 253);
  return EveryPart(text, '.', IsLabelText) ? reason : Join(std::move(reason), kSubdomainRule);
}

std::string CheckDns1123SubdomainWithUnderscore(std::string_view text) {
  std::string reason = AtMost(text, 253);
  return EveryPart(text, '.', IsUnderscoreLabelText) ? reason : Join(std::move(reason), kUnderscoreSubdomainRule);
}

std::string CheckQualifiedName(std::string_view text) {
  std::string reason;
  std::string_view name = text;
  if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
    if (text.find('/', slash + 1) != std::string_view::npos) {
      return std::string(kQualifiedNameRule);
    }
    const std::string_view prefix = text.substr(0, slash);
    name = text.substr(slash + 1);
    if (prefix.empty()) {
      reason = "prefix part must be non-empty";
    } else if (const std::string refused = CheckDns1123Subdomain(prefix); !refused.empty()) {
      reason = "prefix part " + refused;
    }
  }
  if (name.empty()) {
    reason = Join(std::move(reason), "name part must be non-empty");
  } else if (name.size() > 63) {
    reason = Join(std::move(reason), "name part must be no more than 63 characters");
  }
  return IsNamePart(name) ? reason : Join(std::move(reason), kNamePartRule);
}

std::string CheckLabelValue(std::string_view text) {
  std::string reason = AtMost(text, 63);
  return text.empty() || IsNamePart(text) ? reason : Join(std::move(reason), kLabelValueRule);
}

std::string CheckDomainPrefixedPath(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) {
    return "must be a domain-prefixed path (such as \"acme.io/foo\")";
  }
  if (std::string refused = CheckDns1123Subdomain(text.substr(0, slash)); !refused.empty()) {
    return refused;
  }
  constexpr std::string_view kPathCharacters = "/-._~%!$&'()*+,;=:";
  const bool fits = std::ranges::all_of(
      text.substr(slash + 1), [&](char c) { return IsAlnum(c) || kPathCharacters.find(c) != std::string_view::npos; });
  return fits ? "" : "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
}

std::string CheckPortName(std::string_view text) {
  std::string reason = AtMost(text, 15);
  if (text.empty() || !std::ranges::all_of(text, [](char c) { return IsLowerAlnum(c) || c == '-'; })) {
    reason = Join(std::move(reason), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!std::ranges::any_of(text, IsLower)) {
    reason = Join(std::move(reason), "must contain at least one letter (a-z)");
  }
  if (text.find("--") != std::string_view::npos) {
    reason = Join(std::move(reason), "must not contain consecutive hyphens");
  }
  if (text.starts_with('-') || text.ends_with('-')) {
    reason = Join(std::move(reason), "must not begin or end with a hyphen");
  }
  return reason;
}

std::string CheckEnvVarName(std::string_view text) {
  if (text.empty()) {
    return "environment variable name must be non-empty";
  }
  const bool fits = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f && c != '='; });
  return fits ? "" : "a valid environment variable name must consist only of printable ASCII characters other than '='";
}

std::string CheckConfigMapKey(std::string_view text) {
  std::string reason = AtMost(text, 253);
  if (text.empty() ||
      !std::ranges::all_of(text, [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; })) {
    reason = Join(std::move(reason),
                  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                  "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
  }
  if (text == ".") {
    reason = Join(std::move(reason), "must not be '.'");
  } else if (text == "..") {
    reason = Join(std::move(reason), "must not be '..'");
  } else if (text.starts_with("..")) {
    reason = Join(std::move(reason), "must not start with '..'");
  }
  return reason;
}

std::string CheckHttpHeaderName(std::string_view text) {
  const bool fits = !text.empty() && std::ranges::all_of(text, [](char c) { return IsAlnum(c) || c == '-'; });
  return fits ? ""
              : "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "
                "for validation is '[-A-Za-z0-9]+')";
}

bool IsIpAddress(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) {
    return false;
  }
  const std::string terminated(text);
  unsigned char address[16];
  return inet_pton(AF_INET, terminated.c_str(), address) == 1 || inet_pton(AF_INET6, terminated.c_str(), address) == 1;
}

std::string CheckIpAddress(std::string_view text) {
  return IsIpAddress(text) ? "" : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

std::optional<AddressPort> ParseAddressPort(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view address = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  const bool six = address.find(':') != std::string_view::npos;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool number = error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
  if (six != bracketed || !IsIpAddress(address) || !number || port == 0) return std::nullopt;
  return AddressPort{.address = std::string(address), .port = port};
}

bool IsPortNumber(std::int64_t number) { return number >= 1 && number <= 65535; }

bool IsPercent(std::string_view text) {
  return text.size() > 1 && text.back() == '%' && std::ranges::all_of(text.substr(0, text.size() - 1), IsDigit);
}

bool ImageTagIsLatest(std::string_view image) {
  std::string_view name = image;
  bool has_digest = false;
  if (const std::size_t at = name.find('@'); at != std::string_view::npos) {
    if (!IsImageDigest(name.substr(at + 1))) {
      return false;
    }
    has_digest = true;
    name = name.substr(0, at);
  }
  std::string_view tag;
  const std::size_t slash = name.rfind('/');
  const std::size_t colon = name.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon != std::string_view::npos) {
    tag = name.substr(colon + 1);
    if (!IsImageTag(tag)) {
      return false;
    }
    name = name.substr(0, colon);
  }
  const bool is_image_id =
      name.size() == 64 && std::ranges::all_of(name, [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); });
  if (is_image_id && tag.empty() && !has_digest) {
    return false;  // an identifier, which the reference parser refuses as a name
  }
  if (!IsRepository(name)) {
    return false;
  }
  return tag == "latest" || (tag.empty() && !has_digest);
}

}  // namespace daemonsetd::model

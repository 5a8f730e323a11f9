#include "agent/pods/probes/http_url.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <vector>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

bool IsHex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

bool EqualIgnoringCase(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  });
}

// Length of "scheme" before its colon; npos when there is none.
std::size_t SchemeEnd(std::string_view text) {
  const std::size_t end = text.find(':');
  if (end == std::string_view::npos || end == 0 || std::isalpha(static_cast<unsigned char>(text[0])) == 0) {
    return std::string_view::npos;
  }
  const bool valid = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
  });
  return valid ? end : std::string_view::npos;
}

// `reserved`: characters that have a meaning of their own here and must be written as numbers.
void AppendEncoded(std::string& to, std::string_view text, std::string_view reserved, bool keep_escapes) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool escape = c == '%' && keep_escapes && i + 2 < text.size() && IsHex(text[i + 1]) && IsHex(text[i + 2]);
    const bool plain = c > 0x20 && c < 0x7F && c != '%' && reserved.find(text[i]) == std::string_view::npos;
    if (escape || plain) {
      to += text[i];
    } else {
      to += fmt::format("%{:02X}", c);
    }
  }
}

bool IsParsable(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return false;
    if (c == '?') return true;  // a query may hold anything
    if (c == '%' && !(i + 2 < text.size() && IsHex(text[i + 1]) && IsHex(text[i + 2]))) return false;
  }
  return true;
}

constexpr std::string_view kNotInPaths = "\"<>\\^`{|}";
constexpr std::string_view kNotInQueries = "\"<>";

std::string WithoutDots(std::string_view path) {
  std::vector<std::string_view> parts;
  bool directory = true;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(end);
    directory = part == "." || part == "..";
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!directory) parts.push_back(part);
  }
  std::string result;
  for (const std::string_view part : parts) result.append("/").append(part);
  return directory || result.empty() ? result + "/" : result;
}

// "host", "host:8080", "[::1]:8080", each perhaps after "user:password@".
bool ReadAuthority(std::string_view text, HttpUrl& url) {
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) text.remove_prefix(at + 1);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F) return false;
  }
  url.authority = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    url.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    url.host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (url.host.empty()) return false;
  url.port = url.tls ? 443 : 80;
  if (port.empty() || port == ":") return true;
  if (port.front() != ':') return false;
  port.remove_prefix(1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  return error == std::errc() && end == port.data() + port.size() && url.port != 0;
}

}  // namespace

std::string RequestTarget(std::string_view path) {
  std::string target;
  if (!IsParsable(path)) {  // then upstream takes all of it for a path
    if (!path.starts_with('/')) target += '/';
    AppendEncoded(target, path, "?#\"<>\\^`{|}", false);
    return target;
  }
  path = path.substr(0, path.find('#'));
  if (const std::size_t scheme = SchemeEnd(path.substr(0, path.find_first_of("/?")));
      scheme != std::string_view::npos) {
    path.remove_prefix(scheme + 1);
  }
  if (path.starts_with("//")) path.remove_prefix(std::min(path.find_first_of("/?", 2), path.size()));
  if (!path.starts_with('/')) target += '/';
  const std::size_t query = std::min(path.find('?'), path.size());
  AppendEncoded(target, path.substr(0, query), kNotInPaths, true);
  if (query < path.size()) {
    target += '?';
    // Unlike paths, queries go out with every percent sign as it stands.
    for (const char c : path.substr(query + 1)) {
      if (c == '%') {
        target += c;
      } else {
        AppendEncoded(target, std::string_view(&c, 1), kNotInQueries, true);
      }
    }
  }
  return target;
}

bool IsRelative(std::string_view location) {
  return !location.starts_with("//") &&
         SchemeEnd(location.substr(0, location.find_first_of("/?#"))) == std::string_view::npos;
}

std::optional<HttpUrl> Follow(const HttpUrl& from, std::string_view location) {
  HttpUrl to = from;
  if (!IsRelative(location)) {
    if (!location.starts_with("//")) {
      const std::size_t end = location.find(':');
      const std::string_view scheme = location.substr(0, end);
      to.tls = EqualIgnoringCase(scheme, "https");
      if (!to.tls && !EqualIgnoringCase(scheme, "http")) return std::nullopt;
      location.remove_prefix(end + 1);
      if (!location.starts_with("//")) return std::nullopt;
    }
    location.remove_prefix(2);
    const std::size_t end = std::min(location.find_first_of("/?#"), location.size());
    if (!ReadAuthority(location.substr(0, end), to)) return std::nullopt;
    to.target = RequestTarget(location.substr(end));
    return to;
  }
  location = location.substr(0, location.find('#'));
  const std::string_view base = std::string_view(from.target).substr(0, from.target.find('?'));
  const std::size_t query = std::min(location.find('?'), location.size());
  std::string path(location.substr(0, query));
  if (path.empty()) {
    path = base;
  } else if (!path.starts_with('/')) {
    path = std::string(base.substr(0, base.rfind('/') + 1)) + path;
  }
  to.target = RequestTarget(WithoutDots(path) + std::string(location.substr(query)));
  return to;
}

bool SameHost(const HttpUrl& one, const HttpUrl& other) { return EqualIgnoringCase(one.host, other.host); }

std::string Display(const HttpUrl& url) {
  const bool brackets = url.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}{}", url.tls ? "https" : "http", brackets ? "[" : "", url.host, brackets ? "]" : "",
                     url.port, url.target.substr(0, url.target.find('?')));
}

std::string ServerName(const HttpUrl& url) {
  std::string_view name = url.host;
  const bool address = name.find(':') != std::string_view::npos ||
                       std::all_of(name.begin(), name.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  if (address) return "";
  while (name.ends_with('.')) name.remove_suffix(1);
  return std::string(name);
}

}  // namespace daemonsetd::pods

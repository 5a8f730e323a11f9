// Addresses of HTTP probes: pure. As Go's net/url and the kubelet read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daemonsetd::pods {

struct HttpUrl {
  bool tls = false;
  std::string host;  // without brackets
  std::uint16_t port = 0;
  std::string authority;  // for the Host header: as it was written, "10.0.0.1:8080" or "example.org"
  std::string target;     // encoded path and query: "/healthz?full=1"
};

// Encoded: nothing in the answer ends a line or a word of a request, whatever is in `path`.
std::string RequestTarget(std::string_view path);

// Where a Location header leads from `from`. Nullopt: nowhere that speaks HTTP.
std::optional<HttpUrl> Follow(const HttpUrl& from, std::string_view location);
// True when `location` names no host of its own.
bool IsRelative(std::string_view location);

// The same host, on whatever port.
bool SameHost(const HttpUrl& one, const HttpUrl& other);

// For people: without the query, which may hold a token. "http://10.0.0.1:8080/healthz".
std::string Display(const HttpUrl& url);

// The server's name for TLS, as Go sends it: none for an address, no trailing dot.
std::string ServerName(const HttpUrl& url);

}  // namespace daemonsetd::pods

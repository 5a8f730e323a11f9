#include "agent/pods/probes/http_request.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "agent/pods/probes/connect.h"

namespace daemonsetd::pods {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool IsFieldValue(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

// They describe the connection and the body, which are ours to choose.
bool IsOurs(std::string_view lower_name) {
  return lower_name == "connection" || lower_name == "content-length" || lower_name == "transfer-encoding" ||
         lower_name == "trailer";
}

}  // namespace

Result<HttpHeaders> HeadersOf(const corev1::HTTPGetAction& action, std::string_view user_agent) {
  HttpHeaders headers;
  bool agent_given = false;
  bool accept_given = false;
  for (const auto& header : action.httpheaders()) {
    const std::string name = Lower(header.name());
    const std::string_view value = Trim(header.value());
    if (!IsToken(header.name())) {
      return Error(ErrorKind::kInvalid, "httpHeaders: a name is not the name of an HTTP header");
    }
    if (!IsFieldValue(value)) {
      return Error(ErrorKind::kInvalid,
                   fmt::format("httpHeaders: the value of {} has control characters", header.name()));
    }
    if (IsOurs(name)) continue;
    if (name == "host") {
      if (headers.host.empty()) headers.host = value;
      continue;
    }
    agent_given = agent_given || name == "user-agent";
    accept_given = accept_given || name == "accept";
    // Empty is the way to send none of these two.
    if (value.empty() && (name == "user-agent" || name == "accept")) continue;
    headers.fields.emplace_back(header.name(), value);
  }
  if (!agent_given) headers.fields.emplace_back("User-Agent", user_agent);
  if (!accept_given) headers.fields.emplace_back("Accept", "*/*");
  return headers;
}

HttpUrl UrlOf(const corev1::HTTPGetAction& action, std::string_view host, std::uint16_t port) {
  return HttpUrl{.tls = Lower(action.scheme()) == "https",
                 .host = std::string(host),
                 .port = port,
                 .authority = JoinHostPort(host, port),
                 .target = RequestTarget(action.path())};
}

std::string RenderRequest(const HttpUrl& url, const HttpHeaders& headers) {
  std::string text =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n", url.target, headers.host.empty() ? url.authority : headers.host);
  for (const auto& [name, value] : headers.fields) text += fmt::format("{}: {}\r\n", name, value);
  return text + "Connection: close\r\n\r\n";
}

}  // namespace daemonsetd::pods

// The request of an HTTP probe or hook: pure. Rules: the kubelet's NewRequestForHTTPGetAction.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/probes/http_url.h"

namespace daemonsetd::pods {

struct HttpHeaders {
  std::vector<std::pair<std::string, std::string>> fields;  // without Host
  std::string host;                                         // empty: the URL's
};

// The user's headers and the default ones that they did not replace. kInvalid names the header that cannot be sent,
// never its value.
Result<HttpHeaders> HeadersOf(const corev1::HTTPGetAction& action, std::string_view user_agent);

// `host`: of httpGet, or the pod's address.
HttpUrl UrlOf(const corev1::HTTPGetAction& action, std::string_view host, std::uint16_t port);

// The bytes of the request. It asks for the end of the connection after the answer.
std::string RenderRequest(const HttpUrl& url, const HttpHeaders& headers);

}  // namespace daemonsetd::pods

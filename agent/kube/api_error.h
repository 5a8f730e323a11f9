// Refusals of the API server as errors: what a caller does about them, and what a person reads. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "agent/kube/http.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::kube {

// A call that failed: the error, and what only the machinery of list and watch and the limiter need.
struct ApiError {
  Error error;
  int code = 0;                        // HTTP status, or that of an ERROR event; 0: no answer came
  std::optional<Seconds> retry_after;  // the server's wish
  bool version_too_large = false;      // the resourceVersion that was asked for lies in this server's future
};

template <class T>
using Answer = boost::system::result<T, ApiError>;
// Called by Answer<T>::value() on an error, as for Result<T>.
[[noreturn]] void throw_exception_from_error(const ApiError& error, const boost::source_location& location);

// An answer that is not 2xx. `call` says what was asked: "get pods kube-system/a".
//   401, 403 kDenied; 404 NotFound that names an object kAbsent; other 404 kUnsupported, since a missing path or a
//   proxy is no word about the object; 409 AlreadyExists kExists, else kConflict, like 422 about metadata.uid; 410, and
//   reasons Expired and Gone, kGone; 408, 429, 5xx kRetry but 504 kTimeout and 501 kUnsupported; 405, 406, 415
//   kUnsupported; the rest kInvalid.
ApiError ErrorOf(const HttpResponse& response, std::string_view call);

// The same of a metav1.Status, such as the object of a watch's ERROR event. `code` counts when the status names none.
ApiError ErrorOf(const metav1::Status& status, int code, std::string_view call);

}  // namespace daemonsetd::kube

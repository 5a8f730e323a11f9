#include "agent/kube/api_error.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/utf8.h"
#include "agent/kube/codec.h"
#include "agent/model/codec.h"

namespace daemonsetd::kube {
namespace {

constexpr std::size_t kMaximumText = 1024;
constexpr std::size_t kMaximumPlainText = 200;
constexpr std::size_t kMaximumJson = 256 * 1024;

// One line of valid UTF-8: it goes into logs.
std::string Printable(std::string_view text, std::size_t limit) {
  std::string line = ValidUtf8(text.substr(0, limit));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
  const std::size_t end = line.find_last_not_of(' ');
  line.resize(end == std::string::npos ? 0 : end + 1);
  return line;
}

bool IsGone(std::string_view reason) { return reason == "Expired" || reason == "Gone"; }

// A path that the server does not serve has this reason too, but no object.
bool NamesAnObject(const metav1::Status& status) {
  return status.reason() == "NotFound" && !status.details().name().empty();
}

ErrorKind KindOf(int code, const metav1::Status& status) {
  const std::string& reason = status.reason();
  if (IsGone(reason)) return ErrorKind::kGone;
  switch (code) {
    case 401:
    case 403: return ErrorKind::kDenied;
    case 404: return NamesAnObject(status) ? ErrorKind::kAbsent : ErrorKind::kUnsupported;
    case 405:
    case 406:
    case 415:
    case 501: return ErrorKind::kUnsupported;
    case 408:
    case 429: return ErrorKind::kRetry;
    case 409: return reason == "AlreadyExists" ? ErrorKind::kExists : ErrorKind::kConflict;
    case 410: return ErrorKind::kGone;
    case 504: return ErrorKind::kTimeout;
    default: return code >= 500 ? ErrorKind::kRetry : ErrorKind::kInvalid;
  }
}

std::string Advice(int code, const metav1::Status& status) {
  if (code == 401) return "; check the credentials of the kubeconfig";
  if (code == 404 && !NamesAnObject(status)) {
    return "; the server does not serve this resource, or what answered is no API server";
  }
  if (code >= 300 && code < 400) return "; a redirect is not followed: check the server's address in the kubeconfig";
  return {};
}

// A patch that names another uid than the stored object's: meant for its predecessor.
bool IsOtherObject(const metav1::Status& status) {
  return std::any_of(status.details().causes().begin(), status.details().causes().end(),
                     [](const metav1::StatusCause& cause) { return cause.field() == "metadata.uid"; });
}

bool IsVersionTooLarge(const metav1::Status& status) {
  return std::any_of(status.details().causes().begin(), status.details().causes().end(),
                     [](const metav1::StatusCause& cause) { return cause.reason() == "ResourceVersionTooLarge"; });
}

std::optional<metav1::Status> StatusIn(const HttpResponse& response) {
  metav1::Status status;
  if (response.content_type.starts_with(kProtobufType)) {
    if (!DecodeObject(response.body, "v1", "Status", status)) return std::nullopt;
    return status;
  }
  if (!response.content_type.starts_with(kJsonType) || response.body.size() > kMaximumJson) return std::nullopt;
  if (!model::DecodeObject(response.body, status, /*strict=*/false)) return std::nullopt;
  return status;
}

}  // namespace

void throw_exception_from_error(const ApiError& error, const boost::source_location& location) {
  throw_exception_from_error(error.error, location);
}

ApiError ErrorOf(const metav1::Status& status, int code, std::string_view call) {
  if (status.code() != 0) code = status.code();
  const std::string reason = Printable(status.reason(), 64);
  std::string text = Printable(status.message(), kMaximumText);
  if (text.empty()) text = "the server gives no reason";
  const ErrorKind kind = code == 422 && IsOtherObject(status) ? ErrorKind::kConflict : KindOf(code, status);
  ApiError error{.error = Error(kind, fmt::format("{}: {} (HTTP {}{}{}){}", call, text, code, reason.empty() ? "" : " ",
                                                  reason, Advice(code, status))),
                 .code = code};
  if (status.details().retryafterseconds() > 0) error.retry_after = Seconds(status.details().retryafterseconds());
  error.version_too_large = IsVersionTooLarge(status);
  return error;
}

ApiError ErrorOf(const HttpResponse& response, std::string_view call) {
  metav1::Status status;
  if (auto found = StatusIn(response)) {
    status = std::move(*found);
  } else if (response.content_type.starts_with("text/plain")) {
    const std::string_view body = response.body;
    status.set_message(Printable(body.substr(0, body.find('\n')), kMaximumPlainText));
  }
  status.set_code(response.status);  // a body that tells another story than the header is not followed
  ApiError error = ErrorOf(status, response.status, call);
  if (response.retry_after) error.retry_after = response.retry_after;
  return error;
}

}  // namespace daemonsetd::kube

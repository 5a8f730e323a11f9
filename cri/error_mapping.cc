#include "cri/error_mapping.h"

#include <utility>

#include <grpcpp/support/status.h>

namespace daemonsetd::cri {
namespace {

constexpr std::size_t kMaxText = 2048;

// Containerd and CRI-O answer with the code UNKNOWN while the call that holds the name is still under way.
bool NameIsReserved(std::string_view text) {
  return text.find("is reserved for") != std::string_view::npos ||
         text.find("name is reserved") != std::string_view::npos;
}

bool RuntimeTimedOut(std::string_view text) { return text.find("context deadline exceeded") != std::string_view::npos; }

ErrorKind KindOf(const grpc::Status& status, bool we_cancelled) {
  switch (status.error_code()) {
    case grpc::StatusCode::NOT_FOUND: return ErrorKind::kAbsent;
    case grpc::StatusCode::ALREADY_EXISTS: return ErrorKind::kExists;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return ErrorKind::kTimeout;
    case grpc::StatusCode::UNIMPLEMENTED: return ErrorKind::kUnsupported;
    case grpc::StatusCode::CANCELLED: return we_cancelled ? ErrorKind::kCancelled : ErrorKind::kRetry;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED: return ErrorKind::kDenied;
    case grpc::StatusCode::INVALID_ARGUMENT: return ErrorKind::kInvalid;
    case grpc::StatusCode::UNAVAILABLE: return ErrorKind::kRetry;
    default: break;
  }
  if (NameIsReserved(status.error_message())) return ErrorKind::kExists;
  if (RuntimeTimedOut(status.error_message())) return ErrorKind::kTimeout;
  return ErrorKind::kRetry;
}

std::string Printable(std::string text) {
  if (text.size() > kMaxText) {
    std::size_t end = kMaxText;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a UTF-8 character
    text.resize(end);
    text += "…";
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string Message(std::string_view method, std::string_view text) {
  std::string message = "CRI ";
  message += method;
  message += ": ";
  message += text;
  return message;
}

}  // namespace

Error FromGrpc(std::string_view method, const grpc::Status& status, bool we_cancelled) {
  std::string text = Printable(status.error_message());
  if (text.empty()) text = "the runtime gave no reason (gRPC code " + std::to_string(status.error_code()) + ")";
  return Error(KindOf(status, we_cancelled), Message(method, text));
}

Status AbsentIsSuccess(Status status) {
  if (!status && status.error().kind() == ErrorKind::kAbsent) return Ok();
  return status;
}

Error IncompleteAnswer(std::string_view method, std::string_view what) {
  return Error(ErrorKind::kRetry, Message(method, "the runtime answered success without " + std::string(what)));
}

Error WithoutEnvValues(const Error& error, const ::runtime::v1::ContainerConfig& config) {
  std::string message = error.message();
  for (const auto& variable : config.envs()) {
    // Shorter ones are words like "1" or "true": no secret, and cutting them out would make the message unreadable.
    if (variable.value().size() < 6) continue;
    for (auto at = message.find(variable.value()); at != std::string::npos; at = message.find(variable.value(), at)) {
      const std::string replacement = "[value of an env variable]";
      message.replace(at, variable.value().size(), replacement);
      at += replacement.size();
    }
  }
  return Error(error.kind(), std::move(message));
}

Result<::runtime::v1::Image> ImageOf(::runtime::v1::ImageStatusResponse response, std::string_view image) {
  if (!response.has_image() || response.image().id().empty()) {
    return Error(ErrorKind::kAbsent, Message("ImageStatus", "image " + std::string(image) + " is not on this node"));
  }
  return std::move(*response.mutable_image());
}

}  // namespace daemonsetd::cri

#include "agent/base/error.h"

#include <stdexcept>

#include "agent/base/result.h"

namespace daemonsetd {

std::string_view ToString(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kRetry: return "retry";
    case ErrorKind::kTimeout: return "timeout";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kGone: return "gone";
    case ErrorKind::kAbsent: return "absent";
    case ErrorKind::kExists: return "exists";
    case ErrorKind::kDenied: return "denied";
    case ErrorKind::kInvalid: return "invalid";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kCancelled: return "cancelled";
    case ErrorKind::kFatal: return "fatal";
  }
  return "unknown";
}

void throw_exception_from_error(const Error& error, const boost::source_location& location) {
  throw std::logic_error(std::string(location.file_name()) + ": value of a failed result read: " + error.message());
}

}  // namespace daemonsetd

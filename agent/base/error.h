// Errors as values. The kind tells the caller what to do; the message tells a person what happened.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace daemonsetd {

enum class ErrorKind {
  kRetry,        // passing: the same call may work later
  kTimeout,      // the deadline passed: maybe done, so observe before trying again
  kConflict,     // somebody else changed the object: read again, then decide
  kGone,         // the history asked for is no longer kept: list again
  kAbsent,       // the object does not exist
  kExists,       // the object, or a reservation of its name, exists already
  kDenied,       // credentials or permissions: a person must act
  kInvalid,      // the input is wrong: repeating does not help
  kUnsupported,  // the peer does not have this call or feature
  kCancelled,    // we asked for the stop
  kFatal,        // cannot go on
};

std::string_view ToString(ErrorKind kind);

class [[nodiscard]] Error {
 public:
  Error() : Error(ErrorKind::kFatal, "no error") {}  // Boost.System wants one for result::error() of a success
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }

  // "context: message". Each layer adds what it was doing, on the way up.
  Error WithContext(std::string_view context) const { return Error(kind_, std::string(context) + ": " + message_); }

 private:
  ErrorKind kind_;
  std::string message_;
};

}  // namespace daemonsetd

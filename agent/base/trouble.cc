#include "agent/base/trouble.h"

#include "agent/base/log.h"

namespace daemonsetd {

bool IsStale(const Error& error) {
  return error.kind() == ErrorKind::kConflict || error.kind() == ErrorKind::kExists ||
         error.kind() == ErrorKind::kAbsent;
}

bool IsPassing(const Error& error) { return error.kind() == ErrorKind::kRetry || error.kind() == ErrorKind::kTimeout; }

void Trouble::Tell(const Error& error) {
  if (error.kind() == ErrorKind::kCancelled) return;  // our own doing
  problem_ = error.message();
  if (error.kind() == ErrorKind::kDenied) problem_ += "; check this agent's credentials and rights";
  if (told_.insert(error.kind()).second) log::Warning(begins_, {{"err", problem_}});
}

void Trouble::End() {
  problem_.clear();
  if (!told_.empty()) log::Info(ends_);
  told_.clear();
}

}  // namespace daemonsetd

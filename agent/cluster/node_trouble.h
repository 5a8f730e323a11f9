// What keeps failing at the API server (agent/base/trouble.h) is tried again ever later.
#pragma once

#include <optional>
#include <string>

#include "agent/base/backoff.h"
#include "agent/base/error.h"
#include "agent/base/time_point.h"
#include "agent/base/trouble.h"

namespace daemonsetd::cluster {

// One kind of request and when it may be made next.
class Attempt {
 public:
  Attempt(std::string begins, std::string ends);

  // When the next one is due; unset: now.
  std::optional<MonoTime> Due(MonoTime now) const;
  // What is asked for again and again although it succeeded, because somebody else undoes it, slows down too.
  void Succeeded(MonoTime now);
  // `random` in [0, 1): many nodes fail at the same moment. The first stale object in a row costs no wait.
  void Failed(const Error& error, MonoTime now, double random);
  const std::string& problem() const { return trouble_.problem(); }

 private:
  Trouble trouble_;
  Backoff failures_;
  Backoff successes_;
  bool was_stale_ = false;
  MonoTime not_before_{};
};

}  // namespace daemonsetd::cluster

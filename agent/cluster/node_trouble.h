// What keeps failing at the API server: told in the log once for each kind of trouble, and tried again ever later.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "agent/base/backoff.h"
#include "agent/base/error.h"
#include "agent/base/time_point.h"

namespace daemonsetd::cluster {

// The object was changed, made or deleted by somebody else since it was read: read it again, then decide.
bool IsStale(const Error& error);

// One line for one kind of error, however often it comes, and one line when the trouble is over.
class Trouble {
 public:
  // The two lines: "the Lease is not renewed", "the Lease is renewed again".
  Trouble(std::string begins, std::string ends) : begins_(std::move(begins)), ends_(std::move(ends)) {}

  void Tell(const Error& error);
  void End();
  // What went wrong last; empty while all is well.
  const std::string& problem() const { return problem_; }

 private:
  const std::string begins_;
  const std::string ends_;
  std::string problem_;
  std::set<ErrorKind> told_;
};

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

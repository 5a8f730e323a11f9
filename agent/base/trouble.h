// What keeps failing at a server: told in the log once for each kind of trouble, however often it comes.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "agent/base/error.h"

namespace daemonsetd {

// The object was changed, made or deleted by somebody else since it was read: read it again, then decide.
bool IsStale(const Error& error);

// The server could not be asked, or what it did is not known: the same call may work later.
bool IsPassing(const Error& error);

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

}  // namespace daemonsetd

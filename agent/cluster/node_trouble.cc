#include "agent/cluster/node_trouble.h"

namespace daemonsetd::cluster {
namespace {

constexpr BackoffLimits kAfterFailure{.initial = std::chrono::seconds(1), .maximum = std::chrono::minutes(1)};
constexpr BackoffLimits kAfterSuccess{
    .initial = std::chrono::seconds(1), .maximum = std::chrono::minutes(1), .reset_after = std::chrono::minutes(1)};

}  // namespace

Attempt::Attempt(std::string begins, std::string ends)
    : trouble_(std::move(begins), std::move(ends)), failures_(kAfterFailure), successes_(kAfterSuccess) {}

std::optional<MonoTime> Attempt::Due(MonoTime now) const {
  if (now >= not_before_) return std::nullopt;
  return not_before_;
}

void Attempt::Succeeded(MonoTime now) {
  trouble_.End();
  failures_.Reset();
  was_stale_ = false;
  not_before_ = successes_.Fail(now);
}

void Attempt::Failed(const Error& error, MonoTime now, double random) {
  if (IsStale(error) && !was_stale_) {
    was_stale_ = true;
    return;
  }
  trouble_.Tell(error);
  failures_.Fail(now);
  not_before_ = now + Jittered(failures_.delay(), random);
}

}  // namespace daemonsetd::cluster

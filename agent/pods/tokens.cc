#include "agent/pods/tokens.h"

#include <algorithm>

#include "agent/base/digest.h"
#include "agent/base/log.h"

namespace daemonsetd::pods {
namespace {

constexpr Nanoseconds kLongest = std::chrono::hours(24);
constexpr Nanoseconds kShortest = std::chrono::seconds(10);
// More than NTP corrects within a minute, less than any token lives.
constexpr Nanoseconds kClockJump = std::chrono::minutes(1);
constexpr BackoffLimits kRetry{.initial = std::chrono::seconds(5), .maximum = std::chrono::minutes(2)};

std::uint64_t SeedOf(const TokenRequest& request) { return Fnv1a64(request.pod_uid + '\n' + request.audience); }

// A hostile lifetime must not overflow.
Nanoseconds Lifetime(const Token& token) {
  constexpr Seconds kMost = std::chrono::hours(24 * 365 * 100);
  return std::clamp(token.lifetime, Seconds::zero(), kMost);
}

Nanoseconds Age(const HeldToken& held, const Now& now) {
  return std::max<Nanoseconds>(now.mono - held.obtained.mono, now.wall - held.token.issued);
}

bool ClockJumped(const HeldToken& held, const Now& now) {
  const Nanoseconds difference = (now.wall - held.obtained.wall) - (now.mono - held.obtained.mono);
  return std::max(difference, -difference) > kClockJump;
}

}  // namespace

Nanoseconds TokenRefreshAge(const Token& token, std::uint64_t seed) {
  constexpr std::uint64_t kParts = 1000;
  const Nanoseconds lifetime = Lifetime(token);
  const Nanoseconds jitter =
      lifetime / 20 / static_cast<std::int64_t>(kParts) * static_cast<std::int64_t>(seed % kParts);
  return std::clamp(lifetime / 5 * 4 - jitter, kShortest, kLongest);
}

bool NeedsRefresh(const HeldToken& held, std::uint64_t seed, const Now& now) {
  return ClockJumped(held, now) || Age(held, now) >= TokenRefreshAge(held.token, seed);
}

bool IsExpired(const HeldToken& held, const Now& now) { return Age(held, now) >= Lifetime(held.token); }

bool PodTokens::IsDue(const TokenRequest& request, const Entry& entry, const Now& now) const {
  return NeedsRefresh(entry.held, SeedOf(request), now) && !entry.backoff.Waiting(now.mono);
}

bool PodTokens::IsDue(const TokenRequest& request) const {
  const auto entry = tokens_.find(request);
  return entry == tokens_.end() || IsDue(request, entry->second, timeline_.Read());
}

std::optional<MonoTime> PodTokens::next_check() const {
  if (tokens_.empty()) return std::nullopt;
  const MonoTime now = timeline_.mono();
  MonoTime next = now + kCheckPeriod;
  for (const auto& [request, entry] : tokens_) {
    MonoTime due = entry.held.obtained.mono + TokenRefreshAge(entry.held.token, SeedOf(request));
    if (entry.backoff.due()) due = std::max(due, *entry.backoff.due());
    if (due > now) next = std::min(next, due);
  }
  return next;
}

void PodTokens::RetryNow() {
  for (auto& [request, entry] : tokens_) entry.backoff.Reset();
}

Task<Result<std::string>> PodTokens::Get(TokenRequest request, Nanoseconds timeout) {
  const auto known = tokens_.find(request);
  if (known != tokens_.end() && !IsDue(request, known->second, timeline_.Read())) {
    const Entry& entry = known->second;
    if (!IsExpired(entry.held, timeline_.Read())) co_return entry.held.token.value;
    if (entry.backoff.Waiting(timeline_.mono())) {
      co_return Error(ErrorKind::kRetry, "the token ran out, and a new one could not be had");
    }
  }
  const Result<Token> token = co_await source_->RequestToken(request, timeout);
  const Now now = timeline_.Read();
  const auto entry = tokens_.find(request);
  if (token) {
    Entry fresh{.held = {.token = *token, .obtained = now}, .backoff = Backoff(kRetry)};
    tokens_.insert_or_assign(std::move(request), std::move(fresh));
    co_return token->value;
  }
  if (entry == tokens_.end()) co_return token.error();
  entry->second.backoff.Fail(now.mono);
  log::Warning("no new token for a pod; trying again", {{"pod", request.name_space + "/" + request.pod_name},
                                                        {"serviceAccount", request.service_account},
                                                        {"retryIn", FormatDuration(entry->second.backoff.delay())},
                                                        {"err", token.error().message()}});
  if (IsExpired(entry->second.held, now)) co_return token.error();
  co_return entry->second.held.token.value;
}

}  // namespace daemonsetd::pods

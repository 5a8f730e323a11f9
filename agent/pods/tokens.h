// The ServiceAccount tokens of one pod: when each has to be replaced, and by what.
//
// A token's age is what passed on this node since it arrived, on either clock; whether the node's clock agrees with the
// server's does not matter. When the two clocks of the node disagree about that time, the wall clock was set or the
// machine slept, and the token is fetched anew (VO-09).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/async/timeline.h"
#include "agent/base/backoff.h"
#include "agent/pods/object_source.h"

namespace daemonsetd::pods {

struct HeldToken {
  Token token;
  Now obtained;
};

// At 80 % of the lifetime at the latest (pkg/kubelet/token), up to 5 % of it earlier by `seed`, so that a thousand
// nodes that started together do not ask together; at least once a day, never more often than every 10 s. Pure.
Nanoseconds TokenRefreshAge(const Token& token, std::uint64_t seed);
bool NeedsRefresh(const HeldToken& held, std::uint64_t seed, const Now& now);
bool IsExpired(const HeldToken& held, const Now& now);

// Everything on the loop thread.
class PodTokens {
 public:
  // How often the clocks are compared; nothing rings when somebody sets one.
  static constexpr Nanoseconds kCheckPeriod = std::chrono::minutes(1);

  // `timeline` must outlive it.
  PodTokens(std::shared_ptr<ObjectSource> source, async::Timeline& timeline)
      : source_(std::move(source)), timeline_(timeline) {}

  // The token for this request: the one that is held, a new one when that is due. While none can be had, the old one as
  // long as it is valid.
  Task<Result<std::string>> Get(TokenRequest request, Nanoseconds timeout);

  // What failed may work now: the next Get asks without waiting for the end of a back-off.
  void RetryNow();

  // Whether Get would ask the server.
  bool IsDue(const TokenRequest& request) const;
  // When to look at IsDue again; unset when there is no token.
  std::optional<MonoTime> next_check() const;

 private:
  struct Entry {
    HeldToken held;
    Backoff backoff;
  };
  bool IsDue(const TokenRequest& request, const Entry& entry, const Now& now) const;

  std::shared_ptr<ObjectSource> source_;
  async::Timeline& timeline_;
  std::map<TokenRequest, Entry> tokens_;
};

}  // namespace daemonsetd::pods

#include "agent/rollout/election.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/base/backoff.h"
#include "agent/base/log.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::rollout {
namespace {

using decide::CoordinatorRole;

constexpr Nanoseconds kReleasePatience = std::chrono::seconds(2);
constexpr Nanoseconds kHurryPause = std::chrono::minutes(1);
constexpr int kToldStale = 3;  // that others write meanwhile is no trouble, unless it never ends

Nanoseconds Part(Nanoseconds whole, double random) { return std::chrono::duration_cast<Nanoseconds>(whole * random); }

}  // namespace

Election::Election(async::Executor executor, async::Timeline& timeline, kube::Client& client,
                   std::function<double()> random, ElectionSettings settings, std::function<void()> on_change)
    : executor_(std::move(executor)),
      timeline_(timeline),
      client_(client),
      random_(std::move(random)),
      settings_(std::move(settings)),
      lease_name_(decide::CoordinatorLeaseName(settings_.shard, settings_.shards)),
      on_change_(std::move(on_change)),
      wake_(executor_),
      trouble_("the coordinator's Lease cannot be read or written", "the coordinator's Lease is reached again") {}

Task<void> Election::Run() {
  next_ = timeline_.mono() + Part(decide::kFirstLookSpread, random_());
  for (;;) {
    if (timeline_.mono() < next_) {
      co_await wake_.WaitUntil(timeline_, next_);
    } else {
      co_await Round();
    }
  }
}

Task<void> Election::Round() {
  TellChange();  // a process that was paused finds out before anything else
  const Nanoseconds timeout = std::min(settings_.call_timeout, Nanoseconds(decide::kCoordinatorLeaseDuration) / 4);
  // The holder writes from what it wrote; all others look first.
  if (!lease_known_ || !holds()) {
    const Status read = co_await Read(timeout);
    if (!read) co_return Failed(read.error());
  }
  decide::CoordinatorStep step = Step(/*may_hold=*/true);
  if (step.write) {
    const Status written = co_await Write(std::move(*step.write), step.claims, timeout);
    if (!written) co_return Failed(written.error());
    step = Step(/*may_hold=*/true);
    // The server, or somebody at once, undoes what was written.
    if (step.write)
      co_return Failed(Error(ErrorKind::kConflict, "what is written to the coordinator's Lease is undone"));
  }
  next_ = step.look_at;
  Settled();
}

decide::CoordinatorStep Election::Step(bool may_hold) {
  const decide::CoordinatorInput input{.lease = lease_ ? &*lease_ : nullptr,
                                       .ns = settings_.ns,
                                       .name = lease_name_,
                                       .self = settings_.node_name,
                                       .dead_nodes = dead_nodes_,
                                       .may_hold = may_hold,
                                       .in_doubt = in_doubt_,
                                       .now = timeline_.Read(),
                                       .dice = random_()};
  return decide::StepCoordinator(input, memory_);
}

Task<Status> Election::Read(Nanoseconds timeout) {
  const kube::CallOptions options{.priority = kube::RequestPriority::kLease, .timeout = timeout};
  Result<Lease> answer = co_await client_.Get<Lease>({settings_.ns, lease_name_}, options);
  if (!answer && answer.error().kind() != ErrorKind::kAbsent) co_return answer.error();
  lease_.reset();
  if (answer) lease_ = std::move(*answer);
  lease_known_ = true;
  write_unsure_ = false;
  co_return Ok();
}

Task<Status> Election::Write(decide::LeaseWrite write, bool claims, Nanoseconds timeout) {
  const kube::CallOptions options{.priority = kube::RequestPriority::kLease, .timeout = timeout};
  const bool create = write.kind == decide::LeaseWrite::Kind::kCreate;
  const Now sent = timeline_.Read();
  write_unsure_ = true;
  Task<Result<Lease>> call =
      create ? client_.Create(std::move(write.lease), options) : client_.Update(std::move(write.lease), options);
  Result<Lease> answer = co_await std::move(call);
  if (!answer) {
    if (IsStale(answer.error())) lease_known_ = false;
    co_return answer.error();
  }
  answer->mutable_metadata()->clear_managedfields();  // the server keeps them
  lease_ = std::move(*answer);
  write_unsure_ = false;
  if (claims) memory_.held_from = sent;
  co_return Ok();
}

void Election::Failed(const Error& error) {
  next_ = decide::RetryCoordinator(error, timeline_.mono(), random_(), memory_);
  if (!memory_.denied) {
    if (!IsStale(error) || memory_.failures >= kToldStale) trouble_.Tell(error);
  } else if (!std::exchange(denial_told_, true)) {
    // Only chosen nodes may have these rights, so it is no problem of this one.
    log::Info("this agent may not coordinate rollouts; others do", {{"reason", error.message()}});
  }
  TellChange();
}

void Election::Settled() {
  in_doubt_ = false;
  denial_told_ = false;
  trouble_.End();
  TellChange();
}

void Election::TellChange() {
  hold_ends_.reset();
  if (holds()) hold_ends_ = timeline_.SetAlarm(executor_, holds_until(), [this] { TellChange(); });
  Told now{.role = role(), .problem = problem()};
  if (now == told_) return;
  const Told before = std::exchange(told_, std::move(now));
  const bool held = before.role == CoordinatorRole::kHolder;
  if (told_.role == CoordinatorRole::kHolder && !held) {
    log::Info("this agent coordinates the rollouts",
              {{"lease", lease_name_}, {"standbys", fmt::format("{}", fmt::join(standbys(), ","))}});
  } else if (told_.role != CoordinatorRole::kHolder && held) {
    log::Info("this agent no longer coordinates the rollouts", {{"lease", lease_name_}});
  } else if (told_.role == CoordinatorRole::kStandby && before.role != CoordinatorRole::kStandby) {
    log::Info("this agent stands by to coordinate the rollouts", {{"lease", lease_name_}, {"holder", holder()}});
  }
  on_change_();
}

void Election::Hurry() {
  const MonoTime now = timeline_.mono();
  if (memory_.denied || memory_.role != CoordinatorRole::kBystander || now < no_hurry_before_) return;
  no_hurry_before_ = now + Jittered(kHurryPause, random_());
  in_doubt_ = true;
  next_ = std::min(next_, now + Part(decide::kHurriedLookSpread, random_()));
  wake_.Notify();
}

std::vector<std::string> Election::standbys() const {
  return lease_ ? decide::StandbysOf(*lease_) : std::vector<std::string>();
}

Task<void> Election::Release() {
  const MonoTime deadline = timeline_.mono() + kReleasePatience;
  constexpr int kTries = 2;  // the first one may meet what somebody else wrote meanwhile
  for (int i = 0; i < kTries; ++i) {
    if (write_unsure_ || !lease_known_) {
      const bool nothing_written = !write_unsure_ && memory_.role == CoordinatorRole::kBystander;
      if (nothing_written) break;
      const Status read = co_await Read(deadline - timeline_.mono());
      if (!read) break;
    }
    decide::CoordinatorStep step = Step(/*may_hold=*/false);
    TellChange();  // before it is written: the next one may act as soon as that is done
    if (!step.write) break;
    const Status written = co_await Write(std::move(*step.write), /*claims=*/false, deadline - timeline_.mono());
    if (written || !IsStale(written.error())) break;
  }
  memory_.held_from.reset();
  memory_.role = CoordinatorRole::kBystander;
  TellChange();
}

}  // namespace daemonsetd::rollout

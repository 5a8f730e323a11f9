#include "agent/decide/coordinator_lease.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/base/backoff.h"
#include "agent/base/digest.h"
#include "agent/base/trouble.h"
#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"

namespace daemonsetd::decide {
namespace {

using coordinationv1::Lease;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Nanoseconds kHold = kCoordinatorLeaseDuration - kCoordinatorFence;
constexpr std::int32_t kLongestDuration = 300;  // a Lease says it itself, so it is hostile input
constexpr std::int32_t kReleasedDuration = 1;   // as client-go does
constexpr std::size_t kLongestName = 253;
// A holder that has not renewed for so long by its clock and ours is looked at once more. Only a hint, so it may be
// wrong either way; long enough that clocks which differ a little cost no request.
constexpr Nanoseconds kLooksDead = minutes(1);
constexpr Nanoseconds kCheckSpread = seconds(5);  // of that look
constexpr Nanoseconds kSoon = seconds(1);
constexpr Nanoseconds kHolderRetry = std::chrono::milliseconds(100);  // after a renewal without an answer, once more
constexpr Nanoseconds kRetryInitial = seconds(2);
constexpr Nanoseconds kRetryMaximum = seconds(7);           // of those whose looks matter
constexpr Nanoseconds kRetryMaximumBystander = minutes(1);  // of thousands
// A server that is just starting denies everything for a moment, and rights may be granted after the agent's start.
constexpr Nanoseconds kDeniedInitial = seconds(15);
constexpr Nanoseconds kDeniedMaximum = hours(1);
constexpr int kDenialsDoubted = 3;  // in a row, by an agent that has written the Lease before

Nanoseconds Doubled(Nanoseconds initial, Nanoseconds maximum, int failures) {
  constexpr int kEnough = 10;  // doublings; more than any maximum here needs
  return std::min(initial * (1 << std::min(failures - 1, kEnough)), maximum);
}

std::string RecordOf(const Lease* lease) {
  return lease != nullptr ? lease->metadata().uid() + "/" + RenewalText(lease) : "none";
}

// A holder of another version may have promised more.
Nanoseconds DurationOf(const Lease& lease) {
  return std::max(Seconds(std::min(lease.spec().leasedurationseconds(), kLongestDuration)), kCoordinatorLeaseDuration);
}

// By its holder, which acts no more. Where somebody else took the holder away, that one may not know it yet.
bool IsReleased(const Lease& lease) {
  return lease.spec().holderidentity().empty() && lease.spec().leasedurationseconds() == kReleasedDuration;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void SetStandbys(const std::vector<std::string>& standbys, Lease& lease) {
  auto& annotations = *lease.mutable_metadata()->mutable_annotations();
  if (standbys.empty()) {
    annotations.erase(kStandbysAnnotation);
  } else {
    annotations[kStandbysAnnotation] = fmt::format("{}", fmt::join(standbys, ","));
  }
}

// Differs from the one before, whatever the clocks do: it is how others see that the holder lives.
void SetRenewTime(WallTime now, coordinationv1::LeaseSpec& spec) {
  const metav1::MicroTime before = spec.renewtime();
  metav1::MicroTime& renewal = *spec.mutable_renewtime();
  renewal = ToApiMicroTime(now);
  if (before.seconds() == renewal.seconds() && before.nanos() == renewal.nanos()) {
    renewal = ToApiMicroTime(now + std::chrono::microseconds(1));
  }
}

// What others put on the object stays.
LeaseWrite Edit(const CoordinatorInput& input) {
  LeaseWrite write;
  write.kind = input.lease != nullptr ? LeaseWrite::Kind::kUpdate : LeaseWrite::Kind::kCreate;
  if (input.lease != nullptr) write.lease = *input.lease;
  write.lease.mutable_metadata()->set_namespace_(input.ns);
  write.lease.mutable_metadata()->set_name(input.name);
  return write;
}

// Takes the Lease or renews it; acquireTime and leaseTransitions as client-go does.
LeaseWrite Claim(const CoordinatorInput& input) {
  LeaseWrite write = Edit(input);
  coordinationv1::LeaseSpec& spec = *write.lease.mutable_spec();
  if (input.lease == nullptr || spec.holderidentity() != input.self) {
    spec.set_leasetransitions(input.lease != nullptr ? spec.leasetransitions() + 1 : 0);
    spec.set_holderidentity(input.self);
    *spec.mutable_acquiretime() = ToApiMicroTime(input.now.wall);
  }
  spec.set_leasedurationseconds(static_cast<std::int32_t>(kCoordinatorLeaseDuration.count()));
  SetRenewTime(input.now.wall, spec);
  std::vector<std::string> standbys = StandbysOf(write.lease);
  std::erase_if(standbys, [&](const std::string& name) { return Contains(input.dead_nodes, name); });
  SetStandbys(standbys, write.lease);
  return write;
}

LeaseWrite GiveUp(const CoordinatorInput& input) {
  LeaseWrite write = Edit(input);
  coordinationv1::LeaseSpec& spec = *write.lease.mutable_spec();
  spec.set_holderidentity("");
  spec.set_leasedurationseconds(kReleasedDuration);
  SetRenewTime(input.now.wall, spec);
  return write;
}

LeaseWrite WithStandbys(const CoordinatorInput& input, const std::vector<std::string>& standbys) {
  LeaseWrite write = Edit(input);
  SetStandbys(standbys, write.lease);
  return write;
}

bool LooksDead(const Lease& lease, WallTime now) {
  return !lease.spec().has_renewtime() || FromApiMicroTime(lease.spec().renewtime()) + kLooksDead < now;
}

// Sees what there is to see. True: the record is another one than at the last look, if there was one.
bool Observe(const CoordinatorInput& input, CoordinatorMemory& memory) {
  std::string record = RecordOf(input.lease);
  if (record == memory.seen) return false;
  const bool known = !memory.seen.empty();
  memory.seen = std::move(record);
  memory.seen_at = input.now.mono;
  return known;
}

CoordinatorStep StepAsHolder(const CoordinatorInput& input, CoordinatorMemory& memory) {
  CoordinatorStep step;
  memory.role = CoordinatorRole::kHolder;
  if (!input.may_hold) {
    memory.held_from.reset();  // whoever reads what is written now may act at once
    step.write = GiveUp(input);
    return step;
  }
  if (memory.held_from) step.look_at = memory.held_from->mono + kCoordinatorRenewal;
  if (step.look_at <= input.now.mono || !Holds(memory, input.now)) {
    step.write = Claim(input);
    step.claims = true;
  }
  return step;
}

// Somebody deleted it, and its holder may not know yet. So one without a holder is made, which is taken when its time
// is over like any other: that none is there proves nothing, there may have been several meanwhile.
CoordinatorStep StepWithoutLease(const CoordinatorInput& input) {
  CoordinatorStep step;
  step.write = WithStandbys(input, {input.self});
  coordinationv1::LeaseSpec& spec = *step.write->lease.mutable_spec();
  spec.set_holderidentity("");
  spec.set_leasedurationseconds(static_cast<std::int32_t>(kCoordinatorLeaseDuration.count()));
  SetRenewTime(input.now.wall, spec);
  return step;
}

CoordinatorStep StepAside(const CoordinatorInput& input, bool moved, CoordinatorMemory& memory) {
  CoordinatorStep step;
  const MonoTime expires = memory.seen_at + DurationOf(*input.lease);
  std::vector<std::string> standbys = StandbysOf(*input.lease);
  if (Contains(standbys, input.self)) {
    memory.role = CoordinatorRole::kStandby;
    memory.checking = false;
    step.look_at = std::min(input.now.mono + kStandbyPeriod, expires);
    return step;
  }
  if (standbys.size() < kStandbys) {
    standbys.push_back(input.self);
    step.write = WithStandbys(input, standbys);
    return step;
  }
  // The second of two looks tells.
  const bool lives = moved && memory.checking;
  if (!lives && (memory.checking || input.in_doubt || LooksDead(*input.lease, input.now.wall))) {
    memory.checking = true;
    step.look_at = expires + std::chrono::duration_cast<Nanoseconds>(kCheckSpread * input.dice);
    return step;
  }
  memory.checking = false;
  step.look_at = input.now.mono + Jittered(kBystanderPeriod, input.dice);
  return step;
}

CoordinatorStep Leave(const CoordinatorInput& input) {
  CoordinatorStep step;
  if (input.lease == nullptr) return step;
  std::vector<std::string> standbys = StandbysOf(*input.lease);
  if (std::erase(standbys, input.self) > 0) step.write = WithStandbys(input, standbys);
  return step;
}

CoordinatorStep Decide(const CoordinatorInput& input, CoordinatorMemory& memory) {
  const bool moved = Observe(input, memory);
  const bool existed = std::exchange(memory.existed, memory.existed || input.lease != nullptr);
  // A Lease in our name is ours: nobody else acts under the node's name, a former life of this agent is over.
  if (input.lease != nullptr && input.lease->spec().holderidentity() == input.self) return StepAsHolder(input, memory);
  memory.held_from.reset();
  memory.role = CoordinatorRole::kBystander;
  if (!input.may_hold) return Leave(input);
  if (input.lease == nullptr && existed) return StepWithoutLease(input);
  if (input.lease == nullptr || IsReleased(*input.lease) ||
      input.now.mono - memory.seen_at >= DurationOf(*input.lease)) {
    CoordinatorStep step;
    step.write = Claim(input);
    step.claims = true;
    return step;
  }
  return StepAside(input, moved, memory);
}

}  // namespace

std::string CoordinatorLeaseName(int shard, int shards) {
  constexpr char kName[] = "daemonsetd-coordinator";
  return shards <= 1 ? std::string(kName) : fmt::format("{}-{}-of-{}", kName, shard + 1, shards);
}

int ShardOf(const std::string& daemon_set_uid, int shards) {
  if (shards <= 1) return 0;
  return static_cast<int>(Fnv1a64(daemon_set_uid) % static_cast<std::uint64_t>(shards));
}

CoordinatorStep StepCoordinator(const CoordinatorInput& input, CoordinatorMemory& memory) {
  CoordinatorStep step = Decide(input, memory);
  if (!step.write) {  // a write may still fail, however often reading succeeds
    memory.failures = 0;
    memory.denials = 0;
    memory.denied = false;
  }
  return step;
}

MonoTime RetryCoordinator(const Error& error, MonoTime now, double dice, CoordinatorMemory& memory) {
  ++memory.failures;
  // Failures before it do not make a denial more credible: a server that could not be reached is one that starts.
  memory.denials = error.kind() == ErrorKind::kDenied ? memory.denials + 1 : 0;
  // A server that starts refuses for a moment what it allowed before: rights are rarely taken away.
  memory.denied = memory.denials > (memory.role == CoordinatorRole::kBystander ? 0 : kDenialsDoubted);
  if (memory.denied) return now + Jittered(Doubled(kDeniedInitial, kDeniedMaximum, memory.denials), dice);
  const bool holder = memory.role == CoordinatorRole::kHolder;
  if (IsStale(error) && memory.failures == 1) return holder ? now : now + Jittered(kSoon, dice);
  if (holder && now < HoldsUntil(memory)) return now + kHolderRetry;
  if (memory.role == CoordinatorRole::kBystander) {
    return now + Jittered(Doubled(kRetryInitial, kRetryMaximumBystander, memory.failures), dice);
  }
  return now + Doubled(kRetryInitial, kRetryMaximum, memory.failures);
}

MonoTime HoldsUntil(const CoordinatorMemory& memory) {
  return memory.held_from ? memory.held_from->mono + kHold : MonoTime{};
}

bool Holds(const CoordinatorMemory& memory, Now now) {
  return memory.held_from && now.mono < HoldsUntil(memory) && now.wall < memory.held_from->wall + kHold;
}

CoordinatorRole RoleAt(const CoordinatorMemory& memory, Now now) {
  if (Holds(memory, now)) return CoordinatorRole::kHolder;
  return memory.role == CoordinatorRole::kHolder ? CoordinatorRole::kBystander : memory.role;
}

std::vector<std::string> StandbysOf(const Lease& lease) {
  std::vector<std::string> standbys;
  const std::string text = ValueOf(lease.metadata().annotations(), kStandbysAnnotation);
  std::string_view rest = text;
  while (!rest.empty() && standbys.size() < kStandbys) {
    const std::string name(rest.substr(0, rest.find(',')));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const bool usable = !name.empty() && name.size() <= kLongestName && name != lease.spec().holderidentity();
    if (usable && !Contains(standbys, name)) standbys.push_back(name);
  }
  return standbys;
}

}  // namespace daemonsetd::decide

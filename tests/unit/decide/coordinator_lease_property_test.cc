// Fifty agents and one Lease on a server that compares resourceVersions: clocks that differ in rate and by hours,
// pauses, partitions, requests that arrive late, answers that are lost, deaths, new lives, a Lease that somebody
// deletes. Never two hold at once; whoever is gone is replaced in time; and idle agents cost next to nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/base/trouble.h"
#include "agent/decide/coordinator_lease.h"

namespace daemonsetd::decide {
namespace {

using coordinationv1::Lease;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kAgents = 50;
constexpr Nanoseconds kCallTimeout = milliseconds(2500);

struct Agent {
  std::string name;
  int life = 0;
  bool alive = true;
  double rate = 1;  // of its clocks
  Nanoseconds mono_ahead{};
  Nanoseconds wall_ahead{};
  Nanoseconds paused_until{};
  Nanoseconds cut_until{};
  // As Election (agent/rollout/election.h) has them.
  CoordinatorMemory memory;
  std::optional<Lease> lease;
  bool lease_known = false;
  bool in_doubt = false;
  MonoTime next{};
  int request = 0;  // the newest; answers to others come too late
  bool waits = false;
  int requests = 0;
};

struct Answer {
  Result<std::optional<Lease>> result = Error(ErrorKind::kTimeout, "no answer");
};

class World {
 public:
  World(unsigned seed, bool suspends) : random_(seed), suspends_(suspends) {
    agents_.resize(kAgents);
    for (int i = 0; i < kAgents; ++i) {
      Agent& agent = agents_[static_cast<std::size_t>(i)];
      agent.name = fmt::format("node-{}", i);
      agent.rate = 0.95 + 0.1 * Dice();
      agent.mono_ahead = Upto(hours(1000));
      agent.wall_ahead = Upto(seconds(60)) - seconds(30);
      Begin(agent);
    }
  }

  double Dice() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  Nanoseconds Upto(Nanoseconds limit) { return Nanoseconds(static_cast<std::int64_t>(Dice() * limit.count())); }
  Agent& Any() { return agents_[static_cast<std::size_t>(Dice() * kAgents)]; }
  std::vector<Agent>& agents() { return agents_; }
  Nanoseconds now() const { return now_; }
  const std::optional<Lease>& lease() const { return lease_; }

  // Nullptr: nobody holds at this moment.
  Agent* Holder() {
    Agent* holder = nullptr;
    for (Agent& agent : agents_) {
      if (!agent.alive || !Holds(agent.memory, Clock(agent))) continue;
      EXPECT_EQ(holder, nullptr) << agent.name << " and " << (holder != nullptr ? holder->name : "") << " hold at once";
      holder = &agent;
    }
    return holder;
  }
  std::vector<Agent*> Standbys() {
    std::vector<Agent*> standbys;
    for (Agent& agent : agents_) {
      if (agent.alive && RoleAt(agent.memory, Clock(agent)) == CoordinatorRole::kStandby) standbys.push_back(&agent);
    }
    return standbys;
  }

  void Run(Nanoseconds duration) {
    const Nanoseconds end = now_ + duration;
    while (!events_.empty() && events_.begin()->first <= end) {
      auto node = events_.extract(events_.begin());
      now_ = node.key();
      node.mapped()();
    }
    now_ = end;
  }
  // How long it took.
  std::optional<Nanoseconds> RunUntilSomebodyHolds(Nanoseconds limit) {
    const Nanoseconds begin = now_;
    while (Holder() == nullptr) {
      if (now_ - begin > limit) return std::nullopt;
      Run(milliseconds(50));
    }
    return now_ - begin;
  }

  void Kill(Agent& agent) {
    agent.alive = false;
    ++agent.life;
  }
  void Begin(Agent& agent) {
    // Who never saw the Lease cannot know that it was deleted just now: the gap that the header tells of.
    if (!lease_ && was_deleted_) return;
    ++agent.life;
    agent.alive = true;
    agent.memory = {};
    agent.lease.reset();
    agent.lease_known = agent.waits = agent.in_doubt = false;
    agent.next = Clock(agent).mono + Part(kFirstLookSpread);
    Wake(agent);
  }
  void Hurry(Agent& agent) {
    if (!agent.alive || agent.memory.role != CoordinatorRole::kBystander) return;
    agent.in_doubt = true;
    agent.next = std::min(agent.next, Clock(agent).mono + Part(kHurriedLookSpread));
    Wake(agent);
  }
  void TellWhoIsDead() {
    dead_.clear();
    for (const Agent& agent : agents_) {
      if (!agent.alive) dead_.push_back(agent.name);
    }
  }

  // One thing that goes wrong.
  void Mishap() {
    Agent* holder = Holder();
    Agent& agent = holder != nullptr && Dice() < 0.4 ? *holder : Any();
    switch (static_cast<int>(Dice() * 8)) {
      case 0: agent.paused_until = now_ + Upto(seconds(25)); break;
      case 1: agent.cut_until = now_ + Upto(seconds(40)); break;
      case 2: Kill(agent); break;
      case 3:
        for (Agent& each : agents_) {
          if (!each.alive && Dice() < 0.5) Begin(each);
        }
        break;
      case 4: Delete(); break;
      case 5:
        if (suspends_) {
          Suspend(agent);
        } else {
          agent.wall_ahead += Upto(hours(2)) - hours(1);
        }
        break;
      case 6: Hurry(agent); break;
      default: TellWhoIsDead(); break;
    }
  }
  void Calm() {
    calm_ = true;
    Run(minutes(1));  // until what was cut, paused or suspended goes on
    for (Agent& agent : agents_) {
      agent.wall_ahead = Upto(seconds(40)) - seconds(20);
      if (!agent.alive) Begin(agent);
    }
    TellWhoIsDead();
    Run(seconds(30));  // until all have found out what time it is
  }

 private:
  Now Clock(const Agent& agent) const {
    const auto passed = Nanoseconds(static_cast<std::int64_t>(static_cast<double>(now_.count()) * agent.rate));
    return {.mono = MonoTime(passed + agent.mono_ahead),
            .wall = WallTime(seconds(1'800'000'000) + now_ + agent.wall_ahead)};
  }
  Nanoseconds Part(Nanoseconds whole) { return Upto(whole); }
  // In real time.
  Nanoseconds In(const Agent& agent, Nanoseconds local) const {
    const double real = static_cast<double>(local.count()) / agent.rate;
    return std::max(Nanoseconds(static_cast<std::int64_t>(real) + 1), Nanoseconds(1));
  }
  void After(Nanoseconds delay, std::function<void()> what) { events_.emplace(now_ + delay, std::move(what)); }

  void Delete() {
    if (now_ < minutes(1) || Dice() < 0.6) return;
    // See Begin.
    const bool all_saw_it = std::all_of(agents_.begin(), agents_.end(),
                                        [](const Agent& agent) { return !agent.alive || agent.memory.existed; });
    if (!all_saw_it) return;
    lease_.reset();
    was_deleted_ = true;
  }
  // As a virtual machine: the monotonic clock stands still, the other one is right afterwards.
  void Suspend(Agent& agent) {
    const Nanoseconds length = Upto(seconds(40));
    agent.paused_until = now_ + length;
    agent.mono_ahead -= Nanoseconds(static_cast<std::int64_t>(static_cast<double>(length.count()) * agent.rate));
  }

  // Runs `what` in this life of the agent, when it is not paused.
  void OnAgent(Agent& agent, Nanoseconds delay, std::function<void()> what) {
    After(delay, [this, &agent, life = agent.life, what = std::move(what)] {
      if (!agent.alive || agent.life != life) return;
      if (now_ < agent.paused_until) {
        OnAgent(agent, agent.paused_until - now_, what);
      } else {
        what();
      }
    });
  }

  void Wake(Agent& agent) {
    const Nanoseconds wait = std::max(agent.next - Clock(agent).mono, Nanoseconds::zero());
    OnAgent(agent, In(agent, wait), [this, &agent] {
      if (agent.waits) return;
      if (Clock(agent).mono < agent.next) return Wake(agent);
      Round(agent);
    });
  }

  CoordinatorStep Step(Agent& agent) {
    CoordinatorInput input;
    input.lease = agent.lease ? &*agent.lease : nullptr;
    input.name = "daemonsetd-coordinator";
    input.self = agent.name;
    input.dead_nodes = dead_;
    input.in_doubt = agent.in_doubt;
    input.now = Clock(agent);
    input.dice = Dice();
    return StepCoordinator(input, agent.memory);
  }

  void Round(Agent& agent) {
    if (agent.lease_known && Holds(agent.memory, Clock(agent))) return Decide(agent);
    Ask(agent, std::nullopt, [this, &agent](const Answer& answer) {
      if (!answer.result) return Failed(agent, answer.result.error());
      agent.lease = *answer.result;
      agent.lease_known = true;
      Decide(agent);
    });
  }
  void Decide(Agent& agent) {
    const CoordinatorStep step = Step(agent);
    if (!step.write) return Settled(agent, step);
    const Now sent = Clock(agent);
    Ask(agent, step.write, [this, &agent, sent, claims = step.claims](const Answer& answer) {
      if (!answer.result) return Failed(agent, answer.result.error());
      agent.lease = *answer.result;
      if (claims) {
        agent.memory.held_from = sent;
        Holder();  // says it when it is not the only one
      }
      const CoordinatorStep after = Step(agent);
      if (after.write) return Failed(agent, Error(ErrorKind::kConflict, "undone"));
      Settled(agent, after);
    });
  }
  void Settled(Agent& agent, const CoordinatorStep& step) {
    agent.in_doubt = false;
    agent.next = step.look_at;
    Wake(agent);
  }
  void Failed(Agent& agent, const Error& error) {
    if (IsStale(error)) agent.lease_known = false;
    agent.next = RetryCoordinator(error, Clock(agent).mono, Dice(), agent.memory);
    Wake(agent);
  }

  Nanoseconds Delay() {
    if (calm_ || Dice() < 0.9) return milliseconds(1) + Upto(milliseconds(40));
    return Dice() < 0.8 ? Upto(seconds(2)) : Upto(seconds(20));
  }
  bool Lost(const Agent& agent) { return now_ < agent.cut_until || (!calm_ && Dice() < 0.04); }

  // Nullopt: a GET.
  void Ask(Agent& agent, std::optional<LeaseWrite> write, std::function<void(const Answer&)> then) {
    const int request = ++agent.request;
    ++agent.requests;
    agent.waits = true;
    const auto deliver = [&agent, request, then = std::move(then)](const Answer& answer) {
      if (agent.request != request || !agent.waits) return;
      agent.waits = false;
      then(answer);
    };
    OnAgent(agent, In(agent, kCallTimeout), [deliver] { deliver(Answer()); });
    if (Lost(agent)) return;
    // What is under way arrives, whatever becomes of its sender.
    After(Delay(), [this, &agent, life = agent.life, write = std::move(write), deliver] {
      const Answer answer = Serve(write);
      if (Lost(agent) || agent.life != life) return;
      OnAgent(agent, Delay(), [deliver, answer] { deliver(answer); });
    });
  }

  Answer Serve(const std::optional<LeaseWrite>& write) {
    if (!write) return {.result = lease_};
    if (write->kind == LeaseWrite::Kind::kCreate) {
      if (lease_) return {.result = Error(ErrorKind::kExists, "exists")};
      lease_ = write->lease;
      lease_->mutable_metadata()->set_uid(fmt::format("uid-{}", version_));
    } else {
      if (!lease_) return {.result = Error(ErrorKind::kAbsent, "absent")};
      if (write->lease.metadata().resourceversion() != lease_->metadata().resourceversion())
        return {.result = Error(ErrorKind::kConflict, "conflict")};
      lease_ = write->lease;
    }
    lease_->mutable_metadata()->set_resourceversion(fmt::to_string(++version_));
    return {.result = lease_};
  }

  std::mt19937 random_;
  const bool suspends_;
  std::vector<Agent> agents_;
  std::optional<Lease> lease_;
  int version_ = 0;
  bool was_deleted_ = false;
  bool calm_ = false;
  std::vector<std::string> dead_;
  Nanoseconds now_{};
  std::multimap<Nanoseconds, std::function<void()>> events_;
};

class CoordinatorChaos : public ::testing::TestWithParam<unsigned> {};
class CoordinatorDeaths : public ::testing::TestWithParam<unsigned> {};
class CoordinatorCalm : public ::testing::TestWithParam<unsigned> {};

TEST_P(CoordinatorChaos, NeverTwoHoldAtOnceAndAfterwardsSomebodyDoes) {
  World world(GetParam(), GetParam() % 2 == 0);
  int held = 0;
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    world.Mishap();
    world.Run(world.Upto(seconds(6)));
    held += world.Holder() != nullptr ? 1 : 0;
  }
  EXPECT_GT(held, 60) << "somebody holds now and then, or nothing was tested";
  world.Calm();
  EXPECT_TRUE(world.RunUntilSomebodyHolds(minutes(1)));
}

TEST_P(CoordinatorDeaths, ADeadHolderIsReplacedWithinFifteenSecondsByAStandby) {
  World world(GetParam(), false);
  world.Calm();
  for (int i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    for (int wait = 0; wait < 60 && world.Standbys().size() < kStandbys; ++wait) world.Run(minutes(1));
    ASSERT_EQ(world.Standbys().size(), kStandbys) << "bystanders take the places of the dead";
    world.Run(world.Upto(seconds(10)));
    ASSERT_NE(world.Holder(), nullptr);
    world.Kill(*world.Holder());
    if (i % 3 == 0) world.Kill(*world.Standbys()[static_cast<std::size_t>(i / 3 % 2)]);
    const std::optional<Nanoseconds> took = world.RunUntilSomebodyHolds(seconds(15));
    EXPECT_TRUE(took);
    world.TellWhoIsDead();
  }
}

TEST_P(CoordinatorCalm, WithoutStandbysTheFirstBystanderThatLooksFindsOut) {
  World world(GetParam(), false);
  world.Calm();
  world.Run(minutes(30));
  const auto kill = [&world] {
    for (Agent* standby : world.Standbys()) world.Kill(*standby);
    world.Kill(*world.Holder());
    world.Run(world.Upto(seconds(60)));
  };
  kill();
  EXPECT_TRUE(world.RunUntilSomebodyHolds(minutes(16)));
  world.TellWhoIsDead();
  world.Run(minutes(30));
  kill();
  for (Agent& agent : world.agents()) world.Hurry(agent);
  EXPECT_TRUE(world.RunUntilSomebodyHolds(seconds(35)));
}

TEST_P(CoordinatorCalm, ABystanderAsksOnceInTenMinutes) {
  World world(GetParam(), false);
  world.Calm();
  world.Run(minutes(1));
  for (Agent& agent : world.agents()) agent.requests = 0;
  world.Run(hours(2));
  int bystanders = 0;
  int requests = 0;
  for (const Agent& agent : world.agents()) {
    if (agent.memory.role != CoordinatorRole::kBystander) continue;
    ++bystanders;
    requests += agent.requests;
    EXPECT_LE(agent.requests, 25) << "one each five minutes at most";
    EXPECT_GE(agent.requests, 7);
  }
  EXPECT_EQ(bystanders, kAgents - 3);
  EXPECT_NEAR(static_cast<double>(requests) / bystanders / 12, 1.0, 0.15);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CoordinatorChaos, ::testing::Range(0U, 16U));
INSTANTIATE_TEST_SUITE_P(Seeds, CoordinatorDeaths, ::testing::Range(0U, 8U));
INSTANTIATE_TEST_SUITE_P(Seeds, CoordinatorCalm, ::testing::Range(0U, 2U));

}  // namespace
}  // namespace daemonsetd::decide

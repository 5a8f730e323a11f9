#include "agent/decide/coordinator_lease.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Role = CoordinatorRole;

const WallTime kEpoch{Seconds(1'800'000'000)};

class CoordinatorLeaseTest : public ::testing::Test {
 protected:
  // Moments count from an arbitrary one.
  static Now At(Nanoseconds moment) { return {.mono = MonoTime(seconds(1000)) + moment, .wall = kEpoch + moment}; }
  static MonoTime Mono(Nanoseconds moment) { return At(moment).mono; }

  // As another node wrote it.
  void HeldBy(const std::string& holder, Nanoseconds renewed, const std::string& standbys = {}) {
    if (!lease) lease.emplace();
    lease->mutable_metadata()->set_resourceversion(std::to_string(++version));
    lease->mutable_metadata()->set_uid("uid-1");
    if (!standbys.empty()) (*lease->mutable_metadata()->mutable_annotations())[kStandbysAnnotation] = standbys;
    lease->mutable_spec()->set_holderidentity(holder);
    lease->mutable_spec()->set_leasedurationseconds(10);
    lease->mutable_spec()->set_leasetransitions(3);
    *lease->mutable_spec()->mutable_acquiretime() = ToApiMicroTime(kEpoch - minutes(7));
    *lease->mutable_spec()->mutable_renewtime() = ToApiMicroTime(kEpoch + renewed);
  }
  CoordinatorStep Step(Nanoseconds moment) { return Step(moment, At(moment)); }
  CoordinatorStep Step(Nanoseconds, Now now) {
    input.lease = lease ? &*lease : nullptr;
    input.ns = "kube-system";
    input.name = "daemonsetd-coordinator";
    input.self = "node-a";
    input.now = now;
    return StepCoordinator(input, memory);
  }
  // The write succeeds: it was sent at `moment`, and answered at once.
  CoordinatorStep Write(const CoordinatorStep& step, Nanoseconds moment) {
    lease = step.write->lease;
    lease->mutable_metadata()->set_resourceversion(std::to_string(++version));
    if (step.claims) memory.held_from = At(moment);
    return Step(moment);
  }
  Role RoleNow(Nanoseconds moment) const { return RoleAt(memory, At(moment)); }
  static std::string Standbys(const coordinationv1::Lease& lease) {
    return ValueOf(lease.metadata().annotations(), kStandbysAnnotation);
  }

  std::optional<coordinationv1::Lease> lease;
  int version = 1;
  CoordinatorInput input{.dice = 0.5};
  CoordinatorMemory memory;
};

TEST(CoordinatorLeaseName, NamesTheShardAmongSeveral) {
  EXPECT_EQ(CoordinatorLeaseName(0, 1), "daemonsetd-coordinator");
  EXPECT_EQ(CoordinatorLeaseName(0, 4), "daemonsetd-coordinator-1-of-4");
  EXPECT_EQ(CoordinatorLeaseName(3, 4), "daemonsetd-coordinator-4-of-4");
}

TEST(CoordinatorLeaseName, EveryDaemonSetHasOneShardAndNoneHasThemAll) {
  std::map<int, int> count;
  for (int i = 0; i < 400; ++i) {
    const std::string uid = "uid-" + std::to_string(i);
    EXPECT_EQ(ShardOf(uid, 1), 0);
    const int shard = ShardOf(uid, 4);
    EXPECT_EQ(ShardOf(uid, 4), shard);
    ++count[shard];
  }
  ASSERT_EQ(count.size(), 4U);
  EXPECT_EQ(count.begin()->first, 0);
  for (const auto& [shard, sets] : count) EXPECT_GT(sets, 50) << shard;
}

TEST_F(CoordinatorLeaseTest, WhereThereIsNoLeaseItIsMade) {
  const CoordinatorStep step = Step(seconds(0));
  ASSERT_TRUE(step.write);
  EXPECT_TRUE(step.claims);
  EXPECT_EQ(step.write->kind, LeaseWrite::Kind::kCreate);
  EXPECT_EQ(step.write->lease.metadata().namespace_(), "kube-system");
  EXPECT_EQ(step.write->lease.metadata().name(), "daemonsetd-coordinator");
  const coordinationv1::LeaseSpec& spec = step.write->lease.spec();
  EXPECT_EQ(spec.holderidentity(), "node-a");
  EXPECT_EQ(spec.leasedurationseconds(), 10);
  EXPECT_EQ(spec.leasetransitions(), 0);
  EXPECT_EQ(FromApiMicroTime(spec.acquiretime()), kEpoch);
  EXPECT_EQ(FromApiMicroTime(spec.renewtime()), kEpoch);
  EXPECT_EQ(RoleNow(seconds(0)), Role::kBystander) << "nothing is written yet";

  const CoordinatorStep after = Write(step, seconds(0));
  EXPECT_FALSE(after.write);
  EXPECT_EQ(after.look_at, Mono(seconds(4)));
  EXPECT_EQ(HoldsUntil(memory), Mono(seconds(7)));
}

TEST_F(CoordinatorLeaseTest, TheHolderRenewsAndActsForSevenSecondsOnEachWrite) {
  Write(Step(seconds(0)), seconds(0));
  EXPECT_EQ(RoleNow(milliseconds(6999)), Role::kHolder);
  EXPECT_EQ(RoleNow(seconds(7)), Role::kBystander);
  EXPECT_FALSE(Step(milliseconds(3999)).write);
  const CoordinatorStep renewal = Step(seconds(4));
  ASSERT_TRUE(renewal.write);
  EXPECT_EQ(renewal.write->kind, LeaseWrite::Kind::kUpdate);
  EXPECT_EQ(renewal.write->lease.metadata().resourceversion(), lease->metadata().resourceversion());
  EXPECT_EQ(FromApiMicroTime(renewal.write->lease.spec().renewtime()), kEpoch + seconds(4));
  EXPECT_EQ(FromApiMicroTime(renewal.write->lease.spec().acquiretime()), kEpoch);
  EXPECT_EQ(renewal.write->lease.spec().leasetransitions(), 0);
  EXPECT_EQ(HoldsUntil(memory), Mono(seconds(7))) << "a write that was not answered holds nothing";
  Write(renewal, seconds(4));
  EXPECT_EQ(RoleNow(seconds(10)), Role::kHolder);
}

TEST_F(CoordinatorLeaseTest, ARenewalDiffersFromTheOneBeforeThoughTheClockStoodStill) {
  Write(Step(seconds(0)), seconds(0));
  const CoordinatorStep renewal = Step(seconds(4), {.mono = Mono(seconds(4)), .wall = kEpoch});
  ASSERT_TRUE(renewal.write);
  EXPECT_NE(FromApiMicroTime(renewal.write->lease.spec().renewtime()), kEpoch);
}

TEST_F(CoordinatorLeaseTest, AVirtualMachineThatWasPausedFindsOutByTheOtherClock) {
  Write(Step(seconds(0)), seconds(0));
  EXPECT_TRUE(Holds(memory, {.mono = Mono(seconds(1)), .wall = kEpoch + seconds(1)}));
  EXPECT_FALSE(Holds(memory, {.mono = Mono(seconds(1)), .wall = kEpoch + seconds(30)}));
  EXPECT_TRUE(Holds(memory, {.mono = Mono(seconds(1)), .wall = kEpoch - seconds(3600)})) << "set back: no harm";
  EXPECT_TRUE(Step(seconds(1), {.mono = Mono(seconds(1)), .wall = kEpoch + seconds(30)}).claims);
}

TEST_F(CoordinatorLeaseTest, TheLeaseOfAFormerLifeIsOursAtOnceButHoldsNothingUntilItIsWritten) {
  HeldBy("node-a", seconds(-1), "node-b,node-c");
  const CoordinatorStep step = Step(seconds(0));
  EXPECT_TRUE(step.claims);
  EXPECT_EQ(RoleNow(seconds(0)), Role::kBystander);
  EXPECT_EQ(step.write->lease.spec().leasetransitions(), 3);
  EXPECT_EQ(Standbys(step.write->lease), "node-b,node-c");
  EXPECT_FALSE(Write(step, seconds(0)).write);
  EXPECT_EQ(RoleNow(seconds(0)), Role::kHolder);
}

TEST_F(CoordinatorLeaseTest, WhoLostTheLeaseHoldsNoMore) {
  Write(Step(seconds(0)), seconds(0));
  HeldBy("node-z", seconds(1), "node-b,node-c");
  EXPECT_FALSE(Step(seconds(2)).write);
  EXPECT_EQ(RoleNow(seconds(2)), Role::kBystander) << "though its time had not run out";
}

TEST_F(CoordinatorLeaseTest, TheHolderTakesDeadStandbysAwayAtItsNextRenewal) {
  HeldBy("node-a", seconds(-1), "node-b,node-c");
  Write(Step(seconds(0)), seconds(0));
  input.dead_nodes = {"node-x", "node-b"};
  EXPECT_FALSE(Step(seconds(1)).write);
  Write(Step(seconds(4)), seconds(4));
  EXPECT_EQ(Standbys(*lease), "node-c");
  input.dead_nodes = {"node-c"};
  Write(Step(seconds(8)), seconds(8));
  EXPECT_THAT(lease->metadata().annotations(), IsEmpty());
}

TEST_F(CoordinatorLeaseTest, ABystanderTakesAFreePlace) {
  for (const std::string standbys : {"", "node-b"}) {
    SCOPED_TRACE(standbys);
    memory = {};
    lease.reset();
    HeldBy("node-h", seconds(-1), standbys);
    const CoordinatorStep step = Step(seconds(0));
    ASSERT_TRUE(step.write);
    EXPECT_FALSE(step.claims);
    EXPECT_EQ(Standbys(step.write->lease), standbys.empty() ? "node-a" : "node-b,node-a");
    EXPECT_EQ(step.write->lease.spec().holderidentity(), "node-h");
    EXPECT_EQ(FromApiMicroTime(step.write->lease.spec().renewtime()), kEpoch - seconds(1));
    EXPECT_EQ(Write(step, seconds(0)).look_at, Mono(milliseconds(2500)));
    EXPECT_EQ(RoleNow(seconds(0)), Role::kStandby);
  }
}

TEST_F(CoordinatorLeaseTest, AStandbyTakesOverWhatStoodStillForTenSecondsOfItsOwnTime) {
  HeldBy("node-h", seconds(-500), "node-b,node-a");  // RO-03: the holder's clock is behind
  Step(seconds(0));
  EXPECT_EQ(Step(milliseconds(9000)).look_at, Mono(seconds(10))) << "not later than it can be taken";
  EXPECT_FALSE(Step(milliseconds(9999)).write);
  const CoordinatorStep step = Step(seconds(10));
  ASSERT_TRUE(step.claims);
  EXPECT_EQ(step.write->lease.spec().holderidentity(), "node-a");
  EXPECT_EQ(step.write->lease.spec().leasetransitions(), 4);
  EXPECT_EQ(FromApiMicroTime(step.write->lease.spec().acquiretime()), kEpoch + seconds(10));
  EXPECT_EQ(Standbys(step.write->lease), "node-b");
}

TEST_F(CoordinatorLeaseTest, ARenewalStartsTheTimeAnewWhateverItsDate) {
  HeldBy("node-h", seconds(500), "node-a");  // RO-03: the holder's clock is ahead
  Step(seconds(0));
  HeldBy("node-h", seconds(490));
  EXPECT_FALSE(Step(seconds(9)).write);
  EXPECT_FALSE(Step(milliseconds(18'999)).write);
  EXPECT_TRUE(Step(seconds(19)).claims);
}

TEST_F(CoordinatorLeaseTest, AnotherStandbyThatWritesItselfInProvesNothingAboutTheHolder) {
  HeldBy("node-h", seconds(0), "node-a");
  Step(seconds(0));
  HeldBy("node-h", seconds(0), "node-a,node-b");
  EXPECT_TRUE(Step(seconds(10)).claims);
}

TEST_F(CoordinatorLeaseTest, AHolderThatPromisedMoreIsWaitedForButNotForEver) {
  HeldBy("node-h", seconds(0), "node-a");
  lease->mutable_spec()->set_leasedurationseconds(30);
  Step(seconds(0));
  EXPECT_FALSE(Step(seconds(29)).write);
  EXPECT_TRUE(Step(seconds(30)).claims);
  memory = {};
  lease->mutable_spec()->set_leasedurationseconds(2'000'000'000);
  Step(seconds(0));
  EXPECT_FALSE(Step(seconds(299)).write);
  EXPECT_TRUE(Step(seconds(300)).claims);
}

TEST_F(CoordinatorLeaseTest, WhatWasReleasedIsTakenAtOnce) {
  for (const std::string standbys : {"node-a", "node-b,node-c"}) {
    memory = {};
    HeldBy("", seconds(0), standbys);
    lease->mutable_spec()->set_leasedurationseconds(1);
    const CoordinatorStep step = Step(seconds(0));
    EXPECT_TRUE(step.claims);
    EXPECT_EQ(step.write->lease.spec().leasetransitions(), 4);
  }
}

TEST_F(CoordinatorLeaseTest, ABystanderOfALivingHolderLooksEveryTenMinutes) {
  HeldBy("node-h", seconds(-20), "node-b,node-c");  // clocks differ a little
  EXPECT_EQ(Step(seconds(0)).look_at, Mono(minutes(10)));
  input.dice = 0;
  HeldBy("node-h", seconds(580));
  EXPECT_EQ(Step(minutes(10)).look_at, Mono(minutes(15)));
  EXPECT_EQ(RoleNow(minutes(10)), Role::kBystander);
}

TEST_F(CoordinatorLeaseTest, ABystanderThatKnowsTheRecordFromItsLastLookTakesIt) {
  HeldBy("node-h", seconds(0), "node-b,node-c");
  Step(seconds(0));
  EXPECT_TRUE(Step(minutes(10)).claims);
}

TEST_F(CoordinatorLeaseTest, ABystanderLooksTwiceWhereTheHolderLooksDead) {
  HeldBy("node-h", minutes(-5), "node-b,node-c");
  const CoordinatorStep doubt = Step(seconds(0));
  EXPECT_EQ(doubt.look_at, Mono(milliseconds(12'500)));
  HeldBy("node-h", minutes(-5) + seconds(12));
  EXPECT_EQ(Step(milliseconds(12'500)).look_at, Mono(milliseconds(12'500) + minutes(10))) << "only its clock is behind";

  HeldBy("node-h", minutes(5));
  EXPECT_EQ(Step(minutes(12)).look_at, Mono(minutes(12) + milliseconds(12'500)));
  EXPECT_TRUE(Step(minutes(12) + milliseconds(12'500)).claims) << "it is dead";
}

TEST_F(CoordinatorLeaseTest, InDoubtABystanderLooksTwiceWhateverTheTimesSay) {
  HeldBy("node-h", minutes(60), "node-b,node-c");
  input.in_doubt = true;
  EXPECT_EQ(Step(seconds(0)).look_at, Mono(milliseconds(12'500)));
  EXPECT_EQ(Step(seconds(5)).look_at, Mono(milliseconds(12'500))) << "hurried once more";
  HeldBy("node-h", minutes(61));
  EXPECT_EQ(Step(milliseconds(12'500)).look_at, Mono(milliseconds(12'500) + minutes(10)));
}

TEST_F(CoordinatorLeaseTest, ALeaseThatSomebodyDeletedIsMadeWithoutAHolderForItsHolderMayAct) {
  HeldBy("node-h", seconds(0), "node-a");
  Step(seconds(0));
  lease.reset();
  const CoordinatorStep step = Step(seconds(20));
  ASSERT_TRUE(step.write);
  EXPECT_FALSE(step.claims);
  EXPECT_EQ(step.write->kind, LeaseWrite::Kind::kCreate);
  EXPECT_EQ(step.write->lease.spec().holderidentity(), "");
  EXPECT_EQ(Standbys(step.write->lease), "node-a");
  EXPECT_FALSE(Write(step, seconds(20)).write);
  EXPECT_EQ(RoleNow(seconds(20)), Role::kStandby);
  EXPECT_FALSE(Step(milliseconds(29'999)).write);
  EXPECT_TRUE(Step(seconds(30)).claims);
}

TEST_F(CoordinatorLeaseTest, TheHolderOfADeletedLeaseStandsByForOneDurationLikeTheOthers) {
  Write(Step(seconds(0)), seconds(0));
  lease.reset();
  const CoordinatorStep step = Step(seconds(4));
  ASSERT_TRUE(step.write);
  EXPECT_FALSE(step.claims);
  EXPECT_EQ(RoleNow(seconds(4)), Role::kBystander);
  Write(step, seconds(4));
  EXPECT_EQ(RoleNow(seconds(4)), Role::kStandby);
  EXPECT_TRUE(Step(seconds(14)).claims);
}

TEST_F(CoordinatorLeaseTest, WhoseHolderAPersonTookAwayIsTakenOnlyAfterItsTime) {
  HeldBy("", seconds(0), "node-a");
  EXPECT_FALSE(Step(seconds(0)).write);
  EXPECT_TRUE(Step(seconds(10)).claims);
}

TEST_F(CoordinatorLeaseTest, StoppingGivesUpWhatIsOursAndNothingElse) {
  Write(Step(seconds(0)), seconds(0));
  input.may_hold = false;
  const CoordinatorStep release = Step(seconds(1));
  ASSERT_TRUE(release.write);
  EXPECT_FALSE(release.claims);
  EXPECT_EQ(release.write->lease.spec().holderidentity(), "");
  EXPECT_EQ(release.write->lease.spec().leasedurationseconds(), 1);
  EXPECT_EQ(RoleNow(seconds(1)), Role::kBystander) << "before it is written, for the next one may act at once";

  HeldBy("node-h", seconds(1), "node-b,node-a");
  const CoordinatorStep leave = Step(seconds(2));
  ASSERT_TRUE(leave.write);
  EXPECT_EQ(Standbys(leave.write->lease), "node-b");
  EXPECT_EQ(leave.write->lease.spec().holderidentity(), "node-h");
  HeldBy("node-h", seconds(1), "node-b,node-c");
  EXPECT_FALSE(Step(seconds(3)).write);
  HeldBy("", seconds(1), "node-b");
  EXPECT_FALSE(Step(seconds(4)).write);
  lease.reset();
  EXPECT_FALSE(Step(seconds(60)).write);
}

TEST_F(CoordinatorLeaseTest, WhatOthersPutOnTheLeaseStays) {
  HeldBy("node-h", seconds(0), "node-a");
  (*lease->mutable_metadata()->mutable_labels())["team"] = "storage";
  (*lease->mutable_metadata()->mutable_annotations())["note"] = "kept";
  Step(seconds(0));
  Write(Step(seconds(10)), seconds(10));
  EXPECT_EQ(ValueOf(lease->metadata().labels(), "team"), "storage");
  EXPECT_EQ(ValueOf(lease->metadata().annotations(), "note"), "kept");
}

TEST_F(CoordinatorLeaseTest, StandbysAreReadFromWhateverSomebodyWrote) {
  HeldBy("node-h", seconds(0));
  EXPECT_THAT(StandbysOf(*lease), IsEmpty());
  HeldBy("node-h", seconds(0), ",,node-b,node-h,node-b,,node-c,node-d");
  EXPECT_THAT(StandbysOf(*lease), ElementsAre("node-b", "node-c"));
  HeldBy("node-h", seconds(0), std::string(100'000, 'x') + ",node-c");
  EXPECT_THAT(StandbysOf(*lease), ElementsAre("node-c"));
}

class RetryTest : public CoordinatorLeaseTest {
 protected:
  // Waits after each of so many failures in a row, in seconds.
  std::vector<double> Waits(ErrorKind kind, int failures, double dice = 0.5) {
    std::vector<double> waits;
    for (int i = 0; i < failures; ++i) {
      const MonoTime now = Mono(seconds(1));
      waits.push_back(
          std::chrono::duration<double>(RetryCoordinator(Error(kind, "x"), now, dice, memory) - now).count());
    }
    return waits;
  }
};

TEST_F(RetryTest, WhoseLooksMatterTriesAsTheNodesLeaseIsTried) {
  HeldBy("node-h", seconds(0), "node-a");
  Step(seconds(0));
  EXPECT_THAT(Waits(ErrorKind::kRetry, 5), ElementsAre(2, 4, 7, 7, 7));
}

TEST_F(RetryTest, ThousandsOfBystandersTryEverLater) {
  HeldBy("node-h", seconds(0), "node-b,node-c");
  Step(seconds(0));
  EXPECT_THAT(Waits(ErrorKind::kTimeout, 8), ElementsAre(2, 4, 8, 16, 32, 60, 60, 60));
  EXPECT_EQ(Waits(ErrorKind::kTimeout, 2000, 0.0).back(), 30);
}

TEST_F(RetryTest, TheHolderTriesTenTimesASecondWhileItHoldsAndAtOnceWhenSomebodyElseWrote) {
  Write(Step(seconds(0)), seconds(0));
  EXPECT_THAT(Waits(ErrorKind::kConflict, 3), ElementsAre(0, 0.1, 0.1));
  memory.failures = 0;
  EXPECT_THAT(Waits(ErrorKind::kTimeout, 3), ElementsAre(0.1, 0.1, 0.1));
  memory.failures = 0;
  memory.held_from.reset();
  EXPECT_THAT(Waits(ErrorKind::kRetry, 3), ElementsAre(2, 4, 7)) << "it may well get it back";
}

TEST_F(RetryTest, AConflictIsLookedAtSoonButNotForEver) {
  EXPECT_THAT(Waits(ErrorKind::kExists, 4), ElementsAre(1, 4, 8, 16));
}

TEST_F(RetryTest, WithoutTheRightsItBecomesQuiet) {
  const std::vector<double> waits = Waits(ErrorKind::kDenied, 12);
  EXPECT_EQ(waits.front(), 15);
  EXPECT_EQ(waits.back(), 3600);
  EXPECT_TRUE(memory.denied);
  HeldBy("node-h", seconds(0));
  EXPECT_TRUE(Step(seconds(0)).write);
  EXPECT_TRUE(memory.denied) << "it may read, which is not what it was denied";
  HeldBy("node-h", seconds(0), "node-b,node-c");
  Step(seconds(0));
  EXPECT_FALSE(memory.denied);
  EXPECT_THAT(Waits(ErrorKind::kDenied, 1), ElementsAre(15));
}

TEST_F(RetryTest, WhoHadTheRightsDoubtsThatTheyWereTakenAway) {
  memory.role = CoordinatorRole::kStandby;
  EXPECT_THAT(Waits(ErrorKind::kDenied, 4), ElementsAre(2, 4, 7, 120)) << "a server that starts refuses for a moment";
}

TEST_F(RetryTest, ADenialAfterAnOutageIsThatOfAServerThatStarts) {
  Waits(ErrorKind::kRetry, 20);
  EXPECT_THAT(Waits(ErrorKind::kDenied, 1), ElementsAre(15)) << "and not an hour";
  memory = {};
  memory.role = CoordinatorRole::kHolder;
  Waits(ErrorKind::kRetry, 20);
  EXPECT_THAT(Waits(ErrorKind::kDenied, 4), ElementsAre(7, 7, 7, 120));
}

}  // namespace
}  // namespace daemonsetd::decide

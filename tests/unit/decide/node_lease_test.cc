#include "agent/decide/node_lease.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "agent/decide/api_time.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::seconds;

const WallTime kWall = WallTime(seconds(1'800'000'000));
const MonoTime kMono = MonoTime(seconds(5000));

Now At(Nanoseconds since_start) { return {.mono = kMono + since_start, .wall = kWall + since_start}; }

coordinationv1::Lease Renewed(WallTime when) {
  coordinationv1::Lease lease;
  lease.mutable_spec()->set_holderidentity("node-a");
  lease.mutable_spec()->set_leasedurationseconds(40);
  *lease.mutable_spec()->mutable_renewtime() = ToApiMicroTime(when);
  return lease;
}

TEST(NodeLease, AtTheFirstLookItsOwnTimeTellsWhetherTheNodeIsDead) {
  LeaseSight fresh, old;
  EXPECT_FALSE(NoteLease(Renewed(kWall - seconds(39)), fresh, At(seconds(0))));
  EXPECT_TRUE(NoteLease(Renewed(kWall - seconds(40)), old, At(seconds(0))));
}

// The node's clock is an hour behind: it looks dead once, and lives as soon as a renewal is seen.
TEST(NodeLease, ARenewalThatWasSeenCountsWhateverTheClocks) {
  LeaseSight sight;
  const WallTime theirs = kWall - std::chrono::hours(1);
  EXPECT_TRUE(NoteLease(Renewed(theirs), sight, At(seconds(0))));
  EXPECT_FALSE(NoteLease(Renewed(theirs + seconds(10)), sight, At(seconds(10))));
  EXPECT_FALSE(NoteLease(Renewed(theirs + seconds(10)), sight, At(seconds(49))));
  EXPECT_TRUE(NoteLease(Renewed(theirs + seconds(10)), sight, At(seconds(50))));
}

// The node's clock is an hour ahead: it dies all the same.
TEST(NodeLease, AMomentInTheFutureKeepsNobodyAlive) {
  LeaseSight sight;
  const WallTime theirs = kWall + std::chrono::hours(1);
  EXPECT_FALSE(NoteLease(Renewed(theirs), sight, At(seconds(0))));
  EXPECT_TRUE(NoteLease(Renewed(theirs), sight, At(seconds(40))));
}

TEST(NodeLease, HostileValuesOverflowNothing) {
  for (const std::int64_t value :
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    coordinationv1::Lease lease = Renewed(kWall);
    lease.mutable_spec()->mutable_renewtime()->set_seconds(value);
    lease.mutable_spec()->set_leasedurationseconds(std::numeric_limits<std::int32_t>::max());
    LeaseSight sight;
    EXPECT_EQ(NoteLease(lease, sight, At(seconds(0))), value < 0);
    EXPECT_TRUE(NoteLease(lease, sight, At(std::chrono::hours(1))));
  }
}

}  // namespace
}  // namespace daemonsetd::decide

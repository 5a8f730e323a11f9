#include "agent/kube/request_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/loop.h"

namespace daemonsetd::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RequestLimiterTest : public ::testing::Test {
 protected:
  static Task<void> Ask(RequestLimiterTest* test, std::string name, RequestPriority priority, Nanoseconds patience) {
    const Status status = co_await test->limiter.Acquire(priority, test->loop.timeline().mono() + patience);
    test->order.push_back(status ? name : name + " refused");
    if (!status) test->errors.push_back(status.error().kind());
  }
  std::shared_ptr<testing::Started<void>> Start(std::string name, RequestPriority priority,
                                                Nanoseconds patience = seconds(100)) {
    return loop.Start(Ask(this, std::move(name), priority, patience));
  }
  void UseUpTheBurst() {
    for (int i = 0; i < 4; ++i) Start("burst", RequestPriority::kNormal);
    ASSERT_EQ(order.size(), 4u);
    order.clear();
  }

  testing::TestLoop loop;
  RequestLimiter limiter{
      loop.executor(), loop.timeline(),
      RequestLimits{.per_second = 10, .burst = 4, .events_per_second = 2, .events_burst = 2, .events_waiting = 3}};
  std::vector<std::string> order;
  std::vector<ErrorKind> errors;
};

TEST_F(RequestLimiterTest, ABurstGoesAtOnceAndThenTheRateHolds) {
  UseUpTheBurst();
  Start("a", RequestPriority::kNormal);
  Start("b", RequestPriority::kNormal);
  EXPECT_THAT(order, IsEmpty());
  loop.Advance(milliseconds(100));
  EXPECT_THAT(order, ElementsAre("a"));
  loop.Advance(milliseconds(100));
  EXPECT_THAT(order, ElementsAre("a", "b"));
}

TEST_F(RequestLimiterTest, UnhealthyPodsGoBeforeTheRestAndEventsLast) {  // PF-02
  UseUpTheBurst();
  Start("event", RequestPriority::kEvents);
  Start("normal", RequestPriority::kNormal);
  Start("urgent", RequestPriority::kUrgent);
  loop.Advance(seconds(1));
  EXPECT_THAT(order, ElementsAre("urgent", "normal", "event"));
}

TEST_F(RequestLimiterTest, ALeaseNeverWaitsForTheRate) {  // PF-02
  UseUpTheBurst();
  Start("urgent", RequestPriority::kUrgent);
  Start("lease", RequestPriority::kLease);
  EXPECT_THAT(order, ElementsAre("lease"));
  loop.Advance(milliseconds(100));
  EXPECT_THAT(order, ElementsAre("lease")) << "it took from what comes";
  loop.Advance(milliseconds(100));
  EXPECT_THAT(order, ElementsAre("lease", "urgent"));
}

TEST_F(RequestLimiterTest, EventsHaveARateOfTheirOwn) {  // PF-04
  for (const std::string name : {"e1", "e2", "e3"}) Start(name, RequestPriority::kEvents);
  EXPECT_THAT(order, ElementsAre("e1", "e2"));
  Start("read", RequestPriority::kNormal);
  EXPECT_THAT(order, ElementsAre("e1", "e2", "read")) << "an Event that waits holds nobody up";
  loop.Advance(milliseconds(500));
  EXPECT_THAT(order, ElementsAre("e1", "e2", "read", "e3"));
}

TEST_F(RequestLimiterTest, TooManyEventsAreDroppedAndCounted) {  // PF-01
  for (int i = 0; i < 7; ++i) Start("e" + std::to_string(i), RequestPriority::kEvents);
  EXPECT_THAT(order, ElementsAre("e0", "e1", "e5 refused", "e6 refused"));
  EXPECT_THAT(errors, ElementsAre(ErrorKind::kRetry, ErrorKind::kRetry));
  EXPECT_EQ(limiter.dropped_events(), 2u);
  loop.Advance(seconds(10));
  EXPECT_EQ(order.size(), 7u);
  EXPECT_EQ(limiter.waiting(), 0);
}

TEST_F(RequestLimiterTest, ADeadlineEndsTheWait) {
  UseUpTheBurst();
  Start("impatient", RequestPriority::kNormal, milliseconds(50));
  loop.Advance(milliseconds(50));
  EXPECT_THAT(order, ElementsAre("impatient refused"));
  EXPECT_THAT(errors, ElementsAre(ErrorKind::kRetry));
  EXPECT_EQ(limiter.waiting(), 0);
}

TEST_F(RequestLimiterTest, WhoGaveUpHoldsNobodyUp) {
  UseUpTheBurst();
  const auto first = Start("first", RequestPriority::kNormal);
  Start("second", RequestPriority::kNormal);
  loop.Cancel(first);
  EXPECT_TRUE(first->threw());
  loop.Advance(milliseconds(100));
  EXPECT_THAT(order, ElementsAre("second"));
}

TEST_F(RequestLimiterTest, APauseHoldsItsPriorityAndWhatIsLessImportant) {
  limiter.Pause(RequestPriority::kNormal, Seconds(30));
  Start("event", RequestPriority::kEvents);
  Start("normal", RequestPriority::kNormal);
  Start("urgent", RequestPriority::kUrgent);
  EXPECT_THAT(order, ElementsAre("urgent"));
  loop.Advance(seconds(29));
  EXPECT_THAT(order, ElementsAre("urgent"));
  loop.Advance(seconds(1));
  EXPECT_THAT(order, ElementsAre("urgent", "normal", "event"));
}

TEST_F(RequestLimiterTest, NoServerPausesUsForEver) {
  limiter.Pause(RequestPriority::kLease, Seconds(1'000'000));
  Start("lease", RequestPriority::kLease, std::chrono::hours(1));
  loop.Advance(std::chrono::minutes(2));
  EXPECT_THAT(order, ElementsAre("lease"));
}

}  // namespace
}  // namespace daemonsetd::kube

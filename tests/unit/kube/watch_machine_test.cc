// The table of transitions. Random schedules: watch_machine_random_test.cc.
#include "agent/kube/watch_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::kube {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WatchMachineTest : public ::testing::Test {
 protected:
  void Take(const WatchInput& input) { step_ = StepWatch(std::move(step_.state), input, rules_, now_, random_); }
  const WatchState& state() const { return step_.state; }

  bool Waits() const { return std::holds_alternative<WaitUntil>(step_.then); }
  Nanoseconds Wait() const { return std::get<WaitUntil>(step_.then).when - now_; }
  // Lets the wait go by.
  void Go() {
    now_ = std::get<WaitUntil>(step_.then).when;
    Take(TimeCame{});
  }
  const ListOptions& Opens() const { return std::get<OpenWatch>(step_.then).options; }
  const ListOptions& Lists() const { return std::get<GetPage>(step_.then).options; }
  Nanoseconds ReadsFor() const { return std::get<ReadFrame>(step_.then).deadline - now_; }

  static ApiError Refusal(int code, ErrorKind kind) { return {.error = Error(kind, "refused"), .code = code}; }
  static ApiError TooLarge() {
    ApiError error = Refusal(504, ErrorKind::kTimeout);
    error.version_too_large = true;
    return error;
  }
  static FrameCame Object(FrameType type, std::string version) {
    return {.type = type, .resource_version = std::move(version)};
  }
  static FrameCame EndOfInitialEvents(std::string version) {
    return {.type = FrameType::kBookmark, .resource_version = std::move(version), .initial_events_end = true};
  }
  static FrameCame ErrorEvent(int code, ErrorKind kind) {
    return {.type = FrameType::kError, .error = Refusal(code, kind)};
  }
  // To a stream after a complete list.
  void Synced(const std::string& version = "10") {
    Go();
    Take(WatchOpened{});
    Take(EndOfInitialEvents(version));
  }
  // Back on the stream, after a wait.
  void Resume() {
    Go();
    Take(WatchOpened{});
  }

  const WatchRules rules_;
  MonoTime now_{hours(1)};
  double random_ = 0.5;
  WatchStep step_ = BeginWatch("watch pods", "", now_);
};

TEST_F(WatchMachineTest, BeginsAtOnceWithAWatchList) {
  EXPECT_EQ(Wait(), Nanoseconds::zero());
  Go();
  EXPECT_TRUE(Opens().watch);
  EXPECT_TRUE(Opens().send_initial_events);
  EXPECT_TRUE(Opens().allow_watch_bookmarks);
  EXPECT_EQ(Opens().resource_version_match, "NotOlderThan");
  EXPECT_THAT(Opens().resource_version, IsEmpty());
  EXPECT_EQ(Opens().timeout_seconds, Seconds(290));
}

TEST_F(WatchMachineTest, TheServersTimeoutVariesAndTheClientsIsJustAbove) {  // AW-04
  random_ = 0;
  Synced();
  EXPECT_EQ(ReadsFor(), seconds(275) + milliseconds(500) + seconds(15));
  random_ = 0.999;
  step_ = BeginWatch("watch pods", "", now_);
  Go();
  EXPECT_GE(Opens().timeout_seconds, Seconds(304));
}

TEST_F(WatchMachineTest, InitialEventsAreCollectedAndTakenOverAtTheirEnd) {
  Go();
  Take(WatchOpened{});
  EXPECT_EQ(ReadsFor(), seconds(30));
  Take(Object(FrameType::kAdded, "3"));
  EXPECT_EQ(step_.objects, ObjectAction::kCollect);
  Take(Object(FrameType::kAdded, "2"));
  EXPECT_EQ(step_.objects, ObjectAction::kCollect) << "objects come in any order of their versions";
  EXPECT_FALSE(state().synced);
  Take(EndOfInitialEvents("10"));
  EXPECT_EQ(step_.objects, ObjectAction::kTakeOver);
  EXPECT_TRUE(state().synced);
  EXPECT_TRUE(state().live);
  EXPECT_EQ(state().position, "10");
  Take(Object(FrameType::kModified, "11"));
  EXPECT_EQ(step_.objects, ObjectAction::kApply);
  EXPECT_EQ(state().position, "11");
}

TEST_F(WatchMachineTest, ABookmarkWithoutTheAnnotationEndsNoList) {
  Go();
  Take(WatchOpened{});
  Take(Object(FrameType::kBookmark, "10"));
  EXPECT_EQ(step_.objects, ObjectAction::kNothing);
  EXPECT_FALSE(state().synced);
}

TEST_F(WatchMachineTest, BookmarksMoveThePosition) {
  Synced();
  Take(Object(FrameType::kBookmark, "20"));
  EXPECT_EQ(step_.objects, ObjectAction::kNothing);
  Take(StreamBroke{Error(ErrorKind::kRetry, "reset")});
  Go();
  EXPECT_EQ(Opens().resource_version, "20");
  EXPECT_FALSE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, AnInterruptedListBeginsAnew) {
  Go();
  Take(WatchOpened{});
  Take(Object(FrameType::kAdded, "3"));
  Take(StreamBroke{Error(ErrorKind::kRetry, "reset")});
  EXPECT_TRUE(Waits());
  EXPECT_EQ(step_.objects, ObjectAction::kNothing);
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, TheServersTimeoutIsNoFailure) {
  Synced();
  now_ += seconds(290);
  Take(StreamEnded{});
  EXPECT_EQ(Opens().resource_version, "10");
  EXPECT_TRUE(state().live);
}

TEST_F(WatchMachineTest, AServerThatStopsIsComeBackToSpreadOverASecond) {  // AW-05
  Synced();
  now_ += minutes(2);
  Take(StreamEnded{});
  EXPECT_EQ(Wait(), milliseconds(500));
  Go();
  EXPECT_EQ(Opens().resource_version, "10");
}

TEST_F(WatchMachineTest, AnEndRightAfterOpeningIsAFailureAndWaitsGrow) {
  Synced();
  std::vector<Nanoseconds> waits;
  for (int i = 0; i < 9; ++i) {
    Take(StreamEnded{});
    waits.push_back(Wait());
    Resume();
  }
  EXPECT_EQ(waits[0], milliseconds(800));
  EXPECT_EQ(waits[1], milliseconds(1600));
  EXPECT_EQ(waits[5], milliseconds(25600));
  EXPECT_EQ(waits[6], seconds(30));
  EXPECT_EQ(waits[8], seconds(30));
  now_ += seconds(30);  // it lives
  Take(StreamBroke{Error(ErrorKind::kRetry, "reset")});
  EXPECT_EQ(Wait(), milliseconds(800));
}

TEST_F(WatchMachineTest, WaitsAreSpread) {
  Synced();
  random_ = 0;
  Take(StreamEnded{});
  EXPECT_EQ(Wait(), milliseconds(400));
  Resume();
  random_ = 0.999;
  Take(StreamEnded{});
  EXPECT_GT(Wait(), milliseconds(2390));
}

TEST_F(WatchMachineTest, GoneAsAStatusListsAgain) {
  Synced();
  Take(StreamEnded{});
  Go();
  Take(WatchRefused{Refusal(410, ErrorKind::kGone)});
  EXPECT_EQ(Wait(), milliseconds(1600) + milliseconds(2500)) << "many nodes lose the history at once";
  EXPECT_FALSE(state().live);
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
  EXPECT_EQ(Opens().resource_version, "10") << "not older than what was seen";
}

TEST_F(WatchMachineTest, GoneAsAnEventListsAgain) {  // AW-03
  Synced();
  Take(ErrorEvent(410, ErrorKind::kGone));
  EXPECT_EQ(step_.objects, ObjectAction::kNothing);
  EXPECT_GE(Wait(), seconds(2));
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, OtherErrorEventsOnlyWait) {  // AW-03
  Synced();
  Take(ErrorEvent(500, ErrorKind::kRetry));
  EXPECT_EQ(Wait(), milliseconds(800));
  Go();
  EXPECT_EQ(Opens().resource_version, "10");
}

TEST_F(WatchMachineTest, APositionThatTheServerCannotServeIsGivenUp) {
  Synced();
  for (int i = 0; i < 3; ++i) {
    Take(ErrorEvent(500, ErrorKind::kRetry));
    EXPECT_TRUE(Waits());
    if (i < 2) Resume();
  }
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, GarbageInTheStreamIsAFailureAndLaterAList) {  // AW-03
  Synced();
  for (int i = 0; i < 3; ++i) {
    Take(StreamBroke{Error(ErrorKind::kInvalid, "half a frame")});
    EXPECT_TRUE(Waits());
    if (i < 2) Resume();
  }
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, AServerWithoutWatchListsIsListedByPages) {
  for (const int code : {400, 422}) {
    step_ = BeginWatch("watch pods", "", now_);
    Go();
    Take(WatchRefused{Refusal(code, ErrorKind::kInvalid)});
    EXPECT_THAT(step_.note, HasSubstr("listing by pages"));
    EXPECT_EQ(Wait(), milliseconds(200));
    Go();
    EXPECT_EQ(Lists().limit, 500);
    EXPECT_THAT(Lists().resource_version, IsEmpty()) << "a consistent read";
    Take(PageCame{.resource_version = "10", .continue_token = "next", .objects = 500});
    EXPECT_EQ(step_.objects, ObjectAction::kCollect);
    EXPECT_EQ(Lists().continue_token, "next");
    Take(PageCame{.resource_version = "12", .objects = 3});
    EXPECT_EQ(step_.objects, ObjectAction::kTakeOver);
    EXPECT_EQ(Opens().resource_version, "10") << "of the first page: nothing is missed";
    EXPECT_FALSE(Opens().send_initial_events);
  }
}

TEST_F(WatchMachineTest, WatchListsAreTriedAgainAfterAnHour) {
  Go();
  Take(WatchRefused{Refusal(422, ErrorKind::kInvalid)});
  Go();
  Take(PageCame{.resource_version = "10"});
  Take(WatchRefused{Refusal(410, ErrorKind::kGone)});
  Go();
  EXPECT_EQ(Lists().limit, 500);
  now_ += hours(1);
  Take(PageRefused{Refusal(500, ErrorKind::kRetry)});
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, AWatchListThatNeverEndsIsNone) {
  Go();
  Take(WatchOpened{});
  Take(Object(FrameType::kAdded, "3"));
  now_ += seconds(30);
  Take(StreamBroke{Error(ErrorKind::kTimeout, "nothing came")});
  Go();
  EXPECT_EQ(Lists().limit, 500);
}

TEST_F(WatchMachineTest, AWatchListThatIsEndedEarlyIsTriedOnceMore) {
  Go();
  Take(WatchOpened{});
  Take(StreamEnded{});
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
  Take(WatchOpened{});
  Take(StreamEnded{});
  Go();
  EXPECT_EQ(Lists().limit, 500);
}

TEST_F(WatchMachineTest, AnUnreachableServerDoesNotCountAsOneWithoutWatchLists) {
  Go();
  Take(WatchRefused{{.error = Error(ErrorKind::kInvalid, "the answer is not HTTP")}});
  EXPECT_FALSE(state().live);
  EXPECT_TRUE(state().failing_since);
  Go();
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, TheServersWishToWaitIsKeptWithinBounds) {
  Go();
  ApiError busy = Refusal(429, ErrorKind::kRetry);
  busy.retry_after = Seconds(20);
  Take(WatchRefused{busy});
  EXPECT_EQ(Wait(), seconds(20));
  Go();
  busy.retry_after = Seconds(1'000'000);
  Take(WatchRefused{busy});
  EXPECT_EQ(Wait(), minutes(2));
}

TEST_F(WatchMachineTest, AnOlderListIsObeyedOnlyWhenTwoFreshListsAgree) {  // D3, AW-01, OF-11
  Synced("100");
  Take(ErrorEvent(410, ErrorKind::kGone));
  Resume();
  Take(Object(FrameType::kAdded, "3"));
  Take(EndOfInitialEvents("50"));
  EXPECT_EQ(step_.objects, ObjectAction::kNothing);
  EXPECT_TRUE(Waits());
  EXPECT_THAT(state().last_error->message(), HasSubstr("older than 100"));
  Go();
  EXPECT_THAT(Lists().resource_version, IsEmpty());
  Take(PageCame{.resource_version = "50"});
  EXPECT_EQ(step_.objects, ObjectAction::kNothing);
  Go();
  Take(PageCame{.resource_version = "51"});
  EXPECT_EQ(step_.objects, ObjectAction::kTakeOver);
  EXPECT_THAT(step_.note, HasSubstr("went back from resourceVersion 100 to 51"));
  EXPECT_EQ(state().newest, "51");
}

TEST_F(WatchMachineTest, AReplicaThatLagsIsNotObeyed) {  // AW-01
  Synced("100");
  Take(ErrorEvent(410, ErrorKind::kGone));
  Resume();
  Take(EndOfInitialEvents("50"));
  Go();
  Take(PageCame{.resource_version = "120"});
  EXPECT_EQ(step_.objects, ObjectAction::kTakeOver);
  EXPECT_EQ(state().newest, "120");
}

TEST_F(WatchMachineTest, AVersionInTheServersFutureIsAskedForAfresh) {  // OF-11
  Synced("100");
  Take(StreamBroke{Error(ErrorKind::kRetry, "reset")});
  Go();
  Take(WatchRefused{TooLarge()});
  EXPECT_FALSE(state().live);
  Go();
  EXPECT_EQ(Lists().limit, 500);
}

TEST_F(WatchMachineTest, AChangeFromThePastIsNotObeyed) {  // D3
  Synced("100");
  for (const FrameType type : {FrameType::kModified, FrameType::kDeleted, FrameType::kBookmark}) {
    Take(Object(type, "99"));
    EXPECT_EQ(step_.objects, ObjectAction::kNothing);
    Go();
    Take(PageCame{.resource_version = "100"});
    EXPECT_EQ(step_.objects, ObjectAction::kTakeOver);
    Take(WatchOpened{});
  }
}

TEST_F(WatchMachineTest, TheNewestOfAnEarlierLifeCounts) {
  step_ = BeginWatch("watch pods", "100", now_);
  Go();
  EXPECT_EQ(Opens().resource_version, "100");
  Take(WatchOpened{});
  Take(EndOfInitialEvents("50"));
  EXPECT_FALSE(state().synced);
}

TEST_F(WatchMachineTest, VersionsWithoutAnOrderAreBelievedAndItIsSaid) {
  Synced("abc");
  Take(ErrorEvent(410, ErrorKind::kGone));
  Resume();
  Take(EndOfInitialEvents("abb"));
  EXPECT_EQ(step_.objects, ObjectAction::kTakeOver);
  EXPECT_THAT(step_.note, HasSubstr("have no order"));
}

TEST_F(WatchMachineTest, AWatchWithoutAnySignOfLifeEndsInAList) {  // AW-04, OF-11
  Synced();
  Take(StreamBroke{Error(ErrorKind::kRetry, "reset")});
  Resume();
  now_ += seconds(290);
  Take(StreamEnded{});
  EXPECT_TRUE(Opens().send_initial_events);
}

TEST_F(WatchMachineTest, TheClientLeavesAServerThatForgetsToEnd) {  // AW-04
  Synced();
  now_ += ReadsFor();
  Take(StreamBroke{Error(ErrorKind::kTimeout, "nothing came")});
  EXPECT_EQ(Wait(), milliseconds(800));
  Go();
  EXPECT_TRUE(Opens().watch);
}

TEST_F(WatchMachineTest, TokensThatExpireUnderWayEndInOneAnswerForAll) {
  Go();
  Take(WatchRefused{Refusal(422, ErrorKind::kInvalid)});
  for (int i = 0; i < 2; ++i) {
    Go();
    EXPECT_EQ(Lists().limit, 500);
    Take(PageCame{.resource_version = "10", .continue_token = "next", .objects = 500});
    Take(PageRefused{Refusal(410, ErrorKind::kGone)});
  }
  Go();
  EXPECT_EQ(Lists().limit, 0);
  EXPECT_THAT(Lists().continue_token, IsEmpty());
}

TEST_F(WatchMachineTest, AListWithoutEndIsAFailure) {
  Go();
  Take(WatchRefused{Refusal(422, ErrorKind::kInvalid)});
  Go();
  Take(PageCame{.resource_version = "10", .continue_token = "same"});
  Take(PageCame{.resource_version = "10", .continue_token = "same"});
  EXPECT_TRUE(Waits());
  Go();
  for (int i = 0; i < 1000 && !Waits(); ++i) {
    Take(PageCame{.resource_version = "10", .continue_token = std::to_string(i)});
  }
  EXPECT_TRUE(Waits());
}

TEST_F(WatchMachineTest, WhatLacksItsVersionIsAFailure) {
  Synced();
  Take(Object(FrameType::kModified, ""));
  EXPECT_TRUE(Waits());
  Resume();
  Take(Object(FrameType::kBookmark, ""));
  EXPECT_TRUE(Waits());
  EXPECT_EQ(state().position, "10");
}

TEST_F(WatchMachineTest, TroubleIsOneTroubleUntilAStreamLives) {
  Synced();
  now_ += minutes(1);
  Take(StreamBroke{Error(ErrorKind::kRetry, "reset")});
  const std::optional<MonoTime> since = state().failing_since;
  EXPECT_EQ(since, now_);
  Resume();
  EXPECT_TRUE(state().live);
  EXPECT_FALSE(state().last_error);
  Take(StreamEnded{});
  EXPECT_FALSE(state().live);
  EXPECT_EQ(state().failing_since, since);
}

TEST_F(WatchMachineTest, AnInputThatCannotComeIsABrokenInvariant) {
  EXPECT_THROW(StepWatch(state(), StreamEnded{}, rules_, now_, 0), std::logic_error);
  EXPECT_THROW(StepWatch(state(), WatchOpened{}, rules_, now_, 0), std::logic_error);
}

}  // namespace
}  // namespace daemonsetd::kube

#include "agent/service/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop.h"
#include "tests/unit/service/manager_socket.h"

namespace daemonsetd::service {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ManagerSocket;
using ::testing::SizeIs;
using testing::TestLoop;

class ReporterTest : public ::testing::Test {
 protected:
  ~ReporterTest() override {
    if (running_) loop_.Cancel(running_);
  }

  void Start(std::optional<Nanoseconds> watchdog = std::nullopt) {
    reporter_ = std::make_unique<Reporter>(
        loop_.executor(), loop_.timeline(), Environment{.notify_socket = manager_.address(), .watchdog = watchdog},
        Reporter::Sources{.status = [this] { return status_; },
                          .liveness =
                              [this] {
                                return std::vector<decide::HealthCheck>{{"pool", pool_alive_, "hangs"},
                                                                        {"view", true, ""}};
                              }});
    ASSERT_TRUE(reporter_->Open());
    running_ = loop_.Start(reporter_->Run());
  }

  std::vector<std::string> After(Nanoseconds duration) {
    loop_.Advance(duration);
    return manager_.Read();
  }

  TestLoop loop_;
  ManagerSocket manager_;
  std::unique_ptr<Reporter> reporter_;
  std::shared_ptr<testing::Started<void>> running_;
  std::string status_ = "1/2 pods ready";
  bool pool_alive_ = true;
};

TEST_F(ReporterTest, TellsTheStateThatItIsTold) {
  Start();
  EXPECT_THAT(After(seconds(5)), IsEmpty());
  reporter_->Ready();
  EXPECT_THAT(manager_.Read(), ElementsAre("READY=1\nSTATUS=1/2 pods ready"));
  reporter_->Reloading();
  reporter_->Ready();
  EXPECT_THAT(manager_.Read(),
              ElementsAre("RELOADING=1\nMONOTONIC_USEC=360005000000\nSTATUS=reading the configuration again",
                          "READY=1\nSTATUS=1/2 pods ready"));
  reporter_->Stopping(seconds(21));
  EXPECT_THAT(manager_.Read(),
              ElementsAre("STOPPING=1\nEXTEND_TIMEOUT_USEC=21000000\nSTATUS=stopping; containers keep running"));
}

TEST_F(ReporterTest, TellsAStatusLineOnceAndAtMostOnceASecond) {
  Start();
  reporter_->Ready();
  EXPECT_THAT(After(seconds(2)), SizeIs(1));
  std::vector<std::string> told;
  for (int i = 0; i < 20; ++i) {  // two seconds of changes
    status_ = std::to_string(i);
    reporter_->Notify();
    for (std::string& message : After(milliseconds(100))) told.push_back(std::move(message));
  }
  for (std::string& message : After(seconds(2))) told.push_back(std::move(message));
  EXPECT_THAT(told, ElementsAre("STATUS=0", "STATUS=9", "STATUS=19"));
  reporter_->Notify();
  EXPECT_THAT(After(hours(1)), IsEmpty());
}

TEST_F(ReporterTest, NoTextOfOthersBecomesAMessageOfItsOwn) {
  Start();
  status_ = "refused\nSTOPPING=1\xff";
  reporter_->Ready();
  EXPECT_THAT(manager_.Read(), ElementsAre("READY=1\nSTATUS=refused STOPPING=1\xef\xbf\xbd"));
}

TEST_F(ReporterTest, GivesASignOfLifeAtHalfOfTheWatchdog) {
  Start(seconds(60));
  EXPECT_THAT(manager_.Read(), ElementsAre("WATCHDOG=1"));
  EXPECT_THAT(After(milliseconds(29'999)), IsEmpty());
  EXPECT_THAT(After(milliseconds(1)), ElementsAre("WATCHDOG=1"));
  // Changes of the status neither put it off nor bring it on.
  reporter_->Ready();
  int signs = 0;
  for (int i = 0; i < 91; ++i) {
    status_ = std::to_string(i);
    reporter_->Notify();
    for (const std::string& message : After(seconds(1))) signs += message == "WATCHDOG=1" ? 1 : 0;
  }
  EXPECT_EQ(signs, 3);
}

TEST_F(ReporterTest, AnAgentThatHangsGivesNoSignUntilItGoesOn) {
  Start(seconds(60));
  EXPECT_THAT(manager_.Read(), ElementsAre("WATCHDOG=1"));
  pool_alive_ = false;
  EXPECT_THAT(After(seconds(45)), IsEmpty());
  pool_alive_ = true;
  EXPECT_THAT(After(seconds(1)), ElementsAre("WATCHDOG=1"));
  EXPECT_THAT(After(seconds(31)), ElementsAre("WATCHDOG=1"));
}

TEST_F(ReporterTest, WithoutAWatchdogThereIsNoSignOfLife) {
  Start();
  EXPECT_THAT(After(hours(1)), IsEmpty());
  EXPECT_EQ(loop_.timeline().alarms(), 0U);  // and an idle agent does not wake up for it
}

TEST_F(ReporterTest, WhatTheManagerCouldNotTakeComesLaterAndInOrder) {
  Start(seconds(60));
  manager_.Read();
  manager_.Close();
  reporter_->Ready();
  reporter_->Reloading();
  loop_.Advance(seconds(90));
  manager_.Listen();
  const std::vector<std::string> told = After(seconds(1));
  ASSERT_THAT(told, SizeIs(3));  // no sign of life of the time between
  EXPECT_EQ(told[0], "READY=1\nSTATUS=1/2 pods ready");
  EXPECT_TRUE(told[1].starts_with("RELOADING=1\n"));
  EXPECT_EQ(told[2], "WATCHDOG=1");
}

TEST(Reporter, WithoutAManagerItEnds) {
  TestLoop loop;
  Reporter reporter(loop.executor(), loop.timeline(), {}, {.status = [] { return ""; }, .liveness = {}});
  ASSERT_TRUE(reporter.Open());
  reporter.Ready();
  EXPECT_TRUE(loop.Start(reporter.Run())->done());
}

}  // namespace
}  // namespace daemonsetd::service

#include "agent/service/environment.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::service {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr pid_t kOwn = 4711;

Result<Environment> Read(const std::map<std::string, std::string>& variables) {
  return ReadEnvironment(
      [&](const char* name) -> const char* {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      },
      kOwn);
}

TEST(Environment, WithoutAManagerNothingIsAskedFor) {
  const auto read = Read({});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->notify_socket, "");
  EXPECT_FALSE(read->watchdog);
}

TEST(Environment, TheWatchdogIsOursWhereThePidIsOursOrNotGiven) {
  for (const char* pid : {"4711", ""}) {
    const auto read =
        Read({{"NOTIFY_SOCKET", "/run/systemd/notify"}, {"WATCHDOG_USEC", "60000000"}, {"WATCHDOG_PID", pid}});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->notify_socket, "/run/systemd/notify");
    EXPECT_EQ(read->watchdog, Nanoseconds(std::chrono::minutes(1)));
  }
}

TEST(Environment, AnothersWatchdogIsLeftToIt) {
  const auto read = Read({{"NOTIFY_SOCKET", "@a"}, {"WATCHDOG_USEC", "1"}, {"WATCHDOG_PID", "4712"}});
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->watchdog);
}

TEST(Environment, AWatchdogOfNothingIsNone) {
  const auto read = Read({{"NOTIFY_SOCKET", "@a"}, {"WATCHDOG_USEC", "0"}});
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->watchdog);
}

TEST(Environment, AWatchdogThatIsTooShortSaysWhatToSet) {
  const auto read = Read({{"NOTIFY_SOCKET", "@a"}, {"WATCHDOG_USEC", "1999999"}});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(read.error().message(), AllOf(HasSubstr("WatchdogSec="), HasSubstr("2s or more")));
}

TEST(Environment, WhatIsNoNumberIsRefused) {
  for (const char* text : {"1m", "-5000000", " 5000000", "99999999999999999999", "9223372036854775807"}) {
    EXPECT_FALSE(Read({{"NOTIFY_SOCKET", "@a"}, {"WATCHDOG_USEC", text}})) << text;
  }
  const auto read = Read({{"NOTIFY_SOCKET", "@a"}, {"WATCHDOG_USEC", "5000000"}, {"WATCHDOG_PID", "self"}});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("WATCHDOG_PID=\"self\" is not a number"));
}

TEST(Environment, AWatchdogThatCannotBeFedIsRefused) {
  const auto read = Read({{"WATCHDOG_USEC", "5000000"}});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("Type=notify"));
}

}  // namespace
}  // namespace daemonsetd::service

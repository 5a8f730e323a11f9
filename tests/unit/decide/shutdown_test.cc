#include "agent/decide/shutdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int32_t kCritical = 2'000'000'000;
constexpr ShutdownPeriods kPeriods{.total = Seconds(30), .critical = Seconds(10)};
constexpr MonoTime kBegan{Seconds(1000)};

TEST(ShutdownOrder, IsFromTheLeastImportantToTheMost) {  // LC-32
  const auto groups = ShutdownOrder({{.uid = "node", .priority = kCritical + 1000, .critical = true, .daemon = true},
                                     {.uid = "log-b", .priority = 10, .daemon = true},
                                     {.uid = "app", .priority = 500},
                                     {.uid = "monitor", .priority = 0, .daemon = true},
                                     {.uid = "log-a", .priority = 10, .daemon = true},
                                     {.uid = "dns", .priority = kCritical, .critical = true}});
  EXPECT_THAT(groups, ElementsAre(ShutdownGroup{false, {"app"}}, ShutdownGroup{false, {"monitor"}},
                                  ShutdownGroup{false, {"log-a", "log-b"}}, ShutdownGroup{true, {"dns"}},
                                  ShutdownGroup{true, {"node"}}));
  EXPECT_THAT(ShutdownOrder({}), IsEmpty());
}

TEST(ShutdownOrder, TakesAStaticPodWithoutAPriorityForCritical) {  // LC-32
  corev1::Pod pod;
  pod.mutable_metadata()->set_uid("a");
  EXPECT_TRUE(ShutdownPodOf(pod, true, false).critical);
  EXPECT_FALSE(ShutdownPodOf(pod, false, true).critical);
  EXPECT_TRUE(ShutdownPodOf(pod, false, true).daemon);
  pod.mutable_spec()->set_priority(7);
  EXPECT_FALSE(ShutdownPodOf(pod, true, false).critical);
  pod.mutable_spec()->set_priority(kCritical);
  EXPECT_TRUE(ShutdownPodOf(pod, false, false).critical);
}

TEST(ShutdownDeadlines, ShareWhatIsLeftOfTheirPart) {
  const std::vector<ShutdownGroup> groups{{false, {"a"}}, {false, {"b"}}, {true, {"c"}}};
  EXPECT_EQ(GroupDeadline(groups, 0, kPeriods, kBegan, kBegan), kBegan + Seconds(10));
  // The first was quick: the second has all the rest.
  EXPECT_EQ(GroupDeadline(groups, 1, kPeriods, kBegan, kBegan + Seconds(1)), kBegan + Seconds(20));
  EXPECT_EQ(GroupDeadline(groups, 2, kPeriods, kBegan, kBegan + Seconds(5)), kBegan + Seconds(30));
  EXPECT_EQ(GroupDeadline(groups, 1, kPeriods, kBegan, kBegan + Seconds(25)), kBegan + Seconds(25)) << "none is left";
}

TEST(ShutdownDeadlines, KeepToWhatLogindAllows) {  // LC-30
  const ShutdownPeriods wanted{.total = Seconds(60), .critical = Seconds(20)};
  const ShutdownPeriods shorter = WithinDelay(wanted, Seconds(5));
  EXPECT_EQ(shorter.total, Seconds(5));
  EXPECT_EQ(std::chrono::round<std::chrono::milliseconds>(shorter.critical), std::chrono::milliseconds(1667));
  EXPECT_EQ(WithinDelay(wanted, Seconds(90)).total, Seconds(60));
  EXPECT_EQ(WithinDelay({}, Seconds(5)).total, Seconds(0));
}

}  // namespace
}  // namespace daemonsetd::decide

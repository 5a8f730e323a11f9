#include "agent/decide/start_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>

#include "agent/decide/api_time.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class GiveRoomTest : public ::testing::Test {
 protected:
  GiveRoomTest() {
    (*node.mutable_status()->mutable_allocatable())["cpu"].set_string("4");
    (*node.mutable_status()->mutable_allocatable())["pods"].set_string("110");
  }
  const corev1::Pod& Make(const std::string& name, int priority, const std::string& cpu) {
    corev1::Pod& pod = pods.emplace_back(testing::MakePod({"main"}));
    pod.mutable_metadata()->set_name(name);
    pod.mutable_metadata()->set_uid(name);
    pod.mutable_spec()->set_priority(priority);
    auto& requests = *pod.mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_requests();
    requests["cpu"].set_string(cpu);
    return pod;
  }
  void Hold(const corev1::Pod& pod, bool terminating = false) {
    holding.push_back({.pod = &pod, .terminating = terminating});
  }
  std::vector<StartAnswer> Ask(const std::vector<const corev1::Pod*>& wishes) {
    return GiveRoom(node, wishes, holding);
  }

  corev1::Node node;
  std::list<corev1::Pod> pods;
  std::vector<PreemptionCandidate> holding;
};

TEST_F(GiveRoomTest, AnswersInTheOrderOfTheWishesAndGivesRoomInTheOrderOfPriority) {
  const auto answers = Ask({&Make("low", 1, "3"), &Make("high", 2, "3")});
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_FALSE(answers[0].admission.admitted);
  EXPECT_EQ(answers[0].admission.reason, "OutOfcpu");
  EXPECT_THAT(answers[0].admission.message, HasSubstr("needs cpu 3"));
  EXPECT_TRUE(answers[1].admission.admitted);
}

TEST_F(GiveRoomTest, EqualPriorityGoesByName) {
  const auto answers = Ask({&Make("b", 1, "3"), &Make("a", 1, "3")});
  EXPECT_FALSE(answers[0].admission.admitted);
  EXPECT_TRUE(answers[1].admission.admitted);
}

TEST_F(GiveRoomTest, AMoreImportantPodNamesItsVictims) {
  Hold(Make("old", 1, "3"));
  const auto answers = Ask({&Make("new", 2, "3")});
  EXPECT_FALSE(answers[0].admission.admitted);
  EXPECT_THAT(answers[0].victims, ElementsAre("old"));
  EXPECT_THAT(answers[0].admission.message, HasSubstr("makes room"));
}

// Two that need the same room do not both send pods away, and a smaller one does not slip into it.
TEST_F(GiveRoomTest, WhoWaitsForRoomKeepsIt) {
  Hold(Make("old", 1, "3"));
  const auto answers = Ask({&Make("second", 2, "2"), &Make("first", 3, "3"), &Make("small", 1, "1")});
  EXPECT_THAT(answers[1].victims, ElementsAre("old"));
  EXPECT_FALSE(answers[0].admission.admitted);
  EXPECT_THAT(answers[0].victims, IsEmpty());
  EXPECT_FALSE(answers[2].admission.admitted);
}

TEST_F(GiveRoomTest, RoomThatIsBecomingFreeIsWaitedFor) {
  Hold(Make("leaving", 9, "3"), /*terminating=*/true);
  const auto answers = Ask({&Make("new", 1, "3"), &Make("later", 0, "3")});
  EXPECT_FALSE(answers[0].admission.admitted);
  EXPECT_THAT(answers[0].victims, IsEmpty());
  EXPECT_THAT(answers[0].admission.message, HasSubstr("room comes when"));
  EXPECT_FALSE(answers[1].admission.admitted);
}

// One that cannot ever fit holds nobody up.
TEST_F(GiveRoomTest, AHopelessOneKeepsNoRoom) {
  const auto answers = Ask({&Make("huge", 9, "64"), &Make("small", 0, "1")});
  EXPECT_FALSE(answers[0].admission.admitted);
  EXPECT_TRUE(answers[1].admission.admitted);
}

TEST_F(GiveRoomTest, TheStatusOfAPodThatWaitsIsASchedulers) {
  corev1::Pod pod = Make("p", 0, "1");
  const WallTime first(std::chrono::seconds(100));
  *pod.mutable_status() = UnschedulableStatus(pod, "no room", first);
  EXPECT_EQ(pod.status().phase(), "Pending");
  ASSERT_EQ(pod.status().conditions_size(), 1);
  const corev1::PodStatus later = UnschedulableStatus(pod, "less room", first + std::chrono::seconds(5));
  ASSERT_EQ(later.conditions_size(), 1);
  EXPECT_EQ(later.conditions(0).type(), "PodScheduled");
  EXPECT_EQ(later.conditions(0).status(), "False");
  EXPECT_EQ(later.conditions(0).reason(), "Unschedulable");
  EXPECT_EQ(later.conditions(0).message(), "less room");
  EXPECT_EQ(FromApiTime(later.conditions(0).lasttransitiontime()), first) << "it waits since then";
}

}  // namespace
}  // namespace daemonsetd::decide

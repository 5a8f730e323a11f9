#include "agent/decide/preemption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>

#include "agent/decide/admission.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Answer = Preemption::Answer;

class MakeRoomTest : public ::testing::Test {
 protected:
  MakeRoomTest() {
    node.mutable_metadata()->set_name("node-a");
    (*node.mutable_status()->mutable_allocatable())["cpu"].set_string("4");
    (*node.mutable_status()->mutable_allocatable())["pods"].set_string("110");
  }
  static corev1::Pod Make(const std::string& name, int priority, const std::string& cpu, int host_port = 0) {
    corev1::Pod pod = testing::MakePod({"main"});
    pod.mutable_metadata()->set_name(name);
    pod.mutable_metadata()->set_uid(name);
    pod.mutable_spec()->set_priority(priority);
    corev1::Container& container = *pod.mutable_spec()->mutable_containers(0);
    if (!cpu.empty()) (*container.mutable_resources()->mutable_requests())["cpu"].set_string(cpu);
    if (host_port != 0) container.add_ports()->set_hostport(host_port);
    return pod;
  }
  PreemptionCandidate& Add(const std::string& name, int priority, const std::string& cpu, int host_port = 0) {
    return others.emplace_back(PreemptionCandidate{.pod = &pods.emplace_back(Make(name, priority, cpu, host_port))});
  }
  Preemption Room(const corev1::Pod& pod) { return MakeRoom(pod, node, others); }

  corev1::Node node;
  std::list<corev1::Pod> pods;
  std::vector<PreemptionCandidate> others;
};

TEST_F(MakeRoomTest, NobodyGoesWhereThereIsRoom) {
  Add("a", 0, "1");
  EXPECT_EQ(Room(Make("p", 100, "1")).answer, Answer::kFits);
}

// A set that surges: the old pod goes when the new one is available.
TEST_F(MakeRoomTest, APodOfTheSameSetMakesNoRoomForItsSuccessor) {
  const auto own = [](corev1::Pod& pod, const std::string& uid) {
    metav1::OwnerReference& owner = *pod.mutable_metadata()->add_ownerreferences();
    owner.set_kind("DaemonSet");
    owner.set_uid(uid);
    owner.set_controller(true);
  };
  Add("old", 0, "3");
  own(pods.back(), "set");
  corev1::Pod next = Make("next", 100, "3");
  own(next, "another set");
  EXPECT_EQ(Room(next).answer, Answer::kPreempt);
  next.mutable_metadata()->clear_ownerreferences();
  own(next, "set");
  const Preemption room = Room(next);
  EXPECT_EQ(room.answer, Answer::kHopeless);
  EXPECT_THAT(room.message, HasSubstr("needs cpu 3, free 1 of 4; no pod of lower priority makes room"));
}

TEST_F(MakeRoomTest, TheLeastImportantGoAndNoMoreThanNeeded) {
  Add("high", 50, "1");
  Add("low", 10, "1");
  Add("middle", 20, "1");
  Add("lowest", 5, "1");
  const Preemption one = Room(Make("p", 100, "1"));
  EXPECT_EQ(one.answer, Answer::kPreempt);
  EXPECT_THAT(one.victims, ElementsAre("lowest"));
  EXPECT_THAT(Room(Make("p", 100, "2500m")).victims, ElementsAre("lowest", "low", "middle"));
}

TEST_F(MakeRoomTest, APodThatWouldNotHelpStays) {
  Add("lowest", 1, "100m");
  Add("large", 10, "3900m");
  EXPECT_THAT(Room(Make("p", 100, "2")).victims, ElementsAre("large"));
}

// PL-15
TEST_F(MakeRoomTest, EqualAndHigherPrioritiesAreNeverVictims) {
  Add("equal", 100, "2");
  Add("higher", 200, "2");
  const Preemption room = Room(Make("p", 100, "1"));
  EXPECT_EQ(room.answer, Answer::kHopeless);
  EXPECT_THAT(room.victims, IsEmpty());
  EXPECT_EQ(room.message, "needs cpu 1, free 0 of 4; no pod of lower priority makes room");
}

// No admission of an API server has written the number into a manifest's pod.
TEST_F(MakeRoomTest, AClassThatEveryClusterHasCountsWithoutItsNumber) {
  Add("a", 1000, "4");
  corev1::Pod pod = Make("p", 0, "1");
  pod.mutable_spec()->clear_priority();
  EXPECT_EQ(Room(pod).answer, Answer::kHopeless);
  pod.mutable_spec()->set_priorityclassname("system-node-critical");
  EXPECT_THAT(Room(pod).victims, ElementsAre("a"));
}

TEST_F(MakeRoomTest, NobodyDiesForAPodThatAsksForAnotherNode) {
  Add("low", 1, "4");
  corev1::Pod pod = Make("p", 100, "1");
  (*pod.mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  const Preemption room = Room(pod);
  EXPECT_EQ(room.answer, Answer::kHopeless);
  EXPECT_THAT(room.victims, IsEmpty());
  EXPECT_EQ(room.message, "nodeSelector disk=ssd: the node has no label disk");
}

TEST_F(MakeRoomTest, NobodyDiesInVain) {
  Add("low", 1, "1");
  Add("equal", 100, "3");
  const Preemption room = Room(Make("p", 100, "2"));
  EXPECT_EQ(room.answer, Answer::kHopeless);
  EXPECT_THAT(room.victims, IsEmpty());
}

TEST_F(MakeRoomTest, PreemptionPolicyNeverIsRespected) {
  Add("low", 1, "4");
  corev1::Pod pod = Make("p", 100, "1");
  pod.mutable_spec()->set_preemptionpolicy("Never");
  EXPECT_EQ(Room(pod).answer, Answer::kHopeless);
  EXPECT_THAT(Room(pod).message, HasSubstr("preemptionPolicy is Never"));
}

TEST_F(MakeRoomTest, StaticPodsStay) {
  Add("static", 0, "4").is_static = true;
  EXPECT_EQ(Room(Make("p", 100, "1")).answer, Answer::kHopeless);
}

TEST_F(MakeRoomTest, WaitsForARoomThatIsComingAnyway) {
  Add("leaving", 200, "2").terminating = true;
  Add("low", 1, "2");
  const Preemption room = Room(Make("p", 100, "2"));
  EXPECT_EQ(room.answer, Answer::kWait);
  EXPECT_THAT(room.victims, IsEmpty());
  EXPECT_THAT(Room(Make("p", 100, "3")).victims, ElementsAre("low"));
}

TEST_F(MakeRoomTest, HostPortsCountToo) {
  Add("port", 1, "", 9100);
  Add("other", 0, "", 9200);
  EXPECT_THAT(Room(Make("p", 100, "", 9100)).victims, ElementsAre("port"));
}

TEST_F(MakeRoomTest, AmongEqualsThoseWithoutRequestsAndTheYoungestGoFirst) {
  node.mutable_status()->mutable_allocatable()->at("pods").set_string("3");
  Add("old", 1, "1");
  pods.back().mutable_status()->mutable_starttime()->set_seconds(100);
  Add("young", 1, "1");
  pods.back().mutable_status()->mutable_starttime()->set_seconds(200);
  Add("best-effort", 1, "");
  pods.back().mutable_status()->mutable_starttime()->set_seconds(50);
  EXPECT_THAT(Room(Make("p", 100, "")).victims, ElementsAre("best-effort"));
  EXPECT_THAT(Room(Make("p", 100, "3")).victims, ElementsAre("young")) << "the other would free no cpu";
}

TEST_F(MakeRoomTest, VictimsAreAlwaysFewEnoughAndLessImportant) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    pods.clear();
    others.clear();
    std::map<std::string, PreemptionCandidate> by_uid;
    for (int i = 0; i < 8; ++i) {
      const auto name = "p" + std::to_string(i);
      by_uid[name] = Add(name, static_cast<int>(random() % 4), std::to_string(random() % 15 * 100) + "m");
    }
    const corev1::Pod pod = Make("new", 2, std::to_string(random() % 40 * 100) + "m");
    const Preemption room = Room(pod);
    if (room.answer != Answer::kPreempt) continue;
    const auto admitted_without = [&](const std::vector<std::string>& gone) {
      std::vector<const corev1::Pod*> left;
      for (const auto& [uid, candidate] : by_uid) {
        if (std::find(gone.begin(), gone.end(), uid) == gone.end()) left.push_back(candidate.pod);
      }
      return Admit(pod, node, left).admitted;
    };
    EXPECT_TRUE(admitted_without(room.victims));
    for (std::size_t i = 0; i < room.victims.size(); ++i) {
      EXPECT_LT(by_uid.at(room.victims[i]).pod->spec().priority(), 2);
      std::vector<std::string> fewer = room.victims;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_FALSE(admitted_without(fewer)) << "one victim too many";
    }
  }
}

TEST(MakeRoom, EvictsNobodyForAPodThatWaitsForTheNodesPressureToEnd) {
  corev1::Node node;
  corev1::NodeCondition& condition = *node.mutable_status()->add_conditions();
  condition.set_type("DiskPressure");
  condition.set_status("True");
  corev1::Pod pod, other;
  pod.mutable_metadata()->set_uid("a");
  pod.mutable_spec()->set_priority(5);
  other.mutable_metadata()->set_uid("b");
  const Preemption answer = MakeRoom(pod, node, {{.pod = &other}});
  EXPECT_EQ(answer.answer, Preemption::Answer::kHopeless);
  EXPECT_EQ(answer.message, "the node has DiskPressure; only critical pods start until that is over");
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/decide/node_taints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/model/selectors.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

corev1::Node NodeWith(const std::map<std::string, std::string>& conditions,
                      const std::vector<std::pair<std::string, std::string>>& taints = {}) {
  corev1::Node node;
  for (const auto& [type, status] : conditions) {
    node.mutable_status()->add_conditions()->set_type(type);
    node.mutable_status()->mutable_conditions()->rbegin()->set_status(status);
  }
  for (const auto& [key, effect] : taints) {
    node.mutable_spec()->add_taints()->set_key(key);
    node.mutable_spec()->mutable_taints()->rbegin()->set_effect(effect);
  }
  return node;
}

std::vector<std::string> Texts(const std::vector<corev1::Taint>& taints) {
  std::vector<std::string> texts;
  for (const corev1::Taint& taint : taints) texts.push_back(model::ToString(taint));
  return texts;
}
std::vector<std::string> TaintTexts(const corev1::Node& node) { return Texts(TaintsOf(node, WallTime(Seconds(5)))); }

TEST(NodeTaints, FollowTheConditions) {
  EXPECT_THAT(TaintTexts(NodeWith({{"Ready", "True"}})), IsEmpty());
  EXPECT_THAT(TaintTexts(NodeWith({{"Ready", "False"}})),
              ElementsAre("node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"));
  EXPECT_THAT(
      TaintTexts(NodeWith({{"Ready", "True"},
                           {"DiskPressure", "True"},
                           {"MemoryPressure", "True"},
                           {"NetworkUnavailable", "True"},
                           {"PIDPressure", "True"}})),
      ElementsAre("node.kubernetes.io/memory-pressure:NoSchedule", "node.kubernetes.io/disk-pressure:NoSchedule",
                  "node.kubernetes.io/pid-pressure:NoSchedule", "node.kubernetes.io/network-unavailable:NoSchedule"));
}

TEST(NodeTaints, LeaveThoseOfOthersAndTakeAwayTheirOwn) {
  const corev1::Node node = NodeWith({{"Ready", "True"}}, {{"dedicated", "NoSchedule"},
                                                           {"node.kubernetes.io/not-ready", "NoSchedule"},
                                                           {"node.kubernetes.io/unreachable", "NoExecute"},
                                                           {"node.kubernetes.io/out-of-service", "NoExecute"}});
  EXPECT_THAT(TaintTexts(node), ElementsAre("dedicated:NoSchedule", "node.kubernetes.io/out-of-service:NoExecute"));
}

TEST(NodeTaints, AnUnknownConditionChangesNothing) {
  EXPECT_THAT(TaintTexts(NodeWith({}, {{"node.kubernetes.io/not-ready", "NoSchedule"}})),
              ElementsAre("node.kubernetes.io/not-ready:NoSchedule"));
  EXPECT_THAT(TaintTexts(NodeWith({{"Ready", "Unknown"}}, {{"node.kubernetes.io/unreachable", "NoExecute"}})),
              ElementsAre("node.kubernetes.io/unreachable:NoExecute"));
}

TEST(NodeTaints, ACordonIsATaint) {
  corev1::Node node = NodeWith({{"Ready", "True"}});
  node.mutable_spec()->set_unschedulable(true);
  EXPECT_THAT(TaintTexts(node), ElementsAre("node.kubernetes.io/unschedulable:NoSchedule"));
}

TEST(NodeTaints, TheControllerHasItsTimeFirst) {
  const MonoTime start{std::chrono::hours(1)};
  const auto now = [&](Nanoseconds since) { return Now{.mono = start + since, .wall = WallTime(Seconds(5))}; };
  const corev1::Node node = NodeWith({{"Ready", "True"}}, {{"node.kubernetes.io/not-ready", "NoSchedule"}});
  TaintMemory memory;
  EXPECT_EQ(DecideTaints(node, now({}), memory).look_again, start + kTaintPatience);
  EXPECT_FALSE(DecideTaints(node, now(Seconds(1)), memory).taints);
  EXPECT_TRUE(DecideTaints(node, now(kTaintPatience), memory).taints);
  EXPECT_FALSE(DecideTaints(NodeWith({{"Ready", "True"}}), now(kTaintPatience), memory).taints);
  EXPECT_FALSE(DecideTaints(node, now(kTaintPatience), memory).taints) << "another difference, another wait";
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/decide/mirror_pod.h"

#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "agent/decide/status_diff.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

TEST(MirrorPod, IsTheStaticPodOwnedByItsNode) {
  corev1::Pod pod = testing::MakePod({"main"});
  pod.mutable_metadata()->set_uid("static-uid");
  pod.mutable_spec()->set_serviceaccountname("default");
  pod.mutable_spec()->set_runtimeclassname("sandboxed");
  (*pod.mutable_spec()->mutable_overhead())["memory"].set_string("10Mi");
  (*pod.mutable_metadata()->mutable_annotations())[kConfigHashAnnotation] = "abc";
  const corev1::Pod mirror = MakeMirrorPod(pod, "node-a", "node-uid");
  EXPECT_TRUE(IsMirrorPod(mirror));
  EXPECT_FALSE(IsMirrorPod(pod));
  EXPECT_EQ(ValueOf(mirror.metadata().annotations(), kConfigMirrorAnnotation), "abc");
  EXPECT_EQ(mirror.metadata().name(), pod.metadata().name());
  EXPECT_FALSE(mirror.metadata().has_uid());
  EXPECT_EQ(mirror.spec().nodename(), "node-a");
  EXPECT_FALSE(mirror.spec().has_serviceaccountname());
  EXPECT_EQ(mirror.spec().runtimeclassname(), "sandboxed");
  EXPECT_TRUE(mirror.spec().overhead().empty()) << "admission refuses what is not the class's own";
  ASSERT_EQ(mirror.metadata().ownerreferences_size(), 1);
  EXPECT_EQ(mirror.metadata().ownerreferences(0).kind(), "Node");
  EXPECT_TRUE(mirror.metadata().ownerreferences(0).controller());
  EXPECT_FALSE(mirror.metadata().ownerreferences(0).blockownerdeletion());
}

TEST(MirrorPod, IsCurrentForThatPodAndNodeAlone) {
  corev1::Pod pod = testing::MakePod({"main"});
  corev1::Pod mirror = MakeMirrorPod(pod, "node-a", "node-uid");
  EXPECT_TRUE(MirrorIsCurrent(mirror, pod, "node-uid"));
  EXPECT_FALSE(MirrorIsCurrent(mirror, pod, "another-uid"));
  pod.mutable_spec()->mutable_containers(0)->set_image("x:2");
  EXPECT_FALSE(MirrorIsCurrent(mirror, pod, "node-uid"));
}

TEST(PodStatusToWrite, ReplacesOurPartOnly) {
  corev1::Pod object = testing::MakePod({"main"});
  object.mutable_status()->set_phase("Pending");
  object.mutable_status()->set_nominatednodename("n");
  object.mutable_status()->add_conditions()->set_type("example.com/gate");
  corev1::PodStatus ours;
  ours.set_phase("Running");
  (*ours.mutable_allocatedresources())["cpu"].set_string("1");
  (*ours.mutable_resources()->mutable_requests())["cpu"].set_string("1");
  ours.add_conditions()->set_type("Ready");
  ours.mutable_conditions(0)->set_status("True");
  const auto status = PodStatusToWrite(object, ours);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->phase(), "Running");
  EXPECT_EQ(status->nominatednodename(), "n");
  EXPECT_EQ(status->conditions_size(), 2);
  EXPECT_EQ(status->allocatedresources().at("cpu").string(), "1");
  EXPECT_EQ(status->resources().requests().at("cpu").string(), "1");
  *object.mutable_status() = *status;
  EXPECT_FALSE(PodStatusToWrite(object, ours)) << "nothing is left to say";
}

TEST(PodStatusToWrite, WritesNoMoreWhatAnOlderServerDoesNotKeep) {
  corev1::Pod object = testing::MakePod({"main"});
  corev1::PodStatus ours;
  ours.set_phase("Running");
  ours.set_observedgeneration(1);
  ours.add_conditions()->set_type("Ready");
  ours.mutable_conditions(0)->set_observedgeneration(1);
  (*ours.mutable_allocatedresources())["cpu"].set_string("1");
  (*ours.mutable_resources()->mutable_requests())["cpu"].set_string("1");
  corev1::ContainerStatus& main = *ours.add_containerstatuses();
  main.set_name("main");
  (*main.mutable_allocatedresources())["cpu"].set_string("1");
  (*main.mutable_resources()->mutable_requests())["cpu"].set_string("1");
  main.mutable_user()->mutable_linux()->set_uid(1);
  main.add_volumemounts()->set_name("data");
  const auto written = PodStatusToWrite(object, ours);
  ASSERT_TRUE(written);
  EXPECT_TRUE(written->has_resources());

  corev1::PodStatus kept;
  kept.set_phase("Running");
  kept.add_conditions()->set_type("Ready");
  kept.add_containerstatuses()->set_name("main");
  *object.mutable_status() = kept;
  EXPECT_FALSE(PodStatusToWrite(object, ours));
  main.set_ready(true);
  const auto changed = PodStatusToWrite(object, ours);
  ASSERT_TRUE(changed);
  EXPECT_TRUE(changed->containerstatuses(0).has_resources()) << "whoever keeps it may have it";

  *object.mutable_status() = *changed;
  (*main.mutable_resources()->mutable_requests())["cpu"].set_string("2");
  EXPECT_TRUE(PodStatusToWrite(object, ours)) << "a change of what is kept is told";
}

// LC-23
TEST(PodStatusToWrite, NeverTakesBackATerminalPhase) {
  corev1::Pod object = testing::MakePod({"main"});
  object.mutable_status()->set_phase("Failed");
  object.mutable_status()->set_reason("Evicted");
  corev1::PodStatus ours;
  ours.set_phase("Running");
  ours.set_podip("10.0.0.9");
  const auto status = PodStatusToWrite(object, ours);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->phase(), "Failed");
  EXPECT_EQ(status->reason(), "Evicted");
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/decide/pod_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/pod_plan.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using ::runtime::v1::CONTAINER_CREATED;
using ::runtime::v1::CONTAINER_EXITED;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeContainer;
using testing::MakePod;
using testing::MakeSandbox;

class PodStatusTest : public ::testing::Test {
 protected:
  corev1::PodStatus Compute() {
    Remember(pod, observed, now.mono, PlanLimits{}, memory);
    corev1::PodStatus status = ComputePodStatus(pod, observed, memory, pod.status(), facts, now);
    *pod.mutable_status() = status;
    return status;
  }
  std::string Condition(const std::string& type) {
    for (const auto& condition : pod.status().conditions()) {
      if (condition.type() == type) return condition.status();
    }
    return "missing";
  }

  corev1::Pod pod = MakePod({"main"});
  ObservedPod observed;
  PodMemory memory;
  StatusFacts facts{.host_ips = {"10.0.0.1"}, .start_time = WallTime(seconds(1000))};
  Now now{.mono = MonoTime(std::chrono::hours(1)), .wall = WallTime(seconds(2000))};
};

TEST_F(PodStatusTest, APodWithNothingYetIsPending) {
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(status.phase(), "Pending");
  EXPECT_EQ(status.containerstatuses(0).state().waiting().reason(), "ContainerCreating");
  EXPECT_EQ(StatusWord(pod), "ContainerCreating");
  EXPECT_EQ(Condition("Ready"), "False");
  EXPECT_EQ(Condition("Initialized"), "True");
  EXPECT_EQ(Condition("PodScheduled"), "True");
  EXPECT_EQ(status.starttime().seconds(), 1000);
}

TEST_F(PodStatusTest, ARunningPodIsReady) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(status.phase(), "Running");
  EXPECT_TRUE(IsReady(status));
  EXPECT_EQ(status.containerstatuses(0).containerid(), "containerd://c0");
  EXPECT_EQ(StatusWord(pod), "Running");
}

TEST_F(PodStatusTest, AReadinessProbeWithoutAResultMeansNotReady) {  // PB-02
  pod.mutable_spec()->mutable_containers(0)->mutable_readinessprobe();
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  EXPECT_FALSE(IsReady(Compute()));
}

TEST_F(PodStatusTest, HostNetworkPodsHaveTheNodesAddress) {  // LC-28
  pod.mutable_spec()->set_hostnetwork(true);
  observed.sandboxes = {MakeSandbox("s0")};
  EXPECT_EQ(Compute().podip(), "10.0.0.1");
  facts.host_ips = {"10.0.0.2"};
  EXPECT_EQ(Compute().podip(), "10.0.0.2");
}

TEST_F(PodStatusTest, OtherPodsHaveTheirSandboxesAddress) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.sandboxes[0].mutable_network()->set_ip("10.244.0.5");
  EXPECT_EQ(Compute().podip(), "10.244.0.5");
}

TEST_F(PodStatusTest, CrashLoopsAreNamedWithTheirBackoff) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {
      MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED, .restart_count = 2, .exit_code = 7})};
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(status.phase(), "Running");
  const auto& container = status.containerstatuses(0);
  EXPECT_EQ(container.state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_THAT(container.state().waiting().message(), HasSubstr("back-off 20s restarting failed container=main"));
  EXPECT_EQ(container.laststate().terminated().exitcode(), 7);
  EXPECT_EQ(container.restartcount(), 2);
  EXPECT_EQ(StatusWord(pod), "CrashLoopBackOff");
}

TEST_F(PodStatusTest, APodStaysRunningWhileAContainerIsStartedAgain) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {
      MakeContainer({.id = "c1", .name = "main", .state = CONTAINER_CREATED, .restart_count = 1}),
      MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED, .exit_code = 7}),
  };
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(status.phase(), "Running");
  EXPECT_EQ(status.containerstatuses(0).laststate().terminated().exitcode(), 7);
}

TEST_F(PodStatusTest, AFailedStartIsToldInKubernetesWords) {
  observed.sandboxes = {MakeSandbox("s0")};
  memory.containers["main"].waiting = WaitingReason{"ErrImagePull", "no such image"};
  EXPECT_EQ(Compute().containerstatuses(0).state().waiting().reason(), "ErrImagePull");
  EXPECT_EQ(StatusWord(pod), "ErrImagePull");
}

TEST_F(PodStatusTest, InitContainersAreCounted) {
  pod = MakePod({"main"}, {"first", "second"});
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "i0", .name = "first"})};
  EXPECT_EQ(Compute().phase(), "Pending");
  EXPECT_EQ(StatusWord(pod), "Init:0/2");
  EXPECT_TRUE(pod.status().initcontainerstatuses(0).started());
  EXPECT_FALSE(pod.status().initcontainerstatuses(0).ready()) << "before it has ended";
  EXPECT_EQ(Condition("Initialized"), "False");
  EXPECT_EQ(pod.status().containerstatuses(0).state().waiting().reason(), "PodInitializing");
  observed.containers = {MakeContainer({.id = "i0", .name = "first", .state = CONTAINER_EXITED})};
  Compute();
  EXPECT_EQ(StatusWord(pod), "Init:1/2");
}

TEST_F(PodStatusTest, ASidecarCountsAsInitializedOnceItRuns) {
  pod = MakePod({"main"}, {"sidecar"});
  pod.mutable_spec()->mutable_initcontainers(0)->set_restartpolicy("Always");
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "i0", .name = "sidecar"}), MakeContainer({.id = "c0", .name = "main"})};
  EXPECT_EQ(Compute().phase(), "Running");
  EXPECT_EQ(Condition("Initialized"), "True");
  EXPECT_EQ(StatusWord(pod), "Running");
}

TEST_F(PodStatusTest, ConditionTimesMoveOnlyWithTheirValue) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  Compute();
  now.wall += seconds(100);
  const corev1::PodStatus status = Compute();
  for (const auto& condition : status.conditions()) EXPECT_EQ(condition.lasttransitiontime().seconds(), 2000);
}

TEST_F(PodStatusTest, AContainerHasItsResourcesAndItsUser) {
  auto& resources = *pod.mutable_spec()->mutable_containers(0)->mutable_resources();
  (*resources.mutable_requests())["cpu"].set_string("100m");
  (*resources.mutable_limits())["memory"].set_string("64Mi");
  EXPECT_FALSE(Compute().containerstatuses(0).has_resources()) << "there is no container yet";

  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  auto& container = observed.containers[0].status;
  container.mutable_resources()->mutable_linux()->set_memory_limit_in_bytes(32 << 20);
  container.mutable_user()->mutable_linux()->set_uid(1000);
  container.mutable_user()->mutable_linux()->set_gid(2000);
  container.mutable_user()->mutable_linux()->add_supplemental_groups(3000);
  const corev1::ContainerStatus running = Compute().containerstatuses(0);
  EXPECT_EQ(running.allocatedresources().at("cpu").string(), "100m");
  EXPECT_EQ(running.resources().requests().at("cpu").string(), "100m");
  EXPECT_EQ(running.resources().limits().at("memory").string(), "32Mi") << "as it is, not as it was asked for";
  EXPECT_EQ(running.user().linux().uid(), 1000);
  EXPECT_EQ(running.user().linux().gid(), 2000);
  EXPECT_THAT(running.user().linux().supplementalgroups(), ElementsAre(3000));

  container.set_state(CONTAINER_EXITED);
  container.clear_user();
  const corev1::ContainerStatus ended = Compute().containerstatuses(0);
  EXPECT_EQ(ended.resources().limits().at("memory").string(), "64Mi");
  EXPECT_FALSE(ended.has_user()) << "the runtime tells none";
}

TEST_F(PodStatusTest, APodHasTheResourcesOfItsContainersTogether) {
  pod = MakePod({"main", "second"});
  EXPECT_TRUE(Compute().has_resources());
  EXPECT_EQ(Compute().resources().requests_size(), 0);
  for (corev1::Container& container : *pod.mutable_spec()->mutable_containers()) {
    (*container.mutable_resources()->mutable_requests())["cpu"].set_string("100m");
    (*container.mutable_resources()->mutable_limits())["cpu"].set_string("1");
  }
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(status.allocatedresources().at("cpu").string(), "200m");
  EXPECT_EQ(status.resources().requests().at("cpu").string(), "200m");
  EXPECT_EQ(status.resources().limits().at("cpu").string(), "2");
}

TEST_F(PodStatusTest, VolumeMountsTellWhetherTheyAreReadOnlyAllTheWayDown) {
  corev1::Container& main = *pod.mutable_spec()->mutable_containers(0);
  for (const char* mode : {"", "Disabled", "IfPossible", "Enabled"}) {
    corev1::VolumeMount& mount = *main.add_volumemounts();
    mount.set_name("data");
    mount.set_mountpath("/" + std::string(mode));
    mount.set_readonly(true);
    if (*mode != '\0') mount.set_recursivereadonly(mode);
  }
  main.add_volumemounts()->set_mountpath("/writable");
  const auto modes = [this] {
    std::vector<std::string> found;
    const corev1::PodStatus status = Compute();
    for (const auto& mount : status.containerstatuses(0).volumemounts()) {
      EXPECT_EQ(mount.readonly(), mount.mountpath() != "/writable");
      found.push_back(mount.recursivereadonly());
    }
    return found;
  };
  EXPECT_THAT(modes(), ElementsAre("Disabled", "Disabled", "Disabled", "Enabled", ""));
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  auto& made = *observed.containers[0].status.add_mounts();
  made.set_container_path("/IfPossible");
  made.set_recursive_read_only(true);
  EXPECT_THAT(modes(), ElementsAre("Disabled", "Disabled", "Enabled", "Enabled", ""));
}

TEST_F(PodStatusTest, SaysWhyContainersCannotStartYet) {
  const auto message = [this] {
    const corev1::PodStatus status = Compute();
    EXPECT_EQ(status.conditions(0).type(), "PodReadyToStartContainers");
    EXPECT_EQ(status.conditions(0).reason(), status.conditions(0).status() == "True" ? "" : "PodSandboxNotReady");
    return status.conditions(0).message();
  };
  EXPECT_EQ(message(), "no pod sandbox exists");
  observed.sandboxes = {MakeSandbox("s0", false)};
  EXPECT_EQ(message(), "pod sandbox is not ready");
  observed.sandboxes = {MakeSandbox("s0")};
  EXPECT_EQ(message(), "");
}

TEST_F(PodStatusTest, ATerminalPhaseStays) {  // LC-23
  pod.mutable_spec()->set_restartpolicy("Never");
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED})};
  EXPECT_EQ(Compute().phase(), "Succeeded");
  observed.containers = {MakeContainer({.id = "c1", .name = "main"})};
  EXPECT_EQ(Compute().phase(), "Succeeded");
}

TEST_F(PodStatusTest, ADeletedPodIsTerminating) {
  Compute();
  pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_EQ(StatusWord(pod), "Terminating");
}

TEST_F(PodStatusTest, AnEvictedPodFailsWhenItsContainersHaveEndedAndKeepsWhatWasSeenOfThem) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  Compute();
  memory.terminal_phase = "Failed";
  memory.end = PodEnd{.reason = "Evicted", .message = "The node was low on resource: memory. ", .disruption = true};
  EXPECT_EQ(Compute().phase(), "Running");
  observed.containers = {MakeContainer({.id = "c0", .name = "main", .state = CONTAINER_EXITED, .exit_code = 143})};
  EXPECT_EQ(Compute().phase(), "Failed");
  observed = {};
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(status.phase(), "Failed");
  EXPECT_EQ(status.reason(), "Evicted");
  EXPECT_EQ(status.message(), "The node was low on resource: memory. ");
  EXPECT_EQ(status.containerstatuses(0).state().terminated().exitcode(), 143);
  EXPECT_EQ(status.containerstatuses(0).containerid(), "containerd://c0");
  const corev1::PodCondition& condition = status.conditions(status.conditions_size() - 1);
  EXPECT_EQ(condition.type(), "DisruptionTarget");
  EXPECT_EQ(condition.status(), "True");
  EXPECT_EQ(condition.reason(), "TerminationByKubelet");
  EXPECT_EQ(condition.message(), status.message());
}

TEST_F(PodStatusTest, AnEvictionForThePodsOwnUseIsNoDisruption) {
  memory.terminal_phase = "Failed";
  memory.end = PodEnd{.reason = "Evicted", .message = "too much"};
  const corev1::PodStatus status = Compute();
  EXPECT_EQ(Condition("DisruptionTarget"), "missing");
  EXPECT_EQ(status.containerstatuses(0).state().terminated().reason(), "ContainerStatusUnknown");
}

TEST_F(PodStatusTest, OfAnEndThatOnlyTheCheckpointKnowsTheLastStatusIsMadeOver) {
  observed.sandboxes = {MakeSandbox("s0")};
  observed.containers = {MakeContainer({.id = "c0", .name = "main"})};
  const PodEnd end{.reason = "Evicted", .message = "why", .disruption = true};
  const corev1::PodStatus ended = EndedStatus(Compute(), end, WallTime(seconds(3000)));
  EXPECT_EQ(ended.phase(), "Failed");
  EXPECT_EQ(ended.reason(), "Evicted");
  EXPECT_FALSE(IsReady(ended));
  EXPECT_EQ(ended.containerstatuses(0).state().terminated().exitcode(), 137);
  EXPECT_EQ(EndedStatus(ended, end, WallTime(seconds(4000))).SerializeAsString(), ended.SerializeAsString());
}

}  // namespace
}  // namespace daemonsetd::decide

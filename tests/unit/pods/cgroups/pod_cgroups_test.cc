// The control groups of pods that run: made before the sandbox, changed with it, removed after it.
#include "agent/pods/cgroups/pod_cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "agent/pods/cgroups/cgroupfs_groups.h"
#include "agent/pods/cgroups/systemd_slices.h"
#include "agent/pods/garbage/orphaned_pods.h"
#include "tests/unit/pods/cgroups/fake_kernel.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kMemory[] = "memory.limit_in_bytes";
constexpr std::int64_t kMi = 1 << 20;

class PodCgroupsTest : public PodEngineTest {
 protected:
  PodCgroupsTest() { Use(); }
  ~PodCgroupsTest() override {
    if (tidying) loop.Cancel(tidying);
    engine->services.cgroups = nullptr;
  }

  // For the present engine, as an agent that starts.
  void Use(bool enabled = true) {
    const std::shared_ptr<GroupTree> tree = MakeGroupTree(kernel, MountsOfV1(), {});
    SliceUnits units{.start = [](const auto&, const auto&) { return Ok(); },
                     .set = [](const auto&, const auto&) { return Ok(); },
                     .stop =
                         [this](const std::string& slice) {
                           stopped_slices.push_back(slice);
                           return Ok();
                         }};
    groups = std::make_unique<PodCgroups>(
        PodCgroups::Ports{.executor = loop.executor(),
                          .timeline = loop.timeline(),
                          .blocking = engine->blocking,
                          .by_systemd = [this] { return by_systemd; },
                          .burstable_milli_cpu = [this] { return burstable; },
                          .node_milli_cpu = [] { return std::int64_t{4000}; },
                          .observe = [this](std::string_view what, Nanoseconds) { observed.emplace_back(what); }},
        PodCgroupSettings{.enabled = enabled, .root = "/edge", .pids_limit = 64},
        std::make_shared<CgroupfsGroups>(tree), std::make_shared<SystemdSlices>(tree, std::move(units)));
    engine->services.cgroups = groups.get();
    engine->services.knows_runtime = [this] { return runtime_known; };
    engine->services.settings.cgroup_root = "/edge";
  }

  DaemonSetSource WithMemory(const std::string& name, std::int64_t mebibytes) {
    DaemonSetSource source = MakeDaemonSet(name);
    corev1::ResourceRequirements& resources = *Main(source).mutable_resources();
    (*resources.mutable_limits())["memory"] = model::Quantity::FromBytes(mebibytes * kMi).ToMessage();
    (*resources.mutable_requests())["memory"] = model::Quantity::FromBytes(kMi).ToMessage();
    return source;
  }
  void Run(DaemonSetSource source) {
    daemon_sets = {std::move(source)};
    Apply();
    loop.Advance(seconds(1));
  }
  std::string Uid() { return engine->workers.all().begin()->first; }
  std::string GroupOf(const std::string& uid) const { return "/edge/kubepods/burstable/pod" + uid; }
  std::string Memory(const std::string& group) const { return kernel->Content("/cg/memory" + group + "/" + kMemory); }
  std::vector<v1::RunPodSandboxRequest> Sandboxes() const {
    return Requests<v1::RunPodSandboxRequest>("RunPodSandbox");
  }
  template <class Request>
  std::vector<Request> Requests(const std::string& method) const {
    std::vector<Request> requests;
    for (const testing::CallRecord& call : runtime.calls()) {
      if (call.method == method) requests.push_back(static_cast<const Request&>(*call.request));
    }
    return requests;
  }
  void Tidy() {
    orphans = std::make_unique<OrphanedPods>(engine->services, engine->workers, [] { return true; });
    tidying = loop.Start(orphans->Run());
    loop.Advance(seconds(5));
  }
  void SetKernelNow() { kernel->SetNow(loop.timeline().Read().wall); }

  std::shared_ptr<FakeKernel> kernel = std::make_shared<FakeKernel>(MountsOfV1());
  std::unique_ptr<PodCgroups> groups;
  std::unique_ptr<OrphanedPods> orphans;
  std::shared_ptr<testing::Started<void>> tidying;
  std::vector<std::string> observed;
  std::vector<std::string> stopped_slices;
  std::int64_t burstable = 500;
  bool by_systemd = false;
  bool runtime_known = true;
};

TEST_F(PodCgroupsTest, APodsSandboxIsMadeInItsGroup) {
  Run(WithMemory("a", 64));
  ASSERT_THAT(Sandboxes(), SizeIs(1));
  const v1::PodSandboxConfig config = Sandboxes()[0].config();
  const std::string group = GroupOf(config.metadata().uid());
  EXPECT_EQ(config.linux().cgroup_parent(), group);
  EXPECT_EQ(decide::ValueOf(config.annotations(), decide::kCgroupParentAnnotation), group);
  EXPECT_EQ(Memory(group), std::to_string(64 * kMi));
  EXPECT_EQ(kernel->Content("/cg/pids" + group + "/pids.max"), "64");
  EXPECT_EQ(kernel->Content("/cg/cpu,cpuacct/edge/kubepods/cpu.shares"), "4096");
  EXPECT_EQ(kernel->Content("/cg/cpu,cpuacct/edge/kubepods/burstable/cpu.shares"), "512");
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(observed, ElementsAre("create"));
}

TEST_F(PodCgroupsTest, BestEffortPodsHaveTheLeastShares) {
  Run(MakeDaemonSet("a"));
  const std::string level = "/cg/cpu,cpuacct/edge/kubepods/besteffort";
  EXPECT_EQ(kernel->Content(level + "/cpu.shares"), "2");
  EXPECT_EQ(kernel->Content(level + "/pod" + Uid() + "/cpu.shares"), "2");
}

TEST_F(PodCgroupsTest, TheGroupGoesWithThePodAndWhatIsLeftInItEnds) {
  Run(WithMemory("a", 64));
  const std::string group = GroupOf(Uid());
  kernel->MakeEverywhere(group + "/container");
  kernel->AddProcess(group + "/container", 77);  // of a shim that was killed
  daemon_sets = {};
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(engine->workers.all(), IsEmpty());
  EXPECT_THAT(kernel->Groups(), Not(Contains(HasSubstr(group))));
  EXPECT_THAT(kernel->processes(), IsEmpty());
  EXPECT_THAT(observed, Contains("destroy"));
}

TEST_F(PodCgroupsTest, AGroupThatCannotBeMadeIsSaidAndTriedAgain) {
  kernel->BreakWrites(kMemory);
  Run(WithMemory("a", 64));
  EXPECT_THAT(Sandboxes(), IsEmpty());
  EXPECT_THAT(EventReasons(), Contains("FailedCreatePodContainer"));
  EXPECT_THAT(engine->workers.all().begin()->second->waiting_for(), HasSubstr("cannot make the pod's control group"));
  kernel->BreakWrites("");
  loop.Advance(minutes(10));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodCgroupsTest, MoreIsGivenBeforeTheContainerGetsItAndTakenAfterwards) {
  Run(WithMemory("a", 64));
  const std::string group = GroupOf(Uid());
  const auto change = [&](std::int64_t to, const std::string& meanwhile) {
    runtime.Inject("UpdateContainerResources", testing::Fault::Delay(seconds(10)));
    daemon_sets = {WithMemory("a", to)};
    Apply();
    loop.Advance(seconds(5));
    EXPECT_EQ(Memory(group), meanwhile) << to;
    loop.Advance(seconds(10));
    EXPECT_EQ(Memory(group), std::to_string(to * kMi));
  };
  change(128, std::to_string(128 * kMi));
  change(32, std::to_string(128 * kMi));
  EXPECT_THAT(Sandboxes(), SizeIs(1)) << "in place";
  EXPECT_THAT(observed, ElementsAre("create", "update", "update", "update", "update"));
}

// Of an earlier version: no group, and its containers stay together.
TEST_F(PodCgroupsTest, APodThatHasNoGroupRunsOnWithoutOne) {
  engine->services.cgroups = nullptr;
  Run(WithMemory("a", 64));
  ASSERT_THAT(Sandboxes(), SizeIs(1));
  EXPECT_EQ(Sandboxes()[0].config().linux().cgroup_parent(), "/edge");
  Restart();
  Use();
  loop.Advance(seconds(5));
  runtime.ClearCalls();
  runtime.ExitContainer(RunningContainers().at(0), 1);
  loop.Advance(minutes(1));
  const auto created = Requests<v1::CreateContainerRequest>("CreateContainer");
  ASSERT_THAT(created, SizeIs(1));
  EXPECT_EQ(created[0].sandbox_config().linux().cgroup_parent(), "/edge");
  daemon_sets = {WithMemory("a", 128)};
  Apply();
  loop.Advance(seconds(10));
  EXPECT_THAT(Requests<v1::UpdateContainerResourcesRequest>("UpdateContainerResources"), SizeIs(1));
  EXPECT_THAT(kernel->Groups(), IsEmpty());
}

TEST_F(PodCgroupsTest, AContainerStartsInTheGroupOfItsSandbox) {
  Run(WithMemory("a", 64));
  const std::string group = GroupOf(Uid());
  by_systemd = true;  // the runtime was started anew with another driver
  runtime.ClearCalls();
  runtime.ExitContainer(RunningContainers().at(0), 1);
  loop.Advance(minutes(1));
  const auto created = Requests<v1::CreateContainerRequest>("CreateContainer");
  ASSERT_THAT(created, SizeIs(1));
  EXPECT_EQ(created[0].sandbox_config().linux().cgroup_parent(), group);
  daemon_sets = {};
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(kernel->Groups(), Not(Contains(HasSubstr(group)))) << "it goes, whoever would make it today";
}

TEST_F(PodCgroupsTest, WithSystemdTheParentIsASlice) {
  by_systemd = true;
  Run(WithMemory("a", 64));
  ASSERT_THAT(Sandboxes(), SizeIs(1));
  const v1::PodSandboxConfig config = Sandboxes()[0].config();
  EXPECT_EQ(config.linux().cgroup_parent(),
            decide::SlicePath(decide::PodCgroup("/edge", decide::QosClass::kBurstable, config.metadata().uid())));
  daemon_sets = {};
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(stopped_slices, SizeIs(1));
}

TEST_F(PodCgroupsTest, SwitchedOffNoneIsMadeAndOldOnesStillGo) {
  Run(WithMemory("a", 64));
  const std::string group = GroupOf(Uid());
  Restart();
  Use(false);
  daemon_sets.push_back(WithMemory("b", 64));
  Apply();
  loop.Advance(seconds(5));
  ASSERT_THAT(Sandboxes(), SizeIs(2));
  EXPECT_EQ(Sandboxes()[1].config().linux().cgroup_parent(), "/edge");
  daemon_sets = {};
  Apply();
  loop.Advance(minutes(1));
  EXPECT_THAT(kernel->Groups(), Not(Contains(HasSubstr(group))));
}

// Its cgroup driver, and what it can do, would be guesses.
TEST_F(PodCgroupsTest, ASandboxWaitsUntilTheRuntimeIsKnown) {
  runtime_known = false;
  Run(WithMemory("a", 64));
  loop.Advance(minutes(5));
  EXPECT_THAT(Sandboxes(), IsEmpty());
  EXPECT_THAT(kernel->Groups(), IsEmpty());
  EXPECT_THAT(EventReasons(), Not(Contains(HasSubstr("Failed"))));
  EXPECT_EQ(engine->workers.all().begin()->second->waiting_for(), "the container runtime to say what it can do");
  runtime_known = true;
  loop.Advance(milliseconds(100));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodCgroupsTest, APodThatStopsNeedNotWaitForTheRuntime) {
  runtime_known = false;
  Run(WithMemory("a", 64));
  daemon_sets = {};
  Apply();
  loop.Advance(seconds(5));
  EXPECT_THAT(engine->workers.all(), IsEmpty());
}

TEST_F(PodCgroupsTest, AnOrphansGroupGoesOnceItIsOldAndEmpty) {
  SetKernelNow();
  kernel->MakeEverywhere(GroupOf("gone") + "/container");
  kernel->MakeEverywhere("/edge/kubepods/podgone-too");
  kernel->MakeEverywhere(GroupOf("in-use"));
  kernel->AddProcess(GroupOf("in-use"), 5);
  kernel->MakeEverywhere("/edge/kubepods/burstable/others");
  kernel->MakeEverywhere("/edge/podelsewhere");
  kernel->MakeEverywhere("/edge.slice/edge-kubepods.slice/edge-kubepods-podby_systemd.slice");
  Tidy();
  EXPECT_TRUE(kernel->Exists("/cg/memory" + GroupOf("gone"))) << "somebody may be about to start it";
  loop.Advance(minutes(2));
  SetKernelNow();
  kernel->MakeEverywhere(GroupOf("young"));
  loop.Advance(minutes(1));
  const auto left = [&](const std::string& group) { return kernel->Exists("/cg/memory" + group); };
  EXPECT_FALSE(left(GroupOf("gone")));
  EXPECT_FALSE(left("/edge/kubepods/podgone-too"));
  EXPECT_FALSE(left("/edge.slice/edge-kubepods.slice/edge-kubepods-podby_systemd.slice"));
  EXPECT_THAT(stopped_slices, ElementsAre("edge-kubepods-podby_systemd.slice"));
  EXPECT_TRUE(left(GroupOf("young")));
  EXPECT_TRUE(left(GroupOf("in-use")));
  EXPECT_TRUE(left("/edge/kubepods/burstable/others"));
  EXPECT_TRUE(left("/edge/podelsewhere"));
  EXPECT_THAT(kernel->processes(), ElementsAre(5));
}

TEST_F(PodCgroupsTest, TheGroupOfAPodWithoutProcessesIsNoOrphans) {
  SetKernelNow();
  Run(WithMemory("a", 64));
  const std::string group = GroupOf(Uid());
  burstable = 1000;
  loop.Advance(minutes(5));
  Tidy();
  loop.Advance(minutes(5));
  EXPECT_TRUE(kernel->Exists("/cg/memory" + group));
  EXPECT_EQ(kernel->Content("/cg/cpu,cpuacct/edge/kubepods/burstable/cpu.shares"), "1024") << "set anew";
}

}  // namespace
}  // namespace daemonsetd::pods

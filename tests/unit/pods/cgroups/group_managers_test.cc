// Groups as the agent makes them by itself, on both versions, and as it has systemd make them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/cgroups/cgroupfs_groups.h"
#include "agent/pods/cgroups/systemd_slices.h"
#include "tests/unit/pods/cgroups/fake_kernel.h"

namespace daemonsetd::pods {
namespace {

using decide::CgroupLimits;
using decide::CgroupName;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const CgroupName kPod{"kubepods", "burstable", "pod1-2"};
constexpr char kPodPath[] = "/kubepods/burstable/pod1-2";
const CgroupLimits kLimits{.cpu_shares = 1024,
                           .cpu_quota = 50'000,
                           .memory = 1 << 30,
                           .pids = 100,
                           .hugepages = {{"2MB", 4 << 20}},
                           .complete = true};

std::vector<std::string> Sizes() { return {"2MB", "1GB"}; }

class CgroupfsTest : public ::testing::Test {
 protected:
  void On(const CgroupMounts& mounts) {
    kernel = std::make_shared<FakeKernel>(mounts);
    groups = std::make_unique<CgroupfsGroups>(MakeGroupTree(kernel, mounts, Sizes()));
  }
  std::string Text(const std::string& controller, const std::string& file) const {
    return kernel->Content("/cg/" + controller + kPodPath + "/" + file);
  }

  std::shared_ptr<FakeKernel> kernel;
  std::unique_ptr<CgroupfsGroups> groups;
};

TEST(CgroupMounts, OfVersion1AreOneForEachController) {
  const CgroupMounts mounts = ParseCgroupMounts(
      "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
      "36 31 0:32 / /elsewhere rw,relatime - cgroup cgroup rw,memory\n"
      "37 31 0:33 /part /part rw,relatime - cgroup cgroup rw,pids\n"
      "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  EXPECT_FALSE(mounts.unified);
  ASSERT_EQ(mounts.hierarchies.size(), 4U);
  EXPECT_EQ(mounts.hierarchies[0].root, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_THAT(mounts.hierarchies[0].controllers, UnorderedElementsAre("cpu", "cpuacct"));
  EXPECT_THAT(mounts.hierarchies[1].controllers, UnorderedElementsAre("memory"));
  EXPECT_EQ(mounts.hierarchies[2].root, "/sys/fs/cgroup/systemd");
  EXPECT_THAT(mounts.hierarchies[2].controllers, IsEmpty());
  EXPECT_EQ(mounts.hierarchies[3].root, "/sys/fs/cgroup/unified");
}

TEST(CgroupMounts, OfVersion2IsOne) {
  const CgroupMounts mounts =
      ParseCgroupMounts("35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  EXPECT_TRUE(mounts.unified);
  ASSERT_EQ(mounts.hierarchies.size(), 1U);
  EXPECT_EQ(mounts.hierarchies[0].root, "/sys/fs/cgroup");
  EXPECT_THAT(ParseCgroupMounts("nonsense\n\n - - -\n").hierarchies, IsEmpty());
}

TEST(PageSizes, AreNamedAsInTheGroupsFiles) {
  EXPECT_THAT(PageSizes({"hugepages-2048kB", "hugepages-1048576kB", "hugepages-64kB", "other", "hugepages-"}),
              ElementsAre("2MB", "1GB", "64KB"));
}

TEST_F(CgroupfsTest, Version1HasTheGroupInEveryHierarchyWithItsLimits) {
  On(MountsOfV1());
  ASSERT_TRUE(groups->Ensure(kPod, kLimits));
  EXPECT_EQ(groups->PathOf(kPod), kPodPath);
  for (const Hierarchy& hierarchy : MountsOfV1().hierarchies) {
    EXPECT_THAT(kernel->Groups(), Contains(hierarchy.root + kPodPath)) << "what runs there must find it";
  }
  EXPECT_EQ(Text("cpu,cpuacct", "cpu.shares"), "1024");
  EXPECT_EQ(Text("cpu,cpuacct", "cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(Text("memory", "memory.limit_in_bytes"), "1073741824");
  EXPECT_EQ(Text("memory", "memory.use_hierarchy"), "1");
  EXPECT_EQ(Text("pids", "pids.max"), "100");
  EXPECT_EQ(Text("cpuset", "cpuset.cpus"), "0-1");
  EXPECT_EQ(Text("cpuset", "cpuset.mems"), "0");
  EXPECT_EQ(Text("hugetlb", "hugetlb.2MB.limit_in_bytes"), "4194304");
  EXPECT_EQ(Text("hugetlb", "hugetlb.1GB.limit_in_bytes"), "0");

  const int writes = kernel->writes();
  ASSERT_TRUE(groups->Ensure(kPod, kLimits));
  EXPECT_EQ(kernel->writes(), writes) << "nothing changed";
}

TEST_F(CgroupfsTest, Version1TakesLimitsBack) {
  On(MountsOfV1());
  ASSERT_TRUE(groups->Ensure(kPod, kLimits));
  EXPECT_EQ(groups->tree().Present(kPodPath).memory, 1 << 30);
  EXPECT_EQ(groups->tree().Present(kPodPath).cpu_quota, 50'000);
  ASSERT_TRUE(groups->Ensure(kPod, {.cpu_shares = 2, .complete = true}));
  EXPECT_EQ(Text("cpu,cpuacct", "cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(Text("pids", "pids.max"), "max");
  EXPECT_EQ(groups->tree().Present(kPodPath).memory, std::nullopt);
  EXPECT_EQ(groups->tree().Present(kPodPath).cpu_quota, std::nullopt);
}

// One of them, for huge pages, this kernel lacks.
TEST_F(CgroupfsTest, Version2EnablesControllersDownThePath) {
  On(MountsOfV2());
  ASSERT_TRUE(groups->Ensure(kPod, kLimits));
  for (const char* above : {"/cg", "/cg/kubepods", "/cg/kubepods/burstable"}) {
    EXPECT_EQ(kernel->Content(std::string(above) + "/cgroup.subtree_control"), "cpu memory pids cpuset io ") << above;
  }
  const std::string group = std::string("/cg") + kPodPath;
  EXPECT_EQ(kernel->Content(group + "/cgroup.subtree_control"), " ") << "the runtime says what containers have";
  EXPECT_EQ(kernel->Content(group + "/cpu.weight"), "39");
  EXPECT_EQ(kernel->Content(group + "/cpu.max"), "50000 100000");
  EXPECT_EQ(kernel->Content(group + "/memory.max"), "1073741824");
  EXPECT_EQ(kernel->Content(group + "/pids.max"), "100");
  EXPECT_EQ(groups->tree().Present(kPodPath).memory, 1 << 30);
  ASSERT_TRUE(groups->Ensure(kPod, {.cpu_shares = 2, .complete = true}));
  EXPECT_EQ(kernel->Content(group + "/cpu.max"), "max 100000");
  EXPECT_EQ(kernel->Content(group + "/memory.max"), "max");
}

// Another agent, or a kubelet, may have limits of its own on what it shares with us.
TEST_F(CgroupfsTest, OfALevelOnlyTheSharesAreSet) {
  for (const CgroupMounts& mounts : {MountsOfV1(), MountsOfV2()}) {
    On(mounts);
    const std::string path = mounts.unified ? "/cg/kubepods/memory.max" : "/cg/memory/kubepods/memory.limit_in_bytes";
    ASSERT_TRUE(groups->Ensure({"kubepods"}, decide::LevelLimits(2000)));
    ASSERT_TRUE(kernel->Write(path, "4096"));
    ASSERT_TRUE(groups->Ensure({"kubepods"}, decide::LevelLimits(1000)));
    EXPECT_EQ(kernel->Content(path), "4096");
  }
}

TEST_F(CgroupfsTest, AWriteThatFailsNamesTheFile) {
  On(MountsOfV1());
  kernel->BreakWrites("memory.limit_in_bytes");
  const Status made = groups->Ensure(kPod, kLimits);
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message(), ::testing::HasSubstr("memory.limit_in_bytes"));
}

TEST_F(CgroupfsTest, ARemovalKillsWhatIsInTheGroupAndNothingElse) {
  for (const CgroupMounts& mounts : {MountsOfV1(), MountsOfV2()}) {
    On(mounts);
    ASSERT_TRUE(groups->Ensure(kPod, kLimits));
    kernel->MakeEverywhere(std::string(kPodPath) + "/container");
    kernel->MakeEverywhere("/kubepods/burstable/pod3");
    kernel->AddProcess(std::string(kPodPath) + "/container", 11);
    kernel->AddProcess(kPodPath, 12);
    kernel->AddProcess("/kubepods/burstable/pod3", 13);
    ASSERT_TRUE(groups->Remove(kPod));
    EXPECT_THAT(kernel->processes(), ElementsAre(13));
    for (const std::string& group : kernel->Groups()) EXPECT_THAT(group, Not(::testing::HasSubstr("pod1-2")));
    EXPECT_TRUE(groups->tree().Exists("/kubepods/burstable/pod3"));
    EXPECT_TRUE(groups->Remove(kPod)) << "again";
  }
}

TEST_F(CgroupfsTest, AProcessThatDoesNotEndIsTriedAgainLater) {
  On(MountsOfV1());
  ASSERT_TRUE(groups->Ensure(kPod, kLimits));
  kernel->AddProcess(kPodPath, 12);
  kernel->SetImmortal(12);
  const Status removed = groups->Remove(kPod);
  ASSERT_FALSE(removed.has_value());
  EXPECT_EQ(removed.error().kind(), ErrorKind::kRetry);
}

TEST_F(CgroupfsTest, AnEmptyGroupIsRemovedAndOneInUseIsNot) {
  On(MountsOfV1());
  ASSERT_TRUE(groups->Ensure(kPod, kLimits));
  kernel->AddProcess(kPodPath, 12);
  EXPECT_FALSE(groups->RemoveEmpty(kPod).has_value());
  EXPECT_THAT(kernel->processes(), ElementsAre(12));
}

class SystemdTest : public ::testing::Test {
 protected:
  void On(const CgroupMounts& mounts) {
    kernel = std::make_shared<FakeKernel>(mounts);
    // systemd makes the group in the hierarchies that it uses.
    const auto make = [this, mounts](const std::string& path) {
      for (const Hierarchy& hierarchy : mounts.hierarchies) {
        if (hierarchy.controllers.contains("hugetlb") || hierarchy.controllers.contains("cpuset")) continue;
        for (const std::string& prefix : PrefixesOf(path)) (void)kernel->Make(hierarchy.root + prefix);
      }
    };
    SliceUnits units{
        .start = [this, make](const std::string& slice, const decide::SliceProperties& properties) -> Status {
          calls.push_back("start " + slice);
          last = properties;
          if (exists) return Error(ErrorKind::kExists, "there is one");
          make(kPath);
          return Ok();
        },
        .set = [this](const std::string& slice, const decide::SliceProperties& properties) -> Status {
          calls.push_back("set " + slice);
          last = properties;
          return Ok();
        },
        .stop = [this](const std::string& slice) -> Status {
          calls.push_back("stop " + slice);
          return Ok();
        }};
    slices = std::make_unique<SystemdSlices>(MakeGroupTree(kernel, mounts, Sizes()), std::move(units));
  }

  static constexpr char kPath[] = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
  static constexpr char kSlice[] = "kubepods-burstable-pod1_2.slice";
  bool exists = false;
  std::vector<std::string> calls;
  decide::SliceProperties last;
  std::shared_ptr<FakeKernel> kernel;
  std::unique_ptr<SystemdSlices> slices;
};

TEST_F(SystemdTest, APodIsATransientSliceAndIsFoundInEveryHierarchy) {
  On(MountsOfV1());
  ASSERT_TRUE(slices->Ensure(kPod, kLimits));
  EXPECT_EQ(slices->PathOf(kPod), kPath);
  EXPECT_THAT(calls, ElementsAre(std::string("start ") + kSlice));
  EXPECT_EQ(last, decide::SlicePropertiesOf(kLimits, false));
  for (const Hierarchy& hierarchy : MountsOfV1().hierarchies) {
    EXPECT_THAT(kernel->Groups(), Contains(hierarchy.root + kPath));
  }
  EXPECT_EQ(kernel->Content(std::string("/cg/hugetlb") + kPath + "/hugetlb.2MB.limit_in_bytes"), "4194304");
}

TEST_F(SystemdTest, TheBusIsAskedForChangesAlone) {
  On(MountsOfV1());
  ASSERT_TRUE(slices->Ensure(kPod, kLimits));
  ASSERT_TRUE(slices->Ensure(kPod, kLimits));
  EXPECT_THAT(calls, ElementsAre(std::string("start ") + kSlice));
  CgroupLimits more = kLimits;
  more.memory = 2LL << 30;
  ASSERT_TRUE(slices->Ensure(kPod, more));
  EXPECT_THAT(calls, ElementsAre(std::string("start ") + kSlice, std::string("set ") + kSlice));
}

TEST_F(SystemdTest, ASliceThatIsThereAlreadyGetsTheLimits) {
  On(MountsOfV1());
  exists = true;
  ASSERT_TRUE(slices->Ensure(kPod, kLimits));
  EXPECT_THAT(calls, ElementsAre(std::string("start ") + kSlice, std::string("set ") + kSlice));
}

TEST_F(SystemdTest, ARemovalKillsStopsAndTakesWhatSystemdLeaves) {
  On(MountsOfV1());
  EXPECT_TRUE(slices->Remove(kPod));
  EXPECT_THAT(calls, IsEmpty()) << "there is none";
  ASSERT_TRUE(slices->Ensure(kPod, kLimits));
  kernel->AddProcess(kPath, 12);
  calls.clear();
  ASSERT_TRUE(slices->Remove(kPod));
  EXPECT_THAT(calls, ElementsAre(std::string("stop ") + kSlice));
  EXPECT_THAT(kernel->processes(), IsEmpty());
  EXPECT_FALSE(slices->tree().Exists(kPath));
  EXPECT_TRUE(slices->tree().Exists("/kubepods.slice/kubepods-burstable.slice"));
}

TEST_F(SystemdTest, ASliceInUseIsNotStoppedAsAnOrphan) {
  On(MountsOfV2());
  ASSERT_TRUE(slices->Ensure(kPod, kLimits));
  EXPECT_EQ(last, decide::SlicePropertiesOf(kLimits, true));
  kernel->AddProcess(kPath, 12);
  calls.clear();
  EXPECT_TRUE(slices->RemoveEmpty(kPod));
  EXPECT_THAT(calls, IsEmpty());
  EXPECT_TRUE(slices->tree().Exists(kPath));
}

}  // namespace
}  // namespace daemonsetd::pods

// What pods leave behind when the agent ends before it has taken them down.
#include "agent/pods/garbage/orphaned_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>

#include "agent/decide/labels.h"
#include "agent/pods/sandbox_dirs.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::SizeIs;

class OrphanedPodsTest : public PodEngineTest {
 protected:
  ~OrphanedPodsTest() override {
    if (running) loop.Cancel(running);
  }

  void Collect() {
    orphans = std::make_unique<OrphanedPods>(engine->services, engine->workers, [this] { return complete; });
    running = loop.Start(orphans->Run());
  }
  std::string LinkOf(const std::string& uid) const { return directories().container_log_dir + "/" + uid + ".log"; }
  // As an earlier agent had made it; answers the paths.
  PodPaths MakeLeftovers(const std::string& uid) {
    corev1::Pod pod;
    pod.mutable_metadata()->set_uid(uid);
    pod.mutable_metadata()->set_name("gone");
    pod.mutable_metadata()->set_namespace_("default");
    const auto paths = PodPaths::For(directories(), pod);
    EXPECT_TRUE(MakePodDirectories(*paths, pod));
    Write(paths->volumes_directory() + "/kubernetes.io~empty-dir/data/file", "x");
    Write(paths->log_directory() + "/main/0.log", "x");
    std::filesystem::create_directories(directories().container_log_dir);
    std::filesystem::create_symlink(paths->log_directory() + "/main/0.log", LinkOf(uid));
    return *paths;
  }

  bool complete = true;
  std::unique_ptr<OrphanedPods> orphans;
  std::shared_ptr<testing::Started<void>> running;
};

TEST_F(OrphanedPodsTest, AreTakenDownOnceEverySourceIsKnown) {
  const PodPaths paths = MakeLeftovers("uid-gone");
  complete = false;
  Collect();
  loop.Advance(minutes(5));
  EXPECT_TRUE(Exists(paths.pod_directory()));
  complete = true;
  loop.Advance(seconds(5));
  EXPECT_FALSE(Exists(paths.pod_directory()));
  EXPECT_FALSE(Exists(paths.log_directory()));
  EXPECT_FALSE(std::filesystem::is_symlink(LinkOf("uid-gone")));
  EXPECT_TRUE(engine->workers.all().empty());
}

TEST_F(OrphanedPodsTest, LeaveThePodsThatRunAlone) {
  daemon_sets = {MakeDaemonSet("a")};
  Apply();
  loop.Advance(seconds(5));
  Collect();
  loop.Advance(minutes(2));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(orphans->taken_down(), 0);
}

// A kubelet's directories lie under the same root, and its pods may still run.
TEST_F(OrphanedPodsTest, WhatDoesNotCarryOurMarkIsNotTouched) {
  const std::string root = PodsDirectory(directories());
  Write(root + "/uid-of-a-kubelet/volumes/data", "x");
  Write(root + "/file", "x");
  std::filesystem::create_directory_symlink(Path("elsewhere"), root + "/link");
  Write(Path("elsewhere/.daemonsetd"), "default\npod\n");
  Collect();
  loop.Advance(minutes(2));
  EXPECT_TRUE(Exists(root + "/uid-of-a-kubelet/volumes/data"));
  EXPECT_TRUE(Exists(root + "/file"));
  EXPECT_TRUE(Exists(Path("elsewhere/.daemonsetd")));
  EXPECT_EQ(orphans->taken_down(), 0);
}

// A making that was cut off before the mark, and a removal after it.
TEST_F(OrphanedPodsTest, AnEmptyDirectoryGoes) {
  const std::string path = PodsDirectory(directories()) + "/uid-empty";
  std::filesystem::create_directories(path);
  Collect();
  loop.Advance(seconds(5));
  EXPECT_FALSE(Exists(path));
}

// A loss of power may keep the mark without its content.
TEST_F(OrphanedPodsTest, AMarkThatSaysNothingIsEnough) {
  const PodPaths paths = MakeLeftovers("uid-gone");
  Write(paths.pod_directory() + "/.daemonsetd", "");
  Collect();
  loop.Advance(seconds(5));
  EXPECT_FALSE(Exists(paths.pod_directory()));
}

// VO-05: never across a live mount; when it is gone, so is the rest.
TEST_F(OrphanedPodsTest, NothingIsDeletedAcrossALiveMount) {
  DAEMONSETD_NEEDS_ROOT();
  const PodPaths paths = MakeLeftovers("uid-gone");
  Write(Path("precious/marker"), "data");
  const std::string place = paths.pod_directory() + "/volumes/nfs";
  std::filesystem::create_directories(place);
  ASSERT_EQ(::mount(Path("precious").c_str(), place.c_str(), nullptr, MS_BIND, nullptr), 0);
  Collect();
  loop.Advance(minutes(2));
  EXPECT_EQ(Read(place + "/marker"), "data");
  EXPECT_TRUE(Exists(paths.pod_directory() + "/.daemonsetd"));
  ASSERT_EQ(::umount2(place.c_str(), 0), 0);
  loop.Advance(minutes(6));
  EXPECT_FALSE(Exists(paths.pod_directory()));
  EXPECT_EQ(Read(Path("precious/marker")), "data");
}

// LC-15
TEST_F(OrphanedPodsTest, SandboxesWithOurLabelThatNobodyKnowsGoAndOthersStay) {
  for (int i = 0; i < 21; ++i) {
    v1::RunPodSandboxRequest request;
    auto& metadata = *request.mutable_config()->mutable_metadata();
    metadata.set_name("pod-" + std::to_string(i));
    metadata.set_namespace_("default");
    metadata.set_uid("unknown-" + std::to_string(i));
    if (i > 0) (*request.mutable_config()->mutable_labels())[decide::kManagedByLabel] = "true";
    ASSERT_TRUE(loop.Run(runtime.RunPodSandbox(request, minutes(1))));
  }
  Restart();
  loop.Advance(minutes(2));
  ASSERT_THAT(runtime.Sandboxes(), SizeIs(1));
  EXPECT_EQ(runtime.Sandboxes()[0].metadata().uid(), "unknown-0");
  EXPECT_EQ(runtime.Sandboxes()[0].state(), v1::SANDBOX_READY);
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/pods/volumes/object_volumes.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <filesystem>
#include <stdexcept>

#include "agent/pods/volumes/mount_table.h"
#include "agent/pods/volumes/volumes.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A pod with a configMap volume "cm", a secret volume "s" and a projected volume "p"; the container mounts `mounts`.
class ObjectVolumes : public TemporaryTree {
 protected:
  corev1::Pod Pod(const std::string& mounts) {
    corev1::Pod pod;
    const std::string text = R"(metadata { name: "pod" namespace: "ns" uid: "uid-1" } spec {
        volumes { name: "cm" volumeSource { configMap { } } } volumes { name: "s" volumeSource { secret { } } }
        volumes { name: "p" volumeSource { projected { } } } containers { name: "main" )" +
                             mounts + " } }";
    if (!google::protobuf::TextFormat::ParseFromString(text, &pod)) throw std::runtime_error("the test's pod is wrong");
    return pod;
  }
  ObjectFiles Files(const std::string& volume, const std::map<std::string, std::string>& contents) {
    ObjectFiles files{.volumes = {}, .now = now_};
    now_ += Seconds(1);
    for (const auto& [path, content] : contents) {
      files.volumes[volume].files[path] = {.content = content, .mode = 0644, .user = {}};
    }
    return files;
  }
  std::string VolumePath(const std::string& plugin, const std::string& name) {
    return Path("kubelet/pods/uid-1/volumes/kubernetes.io~" + plugin + "/" + name);
  }
  // What the container sees at the path of its first volumeMount; the text of the error when it cannot start.
  std::string SeenAtStart(const corev1::Pod& pod) {
    const auto mounts = ContainerMounts(directories(), pod, pod.spec().containers(0), MountInputs{.token = "0"});
    return mounts ? Read(mounts->front().host_path()) : mounts.error().message();
  }
  std::string Pinned() { return Path("kubelet/pods/uid-1/volume-subpaths/cm/main/0"); }
  bool IsTmpfs(const std::string& path) {
    struct statfs status{};
    return ::statfs(path.c_str(), &status) == 0 && status.f_type == 0x01021994;
  }

  WallTime now_{std::chrono::seconds(1767323045)};
};

TEST_F(ObjectVolumes, OfConfigMapsAreOnDiskAndOthersInMemory) {
  DAEMONSETD_NEEDS_ROOT();
  const corev1::Pod pod = Pod(R"(volumeMounts { name: "cm" mountPath: "/a" } volumeMounts { name: "s" mountPath: "/b" }
                                 volumeMounts { name: "p" mountPath: "/c" })");
  ObjectFiles files = Files("cm", {{"k", "1"}});
  files.volumes["s"] = files.volumes["p"] = files.volumes["cm"];
  for (int i = 0; i < 3; ++i) {
    const Status up = SetUpVolumes(directories(), pod, files);
    ASSERT_TRUE(up) << up.error().message();
  }
  EXPECT_FALSE(IsTmpfs(VolumePath("configmap", "cm")));
  EXPECT_TRUE(IsTmpfs(VolumePath("secret", "s")));
  EXPECT_TRUE(IsTmpfs(VolumePath("projected", "p")));
  EXPECT_THAT(*MountsBeneath(root_), SizeIs(2));
  EXPECT_EQ(Read(VolumePath("secret", "s") + "/k"), "1");
  EXPECT_EQ(Mode(VolumePath("secret", "s")), 0755u);
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
}

// VO-06
TEST_F(ObjectVolumes, InMemoryAreEmptyAfterARebootAndNeverTakenForComplete) {
  DAEMONSETD_NEEDS_ROOT();
  const corev1::Pod pod = Pod(R"(volumeMounts { name: "s" mountPath: "/s" })");
  ASSERT_TRUE(SetUpVolumes(directories(), pod, Files("s", {{"k", "1"}})));
  EXPECT_TRUE(VolumeHasFiles(directories(), pod, "s"));
  EXPECT_TRUE(SetUpVolumes(directories(), pod)) << "the files of an earlier time are there";
  ASSERT_EQ(::umount2(VolumePath("secret", "s").c_str(), MNT_DETACH), 0);
  EXPECT_FALSE(VolumeHasFiles(directories(), pod, "s"));
  const Status status = SetUpVolumes(directories(), pod);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kRetry);
  ASSERT_TRUE(SetUpVolumes(directories(), pod, Files("s", {{"k", "1"}})));
  EXPECT_EQ(Read(VolumePath("secret", "s") + "/k"), "1");
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
}

// VO-05: a mount of somebody else inside our memory.
TEST_F(ObjectVolumes, AreNotTakenDownUnderAForeignMount) {
  DAEMONSETD_NEEDS_ROOT();
  const corev1::Pod pod = Pod(R"(volumeMounts { name: "s" mountPath: "/s" })");
  ASSERT_TRUE(SetUpVolumes(directories(), pod, Files("s", {{"k", "1"}})));
  const std::string inside = VolumePath("secret", "s") + "/inside";
  std::filesystem::create_directories(inside);
  Write(Path("precious/marker"), "data");
  ASSERT_EQ(::mount(Path("precious").c_str(), inside.c_str(), nullptr, MS_BIND, nullptr), 0);
  EXPECT_FALSE(TearDownVolumes(directories(), "uid-1"));
  EXPECT_EQ(Read(inside + "/marker"), "data");
  ASSERT_EQ(::umount2(inside.c_str(), 0), 0);
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
}

TEST_F(ObjectVolumes, AreOnlyRefreshedWhereTheyAreSetUp) {
  const corev1::Pod pod = Pod(R"(volumeMounts { name: "cm" mountPath: "/cm" })");
  ASSERT_TRUE(RefreshVolumes(directories(), pod, Files("cm", {{"k", "1"}})));
  EXPECT_FALSE(Exists(VolumePath("configmap", "cm")));
  ASSERT_TRUE(SetUpVolumes(directories(), pod, Files("cm", {{"k", "1"}})));
  ASSERT_TRUE(RefreshVolumes(directories(), pod, Files("cm", {{"k", "2"}})));
  EXPECT_EQ(Read(VolumePath("configmap", "cm") + "/k"), "2");
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
}

// VO-01
TEST_F(ObjectVolumes, ASubPathKeepsItsContentUntilTheContainerStartsAgain) {
  DAEMONSETD_NEEDS_ROOT();
  const corev1::Pod pod = Pod(R"(volumeMounts { name: "cm" mountPath: "/etc/k" subPath: "k" })");
  ASSERT_TRUE(SetUpVolumes(directories(), pod, Files("cm", {{"k", "0"}})));
  EXPECT_EQ(SeenAtStart(pod), "0");
  for (int version = 1; version <= 100; ++version) {
    ASSERT_TRUE(RefreshVolumes(directories(), pod, Files("cm", {{"k", std::to_string(version)}})));
    EXPECT_EQ(Read(Pinned()), std::to_string(version - 1));
    EXPECT_EQ(SeenAtStart(pod), std::to_string(version));
  }
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
  EXPECT_THAT(*MountsBeneath(root_), IsEmpty());
}

// VO-03
TEST_F(ObjectVolumes, ASubPathOfAMissingKeyFailsAndIsAFileWhenItComes) {
  DAEMONSETD_NEEDS_ROOT();
  const corev1::Pod pod = Pod(R"(volumeMounts { name: "cm" mountPath: "/etc/k" subPath: "k" })");
  ASSERT_TRUE(SetUpVolumes(directories(), pod, Files("cm", {{"other", "0"}})));
  EXPECT_THAT(SeenAtStart(pod), HasSubstr("subPath k"));
  EXPECT_FALSE(Exists(VolumePath("configmap", "cm") + "/k"));
  ASSERT_TRUE(RefreshVolumes(directories(), pod, Files("cm", {{"k", "1"}})));
  EXPECT_EQ(SeenAtStart(pod), "1");
  EXPECT_TRUE(std::filesystem::is_regular_file(Pinned()));
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/pods/volumes/volumes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "agent/pods/volumes/empty_dir.h"
#include "agent/pods/volumes/host_path.h"
#include "agent/pods/volumes/mount_table.h"
#include "agent/pods/volumes/remove_tree.h"
#include "tests/support/loop.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

corev1::Pod ParsePod(const std::string& spec) {
  corev1::Pod pod;
  if (!google::protobuf::TextFormat::ParseFromString(
          R"(metadata { name: "pod" namespace: "ns" uid: "uid-1" } spec { )" + spec + " }", &pod)) {
    throw std::runtime_error("the test's pod is wrong");
  }
  return pod;
}

class HostPath : public TemporaryTree {
 protected:
  std::string Prepare(const std::string& path, const std::string& type) {
    corev1::HostPathVolumeSource source;
    source.set_path(path);
    source.set_type(type);
    const Status status = PrepareHostPath(source);
    return status ? "" : status.error().message();
  }
};

TEST_F(HostPath, MakesWhatMayBeMade) {
  EXPECT_EQ(Prepare(Path("a/b"), ""), "");
  EXPECT_FALSE(Exists(Path("a"))) << "without a type the runtime makes it";
  const mode_t mask = ::umask(077);
  EXPECT_EQ(Prepare(Path("a/b"), "DirectoryOrCreate"), "");
  EXPECT_EQ(Prepare(Path("a/b/file"), "FileOrCreate"), "");
  ::umask(mask);
  EXPECT_EQ(Mode(Path("a")), 0755u);
  EXPECT_EQ(Mode(Path("a/b")), 0755u);
  EXPECT_EQ(Mode(Path("a/b/file")), 0644u);
  EXPECT_EQ(Prepare(Path("a/b"), "Directory"), "");
  EXPECT_EQ(Prepare(Path("a/b/file"), "File"), "");
  EXPECT_EQ(Prepare(Path("a/b/file"), "FileOrCreate"), "");
  EXPECT_THAT(Prepare(Path("no/file"), "FileOrCreate"), HasSubstr("not its directory"));
}

TEST_F(HostPath, SaysWhatIsThereAndWhatIsWanted) {
  Write(Path("file"), "");
  for (const char* type : {"Directory", "DirectoryOrCreate"}) {
    EXPECT_EQ(Prepare(Path("file"), type),
              "hostPath " + Path("file") + " is a regular file; type " + type + " wants a directory");
  }
  for (const char* type : {"File", "FileOrCreate"}) {
    EXPECT_THAT(Prepare(root_, type), HasSubstr("is a directory; type " + std::string(type) + " wants a regular file"));
  }
  for (const char* type : {"Directory", "File", "Socket", "CharDevice", "BlockDevice"}) {
    EXPECT_THAT(Prepare(Path("absent"), type), HasSubstr("nothing is there")) << type;
  }
  for (const char* type : {"Socket", "CharDevice", "BlockDevice"}) {
    EXPECT_THAT(Prepare(Path("file"), type), HasSubstr("is a regular file")) << type;
  }
  EXPECT_THAT(Prepare(Path("file"), "Pipe"), HasSubstr("unknown type"));
  EXPECT_THAT(Prepare("relative", ""), HasSubstr("must be absolute"));
}

TEST_F(HostPath, KnowsSocketsAndDevices) {
  EXPECT_EQ(Prepare("/dev/null", "CharDevice"), "");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{.sun_family = AF_UNIX};
  std::strncpy(address.sun_path, Path("s.sock").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(Prepare(Path("s.sock"), "Socket"), "");
  ::close(fd);
}

TEST(ParseMountInfo, FindsMountsBeneathAndUnescapesThem) {
  const std::string text =
      "1 0 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
      "2 1 0:1 / /a/b rw shared:2 master:1 - tmpfs tmpfs rw\n"
      "3 1 0:2 / /a/bc rw - tmpfs tmpfs rw\n"
      "4 1 0:3 / /a/b/c\\040d rw - nfs4 x:/y rw\n"
      "damaged\n";
  EXPECT_THAT(ParseMountInfo(text, "/a/b"),
              ElementsAre(AllOf(Field(&MountEntry::path, "/a/b"), Field(&MountEntry::file_system, "tmpfs")),
                          AllOf(Field(&MountEntry::path, "/a/b/c d"), Field(&MountEntry::file_system, "nfs4"))));
}

// VO-08
TEST(IsOnSharedMount, AsksTheInnermostMountAndTheNewestOnOnePath) {
  const std::string text =
      "1 0 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
      "2 1 0:1 / /a/b rw master:1 - tmpfs tmpfs rw\n"
      "3 2 0:2 / /a/b/c rw shared:3 master:1 - tmpfs tmpfs rw\n"
      "4 1 0:3 / /over rw shared:4 - tmpfs tmpfs rw\n"
      "5 4 0:4 / /over rw - tmpfs shared:5 rw\n";
  EXPECT_TRUE(IsOnSharedMount(text, "/"));
  EXPECT_TRUE(IsOnSharedMount(text, "/a"));
  EXPECT_FALSE(IsOnSharedMount(text, "/a/b"));
  EXPECT_FALSE(IsOnSharedMount(text, "/a/b/x"));
  EXPECT_TRUE(IsOnSharedMount(text, "/a/b/c/x"));
  EXPECT_TRUE(IsOnSharedMount(text, "/a/bc")) << "another directory than /a/b";
  EXPECT_FALSE(IsOnSharedMount(text, "/over"));
  EXPECT_FALSE(IsOnSharedMount("", "/"));
}

TEST(TmpfsSize, IsTheSmallerOfSizeLimitAndThePodsMemoryLimit) {
  const auto size = [](const std::string& containers, const std::string& limit) {
    corev1::EmptyDirVolumeSource source;
    if (!limit.empty()) source.mutable_sizelimit()->set_string(limit);
    return TmpfsSize(ParsePod(containers).spec(), source);
  };
  const std::string limited =
      R"(containers { name: "a" resources { limits { key: "memory" value { string: "1Mi" } } } } )";
  EXPECT_EQ(size(limited, ""), 1 << 20);
  EXPECT_EQ(size(limited, "64Ki"), 64 << 10);
  EXPECT_EQ(size(limited, "1Gi"), 1 << 20);
  EXPECT_EQ(size(limited + R"(containers { name: "b" })", ""), 0);
  EXPECT_EQ(size(limited + R"(containers { name: "b" })", "64Ki"), 64 << 10);
}

TEST(HugePageSize, IsTheOneThatThePodRequests) {
  const auto size = [](const std::string& medium, const std::vector<std::string>& requested) {
    std::string resources;
    for (const std::string& page : requested) {
      resources += R"(requests { key: "hugepages-)" + page + R"(" value { string: "1Gi" } } )";
    }
    corev1::EmptyDirVolumeSource source;
    source.set_medium(medium);
    const auto answer =
        HugePageSize(ParsePod(R"(containers { name: "a" resources { )" + resources + "} }").spec(), source);
    return answer ? std::to_string(*answer) : answer.error().message();
  };
  EXPECT_EQ(size("HugePages", {"2Mi"}), "2097152");
  EXPECT_EQ(size("HugePages-1Gi", {"2Mi", "1Gi"}), "1073741824");
  EXPECT_THAT(size("HugePages", {"2Mi", "1Gi"}), HasSubstr("requests 2 sizes"));
  EXPECT_THAT(size("HugePages", {}), HasSubstr("requests 0 sizes"));
  EXPECT_THAT(size("HugePages-1Gi", {"2Mi"}), HasSubstr("no container requests"));
  EXPECT_THAT(size("HugePages-", {"2Mi"}), HasSubstr("no container requests"));
}

class VolumesTest : public TemporaryTree {
 protected:
  Status SetUpPod(const std::string& spec) { return SetUpVolumes(directories(), ParsePod(spec)); }
  Status TearDownPod() { return TearDownVolumes(directories(), "uid-1"); }
  std::string EmptyDirPath(const std::string& name) {
    return Path("kubelet/pods/uid-1/volumes/kubernetes.io~empty-dir/" + name);
  }
  bool IsTmpfs(const std::string& path) {
    struct statfs status{};
    return ::statfs(path.c_str(), &status) == 0 && status.f_type == 0x01021994;
  }
};

constexpr char kDiskPod[] = R"(volumes { name: "tmp" volumeSource { emptyDir { } } }
    containers { name: "c" volumeMounts { name: "tmp" mountPath: "/tmp" } })";
constexpr char kMemoryPod[] = R"(securityContext { fsGroup: 2000 }
    volumes { name: "mem" volumeSource { emptyDir { medium: "Memory" sizeLimit { string: "64Ki" } } } }
    containers { name: "c" volumeMounts { name: "mem" mountPath: "/mem" } })";

TEST_F(VolumesTest, EmptyDirKeepsItsFilesWhenSetUpAgain) {
  ASSERT_TRUE(SetUpPod(kDiskPod));
  EXPECT_EQ(Mode(EmptyDirPath("tmp")), 0777u);
  Write(EmptyDirPath("tmp") + "/file", "kept");
  ASSERT_TRUE(SetUpPod(kDiskPod));
  EXPECT_EQ(Read(EmptyDirPath("tmp") + "/file"), "kept");
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
  ASSERT_TRUE(TearDownPod());
}

TEST_F(VolumesTest, MemoryIsMountedOnceWithItsSizeAndGroup) {
  DAEMONSETD_NEEDS_ROOT();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(SetUpPod(kMemoryPod));
  EXPECT_EQ(MountsBeneath(root_)->size(), 1u);
  struct statfs space{};
  ASSERT_EQ(::statfs(EmptyDirPath("mem").c_str(), &space), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(space.f_blocks) * static_cast<std::uint64_t>(space.f_bsize), 64u << 10);
  EXPECT_EQ(Mode(EmptyDirPath("mem")), 02777u);
  struct stat status{};
  ASSERT_EQ(::stat(EmptyDirPath("mem").c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, 2000u);
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
}

TEST_F(VolumesTest, HugePagesAreMountedOnceAndTakenDown) {
  DAEMONSETD_NEEDS_ROOT();
  const std::string pod = R"(volumes { name: "huge" volumeSource { emptyDir { medium: "HugePages" } } }
      containers { name: "c" volumeMounts { name: "huge" mountPath: "/huge" }
        resources { requests { key: "hugepages-2Mi" value { string: "4Mi" } } } })";
  for (int i = 0; i < 2; ++i) {
    const Status up = SetUpPod(pod);
    ASSERT_TRUE(up) << up.error().message();
  }
  const auto mounts = MountsBeneath(root_);
  ASSERT_EQ(mounts->size(), 1u);
  EXPECT_EQ(mounts->front().file_system, "hugetlbfs");
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
}

// VO-06: the directory is there after a reboot, the mount is not.
TEST_F(VolumesTest, MemoryIsMountedAgainAfterAReboot) {
  DAEMONSETD_NEEDS_ROOT();
  ASSERT_TRUE(SetUpPod(kMemoryPod));
  ASSERT_EQ(::umount2(EmptyDirPath("mem").c_str(), MNT_DETACH), 0);
  ASSERT_TRUE(SetUpPod(kMemoryPod));
  EXPECT_TRUE(IsTmpfs(EmptyDirPath("mem")));
  ASSERT_TRUE(TearDownPod());
}

// VO-05
TEST_F(VolumesTest, TearDownNeverEntersAForeignMount) {
  DAEMONSETD_NEEDS_ROOT();
  ASSERT_TRUE(SetUpPod(kMemoryPod));
  Write(Path("precious/marker"), "data");
  for (const std::string& place : {EmptyDirPath("mem") + "/bind", Path("kubelet/pods/uid-1/volumes/x/nfs")}) {
    std::filesystem::create_directories(place);
    ASSERT_EQ(::mount(Path("precious").c_str(), place.c_str(), nullptr, MS_BIND, nullptr), 0);
    const Status status = TearDownPod();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kConflict);
    EXPECT_THAT(status.error().message(), HasSubstr(place));
    EXPECT_EQ(Read(Path("precious/marker")), "data");
    EXPECT_EQ(Read(place + "/marker"), "data");
    EXPECT_TRUE(IsTmpfs(EmptyDirPath("mem")));
    ASSERT_EQ(::umount2(place.c_str(), 0), 0);
  }
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
  EXPECT_EQ(Read(Path("precious/marker")), "data");
}

// VO-05, one layer further down: a mount that appears after the mount table was read.
TEST_F(VolumesTest, RemovalStopsAtAMountOfTheSameFileSystem) {
  DAEMONSETD_NEEDS_ROOT();
  Write(Path("precious/marker"), "data");
  Write(Path("precious/file"), "data");
  Write(Path("tree/goes/file"), "x");
  Write(Path("tree/target"), "");
  std::filesystem::create_directories(Path("tree/stays/mount"));
  ASSERT_EQ(::mount(Path("precious").c_str(), Path("tree/stays/mount").c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(Path("precious/file").c_str(), Path("tree/target").c_str(), nullptr, MS_BIND, nullptr), 0);
  const Status status = RemoveTree(Path("tree"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(Read(Path("tree/stays/mount/marker")), "data");
  EXPECT_EQ(Read(Path("tree/target")), "data");
  EXPECT_FALSE(Exists(Path("tree/goes")));
  ASSERT_FALSE(RemoveTree(Path("tree/stays/mount")));
  ASSERT_EQ(::umount2(Path("tree/stays/mount").c_str(), 0), 0);
  ASSERT_EQ(::umount2(Path("tree/target").c_str(), 0), 0);
  ASSERT_TRUE(RemoveTree(Path("tree")));
  EXPECT_EQ(Read(Path("precious/marker")), "data");
}

TEST_F(VolumesTest, RemovalFollowsNoSymbolicLink) {
  Write(Path("precious/marker"), "data");
  std::filesystem::create_directories(Path("kubelet/pods/uid-1/volumes"));
  std::filesystem::create_directory_symlink(Path("precious"), Path("kubelet/pods/uid-1/volumes/link"));
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
  std::filesystem::create_directory_symlink(Path("precious"), Path("kubelet/pods/uid-1"));
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
  EXPECT_EQ(Read(Path("precious/marker")), "data");
}

TEST_F(VolumesTest, TearDownWorksBehindALinkedRoot) {
  DAEMONSETD_NEEDS_ROOT();
  std::filesystem::create_directories(Path("data"));
  std::filesystem::create_directory_symlink(Path("data"), Path("kubelet"));
  ASSERT_TRUE(SetUpPod(kMemoryPod));
  ASSERT_TRUE(TearDownPod());
  EXPECT_FALSE(Exists(Path("data/pods/uid-1")));
}

TEST_F(VolumesTest, TearDownRefusesAHostileUid) {
  Write(Path("kubelet/pods/x"), "");
  EXPECT_FALSE(TearDownVolumes(directories(), ".."));
  EXPECT_FALSE(TearDownVolumes(directories(), ""));
  EXPECT_TRUE(Exists(Path("kubelet/pods/x")));
}

TEST_F(VolumesTest, NamesTheVolumeAndWhatItWaitsFor) {
  const auto message = [&](const std::string& source) {
    const Status status = SetUpPod(R"(volumes { name: "v" volumeSource { )" + source +
                                   R"( } } containers { name: "c" volumeMounts { name: "v" mountPath: "/v" } })");
    return status ? std::string() : status.error().message();
  };
  EXPECT_EQ(message(R"(configMap { localObjectReference { name: "cm" } })"), "volume v: its files are not known yet");
  EXPECT_THAT(message(R"(persistentVolumeClaim { claimName: "p" })"), HasSubstr("PersistentVolumeClaim p"));
  EXPECT_THAT(message(R"(csi { driver: "d" })"), HasSubstr("csi are not supported yet"));
  EXPECT_THAT(message(R"(emptyDir { medium: "HugePages-2Mi" })"), HasSubstr("no container requests hugepages"));
  EXPECT_THAT(message(R"(emptyDir { medium: "Disk" })"), HasSubstr("is unknown"));
  EXPECT_THAT(message(""), HasSubstr("names no volume source"));
}

TEST_F(VolumesTest, AVolumeThatNoContainerMountsHoldsNothingUp) {
  EXPECT_TRUE(
      SetUpPod(R"(volumes { name: "v" volumeSource { secret { secretName: "s" } } } containers { name: "c" })"));
}

TEST_F(VolumesTest, RunsOnThePool) {
  testing::TestLoop loop;
  async::BlockingPool pool(1);
  Volumes volumes(directories(), pool);
  const corev1::Pod pod = ParsePod(kDiskPod);
  ASSERT_TRUE(loop.Run(volumes.SetUp(pod), testing::TestLoop::Clock::kStands));
  const auto mounts = loop.Run(volumes.Mounts(pod, pod.spec().containers(0), MountInputs{.token = "0"}),
                               testing::TestLoop::Clock::kStands);
  ASSERT_TRUE(mounts);
  EXPECT_EQ(mounts->front().host_path(), EmptyDirPath("tmp"));
  ASSERT_TRUE(loop.Run(volumes.TearDown("uid-1"), testing::TestLoop::Clock::kStands));
  EXPECT_FALSE(Exists(Path("kubelet/pods/uid-1")));
}

}  // namespace
}  // namespace daemonsetd::pods

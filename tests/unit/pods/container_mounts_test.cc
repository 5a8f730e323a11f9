#include "agent/pods/volumes/container_mounts.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "agent/pods/volumes/volumes.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ContainerMountsTest : public TemporaryTree {
 protected:
  ContainerMountsTest() { std::filesystem::create_directories(Path("host")); }

  Result<std::vector<v1::Mount>> Mounts(const std::string& container, const MountInputs& inputs = {.token = "0"}) {
    corev1::Pod pod;
    const std::string text = R"(metadata { name: "pod" namespace: "ns" uid: "uid-1" } spec {
        volumes { name: "host" volumeSource { hostPath { path: ")" +
                             Path("host") + R"(" } } } volumes { name: "tmp" volumeSource { emptyDir { } } }
        volumes { name: "models" volumeSource { image { reference: "example.org/models:1" } } }
        volumes { name: "secret" volumeSource { secret { secretName: "s" } } }
        volumes { name: "claim" volumeSource { persistentVolumeClaim { claimName: "c" } } }
        containers { name: "main" )" +
                             container + " } }";
    if (!google::protobuf::TextFormat::ParseFromString(text, &pod)) throw std::runtime_error("the test's pod is wrong");
    return ContainerMounts(directories(), pod, pod.spec().containers(0), inputs);
  }
  std::string ErrorOf(const std::string& container, const MountInputs& inputs = {.token = "0"}) {
    const auto mounts = Mounts(container, inputs);
    return mounts ? "" : mounts.error().message();
  }
};

TEST_F(ContainerMountsTest, CarryVolumesThenHostsThenTheTerminationMessage) {
  const auto mounts = Mounts(R"(terminationMessagePath: "/dev/termination-log"
      volumeMounts { name: "host" mountPath: "/host" readOnly: true mountPropagation: "HostToContainer" }
      volumeMounts { name: "tmp" mountPath: "tmp" mountPropagation: "Bidirectional" })",
                             {.token = "7"});
  ASSERT_TRUE(mounts);
  ASSERT_THAT(*mounts, SizeIs(4));
  EXPECT_EQ((*mounts)[0].host_path(), Path("host"));
  EXPECT_TRUE((*mounts)[0].readonly());
  EXPECT_FALSE((*mounts)[0].selinux_relabel());
  EXPECT_EQ((*mounts)[0].propagation(), v1::MountPropagation::PROPAGATION_HOST_TO_CONTAINER);
  EXPECT_EQ((*mounts)[1].container_path(), "/tmp");
  EXPECT_TRUE((*mounts)[1].selinux_relabel());
  EXPECT_EQ((*mounts)[1].propagation(), v1::MountPropagation::PROPAGATION_BIDIRECTIONAL);
  EXPECT_EQ((*mounts)[2].container_path(), "/etc/hosts");
  EXPECT_EQ((*mounts)[2].host_path(), Path("kubelet/pods/uid-1/etc-hosts"));
  EXPECT_EQ((*mounts)[3].container_path(), "/dev/termination-log");
  EXPECT_EQ((*mounts)[3].host_path(), Path("kubelet/pods/uid-1/containers/main/7"));
}

TEST_F(ContainerMountsTest, LeaveEtcHostsToAContainerThatMountsItsOwn) {
  const auto mounts = Mounts(R"(volumeMounts { name: "host" mountPath: "/etc/hosts" })");
  ASSERT_TRUE(mounts);
  EXPECT_THAT(*mounts, SizeIs(1));
}

TEST_F(ContainerMountsTest, KnowRecursiveReadOnly) {
  const std::string mount = R"(volumeMounts { name: "host" mountPath: "/h" readOnly: true recursiveReadOnly: )";
  EXPECT_FALSE(Mounts(mount + R"("IfPossible" })")->front().recursive_read_only());
  EXPECT_THAT(ErrorOf(mount + R"("Enabled" })"), HasSubstr("the runtime cannot do it"));
  const MountInputs able{.token = "0", .recursive_read_only = true};
  EXPECT_TRUE(Mounts(mount + R"("Enabled" })", able)->front().recursive_read_only());
  EXPECT_THAT(ErrorOf(R"(volumeMounts { name: "host" mountPath: "/h" recursiveReadOnly: "Enabled" })", able),
              HasSubstr("needs readOnly"));
}

TEST_F(ContainerMountsTest, LeaveImageVolumesToTheRuntime) {
  const std::string mount = R"(volumeMounts { name: "models" mountPath: "/models" subPath: "small" })";
  EXPECT_THAT(ErrorOf(mount), HasSubstr("volumeMount models at /models: the volume's image is not here yet"));
  MountInputs inputs{.token = "0"};
  inputs.images["models"].set_image("sha256:abc");
  const auto mounts = Mounts(mount, inputs);
  ASSERT_TRUE(mounts) << mounts.error().message();
  EXPECT_EQ(mounts->front().image().image(), "sha256:abc");
  EXPECT_EQ(mounts->front().image_sub_path(), "small");
  EXPECT_EQ(mounts->front().container_path(), "/models");
  EXPECT_EQ(mounts->front().host_path(), "");
  EXPECT_TRUE(mounts->front().readonly());
}

TEST_F(ContainerMountsTest, ShowWhatTheAgentFillsReadOnly) {
  const auto mounts = Mounts(R"(volumeMounts { name: "secret" mountPath: "/x" })");
  ASSERT_TRUE(mounts) << mounts.error().message();
  EXPECT_EQ(mounts->front().host_path(), Path("kubelet/pods/uid-1/volumes/kubernetes.io~secret/secret"));
  EXPECT_TRUE(mounts->front().readonly());
  EXPECT_TRUE(mounts->front().selinux_relabel());
}

TEST_F(ContainerMountsTest, NameTheMountThatFails) {
  EXPECT_THAT(ErrorOf(R"(volumeMounts { name: "absent" mountPath: "/x" })"),
              HasSubstr("container main: volumeMount absent at /x"));
  EXPECT_THAT(ErrorOf(R"(volumeMounts { name: "claim" mountPath: "/x" })"), HasSubstr("PersistentVolumeClaim c"));
  EXPECT_THAT(ErrorOf(R"(volumeMounts { name: "host" mountPath: "/x" mountPropagation: "Sideways" })"),
              HasSubstr("Sideways is unknown"));
  EXPECT_THAT(ErrorOf(R"(volumeDevices { name: "d" devicePath: "/dev/x" })"), HasSubstr("volumeDevices"));
}

TEST_F(ContainerMountsTest, ExpandASubPathAndMakeItsDirectories) {
  DAEMONSETD_NEEDS_ROOT();
  std::filesystem::permissions(Path("host"), std::filesystem::perms(0700));
  const MountInputs inputs{.token = "0", .envs = {{"POD", "p"}}};
  const auto mount = [](const std::string& expression) {
    return R"(volumeMounts { name: "host" mountPath: "/x" subPathExpr: ")" + expression + "\" }";
  };
  const auto mounts = Mounts(mount("logs/$(POD)"), {.token = "0", .envs = {{"POD", "p"}}});
  ASSERT_TRUE(mounts) << mounts.error().message();
  const std::string pinned = Path("kubelet/pods/uid-1/volume-subpaths/host/main/0");
  EXPECT_EQ(mounts->front().host_path(), pinned);
  Write(Path("host/logs/p/file"), "x");
  EXPECT_EQ(Read(pinned + "/file"), "x");
  EXPECT_EQ(Mode(Path("host/logs/p")), 0700u);
  EXPECT_THAT(ErrorOf(mount("$(NONE)")), HasSubstr("NONE"));
  EXPECT_THAT(ErrorOf(mount("$(POD)"), {.token = "0", .envs = {{"POD", "../../etc"}}}), HasSubstr(".."));
  EXPECT_THAT(ErrorOf(mount("$(POD)"), {.token = "0", .envs = {{"POD", ""}}}), HasSubstr("relative path"));
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
  EXPECT_EQ(Read(Path("host/logs/p/file")), "x");
}

// Two mounts of one volume are two places; the index is that of the container's list.
TEST_F(ContainerMountsTest, KeepSubPathsOfOneVolumeApart) {
  DAEMONSETD_NEEDS_ROOT();
  Write(Path("host/a"), "a");
  Write(Path("host/b"), "b");
  const auto mounts = Mounts(R"(volumeMounts { name: "host" mountPath: "/a" subPath: "a" }
      volumeMounts { name: "host" mountPath: "/b" subPath: "b" readOnly: true })");
  ASSERT_TRUE(mounts) << mounts.error().message();
  EXPECT_EQ(Read((*mounts)[0].host_path()), "a");
  EXPECT_EQ(Read((*mounts)[1].host_path()), "b");
  EXPECT_TRUE((*mounts)[1].readonly());
  ASSERT_TRUE(TearDownVolumes(directories(), "uid-1"));
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/pods/paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/sandbox_dirs.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::HasSubstr;

corev1::Pod NamedPod(const std::string& name_space, const std::string& name, const std::string& uid) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_namespace_(name_space);
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_uid(uid);
  return pod;
}

TEST(PodPaths, AreTheKubelets) {
  const Result<PodPaths> paths = PodPaths::For({}, NamedPod("kube-system", "agent-x", "1234"));
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->pod_directory(), "/var/lib/kubelet/pods/1234");
  EXPECT_EQ(paths->etc_hosts(), "/var/lib/kubelet/pods/1234/etc-hosts");
  EXPECT_EQ(*paths->EmptyDir("tmp"), "/var/lib/kubelet/pods/1234/volumes/kubernetes.io~empty-dir/tmp");
  EXPECT_EQ(*paths->TerminationLog("main", "3"), "/var/lib/kubelet/pods/1234/containers/main/3");
  EXPECT_EQ(paths->log_directory(), "/var/log/pods/kube-system_agent-x_1234");
  EXPECT_EQ(*paths->RelativeLogPath("main", 3), "main/3.log");
  EXPECT_EQ(*paths->LogPath("main", 3), "/var/log/pods/kube-system_agent-x_1234/main/3.log");
  EXPECT_EQ(*paths->LogLink("main", "abc"), "/var/log/containers/agent-x_kube-system_main-abc.log");
}

TEST(PodPaths, CutTheLinksNameTo255Bytes) {
  const Result<PodPaths> paths = PodPaths::For({}, NamedPod("default", std::string(200, 'p'), "1234"));
  ASSERT_TRUE(paths);
  const std::string link = *paths->LogLink("main", std::string(64, 'f'));
  EXPECT_EQ(link.size() - std::string("/var/log/containers/").size(), 255u);
  EXPECT_TRUE(link.ends_with("f.log"));
}

TEST(PodPaths, RefuseNamesThatLeaveTheTree) {
  for (const std::string& name : {std::string(".."), std::string("."), std::string(), std::string("a/b"),
                                  std::string("../../etc"), std::string("a\0b", 3), std::string(256, 'x')}) {
    EXPECT_FALSE(PodPaths::For({}, NamedPod("default", name, "1234")));
    EXPECT_FALSE(PodPaths::For({}, NamedPod(name, "pod", "1234")));
    EXPECT_FALSE(PodPaths::For({}, NamedPod("default", "pod", name)));
    EXPECT_FALSE(PodDirectory({}, name));
    const Result<PodPaths> paths = PodPaths::For({}, NamedPod("default", "pod", "1234"));
    EXPECT_FALSE(paths->EmptyDir(name));
    EXPECT_FALSE(paths->TerminationLog(name, "0"));
    EXPECT_FALSE(paths->TerminationLog("main", name));
    EXPECT_FALSE(paths->LogPath(name, 0));
    EXPECT_FALSE(paths->LogLink("main", name));
  }
}

TEST(PodPaths, SayThatALogDirectorysNameIsTooLong) {
  const Result<PodPaths> paths = PodPaths::For({}, NamedPod("default", std::string(253, 'p'), "1234"));
  ASSERT_FALSE(paths);
  EXPECT_EQ(paths.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(paths.error().message(), HasSubstr("255"));
}

class SandboxDirs : public TemporaryTree {};

TEST_F(SandboxDirs, AreMadeOnceAndAgain) {
  const Result<PodPaths> paths = PodPaths::For(directories(), NamedPod("default", "pod", "1234"));
  corev1::Container container;
  container.set_name("main");
  container.set_terminationmessagepath("/dev/termination-log");
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(MakePodDirectories(*paths, NamedPod("default", "pod", "1234")));
    ASSERT_TRUE(MakeContainerFiles(*paths, container, "0"));
  }
  EXPECT_EQ(Mode(paths->pod_directory()), 0750u);
  EXPECT_EQ(Mode(paths->log_directory()), 0755u);
  EXPECT_EQ(Mode(*paths->ContainerLogDirectory("main")), 0755u);
  EXPECT_EQ(Mode(*paths->TerminationLog("main", "0")), 0666u);
  ASSERT_TRUE(RemovePodLogs(*paths));
  EXPECT_FALSE(Exists(paths->log_directory()));
}

TEST_F(SandboxDirs, SayWhatIsInTheWay) {
  const Result<PodPaths> paths = PodPaths::For(directories(), NamedPod("default", "pod", "1234"));
  Write(paths->pod_directory(), "x");
  const Status status = MakePodDirectories(*paths, NamedPod("default", "pod", "1234"));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), HasSubstr("is a regular file and must be a directory"));
}

}  // namespace
}  // namespace daemonsetd::pods

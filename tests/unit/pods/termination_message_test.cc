#include "agent/pods/termination_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "agent/base/utf8.h"
#include "agent/decide/labels.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using ::testing::HasSubstr;

class TerminationMessageTest : public TemporaryTree {
 protected:
  TerminationMessageTest() {
    status_.mutable_metadata()->set_name("main");
    status_.mutable_metadata()->set_attempt(3);
    status_.set_state(v1::CONTAINER_EXITED);
    status_.set_exit_code(1);
    (*status_.mutable_annotations())[decide::kTerminationMessagePathAnnotation] = "/dev/termination-log";
    v1::Mount& mount = *status_.add_mounts();
    mount.set_container_path("/dev/termination-log");
    mount.set_host_path(File());
    pod_.mutable_metadata()->set_name("pod");
    pod_.mutable_metadata()->set_namespace_("ns");
    pod_.mutable_metadata()->set_uid("uid-1");
  }
  std::string File() const { return Path("kubelet/pods/uid-1/containers/main/3"); }
  std::string Log() const { return PodPaths::For(directories(), pod_)->LogPath("main", 3).value(); }
  void FallBack() {
    (*status_.mutable_annotations())[decide::kTerminationMessagePolicyAnnotation] = "FallbackToLogsOnError";
  }
  void WriteLog(const std::vector<std::string>& lines, const std::string& tag = "F") {
    std::string text;
    for (const std::string& line : lines) {
      text += fmt::format("2026-01-02T03:04:05.678901234Z stdout {} {}\n", tag, line);
    }
    Write(Log(), text);
  }
  std::string Message() const { return TerminationMessage(*PodPaths::For(directories(), pod_), status_); }

  corev1::Pod pod_;
  v1::ContainerStatus status_;
};

TEST_F(TerminationMessageTest, IsTheFilesContentAfterTheRuntimesWord) {
  Write(File(), "no space left\n");
  EXPECT_EQ(Message(), "no space left\n");
  status_.set_message("OOMKilled");
  EXPECT_EQ(Message(), "OOMKilled: no space left\n");
  status_.set_exit_code(0);
  EXPECT_EQ(Message(), "OOMKilled: no space left\n") << "also of a container that ended well";
  std::filesystem::remove(File());
  EXPECT_EQ(Message(), "OOMKilled");
  status_.set_state(v1::CONTAINER_RUNNING);
  Write(File(), "not yet");
  EXPECT_EQ(Message(), "OOMKilled");
}

TEST_F(TerminationMessageTest, KeepsTheLast4096BytesAndWholeCharacters) {
  Write(File(), "x" + std::string(4095, 'a') + "z");
  EXPECT_EQ(Message(), std::string(4095, 'a') + "z");
  Write(File(), "\xE2\x82\xAC" + std::string(4094, 'a'));  // the euro sign is cut
  EXPECT_EQ(Message(), std::string(4094, 'a'));
  Write(File(), "broken \xFF");
  EXPECT_EQ(Message(), "broken \xEF\xBF\xBD");
  status_.set_message(std::string(100, 'r'));
  Write(File(), std::string(5000, 'a'));
  EXPECT_EQ(Message().size(), kMaxTerminationMessage);
}

TEST_F(TerminationMessageTest, ReadsNothingButTheContainersOwnFile) {
  Write(Path("secret"), "secret");
  status_.mutable_mounts(0)->set_host_path(Path("secret"));
  EXPECT_EQ(Message(), "") << "a volume is mounted there";
  status_.mutable_mounts(0)->set_host_path(File());
  std::filesystem::create_directories(Path("kubelet/pods/uid-1/containers/main"));
  std::filesystem::create_symlink(Path("secret"), File());
  EXPECT_THAT(Message(), HasSubstr("Error on reading termination log"));
  std::filesystem::remove(File());
  ASSERT_EQ(::mkfifo(File().c_str(), 0666), 0);
  EXPECT_THAT(Message(), HasSubstr("is a pipe"));
}

TEST_F(TerminationMessageTest, FallsBackToTheLogOnlyOnErrorAndWithAnEmptyFile) {
  WriteLog({"one", "two"});
  Write(File(), "");
  EXPECT_EQ(Message(), "") << "policy File";
  FallBack();
  EXPECT_EQ(Message(), "one\ntwo\n");
  status_.set_exit_code(0);
  EXPECT_EQ(Message(), "");
  status_.set_exit_code(1);
  Write(File(), "said");
  EXPECT_EQ(Message(), "said");
  (*status_.mutable_annotations())[decide::kTerminationMessagePathAnnotation] = "";
  EXPECT_EQ(Message(), "one\ntwo\n") << "no file at all";
  std::filesystem::remove(Log());
  EXPECT_THAT(Message(), HasSubstr("Error on reading termination message from logs"));
}

TEST_F(TerminationMessageTest, TakesEightyLinesOr2048BytesOfTheLog) {
  FallBack();
  std::vector<std::string> lines;
  for (int i = 0; i < 100; ++i) lines.push_back(fmt::format("{}", i));
  WriteLog(lines);
  EXPECT_TRUE(Message().starts_with("20\n")) << Message();
  EXPECT_TRUE(Message().ends_with("\n99\n"));
  WriteLog({std::string(3000, 'a'), "end"});
  EXPECT_EQ(Message().size(), kMaxMessageFromLog);
  EXPECT_TRUE(Message().ends_with("a\nend\n"));
  WriteLog({"half", " and half"}, "P");
  EXPECT_EQ(Message(), "half and half");
  WriteLog({std::string(200'000, 'b')});
  EXPECT_EQ(Message(), std::string(kMaxMessageFromLog - 1, 'b') + "\n");
  Write(Log(), "no format");
  EXPECT_EQ(Message(), "no format\n");
}

TEST(LimitTerminationMessages, SharesTwelveKibibytesEqually) {
  corev1::PodSpec spec;
  corev1::PodStatus status;
  for (int i = 0; i < 3; ++i) {
    spec.add_containers();
    auto& container = *status.add_containerstatuses();
    container.mutable_state()->mutable_terminated()->set_message(std::string(5000, 'a'));
    container.mutable_laststate()->mutable_terminated()->set_message("short");
  }
  spec.add_initcontainers();
  auto& init = *status.add_initcontainerstatuses()->mutable_laststate()->mutable_terminated();
  for (int i = 0; i < 2000; ++i) init.mutable_message()->append("\xE2\x82\xAC");
  LimitTerminationMessages(spec, status);
  EXPECT_EQ(status.containerstatuses(2).state().terminated().message().size(), 3072u);
  EXPECT_EQ(status.containerstatuses(2).laststate().terminated().message(), "short");
  EXPECT_EQ(init.message().size(), 3072u);
  EXPECT_EQ(ValidUtf8(init.message()), init.message());
  EXPECT_FALSE(status.containerstatuses(0).state().has_waiting());
}

}  // namespace
}  // namespace daemonsetd::pods

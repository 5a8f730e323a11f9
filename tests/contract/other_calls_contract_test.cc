// What is no step of a life: version, images, commands, logs, deadlines.
#include "tests/contract/runtime_contract.h"

#include <filesystem>
#include <fstream>
#include <regex>

#include <gmock/gmock.h>

namespace daemonsetd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_P(RuntimeContract, TellsItsVersion) {
  const auto version = Run(runtime_->Version(kCallTimeout));
  ASSERT_TRUE(version) << version.error().message();
  EXPECT_EQ(version->runtime_api_version(), "v1");
  EXPECT_FALSE(version->runtime_name().empty());
}

TEST_P(RuntimeContract, TellsThatItIsReady) {
  const auto status = Run(runtime_->Status(false, kCallTimeout));
  ASSERT_TRUE(status) << status.error().message();
  bool ready = false;
  for (const auto& condition : status->status().conditions()) {
    if (condition.type() == "RuntimeReady") ready = condition.status();
  }
  EXPECT_TRUE(ready);
}

TEST_P(RuntimeContract, WritesTheLogInTheCriFormat) {
  const std::string id = Start(RunSandbox("pod"), "pod", Fails());
  const v1::ContainerStatus status = WaitForExit(id);
  EXPECT_EQ(status.log_path(), (log_root_ / "pod/fails/0.log").string());
  std::ifstream log(status.log_path());
  std::string line;
  ASSERT_TRUE(std::getline(log, line)) << status.log_path();
  EXPECT_TRUE(
      std::regex_match(line, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) stdout F hello)")))
      << line;
}

TEST_P(RuntimeContract, KnowsThePresentImageAndNotTheAbsentOne) {
  v1::ImageSpec image;
  image.set_image(GetParam().image);
  const auto present = Run(runtime_->ImageStatus(image, kCallTimeout));
  ASSERT_TRUE(present) << present.error().message();
  EXPECT_GT(present->size(), 0u);
  // A filter is only a hint: containerd answers every image.
  v1::ImageFilter filter;
  *filter.mutable_image() = image;
  const auto list = Run(runtime_->ListImages(filter, kCallTimeout));
  ASSERT_TRUE(list);
  std::vector<std::string> ids;
  for (const auto& each : list->images()) ids.push_back(each.id());
  EXPECT_THAT(ids, ::testing::Contains(present->id()));
  image.set_image("localhost/absent:1");
  const auto absent = Run(runtime_->ImageStatus(image, kCallTimeout));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind(), ErrorKind::kAbsent) << absent.error().message();
}

TEST_P(RuntimeContract, PullingAnImageThatNoRegistryHasFails) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image("localhost:1/absent:1");
  const auto pulled = Run(runtime_->PullImage(request, kCallTimeout));
  ASSERT_FALSE(pulled);
  EXPECT_THAT(pulled.error().message(), HasSubstr("CRI PullImage: "));
}

TEST_P(RuntimeContract, ExecAnswersOutputAndExitCode) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  for (const char* word : {"sh", "-c", "echo to out; echo to err >&2; exit 5"}) request.add_cmd(word);
  request.set_timeout(10);
  const auto response = Run(runtime_->ExecSync(request, kCallTimeout));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->exit_code(), 5);
  EXPECT_EQ(response->stdout(), "to out\n");
  EXPECT_EQ(response->stderr(), "to err\n");
}

TEST_P(RuntimeContract, ACallPastItsDeadlineIsATimeout) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("sleep");
  request.add_cmd("30");
  const MonoTime before = timeline().mono();
  auto response = Run(runtime_->ExecSync(request, milliseconds(300)));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kTimeout) << response.error().message();
  EXPECT_LT(timeline().mono() - before, seconds(20));
  // The same when the runtime keeps the time.
  request.set_timeout(1);
  response = Run(runtime_->ExecSync(request, kCallTimeout));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kTimeout) << response.error().message();
}

TEST_P(RuntimeContract, ACancelledCallEndsAndSaysSo) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  v1::ExecSyncRequest request;
  request.set_container_id(id);
  request.add_cmd("sleep");
  request.add_cmd("30");
  auto call = loop_.Start(runtime_->ExecSync(request, kCallTimeout));
  EXPECT_FALSE(call->done());
  loop_.Cancel(call);
  loop_.RunUntil(call->ended);
  ASSERT_TRUE(call->value.has_value()) << "a call answers its end; it does not throw";
  ASSERT_FALSE(*call->value);
  EXPECT_EQ(call->value->error().kind(), ErrorKind::kCancelled) << call->value->error().message();
}

TEST_P(RuntimeContract, ReopensTheLogOfARunningContainerOnly) {
  const std::string sandbox = RunSandbox("pod");
  const std::string running = Start(sandbox, "pod", Polite());
  const auto status = Run(runtime_->ContainerStatus(running, false, kCallTimeout));
  ASSERT_TRUE(status) << status.error().message();
  const std::string& log = status->status().log_path();
  ASSERT_TRUE(std::filesystem::exists(log)) << log;
  std::filesystem::rename(log, log + ".20261127-101500");
  EXPECT_TRUE(Run(runtime_->ReopenContainerLog(running, kCallTimeout)));
  EXPECT_TRUE(std::filesystem::exists(log)) << log;
  const std::string ended = Start(sandbox, "pod", Succeeds());
  WaitForExit(ended);
  EXPECT_FALSE(Run(runtime_->ReopenContainerLog(ended, kCallTimeout)));
}

TEST_P(RuntimeContract, ReportsTheImageFileSystem) {
  const auto info = Run(runtime_->ImageFsInfo(kCallTimeout));
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_THAT(info->image_filesystems(), ::testing::Not(IsEmpty()));
}

}  // namespace
}  // namespace daemonsetd

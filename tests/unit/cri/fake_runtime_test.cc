// What the fake can do beyond the contract: faults and accidents.
#include "tests/support/fake_runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop.h"

namespace daemonsetd::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class FakeRuntimeTest : public ::testing::Test {
 protected:
  FakeRuntimeTest() { runtime_.AddImage("busybox:1"); }

  v1::RunPodSandboxRequest Pod(int attempt = 0) const {
    v1::RunPodSandboxRequest request;
    auto* metadata = request.mutable_config()->mutable_metadata();
    metadata->set_name("pod");
    metadata->set_namespace_("default");
    metadata->set_uid("uid");
    metadata->set_attempt(static_cast<std::uint32_t>(attempt));
    request.mutable_config()->mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
    return request;
  }
  std::string Sandbox(int attempt = 0) { return *loop_.Run(runtime_.RunPodSandbox(Pod(attempt), minutes(1))); }
  v1::CreateContainerRequest Container(const std::string& sandbox, const std::string& name) const {
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(sandbox);
    *request.mutable_sandbox_config() = Pod().config();
    request.mutable_config()->mutable_metadata()->set_name(name);
    request.mutable_config()->mutable_image()->set_image("busybox:1");
    return request;
  }
  std::string Running(const std::string& sandbox, const std::string& name) {
    std::string id = *loop_.Run(runtime_.CreateContainer(Container(sandbox, name), minutes(1)));
    EXPECT_TRUE(loop_.Run(runtime_.StartContainer(id, minutes(1))));
    return id;
  }

  TestLoop loop_;
  FakeRuntime runtime_{loop_.executor(), loop_.timeline()};
};

// LC-09, LC-10
TEST_F(FakeRuntimeTest, ASlowRunHoldsItsNameAndTakesEffectAfterTheTimeout) {
  runtime_.Inject("RunPodSandbox", Fault::Delay(minutes(10)));
  const auto first = loop_.Run(runtime_.RunPodSandbox(Pod(), minutes(2)));
  EXPECT_EQ(first.error().kind(), ErrorKind::kTimeout);
  EXPECT_EQ(loop_.Run(runtime_.RunPodSandbox(Pod(), minutes(2))).error().kind(), ErrorKind::kExists);
  EXPECT_EQ(runtime_.LiveSandboxes("uid"), 0);
  loop_.Advance(minutes(8));
  EXPECT_EQ(runtime_.LiveSandboxes("uid"), 1);
}

TEST_F(FakeRuntimeTest, AnErrorMayComeAlthoughTheCallTookEffect) {
  runtime_.Inject("RunPodSandbox", Fault::FailAfterEffect(Error(ErrorKind::kRetry, "lost answer")));
  EXPECT_FALSE(loop_.Run(runtime_.RunPodSandbox(Pod(), minutes(1))));
  EXPECT_EQ(runtime_.LiveSandboxes("uid"), 1);
}

TEST_F(FakeRuntimeTest, AFaultHitsItsSubjectOnlyAndSoManyTimes) {
  const std::string sandbox = Sandbox();
  runtime_.Inject("CreateContainer", Fault::Fail(Error(ErrorKind::kRetry, "no")).On("bad"), 2);
  EXPECT_TRUE(loop_.Run(runtime_.CreateContainer(Container(sandbox, "good"), minutes(1))));
  for (const bool works : {false, false, true}) {
    EXPECT_EQ(loop_.Run(runtime_.CreateContainer(Container(sandbox, "bad"), minutes(1))).has_value(), works);
  }
  EXPECT_EQ(runtime_.Count("CreateContainer"), 4);
}

// LC-12
TEST_F(FakeRuntimeTest, AHungCallTakesEffectWhenReleased) {
  const std::string sandbox = Sandbox();
  runtime_.Inject("StopPodSandbox", Fault::Hang());
  EXPECT_EQ(loop_.Run(runtime_.StopPodSandbox(sandbox, minutes(1))).error().kind(), ErrorKind::kTimeout);
  EXPECT_EQ(runtime_.LiveSandboxes("uid"), 1);
  runtime_.ReleaseHung();
  EXPECT_EQ(runtime_.LiveSandboxes("uid"), 0);
}

TEST_F(FakeRuntimeTest, ABootLeavesRecordsOfWhatRan) {  // LC-21
  const std::string container = Running(Sandbox(), "main");
  runtime_.Boot();
  EXPECT_EQ(runtime_.LiveSandboxes("uid"), 0);
  EXPECT_EQ(runtime_.FindContainer(container)->state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(runtime_.FindContainer(container)->exit_code(), 255);
  Sandbox(1);
  EXPECT_EQ(runtime_.MostLiveSandboxes("uid"), 1);
}

TEST_F(FakeRuntimeTest, ARestartFailsCallsUnderWayAndKeepsContainers) {
  const std::string container = Running(Sandbox(), "main");
  runtime_.SetExec([](const auto&) { return ExecAnswer{.takes = minutes(1)}; });
  v1::ExecSyncRequest request;
  request.set_container_id(container);
  auto exec = loop_.Start(runtime_.ExecSync(request, minutes(2)));
  auto events = loop_.Start(runtime_.ContainerEvents([](const auto&) {}));
  runtime_.Restart();
  loop_.Settle();
  ASSERT_TRUE(exec->done() && events->done());
  EXPECT_EQ(exec->value->error().kind(), ErrorKind::kRetry);
  EXPECT_EQ(events->value->error().kind(), ErrorKind::kRetry);
  EXPECT_EQ(runtime_.FindContainer(container)->state(), v1::CONTAINER_RUNNING);
  loop_.Advance(minutes(5));
}

TEST_F(FakeRuntimeTest, LostEventsNeverCome) {  // LC-13
  int seen = 0;
  auto events = loop_.Start(runtime_.ContainerEvents([&seen](const auto&) { ++seen; }));
  runtime_.LoseEvents(1);
  Sandbox();
  EXPECT_EQ(seen, 1) << "created is lost, started comes";
  runtime_.EndEventStreams();
  loop_.Settle();
  EXPECT_TRUE(events->done());
}

TEST_F(FakeRuntimeTest, AnUnknownContainerCountsAsRunningUntilStopped) {  // LC-17
  const std::string sandbox = Sandbox();
  const std::string first = Running(sandbox, "main");
  runtime_.SetContainerState(first, v1::CONTAINER_UNKNOWN);
  auto second = Container(sandbox, "main");
  second.mutable_config()->mutable_metadata()->set_attempt(1);
  const std::string id = *loop_.Run(runtime_.CreateContainer(second, minutes(1)));
  EXPECT_TRUE(loop_.Run(runtime_.StartContainer(id, minutes(1))));
  EXPECT_EQ(runtime_.MostRunning("uid", "main"), 2);
  EXPECT_TRUE(loop_.Run(runtime_.StopContainer(first, seconds(1), minutes(1))));
  EXPECT_EQ(runtime_.FindContainer(first)->state(), v1::CONTAINER_EXITED);
}

TEST_F(FakeRuntimeTest, AStartErrorLeavesAnExitedContainer) {
  runtime_.SetBehaviour("main", Behaviour{.start_error = "exec: not found"});
  const std::string id = *loop_.Run(runtime_.CreateContainer(Container(Sandbox(), "main"), minutes(1)));
  EXPECT_FALSE(loop_.Run(runtime_.StartContainer(id, minutes(1))));
  EXPECT_EQ(runtime_.FindContainer(id)->reason(), "StartError");
}

TEST_F(FakeRuntimeTest, PullsFollowTheirScript) {
  runtime_.SetPull("slow:1", PullAnswer{.takes = seconds(30)});
  runtime_.SetPull("hangs:1", PullAnswer{.hangs = true});
  v1::PullImageRequest request;
  request.mutable_image()->set_image("slow:1");
  EXPECT_EQ(loop_.Run(runtime_.PullImage(request, seconds(10))).error().kind(), ErrorKind::kTimeout);
  loop_.Advance(seconds(30));
  EXPECT_TRUE(loop_.Run(runtime_.ImageStatus(request.image(), seconds(10)))) << "the pull went on";
  request.mutable_image()->set_image("hangs:1");
  EXPECT_EQ(loop_.Run(runtime_.PullImage(request, minutes(10))).error().kind(), ErrorKind::kTimeout);
}

}  // namespace
}  // namespace daemonsetd::testing

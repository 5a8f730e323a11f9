// When the view asks the runtime, and what it then knows.
#include "agent/pods/runtime_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::FakeRuntime;
using testing::Fault;

constexpr char kImage[] = "docker.io/library/agent:1";
constexpr auto kCallTimeout = seconds(10);

class RuntimeViewTest : public ::testing::Test {
 protected:
  RuntimeViewTest() : runtime_(loop_.executor(), loop_.timeline()) { runtime_.AddImage(kImage); }
  ~RuntimeViewTest() override {
    if (run_) loop_.Cancel(run_);
    loop_.Settle();
  }

  void Start() { run_ = loop_.Start(view_.Run()); }

  std::string RunPod(const std::string& uid, const char* managed = "true") {
    cri::v1::RunPodSandboxRequest run;
    run.mutable_config()->mutable_metadata()->set_name(uid);
    run.mutable_config()->mutable_metadata()->set_uid(uid);
    (*run.mutable_config()->mutable_labels())[decide::kManagedByLabel] = managed;
    const auto sandbox = loop_.Run(runtime_.RunPodSandbox(run, kCallTimeout));
    EXPECT_TRUE(sandbox);
    return RunContainer(*sandbox, uid, "main", managed);
  }

  std::string RunContainer(const std::string& sandbox, const std::string& uid, const std::string& name,
                           const char* managed = "true") {
    cri::v1::CreateContainerRequest create;
    create.set_pod_sandbox_id(sandbox);
    create.mutable_sandbox_config()->mutable_metadata()->set_uid(uid);  // part of the name that the runtime reserves
    create.mutable_config()->mutable_metadata()->set_name(name);
    create.mutable_config()->mutable_image()->set_image(kImage);
    (*create.mutable_config()->mutable_labels())[decide::kManagedByLabel] = managed;
    (*create.mutable_config()->mutable_labels())[decide::kPodUidLabel] = uid;
    const auto container = loop_.Run(runtime_.CreateContainer(create, kCallTimeout));
    EXPECT_TRUE(container);
    EXPECT_TRUE(loop_.Run(runtime_.StartContainer(*container, kCallTimeout)));
    return *container;
  }

  // Empty while nothing is known.
  std::optional<cri::v1::ContainerState> StateOf(const std::string& uid) const {
    const auto* pod = view_.Find(uid);
    if (!pod || pod->containers.empty()) return std::nullopt;
    return pod->containers.front().status.state();
  }
  int lists() const { return runtime_.Count("ListPodSandbox"); }

  testing::TestLoop loop_;
  FakeRuntime runtime_;
  RuntimeView view_{runtime_, loop_.timeline(), loop_.executor(), RuntimeViewSettings{}, [](const std::string&) {}};
  std::shared_ptr<testing::Started<void>> run_;
};

TEST_F(RuntimeViewTest, AnOpenStreamEndsPollingEvenIfNothingHappens) {
  RunPod("a");
  Start();
  loop_.Advance(seconds(10));
  EXPECT_TRUE(view_.has_events());
  runtime_.ClearCalls();
  loop_.Advance(hours(1));
  EXPECT_EQ(runtime_.calls().size(), 24u) << "two lists every five minutes and nothing else";
}

TEST_F(RuntimeViewTest, WithEventsAnExitIsSeenAtOnce) {
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  runtime_.ExitContainer(container, 3);
  loop_.Advance(milliseconds(50));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
}

TEST_F(RuntimeViewTest, WithoutEventsItPollsAndAsksAgainForThemRarely) {
  runtime_.SetEventsSupported(false);
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  EXPECT_FALSE(view_.has_events());
  runtime_.ExitContainer(container, 3);
  loop_.Advance(seconds(3));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
  runtime_.SetEventsSupported(true);  // an upgrade of the runtime
  loop_.Advance(minutes(6));
  EXPECT_TRUE(view_.has_events());
}

// LC-13
TEST_F(RuntimeViewTest, WhatHappensBetweenTwoStreamsIsFound) {
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  runtime_.LoseEvents(1);
  runtime_.ExitContainer(container, 3);
  runtime_.EndEventStreams();
  loop_.Advance(milliseconds(50));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
  loop_.Advance(seconds(10));
  EXPECT_TRUE(view_.has_events()) << "the next stream is relied on again";
}

TEST_F(RuntimeViewTest, WhatALostEventDidNotTellIsFoundByTheSafetyPoll) {
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  runtime_.LoseEvents(1);
  runtime_.ExitContainer(container, 3);
  loop_.Advance(minutes(6));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
}

TEST_F(RuntimeViewTest, EventsOfForeignPodsCostNoCall) {
  Start();
  loop_.Advance(minutes(1));
  const std::string container = RunPod("foreign", "false");
  runtime_.ExitContainer(container, 0);
  loop_.Advance(seconds(1));
  const int before = lists();
  RunPod("foreign-2", "false");
  loop_.Advance(seconds(1));
  EXPECT_EQ(lists(), before);
  EXPECT_EQ(view_.Find("foreign"), nullptr);
}

TEST_F(RuntimeViewTest, EventsThatTellWhatOurOwnCallsToldCostNoList) {
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  const std::string sandbox = runtime_.Sandboxes().front().id();
  const int before = lists();
  ASSERT_TRUE(loop_.Run(runtime_.StopContainer(container, Seconds(0), kCallTimeout)));
  ASSERT_TRUE(loop_.Run(view_.InspectContainer(container, sandbox)));
  loop_.Advance(seconds(1));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
  EXPECT_EQ(lists(), before);
}

TEST_F(RuntimeViewTest, ABurstOfEventsIsOneList) {
  std::vector<std::string> containers;
  for (int i = 0; i < 20; ++i) containers.push_back(RunPod("pod-" + std::to_string(i)));
  Start();
  loop_.Advance(minutes(1));
  const int before = lists();
  for (const std::string& container : containers) runtime_.ExitContainer(container, 1);
  loop_.Advance(seconds(1));
  EXPECT_EQ(lists(), before + 1);
  EXPECT_EQ(StateOf("pod-19"), cri::v1::CONTAINER_EXITED);
}

// LC-12: no event will tell it again, so the view must ask again by itself.
TEST_F(RuntimeViewTest, AFailedInspectionIsRepeatedSoonAlsoWithEvents) {
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  runtime_.Inject("ContainerStatus", Fault::Fail(Error(ErrorKind::kRetry, "busy")), 3);
  runtime_.ClearCalls();
  runtime_.ExitContainer(container, 3);
  loop_.Advance(seconds(5));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
  EXPECT_EQ(runtime_.Count("ContainerStatus"), 4) << "and not in a hot loop";
}

TEST_F(RuntimeViewTest, AChangeDuringAnInspectionIsNotMissed) {
  const std::string slow = RunPod("a");
  const std::string other = RunContainer(runtime_.Sandboxes().front().id(), "a", "other");
  Start();
  loop_.Advance(minutes(1));
  runtime_.Inject("ContainerStatus", Fault::Delay(seconds(2)).On(slow));
  runtime_.ExitContainer(slow, 1);
  loop_.Advance(seconds(1));
  runtime_.ExitContainer(other, 1);  // listed, but the pod is under inspection
  loop_.Advance(seconds(3));
  for (const auto& container : view_.Find("a")->containers) {
    EXPECT_EQ(container.status.state(), cri::v1::CONTAINER_EXITED) << container.status.metadata().name();
  }
}

TEST_F(RuntimeViewTest, ARestartOfTheRuntimeIsSurvivedAndFollowedByAnotherStream) {
  const std::string container = RunPod("a");
  Start();
  loop_.Advance(minutes(1));
  runtime_.SetDown(true);
  loop_.Advance(seconds(20));
  EXPECT_FALSE(view_.last_error().empty());
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_RUNNING) << "an unanswered list is not an empty one";
  runtime_.SetDown(false);
  loop_.Advance(seconds(20));
  EXPECT_TRUE(view_.last_error().empty());
  EXPECT_TRUE(view_.has_events());
  runtime_.ExitContainer(container, 1);
  loop_.Advance(milliseconds(50));
  EXPECT_EQ(StateOf("a"), cri::v1::CONTAINER_EXITED);
}

}  // namespace
}  // namespace daemonsetd::pods

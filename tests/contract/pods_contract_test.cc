// Sandboxes and containers: their states, names, lists, stops and removals.
#include "tests/contract/runtime_contract.h"

#include <gmock/gmock.h>

namespace daemonsetd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_P(RuntimeContract, RunsStopsAndRemovesASandbox) {
  const std::string id = RunSandbox("pod");
  auto status = Run(runtime_->PodSandboxStatus(id, false, kCallTimeout));
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->status().id(), id);
  EXPECT_EQ(status->status().state(), v1::SANDBOX_READY);
  EXPECT_EQ(status->status().metadata().name(), "pod");
  EXPECT_EQ(status->status().metadata().uid(), uid_ + "pod");
  EXPECT_GT(status->status().created_at(), 0);

  EXPECT_TRUE(Run(runtime_->StopPodSandbox(id, kCallTimeout)));
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(id, kCallTimeout))) << "stopping twice is success";
  status = Run(runtime_->PodSandboxStatus(id, false, kCallTimeout));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->status().state(), v1::SANDBOX_NOTREADY);

  EXPECT_TRUE(Run(runtime_->RemovePodSandbox(id, kCallTimeout)));
  status = Run(runtime_->PodSandboxStatus(id, false, kCallTimeout));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kAbsent) << status.error().message();
  EXPECT_THAT(status.error().message(), HasSubstr("CRI PodSandboxStatus: "));
}

// LC-10: until the first is removed, the name belongs to it.
TEST_P(RuntimeContract, ASecondSandboxOfTheSameNameAndAttemptIsRefused) {
  const std::string id = RunSandbox("pod");
  auto second = TryRunSandbox("pod");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kExists) << second.error().message();
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(id, kCallTimeout)));
  second = TryRunSandbox("pod");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kExists) << second.error().message();
  EXPECT_TRUE(Run(runtime_->RemovePodSandbox(id, kCallTimeout)));
  EXPECT_NE(RunSandbox("pod"), id);
}

// LC-18
TEST_P(RuntimeContract, StoppingAndRemovingWhatDoesNotExistSucceeds) {
  const std::string absent(64, 'f');
  for (const Status& status :
       {Run(runtime_->StopPodSandbox(absent, kCallTimeout)), Run(runtime_->RemovePodSandbox(absent, kCallTimeout)),
        Run(runtime_->StopContainer(absent, seconds(1), kCallTimeout)),
        Run(runtime_->RemoveContainer(absent, kCallTimeout))}) {
    EXPECT_TRUE(status) << status.error().message();
  }
  v1::ImageSpec image;
  image.set_image("localhost/absent:1");
  EXPECT_TRUE(Run(runtime_->RemoveImage(image, kCallTimeout)));
}

TEST_P(RuntimeContract, AsksAboutWhatDoesNotExistAnswerAbsent) {
  const std::string absent(64, 'f');
  const auto status = Run(runtime_->ContainerStatus(absent, false, kCallTimeout));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kAbsent) << status.error().message();
  const Status started = Run(runtime_->StartContainer(absent, kCallTimeout));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::kAbsent) << started.error().message();
  const auto created = Run(runtime_->CreateContainer(ContainerRequest(absent, "pod", Polite()), kCallTimeout));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().kind(), ErrorKind::kAbsent) << created.error().message();
}

TEST_P(RuntimeContract, AContainerGoesFromCreatedToRunningToExited) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Create(sandbox, "pod", Fails());
  v1::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_CREATED);
  EXPECT_GT(status.created_at(), 0);
  EXPECT_EQ(status.started_at(), 0);
  Pause(milliseconds(1));
  ASSERT_TRUE(Run(runtime_->StartContainer(id, kCallTimeout)));
  status = WaitForExit(id);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.reason(), "Error");
  EXPECT_GT(status.started_at(), status.created_at());
  EXPECT_GT(status.finished_at(), status.started_at());
  EXPECT_FALSE(status.image_ref().empty());
}

TEST_P(RuntimeContract, ExitCodeZeroIsCompleted) {
  const std::string id = Start(RunSandbox("pod"), "pod", Succeeds());
  const v1::ContainerStatus status = WaitForExit(id);
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(status.reason(), "Completed");
}

TEST_P(RuntimeContract, AContainerCannotBeStartedTwice) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  EXPECT_FALSE(Run(runtime_->StartContainer(id, kCallTimeout)));
  EXPECT_EQ(StatusOf(id).state(), v1::CONTAINER_RUNNING);
}

TEST_P(RuntimeContract, ASecondContainerOfTheSameNameAndAttemptIsRefused) {  // LC-09
  const std::string sandbox = RunSandbox("pod");
  Create(sandbox, "pod", Polite());
  const auto second = Run(runtime_->CreateContainer(ContainerRequest(sandbox, "pod", Polite()), kCallTimeout));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kExists) << second.error().message();
}

TEST_P(RuntimeContract, CreatingFromAnAbsentImageFails) {
  const std::string sandbox = RunSandbox("pod");
  auto request = ContainerRequest(sandbox, "pod", Polite());
  request.mutable_config()->mutable_image()->set_image("localhost/absent:1");
  const auto created = Run(runtime_->CreateContainer(request, kCallTimeout));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().kind(), ErrorKind::kAbsent) << created.error().message();
  // The failed call holds no name.
  Create(sandbox, "pod", Polite());
}

TEST_P(RuntimeContract, StopSendsTermFirst) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(20), kCallTimeout)));
  const v1::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 7);
}

TEST_P(RuntimeContract, StopKillsAfterTheGracePeriod) {
  const std::string id = Start(RunSandbox("pod"), "pod", Stubborn());
  const MonoTime before = timeline().mono();
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(1), kCallTimeout)));
  EXPECT_GE(timeline().mono() - before, milliseconds(900));
  const v1::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 137);
}

TEST_P(RuntimeContract, StopWithoutGraceKillsAtOnce) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(0), kCallTimeout)));
  EXPECT_EQ(StatusOf(id).exit_code(), 137);
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(1), kCallTimeout))) << "stopping what has ended is success";
}

// LC-14: the deadline of the call, not the runtime, ends the wait; the stop itself goes on.
TEST_P(RuntimeContract, AStopThatOutlivesItsDeadlineIsATimeout) {
  const std::string id = Start(RunSandbox("pod"), "pod", Stubborn());
  const Status stopped = Run(runtime_->StopContainer(id, seconds(20), milliseconds(300)));
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kTimeout) << stopped.error().message();
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(0), kCallTimeout)));
  EXPECT_EQ(StatusOf(id).exit_code(), 137);
}

TEST_P(RuntimeContract, ListsAreFilteredByLabelStateAndSandbox) {
  const std::string one = RunSandbox("one");
  const std::string two = RunSandbox("two");
  const std::string running = Start(one, "one", Polite());
  const std::string created = Create(two, "two", Polite());

  v1::PodSandboxFilter pods;
  (*pods.mutable_label_selector())[kTestLabel] = uid_;
  auto sandboxes = Run(runtime_->ListPodSandbox(pods, kCallTimeout));
  ASSERT_TRUE(sandboxes);
  EXPECT_THAT(sandboxes->items(), SizeIs(2));
  (*pods.mutable_label_selector())["io.kubernetes.pod.name"] = "two";
  sandboxes = Run(runtime_->ListPodSandbox(pods, kCallTimeout));
  ASSERT_TRUE(sandboxes);
  ASSERT_THAT(sandboxes->items(), SizeIs(1));
  EXPECT_EQ(sandboxes->items(0).id(), two);
  pods.mutable_state()->set_state(v1::SANDBOX_NOTREADY);
  sandboxes = Run(runtime_->ListPodSandbox(pods, kCallTimeout));
  ASSERT_TRUE(sandboxes);
  EXPECT_THAT(sandboxes->items(), IsEmpty());

  v1::ContainerFilter containers;
  (*containers.mutable_label_selector())[kTestLabel] = uid_;
  auto list = Run(runtime_->ListContainers(containers, kCallTimeout));
  ASSERT_TRUE(list);
  std::vector<std::string> ids;
  for (const auto& container : list->containers()) ids.push_back(container.id());
  EXPECT_THAT(ids, UnorderedElementsAre(running, created));
  containers.mutable_state()->set_state(v1::CONTAINER_RUNNING);
  list = Run(runtime_->ListContainers(containers, kCallTimeout));
  ASSERT_TRUE(list);
  ASSERT_THAT(list->containers(), SizeIs(1));
  EXPECT_EQ(list->containers(0).id(), running);
  EXPECT_EQ(list->containers(0).pod_sandbox_id(), one);
  containers.clear_state();
  containers.set_pod_sandbox_id(two);
  list = Run(runtime_->ListContainers(containers, kCallTimeout));
  ASSERT_TRUE(list);
  ASSERT_THAT(list->containers(), SizeIs(1));
  EXPECT_EQ(list->containers(0).id(), created);
}

TEST_P(RuntimeContract, LabelsAndAnnotationsComeBackAsGiven) {
  const std::string sandbox = RunSandbox("pod");
  const std::string container = Create(sandbox, "pod", Polite());
  v1::PodSandboxFilter filter;
  filter.set_id(sandbox);
  const auto list = Run(runtime_->ListPodSandbox(filter, kCallTimeout));
  ASSERT_TRUE(list);
  ASSERT_THAT(list->items(), SizeIs(1));
  EXPECT_EQ(list->items(0).labels().at(kTestLabel), uid_);
  EXPECT_EQ(list->items(0).annotations().at("daemonsetd.dev/note"), "kept as it is: ä \"quoted\"");
  const v1::ContainerStatus status = StatusOf(container);
  EXPECT_EQ(status.labels().at("io.kubernetes.container.name"), "polite");
  EXPECT_EQ(status.annotations().at("io.kubernetes.container.restartCount"), "0");
  EXPECT_EQ(status.metadata().name(), "polite");
}

TEST_P(RuntimeContract, StoppingASandboxStopsItsContainers) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Start(sandbox, "pod", Stubborn());
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(sandbox, kCallTimeout)));
  const v1::ContainerStatus status = WaitForExit(id);
  EXPECT_EQ(status.exit_code(), 137);
}

TEST_P(RuntimeContract, AStoppedSandboxTakesNoNewContainer) {
  const std::string sandbox = RunSandbox("pod");
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(sandbox, kCallTimeout)));
  EXPECT_FALSE(Run(runtime_->CreateContainer(ContainerRequest(sandbox, "pod", Polite()), kCallTimeout)));
}

TEST_P(RuntimeContract, RemovingASandboxRemovesItsContainers) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Start(sandbox, "pod", Polite());
  EXPECT_TRUE(Run(runtime_->RemovePodSandbox(sandbox, kCallTimeout)));
  const auto status = Run(runtime_->ContainerStatus(id, false, kCallTimeout));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kAbsent);
}

TEST_P(RuntimeContract, RemovingARunningContainerStopsIt) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Start(sandbox, "pod", Polite());
  EXPECT_TRUE(Run(runtime_->RemoveContainer(id, kCallTimeout)));
  v1::ContainerFilter filter;
  filter.set_pod_sandbox_id(sandbox);
  const auto list = Run(runtime_->ListContainers(filter, kCallTimeout));
  ASSERT_TRUE(list);
  EXPECT_THAT(list->containers(), IsEmpty());
}

}  // namespace
}  // namespace daemonsetd

// What every cri::Runtime promises. Run it on each implementation:
//   runtime_contract_test --runtime=fake
//   runtime_contract_test --runtime=endpoint      with DAEMONSETD_TEST_RUNTIME_ENDPOINT and DAEMONSETD_TEST_IMAGE set
// A real runtime that is asked for and not there is a failure.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/async/system_timeline.h"
#include "cri/grpc_bridge.h"
#include "cri/grpc_runtime.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"

#include <unistd.h>

namespace daemonsetd {
namespace {

namespace v1 = ::runtime::v1;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Behaviour;
using testing::ExecAnswer;
using testing::FakeRuntime;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TestLoop;
using ::testing::UnorderedElementsAre;

constexpr auto kCallTimeout = minutes(1);
constexpr char kTestLabel[] = "daemonsetd.dev/contract-test";

// Empty: the fake.
std::string real_endpoint;
std::string test_image = "docker.io/library/busybox:1";

// Each container is a shell script for the real runtime and a behaviour of the same name for the fake.
struct Program {
  std::string name;
  std::string script;
  Behaviour behaviour;
};

Program Polite() {
  return {.name = "polite",
          .script = "trap 'exit 7' TERM; while :; do sleep 0.05; done",
          .behaviour = {.stops_after = milliseconds(50), .exit_code_on_term = 7}};
}
Program Stubborn() {
  return {
      .name = "stubborn", .script = "trap '' TERM; while :; do sleep 0.05; done", .behaviour = {.ignores_term = true}};
}
Program Fails() {
  return {.name = "fails",
          .script = "echo hello; sleep 0.1; exit 3",
          .behaviour = {.exits_after = milliseconds(100), .exit_code = 3, .output = {"hello"}}};
}
Program Succeeds() { return {.name = "succeeds", .script = "exit 0", .behaviour = {.exits_after = milliseconds(1)}}; }

ExecAnswer FakeExec(const v1::ExecSyncRequest& request) {
  if (request.cmd(0) == "sleep") return ExecAnswer{.takes = seconds(std::stoi(request.cmd(1)))};
  return ExecAnswer{.exit_code = 5, .standard_output = "to out\n", .standard_error = "to err\n"};
}

class RuntimeContract : public ::testing::Test {
 protected:
  void SetUp() override {
    if (real_endpoint.empty()) {
      auto fake = std::make_unique<FakeRuntime>(loop_.executor(), loop_.timeline());
      for (const Program& program : {Polite(), Stubborn(), Fails(), Succeeds()}) {
        fake->SetBehaviour(program.name, program.behaviour);
      }
      fake->AddImage(test_image);
      fake->SetExec(FakeExec);
      fake->SetWritesLogs(true);
      runtime_ = std::move(fake);
    } else {
      runtime_ = std::make_unique<cri::GrpcRuntime>(loop_.executor(), real_endpoint);
    }
    char pattern[] = "/tmp/dsd-contract-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    log_root_ = pattern;
    uid_ = "uid-" + log_root_.filename().string();
  }

  void TearDown() override {
    v1::PodSandboxFilter mine;
    (*mine.mutable_label_selector())[kTestLabel] = uid_;
    const auto list = Run(runtime_->ListPodSandbox(mine, kCallTimeout));
    ASSERT_TRUE(list) << list.error().message();
    for (const auto& sandbox : list->items()) {
      EXPECT_TRUE(Run(runtime_->StopPodSandbox(sandbox.id(), kCallTimeout)));
      EXPECT_TRUE(Run(runtime_->RemovePodSandbox(sandbox.id(), kCallTimeout)));
    }
    std::filesystem::remove_all(log_root_);
  }

  bool real() const { return !real_endpoint.empty(); }
  TestLoop::Clock clock() const { return real() ? TestLoop::Clock::kStands : TestLoop::Clock::kJumps; }
  async::Timeline& timeline() { return real() ? static_cast<async::Timeline&>(system_timeline_) : loop_.timeline(); }

  template <class T>
  T Run(Task<T> task) {
    return loop_.Run(std::move(task), clock());
  }
  void Pause(Nanoseconds duration) { Run(timeline().SleepFor(duration)); }

  v1::PodSandboxConfig SandboxConfig(const std::string& name) const {
    v1::PodSandboxConfig config;
    config.mutable_metadata()->set_name(name);
    config.mutable_metadata()->set_namespace_("contract");
    config.mutable_metadata()->set_uid(uid_ + name);
    config.set_log_directory((log_root_ / name).string());
    (*config.mutable_labels())[kTestLabel] = uid_;
    (*config.mutable_labels())["io.kubernetes.pod.name"] = name;
    (*config.mutable_annotations())["daemonsetd.dev/note"] = "kept as it is: ä \"quoted\"";
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(v1::NODE);
    return config;
  }

  Result<std::string> TryRunSandbox(const std::string& name) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = SandboxConfig(name);
    return Run(runtime_->RunPodSandbox(request, kCallTimeout));
  }
  std::string RunSandbox(const std::string& name) {
    const auto id = TryRunSandbox(name);
    EXPECT_TRUE(id) << id.error().message();
    return id ? *id : "";
  }

  v1::CreateContainerRequest ContainerRequest(const std::string& sandbox, const std::string& pod,
                                              const Program& program) const {
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(sandbox);
    *request.mutable_sandbox_config() = SandboxConfig(pod);
    auto* config = request.mutable_config();
    config->mutable_metadata()->set_name(program.name);
    config->mutable_image()->set_image(test_image);
    config->add_command("sh");
    config->add_args("-c");
    config->add_args(program.script);
    config->set_log_path(program.name + "/0.log");
    (*config->mutable_labels())[kTestLabel] = uid_;
    (*config->mutable_labels())["io.kubernetes.container.name"] = program.name;
    (*config->mutable_annotations())["io.kubernetes.container.restartCount"] = "0";
    return request;
  }
  std::string Create(const std::string& sandbox, const std::string& pod, const Program& program) {
    std::filesystem::create_directories(log_root_ / pod / program.name);
    const auto id = Run(runtime_->CreateContainer(ContainerRequest(sandbox, pod, program), kCallTimeout));
    EXPECT_TRUE(id) << id.error().message();
    return id ? *id : "";
  }
  std::string Start(const std::string& sandbox, const std::string& pod, const Program& program) {
    std::string id = Create(sandbox, pod, program);
    const Status started = Run(runtime_->StartContainer(id, kCallTimeout));
    EXPECT_TRUE(started) << started.error().message();
    // A shell needs a moment until its trap is set.
    Pause(milliseconds(300));
    return id;
  }

  v1::ContainerStatus StatusOf(const std::string& container) {
    const auto response = Run(runtime_->ContainerStatus(container, false, kCallTimeout));
    EXPECT_TRUE(response) << response.error().message();
    return response ? response->status() : v1::ContainerStatus();
  }
  v1::ContainerStatus WaitForExit(const std::string& container) {
    v1::ContainerStatus status = StatusOf(container);
    for (int i = 0; i < 100 && status.state() != v1::CONTAINER_EXITED; ++i) {
      Pause(milliseconds(50));
      status = StatusOf(container);
    }
    EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
    return status;
  }

  TestLoop loop_{minutes(2)};
  async::SystemTimeline system_timeline_;
  std::unique_ptr<cri::Runtime> runtime_;
  std::filesystem::path log_root_;
  std::string uid_;
};

TEST_F(RuntimeContract, TellsItsVersion) {
  const auto version = Run(runtime_->Version(kCallTimeout));
  ASSERT_TRUE(version) << version.error().message();
  EXPECT_EQ(version->runtime_api_version(), "v1");
  EXPECT_FALSE(version->runtime_name().empty());
}

TEST_F(RuntimeContract, TellsThatItIsReady) {
  const auto status = Run(runtime_->Status(false, kCallTimeout));
  ASSERT_TRUE(status) << status.error().message();
  bool ready = false;
  for (const auto& condition : status->status().conditions()) {
    if (condition.type() == "RuntimeReady") ready = condition.status();
  }
  EXPECT_TRUE(ready);
}

TEST_F(RuntimeContract, RuntimeConfigAnswersOrIsUnsupported) {
  const auto config = Run(runtime_->RuntimeConfig(kCallTimeout));
  if (!config) EXPECT_EQ(config.error().kind(), ErrorKind::kUnsupported) << config.error().message();
}

TEST_F(RuntimeContract, RunsStopsAndRemovesASandbox) {
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
TEST_F(RuntimeContract, ASecondSandboxOfTheSameNameAndAttemptIsRefused) {
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
TEST_F(RuntimeContract, StoppingAndRemovingWhatDoesNotExistSucceeds) {
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

TEST_F(RuntimeContract, AsksAboutWhatDoesNotExistAnswerAbsent) {
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

TEST_F(RuntimeContract, AContainerGoesFromCreatedToRunningToExited) {
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

TEST_F(RuntimeContract, ExitCodeZeroIsCompleted) {
  const std::string id = Start(RunSandbox("pod"), "pod", Succeeds());
  const v1::ContainerStatus status = WaitForExit(id);
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(status.reason(), "Completed");
}

TEST_F(RuntimeContract, AContainerCannotBeStartedTwice) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  EXPECT_FALSE(Run(runtime_->StartContainer(id, kCallTimeout)));
  EXPECT_EQ(StatusOf(id).state(), v1::CONTAINER_RUNNING);
}

TEST_F(RuntimeContract, ASecondContainerOfTheSameNameAndAttemptIsRefused) {  // LC-09
  const std::string sandbox = RunSandbox("pod");
  Create(sandbox, "pod", Polite());
  const auto second = Run(runtime_->CreateContainer(ContainerRequest(sandbox, "pod", Polite()), kCallTimeout));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kExists) << second.error().message();
}

TEST_F(RuntimeContract, CreatingFromAnAbsentImageFails) {
  const std::string sandbox = RunSandbox("pod");
  auto request = ContainerRequest(sandbox, "pod", Polite());
  request.mutable_config()->mutable_image()->set_image("localhost/absent:1");
  const auto created = Run(runtime_->CreateContainer(request, kCallTimeout));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().kind(), ErrorKind::kAbsent) << created.error().message();
  // The failed call holds no name.
  Create(sandbox, "pod", Polite());
}

TEST_F(RuntimeContract, WritesTheLogInTheCriFormat) {
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

TEST_F(RuntimeContract, StopSendsTermFirst) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(20), kCallTimeout)));
  const v1::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 7);
}

TEST_F(RuntimeContract, StopKillsAfterTheGracePeriod) {
  const std::string id = Start(RunSandbox("pod"), "pod", Stubborn());
  const MonoTime before = timeline().mono();
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(1), kCallTimeout)));
  EXPECT_GE(timeline().mono() - before, milliseconds(900));
  const v1::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), v1::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 137);
}

TEST_F(RuntimeContract, StopWithoutGraceKillsAtOnce) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(0), kCallTimeout)));
  EXPECT_EQ(StatusOf(id).exit_code(), 137);
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(1), kCallTimeout))) << "stopping what has ended is success";
}

// LC-14: the deadline of the call, not the runtime, ends the wait; the stop itself goes on.
TEST_F(RuntimeContract, AStopThatOutlivesItsDeadlineIsATimeout) {
  const std::string id = Start(RunSandbox("pod"), "pod", Stubborn());
  const Status stopped = Run(runtime_->StopContainer(id, seconds(20), milliseconds(300)));
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kTimeout) << stopped.error().message();
  EXPECT_TRUE(Run(runtime_->StopContainer(id, seconds(0), kCallTimeout)));
  EXPECT_EQ(StatusOf(id).exit_code(), 137);
}

TEST_F(RuntimeContract, ListsAreFilteredByLabelStateAndSandbox) {
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

TEST_F(RuntimeContract, LabelsAndAnnotationsComeBackAsGiven) {
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

TEST_F(RuntimeContract, StoppingASandboxStopsItsContainers) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Start(sandbox, "pod", Stubborn());
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(sandbox, kCallTimeout)));
  const v1::ContainerStatus status = WaitForExit(id);
  EXPECT_EQ(status.exit_code(), 137);
}

TEST_F(RuntimeContract, AStoppedSandboxTakesNoNewContainer) {
  const std::string sandbox = RunSandbox("pod");
  EXPECT_TRUE(Run(runtime_->StopPodSandbox(sandbox, kCallTimeout)));
  EXPECT_FALSE(Run(runtime_->CreateContainer(ContainerRequest(sandbox, "pod", Polite()), kCallTimeout)));
}

TEST_F(RuntimeContract, RemovingASandboxRemovesItsContainers) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Start(sandbox, "pod", Polite());
  EXPECT_TRUE(Run(runtime_->RemovePodSandbox(sandbox, kCallTimeout)));
  const auto status = Run(runtime_->ContainerStatus(id, false, kCallTimeout));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kAbsent);
}

TEST_F(RuntimeContract, RemovingARunningContainerStopsIt) {
  const std::string sandbox = RunSandbox("pod");
  const std::string id = Start(sandbox, "pod", Polite());
  EXPECT_TRUE(Run(runtime_->RemoveContainer(id, kCallTimeout)));
  v1::ContainerFilter filter;
  filter.set_pod_sandbox_id(sandbox);
  const auto list = Run(runtime_->ListContainers(filter, kCallTimeout));
  ASSERT_TRUE(list);
  EXPECT_THAT(list->containers(), IsEmpty());
}

TEST_F(RuntimeContract, KnowsThePresentImageAndNotTheAbsentOne) {
  v1::ImageSpec image;
  image.set_image(test_image);
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

TEST_F(RuntimeContract, PullingAnImageThatNoRegistryHasFails) {
  v1::PullImageRequest request;
  request.mutable_image()->set_image("localhost:1/absent:1");
  const auto pulled = Run(runtime_->PullImage(request, kCallTimeout));
  ASSERT_FALSE(pulled);
  EXPECT_THAT(pulled.error().message(), HasSubstr("CRI PullImage: "));
}

TEST_F(RuntimeContract, ExecAnswersOutputAndExitCode) {
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

TEST_F(RuntimeContract, ACallPastItsDeadlineIsATimeout) {
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

TEST_F(RuntimeContract, ACancelledCallEndsAndSaysSo) {
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

TEST_F(RuntimeContract, EventsAreDeliveredOrUnsupported) {
  std::vector<std::pair<std::string, v1::ContainerEventType>> seen;
  auto events = loop_.Start(runtime_->ContainerEvents([&seen](const v1::ContainerEventResponse& event) {
    seen.emplace_back(event.container_id(), event.container_event_type());
  }));
  Pause(milliseconds(300));
  const std::string id = Start(RunSandbox("pod"), "pod", Succeeds());
  WaitForExit(id);
  if (events->done()) {
    ASSERT_TRUE(events->value.has_value());
    EXPECT_EQ(events->value->error().kind(), ErrorKind::kUnsupported) << events->value->error().message();
    return;
  }
  const std::pair wanted(id, v1::CONTAINER_STOPPED_EVENT);
  for (int i = 0; i < 100 && std::find(seen.begin(), seen.end(), wanted) == seen.end(); ++i) Pause(milliseconds(50));
  EXPECT_THAT(seen, ::testing::Contains(wanted));
  loop_.Cancel(events);
  loop_.RunUntil(events->ended);
  ASSERT_TRUE(events->value.has_value());
  EXPECT_EQ(events->value->error().kind(), ErrorKind::kCancelled);
}

TEST_F(RuntimeContract, ReportsStatsOfRunningContainers) {
  const std::string id = Start(RunSandbox("pod"), "pod", Polite());
  v1::ContainerStatsFilter filter;
  filter.set_id(id);
  const auto stats = Run(runtime_->ListContainerStats(filter, kCallTimeout));
  ASSERT_TRUE(stats) << stats.error().message();
  ASSERT_THAT(stats->stats(), SizeIs(1));
  EXPECT_EQ(stats->stats(0).attributes().id(), id);
}

TEST_F(RuntimeContract, ReopensTheLogOfARunningContainerOnly) {
  const std::string sandbox = RunSandbox("pod");
  const std::string running = Start(sandbox, "pod", Polite());
  EXPECT_TRUE(Run(runtime_->ReopenContainerLog(running, kCallTimeout)));
  const std::string ended = Start(sandbox, "pod", Succeeds());
  WaitForExit(ended);
  EXPECT_FALSE(Run(runtime_->ReopenContainerLog(ended, kCallTimeout)));
}

TEST_F(RuntimeContract, ReportsTheImageFileSystem) {
  const auto info = Run(runtime_->ImageFsInfo(kCallTimeout));
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_THAT(info->image_filesystems(), ::testing::Not(IsEmpty()));
}

std::string RequiredEnvironment(const char* name) {
  const char* value = std::getenv(name);
  if (value && *value) return value;
  std::cerr << "runtime_contract_test: --runtime=endpoint needs " << name
            << "; run it below tests/support/with-containerd\n";
  std::exit(2);
}

}  // namespace
}  // namespace daemonsetd

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::string runtime = argc == 2 ? argv[1] : "";
  std::shared_ptr<grpc::Channel> pinned;  // the last channel must not go away between two tests (cri/grpc_bridge.h)
  if (runtime == "--runtime=endpoint") {
    daemonsetd::real_endpoint = daemonsetd::RequiredEnvironment("DAEMONSETD_TEST_RUNTIME_ENDPOINT");
    daemonsetd::test_image = daemonsetd::RequiredEnvironment("DAEMONSETD_TEST_IMAGE");
    pinned = daemonsetd::cri::OpenChannel(daemonsetd::real_endpoint);
  } else if (runtime != "--runtime=fake") {
    std::cerr << "usage: runtime_contract_test --runtime=fake|endpoint\n";
    return 2;
  }
  return RUN_ALL_TESTS();
}

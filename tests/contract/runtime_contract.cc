#include "tests/contract/runtime_contract.h"

#include <cstdlib>
#include <iostream>
#include <optional>
#include <regex>
#include <vector>

#include "cri/grpc_bridge.h"
#include "cri/grpc_runtime.h"

#include <unistd.h>

namespace daemonsetd {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ExecAnswer;
using testing::FakeRuntime;

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

namespace {

ExecAnswer FakeExec(const v1::ExecSyncRequest& request) {
  if (request.cmd(0) == "sleep") return ExecAnswer{.takes = seconds(std::stoi(request.cmd(1)))};
  return ExecAnswer{.exit_code = 5, .standard_output = "to out\n", .standard_error = "to err\n"};
}

}  // namespace

void RuntimeContract::SetUp() {
  if (real()) {
    runtime_ = std::make_unique<cri::GrpcRuntime>(loop_.executor(), GetParam().endpoint);
  } else {
    auto fake = std::make_unique<FakeRuntime>(loop_.executor(), loop_.timeline());
    for (const Program& program : {Polite(), Stubborn(), Fails(), Succeeds()}) {
      fake->SetBehaviour(program.name, program.behaviour);
    }
    fake->AddImage(GetParam().image);
    fake->SetExec(FakeExec);
    fake->SetWritesLogs(true);
    fake->SetCgroupDriver(v1::CGROUPFS);
    runtime_ = std::move(fake);
  }
  char pattern[] = "/tmp/dsd-contract-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern), nullptr);
  log_root_ = pattern;
  uid_ = "uid-" + log_root_.filename().string();
}

void RuntimeContract::TearDown() {
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

std::pair<int, int> RuntimeContract::ContainerdVersion() {
  if (!real()) return {1000, 0};
  const auto version = Run(runtime_->Version(kCallTimeout));
  std::smatch numbers;
  const std::string text = version ? version->runtime_version() : "";
  if (!std::regex_search(text, numbers, std::regex(R"(^v?(\d+)\.(\d+))"))) {
    ADD_FAILURE() << "no version: " << (version ? text : version.error().message());
    return {0, 0};
  }
  return {std::stoi(numbers[1]), std::stoi(numbers[2])};
}

v1::PodSandboxConfig RuntimeContract::SandboxConfig(const std::string& name) const {
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

Result<std::string> RuntimeContract::TryRunSandbox(const std::string& name) {
  v1::RunPodSandboxRequest request;
  *request.mutable_config() = SandboxConfig(name);
  return Run(runtime_->RunPodSandbox(request, kCallTimeout));
}

std::string RuntimeContract::RunSandbox(const std::string& name) {
  const auto id = TryRunSandbox(name);
  EXPECT_TRUE(id) << id.error().message();
  return id ? *id : "";
}

v1::CreateContainerRequest RuntimeContract::ContainerRequest(const std::string& sandbox, const std::string& pod,
                                                             const Program& program) const {
  v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(sandbox);
  *request.mutable_sandbox_config() = SandboxConfig(pod);
  auto* config = request.mutable_config();
  config->mutable_metadata()->set_name(program.name);
  config->mutable_image()->set_image(GetParam().image);
  config->add_command("sh");
  config->add_args("-c");
  config->add_args(program.script);
  config->set_log_path(program.name + "/0.log");
  (*config->mutable_labels())[kTestLabel] = uid_;
  (*config->mutable_labels())["io.kubernetes.container.name"] = program.name;
  (*config->mutable_annotations())["io.kubernetes.container.restartCount"] = "0";
  return request;
}

std::string RuntimeContract::Create(v1::CreateContainerRequest request) {
  std::filesystem::create_directories(std::filesystem::path(request.sandbox_config().log_directory()) /
                                      request.config().metadata().name());
  const auto id = Run(runtime_->CreateContainer(std::move(request), kCallTimeout));
  EXPECT_TRUE(id) << id.error().message();
  return id ? *id : "";
}

std::string RuntimeContract::Create(const std::string& sandbox, const std::string& pod, const Program& program) {
  return Create(ContainerRequest(sandbox, pod, program));
}

void RuntimeContract::StartCreated(const std::string& container) {
  const Status started = Run(runtime_->StartContainer(container, kCallTimeout));
  EXPECT_TRUE(started) << started.error().message();
  // A shell needs a moment until its trap is set.
  Pause(milliseconds(300));
}

std::string RuntimeContract::Start(const std::string& sandbox, const std::string& pod, const Program& program) {
  std::string id = Create(sandbox, pod, program);
  StartCreated(id);
  return id;
}

v1::ContainerStatus RuntimeContract::StatusOf(const std::string& container) {
  const auto response = Run(runtime_->ContainerStatus(container, false, kCallTimeout));
  EXPECT_TRUE(response) << response.error().message();
  return response ? response->status() : v1::ContainerStatus();
}

v1::ContainerStatus RuntimeContract::WaitForExit(const std::string& container) {
  v1::ContainerStatus status;
  const bool exited = Eventually([&] {
    status = StatusOf(container);
    return status.state() == v1::CONTAINER_EXITED;
  });
  EXPECT_TRUE(exited) << v1::ContainerState_Name(status.state());
  return status;
}

namespace {

// Chosen by main before GoogleTest asks for the parameters.
std::optional<Subject> chosen;

std::vector<Subject> Subjects() { return chosen ? std::vector<Subject>{*chosen} : std::vector<Subject>(); }

INSTANTIATE_TEST_SUITE_P(Runtime, RuntimeContract, ::testing::ValuesIn(Subjects()),
                         [](const ::testing::TestParamInfo<Subject>& info) { return info.param.name; });

std::string RequiredEnvironment(const char* name) {
  const char* value = std::getenv(name);
  if (value && *value) return value;
  std::cerr << "runtime_contract_test: --runtime=endpoint needs " << name
            << "; run it below tests/support/with-containerd\n";
  std::exit(2);
}

Subject RealRuntime() {
  const std::string version = RequiredEnvironment("DAEMONSETD_TEST_CONTAINERD_VERSION");
  return Subject{.name = "containerd_" + std::regex_replace(version, std::regex("[^A-Za-z0-9]"), "_"),
                 .endpoint = RequiredEnvironment("DAEMONSETD_TEST_RUNTIME_ENDPOINT"),
                 .image = RequiredEnvironment("DAEMONSETD_TEST_IMAGE")};
}

}  // namespace
}  // namespace daemonsetd

int main(int argc, char** argv) {
  const std::string runtime = argc > 1 ? argv[1] : "";
  std::shared_ptr<grpc::Channel> pinned;  // the last channel must not go away between two tests (cri/grpc_bridge.h)
  if (runtime == "--runtime=endpoint") {
    daemonsetd::chosen = daemonsetd::RealRuntime();
    pinned = daemonsetd::cri::OpenChannel(daemonsetd::chosen->endpoint);
  } else if (runtime == "--runtime=fake") {
    daemonsetd::chosen = daemonsetd::Subject{.name = "fake", .endpoint = ""};
  } else {
    std::cerr << "usage: runtime_contract_test --runtime=fake|endpoint [GoogleTest's flags]\n";
    return 2;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

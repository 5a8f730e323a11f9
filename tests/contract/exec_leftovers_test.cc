// PB-07 on a real containerd: what a timed-out command leaves in its container is ended, and nothing else is.
// Runs below tests/support/with-containerd.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/async/system_timeline.h"
#include "agent/pods/probes/prober.h"
#include "cri/grpc_bridge.h"
#include "cri/grpc_runtime.h"
#include "tests/support/loop.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using testing::TestLoop;
using ::testing::UnorderedElementsAre;

constexpr auto kCallTimeout = std::chrono::minutes(1);

std::string endpoint;
std::string image;

class ExecLeftovers : public ::testing::Test {
 protected:
  void SetUp() override {
    v1::RunPodSandboxRequest sandbox;
    sandbox.mutable_config()->mutable_metadata()->set_name("pod");
    sandbox.mutable_config()->mutable_metadata()->set_namespace_("leftovers");
    sandbox.mutable_config()->mutable_metadata()->set_uid("uid-leftovers");
    sandbox.mutable_config()->mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
    const auto sandbox_id = Run(runtime_.RunPodSandbox(sandbox, kCallTimeout));
    ASSERT_TRUE(sandbox_id) << sandbox_id.error().message();
    sandbox_ = *sandbox_id;
    v1::CreateContainerRequest container;
    container.set_pod_sandbox_id(sandbox_);
    *container.mutable_sandbox_config() = sandbox.config();
    container.mutable_config()->mutable_metadata()->set_name("c");
    container.mutable_config()->mutable_image()->set_image(image);
    container.mutable_config()->add_command("sleep");
    container.mutable_config()->add_args("100000");
    const auto id = Run(runtime_.CreateContainer(container, kCallTimeout));
    ASSERT_TRUE(id) << id.error().message();
    ASSERT_TRUE(Run(runtime_.StartContainer(*id, kCallTimeout)));
    target_.container_id = *id;
  }
  void TearDown() override {
    Run(prober_.Close());
    EXPECT_TRUE(Run(runtime_.StopPodSandbox(sandbox_, kCallTimeout)));
    EXPECT_TRUE(Run(runtime_.RemovePodSandbox(sandbox_, kCallTimeout)));
    Run(runtime_.Close());
  }

  template <class T>
  T Run(Task<T> task) {
    return loop_.Run(std::move(task), TestLoop::Clock::kStands);
  }
  static corev1::ProbeHandler Shell(const std::string& script) {
    corev1::ProbeHandler handler;
    for (const std::string& word : {std::string("sh"), std::string("-c"), script}) {
      handler.mutable_exec()->add_command(word);
    }
    return handler;
  }
  // The command lines of everything that runs in the container.
  std::vector<std::string> Commands() {
    const auto status = Run(runtime_.ContainerStatus(target_.container_id, true, kCallTimeout));
    EXPECT_TRUE(status);
    const auto pid = ContainerPid(*status);
    EXPECT_TRUE(pid) << "containerd names no process of the container";
    const auto processes = processes_.OfContainer(pid.value_or(0), target_.container_id);
    EXPECT_TRUE(processes) << processes.error().message();
    std::vector<std::string> commands;
    for (const Process& process : *processes) {
      if (process.ended) continue;
      std::string line;
      for (const std::string& word : process.command) line += (line.empty() ? "" : " ") + word;
      commands.push_back(line);
    }
    return commands;
  }

  TestLoop loop_{std::chrono::minutes(2)};
  async::SystemTimeline timeline_;
  async::BlockingPool pool_{2};
  cri::GrpcRuntime runtime_{loop_.executor(), endpoint};
  ProcessTable processes_;
  Prober prober_{loop_.executor(), timeline_, pool_, runtime_, processes_};
  ProbeTarget target_;
  std::string sandbox_;
};

TEST_F(ExecLeftovers, ATimedOutCommandLeavesNoProcess) {  // PB-07
  for (const char* script :
       {"sleep 1000 & sleep 1000", "trap '' TERM; (sleep 1001 &); setsid sleep 1002 & while :; do sleep 1; done"}) {
    const ProbeResult result = Run(prober_.Run(Shell(script), target_, Seconds(1)));
    EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
    EXPECT_EQ(result.output, "command timed out after 1s");
    EXPECT_FALSE(result.abandoned);
    EXPECT_THAT(Commands(), UnorderedElementsAre("sleep 100000")) << script;
  }
}

TEST_F(ExecLeftovers, TheCommandsOfOthersGoOn) {
  v1::ExecSyncRequest other;
  other.set_container_id(target_.container_id);
  for (const char* word : {"sh", "-c", "sleep 7777; true"}) other.add_cmd(word);
  auto others = loop_.Start(runtime_.ExecSync(other, kCallTimeout));
  while (Commands().size() < 3) Run(timeline_.SleepFor(Milliseconds(20)));
  ProbeResult result = Run(prober_.Run(Shell("sleep 1000 & sleep 1000"), target_, Seconds(2)));
  EXPECT_FALSE(result.abandoned);
  EXPECT_THAT(Commands(), UnorderedElementsAre("sleep 100000", "sh -c sleep 7777; true", "sleep 7777"));
  // Another probe of ours at the same time.
  auto quick = loop_.Start(prober_.Run(Shell("sleep 1000 & sleep 1000; true"), target_, Seconds(2)));
  auto slow = loop_.Start(prober_.Run(Shell("sleep 6; echo slow"), target_, Seconds(60)));
  loop_.RunUntil(quick->ended);
  EXPECT_FALSE(quick->value->abandoned);
  loop_.RunUntil(slow->ended);
  EXPECT_EQ(slow->value->output, "slow") << "the other probe was hit";
  EXPECT_THAT(Commands(), UnorderedElementsAre("sleep 100000", "sh -c sleep 7777; true", "sleep 7777"));
  loop_.Cancel(others);
  loop_.RunUntil(others->ended);
}

TEST_F(ExecLeftovers, TwoOfTheSameCannotBeToldApartAndAreLeftAlone) {
  v1::ExecSyncRequest other;
  other.set_container_id(target_.container_id);
  for (const char* word : {"sh", "-c", "sleep 1000 & sleep 1000"}) other.add_cmd(word);
  auto probe = loop_.Start(prober_.Run(Shell("sleep 1000 & sleep 1000"), target_, Seconds(2)));
  auto others = loop_.Start(runtime_.ExecSync(other, kCallTimeout));
  loop_.RunUntil(probe->ended);
  EXPECT_EQ(probe->value->verdict, ProbeVerdict::kFailure);
  EXPECT_TRUE(probe->value->abandoned);
  EXPECT_EQ(prober_.exec_counters().abandoned, 1U);
  EXPECT_FALSE(others->done());
  loop_.Cancel(others);
  loop_.RunUntil(others->ended);
}

TEST_F(ExecLeftovers, ExitCodesAndMissingCommands) {
  EXPECT_EQ(Run(prober_.Run(Shell("exit 0"), target_, Seconds(10))).verdict, ProbeVerdict::kSuccess);
  const ProbeResult failed = Run(prober_.Run(Shell("echo no; exit 3"), target_, Seconds(10)));
  EXPECT_EQ(failed.verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(failed.output, "no");
  corev1::ProbeHandler missing;
  missing.mutable_exec()->add_command("/no/such/file");
  EXPECT_EQ(Run(prober_.Run(missing, target_, Seconds(10))).verdict, ProbeVerdict::kUnknown);
}

std::string Required(const char* name) {
  const char* value = std::getenv(name);
  if (value && *value) return value;
  std::cerr << "exec_leftovers_test: " << name << " is not set; run it below tests/support/with-containerd\n";
  std::exit(2);
}

}  // namespace
}  // namespace daemonsetd::pods

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  daemonsetd::pods::endpoint = daemonsetd::pods::Required("DAEMONSETD_TEST_RUNTIME_ENDPOINT");
  daemonsetd::pods::image = daemonsetd::pods::Required("DAEMONSETD_TEST_IMAGE");
  // The last channel must not go away between two tests (cri/grpc_bridge.h).
  const auto pinned = daemonsetd::cri::OpenChannel(daemonsetd::pods::endpoint);
  return RUN_ALL_TESTS();
}

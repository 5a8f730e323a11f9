#include "tests/unit/pods/probes/prober_fixture.h"

namespace daemonsetd::pods {
namespace {

using testing::ExecAnswer;
using testing::Fault;
using ::testing::HasSubstr;
using Script = testing::ProbeServer::Script;

class TcpProbe : public ProberTest {
 protected:
  corev1::ProbeHandler Tcp(int port) {
    corev1::ProbeHandler handler;
    handler.mutable_tcpsocket()->mutable_port()->set_intval(port);
    return handler;
  }
};

TEST_F(TcpProbe, ConnectsAndResets) {  // PB-09
  Serve(Script{});
  EXPECT_EQ(Run(Tcp(server_->port())).verdict, ProbeVerdict::kSuccess);
  WaitFor([&] { return server_->resets() == 1; });
}

TEST_F(TcpProbe, ARefusalIsAFailureThatSaysSo) {
  Serve(Script{});
  const int port = server_->port();
  server_.reset();
  loop_.Settle();
  const ProbeResult result = Run(Tcp(port));
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(result.output, "dial tcp 127.0.0.1:" + std::to_string(port) + ": connect: connection refused");
}

class ExecProbe : public ProberTest {
 protected:
  void SetUp() override {
    runtime_.AddImage("image");
    cri::v1::RunPodSandboxRequest sandbox;
    sandbox.mutable_config()->mutable_metadata()->set_uid("u");
    const auto sandbox_id = loop_.Run(runtime_.RunPodSandbox(sandbox, Seconds(9)));
    ASSERT_TRUE(sandbox_id);
    cri::v1::CreateContainerRequest container;
    container.set_pod_sandbox_id(*sandbox_id);
    container.mutable_config()->mutable_metadata()->set_name("c");
    container.mutable_config()->mutable_image()->set_image("image");
    const auto id = loop_.Run(runtime_.CreateContainer(container, Seconds(9)));
    ASSERT_TRUE(id) << id.error().message();
    ASSERT_TRUE(loop_.Run(runtime_.StartContainer(*id, Seconds(9))));
    target_.container_id = *id;
    runtime_.ClearCalls();
  }
  corev1::ProbeHandler Exec() {
    corev1::ProbeHandler handler;
    handler.mutable_exec()->add_command("check");
    handler.mutable_exec()->add_command("$(VAR)");
    return handler;
  }
  ProbeResult RunJumping() { return loop_.Run(prober_.Run(Exec(), target_, Seconds(2)), Clock::kJumps); }
};

TEST_F(ExecProbe, TheExitCodeIsTheVerdict) {
  ExecAnswer answer{.standard_output = "fine\n"};
  runtime_.SetExec([&](const cri::v1::ExecSyncRequest& request) {
    EXPECT_EQ(request.cmd(1), "$(VAR)") << "variables are not expanded in probes";
    return answer;
  });
  ProbeResult result = RunJumping();
  EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess);
  EXPECT_EQ(result.output, "fine");
  EXPECT_EQ(runtime_.Count("ContainerStatus"), 0) << "a quick command costs one call";
  answer = ExecAnswer{.exit_code = 1, .standard_output = "out\n", .standard_error = "err\n"};
  result = RunJumping();
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(result.output, "out err");
  answer = ExecAnswer{.exit_code = 7};
  EXPECT_EQ(RunJumping().output, "command exited with code 7 and printed nothing");
}

TEST_F(ExecProbe, ACommandThatTheRuntimeCannotRunIsNoResult) {
  runtime_.Inject("ExecSync", Fault::Fail(Error(ErrorKind::kRetry, "executable file not found in $PATH")));
  const ProbeResult result = RunJumping();
  EXPECT_EQ(result.verdict, ProbeVerdict::kUnknown);
  EXPECT_THAT(result.output, HasSubstr("executable file not found"));
}

TEST_F(ExecProbe, ARuntimeThatIgnoresItsTimeoutDoesNotHoldTheProbe) {  // PB-07
  runtime_.Inject("ExecSync", Fault::Hang());
  const MonoTime before = loop_.timeline().mono();
  const ProbeResult result = RunJumping();
  EXPECT_EQ(loop_.timeline().mono() - before, Seconds(2));
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(result.output, "command timed out after 2s");
  EXPECT_TRUE(result.abandoned) << "the fake names no process, so nobody can say that nothing is left";
  EXPECT_EQ(prober_.exec_counters().timed_out, 1U);
  EXPECT_EQ(prober_.exec_counters().abandoned, 1U);
}

TEST_F(ExecProbe, ARuntimeThatHangsAltogetherDoesNotEither) {
  runtime_.Inject("*", Fault::Hang(), 2);
  const MonoTime before = loop_.timeline().mono();
  EXPECT_EQ(RunJumping().verdict, ProbeVerdict::kFailure);
  EXPECT_EQ(loop_.timeline().mono() - before, Seconds(2));
}

TEST_F(ExecProbe, ATimeoutOfTheRuntimesOwnIsAFailure) {
  runtime_.Inject("ExecSync", Fault::Fail(Error(ErrorKind::kTimeout, "context deadline exceeded")));
  const ProbeResult result = RunJumping();
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("timed out"));
}

TEST_F(ExecProbe, ACancelledOneEndsAtOnce) {
  runtime_.Inject("ExecSync", Fault::Hang());
  auto run = loop_.Start(prober_.Run(Exec(), target_, Seconds(2)));
  EXPECT_FALSE(run->done());
  loop_.Cancel(run);
  EXPECT_TRUE(run->threw());
  EXPECT_EQ(loop_.timeline().alarms(), 0U);
}

TEST_F(ExecProbe, ReadsTheProcessFromTheRuntimesAnswer) {
  cri::v1::ContainerStatusResponse response;
  EXPECT_FALSE(ContainerPid(response));
  (*response.mutable_info())["info"] = R"({"sandboxID":"x","pid":4711,"config":{"labels":{"pid":"1"}}})";
  EXPECT_EQ(ContainerPid(response), 4711);
  for (const char* bad :
       {"", "{", "[]", "{}", R"({"pid":"4711"})", R"({"pid":1})", R"({"pid":-1})", R"({"pid":4.5})"}) {
    (*response.mutable_info())["info"] = bad;
    EXPECT_FALSE(ContainerPid(response)) << bad;
  }
}

TEST_F(ExecProbe, AHookSleepsOnTheTimeline) {
  corev1::LifecycleHandler hook;
  hook.mutable_sleep()->set_seconds(5);
  const MonoTime before = loop_.timeline().mono();
  EXPECT_EQ(loop_.Run(prober_.RunHook(hook, target_, Seconds(9))).verdict, ProbeVerdict::kSuccess);
  EXPECT_EQ(loop_.timeline().mono() - before, Seconds(5));
  EXPECT_EQ(loop_.Run(prober_.RunHook(hook, target_, Seconds(3))).verdict, ProbeVerdict::kFailure);
}

}  // namespace
}  // namespace daemonsetd::pods

#include "tests/unit/pods/probes/prober_fixture.h"

namespace daemonsetd::pods {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Script = testing::ProbeServer::Script;

class HttpProbe : public ProberTest {};

TEST_F(HttpProbe, StatusesFrom200To399AreSuccess) {
  for (const int status : {200, 204, 299, 304, 399}) {
    Serve(Response(status, "", ""));
    const ProbeResult result = Run(Http());
    EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess) << status << result.output;
    EXPECT_EQ(result.warning, status >= 300) << status;
  }
  for (const int status : {400, 404, 500, 503, 600}) {
    Serve(Response(status));
    const ProbeResult result = Run(Http());
    EXPECT_EQ(result.verdict, ProbeVerdict::kFailure) << status;
    EXPECT_EQ(result.output, "HTTP probe failed with statuscode: " + std::to_string(status));
  }
}

TEST_F(HttpProbe, SendsThePathAndTheHeaders) {
  Serve(Response(200));
  corev1::ProbeHandler handler = Http("/healthz?full=1");
  auto* header = handler.mutable_httpget()->add_httpheaders();
  header->set_name("Host");
  header->set_value("example.org");
  EXPECT_EQ(Run(handler).verdict, ProbeVerdict::kSuccess);
  ASSERT_EQ(server_->requests().size(), 1U);
  EXPECT_THAT(server_->requests()[0],
              AllOf(StartsWith("GET /healthz?full=1 HTTP/1.1\r\nHost: example.org\r\n"),
                    HasSubstr("User-Agent: kube-probe/1.37\r\n"), HasSubstr("Accept: */*\r\n")));
}

TEST_F(HttpProbe, EachRunHasAConnectionOfItsOwnThatEndsByAReset) {  // PB-08, PB-09
  Serve(Script{.answer = [](int, const std::string&) { return Response(200); }, .stays = true});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kSuccess);
  WaitFor([&] { return server_->resets() == 3; });
  EXPECT_EQ(server_->connections(), 3);
}

TEST_F(HttpProbe, RedirectsOnTheSameHostAreFollowed) {  // PB-10
  Serve(Script{.answer = [](int number, const std::string& request) {
    if (number < 10) return Response(302, "Location: /step" + std::to_string(number) + "\r\n");
    return Response(request.find("GET /step9 ") == 0 ? 200 : 500);
  }});
  const ProbeResult result = Run(Http());
  EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess) << result.output;
  EXPECT_FALSE(result.warning);
  EXPECT_EQ(server_->connections(), 11);
}

TEST_F(HttpProbe, MoreThanTenRedirectsAreAFailure) {
  Serve(Response(301, "Location: /again\r\n"));
  const ProbeResult result = Run(Http());
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("stopped after 10 redirects"));
  EXPECT_EQ(server_->connections(), 11);
}

TEST_F(HttpProbe, AnotherHostIsNotAsked) {  // PB-10
  testing::ProbeServer other(loop_.executor(), Script{});
  Serve(Response(302, "Location: http://localhost:" + std::to_string(other.port()) + "/?token=s3cret\r\n"));
  const ProbeResult result = Run(Http());
  EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess);
  EXPECT_TRUE(result.warning);
  EXPECT_THAT(result.output, AllOf(HasSubstr("redirects"), Not(HasSubstr("s3cret"))));
  loop_.Settle();
  EXPECT_EQ(other.connections(), 0);
}

TEST_F(HttpProbe, ARedirectWithoutLocationIsAWarningAndANonsensicalOneAFailure) {
  Serve(Response(302));
  EXPECT_TRUE(Run(Http()).warning);
  Serve(Response(302, "Location: ftp://127.0.0.1/\r\n"));
  EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kFailure);
}

TEST_F(HttpProbe, NoHeaderValueIsInAnyOutput) {  // PB-12
  corev1::ProbeHandler handler;
  const auto with_secret = [&] {
    handler = Http("/x?token=s3cret");
    auto* header = handler.mutable_httpget()->add_httpheaders();
    header->set_name("Authorization");
    header->set_value("Bearer s3cret");
    return handler;
  };
  ::testing::internal::CaptureStderr();
  for (const std::string& answer : {Response(500), Response(302, "Location: http://other/?s3cret\r\n"),
                                    std::string("s3cret\r\n\r\n"), std::string()}) {
    Serve(answer);
    EXPECT_THAT(Run(with_secret()).output, Not(HasSubstr("s3cret")));
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("s3cret")));
}

TEST_F(HttpProbe, BadAnswersAreFailures) {
  const std::string endless_head = "HTTP/1.1 200 OK\r\nX: " + std::string(200 * 1024, 'x');
  for (const std::string& answer :
       {std::string("garbage\r\n\r\n"), std::string("\0\xff\xfe", 3), std::string("HTTP/9.9 999999999 X\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), std::string("HTTP/1.1 200 OK\r\nContent-Le"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), endless_head, std::string(),
        std::string("HTTP/1.1 100 Continue\r\n\r\n")}) {
    Serve(answer);
    const ProbeResult result = Run(Http());
    EXPECT_EQ(result.verdict, ProbeVerdict::kFailure) << answer.substr(0, 60);
    EXPECT_THAT(result.output, StartsWith("Get \"http://127.0.0.1:")) << answer.substr(0, 60);
    EXPECT_LE(result.output.size(), kMaximumOutput);
  }
}

TEST_F(HttpProbe, AnEndlessBodyIsReadNoFurtherThanItsLimit) {
  for (const char* head : {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"}) {
    const std::string answer = head + std::string(4096, 'x');
    Serve(Script{.answer = [answer](int, const std::string&) { return answer; }, .endless = true});
    EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kSuccess);
    WaitFor([&] { return server_->resets() == 1; });
  }
}

TEST_F(HttpProbe, EndlessInterimAnswersAreAFailure) {
  Serve(Script{.answer = [](int, const std::string&) { return std::string("HTTP/1.1 103 Hints\r\n\r\n"); },
               .endless = true});
  EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kFailure);
  Serve("HTTP/1.1 100 Continue\r\n\r\n" + Response(200));
  EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kSuccess);
}

TEST_F(HttpProbe, ASilentServerIsATimeout) {
  Serve(Script{.stays = true});
  auto run = loop_.Start(prober_.Run(Http(), target_, Seconds(1)));
  WaitFor([&] { return server_->requests().size() == 1; });
  loop_.Advance(Milliseconds(999));
  EXPECT_FALSE(run->done());
  loop_.Advance(Milliseconds(1));
  ASSERT_TRUE(run->done());
  EXPECT_EQ(run->value->verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(run->value->output, HasSubstr("timed out after 1s (awaiting headers)"));
  WaitFor([&] { return server_->resets() == 1; });
  EXPECT_EQ(loop_.timeline().alarms(), 0U);
}

TEST_F(HttpProbe, ACancelledProbeClosesItsConnection) {
  Serve(Script{.stays = true});
  auto run = loop_.Start(prober_.Run(Http(), target_, Seconds(1)));
  WaitFor([&] { return server_->requests().size() == 1; });
  loop_.Cancel(run);
  EXPECT_TRUE(run->done());
  EXPECT_TRUE(run->threw());
  WaitFor([&] { return server_->resets() == 1; });
}

TEST_F(HttpProbe, TlsIsSpokenWithoutVerification) {
  Serve(Script{.answer = [](int, const std::string&) { return Response(200); }, .tls = true});
  corev1::ProbeHandler handler = Http();
  handler.mutable_httpget()->set_scheme("HTTPS");
  ProbeResult result = Run(handler);
  EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess) << result.output;
  EXPECT_EQ(server_->server_name(), "");
  handler.mutable_httpget()->set_host("localhost");
  result = Run(handler);
  EXPECT_EQ(result.verdict, ProbeVerdict::kSuccess) << result.output;
  EXPECT_EQ(server_->server_name(), "localhost");
}

TEST_F(HttpProbe, TlsToAPlainServerAndTheReverseAreFailures) {
  Serve(Script{.answer = [](int, const std::string&) { return Response(400); }, .stays = true, .first = true});
  corev1::ProbeHandler handler = Http();
  handler.mutable_httpget()->set_scheme("HTTPS");
  const ProbeResult result = Run(handler);
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("TLS handshake"));
  Serve(Script{.tls = true});
  EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kFailure);
}

TEST_F(HttpProbe, WhatCannotBeAskedIsNoResult) {
  corev1::ProbeHandler handler = Http();
  handler.mutable_httpget()->mutable_port()->set_type(1);
  handler.mutable_httpget()->mutable_port()->set_strval("nobody");
  EXPECT_EQ(Run(handler).verdict, ProbeVerdict::kUnknown);
  target_.pod_ip = "";
  EXPECT_EQ(Run(Http()).verdict, ProbeVerdict::kUnknown);
  EXPECT_EQ(Run(corev1::ProbeHandler()).verdict, ProbeVerdict::kUnknown);
}

TEST_F(HttpProbe, ANameThatNobodyKnowsIsAFailure) {
  corev1::ProbeHandler handler = Http();
  handler.mutable_httpget()->set_host("no..such..host");
  const ProbeResult result = Run(handler);
  EXPECT_EQ(result.verdict, ProbeVerdict::kFailure);
  EXPECT_THAT(result.output, HasSubstr("lookup no..such..host"));
}

TEST_F(HttpProbe, AHookIsTheSameWithItsOwnName) {
  corev1::LifecycleHandler hook;
  *hook.mutable_httpget() = [&] {
    Serve(Response(200));
    return Http().httpget();
  }();
  EXPECT_EQ(RunHook(hook).verdict, ProbeVerdict::kSuccess);
  EXPECT_THAT(server_->requests().at(0), HasSubstr("User-Agent: kube-lifecycle/1.37\r\n"));
  Serve(Response(400));
  *hook.mutable_httpget() = Http().httpget();
  EXPECT_EQ(RunHook(hook).verdict, ProbeVerdict::kFailure);
  hook.mutable_httpget()->clear_port();
  hook.mutable_httpget()->set_host("no..such..host");
  EXPECT_THAT(RunHook(hook).output, HasSubstr("no..such..host:80/"));
}

}  // namespace
}  // namespace daemonsetd::pods

// A prober on a fake runtime and a hand-moved clock; its sockets are real.
#pragma once

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/probes/prober.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"
#include "tests/unit/pods/probes/probe_server.h"

namespace daemonsetd::pods {

class ProberTest : public ::testing::Test {
 protected:
  using Clock = testing::TestLoop::Clock;

  ProberTest() {
    target_.pod_ip = "127.0.0.1";
    target_.namespace_ = "ns";
    target_.pod_name = "pod";
    target_.container.set_name("c");
  }
  ~ProberTest() override {
    server_.reset();
    loop_.Run(prober_.Close(), Clock::kStands);
    loop_.Settle();
  }

  void Serve(testing::ProbeServer::Script script) {
    server_ = std::make_unique<testing::ProbeServer>(loop_.executor(), std::move(script));
  }
  void Serve(std::string answer) {
    Serve(testing::ProbeServer::Script{.answer = [answer](int, const std::string&) { return answer; }});
  }
  static std::string Response(int status, const std::string& more = "", const std::string& body = "ok") {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }

  corev1::ProbeHandler Http(const std::string& path = "/healthz") {
    corev1::ProbeHandler handler;
    handler.mutable_httpget()->set_path(path);
    handler.mutable_httpget()->mutable_port()->set_intval(server_ ? server_->port() : 1);
    return handler;
  }
  ProbeResult Run(corev1::ProbeHandler handler) {
    return loop_.Run(prober_.Run(std::move(handler), target_, Seconds(1)), Clock::kStands);
  }
  ProbeResult RunHook(corev1::LifecycleHandler handler) {
    return loop_.Run(prober_.RunHook(std::move(handler), target_, Seconds(1)), Clock::kStands);
  }
  // Until something outside the coroutine, that real sockets move, has come about.
  template <class Condition>
  void WaitFor(Condition condition) {
    bool done = false;
    for (int i = 0; i < 5000 && !(done = condition()); ++i) {
      loop_.context().restart();
      loop_.context().run_one_for(std::chrono::milliseconds(2));
    }
    EXPECT_TRUE(done);
  }

  testing::TestLoop loop_;
  async::BlockingPool pool_{0};
  testing::FakeRuntime runtime_{loop_.executor(), loop_.timeline()};
  ProcessTable processes_;
  Prober prober_{loop_.executor(), loop_.timeline(), pool_, runtime_, processes_};
  ProbeTarget target_;
  std::unique_ptr<testing::ProbeServer> server_;
};

}  // namespace daemonsetd::pods

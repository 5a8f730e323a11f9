#include "agent/cluster/server_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_http_transport.h"
#include "tests/support/loop.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

corev1::Pod MakePod(const std::string& name, const std::string& phase) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_uid("uid-of-" + name);
  pod.mutable_status()->set_phase(phase);
  return pod;
}

class ServerViewTest : public ::testing::Test {
 protected:
  ServerViewTest() { loop.Advance(seconds(2)); }
  ~ServerViewTest() override { loop.Cancel(run); }

  std::string PhaseOf(const std::string& name) const {
    for (const ServerView::PodPtr& pod : view.Pods()) {
      if (pod->metadata().name() == name) return pod->status().phase();
    }
    return "none";
  }

  // The store does not run: nothing is written.
  testing::TestLoop loop;
  async::BlockingPool blocking{0};
  store::Store store{loop.executor(), loop.timeline(), blocking, "/nonexistent"};
  ObjectCache cache{store, true};
  testing::FakeHttpTransport server{loop.executor(), loop.timeline(), kube::kPods};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{server, limiter, loop.timeline()};
  ServerView view{loop.executor(),
                  loop.timeline(),
                  client,
                  [] { return 0.5; },
                  store,
                  cache,
                  {.node_name = "node-a", .watch_daemon_sets = false},
                  [] {}};
  const std::shared_ptr<testing::Started<void>> run = loop.Start(view.Run());
};

TEST_F(ServerViewTest, AnAnswerHoldsUntilTheWatchShowsSomethingNewer) {
  server.Put(MakePod("a", "Pending"));
  loop.Advance(seconds(1));
  corev1::Pod answer = MakePod("a", "Running");
  answer.mutable_metadata()->set_resourceversion(std::to_string(std::stoull(server.version()) + 1));
  view.Wrote(answer);
  EXPECT_EQ(PhaseOf("a"), "Running");
  server.Put(MakePod("b", "Pending"));
  server.Put(MakePod("a", "Failed"));
  loop.Advance(seconds(1));
  EXPECT_EQ(PhaseOf("a"), "Failed");
}

TEST_F(ServerViewTest, AnAnswerFromATimeThatTheServerHasForgottenDoesNotHold) {  // D3, OF-11
  server.Put(MakePod("a", "Pending"));
  const testing::FakeHttpTransport::Backup backup = server.Save();
  for (int i = 0; i < 10; ++i) server.Put(MakePod("b", std::to_string(i)));
  loop.Advance(seconds(1));
  for (const char* name : {"a", "c"}) {  // c was made by it, and the watch has not told so yet
    corev1::Pod answer = MakePod(name, "Running");
    answer.mutable_metadata()->set_resourceversion(std::to_string(std::stoull(server.version()) + 1));
    view.Wrote(answer);
    EXPECT_EQ(PhaseOf(name), "Running");
  }
  server.Restore(backup);
  loop.Advance(minutes(10));
  EXPECT_EQ(PhaseOf("a"), "Pending");
  EXPECT_EQ(PhaseOf("c"), "none");
  EXPECT_EQ(view.LossOf("uid-of-c"), decide::ObjectLoss::kHistoryLost);
}

}  // namespace
}  // namespace daemonsetd::cluster

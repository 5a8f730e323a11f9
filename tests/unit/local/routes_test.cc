#include "agent/local/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/local/metrics.h"

namespace daemonsetd::local {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RoutesTest : public ::testing::Test {
 protected:
  RoutesTest() {
    for (const char* name : {"a", "b"}) {
      auto* daemon_set = snapshot_.daemon_sets.add_items();
      daemon_set->set_namespace_("default");
      daemon_set->set_name(name);
      daemon_set->set_desired(1);
      (*daemon_set->mutable_labels())["z"] = "1";
      (*daemon_set->mutable_labels())["a"] = "2";
    }
    snapshot_.readiness = {{"runtime", true, ""}, {"manifests", false, "not read yet"}};
  }

  Route Find(std::string_view target, std::string_view method = "GET") {
    const std::function<std::string()> configz = [] { return std::string("{\"x\":1}\n"); };
    const std::function<std::string()> metrics = [] { return std::string("daemonsetd_extra 1\n"); };
    return FindRoute(method, target,
                     {.snapshot = snapshot_,
                      .now = WallTime(Seconds(1'000'000)),
                      .configz = configz,
                      .metrics_text = metrics,
                      .liveness = liveness_});
  }
  Answer Ask(std::string_view target, std::string_view method = "GET") {
    Route route = Find(target, method);
    const Answer* answer = std::get_if<Answer>(&route);
    EXPECT_NE(answer, nullptr) << target;
    return answer == nullptr ? Answer{} : *answer;
  }

  Snapshot snapshot_;
  std::vector<HealthCheck> liveness_;
};

TEST_F(RoutesTest, EveryPathAnswers) {
  for (const char* path : {"/v1/status", "/v1/daemonsets", "/v1/pods", "/v1/node", "/v1/explain", "/v1/version",
                           "/healthz", "/livez", "/metrics", "/configz"}) {
    const Answer answer = Ask(path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_FALSE(answer.body.empty()) << path;
  }
}

TEST_F(RoutesTest, DefaultValuesArePrintedAndMapsAreSorted) {
  const std::string body = Ask("/v1/daemonsets").body;
  EXPECT_THAT(body, HasSubstr("\"upToDate\":0"));
  EXPECT_THAT(body, HasSubstr("\"labels\":{\"a\":\"2\",\"z\":\"1\"}"));
}

TEST_F(RoutesTest, SelectsByNamespaceAndName) {
  const std::string body = Ask("/v1/daemonsets?namespace=default&name=b").body;
  EXPECT_THAT(body, HasSubstr("\"name\":\"b\""));
  EXPECT_THAT(body, Not(HasSubstr("\"name\":\"a\"")));
  EXPECT_EQ(Ask("/v1/daemonsets?namespace=other").body, "{\"items\":[]}\n");
}

TEST_F(RoutesTest, WrongRequestsSayWhatToDo) {
  EXPECT_EQ(Ask("/nothing").status, 404);
  EXPECT_THAT(Ask("/nothing").body, HasSubstr("/v1/status"));
  EXPECT_EQ(Ask("/v1/status", "POST").status, 405);
  EXPECT_EQ(Ask("/v1/status", "POST").allow, "GET");
  for (const char* target :
       {"/v1/status?x=1", "/v1/pods?watch=maybe", "/v1/pods?watch&watch", "/v1/pods?a=%zz", "nopath", "/v1/logs",
        "/v1/logs?namespace=a&pod=b&tail=-1", "/v1/logs?namespace=a&pod=b&since=x"}) {
    const Answer answer = Ask(target);
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_THAT(answer.body, HasSubstr("\"hint\":\"")) << target;
  }
}

// An answer that quotes the request is JSON whatever the request held.
TEST(RenderError, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(RenderError("no path /\xff", ""), RenderError("no path /\uFFFD", ""));
}

TEST_F(RoutesTest, ReadyzNamesTheFailingCheck) {
  EXPECT_EQ(Ask("/readyz").status, 503);
  EXPECT_EQ(Ask("/readyz").body, "[+]loop ok\n[+]runtime ok\n[-]manifests failed: not read yet\nreadyz check failed\n");
  snapshot_.readiness[1].passed = true;
  EXPECT_EQ(Ask("/readyz").body, "ok");
  EXPECT_EQ(Ask("/livez?verbose").body, "[+]loop ok\nlivez check passed\n");
  liveness_ = {{"blocking calls", false, "nothing ended"}};
  EXPECT_EQ(Ask("/livez").status, 503);
  EXPECT_THAT(Ask("/livez").body, HasSubstr("[-]blocking calls failed: nothing ended\n"));
  EXPECT_EQ(Ask("/readyz").status, 503);
}

TEST_F(RoutesTest, LogsCarryTheirOptions) {
  const Route route = Find("/v1/logs?namespace=kube-system&pod=p&container=c&tail=5&follow=true&since=5m&previous");
  const LogsRoute* logs = std::get_if<LogsRoute>(&route);
  ASSERT_NE(logs, nullptr);
  EXPECT_EQ(logs->request.pod_namespace, "kube-system");
  EXPECT_EQ(logs->request.container, "c");
  EXPECT_TRUE(logs->request.previous);
  EXPECT_TRUE(logs->options.follow);
  EXPECT_EQ(logs->options.tail, 5);
  EXPECT_EQ(logs->options.format.not_before, WallTime(Seconds(1'000'000 - 300)));
}

TEST_F(RoutesTest, MetricsHoldSnapshotRegistryAndProcess) {
  const std::string body = Ask("/metrics").body;
  EXPECT_THAT(body, HasSubstr("daemonsetd_daemonset_desired{namespace=\"default\",daemonset=\"a\"} 1\n"));
  EXPECT_THAT(body, HasSubstr("daemonsetd_extra 1\n"));
  for (const char* name : {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ",
                           "process_start_time_seconds "}) {
    EXPECT_THAT(body, HasSubstr(std::string("\n") + name));
  }
}

TEST_F(RoutesTest, ChangesAreToldOnce) {
  Known known;
  const std::string first = RenderChanges(snapshot_, Resource::kDaemonSets, {}, known);
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 2);
  EXPECT_THAT(first, HasSubstr("{\"type\":\"ADDED\",\"daemonSet\":{"));
  EXPECT_EQ(RenderChanges(snapshot_, Resource::kDaemonSets, {}, known), "");
  snapshot_.daemon_sets.mutable_items(1)->set_ready(1);
  EXPECT_THAT(RenderChanges(snapshot_, Resource::kDaemonSets, {}, known), HasSubstr("\"type\":\"MODIFIED\""));
  snapshot_.daemon_sets.mutable_items()->RemoveLast();
  EXPECT_THAT(RenderChanges(snapshot_, Resource::kDaemonSets, {}, known), HasSubstr("\"type\":\"DELETED\""));
}

TEST(Registry, RendersPrometheusText) {
  Registry registry;
  registry.AddCounters("daemonsetd_calls_total", "Calls.").With({{"operation", "a\"b\\c\nd"}}).Add(2);
  Histogram& histogram = registry.AddHistograms("daemonsetd_wait_seconds", "Wait.", {0.1, 1}).With({});
  histogram.Observe(0.1);
  histogram.Observe(5);
  EXPECT_EQ(registry.Render(),
            "# HELP daemonsetd_calls_total Calls.\n# TYPE daemonsetd_calls_total counter\n"
            "daemonsetd_calls_total{operation=\"a\\\"b\\\\c\\nd\"} 2\n"
            "# HELP daemonsetd_wait_seconds Wait.\n# TYPE daemonsetd_wait_seconds histogram\n"
            "daemonsetd_wait_seconds_bucket{le=\"0.1\"} 1\ndaemonsetd_wait_seconds_bucket{le=\"1\"} 1\n"
            "daemonsetd_wait_seconds_bucket{le=\"+Inf\"} 2\ndaemonsetd_wait_seconds_sum 5.1\n"
            "daemonsetd_wait_seconds_count 2\n");
  EXPECT_THROW(registry.AddCounters("daemonsetd_calls_total", "Twice."), std::logic_error);
  EXPECT_THROW(registry.AddGauges("other", "No prefix."), std::logic_error);
}

corev1::ObjectReference About(const std::string& kind, const std::string& name) {
  corev1::ObjectReference reference;
  reference.set_kind(kind);
  reference.set_namespace_("default");
  reference.set_name(name);
  return reference;
}

TEST_F(RoutesTest, EventsAreSelectedByWhatTheyAreAbout) {
  decide::EventRing ring("daemonsetd", "node-a");
  const Now now{};
  ring.Add(About("Pod", "a"), decide::EventType::kNormal, "Started", "pod a", now);
  ring.Add(About("DaemonSet", "a"), decide::EventType::kNormal, "SuccessfulCreate", "set a", now);
  ring.Add(About("Pod", "b"), decide::EventType::kWarning, "Failed", "pod b", now);
  snapshot_.events = ring.Recent();
  EXPECT_THAT(Ask("/v1/events").body, HasSubstr("\"lastTimestamp\":\"1970-01-01T00:00:00Z\""));
  const std::string body = Ask("/v1/events?namespace=default&kind=Pod&name=a").body;
  EXPECT_THAT(body, HasSubstr("pod a"));
  EXPECT_THAT(body, Not(HasSubstr("set a")));
  EXPECT_THAT(body, Not(HasSubstr("pod b")));
  EXPECT_EQ(Ask("/v1/events?namespace=other").body, "{\"items\":[]}\n");
}

TEST_F(RoutesTest, AStreamOfEventsTellsEachChangeOnce) {
  decide::EventRing ring("daemonsetd", "node-a");
  const Now now{};
  const Selection pod_a{.kind = "Pod"};
  ring.Add(About("Pod", "a"), decide::EventType::kNormal, "Started", "one", now);
  snapshot_.events = ring.Recent();
  Known known;
  EXPECT_THAT(RenderChanges(snapshot_, Resource::kEvents, pod_a, known), HasSubstr("{\"type\":\"ADDED\",\"event\":{"));
  EXPECT_EQ(RenderChanges(snapshot_, Resource::kEvents, pod_a, known), "");
  ring.Add(About("Pod", "a"), decide::EventType::kNormal, "Started", "one", now);
  ring.Add(About("Pod", "a"), decide::EventType::kNormal, "Killing", "two", now);
  ring.Add(About("DaemonSet", "a"), decide::EventType::kNormal, "SuccessfulDelete", "three", now);
  snapshot_.events = ring.Recent();
  const std::string lines = RenderChanges(snapshot_, Resource::kEvents, pod_a, known);
  EXPECT_THAT(lines, HasSubstr("{\"type\":\"MODIFIED\",\"event\":{"));
  EXPECT_THAT(lines, HasSubstr("\"count\":2"));
  EXPECT_THAT(lines, HasSubstr("two"));
  EXPECT_THAT(lines, Not(HasSubstr("three")));
  EXPECT_EQ(RenderChanges(snapshot_, Resource::kEvents, pod_a, known), "");
}

TEST_F(RoutesTest, ARestartNamesOneObject) {
  const Route route = Find("/v1/restart?kind=DaemonSet&namespace=default&name=a", "POST");
  const RestartRequest* request = std::get_if<RestartRequest>(&route);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->kind, "DaemonSet");
  EXPECT_EQ(request->name, "a");
  EXPECT_EQ(Ask("/v1/restart?kind=Node&namespace=default&name=a", "POST").status, 400);
  EXPECT_EQ(Ask("/v1/restart?kind=Pod&name=a", "POST").status, 400);
  EXPECT_EQ(Ask("/v1/restart?kind=Pod&namespace=default&name=a&force=1", "POST").status, 400);
  // A link or a prefetch must never restart anything.
  const Answer get = Ask("/v1/restart?kind=Pod&namespace=default&name=a");
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.allow, "POST");
}

}  // namespace
}  // namespace daemonsetd::local

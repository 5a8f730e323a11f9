#include "agent/local/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace daemonsetd::local {
namespace {

using ::testing::EndsWith;

TEST(Registry, CollectorsWriteAtEachRender) {
  Registry registry;
  int writes = 0;
  registry.AddCollector([&writes](MetricsText& text) {
    text.Family("daemonsetd_writes_total", "counter", "Writes.");
    text.Sample("daemonsetd_writes_total", {}, ++writes);
  });
  EXPECT_THAT(registry.Render(), EndsWith("daemonsetd_writes_total 1\n"));
  EXPECT_THAT(registry.Render(), EndsWith("daemonsetd_writes_total 2\n"));
}

TEST(Registry, TakesNamesOfOursAndThoseOfEveryClient) {
  Registry registry;
  registry.AddCounters("rest_client_requests_total", "Requests.");
  EXPECT_THROW(registry.AddCounters("rest_client_requests_total", "Again."), std::logic_error);
  EXPECT_THROW(registry.AddGauges("kubelet_running_pods", "Pods."), std::logic_error);
}

TEST(Histogram, ObservesTimes) {
  Histogram histogram({0.5, 1});
  histogram.Observe(Milliseconds(500));
  histogram.Observe(Seconds(3));
  EXPECT_THAT(histogram.buckets(), ::testing::ElementsAre(1, 0, 1));
  EXPECT_DOUBLE_EQ(histogram.sum(), 3.5);
}

// https://prometheus.io/docs/specs/om/open_metrics_spec: a counter's family lacks the suffix that its samples have.
TEST(ToOpenMetrics, NamesCountersWithoutTheirSuffix) {
  Registry registry;
  registry.AddCounters("daemonsetd_calls_total", "Calls_total of all.").With({{"kind", "a"}}).Add(2);
  registry.AddGauges("daemonsetd_pods", "Pods.").With({}).Set(3);
  EXPECT_EQ(ToOpenMetrics(registry.Render()),
            "# HELP daemonsetd_calls Calls_total of all.\n"
            "# TYPE daemonsetd_calls counter\n"
            "daemonsetd_calls_total{kind=\"a\"} 2\n"
            "# HELP daemonsetd_pods Pods.\n"
            "# TYPE daemonsetd_pods gauge\n"
            "daemonsetd_pods 3\n"
            "# EOF\n");
}

TEST(ToOpenMetrics, CountersOfAnotherNameAreOfNoType) {
  Registry registry;
  registry.AddCounters("daemonsetd_renew_errors", "Errors.").With({}).Add();
  EXPECT_EQ(ToOpenMetrics(registry.Render()),
            "# HELP daemonsetd_renew_errors Errors.\n# TYPE daemonsetd_renew_errors unknown\n"
            "daemonsetd_renew_errors 1\n# EOF\n");
}

TEST(ToOpenMetrics, TakesAnEmptyText) { EXPECT_EQ(ToOpenMetrics(""), "# EOF\n"); }

}  // namespace
}  // namespace daemonsetd::local

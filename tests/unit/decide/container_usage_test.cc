#include "agent/decide/container_usage.h"

#include <gtest/gtest.h>

#include "agent/decide/labels.h"

namespace daemonsetd::decide {
namespace {

namespace v1 = ::runtime::v1;
constexpr std::int64_t kSecond = 1'000'000'000;

v1::ContainerStats& Add(v1::ListContainerStatsResponse& sample, const std::string& pod, const std::string& name) {
  v1::ContainerStats& stats = *sample.add_stats();
  stats.mutable_attributes()->set_id(pod + "/" + name);
  auto& labels = *stats.mutable_attributes()->mutable_labels();
  labels[kPodNamespaceLabel] = "default";
  labels[kPodNameLabel] = pod;
  labels[kContainerNameLabel] = name;
  return stats;
}

void Count(v1::ContainerStats& stats, std::int64_t at, std::uint64_t used) {
  stats.mutable_cpu()->set_timestamp(at);
  stats.mutable_cpu()->mutable_usage_core_nano_seconds()->set_value(used);
}

TEST(ContainerUsage, CoresAreTheDifferenceBetweenTheSamples) {
  v1::ListContainerStatsResponse first;
  v1::ListContainerStatsResponse second;
  Count(Add(first, "b", "main"), 10 * kSecond, 500);
  v1::ContainerStats& after = Add(second, "b", "main");
  Count(after, 12 * kSecond, 500 + kSecond / 2);
  after.mutable_cpu()->mutable_usage_nano_cores()->set_value(77);  // since yesterday, maybe
  after.mutable_memory()->mutable_working_set_bytes()->set_value(64 << 20);
  Add(second, "a", "side");
  Add(second, "a", "main");
  const auto usage = UsageBetween(first, second);
  ASSERT_EQ(usage.items_size(), 2);
  EXPECT_EQ(usage.items(0).name(), "a");
  EXPECT_EQ(usage.items(0).containers(0).name(), "main");
  EXPECT_EQ(usage.items(0).containers(1).name(), "side");
  EXPECT_EQ(usage.items(1).namespace_(), "default");
  EXPECT_EQ(usage.items(1).containers(0).cpu(), "250000000n");
  EXPECT_EQ(usage.items(1).containers(0).memory(), "64Mi");
}

TEST(ContainerUsage, WhatCannotBeToldStaysEmpty) {
  v1::ListContainerStatsResponse first;
  v1::ListContainerStatsResponse second;
  Count(Add(first, "p", "counter-went-back"), kSecond, 10);
  Count(Add(second, "p", "counter-went-back"), 2 * kSecond, 5);
  Count(Add(first, "p", "same-moment"), kSecond, 10);
  Count(Add(second, "p", "same-moment"), kSecond, 20);
  Count(Add(second, "p", "started-between"), kSecond, 20);
  const auto usage = UsageBetween(first, second);
  ASSERT_EQ(usage.items_size(), 1);
  for (const auto& container : usage.items(0).containers()) {
    EXPECT_EQ(container.cpu(), "") << container.name();
    EXPECT_EQ(container.memory(), "") << container.name();
  }
}

TEST(ContainerUsage, ARuntimeWithoutCountersIsBelieved) {
  v1::ListContainerStatsResponse second;
  Add(second, "p", "main").mutable_cpu()->mutable_usage_nano_cores()->set_value(5);
  EXPECT_EQ(UsageBetween({}, second).items(0).containers(0).cpu(), "5n");
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/pod_groups.h"

#include "agent/decide/pod_cgroup.h"
#include "agent/node/systemd_units.h"
#include "agent/pods/cgroups/cgroupfs_groups.h"
#include "agent/pods/cgroups/systemd_slices.h"

namespace daemonsetd {
namespace {

// For one operation of systemd, the wait for its job included. A machine under load is slow, and a pod can wait.
constexpr Nanoseconds kSystemdDeadline = std::chrono::seconds(20);

pods::SliceUnits UnitsOfSystemd() {
  return {.start =
              [](const std::string& slice, const decide::SliceProperties& properties) {
                return node::StartTransientSlice(slice, properties, kSystemdDeadline);
              },
          .set =
              [](const std::string& slice, const decide::SliceProperties& properties) {
                return node::SetUnitProperties(slice, properties, kSystemdDeadline);
              },
          .stop = [](const std::string& slice) { return node::StopUnit(slice, kSystemdDeadline); }};
}

// What the burstable pods of this node request together.
std::int64_t BurstableMilliCpu(const pods::PodWorkers& workers) {
  std::int64_t sum = 0;
  for (const auto& [uid, worker] : workers.all()) {
    if (!worker->terminal() && !worker->finished()) sum += decide::BurstableMilliCpu(worker->pod().spec());
  }
  return sum;
}

std::int64_t AllocatableMilliCpu(const corev1::Node& node) {
  const auto cpu = node.status().allocatable().find("cpu");
  return cpu == node.status().allocatable().end() ? 0 : model::Quantity::From(cpu->second).MilliValue();
}

}  // namespace

std::unique_ptr<pods::PodCgroups> MakePodCgroups(async::Executor executor, PodGroupSources sources,
                                                 const config::Message& config) {
  const std::shared_ptr<pods::GroupTree> tree = pods::FindGroupTree();
  pods::PodCgroups::Ports ports{
      .executor = std::move(executor),
      .timeline = sources.timeline,
      .blocking = sources.blocking,
      .by_systemd = [&features = sources.features] { return features.cgroup_driver == cri::CgroupDriver::kSystemd; },
      .burstable_milli_cpu = [&workers = sources.workers] { return BurstableMilliCpu(workers); },
      .node_milli_cpu = [node = std::move(sources.node)] { return AllocatableMilliCpu(node()); },
      .observe = [&metrics = sources.metrics](std::string_view operation,
                                              Nanoseconds took) { metrics.GroupsChanged(operation, took); }};
  return std::make_unique<pods::PodCgroups>(
      std::move(ports),
      pods::PodCgroupSettings{
          .enabled = config.cgroupsperqos(), .root = config.cgrouproot(), .pids_limit = config.podpidslimit()},
      std::make_shared<pods::CgroupfsGroups>(tree), std::make_shared<pods::SystemdSlices>(tree, UnitsOfSystemd()));
}

}  // namespace daemonsetd

#include "agent/ctl/tables.h"

#include <fmt/format.h>

#include "agent/local/rfc3339.h"

namespace daemonsetd::ctl {
namespace {

std::string Images(const statusv1::DaemonSetStatus& daemon_set, bool names) {
  std::string text;
  for (const statusv1::ContainerImage& container : daemon_set.containers()) {
    if (container.init()) continue;  // as kubectl
    text += (text.empty() ? "" : ",") + (names ? container.name() : container.image());
  }
  return OrNone(text);
}

std::string Restarts(const statusv1::PodSummary& pod, WallTime now) {
  if (pod.restarts() == 0 || pod.last_restart_time().empty()) return std::to_string(pod.restarts());
  return fmt::format("{} ({} ago)", pod.restarts(), Age(pod.last_restart_time(), now));
}

std::string ReadyWord(const statusv1::NodeStatus& node) {
  std::string word = "Unknown";
  for (const statusv1::Condition& condition : node.conditions()) {
    if (condition.type() == "Ready") word = condition.status() == "True" ? "Ready" : "NotReady";
  }
  return node.unschedulable() ? word + ",SchedulingDisabled" : word;
}

// "250m/4": what the pods ask for, of what there is for them.
std::string Share(const statusv1::NodeStatus& node, const std::string& resource) {
  const auto requested = node.requested().find(resource);
  const auto allocatable = node.allocatable().find(resource);
  return fmt::format("{}/{}", requested == node.requested().end() ? "0" : requested->second,
                     allocatable == node.allocatable().end() ? "?" : allocatable->second);
}

std::string Info(const statusv1::NodeStatus& node, const std::string& key) {
  const auto found = node.node_info().find(key);
  return found == node.node_info().end() ? "<unknown>" : found->second;
}

std::vector<std::string> Heads(TableStyle style, std::vector<std::string> heads, const std::vector<std::string>& wide) {
  if (style.with_namespace) heads.insert(heads.begin(), "NAMESPACE");
  if (style.wide) heads.insert(heads.end(), wide.begin(), wide.end());
  return heads;
}

}  // namespace

std::string Age(const std::string& moment, WallTime now) {
  const auto parsed = local::ParseRfc3339(moment);
  return parsed ? FormatAge(now - *parsed) : "<unknown>";
}

std::string OrNone(const std::string& text) { return text.empty() ? "<none>" : text; }

Table DaemonSetTable(TableStyle style) {
  return Table(Heads(style, {"NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"},
                     {"CONTAINERS", "IMAGES", "SELECTOR"}));
}

void AddRow(Table& table, TableStyle style, const statusv1::DaemonSetStatus& daemon_set, WallTime now) {
  std::vector<std::string> cells = {daemon_set.name(),
                                    std::to_string(daemon_set.desired()),
                                    std::to_string(daemon_set.current()),
                                    std::to_string(daemon_set.ready()),
                                    std::to_string(daemon_set.up_to_date()),
                                    std::to_string(daemon_set.available()),
                                    OrNone(daemon_set.node_selector()),
                                    Age(daemon_set.creation_timestamp(), now)};
  if (style.with_namespace) cells.insert(cells.begin(), daemon_set.namespace_());
  if (style.wide) {
    cells.push_back(Images(daemon_set, true));
    cells.push_back(Images(daemon_set, false));
    cells.push_back(OrNone(daemon_set.selector()));
  }
  table.Add(std::move(cells));
}

Table PodTable(TableStyle style) {
  return Table(Heads(style, {"NAME", "READY", "STATUS", "RESTARTS", "AGE"}, {"IP", "NODE", "OWNER"}));
}

void AddRow(Table& table, TableStyle style, const statusv1::PodSummary& pod, WallTime now) {
  std::vector<std::string> cells = {pod.name(), fmt::format("{}/{}", pod.ready_containers(), pod.containers_total()),
                                    pod.status(), Restarts(pod, now), Age(pod.creation_timestamp(), now)};
  if (style.with_namespace) cells.insert(cells.begin(), pod.namespace_());
  if (style.wide) {
    cells.push_back(OrNone(pod.pod_ip()));
    cells.push_back(OrNone(pod.node_name()));
    cells.push_back(pod.owner_name().empty() ? "<none>" : pod.owner_kind() + "/" + pod.owner_name());
  }
  table.Add(std::move(cells));
}

Table NodeTable(TableStyle style) {
  style.with_namespace = false;
  return Table(Heads(style, {"NAME", "STATUS", "AGE", "PODS", "CPU", "MEMORY"},
                     {"INTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"}));
}

void AddRow(Table& table, TableStyle style, const statusv1::NodeStatus& node, WallTime now) {
  std::vector<std::string> cells = {node.name(),         ReadyWord(node),    Age(node.creation_timestamp(), now),
                                    Share(node, "pods"), Share(node, "cpu"), Share(node, "memory")};
  if (style.wide) {
    std::string internal_ip;
    for (const statusv1::Address& address : node.addresses()) {
      if (address.type() == "InternalIP" && internal_ip.empty()) internal_ip = address.address();
    }
    cells.push_back(OrNone(internal_ip));
    cells.push_back(Info(node, "osImage"));
    cells.push_back(Info(node, "kernelVersion"));
    cells.push_back(Info(node, "containerRuntimeVersion"));
  }
  table.Add(std::move(cells));
}

std::string StatusText(const statusv1::Status& status, WallTime now) {
  const statusv1::RuntimeStatus& runtime = status.runtime();
  const statusv1::Counts& counts = status.counts();
  std::string text;
  const auto line = [&text](std::string_view key, const std::string& value) {
    text += fmt::format("{:<13}{}\n", key.empty() ? std::string() : fmt::format("{}:", key), value);
  };
  line("Node", OrNone(status.node_name()));
  line("Agent", fmt::format("{} ({}), up {}", status.version().version(), status.version().git_commit(),
                            Age(status.start_time(), now)));
  line("Runtime",
       fmt::format("{} {}, {} for {}", runtime.name().empty() ? "unknown" : runtime.name(), runtime.version(),
                   runtime.connected() ? "connected" : "NOT CONNECTED", Age(runtime.since(), now)));
  line("", fmt::format("{}, changes by {}", runtime.endpoint(),
                       runtime.observation().empty() ? "polling" : runtime.observation()));
  if (!runtime.last_error().empty()) line("", "last error: " + runtime.last_error());
  if (status.sources().has_manifests()) {
    const statusv1::ManifestSource& manifests = status.sources().manifests();
    line("Manifests",
         fmt::format("{}: {} files, {} objects, {} errors{}", manifests.path(), manifests.files(), manifests.objects(),
                     manifests.errors_size(), manifests.complete() ? "" : ", not read yet"));
  } else {
    line("Manifests", "not configured");
  }
  line("API server", status.api_server());
  if (!status.coordinator().empty()) line("Rollouts", status.coordinator());
  line("DaemonSets", fmt::format("{}: {} run here, {} do not", counts.daemon_sets(), counts.daemon_sets_hosted(),
                                 counts.daemon_sets_not_hosted()));
  line("Pods", fmt::format("{} desired, {} running, {} ready", counts.pods_desired(), counts.pods_running(),
                           counts.pods_ready()));
  for (const statusv1::SourceError& error : status.sources().manifests().errors()) {
    text += fmt::format("Error:       {}\n", error.text());
  }
  for (const std::string& warning : status.warnings()) text += fmt::format("Warning:     {}\n", warning);
  return text;
}

}  // namespace daemonsetd::ctl

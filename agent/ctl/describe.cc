#include "agent/ctl/describe.h"

#include <map>
#include <string_view>

#include <fmt/format.h>

#include "agent/ctl/table.h"
#include "agent/ctl/tables.h"

namespace daemonsetd::ctl {
namespace {

using StringMap = google::protobuf::Map<std::string, std::string>;

class Text {
 public:
  void Line(std::string_view key, std::string_view value) { Indented(0, key, value); }
  void Indented(int depth, std::string_view key, std::string_view value) {
    const std::string head = key.empty() ? std::string() : fmt::format("{}:", key);
    text_ += fmt::format("{:{}}{:<{}} {}", "", depth * 2, head, 18 - depth * 2, value);
    text_.erase(text_.find_last_not_of(' ') + 1);  // an empty value
    text_ += '\n';
  }
  // One entry a line, sorted, the first beside the key.
  void Entries(std::string_view key, const StringMap& map, std::string_view separator) {
    if (map.empty()) Line(key, "<none>");
    const std::map<std::string, std::string> sorted(map.begin(), map.end());
    for (const auto& [name, value] : sorted) {
      Line(key, fmt::format("{}{}{}", name, separator, value));
      key = "";
    }
  }
  void Conditions(const google::protobuf::RepeatedPtrField<statusv1::Condition>& conditions,
                  std::string_view heading = "Conditions") {
    if (conditions.empty()) return;
    Heading(heading);
    Table table({"  TYPE", "STATUS", "REASON", "MESSAGE"});
    for (const statusv1::Condition& condition : conditions) {
      table.Add({"  " + condition.type(), condition.status(), OrNone(condition.reason()), condition.message()});
    }
    text_ += table.Render(true);
  }
  void Heading(std::string_view heading) { text_ += fmt::format("{}:\n", heading); }
  // The last line before the events.
  void WaitsFor(const std::string& reason) { Line("Waits for", reason.empty() ? "nothing" : reason); }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string Moment(const std::string& moment, WallTime now) {
  return moment.empty() ? "<none>" : fmt::format("{} ({} ago)", moment, Age(moment, now));
}

const char* YesNo(bool value) { return value ? "yes" : "no"; }

void DescribeContainer(const statusv1::ContainerSummary& container, WallTime now, Text& text) {
  text.Indented(1, container.name(), container.sidecar() ? "(sidecar)" : container.init() ? "(init container)" : "");
  text.Indented(2, "Image", container.image());
  if (!container.image_id().empty()) text.Indented(2, "Image ID", container.image_id());
  if (!container.container_id().empty()) text.Indented(2, "Container ID", container.container_id());
  text.Indented(2, "State", container.state());
  if (!container.reason().empty()) text.Indented(2, "Reason", container.reason());
  if (!container.message().empty()) text.Indented(2, "Message", container.message());
  if (container.state() == "Terminated") text.Indented(2, "Exit Code", std::to_string(container.exit_code()));
  if (!container.started_at().empty()) text.Indented(2, "Started", Moment(container.started_at(), now));
  if (!container.finished_at().empty()) text.Indented(2, "Finished", Moment(container.finished_at(), now));
  if (container.has_last_termination()) {
    const statusv1::ContainerTermination& last = container.last_termination();
    text.Indented(2, "Last State",
                  fmt::format("Terminated: {}, exit code {}, {}", OrNone(last.reason()), last.exit_code(),
                              Moment(last.finished_at(), now)));
    if (!last.message().empty()) text.Indented(2, "Last Message", last.message());
  }
  text.Indented(2, "Ready", YesNo(container.ready()));
  text.Indented(2, "Restart Count", std::to_string(container.restart_count()));
}

}  // namespace

std::string Describe(const statusv1::DaemonSetStatus& daemon_set, WallTime now) {
  Text text;
  text.Line("Name", daemon_set.name());
  text.Line("Namespace", daemon_set.namespace_());
  text.Line("UID", daemon_set.uid());
  text.Line("Source", OrNone(daemon_set.source()));
  text.Line("Created", Moment(daemon_set.creation_timestamp(), now));
  text.Line("Selector", OrNone(daemon_set.selector()));
  text.Line("Node-Selector", OrNone(daemon_set.node_selector()));
  text.Entries("Labels", daemon_set.labels(), "=");
  text.Entries("Annotations", daemon_set.annotations(), ": ");
  text.Line("Update Strategy", daemon_set.update_strategy());
  text.Line("Template Hash", daemon_set.template_hash());
  text.Line("On This Node",
            fmt::format("{} desired, {} current, {} ready, {} up-to-date, {} available", daemon_set.desired(),
                        daemon_set.current(), daemon_set.ready(), daemon_set.up_to_date(), daemon_set.available()));
  text.Line("Pod", OrNone(daemon_set.pod_name()));
  text.Heading("Containers");
  for (const statusv1::ContainerImage& container : daemon_set.containers()) {
    text.Indented(1, container.name(), container.image() + (container.init() ? " (init)" : ""));
  }
  text.Conditions(daemon_set.cluster_conditions(), "Rollout");
  text.Conditions(daemon_set.conditions());
  text.Heading("Placement");
  text.Indented(1, "Should Run", YesNo(daemon_set.verdict().should_run()));
  text.Indented(1, "Should Stay", YesNo(daemon_set.verdict().should_keep_running()));
  if (!daemon_set.verdict().blocker().empty()) text.Indented(1, "Blocker", daemon_set.verdict().blocker());
  if (!daemon_set.verdict().reason().empty()) text.Indented(1, "Reason", daemon_set.verdict().reason());
  if (daemon_set.has_admission()) {
    text.Indented(1, "Admitted", YesNo(daemon_set.admission().admitted()));
    if (!daemon_set.admission().admitted()) {
      text.Indented(1, daemon_set.admission().reason(), daemon_set.admission().message());
    }
  }
  text.WaitsFor(daemon_set.waits_for());
  return text.Take();
}

std::string Describe(const statusv1::PodSummary& pod, WallTime now) {
  Text text;
  text.Line("Name", pod.name());
  text.Line("Namespace", pod.namespace_());
  text.Line("UID", pod.uid());
  text.Line("Node", OrNone(pod.node_name()));
  text.Line("Created", Moment(pod.creation_timestamp(), now));
  text.Line("Start Time", Moment(pod.start_time(), now));
  if (!pod.deletion_timestamp().empty()) text.Line("Terminating", Moment(pod.deletion_timestamp(), now));
  text.Entries("Labels", pod.labels(), "=");
  text.Entries("Annotations", pod.annotations(), ": ");
  text.Line("Status", pod.status());
  text.Line("Phase", pod.phase());
  text.Line("IP", pod.host_network() ? OrNone(pod.pod_ip()) + " (host network)" : OrNone(pod.pod_ip()));
  text.Line("Controlled By", pod.owner_name().empty() ? "<none>" : pod.owner_kind() + "/" + pod.owner_name());
  text.Line("QoS Class", OrNone(pod.qos_class()));
  text.Line("Sandbox ID", OrNone(pod.sandbox_id()));
  text.Heading("Containers");
  for (const statusv1::ContainerSummary& container : pod.containers()) DescribeContainer(container, now, text);
  text.Conditions(pod.conditions());
  text.WaitsFor(pod.message());
  return text.Take();
}

std::string Describe(const statusv1::NodeStatus& node, WallTime now) {
  Text text;
  text.Line("Name", node.name());
  text.Entries("Labels", node.labels(), "=");
  text.Entries("Annotations", node.annotations(), ": ");
  text.Line("Created", Moment(node.creation_timestamp(), now));
  std::string_view key = "Taints";
  if (node.taints().empty()) text.Line(key, "<none>");
  for (const statusv1::Taint& taint : node.taints()) {
    text.Line(key,
              fmt::format("{}{}{}:{}", taint.key(), taint.value().empty() ? "" : "=", taint.value(), taint.effect()));
    key = "";
  }
  text.Line("Unschedulable", YesNo(node.unschedulable()));
  text.Conditions(node.conditions());
  text.Heading("Addresses");
  for (const statusv1::Address& address : node.addresses()) text.Indented(1, address.type(), address.address());
  text.Heading("System Info");
  const std::map<std::string, std::string> info(node.node_info().begin(), node.node_info().end());
  for (const auto& [name, value] : info) text.Indented(1, name, value);
  text.Heading("Resources");
  Table table({"  RESOURCE", "CAPACITY", "ALLOCATABLE", "REQUESTED"});
  const std::map<std::string, std::string> capacity(node.capacity().begin(), node.capacity().end());
  const auto at = [](const StringMap& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? std::string("0") : found->second;
  };
  for (const auto& [name, value] : capacity) {
    table.Add({"  " + name, value, at(node.allocatable(), name), at(node.requested(), name)});
  }
  return text.Take() + table.Render(true);
}

std::string ExplainText(const statusv1::Explanation& explanation) {
  std::string text = fmt::format("DaemonSet {}/{} on node {}\n", explanation.namespace_(), explanation.name(),
                                 OrNone(explanation.node_name()));
  std::size_t width = 0;
  for (const statusv1::Check& check : explanation.checks()) width = std::max(width, check.name().size());
  for (const statusv1::Check& check : explanation.checks()) {
    const char* mark = check.outcome() == statusv1::Check::PASSED   ? "[+]"
                       : check.outcome() == statusv1::Check::FAILED ? "[-]"
                                                                    : "[ ]";
    std::string detail = check.detail();
    if (check.outcome() == statusv1::Check::SKIPPED && detail.empty()) detail = "not looked at";
    text += fmt::format("  {} {:<{}}   {}\n", mark, check.name(), width, detail);
  }
  text += fmt::format("Verdict:   {}\n", explanation.verdict());
  return text + fmt::format("Waits for: {}\n", explanation.waits_for().empty() ? "nothing" : explanation.waits_for());
}

}  // namespace daemonsetd::ctl

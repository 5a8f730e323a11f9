#include "agent/local/snapshot.h"

#include <utility>

#include <fmt/format.h>

#include "agent/base/utf8.h"
#include "agent/local/metrics.h"
#include "agent/model/codec.h"

namespace daemonsetd::local {
namespace {

bool Selected(const Selection& selection, const std::string& object_namespace, const std::string& name) {
  return (selection.object_namespace.empty() || selection.object_namespace == object_namespace) &&
         (selection.name.empty() || selection.name == name);
}

template <class List>
List Select(const List& all, const Selection& selection) {
  List chosen;
  for (const auto& item : all.items()) {
    if (Selected(selection, item.namespace_(), item.name())) *chosen.add_items() = item;
  }
  return chosen;
}

template <class List>
void Collect(const List& all, const Selection& selection,
             std::vector<std::pair<std::string, const google::protobuf::Message*>>& into) {
  for (const auto& item : all.items()) {
    if (Selected(selection, item.namespace_(), item.name())) {
      into.emplace_back(item.namespace_() + "/" + item.name(), &item);
    }
  }
}

// The name of the field of WatchEvent that carries this kind.
std::string_view EventField(Resource resource) {
  switch (resource) {
    case Resource::kStatus: return "status";
    case Resource::kDaemonSets: return "daemonSet";
    case Resource::kPods: return "pod";
    case Resource::kNode: return "node";
    case Resource::kExplanations: return "explanation";
    case Resource::kEvents: return "event";
  }
  return "";
}

std::string EventLine(std::string_view type, Resource resource, std::string_view object_json) {
  return fmt::format("{{\"type\":\"{}\",\"{}\":{}}}\n", type, EventField(resource), object_json);
}

std::string TimeText(const metav1::Time& time) {
  return time.has_seconds() ? FormatRfc3339(WallTime(Seconds(time.seconds()))) : std::string();
}

statusv1::EventSummary Summarize(const corev1::Event& event) {
  statusv1::EventSummary summary;
  summary.set_namespace_(event.metadata().namespace_());
  summary.set_name(event.metadata().name());
  summary.set_type(event.type());
  summary.set_reason(event.reason());
  summary.set_message(event.message());
  summary.set_count(event.count());
  summary.set_first_timestamp(TimeText(event.firsttimestamp()));
  summary.set_last_timestamp(TimeText(event.lasttimestamp()));
  summary.set_object_kind(event.involvedobject().kind());
  summary.set_object_namespace(event.involvedobject().namespace_());
  summary.set_object_name(event.involvedobject().name());
  summary.set_object_uid(event.involvedobject().uid());
  summary.set_field_path(event.involvedobject().fieldpath());
  summary.set_source(event.source().component());
  return summary;
}

bool Selected(const Selection& selection, const corev1::Event& event) {
  const corev1::ObjectReference& about = event.involvedobject();
  return Selected(selection, event.metadata().namespace_(), about.name()) &&
         (selection.kind.empty() || selection.kind == about.kind());
}

statusv1::EventList SelectEvents(const Snapshot& snapshot, const Selection& selection) {
  statusv1::EventList list;
  for (const auto& logged : snapshot.events) {
    if (Selected(selection, logged->event)) *list.add_items() = Summarize(logged->event);
  }
  return list;
}

// Events are many and change by one at a time, so the lines are not compared but counted.
std::string RenderNewEvents(const Snapshot& snapshot, const Selection& selection, Known& known) {
  std::string& told = known["change"];
  const std::uint64_t last = told.empty() ? 0 : std::stoull(told);
  std::string lines;
  for (const auto& logged : snapshot.events) {
    if (logged->change <= last) continue;
    told = std::to_string(logged->change);
    if (!Selected(selection, logged->event)) continue;
    const bool first = last == 0 || logged->event.count() == 1;
    lines += EventLine(first ? "ADDED" : "MODIFIED", Resource::kEvents, ToJson(Summarize(logged->event)));
  }
  return lines;
}

}  // namespace

std::string Render(const Snapshot& snapshot, Resource resource, const Selection& selection) {
  const bool all = selection.object_namespace.empty() && selection.name.empty();
  switch (resource) {
    case Resource::kStatus: return ToJson(snapshot.status) + "\n";
    case Resource::kNode: return ToJson(snapshot.node) + "\n";
    case Resource::kDaemonSets:
      return ToJson(all ? snapshot.daemon_sets : Select(snapshot.daemon_sets, selection)) + "\n";
    case Resource::kPods: return ToJson(all ? snapshot.pods : Select(snapshot.pods, selection)) + "\n";
    case Resource::kExplanations:
      return ToJson(all ? snapshot.explanations : Select(snapshot.explanations, selection)) + "\n";
    case Resource::kEvents: return ToJson(SelectEvents(snapshot, selection)) + "\n";
  }
  return {};
}

std::vector<std::pair<std::string, const google::protobuf::Message*>> Objects(const Snapshot& snapshot,
                                                                              Resource resource,
                                                                              const Selection& selection) {
  std::vector<std::pair<std::string, const google::protobuf::Message*>> objects;
  switch (resource) {
    case Resource::kStatus: objects.emplace_back("", &snapshot.status); break;
    case Resource::kNode: objects.emplace_back("", &snapshot.node); break;
    case Resource::kDaemonSets: Collect(snapshot.daemon_sets, selection, objects); break;
    case Resource::kPods: Collect(snapshot.pods, selection, objects); break;
    case Resource::kExplanations: Collect(snapshot.explanations, selection, objects); break;
    case Resource::kEvents: break;  // not kept as messages of their own
  }
  return objects;
}

std::string RenderChanges(const Snapshot& snapshot, Resource resource, const Selection& selection, Known& known) {
  if (resource == Resource::kEvents) return RenderNewEvents(snapshot, selection, known);
  std::string lines;
  Known now;
  std::vector<std::string> order;
  for (const auto& [key, object] : Objects(snapshot, resource, selection)) {
    order.push_back(key);
    now[key] = ToJson(*object);
  }
  // Deletions first: a pod that was replaced under its own name never shows twice.
  for (const auto& [key, json] : known) {
    if (!now.contains(key)) lines += EventLine("DELETED", resource, json);
  }
  for (const std::string& key : order) {
    const auto before = known.find(key);
    if (before == known.end()) {
      lines += EventLine("ADDED", resource, now[key]);
    } else if (before->second != now[key]) {
      lines += EventLine("MODIFIED", resource, now[key]);
    }
  }
  known = std::move(now);
  return lines;
}

std::string RenderPodList(const Snapshot& snapshot) {
  return model::EncodeJson(snapshot.pod_list, "v1", "PodList") + "\n";
}

std::string RenderChecks(std::string_view endpoint, const std::vector<HealthCheck>& checks) {
  std::string text;
  bool passed = true;
  for (const HealthCheck& check : checks) {
    passed = passed && check.passed;
    text += check.passed ? fmt::format("[+]{} ok\n", check.name)
                         : fmt::format("[-]{} failed: {}\n", check.name, check.detail);
  }
  return text + fmt::format("{} check {}\n", endpoint, passed ? "passed" : "failed");
}

std::string RenderMetrics(const Snapshot& snapshot) {
  const statusv1::Status& status = snapshot.status;
  MetricsText text;
  text.Family("daemonsetd_build_info", "gauge", "Version of the running agent; always 1.");
  text.Sample("daemonsetd_build_info",
              {{"version", status.version().version()}, {"git_commit", status.version().git_commit()}}, 1);
  text.Family("daemonsetd_node_name", "gauge", "Name of this node; always 1.");
  text.Sample("daemonsetd_node_name", {{"node", status.node_name()}}, 1);
  text.Family("daemonsetd_runtime_connected", "gauge", "1 while the container runtime answers.");
  text.Sample("daemonsetd_runtime_connected", {}, status.runtime().connected() ? 1 : 0);
  text.Family("daemonsetd_manifest_errors", "gauge", "Errors in the manifest directory as it is now.");
  text.Sample("daemonsetd_manifest_errors", {}, status.sources().manifests().errors_size());
  text.Family("daemonsetd_desired_pods", "gauge", "Pods that should run on this node.");
  text.Sample("daemonsetd_desired_pods", {}, status.counts().pods_desired());
  text.Family("daemonsetd_running_pods", "gauge", "Pods that run on this node.");
  text.Sample("daemonsetd_running_pods", {}, status.counts().pods_running());
  text.Family("daemonsetd_ready_pods", "gauge", "Pods on this node that are ready.");
  text.Sample("daemonsetd_ready_pods", {}, status.counts().pods_ready());

  // One family's samples must stand together, so each family walks the list.
  struct Number {
    const char* name;
    const char* help;
    std::int32_t (statusv1::DaemonSetStatus::*value)() const;
  };
  static constexpr Number kNumbers[] = {
      {"daemonsetd_daemonset_desired", "1 when this node should run a pod of the DaemonSet.",
       &statusv1::DaemonSetStatus::desired},
      {"daemonsetd_daemonset_current", "Pods of the DaemonSet on this node.", &statusv1::DaemonSetStatus::current},
      {"daemonsetd_daemonset_ready", "Ready pods of the DaemonSet on this node.", &statusv1::DaemonSetStatus::ready},
      {"daemonsetd_daemonset_updated", "Pods of the DaemonSet's newest template on this node.",
       &statusv1::DaemonSetStatus::up_to_date},
      {"daemonsetd_daemonset_available", "Available pods of the DaemonSet on this node.",
       &statusv1::DaemonSetStatus::available},
  };
  for (const Number& number : kNumbers) {
    text.Family(number.name, "gauge", number.help);
    for (const statusv1::DaemonSetStatus& daemon_set : snapshot.daemon_sets.items()) {
      text.Sample(number.name, {{"namespace", daemon_set.namespace_()}, {"daemonset", daemon_set.name()}},
                  (daemon_set.*number.value)());
    }
  }
  text.Family("daemonsetd_daemonset_placement", "gauge", "Placement verdict; blocker is empty when nothing blocks.");
  for (const statusv1::DaemonSetStatus& daemon_set : snapshot.daemon_sets.items()) {
    text.Sample("daemonsetd_daemonset_placement",
                {{"namespace", daemon_set.namespace_()},
                 {"daemonset", daemon_set.name()},
                 {"blocker", daemon_set.verdict().blocker()}},
                daemon_set.verdict().should_run() ? 1 : 0);
  }
  text.Family("daemonsetd_pod_restarts", "gauge", "Restarts of the containers that the pod has now.");
  for (const statusv1::PodSummary& pod : snapshot.pods.items()) {
    text.Sample("daemonsetd_pod_restarts", {{"namespace", pod.namespace_()}, {"pod", pod.name()}}, pod.restarts());
  }
  return text.Take();
}

std::string RenderError(std::string_view error, std::string_view hint) {
  statusv1::ErrorAnswer answer;
  answer.set_error(ValidUtf8(error));  // it may quote what a client sent
  answer.set_hint(ValidUtf8(hint));
  return ToJson(answer) + "\n";
}

}  // namespace daemonsetd::local

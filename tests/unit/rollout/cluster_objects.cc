#include "tests/unit/rollout/cluster_objects.h"

#include <stdexcept>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/daemon_pod.h"
#include "agent/model/codec.h"
#include "agent/model/defaulting.h"

namespace daemonsetd::rollout {
namespace {

constexpr char kNs[] = "default";

// The one condition of this type.
template <class Condition>
Condition& ConditionOf(google::protobuf::RepeatedPtrField<Condition>& conditions, const std::string& type) {
  for (Condition& condition : conditions) {
    if (condition.type() == type) return condition;
  }
  Condition& added = *conditions.Add();
  added.set_type(type);
  return added;
}

}  // namespace

void ReadYaml(std::string_view text, google::protobuf::Message& message) {
  const Status status = model::DecodeObject(text, message);
  if (!status) throw std::logic_error(status.error().message());
}

corev1::Node MakeNode(const std::string& name, const std::vector<std::string>& images) {
  corev1::Node node;
  node.mutable_metadata()->set_name(name);
  (*node.mutable_metadata()->mutable_labels())["kubernetes.io/hostname"] = name;
  SetReady(node, "True", WallTime(std::chrono::hours(24)));
  for (const std::string& image : images) node.mutable_status()->add_images()->add_names(image);
  return node;
}

void SetReady(corev1::Node& node, const std::string& status, WallTime since) {
  if (status.empty()) {
    node.mutable_status()->clear_conditions();
    return;
  }
  corev1::NodeCondition& condition = ConditionOf(*node.mutable_status()->mutable_conditions(), "Ready");
  condition.set_status(status);
  *condition.mutable_lasttransitiontime() = decide::ToApiTime(since);
}

appsv1::DaemonSet MakeSet(const std::string& name, const std::string& image, const std::string& strategy) {
  auto set = FromYaml<appsv1::DaemonSet>(fmt::format(R"(
metadata: {{name: {0}, namespace: {1}, generation: 1}}
spec:
  selector: {{matchLabels: {{app: {0}}}}}
  updateStrategy: {{type: RollingUpdate, rollingUpdate: {2}}}
  template:
    metadata: {{labels: {{app: {0}}}}}
    spec: {{containers: [{{name: main, image: "{3}"}}]}}
)",
                                                     name, kNs, strategy, image));
  model::SetDefaults(set);
  return set;
}

void SetImage(appsv1::DaemonSet& set, const std::string& image) {
  set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(image);
  set.mutable_metadata()->set_generation(set.metadata().generation() + 1);
}

corev1::Pod MakePod(const appsv1::DaemonSet& set, const std::string& node, int sequence) {
  corev1::Pod pod = decide::MakeDaemonPod(set, node, static_cast<std::uint32_t>(sequence));
  pod.mutable_metadata()->set_name(fmt::format("{}-{}-{}", set.metadata().name(), node, sequence));
  pod.mutable_metadata()->clear_uid();
  pod.mutable_status()->set_phase("Running");
  return pod;
}

void SetReady(corev1::Pod& pod, bool ready, WallTime since) {
  corev1::PodCondition& condition = ConditionOf(*pod.mutable_status()->mutable_conditions(), "Ready");
  condition.set_status(ready ? "True" : "False");
  *condition.mutable_lasttransitiontime() = decide::ToApiTime(since);
}

coordinationv1::Lease MakeNodeLease(const std::string& node, WallTime renewed) {
  return decide::RenewLease(node, "", node, decide::kNodeLeaseDuration, nullptr, renewed).lease;
}

std::string ReasonOf(const appsv1::DaemonSet& set, std::string_view condition) {
  for (const appsv1::DaemonSetCondition& each : set.status().conditions()) {
    if (each.type() == condition) return each.reason();
  }
  return {};
}

}  // namespace daemonsetd::rollout

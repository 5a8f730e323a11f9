#include "agent/decide/placement.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "agent/model/selectors.h"

namespace daemonsetd::decide {
namespace {

using model::Labels;

// More failing terms than this are only counted: the sentence is for people.
constexpr int kMaxTermsShown = 4;

constexpr char kNoSchedule[] = "NoSchedule";
constexpr char kNoExecute[] = "NoExecute";

corev1::Toleration ExistsToleration(const char* key, const char* effect) {
  corev1::Toleration toleration;
  toleration.set_key(key);
  toleration.set_operator_("Exists");
  toleration.set_effect(effect);
  return toleration;
}

bool SameTarget(const corev1::Toleration& a, const corev1::Toleration& b) {
  return a.key() == b.key() && a.effect() == b.effect() && a.operator_() == b.operator_() && a.value() == b.value();
}

void AddToleration(corev1::PodSpec& spec, const corev1::Toleration& toleration) {
  for (const corev1::Toleration& present : spec.tolerations()) {
    if (SameTarget(present, toleration) && !present.has_tolerationseconds()) return;
  }
  bool replaced = false;
  for (corev1::Toleration& present : *spec.mutable_tolerations()) {
    if (!SameTarget(present, toleration)) continue;
    present = toleration;
    replaced = true;
  }
  if (!replaced) *spec.add_tolerations() = toleration;
}

std::string DescribeLabel(const std::string& key, const Labels& labels) {
  const auto label = labels.find(key);
  if (label == labels.end()) return fmt::format("the node has no label {}", key);
  return fmt::format("the node has {}={}", key, label->second);
}

bool IsInt64(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string DescribeExpressionFailure(const corev1::NodeSelectorRequirement& requirement, const Labels& labels) {
  std::string node_side = DescribeLabel(requirement.key(), labels);
  const std::string& op = requirement.operator_();
  const auto label = labels.find(requirement.key());
  if (label == labels.end() && (op == "NotIn" || op == "DoesNotExist")) {
    node_side = "not a valid requirement, so it matches no node";  // a valid one holds where the label is absent
  } else if (label != labels.end() && (op == "Gt" || op == "Lt") && !IsInt64(label->second)) {
    node_side += ", which is not an integer";
  }
  return fmt::format("fails at \"{}\" ({})", model::ToString(requirement), node_side);
}

// Empty: the term matches. Otherwise the predicate of "term N of M ...".
std::string TermFailure(const corev1::NodeSelectorTerm& term, const corev1::Node& node) {
  if (term.matchexpressions().empty() && term.matchfields().empty()) return "is empty and matches nothing";
  const Labels& labels = node.metadata().labels();
  for (const corev1::NodeSelectorRequirement& requirement : term.matchexpressions()) {
    if (!model::MatchesExpression(requirement, labels)) return DescribeExpressionFailure(requirement, labels);
  }
  const std::string& name = node.metadata().name();
  for (const corev1::NodeSelectorRequirement& requirement : term.matchfields()) {
    if (!model::MatchesField(requirement, name)) {
      return fmt::format("fails at field \"{}\" (the node is {})", model::ToString(requirement), name);
    }
  }
  return {};
}

// Empty: the node matches.
std::string AffinityFailure(const corev1::NodeSelector& required, const corev1::Node& node) {
  const int count = required.nodeselectorterms_size();
  if (count == 0) return "required node affinity has no terms, so it matches no node";
  std::string failures;
  for (int i = 0; i < count; ++i) {
    const std::string failure = TermFailure(required.nodeselectorterms(i), node);
    if (failure.empty()) return {};
    if (i < kMaxTermsShown) {
      failures += fmt::format("{}term {} of {} {}", i == 0 ? "" : "; ", i + 1, count, failure);
    }
  }
  if (count > kMaxTermsShown) failures += fmt::format("; {} more terms fail too", count - kMaxTermsShown);
  return "required node affinity: " + failures;
}

// Empty: the node has every pair.
std::string NodeSelectorFailure(const corev1::PodSpec& spec, const Labels& labels) {
  const std::map<std::string, std::string> wanted(spec.nodeselector().begin(), spec.nodeselector().end());
  for (const auto& [key, value] : wanted) {
    const auto label = labels.find(key);
    if (label != labels.end() && label->second == value) continue;
    return fmt::format("nodeSelector {}={}: {}", key, value, DescribeLabel(key, labels));
  }
  return {};
}

bool IsTolerated(const corev1::Taint& taint, const corev1::PodSpec& spec) {
  for (const corev1::Toleration& toleration : spec.tolerations()) {
    if (model::Tolerates(toleration, taint)) return true;
  }
  return false;
}

Placement Blocked(Placement::Blocker blocker, std::string reason) {
  Placement placement;
  placement.blocker = blocker;
  placement.reason = std::move(reason);
  return placement;
}

Placement JudgeTaints(const corev1::PodSpec& spec, const corev1::Node& node) {
  const corev1::Taint* blocks_start = nullptr;
  const corev1::Taint* stops_running = nullptr;
  for (const corev1::Taint& taint : node.spec().taints()) {
    if (taint.effect() != kNoSchedule && taint.effect() != kNoExecute) continue;
    if (IsTolerated(taint, spec)) continue;
    if (blocks_start == nullptr) blocks_start = &taint;
    if (stops_running == nullptr && taint.effect() == kNoExecute) stops_running = &taint;
  }
  if (blocks_start == nullptr) {
    Placement placement;
    placement.should_run = true;
    placement.should_keep_running = true;
    return placement;
  }
  // A taint that stops a running pod explains more than one that only blocks a start.
  const corev1::Taint& named = stops_running != nullptr ? *stops_running : *blocks_start;
  Placement placement =
      Blocked(Placement::Blocker::kTaint, fmt::format("taint {} is not tolerated", model::ToString(named)));
  placement.should_keep_running = stops_running == nullptr;
  return placement;
}

}  // namespace

void AddDaemonTolerations(corev1::PodSpec& spec) {
  AddToleration(spec, ExistsToleration("node.kubernetes.io/not-ready", kNoExecute));
  AddToleration(spec, ExistsToleration("node.kubernetes.io/unreachable", kNoExecute));
  AddToleration(spec, ExistsToleration("node.kubernetes.io/disk-pressure", kNoSchedule));
  AddToleration(spec, ExistsToleration("node.kubernetes.io/memory-pressure", kNoSchedule));
  AddToleration(spec, ExistsToleration("node.kubernetes.io/pid-pressure", kNoSchedule));
  AddToleration(spec, ExistsToleration("node.kubernetes.io/unschedulable", kNoSchedule));
  if (spec.hostnetwork()) {
    AddToleration(spec, ExistsToleration("node.kubernetes.io/network-unavailable", kNoSchedule));
  }
  AddToleration(spec, ExistsToleration(kDaemonSetsOnlyTaint, kNoSchedule));
}

std::string_view VerdictOf(const Placement& placement) {
  if (placement.should_run) return "runs here";
  return placement.should_keep_running ? "keeps running, would not start again" : "does not run here";
}

Placement Place(const corev1::PodSpec& template_spec, const corev1::Node& node) {
  const std::string& node_name = node.metadata().name();
  if (!template_spec.nodename().empty() && template_spec.nodename() != node_name) {
    return Blocked(Placement::Blocker::kNodeName,
                   fmt::format("nodeName {}: the node is {}", template_spec.nodename(), node_name));
  }

  if (std::string failure = NodeSelectorFailure(template_spec, node.metadata().labels()); !failure.empty()) {
    return Blocked(Placement::Blocker::kNodeSelector, std::move(failure));
  }
  const corev1::NodeAffinity& affinity = template_spec.affinity().nodeaffinity();
  if (affinity.has_requiredduringschedulingignoredduringexecution()) {
    std::string failure = AffinityFailure(affinity.requiredduringschedulingignoredduringexecution(), node);
    if (!failure.empty()) return Blocked(Placement::Blocker::kNodeAffinity, std::move(failure));
  }

  // Only what the taint test reads: a full copy of the spec would cost more than the test itself.
  corev1::PodSpec tolerating;
  *tolerating.mutable_tolerations() = template_spec.tolerations();
  tolerating.set_hostnetwork(template_spec.hostnetwork());
  AddDaemonTolerations(tolerating);
  return JudgeTaints(tolerating, node);
}

}  // namespace daemonsetd::decide

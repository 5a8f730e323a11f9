#include "agent/decide/node_taints.h"

#include <algorithm>
#include <string_view>

#include "agent/decide/api_time.h"

namespace daemonsetd::decide {
namespace {

constexpr char kNoSchedule[] = "NoSchedule";
constexpr char kNoExecute[] = "NoExecute";

struct Rule {
  const char* key;
  const char* effect;
  const char* condition;  // null: spec.unschedulable
  const char* status;     // the condition's status that asks for the taint; null: none does
};

constexpr Rule kRules[] = {
    {"node.kubernetes.io/not-ready", kNoSchedule, "Ready", "False"},
    {"node.kubernetes.io/not-ready", kNoExecute, "Ready", "False"},
    {"node.kubernetes.io/unreachable", kNoSchedule, "Ready", nullptr},
    {"node.kubernetes.io/unreachable", kNoExecute, "Ready", nullptr},
    {"node.kubernetes.io/memory-pressure", kNoSchedule, "MemoryPressure", "True"},
    {"node.kubernetes.io/disk-pressure", kNoSchedule, "DiskPressure", "True"},
    {"node.kubernetes.io/pid-pressure", kNoSchedule, "PIDPressure", "True"},
    {"node.kubernetes.io/network-unavailable", kNoSchedule, "NetworkUnavailable", "True"},
    {"node.kubernetes.io/unschedulable", kNoSchedule, nullptr, nullptr},
};

enum class Wanted { kYes, kNo, kUnknown };

Wanted IsWanted(const Rule& rule, const corev1::Node& node) {
  if (rule.condition == nullptr) return node.spec().unschedulable() ? Wanted::kYes : Wanted::kNo;
  for (const corev1::NodeCondition& condition : node.status().conditions()) {
    if (condition.type() != rule.condition) continue;
    if (condition.status() == "Unknown") return Wanted::kUnknown;
    return rule.status != nullptr && condition.status() == rule.status ? Wanted::kYes : Wanted::kNo;
  }
  // A condition that nobody reports: no pressure is known of, while readiness is still to be proven.
  return std::string_view(rule.condition) == "Ready" ? Wanted::kUnknown : Wanted::kNo;
}

const Rule* FindRule(const corev1::Taint& taint) {
  for (const Rule& rule : kRules) {
    if (taint.key() == rule.key && taint.effect() == rule.effect) return &rule;
  }
  return nullptr;
}

bool SameTaints(const std::vector<corev1::Taint>& wanted, const corev1::NodeSpec& spec) {
  return std::equal(wanted.begin(), wanted.end(), spec.taints().begin(), spec.taints().end(),
                    [](const corev1::Taint& a, const corev1::Taint& b) {
                      return a.key() == b.key() && a.effect() == b.effect() && a.value() == b.value();
                    });
}

}  // namespace

std::vector<corev1::Taint> TaintsOf(const corev1::Node& node, WallTime now) {
  std::vector<corev1::Taint> taints;
  for (const corev1::Taint& taint : node.spec().taints()) {
    const Rule* rule = FindRule(taint);
    if (rule == nullptr || IsWanted(*rule, node) != Wanted::kNo) taints.push_back(taint);
  }
  for (const Rule& rule : kRules) {
    if (IsWanted(rule, node) != Wanted::kYes) continue;
    const bool there =
        std::any_of(taints.begin(), taints.end(), [&](const corev1::Taint& taint) { return FindRule(taint) == &rule; });
    if (there) continue;
    corev1::Taint& taint = taints.emplace_back();
    taint.set_key(rule.key);
    taint.set_effect(rule.effect);
    *taint.mutable_timeadded() = ToApiTime(now);
  }
  return taints;
}

TaintDecision DecideTaints(const corev1::Node& node, Now now, TaintMemory& memory) {
  TaintDecision decision;
  std::vector<corev1::Taint> wanted = TaintsOf(node, now.wall);
  if (SameTaints(wanted, node.spec())) {
    memory.differs_since.reset();
    return decision;
  }
  if (!memory.differs_since) memory.differs_since = now.mono;
  if (now.mono - *memory.differs_since < kTaintPatience) {
    decision.look_again = *memory.differs_since + kTaintPatience;
    return decision;
  }
  decision.taints = std::move(wanted);
  return decision;
}

}  // namespace daemonsetd::decide

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "agent/model/defaulting.h"
#include "agent/model/quantity.h"

namespace daemonsetd::model {
namespace {

using QuantityMap = google::protobuf::Map<std::string, resourcev1::Quantity>;
using Totals = std::map<std::string, Quantity>;
// resources().limits() or resources().requests() of one container.
using Selection = const QuantityMap& (corev1::ResourceRequirements::*)() const;

bool IsHugePages(std::string_view name) { return name.starts_with("hugepages-"); }
bool IsForPods(std::string_view name) { return name == "cpu" || name == "memory" || IsHugePages(name); }

void Add(Totals& totals, const QuantityMap& list) {
  for (const auto& [name, message] : list) {
    totals[name] += Quantity::From(message);
  }
}

void RaiseTo(Totals& totals, const Totals& least) {
  for (const auto& [name, quantity] : least) {
    const auto [it, is_new] = totals.try_emplace(name, quantity);
    if (!is_new && it->second.Compare(quantity) < 0) {
      it->second = quantity;
    }
  }
}

// What the containers need together: the regular ones and the sidecars at once, or one init container with the
// sidecars that started before it, whichever is more.
Totals Aggregate(const corev1::PodSpec& spec, Selection selection) {
  Totals running;
  for (const auto& container : spec.containers()) {
    Add(running, (container.resources().*selection)());
  }
  Totals sidecars;
  Totals starting;
  for (const auto& container : spec.initcontainers()) {
    const QuantityMap& own = (container.resources().*selection)();
    if (container.restartpolicy() == "Always") {
      Add(running, own);
      Add(sidecars, own);
      RaiseTo(starting, sidecars);
    } else {
      Totals step = sidecars;
      Add(step, own);
      RaiseTo(starting, step);
    }
  }
  RaiseTo(running, starting);
  return running;
}

bool EveryContainerHasLimit(const corev1::PodSpec& spec, const std::string& name) {
  const auto has_limit = [&](const corev1::Container& container) {
    return container.resources().limits().contains(name);
  };
  return std::ranges::all_of(spec.containers(), has_limit) && std::ranges::all_of(spec.initcontainers(), has_limit);
}

void SetWhereMissing(QuantityMap& list, const Totals& totals, const std::function<bool(const std::string&)>& applies) {
  for (const auto& [name, quantity] : totals) {
    if (applies(name) && !list.contains(name)) {
      list[name] = quantity.ToMessage();
    }
  }
}

}  // namespace

void SetPodResourceDefaults(corev1::PodSpec& spec) {
  if (!spec.has_resources() || (spec.resources().limits().empty() && spec.resources().requests().empty())) {
    return;  // pod-level resources are an all or nothing choice of the author's
  }
  auto& resources = *spec.mutable_resources();
  const Totals limits = Aggregate(spec, &corev1::ResourceRequirements::limits);
  SetWhereMissing(*resources.mutable_limits(), limits,
                  [&](const std::string& name) { return IsHugePages(name) && !resources.requests().contains(name); });
  if (!resources.limits().empty()) {
    SetWhereMissing(*resources.mutable_requests(), Aggregate(spec, &corev1::ResourceRequirements::requests),
                    [](const std::string& name) { return IsForPods(name) && !IsHugePages(name); });
    for (const auto& [name, limit] : resources.limits()) {
      if (IsForPods(name) && !resources.requests().contains(name)) {
        (*resources.mutable_requests())[name] = limit;
      }
    }
    return;
  }
  SetWhereMissing(*resources.mutable_limits(), limits, [&](const std::string& name) {
    return IsForPods(name) && !IsHugePages(name) && EveryContainerHasLimit(spec, name);
  });
}

}  // namespace daemonsetd::model

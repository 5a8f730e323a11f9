#include "agent/decide/runtime_class.h"

#include <fmt/format.h>

namespace daemonsetd::decide {

RuntimeClass RuntimeClassOf(const nodev1::RuntimeClass& object) {
  RuntimeClass runtime_class{.handler = object.handler(), .overhead = {}};
  for (const auto& [name, quantity] : object.overhead().podfixed()) {
    runtime_class.overhead[name] = model::Quantity::From(quantity);
  }
  return runtime_class;
}

const RuntimeClass* FindConfigured(const corev1::PodSpec& spec, const RuntimeClasses& classes) {
  const auto found = classes.find(spec.runtimeclassname());
  return found == classes.end() ? nullptr : &found->second;
}

Error MissingRuntimeClass(const Error& absent) {
  return Error(absent.kind(), fmt::format("{}; create it at the API server, or add it to runtimeClasses in the node's "
                                          "configuration",
                                          absent.message()));
}

void SetOverhead(corev1::PodSpec& spec, const RuntimeClass& runtime_class) {
  if (spec.overhead_size() > 0) return;
  for (const auto& [name, quantity] : runtime_class.overhead) (*spec.mutable_overhead())[name] = quantity.ToMessage();
}

void SetOverhead(corev1::PodSpec& spec, const RuntimeClasses& classes) {
  if (const RuntimeClass* configured = FindConfigured(spec, classes)) SetOverhead(spec, *configured);
}

}  // namespace daemonsetd::decide

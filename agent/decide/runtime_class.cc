#include "agent/decide/runtime_class.h"

#include <fmt/format.h>

namespace daemonsetd::decide {

Result<std::string> FindRuntimeHandler(const corev1::PodSpec& spec, const RuntimeClasses& classes) {
  const std::string& name = spec.runtimeclassname();
  if (name.empty()) return std::string();
  const auto found = classes.find(name);
  if (found != classes.end()) return found->second.handler;
  return Error(ErrorKind::kAbsent,
               fmt::format("needs RuntimeClass {}, which this node does not have; add it to runtimeClasses in the "
                           "node's configuration",
                           name));
}

void SetOverhead(corev1::PodSpec& spec, const RuntimeClasses& classes) {
  const auto found = classes.find(spec.runtimeclassname());
  if (found == classes.end() || spec.overhead_size() > 0) return;
  for (const auto& [name, quantity] : found->second.overhead) (*spec.mutable_overhead())[name] = quantity.ToMessage();
}

}  // namespace daemonsetd::decide

#include "agent/decide/pod_spec.h"

#include <fmt/format.h>

#include "agent/model/quantity.h"

namespace daemonsetd::decide {
namespace {

constexpr const char* kResizable[] = {"cpu", "memory"};

std::string AmountOf(const google::protobuf::Map<std::string, resourcev1::Quantity>& list, const char* name) {
  const auto amount = list.find(name);
  return amount == list.end() ? std::string() : model::Quantity::From(amount->second).Canonical();
}

std::string TextOf(const corev1::Container& container, const char* name) {
  return fmt::format("{}={}/{}", name, AmountOf(container.resources().requests(), name),
                     AmountOf(container.resources().limits(), name));
}

}  // namespace

bool IsSidecar(const corev1::Container& init_container) { return init_container.restartpolicy() == "Always"; }

int InitIndex(const corev1::Pod& pod, std::string_view name) {
  for (int i = 0; i < pod.spec().initcontainers_size(); ++i) {
    if (pod.spec().initcontainers(i).name() == name) return i;
  }
  return -1;
}

const corev1::Container* FindContainer(const corev1::Pod& pod, std::string_view name) {
  if (const int index = InitIndex(pod, name); index >= 0) return &pod.spec().initcontainers(index);
  for (const corev1::Container& container : pod.spec().containers()) {
    if (container.name() == name) return &container;
  }
  return nullptr;
}

bool IsEmptyDirOnDisk(const corev1::Volume& volume) {
  return volume.volumesource().has_emptydir() && volume.volumesource().emptydir().medium() != kMemoryMedium;
}

bool ShouldRestart(const corev1::Pod& pod, const corev1::Container& container, bool is_init, int exit_code) {
  if (is_init && IsSidecar(container)) return true;
  const std::string& policy = pod.spec().restartpolicy();
  if (is_init) return exit_code != 0 && policy != "Never";
  if (policy == "Never") return false;
  if (policy == "OnFailure") return exit_code != 0;
  return true;
}

std::string ResourcesText(const corev1::Container& container) {
  std::string text;
  for (const char* name : kResizable) text += (text.empty() ? "" : ",") + TextOf(container, name);
  return text;
}

std::string RestartingResource(const corev1::Container& container, std::string_view old_text) {
  for (const corev1::ContainerResizePolicy& policy : container.resizepolicy()) {
    if (policy.restartpolicy() != "RestartContainer") continue;
    for (const char* name : kResizable) {
      const bool same =
          ("," + std::string(old_text) + ",").find("," + TextOf(container, name) + ",") != std::string::npos;
      if (policy.resourcename() == name && !same) return name;
    }
  }
  return {};
}

}  // namespace daemonsetd::decide

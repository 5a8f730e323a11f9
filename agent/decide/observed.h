// What containerd says of one pod. Built by pods/runtime_view, read by every decision about a running pod.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cri.pb.h"

namespace daemonsetd::decide {

struct ObservedContainer {
  std::string sandbox_id;
  ::runtime::v1::ContainerStatus status;
};

struct ObservedPod {
  std::vector<::runtime::v1::PodSandboxStatus> sandboxes;  // newest attempt first
  std::vector<ObservedContainer> containers;               // newest attempt first within a name

  // The newest sandbox, or null.
  const ::runtime::v1::PodSandboxStatus* newest_sandbox() const {
    return sandboxes.empty() ? nullptr : &sandboxes.front();
  }
  // It has containers, and each that the runtime knows runs.
  bool all_running() const {
    return !containers.empty() && std::all_of(containers.begin(), containers.end(), [](const auto& container) {
      return container.status.state() == ::runtime::v1::CONTAINER_RUNNING;
    });
  }
  // The pod's own addresses, the first one first; none on the host network and before the network is there.
  std::vector<std::string> sandbox_ips() const {
    std::vector<std::string> ips;
    const auto* sandbox = newest_sandbox();
    if (!sandbox || sandbox->network().ip().empty()) return ips;
    ips.push_back(sandbox->network().ip());
    for (const auto& more : sandbox->network().additional_ips()) ips.push_back(more.ip());
    return ips;
  }
  // The newest container of that name inside that sandbox, or null.
  const ObservedContainer* Find(const std::string& sandbox_id, const std::string& name) const {
    for (const ObservedContainer& container : containers) {
      if (container.sandbox_id == sandbox_id && container.status.metadata().name() == name) return &container;
    }
    return nullptr;
  }
  const ObservedContainer* FindId(const std::string& container_id) const {
    for (const ObservedContainer& container : containers) {
      if (container.status.id() == container_id) return &container;
    }
    return nullptr;
  }
};

}  // namespace daemonsetd::decide

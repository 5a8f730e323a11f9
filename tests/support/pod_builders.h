// Short ways to say pods and what a runtime reports of them.
#pragma once

#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/observed.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::testing {

// A defaulted pod "default/pod" with UID "uid", restartPolicy Always, grace period 30 s and these main containers.
corev1::Pod MakePod(const std::vector<std::string>& containers, const std::vector<std::string>& init_containers = {});

::runtime::v1::PodSandboxStatus MakeSandbox(const std::string& id, bool ready = true, std::uint32_t attempt = 0);

struct ContainerSpec {
  std::string id;
  std::string name;
  std::string sandbox_id = "s0";
  ::runtime::v1::ContainerState state = ::runtime::v1::CONTAINER_RUNNING;
  std::uint32_t restart_count = 0;
  int exit_code = 0;
  Nanoseconds ran = std::chrono::seconds(1);  // between start and end, or now
};
decide::ObservedContainer MakeContainer(const ContainerSpec& spec);

}  // namespace daemonsetd::testing

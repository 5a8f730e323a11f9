// Answers of a runtime, as bytes: the status of a sandbox and of its containers, through every decision about the pod.
// Input: records of one byte kind, two bytes length, and a serialized message.
#include "agent/decide/pod_plan.h"
#include "agent/decide/pod_status.h"
#include "agent/pods/pod_identity.h"
#include "cri/runtime_features.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daemonsetd;
  decide::ObservedPod observed;
  runtime::v1::StatusResponse status;
  std::size_t at = 0;
  while (at + 3 <= size) {
    const std::uint8_t kind = data[at];
    const std::size_t length = std::min<std::size_t>(data[at + 1] << 8 | data[at + 2], size - at - 3);
    const std::string bytes = testing::Text(data + at + 3, length);
    at += 3 + length;
    if (kind % 3 == 0) {
      runtime::v1::PodSandboxStatus sandbox;
      if (sandbox.ParseFromString(bytes)) observed.sandboxes.push_back(std::move(sandbox));
    } else if (kind % 3 == 1) {
      decide::ObservedContainer container;
      if (!container.status.ParseFromString(bytes)) continue;
      if (!observed.sandboxes.empty()) container.sandbox_id = observed.sandboxes.front().id();
      observed.containers.push_back(std::move(container));
    } else if (!status.ParseFromString(bytes)) {
      status.Clear();
    }
  }
  (void)cri::ReadFeatures(status, {});
  (void)pods::ReadIdentity(observed);
  corev1::Pod pod = pods::PodFromRuntime(observed);
  decide::PodMemory memory;
  memory.set_up = true;
  const Now now{};
  decide::Remember(pod, observed, now.mono, {}, memory);
  for (const bool terminate : {false, true}) {
    const decide::PodIntent intent{.terminate = terminate, .kill_at = now.mono, .reason = "fuzz"};
    for (const decide::Action& action : decide::PlanPod(pod, intent, observed, memory, now.mono).actions) {
      (void)decide::ToString(action);
    }
  }
  *pod.mutable_status() = decide::ComputePodStatus(pod, observed, memory, pod.status(), {}, now);
  (void)decide::StatusWord(pod);
  return 0;
}

#include "agent/decide/failed_pods.h"

#include <algorithm>

#include <fmt/format.h>

namespace daemonsetd::decide {
namespace {

void TakeNoteOfHealth(bool healthy, MonoTime now, FailedPodMemory& memory) {
  if (!healthy) {
    memory.healthy_since.reset();
    return;
  }
  if (!memory.healthy_since) memory.healthy_since = now;
  if (now - *memory.healthy_since < kFailedPodsForgottenAfter) return;
  memory.backoff.Reset();
  memory.last_failure.clear();
}

}  // namespace

FailedPodVerdict JudgeFailedPods(const std::string& template_hash, const std::vector<FailedPod>& failed, bool healthy,
                                 MonoTime now, FailedPodMemory& memory) {
  FailedPodVerdict verdict;
  const auto newest = std::max_element(failed.begin(), failed.end(), [](const FailedPod& a, const FailedPod& b) {
    return a.created_at != b.created_at ? a.created_at < b.created_at : a.uid < b.uid;
  });
  if (memory.template_hash != template_hash) {
    const bool known = !memory.template_hash.empty();
    memory = FailedPodMemory{};
    memory.template_hash = template_hash;
    // What failed under the old template is not counted against the new one.
    if (known && newest != failed.end()) memory.counted_uid = newest->uid;
  }
  TakeNoteOfHealth(healthy, now, memory);

  if (failed.empty()) {
    if (memory.healthy_since && memory.backoff.failures() > 0) {
      verdict.look_again = *memory.healthy_since + kFailedPodsForgottenAfter;
    }
    return verdict;
  }
  for (const FailedPod& pod : failed) {
    if (&pod != &*newest) verdict.remove.push_back(pod.uid);
  }
  if (memory.counted_uid != newest->uid) {
    memory.counted_uid = newest->uid;
    memory.last_failure = newest->message;
    memory.backoff.Fail(now);
  }
  if (memory.backoff.Waiting(now)) {
    verdict.look_again = memory.backoff.due();
    verdict.waiting_for =
        fmt::format("the back-off after {} failed {}: {} between tries; the last one: {}", memory.backoff.failures(),
                    memory.backoff.failures() == 1 ? "pod" : "pods", FormatDuration(memory.backoff.delay()),
                    memory.last_failure.empty() ? "no reason was given" : memory.last_failure);
    return verdict;
  }
  verdict.replace = true;
  return verdict;
}

}  // namespace daemonsetd::decide

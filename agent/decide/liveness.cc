#include "agent/decide/liveness.h"

#include <utility>

namespace daemonsetd::decide {
namespace {

// What only the loop has to do late. The loop of a node that starves takes its time, too.
constexpr Nanoseconds kLoopGrace = std::chrono::minutes(1);
// What waits for a disk or for name servers: a volume of some million files takes minutes to remove, a name that no
// server answers for up to a minute, and several of these may wait in front of ours.
constexpr Nanoseconds kBlockingGrace = std::chrono::minutes(10);

HealthCheck Check(std::string name, const std::optional<MonoTime>& since, Nanoseconds grace, MonoTime now,
                  const std::string& stuck) {
  HealthCheck check{.name = std::move(name), .passed = !since || now - *since <= grace};
  if (!check.passed) check.detail = stuck + " for " + FormatDuration(std::chrono::floor<Seconds>(now - *since));
  return check;
}

}  // namespace

std::vector<HealthCheck> CheckLiveness(const LifeSigns& signs, MonoTime now) {
  std::vector<HealthCheck> checks = {
      Check("blocking calls", signs.pool_asked, kBlockingGrace, now,
            "the threads for file systems and name look-ups have ended nothing"),
      Check("runtime view", signs.runtime_due, kLoopGrace, now, "the next list of the container runtime is overdue"),
      Check("checkpoint", signs.checkpoint_writing, kBlockingGrace, now, "a writing of the checkpoint has not ended"),
  };
  if (checks.back().passed) {
    checks.back() =
        Check("checkpoint", signs.checkpoint_due, kLoopGrace, now, "the next writing of the checkpoint is overdue");
  }
  return checks;
}

}  // namespace daemonsetd::decide

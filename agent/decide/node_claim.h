// May this agent take the Node's name? A kubelet kills pods that it does not know, and two agents under one name would
// undo each other, so a name that somebody alive holds is refused (design.md section 2). Pure.
//
// Alive is judged by the Lease: it is fresh by its own times, or it was renewed while we looked. Another machine's
// clock may be wrong either way, so a Lease counts as dead only after it has stood still for its whole duration on our
// monotonic clock.
#pragma once

#include <optional>
#include <string>

#include "agent/base/time_point.h"
#include "agent/decide/node_lease.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// On the Node, written by us: the agent's version. A Node without it belongs to a kubelet.
inline constexpr char kAgentVersionAnnotation[] = "daemonsetd.dev/agent-version";

// What the loop remembers between two looks; a fresh one for each start.
struct ClaimMemory {
  std::optional<MonoTime> first_look;
  std::string last_renewal;  // holder and renewTime as last read
  MonoTime unchanged_since{};
  bool renewed_by_other = false;  // seen to move while we looked
};

struct NodeClaim {
  enum class Answer {
    kOurs,      // the name is free, or we held it before
    kTakeOver,  // somebody held it and is gone; `message` says who
    kWatch,     // not known yet: look again at `look_again`
    kRefused,   // somebody alive holds it; `message` says who and what to do
  };
  Answer answer = Answer::kRefused;
  std::string message;
  MonoTime look_again{};  // for kWatch and kRefused
};

// Both objects as just read; null where there is none. `machine_id` is ours (status.nodeInfo.machineID of our Node).
NodeClaim ClaimNode(const corev1::Node* node, const coordinationv1::Lease* lease, const std::string& node_name,
                    const std::string& holder, const std::string& machine_id, Now now, ClaimMemory& memory);

}  // namespace daemonsetd::decide

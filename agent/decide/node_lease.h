// The Node's Lease kube-node-lease/<node>: who holds it, when it is renewed next. Pure.
//
// A kubelet renews every quarter of the duration (6 requests a minute at 40 s). An idle node of ours has to stay within
// 5 requests a minute with its watches, so it renews every half: 3 a minute. A renewal that fails is tried again after
// 2, 4, 7, 7... s, so that several tries come before the Lease runs out.
#pragma once

#include <optional>
#include <string>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"
#include "kubernetes/coordination_v1.pb.h"

namespace daemonsetd {
namespace coordinationv1 = ::k8s::io::api::coordination::v1;
}  // namespace daemonsetd

namespace daemonsetd::decide {

inline constexpr char kNodeLeaseNamespace[] = "kube-node-lease";
inline constexpr Seconds kNodeLeaseDuration{40};
inline constexpr Nanoseconds kLeaseRetryInitial = std::chrono::seconds(2);
inline constexpr Nanoseconds kLeaseRetryMaximum = std::chrono::seconds(7);

// "node-a_daemonsetd_x7k2m": two machines that were given one node name differ in it, a restarted agent does not.
std::string LeaseHolder(const std::string& node_name, const std::string& machine_id);

struct LeaseWrite {
  enum class Kind { kCreate, kUpdate };
  Kind kind = Kind::kCreate;
  coordinationv1::Lease lease;  // with the resourceVersion that was observed: a conflict means somebody else wrote
};

// The Lease to write now. `observed`: as last read or written; null when there is none. `node_uid` empty: no owner yet.
// What others put on the object (labels, annotations, unknown fields) stays.
LeaseWrite RenewLease(const std::string& node_name, const std::string& node_uid, const std::string& holder,
                      Seconds duration, const coordinationv1::Lease* observed, WallTime now);

// When to write next. `failures`: failed tries in a row since `last_success`, the newest at `last_try`; a Lease that
// was never written is due at once. Times are monotonic: a clock that jumps changes nothing (ST-07).
MonoTime NextRenewal(std::optional<MonoTime> last_success, MonoTime last_try, int failures, Seconds duration);

// Holder and time of the last renewal: another text means that somebody renewed it since. Null: empty.
std::string RenewalText(const coordinationv1::Lease* lease);
// What the Lease says, between 1 s and an hour, since it is hostile input; kNodeLeaseDuration where it says nothing.
Seconds LeaseDurationOf(const coordinationv1::Lease* lease);

// What is remembered of another node's Lease, on our own monotonic clock.
struct LeaseSight {
  std::string renewal;
  MonoTime unchanged_since{};
  bool first = true;
};
// Notes a look at the Lease. True: its holder is dead, as far as one can tell: it has not renewed for the whole
// duration by our own clock; at the first look, when nothing was observed yet, by the times that both machines tell.
bool NoteLease(const coordinationv1::Lease& lease, LeaseSight& sight, Now now);

}  // namespace daemonsetd::decide

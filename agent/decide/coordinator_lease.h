// Who coordinates: one agent holds a Lease, one or two others stand by and look at it often enough to take over within
// 15 s, and all others pay next to nothing (they look when they start, when a DaemonSet's generation stays unobserved,
// and every ten minutes or so). Pure.
//
// Never two at once: whoever holds acts only until HoldsUntil(), counted from when its last successful write was sent;
// anybody else takes over only by a write that compares the resourceVersion, after having seen the holder's record
// unchanged for the Lease's duration on its own monotonic clock, or released. No other machine's clock decides anything
// (RO-03). A Lease that somebody deletes is made anew without a holder, and taken in the same way. (One gap: an agent
// that starts within the seconds in which the holder does not yet know of that takes it for a Lease that never was.)
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/error.h"
#include "agent/base/time_point.h"
#include "agent/decide/node_lease.h"

namespace daemonsetd::decide {

inline constexpr Seconds kCoordinatorLeaseDuration{10};
inline constexpr Nanoseconds kCoordinatorRenewal = std::chrono::seconds(4);  // the holder's
// So long before anybody else may take over, the holder stops: clocks differ in rate, and what it sent may be under
// way.
inline constexpr Nanoseconds kCoordinatorFence = std::chrono::seconds(3);
inline constexpr Nanoseconds kStandbyPeriod = std::chrono::milliseconds(2500);  // between a standby's looks
inline constexpr Nanoseconds kBystanderPeriod = std::chrono::minutes(10);       // mean; jittered by the caller's dice
inline constexpr Nanoseconds kUnobservedPatience = std::chrono::seconds(15);    // of a bystander
// Thousands of agents may start at one moment, and all of them see that a generation stays unobserved.
inline constexpr Nanoseconds kFirstLookSpread = std::chrono::seconds(3);
inline constexpr Nanoseconds kHurriedLookSpread = std::chrono::seconds(10);
inline constexpr std::size_t kStandbys = 2;
// On the Lease: "node-b,node-c".
inline constexpr char kStandbysAnnotation[] = "daemonsetd.dev/standbys";

// "daemonsetd-coordinator" for the only shard, else "daemonsetd-coordinator-2-of-4" for shard 1 of 4 (they count from
// 0). Agents that are configured with another number of shards compete for other Leases, and nothing keeps those apart:
// the number has to be the same on all nodes.
std::string CoordinatorLeaseName(int shard, int shards);
// The shard of a DaemonSet, by its UID.
int ShardOf(const std::string& daemon_set_uid, int shards);

enum class CoordinatorRole { kBystander, kStandby, kHolder };

// What an agent remembers of one Lease between its looks.
struct CoordinatorMemory {
  CoordinatorRole role = CoordinatorRole::kBystander;  // as the Lease said that was read or written last; see RoleAt
  // The holder's record as last read: who it is, and its renewal. Not the resourceVersion: a standby that writes itself
  // in proves nothing about the holder.
  std::string seen;
  MonoTime seen_at{};            // when it was first seen
  bool existed = false;          // a Lease was seen in this life
  bool checking = false;         // the holder is in doubt, so it is looked at once more, soon
  std::optional<Now> held_from;  // when our last successful write as the holder was sent (not answered)
  int failures = 0;              // failed requests in a row
  int denials = 0;               // the last of these, for lack of rights
  bool denied = false;           // they are believed
};

struct CoordinatorInput {
  const coordinationv1::Lease* lease = nullptr;  // as just read, or as our last write left it; null: there is none
  std::string ns;
  std::string name;                     // the Lease's
  std::string self;                     // the node's name
  std::vector<std::string> dead_nodes;  // the holder's knowledge: standbys on them lose their places
  bool may_hold = true;                 // false while stopping: release, or leave the standbys
  bool in_doubt = false;                // somebody waits for a coordinator, so look closely whether the holder lives
  Now now;
  double dice = 0;  // [0, 1)
};

struct CoordinatorStep {
  std::optional<LeaseWrite> write;  // to be written now, with the resourceVersion that was read
  // The write makes or keeps us the holder. Once it has succeeded, held_from is the moment when it was sent, and the
  // step is taken again on the Lease that was answered.
  bool claims = false;
  MonoTime look_at{};  // when to read again, or for the holder to write again, if nothing is written now
};

CoordinatorStep StepCoordinator(const CoordinatorInput& input, CoordinatorMemory& memory);

// A request failed: when to read again (the holder within its time: to write again, unless `error` says that somebody
// else wrote).
MonoTime RetryCoordinator(const Error& error, MonoTime now, double dice, CoordinatorMemory& memory);

// Until when the holder may act on its last successful write: some seconds before anybody else may take over.
MonoTime HoldsUntil(const CoordinatorMemory& memory);
// Asked before everything that the coordinator does. By both clocks: the monotonic one stands still while a virtual
// machine is paused, and then only the other one tells that time has passed.
bool Holds(const CoordinatorMemory& memory, Now now);
CoordinatorRole RoleAt(const CoordinatorMemory& memory, Now now);

// The nodes that stand by, as the Lease says; at most kStandbys, without its holder.
std::vector<std::string> StandbysOf(const coordinationv1::Lease& lease);

}  // namespace daemonsetd::decide

// Who coordinates: one agent holds a Lease, one or two others stand by and look at it often enough to take over within
// 15 s, and all others pay next to nothing (they look when they start, when a DaemonSet's generation stays unobserved,
// and every ten minutes or so). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/decide/node_lease.h"

namespace daemonsetd::decide {

inline constexpr Seconds kCoordinatorLeaseDuration{10};
inline constexpr Nanoseconds kCoordinatorRenewal = std::chrono::seconds(4);     // the holder's
inline constexpr Nanoseconds kStandbyPeriod = std::chrono::milliseconds(2500);  // between a standby's looks
inline constexpr Nanoseconds kBystanderPeriod = std::chrono::minutes(10);       // mean; jittered by the caller's dice
inline constexpr Nanoseconds kUnobservedPatience = std::chrono::seconds(15);    // of a bystander
inline constexpr std::size_t kStandbys = 2;
// On the Lease: "node-b,node-c".
inline constexpr char kStandbysAnnotation[] = "daemonsetd.dev/standbys";

// "daemonsetd-coordinator" for the only shard, "daemonsetd-coordinator-2-of-4" otherwise: agents that are configured
// with another number of shards compete for other Leases, and kFence below keeps them apart.
std::string CoordinatorLeaseName(int shard, int shards);
// The shard of a DaemonSet, by its UID.
int ShardOf(const std::string& daemon_set_uid, int shards);

// What an agent remembers of one Lease between its looks, on its own monotonic clock (no other machine's clock is
// trusted: RO-03).
struct CoordinatorMemory {
  std::string seen;                                            // the resourceVersion last seen
  MonoTime seen_at{};                                          // when it was first seen
  std::optional<MonoTime> written_at;                          // when our last successful write was sent (not answered)
  std::vector<std::pair<std::string, MonoTime>> standby_seen;  // as the implementation needs
};

struct CoordinatorInput {
  const coordinationv1::Lease* lease = nullptr;  // as just read; null: there is none
  std::string self;                              // the node's name
  std::vector<std::string> dead_nodes;           // the holder's knowledge: standbys on them are replaced
  bool may_hold = true;                          // false while stopping: release, or leave the standbys
  MonoTime now{};
  WallTime wall{};
  double dice = 0;  // [0, 1)
};

enum class CoordinatorRole { kBystander, kStandby, kHolder };

struct CoordinatorStep {
  CoordinatorRole role =
      CoordinatorRole::kBystander;  // as the Lease that was read says; kHolder only within HoldsUntil
  std::optional<LeaseWrite> write;  // to be written now, with the resourceVersion that was read
  CoordinatorRole role_after_write = CoordinatorRole::kBystander;  // once that has succeeded
  MonoTime look_at{};                                              // when to read again, if nothing is written
};

// A Lease counts as expired when its resourceVersion has not changed for its duration of our own time, or when it has
// been released (no holder).
CoordinatorStep StepCoordinator(const CoordinatorInput& input, CoordinatorMemory& memory);

// Until when the holder may act on its last successful write: some seconds before anybody else may take over. Before
// every write that it coordinates, it asks the clock.
MonoTime HoldsUntil(const CoordinatorMemory& memory);

}  // namespace daemonsetd::decide

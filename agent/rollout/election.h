// Which agent coordinates the rollouts of one shard: the loop around decide::StepCoordinator. Reads and writes the
// Lease kube-system/daemonsetd-coordinator. Everything on the loop thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/trouble.h"
#include "agent/decide/coordinator_lease.h"
#include "agent/kube/client.h"

namespace daemonsetd::rollout {

struct ElectionSettings {
  std::string node_name;  // this agent's; nobody else may act under it
  std::string ns = "kube-system";
  int shard = 0;  // of `shards`
  int shards = 1;
  Nanoseconds call_timeout = std::chrono::seconds(10);  // of one request; a quarter of the duration if that is less
};

class Election {
 public:
  // The references must outlive it. `random` gives numbers in [0, 1). `on_change` is called on the loop when holds(),
  // role() or problem() changed, also when the hold ran out by time alone.
  Election(async::Executor executor, async::Timeline& timeline, kube::Client& client, std::function<double()> random,
           ElectionSettings settings, std::function<void()> on_change);

  // Takes part until cancelled. What it holds then runs out by itself; Release() gives it up at once.
  Task<void> Run();
  // After the end of Run(): gives the Lease up, or the place among the standbys. Takes two seconds at most.
  Task<void> Release();

  // May this agent coordinate at this moment? Asks the clock, so ask before each write.
  bool holds() const { return decide::Holds(memory_, timeline_.Read()); }
  decide::CoordinatorRole role() const { return decide::RoleAt(memory_, timeline_.Read()); }
  // Of no meaning unless holds().
  MonoTime holds_until() const { return decide::HoldsUntil(memory_); }

  // Somebody waits for a coordinator: a bystander looks soon. At most once in a minute or so; not without the rights.
  void Hurry();
  // Standbys on these nodes lose their places at the next renewal. Only the holder uses it. A node that does not exist
  // any more is dead too: see standbys().
  void SetDeadNodes(std::vector<std::string> names) { dead_nodes_ = std::move(names); }

  // As last read; empty: nobody, or not known.
  std::string holder() const { return lease_ ? lease_->spec().holderidentity() : std::string(); }
  std::vector<std::string> standbys() const;
  // Why requests fail; empty while they succeed, and while this agent has no right to coordinate.
  const std::string& problem() const { return trouble_.problem(); }
  // False: the server refused it for lack of rights.
  bool permitted() const { return !memory_.denied; }

 private:
  using Lease = coordinationv1::Lease;
  struct Told {
    decide::CoordinatorRole role = decide::CoordinatorRole::kBystander;
    std::string problem;
    bool operator==(const Told&) const = default;
  };

  Task<void> Round();
  Task<Status> Read(Nanoseconds timeout);
  Task<Status> Write(decide::LeaseWrite write, bool claims, Nanoseconds timeout);
  decide::CoordinatorStep Step(bool may_hold);
  void Failed(const Error& error);
  void Settled();
  // Also arms the alarm for the end of the hold.
  void TellChange();

  async::Executor executor_;
  async::Timeline& timeline_;
  kube::Client& client_;
  const std::function<double()> random_;
  const ElectionSettings settings_;
  const std::string lease_name_;
  const std::function<void()> on_change_;
  async::Wake wake_;
  std::optional<Lease> lease_;  // as last read or written
  bool lease_known_ = false;    // it may be written without being read again
  bool write_unsure_ = false;   // a write was sent and its answer is not known
  decide::CoordinatorMemory memory_;
  std::vector<std::string> dead_nodes_;
  MonoTime next_{};  // of the next round
  bool in_doubt_ = false;
  MonoTime no_hurry_before_{};
  std::unique_ptr<async::Timeline::Alarm> hold_ends_;
  bool denial_told_ = false;
  Told told_;
  Trouble trouble_;
};

}  // namespace daemonsetd::rollout

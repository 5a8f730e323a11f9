// Holds the Node's Lease kube-node-lease/<node>: takes it when nobody alive has it (agent/decide/node_claim.h), renews
// it (agent/decide/node_lease.h), and notices when somebody else takes it. Whoever holds it owns the Node's name.
// Independent of the runtime and of what becomes of the Node's status (ST-06). Everything on the loop thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/cluster/node_trouble.h"
#include "agent/decide/node_claim.h"
#include "agent/decide/node_lease.h"
#include "agent/kube/client.h"

namespace daemonsetd::cluster {

struct NodeLeaseSettings {
  std::string node_name;
  std::string machine_id;
  Seconds duration = decide::kNodeLeaseDuration;
  Nanoseconds call_timeout = std::chrono::seconds(10);  // of one request; a quarter of the duration if that is less
};

class NodeLeaseKeeper {
 public:
  // The Node as the server has it; null: it has none.
  using ReadNode = std::function<const corev1::Node*()>;

  // The references must outlive it. `on_change` is called on the loop when held(), refusal() or problem() changed.
  NodeLeaseKeeper(const async::Executor& executor, async::Timeline& timeline, kube::Client& client,
                  NodeLeaseSettings settings, ReadNode node, std::function<void()> on_change);

  // Claims and renews until cancelled. The Lease stays: it runs out by itself.
  Task<void> Run();

  // The server's Node was read, or is another one: `node` may be asked from now on, and a new UID owns the Lease.
  void NodeChanged();

  bool held() const { return held_; }
  // Who else holds the name and what to do, or what is waited for; empty when nobody is known to.
  const std::string& refusal() const { return refusal_; }
  // Why requests fail; empty while they succeed.
  const std::string& problem() const { return trouble_.problem(); }
  // The last successful write in this life.
  std::optional<MonoTime> renewed_at() const { return renewed_at_; }

 private:
  using Lease = coordinationv1::Lease;

  Task<void> Claim();
  // When to look again.
  Task<Result<MonoTime>> TryClaim();
  Task<void> Renew();
  Task<Status> RenewOnce();
  Task<Status> Read();
  Task<Status> Write();

  const Lease* lease() const { return lease_ ? &*lease_ : nullptr; }
  std::string NodeUid() const;
  bool IsOurs() const { return lease_ && lease_->spec().holderidentity() == holder_; }
  bool NeedsOwner() const;
  void Refuse(const decide::NodeClaim& claim);
  void Hold();
  void Lose();
  void Note(const Status& status);
  kube::CallOptions Options() const;

  async::Timeline& timeline_;
  kube::Client& client_;
  const NodeLeaseSettings settings_;
  const std::string holder_;
  const ReadNode node_;
  const std::function<void()> on_change_;
  async::Wake wake_;
  std::optional<Lease> lease_;  // as last read or written
  std::string owner_uid_;       // of the Node that the last write named
  decide::ClaimMemory memory_;
  bool node_known_ = false;
  bool held_ = false;
  std::string refusal_;
  std::optional<MonoTime> renewed_at_;
  Trouble trouble_;
};

}  // namespace daemonsetd::cluster

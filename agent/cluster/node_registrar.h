// Owns this node's Node object and its Lease at the API server: claims the name, creates the Node, keeps its labels,
// status and taints as they should be, and makes it anew when somebody deletes it. Carries out what
// agent/decide/{node_claim,node_registration,node_lease,node_conditions,node_taints}.h decide. Loop thread.
//
// An idle node costs three Lease renewals a minute, a status every five minutes, and one watch. Images that somebody
// waits for are in the status a second after they have come.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/task_scope.h"
#include "agent/cluster/node_health.h"
#include "agent/cluster/node_lease_keeper.h"
#include "agent/cluster/node_trouble.h"
#include "agent/decide/node_registration.h"
#include "agent/decide/node_taints.h"
#include "agent/kube/reflector.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::cluster {

struct NodeRegistrarSettings {
  std::string node_name;
  std::string machine_id;
  std::string agent_version;  // for the Node's annotation
  Seconds lease_duration = decide::kNodeLeaseDuration;
  bool register_node = true;  // false: the Node is somebody else's; it is watched, and nothing is written
  Nanoseconds call_timeout = std::chrono::seconds(10);     // of one request to the API server
  Nanoseconds runtime_timeout = std::chrono::seconds(10);  // of one call to the runtime
};

class NodeRegistrar {
 public:
  // The Node of this machine with these conditions, labels and taints of the configuration (node::MakeNode); its images
  // are added here.
  using MakeDesired = std::function<corev1::Node(const std::vector<corev1::NodeCondition>&)>;

  // The references must outlive it; the two ports to the runtime may be the same. `random` gives numbers in [0, 1).
  // `on_change` is called on the loop when any answer below may be another; it must not destroy the registrar.
  NodeRegistrar(async::Executor executor, async::Timeline& timeline, kube::Client& client, cri::Runtime& runtime,
                cri::Runtime& image_service, node::PressureMonitor& pressure, NodeRegistrarSettings settings,
                MakeDesired desired, std::function<double()> random, std::function<void()> on_change);

  // Until cancelled; what it started is waited for. Once.
  Task<void> Run();

  // Before Run: the Node as an earlier life read it from the server.
  void UseCached(corev1::Node node);

  // The Node as the server has it, or as it had it last, with our newest conditions, capacity and allocatable in it.
  // Null: not known. Valid until the next turn of the loop; an object never changes, so `shared_node()` may be kept.
  const corev1::Node* node() const { return view_.get(); }
  std::shared_ptr<const corev1::Node> shared_node() const { return view_; }
  // It was read from the server in this life: what node() says is no memory of an earlier one.
  bool observed() const { return reflector_ && reflector_->synced(); }
  // The name is ours: pods may be started from API objects, and objects written. Without registration: the Node exists.
  bool claimed() const { return settings_.register_node ? lease_.held() : current_ != nullptr; }
  // Of the server's Node, once the name is ours; empty: not registered.
  const std::string& uid() const;
  // Why the name is refused, or what fails, and what to do; empty while all is well.
  const std::string& problem() const { return problem_; }
  // The Lease has not run out, by our clock.
  bool lease_held() const;

  // What `desired` answers may be another: labels, the runtime's version.
  void DesiredChanged();
  // The Node's status should name these images soon, if the runtime has them, before others that are larger.
  void ImagesChanged(std::set<std::string> preferred);
  // The machine goes down: the condition Ready is False with the kubelet's reason.
  void ShuttingDown(bool shutting_down);

 private:
  using NodePtr = std::shared_ptr<const corev1::Node>;
  using Images = NodeHealth::Images;

  // Decides, and makes at most one request. True: it made one, so look again at once.
  Task<bool> WriteNext();
  Task<void> ReadAgain();
  Task<void> WriteStatus();
  Task<void> WriteMetadata(corev1::Node node);
  Task<void> WriteTaints(std::vector<corev1::Taint> taints);
  // Takes the answer to a write over.
  void Ended(Result<corev1::Node> answer, Attempt& attempt);

  bool MayWrite() const { return settings_.register_node && lease_.held() && health_.looked(); }
  // True when it may be made now; else the loop looks again when it may.
  bool IsDue(const Attempt& attempt);
  void LookAt(std::optional<MonoTime> when);
  decide::NodeWrites Decide(const std::optional<Images>& images) const;
  corev1::Node Desired(const std::vector<corev1::NodeCondition>& conditions, const std::optional<Images>& images) const;
  corev1::NodeStatus LastKnownConditions() const;

  void Watched();
  void Looked();
  void LeaseChanged();
  void Accept(NodePtr node, bool ahead);
  // True when they changed in more than times.
  bool RefreshConditions();
  void Publish();
  void Tell();
  std::string Problem() const;
  kube::CallOptions Options() const;

  async::Timeline& timeline_;
  kube::Client& client_;
  const NodeRegistrarSettings settings_;
  const MakeDesired desired_;
  const std::function<double()> random_;
  const std::function<void()> on_change_;

  std::optional<kube::Reflector<corev1::Node>> reflector_;
  NodeHealth health_;
  NodeLeaseKeeper lease_;
  async::Wake wake_;
  async::TaskScope scope_;

  NodePtr current_;                                // as the server has it; null: it has none, or that is not known
  bool ahead_ = false;                             // `current_` is an answer that the watch has not shown yet
  NodePtr base_;                                   // the last one that was known, of the checkpoint too
  NodePtr view_;                                   // `base_` with what we report
  std::vector<corev1::NodeCondition> conditions_;  // as last published
  decide::RegistrationMemory memory_;
  decide::TaintMemory taint_memory_;
  bool read_again_ = false;  // `current_` is out of date
  std::set<std::string> preferred_images_;
  std::optional<MonoTime> images_due_;  // when the runtime's images are looked at again, before a status is due
  std::optional<MonoTime> next_look_;
  std::string problem_;
  const std::string none_;

  Attempt reading_;
  Attempt status_;
  Attempt metadata_;
  Attempt taints_;
};

}  // namespace daemonsetd::cluster

// This node's side of an API server: everything that exists only where a kubeconfig is configured. Members are in start
// order; they stop in reverse.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cluster/api_objects.h"
#include "agent/cluster/event_sender.h"
#include "agent/cluster/node_registrar.h"
#include "agent/cluster/object_cache.h"
#include "agent/cluster/pod_sync.h"
#include "agent/cluster/server_view.h"
#include "agent/kube/client.h"
#include "agent/kube/request_limiter.h"
#include "agent/kube/transport/http_transport.h"

namespace daemonsetd::cluster {

struct ApiServerSettings {
  std::string kubeconfig;
  NodeRegistrarSettings node;
  decide::PodSource pod_source = decide::PodSource::kLocal;
  Nanoseconds start_wait = std::chrono::seconds(5);
  bool checkpoint_secrets = true;
  kube::RequestObserver* observer = nullptr;  // of the client; outlives the ApiServer
};

class ApiServer {
 public:
  // The Node of this machine with these conditions.
  using DesiredNode = std::function<corev1::Node(const std::vector<corev1::NodeCondition>&)>;

  // The references must outlive it; `store` holds what was loaded. On the loop, `on_change` is called when what it
  // tells has changed, and `on_node` when the Node has.
  ApiServer(pods::PodServices& services, pods::PodWorkers& workers, store::Store& store, cri::Runtime& image_service,
            node::PressureMonitor& pressure, ApiServerSettings settings, DesiredNode desired,
            std::function<void()> on_change, std::function<void()> on_node);

  // Until cancelled; containers stay as they are.
  Task<void> Run();

  // For PodServices: the objects that pods name.
  std::shared_ptr<pods::ObjectSource> objects() { return objects_; }
  // The Node as the server has it, or the checkpoint; null: neither knows it.
  const corev1::Node* node() const { return node_.node(); }
  PodSync& pods() { return sync_; }
  const PodSync& pods() const { return sync_; }

  // For what else this agent does there; it must end before Run() does.
  kube::Client& client() { return client_; }
  // Of the whole cluster; unset while the list is not complete, and where others make the pods.
  std::optional<std::vector<ServerView::DaemonSetPtr>> DaemonSets() const;

  // What runs here, or what the node is, has changed.
  void Notify() { sync_.Notify(); }
  void NodeChanged() { node_.DesiredChanged(); }
  // An Event was recorded.
  void EventRecorded() { events_.Notify(); }

  // The machine goes down, or does not after all.
  void ShuttingDown(bool shutting_down) { node_.ShuttingDown(shutting_down); }
  // Until the server knows what became of the pods, as far as it can be told; `until` at most.
  Task<void> Settle(MonoTime until);

  // Since changes of DaemonSets or Pods were last told; zero while they are.
  Nanoseconds OfflineFor() const;
  // How old the oldest DaemonSet in use may be: when the server last said that this is how it is. Zero while it tells.
  Nanoseconds SpecAge() const { return view_.SpecAge(); }

  // One line for people: whether it answers.
  std::string StatusText() const;
  // What somebody has to act upon; empty while all is well.
  std::string Problem() const;

 private:
  void NodeObserved();
  void ServerChanged();
  Task<void> ForgetOldObjects();
  NodeState StateOfNode() const;

  pods::PodServices& services_;
  const ApiServerSettings settings_;
  std::function<void()> on_change_;
  std::function<void()> on_node_;
  kube::KubeconfigTransport transport_;
  kube::RequestLimiter limiter_;
  kube::Client client_;
  ObjectCache cache_;
  NodeRegistrar node_;
  ServerView view_;
  std::shared_ptr<ApiObjects> objects_;
  EventSender events_;
  PodSync sync_;
  bool reachable_ = false;
  MonoTime unreachable_since_;
};

}  // namespace daemonsetd::cluster

// What the Node's conditions are made of, kept current: the runtime's word on itself, and the pressure that the node is
// under (agent/node/pressure_monitor.h). The rules are agent/decide/node_conditions.h. Everything on the loop thread.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/cluster/node_trouble.h"
#include "agent/decide/node_conditions.h"
#include "agent/model/kubernetes.h"
#include "agent/node/pressure_monitor.h"
#include "cri/runtime.h"

namespace daemonsetd::cluster {

struct NodeHealthSettings {
  Nanoseconds period = std::chrono::seconds(10);        // between two looks
  Nanoseconds call_timeout = std::chrono::seconds(10);  // of one question to the runtime
};

class NodeHealth {
 public:
  using Images = google::protobuf::RepeatedPtrField<corev1::ContainerImage>;

  // The references must outlive it; the two ports may be the same. `on_look` is called on the loop after each look.
  NodeHealth(async::Timeline& timeline, cri::Runtime& runtime, cri::Runtime& image_service,
             node::PressureMonitor& pressure, NodeHealthSettings settings, std::function<void()> on_look);

  // Looks until cancelled.
  Task<void> Run();

  // The first look is over, whatever it found.
  bool looked() const { return looked_ && pressure_.looked(); }
  void ShuttingDown(bool shutting_down) { shutting_down_ = shutting_down; }
  // A pressure that an earlier life reported holds on for its transition period. The first call counts.
  void Remember(const corev1::NodeStatus& last_written) { pressure_.Remember(last_written); }

  // With heartbeat now.
  std::vector<corev1::NodeCondition> Conditions(const corev1::NodeStatus& last_written) const;
  // When the conditions change without another look; unset: not before.
  std::optional<MonoTime> NextChange() const;

  // The images that the runtime has, as the Node lists them (node::NodeImages). Unset: it could not be found out.
  Task<std::optional<Images>> ListImages(std::set<std::string> preferred);

 private:
  Task<void> AskRuntime();

  async::Timeline& timeline_;
  cri::Runtime& runtime_;
  cri::Runtime& image_service_;
  node::PressureMonitor& pressure_;
  const NodeHealthSettings settings_;
  const std::function<void()> on_look_;
  decide::RuntimeHealth runtime_health_;
  bool looked_ = false;
  bool shutting_down_ = false;
  Trouble runtime_trouble_;
  Trouble images_trouble_;
};

}  // namespace daemonsetd::cluster

// What every pod worker shares. Owned by the agent, which outlives all workers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/semaphore.h"
#include "agent/async/timeline.h"
#include "agent/decide/dns.h"
#include "agent/decide/pod_plan.h"
#include "agent/decide/runtime_class.h"
#include "agent/pods/event_log.h"
#include "agent/pods/images.h"
#include "agent/pods/network_gate.h"
#include "agent/pods/no_objects.h"
#include "agent/pods/paths.h"
#include "agent/pods/pod_observer.h"
#include "agent/pods/records.h"
#include "agent/pods/runtime_view.h"
#include "agent/pods/user_namespaces.h"
#include "agent/pods/volumes/volumes.h"
#include "cri/runtime.h"
#include "cri/runtime_features.h"

namespace daemonsetd::pods {

class PodCgroups;
class Prober;

struct PodSettings {
  Nanoseconds runtime_request_timeout = std::chrono::minutes(2);
  std::string cgroup_root;  // parent of containers whose pod has no group; empty: the runtime's default
  std::string cluster_domain = "cluster.local";
  decide::NodeDns dns;
  std::string seccomp_root;  // of Localhost profiles
  bool seccomp_default = false;
  bool oom_kills_container = false;  // the whole of it; otherwise one process of it, at the kernel's choice
  std::int64_t node_memory = 0;      // bytes
  decide::RuntimeClasses runtime_classes;
  std::vector<std::string> allowed_unsafe_sysctls;
  IdPool user_namespace_ids;
};

struct PodServices {
  async::Executor executor;
  async::Timeline& timeline;
  async::BlockingPool& blocking;
  cri::Runtime& runtime;
  RuntimeView& view;
  ImagePuller& images;
  NetworkGate& network;
  Volumes& volumes;
  Prober& prober;
  // Sandboxes and containers being created at the same time on this node.
  async::Semaphore& starts;
  EventLog& events;
  Records& records;
  Directories directories;
  decide::PlanLimits limits;
  PodSettings settings;
  // The node as it is now: allocatable for the downward API, addresses for host network pods.
  std::function<const corev1::Node&()> node;
  std::function<std::vector<std::string>()> host_ips;
  // What the runtime said when it connected; nothing is known to work before.
  std::function<cri::RuntimeFeatures()> features = [] { return cri::RuntimeFeatures(); };
  // What `features` answers was read from the runtime; no sandbox is made by guess.
  std::function<bool()> knows_runtime = [] { return true; };
  // Null: pods have no control groups of their own.
  PodCgroups* cgroups = nullptr;
  // What pods name in the API server. Never null.
  std::shared_ptr<ObjectSource> objects = std::make_shared<NoObjects>();
  // Never null.
  std::shared_ptr<PodObserver> observer = std::make_shared<PodObserver>();
};

}  // namespace daemonsetd::pods

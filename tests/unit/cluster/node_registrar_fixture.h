// A registrar on a server, a runtime and a clock that the test moves.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/cluster/node_registrar.h"
#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"
#include "tests/unit/cluster/node_api.h"

namespace daemonsetd::cluster {

inline constexpr char kOurTaint[] = "daemonsetd.dev/daemonsets-only";

class NodeRegistrarTest : public ::testing::Test {
 protected:
  ~NodeRegistrarTest() override { Stop(); }

  void Make() {
    NodeRegistrarSettings settings;
    settings.node_name = "node-a";
    settings.machine_id = "machine-1";
    settings.agent_version = "v0.1.0";
    settings.register_node = register_node;
    node::PressureMonitorSettings pressure_settings;
    pressure_settings.pod_root = "/pods";
    pressure_settings.stalls.clear();
    pressure_settings.read = [this](const node::PressurePaths&) { return pressure; };
    monitor = std::make_unique<node::PressureMonitor>(loop.executor(), loop.timeline(), blocking, runtime,
                                                      std::move(pressure_settings), [this] { PressureLooked(); });
    registrar = std::make_unique<NodeRegistrar>(
        loop.executor(), loop.timeline(), client, runtime, runtime, *monitor, std::move(settings),
        [this](const auto& conditions) { return Desired(conditions); }, [] { return 0.5; }, [this] { Changed(); });
  }
  void Changed() {
    ++changes;
    published.emplace_back(registrar->uid(), registrar->node() != nullptr
                                                 ? std::stoi("0" + registrar->node()->metadata().resourceversion())
                                                 : 0);
  }
  // As NodePressure does.
  void PressureLooked() {
    std::vector<bool> holding{true};
    for (const decide::PressureKind& kind : decide::kPressures) {
      holding.push_back(
          decide::Holds(monitor->memory().*kind.last_seen, monitor->thresholds(), loop.timeline().mono()));
    }
    if (std::exchange(pressures_told, holding) != holding) registrar->DesiredChanged();
  }
  void Start() {
    if (!registrar) Make();
    run = loop.Start(registrar->Run());
    if (register_node) monitor_run = loop.Start(monitor->Run());
  }
  void Stop() {
    if (run) loop.Cancel(run);
    if (run) EXPECT_TRUE(run->done()) << "a cancelled registrar still runs";
    run.reset();
    if (monitor_run) loop.Cancel(monitor_run);
    monitor_run.reset();
    pressures_told.clear();
    registrar.reset();
    monitor.reset();
  }
  // As a new process: nothing is remembered.
  void Restart() {
    Stop();
    Start();
  }

  corev1::Node Desired(const std::vector<corev1::NodeCondition>& conditions) const {
    corev1::Node node;
    node.mutable_metadata()->set_name("node-a");
    (*node.mutable_metadata()->mutable_labels())["rack"] = rack;
    corev1::Taint& taint = *node.mutable_spec()->add_taints();
    taint.set_key(kOurTaint);
    taint.set_effect("NoSchedule");
    (*node.mutable_status()->mutable_allocatable())["cpu"].set_string("2");
    for (const corev1::NodeCondition& condition : conditions) *node.mutable_status()->add_conditions() = condition;
    node.mutable_status()->mutable_nodeinfo()->set_machineid("machine-1");
    return node;
  }

  // A kubelet's Node and its Lease, renewed just now.
  void MakeKubelet() {
    corev1::Node node;
    node.mutable_status()->mutable_nodeinfo()->set_kubeletversion("v1.37.2");
    api.PutNode(node);
    RenewAs("node-a");
  }
  void RenewAs(const std::string& holder) {
    Lease lease = api.lease().value_or(Lease());
    lease.mutable_spec()->set_holderidentity(holder);
    lease.mutable_spec()->set_leasedurationseconds(40);
    *lease.mutable_spec()->mutable_renewtime() = decide::ToApiMicroTime(loop.timeline().Read().wall);
    api.PutLease(lease);
  }

  static corev1::NodeCondition Condition(const corev1::Node& node, const std::string& type) {
    for (const corev1::NodeCondition& condition : node.status().conditions()) {
      if (condition.type() == type) return condition;
    }
    return {};
  }
  std::vector<std::string> Taints() const {
    std::vector<std::string> keys;
    for (const corev1::Taint& taint : api.node()->spec().taints()) keys.push_back(taint.key());
    return keys;
  }
  std::string LeaseOwner() const {
    const auto& owners = api.lease()->metadata().ownerreferences();
    return owners.size() == 1 ? owners[0].uid() : fmt::format("{} owners", owners.size());
  }
  // Of the Node's label; empty without it.
  std::string Label(const std::string& key) const { return decide::ValueOf(api.node()->metadata().labels(), key); }
  static kube::HttpResponse Forbidden() { return testing::StatusResponse(403, "Forbidden", "no such right"); }

  testing::TestLoop loop;
  NodeApi api{loop.executor(), loop.timeline()};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{api, limiter, loop.timeline()};
  testing::FakeRuntime runtime{loop.executor(), loop.timeline()};
  async::BlockingPool blocking{0};
  decide::PressureSignals pressure;
  std::string rack = "r1";
  bool register_node = true;
  int changes = 0;
  std::vector<std::pair<std::string, int>> published;  // uid() and the Node's resourceVersion, at each change
  std::vector<bool> pressures_told;
  std::unique_ptr<node::PressureMonitor> monitor;
  std::unique_ptr<NodeRegistrar> registrar;
  std::shared_ptr<testing::Started<void>> run, monitor_run;
};

}  // namespace daemonsetd::cluster

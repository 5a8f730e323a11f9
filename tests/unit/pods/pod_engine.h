// The pod engine (supervisor, workers, runtime view, operations, probes) on a runtime that behaves and fails on demand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/pods/probes/prober.h"
#include "agent/pods/supervisor.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"
#include "tests/support/memory_records.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {

// One life of the agent: built anew by a "restart", while the runtime lives on.
struct PodEngine {
  PodEngine(testing::TestLoop& loop, cri::Runtime& runtime, Records& records, const Directories& files);

  corev1::Node node;
  std::function<void()> on_pods_changed;  // for what decides about pods beside the supervisor
  async::BlockingPool blocking;
  async::Semaphore starts;
  EventLog events;
  RuntimeView view;
  ImagePuller images;
  NetworkGate network;
  Volumes volumes;
  ProcessTable processes;
  Prober prober;
  PodServices services;
  PodWorkers workers;
  Supervisor supervisor;

 private:
  void PodsChanged();
};

class PodEngineTest : public TemporaryTree {
 protected:
  static constexpr char kImage[] = "docker.io/library/agent:1";

  PodEngineTest();
  ~PodEngineTest() override;

  void Start();
  // The agent's process ends: nothing is said to the runtime.
  void Stop();
  void Restart();
  void Apply() { engine->supervisor.SetSources(daemon_sets, {}, true); }

  // One container "main" of kImage on the host network.
  DaemonSetSource MakeDaemonSet(const std::string& name);
  corev1::Container& Main(DaemonSetSource& source);
  std::vector<std::string> RunningContainers();
  // The status of the only pod.
  const corev1::PodStatus& PodStatus();
  std::vector<std::string> EventReasons();

  testing::TestLoop loop;
  testing::FakeRuntime runtime;
  testing::MemoryRecords records;
  std::shared_ptr<ObjectSource> objects;  // null: no API server
  std::vector<DaemonSetSource> daemon_sets;
  std::unique_ptr<PodEngine> engine;
  std::shared_ptr<testing::Started<void>> view;
  std::shared_ptr<testing::Started<void>> supervisor;
};

}  // namespace daemonsetd::pods

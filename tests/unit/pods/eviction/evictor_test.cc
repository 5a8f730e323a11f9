// A node that runs low, on a pod engine that runs: the readings are the test's, the pods and what is done are real.
#include "agent/pods/eviction/evictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "agent/decide/node_conditions.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::uint64_t kMi = 1 << 20;

class EvictorTest : public PodEngineTest {
 protected:
  EvictorTest() { StartEvictor(); }
  ~EvictorTest() override { StopEvictor(); }

  void StartEvictor() {
    evictor = std::make_unique<Evictor>(
        Evictor::Ports{.services = engine->services,
                       .workers = engine->workers,
                       .reading = [this] { return reading; },
                       .memory = [this]() -> const decide::PressureMemory& { return memory; },
                       .look = [this] { return Look(); },
                       .remove_unused_images = [this] { return RemoveImages(); },
                       .on_evicted = [this](const std::string& signal) { evicted.push_back(signal); }},
        EvictorSettings{});
    running = loop.Start(evictor->Run());
  }
  void StopEvictor() {
    if (running) loop.Cancel(running);
    running.reset();
    evictor.reset();
  }
  // What a monitor does every ten seconds.
  void Pass(Nanoseconds duration) {
    for (Nanoseconds passed{}; passed < duration; passed += seconds(10)) {
      loop.Run(Look());
      evictor->Notify();
      loop.Advance(seconds(10));
    }
  }
  Task<void> Look() {
    reading = decide::PressureReading{.signals = signals(), .read_at = loop.timeline().mono()};
    decide::TakeNoteOfPressure(reading->signals, thresholds, loop.timeline().mono(), memory);
    SetConditions();
    co_return;
  }
  Task<Result<std::uint64_t>> RemoveImages() {
    ++images_removed;
    if (image_bytes_help) disk_available = 90;
    co_return std::uint64_t{0};
  }
  void SetConditions() {
    corev1::NodeStatus& status = *engine->node.mutable_status();
    status.clear_conditions();
    for (auto& condition : decide::PressureConditions(memory, thresholds, {}, loop.timeline().Read())) {
      *status.add_conditions() = std::move(condition);
    }
    engine->supervisor.Notify();
  }
  decide::PressureSignals Signals() const {
    decide::PressureSignals now;
    now.memory = decide::Amount{.available = memory_available * kMi, .capacity = 1000 * kMi};
    now.pod_disk = now.image_disk = decide::Amount{.available = disk_available, .capacity = 100};
    now.one_disk = true;
    return now;
  }

  // A DaemonSet of that priority.
  void Add(const std::string& name, int priority) {
    daemon_sets.push_back(MakeDaemonSet(name));
    daemon_sets.back().object.mutable_spec()->mutable_template_()->mutable_spec()->set_priority(priority);
  }
  std::vector<std::string> RunningSets() {
    std::vector<std::string> names;
    for (const auto& [uid, worker] : engine->workers.all()) {
      if (worker->pod().status().phase() == "Running") names.push_back(worker->identity().owner_name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  const PodWorker* Of(const std::string& set) {
    for (const auto& [uid, worker] : engine->workers.all()) {
      if (worker->identity().owner_name == set) return worker.get();
    }
    return nullptr;
  }
  // The sets whose pods Events say were evicted, in that order.
  std::vector<std::string> Evictions() {
    std::vector<std::string> names;
    for (const auto& logged : engine->events.Recent()) {
      const std::string& name = logged->event.involvedobject().name();
      if (logged->event.reason() == "Evicted") names.push_back(name.substr(0, name.find('-')));
    }
    return names;
  }
  static bool Has(const std::vector<std::string>& list, const std::string& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
  }
  std::vector<std::string> NodeEvents() {
    std::vector<std::string> reasons;
    for (const auto& logged : engine->events.Recent()) {
      if (logged->event.involvedobject().kind() == "Node") reasons.push_back(logged->event.reason());
    }
    return reasons;
  }

  std::uint64_t memory_available = 500;
  std::uint64_t disk_available = 50;
  bool image_bytes_help = false;
  int images_removed = 0;
  std::function<decide::PressureSignals()> signals = [this] { return Signals(); };
  decide::PressureThresholds thresholds;
  decide::PressureMemory memory;
  std::optional<decide::PressureReading> reading;
  std::vector<std::string> evicted;
  std::unique_ptr<Evictor> evictor;
  std::shared_ptr<testing::Started<void>> running;
};

TEST_F(EvictorTest, PodsGoOneByOneTheLeastImportantFirstUntilThereIsEnough) {
  Add("low", -5);
  Add("middle", 0);
  Add("high", 7);
  Add("critical", 2'000'000'000);
  Apply();
  Pass(seconds(10));
  ASSERT_THAT(RunningSets(), SizeIs(4));
  const auto before = RunningContainers();
  memory_available = 99;
  // Each pod that goes gives 4 MiB back.
  signals = [this] {
    decide::PressureSignals now = Signals();
    if (RunningContainers().size() <= 2) now.memory->available = 500 * kMi;
    return now;
  };
  Pass(seconds(10));
  EXPECT_THAT(Evictions(), ElementsAre("low", "middle"));
  EXPECT_THAT(evicted, ElementsAre("memory.available", "memory.available"));
  EXPECT_THAT(runtime.Sandboxes(), SizeIs(4)) << "nothing is left of those that went, and the next ones run";
  EXPECT_THAT(NodeEvents(), Contains("EvictionThresholdMet"));
  EXPECT_THAT(NodeEvents(), Contains("NodeHasInsufficientMemory"));
  const auto after = RunningContainers();
  EXPECT_EQ(std::count_if(after.begin(), after.end(), [&](const std::string& id) { return Has(before, id); }), 2);
}

TEST_F(EvictorTest, WhatIsEvictedForWantOfMemoryComesBackAfterABackOff) {
  Add("a", 0);
  Apply();
  Pass(seconds(10));
  memory_available = 99;
  Pass(minutes(10));
  // Daemon pods tolerate memory pressure. Without a back-off there would be one every few seconds.
  EXPECT_GE(evicted.size(), 3);
  EXPECT_LE(evicted.size(), 12);
  memory_available = 500;
  Pass(minutes(20));
  EXPECT_THAT(RunningSets(), ElementsAre("a"));
}

TEST_F(EvictorTest, ADiskIsFreedOfImagesBeforeAnyPodGoes) {
  Add("a", 0);
  Apply();
  Pass(seconds(10));
  disk_available = 5;
  image_bytes_help = true;
  Pass(seconds(20));
  EXPECT_EQ(images_removed, 1);
  EXPECT_THAT(evicted, IsEmpty());
  EXPECT_THAT(RunningSets(), ElementsAre("a"));
  EXPECT_THAT(NodeEvents(), Contains("NodeHasDiskPressure"));
  EXPECT_THAT(NodeEvents(), Not(Contains("NodeHasNoDiskPressure")));
  Pass(minutes(5));
  EXPECT_THAT(NodeEvents(), Contains("NodeHasNoDiskPressure"));
}

TEST_F(EvictorTest, AReplacementWaitsWhileTheDiskIsUnderPressureAndRunsAfterwards) {
  Add("a", 0);
  Apply();
  Pass(seconds(10));
  disk_available = 5;
  signals = [this] {
    decide::PressureSignals now = Signals();
    if (RunningContainers().empty()) now.pod_disk = now.image_disk = decide::Amount{.available = 90, .capacity = 100};
    return now;
  };
  Pass(seconds(20));
  EXPECT_THAT(evicted, ElementsAre("nodefs.available"));
  Pass(minutes(1));
  EXPECT_THAT(RunningSets(), IsEmpty());
  const corev1::PodStatus& status = Of("a")->pod().status();
  EXPECT_EQ(status.phase(), "Failed");
  EXPECT_EQ(status.reason(), "Evicted");
  EXPECT_THAT(status.message(), HasSubstr("The node was low on resource: ephemeral-storage. Threshold quantity: 10, "
                                          "available: 5. Container main was using 20Ki, request is 0"));
  EXPECT_THAT(runtime.Sandboxes(), IsEmpty()) << "nothing is left of it but what tells why it went";
  EXPECT_EQ(engine->supervisor.workloads().front().decision.waiting_for,
            "the node has DiskPressure; only critical pods start until that is over");
  disk_available = 90;
  Pass(minutes(5));
  EXPECT_THAT(RunningSets(), ElementsAre("a"));
  EXPECT_THAT(evicted, SizeIs(1));
}

TEST_F(EvictorTest, WhatCannotBeReadEvictsNobody) {
  Add("a", 0);
  Apply();
  Pass(seconds(10));
  memory_available = 99;
  runtime.Inject("ListContainerStats", testing::Fault::Fail(Error(ErrorKind::kRetry, "busy")), 100);
  Pass(minutes(1));
  EXPECT_THAT(evicted, IsEmpty());
  signals = [] { return decide::PressureSignals(); };
  Pass(minutes(1));
  EXPECT_THAT(RunningSets(), ElementsAre("a"));
}

TEST_F(EvictorTest, TheEvidenceOutlivesTheAgent) {
  Add("a", 0);
  Apply();
  Pass(seconds(10));
  disk_available = 5;
  Pass(seconds(20));
  ASSERT_EQ(Of("a")->pod().status().reason(), "Evicted");
  const std::string name = Of("a")->pod().metadata().name();
  StopEvictor();
  Restart();
  StartEvictor();
  SetConditions();
  loop.Settle();
  ASSERT_TRUE(Of("a") != nullptr);
  EXPECT_EQ(Of("a")->pod().metadata().name(), name);
  EXPECT_EQ(Of("a")->pod().status().reason(), "Evicted");
  EXPECT_EQ(Of("a")->pod().status().phase(), "Failed");
  daemon_sets.clear();
  Apply();
  loop.Advance(seconds(5));
  EXPECT_THAT(engine->workers.all(), IsEmpty());
  EXPECT_THAT(records.PodUids(), IsEmpty());
}

TEST_F(EvictorTest, APodThatUsesMoreOfTheDiskThanItMayGoesAndNoOther) {
  Add("greedy", 100);
  Add("other", 0);
  auto& spec = *daemon_sets.front().object.mutable_spec()->mutable_template_()->mutable_spec();
  corev1::Volume& volume = *spec.add_volumes();
  volume.set_name("scratch");
  volume.mutable_volumesource()->mutable_emptydir()->mutable_sizelimit()->set_string("1Mi");
  Apply();
  Pass(seconds(20));
  ASSERT_THAT(RunningSets(), ElementsAre("greedy", "other"));
  const std::string directory = directories().pod_root + "/pods/" + Of("greedy")->pod().metadata().uid() +
                                "/volumes/kubernetes.io~empty-dir/scratch";
  Write(directory + "/junk", std::string(2 * kMi, 'x'));
  Pass(seconds(10));
  EXPECT_THAT(evicted, ElementsAre("emptydirfs.limit"));
  EXPECT_EQ(Of("greedy")->pod().status().message(), "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ");
  EXPECT_FALSE(Exists(directory)) << "its files go with it";
  Pass(seconds(20));
  EXPECT_THAT(RunningSets(), ElementsAre("greedy", "other")) << "the next one begins with an empty directory";
}

}  // namespace
}  // namespace daemonsetd::pods

// Images that go and images that stay, on a pod engine that runs.
#include "agent/pods/garbage/image_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/garbage/damaged_images.h"
#include "tests/unit/pods/garbage/memory_image_records.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Fault;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ImageCollectorTest : public PodEngineTest {
 protected:
  ~ImageCollectorTest() override { StopCollecting(); }

  static std::string Full(const std::string& name) { return "docker.io/library/" + name + ":1"; }

  // An agent starts: of images it knows what is recorded.
  void Collect() {
    collector = std::make_unique<ImageCollector>(
        ImageCollector::Ports{
            .executor = loop.executor(),
            .timeline = loop.timeline(),
            .blocking = engine->blocking,
            .runtime = runtime,
            .image_service = runtime,
            .images = engine->images,
            .events = engine->events,
            .records = image_records,
            .wanted = [this] { return wanted; },
            .node = [this] { return decide::ReferenceTo(engine->node); },
            .on_collected = [this](const std::string&) { ++collected; },
            .read_space = [this](const std::string&) -> Result<decide::ImageSpace> { return Space(); }},
        settings);
    running = loop.Start(collector->Run());
  }
  void StopCollecting() {
    if (running) loop.Cancel(running);
    running.reset();
  }
  // The disk holds these images' bytes and what else is on it.
  decide::ImageSpace Space() {
    std::uint64_t used = other_bytes;
    for (const auto& [name, bytes] : images) {
      used += bytes;
    }
    for (const testing::CallRecord& call : runtime.calls()) {
      if (call.method != "RemoveImage") continue;
      for (const auto& [name, bytes] : images) {
        if (ids[name] == call.subject) used -= bytes;
      }
    }
    return {.capacity = 1000, .available = 1000 - std::min<std::uint64_t>(used, 1000)};
  }
  void AddImage(const std::string& name, std::uint64_t bytes) {
    runtime.AddImage(Full(name), bytes);
    images[name] = bytes;
    v1::ImageSpec spec;
    spec.set_image(Full(name));
    ids[name] = loop.Run(runtime.ImageStatus(spec, seconds(1)))->id();
  }
  std::vector<std::string> Removed() {
    std::vector<std::string> names;
    for (const testing::CallRecord& call : runtime.calls()) {
      if (call.method != "RemoveImage") continue;
      for (const auto& [name, id] : ids) {
        if (id == call.subject) names.push_back(name);
      }
    }
    return names;
  }

  std::optional<std::set<std::string>> wanted = std::set<std::string>{kImage};
  ImageCollectorSettings settings{.thresholds = {}, .pinned = {}, .period = minutes(1)};
  MemoryImageRecords image_records;
  std::map<std::string, std::uint64_t> images;
  std::map<std::string, std::string> ids;
  std::uint64_t other_bytes = 0;
  int collected = 0;
  std::unique_ptr<ImageCollector> collector;
  std::shared_ptr<testing::Started<void>> running;
};

TEST_F(ImageCollectorTest, RemovesNothingWhileThereIsRoom) {
  AddImage("a", 400);
  AddImage("b", 400);
  Collect();
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), IsEmpty());
}

TEST_F(ImageCollectorTest, RemovesUntilThereIsEnoughRoomAndNoMore) {
  for (const char* name : {"a", "b", "c"}) AddImage(name, 300);
  Collect();
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), SizeIs(1));
  EXPECT_EQ(collected, 1);
  EXPECT_THAT(EventReasons(), Not(Contains("FreeDiskSpaceFailed")));
}

// GC-01
TEST_F(ImageCollectorTest, WhatPodsNeedStaysThoughTheDiskIsFullOfIt) {
  AddImage("next", 500);
  AddImage("other", 400);
  wanted->insert(Full("next"));
  other_bytes = 500;
  Collect();
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), ElementsAre("other"));
  EXPECT_THAT(EventReasons(), Contains("FreeDiskSpaceFailed"));
}

TEST_F(ImageCollectorTest, NothingGoesBeforeItIsKnownWhatPodsNeed) {
  AddImage("a", 950);
  wanted.reset();
  Collect();
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), IsEmpty());
  EXPECT_THAT(EventReasons(), Contains("ImageGCFailed"));
  wanted = std::set<std::string>{kImage};
  loop.Advance(minutes(1));
  EXPECT_THAT(Removed(), ElementsAre("a"));
}

// "I could not find out" is no "nobody uses it".
TEST_F(ImageCollectorTest, NothingGoesWhileTheRuntimeDoesNotTellOfItsContainers) {
  AddImage("a", 950);
  StopCollecting();
  loop.Cancel(view);  // it lists containers too
  runtime.Inject("ListContainers", Fault::Fail(Error(ErrorKind::kRetry, "busy")), 3);
  Collect();
  loop.Advance(minutes(2));
  EXPECT_THAT(Removed(), IsEmpty());
  loop.Advance(minutes(2));
  EXPECT_THAT(Removed(), ElementsAre("a"));
}

// GC-02
TEST_F(ImageCollectorTest, PinnedImagesStay) {
  AddImage("a", 400);
  AddImage("b", 300);
  AddImage("c", 300);
  runtime.PinImage(Full("a"));
  settings.pinned = {"docker.io/library/b:*"};
  Collect();
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), ElementsAre("c"));
}

TEST_F(ImageCollectorTest, TheImageOfAContainerStaysAlsoOfADeadOne) {
  AddImage("used", 500);
  AddImage("unused", 500);
  DaemonSetSource set = MakeDaemonSet("x");
  Main(set).set_image(Full("used"));
  daemon_sets = {set};
  Apply();
  loop.Advance(seconds(5));
  runtime.ExitContainer(RunningContainers().at(0), 0);
  runtime.Inject("StartContainer", Fault::Fail(Error(ErrorKind::kRetry, "no")), 1000);
  Collect();
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), ElementsAre("unused"));
}

// The order of use outlives the agent.
TEST_F(ImageCollectorTest, ARestartKnowsWhatWasUsedLast) {
  DaemonSetSource set = MakeDaemonSet("x");
  for (const char* name : {"first", "second"}) {
    AddImage(name, 300);
    Main(set).set_image(Full(name));
    daemon_sets = {set};
    Apply();
    if (!running) Collect();
    loop.Advance(minutes(3));
  }
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(3));
  StopCollecting();
  const int puts = image_records.puts;
  AddImage("never", 250);
  Collect();
  loop.Advance(seconds(1));
  EXPECT_EQ(image_records.puts, puts + 1) << "only what is new is written";
  other_bytes = 200;
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), ElementsAre("never"));
  other_bytes = 600;
  loop.Advance(minutes(5));
  EXPECT_THAT(Removed(), ElementsAre("never", "first", "second"));
}

// GC-03: collection in a tight loop while pods start and stop, everything else unwanted.
TEST_F(ImageCollectorTest, NoStartEverLosesItsImage) {
  wanted.emplace();
  other_bytes = 1000;
  settings.thresholds.minimum_age = Nanoseconds::zero();
  settings.period = std::chrono::milliseconds(7);
  for (int i = 0; i < 12; ++i) {
    const std::string name = "image-" + std::to_string(i);
    runtime.SetPull(Full(name), {.takes = std::chrono::milliseconds(5 + i % 13)});
    DaemonSetSource set = MakeDaemonSet("set-" + std::to_string(i));
    Main(set).set_image(Full(name));
    daemon_sets.push_back(set);
  }
  for (const char* method : {"CreateContainer", "ImageStatus", "RemoveImage"}) {
    runtime.Inject(method, Fault::Delay(std::chrono::milliseconds(11)), 10000);
  }
  Collect();
  Apply();
  loop.Advance(seconds(3));
  EXPECT_THAT(RunningContainers(), SizeIs(12));
  EXPECT_THAT(EventReasons(), Not(Contains("Failed")));
}

TEST_F(ImageCollectorTest, GivesEvictionWhatNothingNeeds) {
  AddImage("a", 100);
  AddImage("b", 100);
  wanted->insert(Full("b"));
  settings.thresholds.minimum_age = Nanoseconds::zero();
  Collect();
  const auto bytes = loop.Run(collector->RemoveAllUnused());
  ASSERT_TRUE(bytes);
  EXPECT_EQ(*bytes, 100u);
  EXPECT_THAT(Removed(), ElementsAre("a"));
}

}  // namespace
}  // namespace daemonsetd::pods

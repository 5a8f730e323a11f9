// The merge carried out, on a pod engine whose runtime behaves and an API server that has DaemonSets and Pods.
#include "agent/cluster/pod_sync.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_status.h"
#include "agent/kube/codec.h"
#include "tests/support/fake_http_transport.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kNode[] = "node-a";
constexpr char kPods[] = "/api/v1/namespaces/default/pods";

// Watches of both resources are the fake's; the writes to Pods behave as an API server's.
class Api final : public kube::HttpTransport {
 public:
  explicit Api(testing::TestLoop& loop)
      : pods(loop.executor(), loop.timeline(), kube::kPods),
        sets(loop.executor(), loop.timeline(), kube::kDaemonSets) {}

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override {
    if (down) co_return Error(ErrorKind::kRetry, "connection refused");
    const std::string path = testing::PathOf(request);
    if (!path.starts_with(kPods) && request.method == "GET") co_return co_await Watched(path).Send(request, deadline);
    const bool subresource = path.ends_with("/status");
    std::string name = path.substr(std::min(path.size(), std::string(kPods).size()));
    if (subresource) name = name.substr(0, name.size() - std::string("/status").size());
    if (!name.empty()) name = name.substr(1);
    calls.push_back(request.method + (subresource ? " status" : ""));
    if (request.method == "POST") co_return Post(request);
    const auto found = stored.find(name);
    if (found == stored.end()) co_return Missing();
    if (request.method == "PUT") co_return PutStatus(found->second, request);
    if (request.method == "DELETE") co_return Delete(found->second, request);
    co_return testing::ObjectResponse(kube::kPods, found->second);
  }
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest request, MonoTime deadline) override {
    if (down) co_return Error(ErrorKind::kRetry, "connection refused");
    const std::string path = testing::PathOf(request);
    co_return co_await Watched(path).Open(request, deadline);
  }

  // As a write of somebody: a new object without a UID gets one.
  void Store(corev1::Pod pod) {
    if (pod.metadata().uid().empty()) pod.mutable_metadata()->set_uid("pod-" + std::to_string(++made_));
    pods.Put(pod);
    pod.mutable_metadata()->set_resourceversion(pods.version());
    std::string name = pod.metadata().name();
    stored[std::move(name)] = std::move(pod);
  }
  void Remove(const std::string& name) {
    stored.erase(name);
    pods.Remove({"default", name});
  }
  int Count(const std::string& call) const { return static_cast<int>(std::count(calls.begin(), calls.end(), call)); }

  testing::FakeHttpTransport pods, sets;
  std::map<std::string, corev1::Pod> stored;
  std::vector<std::string> calls;
  bool down = false;
  bool loses_answers = false;  // what is asked happens, and nobody hears of it

 private:
  int made_ = 0;

  testing::FakeHttpTransport& Watched(const std::string& path) {
    return path.find("daemonsets") != std::string::npos ? sets : pods;
  }
  static kube::HttpResponse Missing() { return testing::StatusResponse(404, "NotFound", "pods not found"); }
  Result<kube::HttpResponse> Answer(kube::HttpResponse response) const {
    if (loses_answers) return Error(ErrorKind::kTimeout, "no answer came");
    return response;
  }

  Result<kube::HttpResponse> Post(const kube::HttpRequest& request) {
    corev1::Pod pod;
    if (!kube::DecodeObject(request.body, "v1", "Pod", pod))
      return testing::StatusResponse(400, "BadRequest", "broken");
    if (stored.contains(pod.metadata().name())) {
      return Answer(testing::StatusResponse(409, "AlreadyExists", "pods \"a\" already exists"));
    }
    pod.mutable_metadata()->clear_uid();
    Store(pod);
    return Answer(testing::ObjectResponse(kube::kPods, stored.at(pod.metadata().name())));
  }
  Result<kube::HttpResponse> PutStatus(corev1::Pod& known, const kube::HttpRequest& request) {
    corev1::Pod pod;
    if (!kube::DecodeObject(request.body, "v1", "Pod", pod))
      return testing::StatusResponse(400, "BadRequest", "broken");
    if (pod.metadata().resourceversion() != known.metadata().resourceversion()) {
      return testing::StatusResponse(409, "Conflict", "the object has been modified");
    }
    corev1::Pod changed = known;
    *changed.mutable_status() = pod.status();
    Store(changed);
    return Answer(testing::ObjectResponse(kube::kPods, stored.at(changed.metadata().name())));
  }
  Result<kube::HttpResponse> Delete(const corev1::Pod& known, const kube::HttpRequest& request) {
    metav1::DeleteOptions options;
    if (!kube::DecodeObject(request.body, "v1", "DeleteOptions", options)) {
      return testing::StatusResponse(400, "BadRequest", "broken");
    }
    if (options.preconditions().uid() != known.metadata().uid()) {
      return testing::StatusResponse(409, "Conflict", "the UID differs");
    }
    corev1::Pod pod = known;
    if (options.has_graceperiodseconds() && options.graceperiodseconds() == 0) {
      Remove(pod.metadata().name());
    } else if (!pod.metadata().has_deletiontimestamp()) {
      AskToEnd(pod);
    }
    return Answer(testing::ObjectResponse(kube::kPods, pod));
  }

 public:
  void AskToEnd(corev1::Pod pod) {
    pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(4'000'000'000);
    pod.mutable_metadata()->set_deletiongraceperiodseconds(30);
    Store(pod);
  }
};

class PodSyncTest : public pods::PodEngineTest {
 protected:
  // What is built anew when the agent starts.
  struct Life {
    Life(PodSyncTest& test)
        : view(
              test.loop.executor(), test.loop.timeline(), test.client, [] { return 0.5; }, test.store, test.cache,
              {.node_name = kNode}, [this] { sync.Notify(); }),
          sync(
              test.engine->services, test.engine->workers, view, test.client,
              [&test, this] {
                return NodeState{.node = &test.engine->node, .uid = "node-uid", .claimed = view.reachable()};
              },
              {.node_name = kNode}, [] {}) {}
    ServerView view;
    PodSync sync;
    std::shared_ptr<testing::Started<void>> view_run, sync_run;
  };

  PodSyncTest() {
    SetAllocatable("4");
    Begin();
  }
  ~PodSyncTest() override { End(); }

  void SetAllocatable(const std::string& cpu) {
    cpu_ = cpu;
    auto& allocatable = *engine->node.mutable_status()->mutable_allocatable();
    allocatable["cpu"].set_string(cpu);
    allocatable["pods"].set_string("110");
  }
  void Begin() {
    life = std::make_unique<Life>(*this);
    life->sync.SetManifestsComplete(true);
    engine->on_pods_changed = [this] { life->sync.Notify(); };
    life->view_run = loop.Start(life->view.Run());
    life->sync_run = loop.Start(life->sync.Run());
    loop.Advance(seconds(2));
  }
  void End() {
    loop.Cancel(life->sync_run);
    loop.Cancel(life->view_run);
    engine->on_pods_changed = nullptr;
    loop.Run(engine->workers.Close());
    life.reset();
  }
  void RestartAgent() {
    End();
    Restart();
    SetAllocatable(cpu_);
    Begin();
  }

  void Put(const appsv1::DaemonSet& set) {
    api.sets.Put(set);
    loop.Advance(seconds(5));
  }
  const corev1::Pod& OnlyPod() {
    if (api.stored.size() != 1) throw std::logic_error("there is not exactly one Pod object");
    return api.stored.begin()->second;
  }

  Api api{loop};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{api, limiter, loop.timeline()};
  async::BlockingPool blocking{0};
  store::Store store{loop.executor(), loop.timeline(), blocking,
                     "/nonexistent"};  // nothing is written: it does not run
  ObjectCache cache{store, true};
  std::string cpu_;
  std::unique_ptr<Life> life;
};

TEST_F(PodSyncTest, ADaemonSetGetsItsPodObjectFirstAndThenItsContainers) {
  Put(MakeDaemonSet("a").object);
  const corev1::Pod& pod = OnlyPod();
  EXPECT_EQ(pod.spec().nodename(), kNode);
  EXPECT_EQ(pod.metadata().annotations().at(decide::kSequenceAnnotation), "0");
  EXPECT_EQ(pod.metadata().ownerreferences(0).uid(), "uid-of-a");
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(pod.status().phase(), "Running");
  EXPECT_TRUE(decide::IsReady(pod.status()));
  EXPECT_EQ(engine->workers.all().begin()->first, pod.metadata().uid()) << "it runs under the object's UID";
  EXPECT_THAT(EventReasons(), Contains("SuccessfulCreate"));
}

TEST_F(PodSyncTest, AnIdleNodeAsksForNothing) {
  Put(MakeDaemonSet("a").object);
  loop.Advance(seconds(10));
  api.calls.clear();
  loop.Advance(minutes(3));
  EXPECT_THAT(api.calls, IsEmpty());
}

// The answer to the POST was lost: the next one meets the pod that it made.
TEST_F(PodSyncTest, APostWithoutAnswerMakesNoSecondPod) {
  api.loses_answers = true;
  api.pods.Silence(true);
  Put(MakeDaemonSet("a").object);
  api.loses_answers = false;
  loop.Advance(minutes(1));
  EXPECT_THAT(api.stored, SizeIs(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_GE(api.Count("POST"), 2);
}

TEST_F(PodSyncTest, ANameThatIsTakenIsPassedBy) {
  const appsv1::DaemonSet set = MakeDaemonSet("a").object;
  corev1::Pod other = decide::MakeDaemonPod(set, "node-b", 0);
  other.mutable_metadata()->set_name(decide::DaemonPodName(set, kNode, 0));
  other.mutable_metadata()->clear_uid();
  api.pods.Silence(true);  // it is another node's: this node does not see it
  api.Store(other);
  Put(set);
  EXPECT_THAT(api.stored, SizeIs(2));
  EXPECT_TRUE(api.stored.contains(decide::DaemonPodName(set, kNode, 1)));
}

TEST_F(PodSyncTest, ARestartOfTheAgentAdoptsAndWritesNothing) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  api.calls.clear();
  RestartAgent();
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_THAT(engine->workers.all(), SizeIs(1));
  EXPECT_THAT(api.calls, IsEmpty());
}

TEST_F(PodSyncTest, ADeletedPodStopsIsRemovedAndReplaced) {
  Put(MakeDaemonSet("a").object);
  const std::string first = OnlyPod().metadata().name();
  api.AskToEnd(OnlyPod());
  loop.Advance(seconds(60));
  EXPECT_NE(OnlyPod().metadata().name(), first);
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(engine->workers.all(), SizeIs(1));
  EXPECT_THAT(records.pods, SizeIs(1));
}

TEST_F(PodSyncTest, APodDeletedByForceStopsHereAndIsReplaced) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  const std::string first = OnlyPod().metadata().name();
  api.Remove(first);
  loop.Advance(seconds(60));
  EXPECT_NE(OnlyPod().metadata().name(), first);
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
}

TEST_F(PodSyncTest, ADaemonSetThatIsGoneTakesItsPodAlong) {
  Put(MakeDaemonSet("a").object);
  api.sets.Remove({"default", "a"});
  loop.Advance(seconds(60));
  EXPECT_THAT(api.stored, IsEmpty());
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(engine->workers.all(), IsEmpty());
  EXPECT_THAT(records.pods, IsEmpty());
}

TEST_F(PodSyncTest, APodWithoutRoomSaysSoAndStartsWhenThereIsSome) {
  SetAllocatable("1");
  auto set = MakeDaemonSet("a");
  (*Main(set).mutable_resources()->mutable_requests())["cpu"].set_string("2");
  Put(set.object);
  EXPECT_THAT(RunningContainers(), IsEmpty());
  ASSERT_EQ(OnlyPod().status().conditions_size(), 1);
  EXPECT_EQ(OnlyPod().status().conditions(0).reason(), "Unschedulable");
  EXPECT_THAT(OnlyPod().status().conditions(0).message(), HasSubstr("needs cpu 2"));
  EXPECT_THAT(EventReasons(), Contains("FailedScheduling"));
  ASSERT_THAT(life->sync.Workloads(), SizeIs(1));
  EXPECT_THAT(life->sync.Workloads()[0]->decision.waiting_for, HasSubstr("needs cpu 2"));
  SetAllocatable("4");
  life->sync.Notify();
  loop.Advance(seconds(2));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodSyncTest, AMoreImportantPodTakesTheRoomOfALessImportantOne) {
  SetAllocatable("3");
  auto low = MakeDaemonSet("low");
  (*Main(low).mutable_resources()->mutable_requests())["cpu"].set_string("2");
  Put(low.object);
  auto high = MakeDaemonSet("high");
  (*Main(high).mutable_resources()->mutable_requests())["cpu"].set_string("2");
  high.object.mutable_spec()->mutable_template_()->mutable_spec()->set_priority(1000);
  Put(high.object);
  loop.Advance(seconds(60));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  const auto worker = std::find_if(engine->workers.all().begin(), engine->workers.all().end(),
                                   [](const auto& entry) { return !entry.second->terminating(); });
  ASSERT_NE(worker, engine->workers.all().end());
  EXPECT_EQ(worker->second->identity().owner_name, "high");
  EXPECT_THAT(EventReasons(), Contains("Preempted"));
}

TEST_F(PodSyncTest, WithoutTheServerARestartedAgentGoesOnAndAStoppedPodComesBack) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  api.down = true;
  api.pods.BreakStreams();
  api.sets.BreakStreams();
  RestartAgent();
  loop.Advance(seconds(30));
  EXPECT_EQ(RunningContainers(), before);
  ASSERT_TRUE(life->sync.RestartDaemonSet("default", "a"));
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
  EXPECT_THAT(api.stored, SizeIs(1));

  const auto offline = RunningContainers();
  api.down = false;
  loop.Advance(minutes(2));
  EXPECT_EQ(RunningContainers(), offline) << "the server's return restarts nothing";
  EXPECT_THAT(api.stored, SizeIs(1));
}

// Known from before, and no Pod object yet: it starts under a UID of its own and gets its object later.
TEST_F(PodSyncTest, APodStartedWithoutTheServerIsWrittenAfterwardsAndNotTouched) {
  engine->node.mutable_spec()->add_taints()->set_key("busy");
  engine->node.mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  Put(MakeDaemonSet("a").object);
  EXPECT_THAT(api.stored, IsEmpty());
  cache.Put(MakeDaemonSet("a").object, loop.timeline().Read().wall);
  api.down = true;
  api.pods.BreakStreams();
  api.sets.BreakStreams();
  RestartAgent();
  loop.Advance(seconds(30));
  const auto offline = RunningContainers();
  ASSERT_THAT(offline, SizeIs(1));
  api.down = false;
  loop.Advance(minutes(2));
  EXPECT_EQ(RunningContainers(), offline);
  EXPECT_EQ(OnlyPod().status().phase(), "Running");
  EXPECT_EQ(engine->workers.all().begin()->second->identity().object_uid, OnlyPod().metadata().uid());
}

// The checkpoint and the object are lost: what only the runtime knows gets an object and a worker again.
TEST_F(PodSyncTest, ContainersThatOnlyTheRuntimeKnowsGetAnObjectAgain) {
  Put(MakeDaemonSet("a").object);
  const auto before = RunningContainers();
  const std::string name = OnlyPod().metadata().name();
  End();
  api.Remove(name);
  records.pods.clear();
  records.workloads.clear();
  cache.Remove<corev1::Pod>("default", name);
  Restart();
  SetAllocatable(cpu_);
  Begin();
  loop.Advance(minutes(1));
  EXPECT_EQ(OnlyPod().metadata().name(), name);
  EXPECT_EQ(RunningContainers(), before);
  ASSERT_THAT(engine->workers.all(), SizeIs(1));
  EXPECT_EQ(engine->workers.all().begin()->second->identity().object_uid, OnlyPod().metadata().uid());
}

TEST_F(PodSyncTest, NothingRunsUnderANameThatSomebodyElseHolds) {
  End();
  life = std::make_unique<Life>(*this);
  PodSync refused(
      engine->services, engine->workers, life->view, client,
      [this] { return NodeState{.node = &engine->node, .refused = true}; }, {.node_name = kNode}, [] {});
  life->view_run = loop.Start(life->view.Run());
  life->sync_run = loop.Start(refused.Run());
  api.sets.Put(MakeDaemonSet("a").object);
  for (int i = 0; i < 5; ++i) {
    refused.Notify();
    loop.Advance(seconds(5));
  }
  EXPECT_THAT(api.calls, IsEmpty());
  EXPECT_THAT(RunningContainers(), IsEmpty());
  loop.Cancel(life->sync_run);
  loop.Cancel(life->view_run);
  Begin();
}

TEST_F(PodSyncTest, APodThatFailedIsReplaced) {
  Put(MakeDaemonSet("a").object);
  corev1::Pod failed = OnlyPod();
  failed.mutable_status()->set_phase("Failed");
  failed.mutable_status()->set_reason("Evicted");
  const std::string first = failed.metadata().name();
  api.Store(failed);
  loop.Advance(minutes(1));
  EXPECT_NE(OnlyPod().metadata().name(), first);
  EXPECT_THAT(EventReasons(), Contains("FailedDaemonPod"));
}

}  // namespace
}  // namespace daemonsetd::cluster

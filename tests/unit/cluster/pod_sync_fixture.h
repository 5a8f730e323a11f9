// PodSync on a pod engine whose runtime behaves and an API server that has DaemonSets and Pods.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/cluster/pod_sync.h"
#include "agent/kube/codec.h"
#include "tests/support/fake_http_transport.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::cluster {

using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr char kNode[] = "node-a";
inline constexpr char kPods[] = "/api/v1/namespaces/default/pods";

// Watches of both resources are the fake's; the writes to Pods behave as an API server's.
class PodApi final : public kube::HttpTransport {
 public:
  explicit PodApi(testing::TestLoop& loop)
      : pods(loop.executor(), loop.timeline(), kube::kPods),
        sets(loop.executor(), loop.timeline(), kube::kDaemonSets),
        timeline_(loop.timeline()) {}

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override {
    if (down) co_return Error(ErrorKind::kRetry, "connection refused");
    if (silent) co_return co_await NoAnswer(deadline);
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
    if (request.method == "PATCH") patches.push_back(request.body);
    co_return testing::ObjectResponse(kube::kPods, found->second);
  }
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest request, MonoTime deadline) override {
    if (down) co_return Error(ErrorKind::kRetry, "connection refused");
    if (silent) co_return co_await NoAnswer(deadline);
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
  std::vector<std::string> patches;  // answered, and not carried out
  bool down = false;
  bool silent = false;         // a connection is there, and nothing comes
  bool loses_answers = false;  // what is asked happens, and nobody hears of it
  // What admission plugins make of a new pod; an answer refuses it.
  std::function<std::optional<kube::HttpResponse>(corev1::Pod&)> admit;

 private:
  async::Timeline& timeline_;
  int made_ = 0;

  Task<Error> NoAnswer(MonoTime deadline) {
    co_await timeline_.SleepUntil(deadline);
    co_return Error(ErrorKind::kTimeout, "no answer in time");
  }
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
    if (!pod.metadata().resourceversion().empty()) {
      return Answer(testing::StatusResponse(500, "", "resourceVersion can not be set for Create requests"));
    }
    pod.mutable_metadata()->clear_uid();
    if (admit) {
      if (auto refusal = admit(pod)) return Answer(std::move(*refusal));
    }
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
    kube::HttpResponse answer = testing::ObjectResponse(kube::kPods, known);
    if (options.has_graceperiodseconds() && options.graceperiodseconds() == 0) {
      const std::string name = known.metadata().name();
      Remove(name);
    } else if (!known.metadata().has_deletiontimestamp()) {
      AskToEnd(known);
    }
    return Answer(std::move(answer));
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
                const corev1::Node* node = test.node_known ? &test.engine->node : nullptr;
                return NodeState{.node = node, .uid = "node-uid", .claimed = view.reachable()};
              },
              {.node_name = kNode,
               .on_images = [&test](const std::set<std::string>& images) { test.told_images.push_back(images); }},
              [] {}) {}
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
  // `meanwhile`: what happens to the machine while no agent runs.
  void RestartAgent(const std::function<void()>& meanwhile = [] {}) {
    const corev1::Node node = engine->node;  // as the checkpoint keeps it
    End();
    Stop();
    meanwhile();
    Start();
    engine->node = node;
    Begin();
  }
  void Reboot(const std::function<void()>& meanwhile = [] {}) {
    RestartAgent([&] {
      runtime.Boot();
      meanwhile();
    });
  }
  void LoseServer() {
    api.down = true;
    api.pods.BreakStreams();
    api.sets.BreakStreams();
  }

  void Put(const appsv1::DaemonSet& set) {
    api.sets.Put(set);
    loop.Advance(seconds(5));
  }
  // As the template of the set becomes by then.
  std::string HashNow(const std::string& name) const {
    for (const pods::Hosted* hosted : life->sync.Workloads()) {
      if (hosted->workload.name == name) return hosted->workload.template_hash;
    }
    return {};
  }
  // As the news of the Node's watch, or of a write to it.
  void NodeChanged() {
    life->sync.Notify();
    loop.Advance(seconds(5));
  }
  std::string WaitingFor(const std::string& name) const {
    for (const pods::Hosted* hosted : life->sync.Workloads()) {
      if (hosted->workload.name == name) return hosted->decision.waiting_for;
    }
    return "no such DaemonSet";
  }
  // Messages of the Events with this reason, the oldest first; one that counts up is there once.
  std::vector<std::string> Events(const std::string& reason) const {
    std::vector<std::string> texts;
    for (const auto& logged : engine->events.Recent()) {
      if (logged->event.reason() == reason) texts.push_back(logged->event.message());
    }
    return texts;
  }
  const corev1::Pod& OnlyPod() {
    if (api.stored.size() != 1) throw std::logic_error("there is not exactly one Pod object");
    return api.stored.begin()->second;
  }

  PodApi api{loop};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{api, limiter, loop.timeline()};
  async::BlockingPool blocking{0};
  store::Store store{loop.executor(), loop.timeline(), blocking,
                     "/nonexistent"};  // nothing is written: it does not run
  ObjectCache cache{store, true};
  bool node_known = true;
  std::vector<std::set<std::string>> told_images;  // what the Node's status should name soon, each time it was told
  std::unique_ptr<Life> life;
};

}  // namespace daemonsetd::cluster

#include "agent/cluster/api_server.h"

#include <fmt/format.h>

#include "agent/async/system_random.h"
#include "agent/async/task_scope.h"

namespace daemonsetd::cluster {
namespace {

constexpr int kQuietMoments = 4;
constexpr Nanoseconds kQuietMoment = std::chrono::milliseconds(50);

// How long an object outlives the last pod that named it, at most.
constexpr Nanoseconds kBetweenCleanings = std::chrono::minutes(5);

ServerViewSettings ViewSettingsOf(const ApiServerSettings& settings) {
  return {.node_name = settings.node.node_name,
          .watch_daemon_sets = settings.pod_source == decide::PodSource::kLocal,
          .start_wait = settings.start_wait};
}

}  // namespace

ApiServer::ApiServer(pods::PodServices& services, pods::PodWorkers& workers, store::Store& store,
                     cri::Runtime& image_service, node::PressureMonitor& pressure, ApiServerSettings settings,
                     DesiredNode desired, std::function<void()> on_change, std::function<void()> on_node)
    : services_(services),
      settings_(std::move(settings)),
      on_change_(std::move(on_change)),
      on_node_(std::move(on_node)),
      transport_(services.executor, services.timeline, services.blocking, settings_.kubeconfig),
      limiter_(services.executor, services.timeline, kube::RequestLimits{}),
      client_(transport_, limiter_, services.timeline, settings_.observer),
      cache_(store, settings_.checkpoint_secrets),
      node_(services.executor, services.timeline, client_, services.runtime, image_service, pressure, settings_.node,
            std::move(desired), async::SystemRandom(), [this] { NodeObserved(); }),
      view_(services.executor, services.timeline, client_, async::SystemRandom(), store, cache_,
            ViewSettingsOf(settings_), [this] { ServerChanged(); }),
      objects_(std::make_shared<ApiObjects>(services.executor, services.timeline, client_, cache_,
                                            async::SystemRandom(), [this] { return view_.reachable(); })),
      events_(
          services.executor, services.timeline, client_, services.events, [this] { return view_.reachable(); },
          async::SystemRandom()),
      sync_(
          services, workers, view_, client_, [this] { return StateOfNode(); },
          {.node_name = settings_.node.node_name,
           .source = settings_.pod_source,
           .on_images = [this](const std::set<std::string>& images) { node_.ImagesChanged(images); }},
          on_change_),
      unreachable_since_(services.timeline.mono()) {
  if (const auto cached = cache_.Find<corev1::Node>("", settings_.node.node_name)) node_.UseCached(*cached->object);
}

Task<void> ApiServer::Run() {
  async::TaskScope scope(services_.executor);
  scope.Spawn("node", node_.Run());
  scope.Spawn("API objects", view_.Run());
  scope.Spawn("events", events_.Run());
  scope.Spawn("old objects", ForgetOldObjects());
  scope.Spawn("pods of the API server", sync_.Run());
  co_await scope.HoldUntilCancelled();
  co_await objects_->Close();
  co_await transport_.Close();
}

Task<void> ApiServer::ForgetOldObjects() {
  for (;;) {
    co_await services_.timeline.SleepFor(kBetweenCleanings);
    // Only a complete picture says what nobody names any more.
    if (node_.claimed() && sync_.complete()) objects_->KeepOnly(sync_.HostedPods());
  }
}

NodeState ApiServer::StateOfNode() const {
  return {.node = node_.node(),
          .uid = node_.uid(),
          .claimed = node_.claimed(),
          .refused = !node_.claimed() && node_.observed() && !node_.problem().empty()};
}

void ApiServer::NodeObserved() {
  if (node_.observed() && node_.node() != nullptr) {
    // What placement needs of it without the server; heartbeats and the like would only cost writes.
    corev1::Node node = *node_.node();
    node.mutable_metadata()->clear_resourceversion();
    node.mutable_status()->clear_conditions();
    node.mutable_status()->clear_images();
    cache_.Put(node, services_.timeline.Read().wall);
  }
  sync_.Notify();
  on_node_();
}

void ApiServer::ServerChanged() {
  if (const bool reachable = view_.reachable(); reachable != reachable_) {
    reachable_ = reachable;
    unreachable_since_ = services_.timeline.mono();
    objects_->ReachabilityChanged();
    events_.Notify();
  }
  sync_.Notify();
  on_change_();
}

Task<void> ApiServer::Settle(MonoTime until) {
  // What changed is looked at, and written, on a later turn of the loop: one quiet moment says nothing.
  for (int quiet = 0; quiet < kQuietMoments && services_.timeline.mono() < until && view_.reachable();) {
    co_await services_.timeline.SleepFor(kQuietMoment);
    quiet = sync_.writes() ? 0 : quiet + 1;
  }
}

std::optional<std::vector<ServerView::DaemonSetPtr>> ApiServer::DaemonSets() const {
  if (view_.daemon_sets_known() != decide::Knowledge::kComplete) return std::nullopt;
  return view_.DaemonSets();
}

Nanoseconds ApiServer::OfflineFor() const {
  return reachable_ ? Nanoseconds::zero() : services_.timeline.mono() - unreachable_since_;
}

std::string ApiServer::StatusText() const {
  if (view_.reachable()) return "reachable";
  const std::string error = view_.last_error();
  return error.empty() ? "connecting" : "not reachable: " + error;
}

std::string ApiServer::Problem() const {
  if (!node_.problem().empty()) return node_.problem();
  const std::string error = view_.last_error();
  return error.empty() ? "" : "the API server cannot be reached; pods run on as they are: " + error;
}

}  // namespace daemonsetd::cluster

#include "agent/cluster/server_view.h"

#include <algorithm>

#include "agent/async/task_scope.h"
#include "agent/base/log.h"
#include "agent/decide/pod_object.h"
#include "agent/kube/resource_version.h"

namespace daemonsetd::cluster {
namespace {

using decide::Knowledge;
using decide::ObjectLoss;
using kube::ReflectorCore;

constexpr char kPodsPosition[] = "pods";
constexpr char kDaemonSetsPosition[] = "daemonsets";

ObjectLoss LossBy(ReflectorCore::ChangeSource source) {
  switch (source) {
    case ReflectorCore::ChangeSource::kEvent: return ObjectLoss::kDeletionSeen;
    case ReflectorCore::ChangeSource::kList: return ObjectLoss::kWhileAway;
    case ReflectorCore::ChangeSource::kOlderList: return ObjectLoss::kHistoryLost;
  }
  return ObjectLoss::kWhileAway;
}

// Without what changes all the time and says nothing to a node that cannot ask.
corev1::Pod Lasting(const corev1::Pod& pod) {
  corev1::Pod lasting = pod;
  lasting.mutable_metadata()->clear_resourceversion();
  lasting.clear_status();
  // An end is final.
  if (decide::IsTerminal(pod)) {
    lasting.mutable_status()->set_phase(pod.status().phase());
    lasting.mutable_status()->set_reason(pod.status().reason());
    lasting.mutable_status()->set_message(pod.status().message());
  }
  return lasting;
}

appsv1::DaemonSet Lasting(const appsv1::DaemonSet& daemon_set) {
  appsv1::DaemonSet lasting = daemon_set;
  lasting.mutable_metadata()->clear_resourceversion();
  lasting.clear_status();
  return lasting;
}

}  // namespace

ServerView::ServerView(async::Executor executor, async::Timeline& timeline, kube::Client& client,
                       std::function<double()> random, store::Store& store, ObjectCache& cache,
                       ServerViewSettings settings, std::function<void()> on_change)
    : executor_(executor),
      timeline_(timeline),
      store_(store),
      cache_(cache),
      settings_(std::move(settings)),
      on_change_(std::move(on_change)),
      daemon_sets_(client, timeline, random, {.newest = Position(kDaemonSetsPosition)},
                   {.on_change = [this](const kube::NamespacedName& name) { DaemonSetChanged(name); },
                    .on_complete = [this] { DaemonSetsListed(); },
                    .on_state = [this] { StateChanged(); }}),
      pods_(client, timeline, random,
            {.field_selector = "spec.nodeName=" + settings_.node_name, .newest = Position(kPodsPosition)},
            {.on_change = [this](const kube::NamespacedName& name) { PodChanged(name); },
             .on_complete = [this] { PodsListed(); },
             .on_state = [this] { StateChanged(); }}) {
  for (auto& cached : cache_.All<appsv1::DaemonSet>()) {
    cached_since_ = std::min(cached_since_.value_or(cached.seen_at), cached.seen_at);
    cached_sets_.push_back(std::move(cached.object));
  }
  for (auto& cached : cache_.All<corev1::Pod>()) {
    uids_[kube::NameOf(cached.object->metadata())] = cached.object->metadata().uid();
    cached_pods_.push_back(std::move(cached.object));
  }
}

Task<void> ServerView::Run() {
  async::TaskScope scope(executor_);
  if (settings_.watch_daemon_sets) scope.Spawn("watch daemonsets", daemon_sets_.Run());
  scope.Spawn("watch pods", pods_.Run());
  scope.Spawn("wait for the API server", WaitForServer());
  co_await scope.HoldUntilCancelled();
}

Task<void> ServerView::WaitForServer() {
  co_await timeline_.SleepFor(settings_.start_wait);
  waited_ = true;
  if (!pods_.synced()) {
    log::Warning("the API server has not answered; going on from the checkpoint",
                 {{"waited", FormatDuration(settings_.start_wait)},
                  {"daemonSets", cached_sets_.size()},
                  {"pods", cached_pods_.size()},
                  {"err", last_error()}});
  }
  on_change_();
}

std::string ServerView::last_error() const {
  const std::string error = pods_.last_error();
  return error.empty() && settings_.watch_daemon_sets ? daemon_sets_.last_error() : error;
}

Nanoseconds ServerView::SpecAge() const {
  if (daemon_sets_.live()) return Nanoseconds::zero();
  const Now now = timeline_.Read();
  if (!daemon_sets_.synced())
    return cached_since_ ? std::max(now.wall - *cached_since_, Nanoseconds::zero()) : Nanoseconds::zero();
  return daemon_sets_.since() ? now.mono - *daemon_sets_.since() : Nanoseconds::zero();
}

Knowledge ServerView::KnownAs(bool synced) const {
  if (synced) return Knowledge::kComplete;
  return waited_ ? Knowledge::kCached : Knowledge::kWaiting;
}

// Where others make the pods, their sets are of no interest: none is known, and that is all there are.
Knowledge ServerView::daemon_sets_known() const {
  return KnownAs(settings_.watch_daemon_sets ? daemon_sets_.synced() : pods_.synced());
}

Knowledge ServerView::pods_known() const { return KnownAs(pods_.synced()); }

std::vector<ServerView::DaemonSetPtr> ServerView::DaemonSets() const {
  return daemon_sets_.synced() ? daemon_sets_.All() : cached_sets_;
}

std::vector<ServerView::PodPtr> ServerView::Pods() const {
  std::map<kube::NamespacedName, PodPtr> pods;
  for (const auto& list : {cached_pods_, pods_.All()}) {
    for (const PodPtr& pod : list) pods[kube::NameOf(pod->metadata())] = pod;
  }
  for (auto answer = answers_.begin(); answer != answers_.end();) {
    const std::string& version = answer->second->metadata().resourceversion();
    const auto watched = pods_.Find(answer->first);
    const std::string& seen = watched ? watched->metadata().resourceversion() : pods_.newest();
    // What the watch does not show although it has come so far was deleted since.
    if (!seen.empty() && !kube::IsOlder(seen, version)) {
      answer = answers_.erase(answer);
      continue;
    }
    pods[answer->first] = answer->second;
    ++answer;
  }
  std::vector<PodPtr> all;
  all.reserve(pods.size());
  for (auto& [name, pod] : pods) all.push_back(std::move(pod));
  return all;
}

// All of them are kept, those too that do not belong here: explain says why, without the server as well, and a node
// whose labels change then has what it needs.
void ServerView::DaemonSetChanged(const kube::NamespacedName& name) {
  if (const DaemonSetPtr daemon_set = daemon_sets_.Find(name)) {
    cache_.Put(Lasting(*daemon_set), timeline_.Read().wall);
  } else {
    cache_.Remove<appsv1::DaemonSet>(name.ns, name.name);
  }
  KeepPositions();
  on_change_();
}

// What the checkpoint knows and the first list lacks was never told as a change.
void ServerView::DaemonSetsListed() {
  cached_sets_.clear();
  for (const kube::NamespacedName& name : cache_.Names<appsv1::DaemonSet>()) {
    if (!daemon_sets_.Find(name)) DaemonSetChanged(name);
  }
  StateChanged();
}

ObjectLoss ServerView::LossOf(const std::string& uid) const {
  const auto lost = lost_.find(uid);
  return lost == lost_.end() ? ObjectLoss::kWhileAway : lost->second;
}

void ServerView::Wrote(const corev1::Pod& pod) {
  PodPtr& answer = answers_[kube::NameOf(pod.metadata())];
  if (!answer || !kube::IsOlder(pod.metadata().resourceversion(), answer->metadata().resourceversion())) {
    answer = std::make_shared<const corev1::Pod>(pod);
  }
  KeepPod(pod);
  on_change_();
}

void ServerView::KeepPod(const corev1::Pod& pod) {
  uids_[kube::NameOf(pod.metadata())] = pod.metadata().uid();
  cache_.Put(Lasting(pod), timeline_.Read().wall);
}

void ServerView::PodChanged(const kube::NamespacedName& name) {
  const PodPtr pod = pods_.Find(name);
  const auto known = uids_.find(name);
  if (known != uids_.end() && (!pod || pod->metadata().uid() != known->second)) {
    lost_[known->second] = LossBy(pods_.change_source());
  }
  if (pod) {
    lost_.erase(pod->metadata().uid());
    KeepPod(*pod);
  } else {
    uids_.erase(name);
    cache_.Remove<corev1::Pod>(name.ns, name.name);
  }
  KeepPositions();
  on_change_();
}

// As with DaemonSets.
void ServerView::PodsListed() {
  cached_pods_.clear();
  // By its number an answer from before would be newer than all that the server says now.
  if (pods_.change_source() == ReflectorCore::ChangeSource::kOlderList) answers_.clear();
  std::vector<kube::NamespacedName> gone;
  for (const auto& [name, uid] : uids_) {
    if (!pods_.Find(name) && !answers_.contains(name)) gone.push_back(name);
  }
  for (const kube::NamespacedName& name : gone) PodChanged(name);
  StateChanged();
}

void ServerView::StateChanged() {
  KeepPositions();
  on_change_();
}

// With every change: history that takes back none of them is no loss to this node.
void ServerView::KeepPositions() {
  if (pods_.synced()) KeepPosition(kPodsPosition, pods_.newest());
  if (daemon_sets_.synced()) KeepPosition(kDaemonSetsPosition, daemon_sets_.newest());
}

void ServerView::KeepPosition(const char* resource, const std::string& newest) {
  if (newest.empty() || Position(resource) == newest) return;
  store::PositionRecord record;
  record.set_resource(resource);
  record.set_newest(newest);
  store_.Put(std::move(record));
}

std::string ServerView::Position(const char* resource) const {
  const store::PositionRecord* record = store_.FindPosition(resource);
  return record == nullptr ? std::string() : record->newest();
}

}  // namespace daemonsetd::cluster

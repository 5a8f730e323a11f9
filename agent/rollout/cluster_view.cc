#include "agent/rollout/cluster_view.h"

#include <algorithm>
#include <utility>

#include "agent/async/task_scope.h"
#include "agent/base/log.h"
#include "agent/decide/api_time.h"
#include "agent/decide/conditions.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/model/message_bytes.h"
#include "agent/pods/image_name.h"

namespace daemonsetd::rollout {
namespace {

// The shortest wait between two looks at the Leases; a large cluster's list is looked at less often, so that it costs
// the server about the same.
constexpr Nanoseconds kLeasePeriod = std::chrono::seconds(20);
constexpr Nanoseconds kLeasePeriodPerNode = std::chrono::milliseconds(20);
constexpr int kLeasesAPage = 500;

// Placement reads name, labels and taints; the rest is who is alive and has which images.
void TrimNode(google::protobuf::Message& message) {
  auto& node = static_cast<corev1::Node&>(message);
  node.mutable_metadata()->clear_annotations();
  corev1::NodeStatus trimmed;
  if (const auto* ready = decide::FindCondition(node.status(), "Ready")) {
    corev1::NodeCondition& kept = *trimmed.add_conditions();
    kept = *ready;
    kept.clear_lastheartbeattime();
    kept.clear_message();
  }
  for (const corev1::ContainerImage& image : node.status().images()) {
    *trimmed.add_images()->mutable_names() = image.names();
  }
  *node.mutable_status() = std::move(trimmed);
}

void TrimPod(google::protobuf::Message& message) {
  auto& pod = static_cast<corev1::Pod&>(message);
  metav1::ObjectMeta& metadata = *pod.mutable_metadata();
  const auto surge = metadata.annotations().find(decide::kSurgeAnnotation);
  const std::string asked = surge == metadata.annotations().end() ? std::string() : surge->second;
  metadata.clear_annotations();
  metadata.clear_managedfields();
  if (!asked.empty()) (*metadata.mutable_annotations())[decide::kSurgeAnnotation] = asked;
  corev1::PodSpec spec;
  spec.set_nodename(decide::TargetNode(pod));
  for (const corev1::Container& container : pod.spec().initcontainers()) {
    spec.add_initcontainers()->set_image(container.image());
  }
  for (const corev1::Container& container : pod.spec().containers())
    spec.add_containers()->set_image(container.image());
  *pod.mutable_spec() = std::move(spec);
  corev1::PodStatus status;
  status.set_phase(pod.status().phase());
  if (const auto* ready = decide::FindCondition(pod.status(), "Ready")) *status.add_conditions() = *ready;
  *pod.mutable_status() = std::move(status);
}

std::set<std::string> ImagesOf(const corev1::Node& node) {
  std::set<std::string> images;
  for (const corev1::ContainerImage& image : node.status().images()) {
    for (const std::string& name : image.names()) {
      images.insert(pods::CanonicalImageName(name));
    }
  }
  return images;
}

// Whether a decision could be another one.
bool SameNode(const corev1::Node& a, const corev1::Node& b) {
  const auto text = [](corev1::Node node) {
    node.mutable_metadata()->clear_resourceversion();
    return model::DeterministicBytes(node);
  };
  return text(a) == text(b);
}

}  // namespace

ClusterView::ClusterView(async::Executor executor, async::Timeline& timeline, kube::Client& client,
                         std::function<double()> random, std::function<void()> on_change)
    : executor_(executor),
      timeline_(timeline),
      client_(client),
      on_change_(std::move(on_change)),
      nodes_(client, timeline, random, {.trim = TrimNode},
             {.on_change = [this](const kube::NamespacedName& name) { NodeChanged(name); },
              .on_complete = [this] { Listed(); },
              .on_state = [this] { on_change_(); }}),
      // The label is on every pod that a DaemonSet made, and on few others.
      pods_(client, timeline, random, {.label_selector = decide::kRevisionHashLabel, .trim = TrimPod},
            {.on_change = [this](const kube::NamespacedName& name) { PodChanged(name); },
             .on_complete =
                 [this] {
                   if (!pods_seen_since_) pods_seen_since_ = timeline_.mono();
                   Listed();
                 },
             .on_state = [this] { on_change_(); }}),
      revisions_(client, timeline, random, {},
                 {.on_change = [this](const kube::NamespacedName& name) { RevisionChanged(name); },
                  .on_complete = [this] { Listed(); },
                  .on_state = [this] { on_change_(); }}) {}

Task<void> ClusterView::Run() {
  async::TaskScope scope(executor_);
  scope.Spawn("watch nodes of the cluster", nodes_.Run());
  scope.Spawn("watch pods of the cluster", pods_.Run());
  scope.Spawn("watch revisions", revisions_.Run());
  scope.Spawn("node leases", LookAtLeases());
  co_await scope.HoldUntilCancelled();
}

bool ClusterView::complete() const { return nodes_.synced() && pods_.synced() && revisions_.synced() && leases_seen_; }

std::string ClusterView::problem() const {
  for (const std::string& error : {nodes_.last_error(), pods_.last_error(), revisions_.last_error(), lease_problem_}) {
    if (!error.empty()) return error;
  }
  return {};
}

ClusterView::Changes ClusterView::TakeChanges() { return std::exchange(changes_, {}); }

const std::map<std::string, PodSight>& ClusterView::PodsOf(const std::string& daemon_set_uid) const {
  static const std::map<std::string, PodSight> kNone;
  const auto found = by_owner_.find(daemon_set_uid);
  return found == by_owner_.end() ? kNone : found->second;
}

std::vector<std::shared_ptr<const appsv1::ControllerRevision>> ClusterView::RevisionsIn(const std::string& ns) const {
  auto revisions = revisions_.All();
  std::erase_if(revisions, [&](const auto& revision) { return revision->metadata().namespace_() != ns; });
  return revisions;
}

void ClusterView::Listed() {
  changes_.all = true;
  on_change_();
}

void ClusterView::NodeChanged(const kube::NamespacedName& name) {
  const auto node = nodes_.Find(name);
  if (!node) {
    by_name_.erase(name.name);
    changes_.all = true;
    return on_change_();
  }
  NodeSight& sight = by_name_[name.name];
  if (sight.node && SameNode(*sight.node, *node)) return;
  sight.node = node;
  sight.images = ImagesOf(*node);
  sight.dead_since = DeadSince(name.name, *node);
  changes_.all = true;
  on_change_();
}

void ClusterView::PodChanged(const kube::NamespacedName& name) {
  const auto pod = pods_.Find(name);
  const std::string owner = pod ? decide::DaemonSetOf(*pod) : std::string();
  if (const auto place = places_.find(name); place != places_.end()) {
    const auto [old_owner, old_uid] = place->second;
    changes_.daemon_sets.insert(old_owner);
    if (owner != old_owner || pod->metadata().uid() != old_uid) {
      const auto of_owner = by_owner_.find(old_owner);
      of_owner->second.erase(old_uid);
      if (of_owner->second.empty()) by_owner_.erase(of_owner);
      places_.erase(place);
    }
  }
  if (!owner.empty()) {
    places_[name] = {.owner = owner, .uid = pod->metadata().uid()};
    PodSight& sight = by_owner_[owner][pod->metadata().uid()];
    sight.pod = pod;
    const Now now = timeline_.Read();
    // An event of a pod that was seen before tells what has just happened, whatever its node's clock says (RO-03).
    const bool seen_all_the_time = sight.ready && pods_.change_source() == kube::ReflectorCore::ChangeSource::kEvent;
    std::optional<Nanoseconds> unseen_for;
    if (pods_seen_since_ && !seen_all_the_time) unseen_for = now.mono - *pods_seen_since_;
    decide::NoteReady(pod->status(), now, unseen_for, sight.ready);
    changes_.daemon_sets.insert(owner);
  }
  on_change_();
}

void ClusterView::RevisionChanged(const kube::NamespacedName& name) {
  changes_.namespaces.insert(name.ns);
  on_change_();
}

Task<void> ClusterView::LookAtLeases() {
  for (;;) {
    const Status status = co_await LookOnce();
    const std::string problem = status ? std::string() : status.error().message();
    if (!problem.empty() && lease_problem_.empty()) {
      log::Warning("the Leases of the nodes cannot be read; a node that died is noticed later", {{"err", problem}});
    }
    lease_problem_ = problem;
    if (!status && status.error().kind() == ErrorKind::kDenied && !leases_.empty()) {
      // Until a person acts: what the last look told would keep the dead dead.
      leases_.clear();
      JudgeNodes();
    }
    // Without them the Ready condition is what there is to go by.
    if (!leases_seen_) {
      leases_seen_ = true;
      Listed();
    }
    const auto nodes = static_cast<std::int64_t>(by_name_.size());
    co_await timeline_.SleepFor(std::max(kLeasePeriod, kLeasePeriodPerNode * nodes));
  }
}

Task<Status> ClusterView::LookOnce() {
  kube::ListOptions list{.limit = kLeasesAPage};
  std::map<std::string, LeaseState> seen;
  do {
    kube::ListOptions page_of = list;
    const auto page = co_await client_.List<Lease>(decide::kNodeLeaseNamespace, std::move(page_of));
    if (!page) co_return page.error();
    for (const Lease& lease : page->items) {
      LeaseState& state = seen[lease.metadata().name()];
      // One that came since the last look is as new as that, whatever its node's clock says.
      state.sight.first = leases_.empty();
      if (const auto known = leases_.find(lease.metadata().name()); known != leases_.end()) state = known->second;
      const Now now = timeline_.Read();
      if (!decide::NoteLease(lease, state.sight, now)) {
        state.dead_since.reset();
      } else if (!state.dead_since) {
        state.dead_since = now.wall - (now.mono - state.sight.unchanged_since);
      }
    }
    list.continue_token = page->continue_token;
  } while (!list.continue_token.empty());
  leases_ = std::move(seen);
  JudgeNodes();
  co_return Ok();
}

void ClusterView::JudgeNodes() {
  bool changed = false;
  for (auto& [name, sight] : by_name_) {
    const auto dead_since = DeadSince(name, *sight.node);
    changed = changed || dead_since.has_value() != sight.dead_since.has_value();
    sight.dead_since = dead_since;
  }
  if (changed) Listed();
}

std::optional<WallTime> ClusterView::DeadSince(const std::string& name, const corev1::Node& node) const {
  const auto* ready = decide::FindCondition(node.status(), "Ready");
  if (ready == nullptr) return decide::FromApiTime(node.metadata().creationtimestamp());
  if (ready->status() != "True") return decide::FromApiTime(ready->lasttransitiontime());
  const auto lease = leases_.find(name);
  return lease == leases_.end() ? std::nullopt : lease->second.dead_since;
}

}  // namespace daemonsetd::rollout

#include "agent/rollout/rollout_set.h"

#include <algorithm>
#include <utility>

#include "agent/decide/api_time.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/daemon_set_pods.h"
#include "agent/decide/labels.h"
#include "agent/decide/placement.h"
#include "agent/decide/pod_merge.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/kube/resource_version.h"
#include "agent/pods/image_name.h"

namespace daemonsetd::rollout {
namespace {

std::set<std::string> ImagesOf(const corev1::PodSpec& spec) {
  std::set<std::string> images;
  const auto add = [&](const auto& containers) {
    for (const corev1::Container& container : containers) {
      images.insert(pods::CanonicalImageName(container.image()));
    }
  };
  add(spec.initcontainers());
  add(spec.containers());
  return images;
}

std::string HashOf(const corev1::Pod& pod) {
  return decide::ValueOf(pod.metadata().labels(), decide::kRevisionHashLabel);
}

}  // namespace

void RolloutSet::Take(DaemonSetPtr object, const ClusterView& view, Nanoseconds image_wait, Now now) {
  const auto& version = object->metadata().resourceversion();
  if (is_answer_ && kube::IsOlder(version, object_->metadata().resourceversion())) return;
  is_answer_ = false;
  if (object_ && kube::SameVersion(object->metadata(), object_->metadata())) return;
  const bool same_generation = object_ && object_->metadata().generation() == object->metadata().generation();
  object_ = std::move(object);
  dirty = true;
  if (same_generation) return;
  placed_.clear();
  revisions_dirty = true;
  std::string hash = decide::TemplateHash(object_->spec().template_());
  if (hash == template_hash_) return;
  template_hash_ = std::move(hash);
  TemplateChanged(view, image_wait, now);
}

// A coordinator that takes over in the middle of a rollout goes by the age of the template's revision, and waits for no
// images again.
void RolloutSet::TemplateChanged(const ClusterView& view, Nanoseconds image_wait, Now now) {
  images_ = ImagesOf(object_->spec().template_().spec());
  began_ = now.wall;
  images_awaited_until_ = now.mono + image_wait;
  surged_.clear();
  failures.Reset();
  if (object_->status().observedgeneration() != object_->metadata().generation()) return;
  images_awaited_until_ = now.mono;
  for (const auto& revision : view.RevisionsIn(object_->metadata().namespace_())) {
    const metav1::ObjectMeta& metadata = revision->metadata();
    const bool ours = std::any_of(metadata.ownerreferences().begin(), metadata.ownerreferences().end(),
                                  [&](const auto& owner) { return owner.uid() == object_->metadata().uid(); });
    if (ours && decide::ValueOf(metadata.labels(), decide::kRevisionHashLabel) == template_hash_) {
      began_ = decide::FromApiTime(metadata.creationtimestamp());
    }
  }
}

// As its Node says, or because a pod that is ready there runs them: most templates change something else.
bool RolloutSet::HasImages(const NodeSight& node, const std::vector<const PodSight*>& pods) const {
  if (std::includes(node.images.begin(), node.images.end(), images_.begin(), images_.end())) return true;
  std::set<std::string> images = node.images;
  for (const PodSight* pod : pods) {
    if (decide::IsReady(pod->pod->status())) images.merge(ImagesOf(pod->pod->spec()));
  }
  return std::includes(images.begin(), images.end(), images_.begin(), images_.end());
}

void RolloutSet::ForgetShown(const ClusterView& view) {
  const auto& pods = view.PodsOf(metadata().uid());
  std::erase_if(deleted_, [&](const std::string& uid) {
    const auto pod = pods.find(uid);
    return pod == pods.end() || decide::IsTerminating(*pod->second.pod);
  });
  std::erase_if(surged_, [&](const std::string& uid) {
    const auto pod = pods.find(uid);
    return pod == pods.end() ||
           decide::ValueOf(pod->second.pod->metadata().annotations(), decide::kSurgeAnnotation) == template_hash_;
  });
}

RolloutSet::Sight RolloutSet::Look(const ClusterView& view, Now now) {
  ForgetShown(view);
  Sight sight;
  sight.input.daemon_set = object_.get();
  sight.input.wait_for_images = now.mono < images_awaited_until_;
  const std::int32_t min_ready = object_->spec().minreadyseconds();
  const decide::CurrentTemplate current{.revision_hash = template_hash_, .generation = std::nullopt};

  std::map<std::string, std::vector<const PodSight*>> on_node;
  std::set<std::string> labels;
  for (const auto& [uid, pod] : view.PodsOf(metadata().uid())) {
    on_node[decide::TargetNode(*pod.pod)].push_back(&pod);
    labels.insert(HashOf(*pod.pod));
  }
  if (labels != revision_labels_) {
    revision_labels_ = std::move(labels);
    revisions_dirty = true;
  }

  std::erase_if(placed_, [&](const auto& placed) { return !view.nodes().contains(placed.first); });
  for (const auto& [name, seen] : view.nodes()) {
    Placed& placed = placed_[name];
    if (placed.node != seen.node) {
      placed = {.node = seen.node,
                .should_run = decide::Place(object_->spec().template_().spec(), *seen.node).should_run};
    }
    const auto pods = on_node.find(name);
    if (!placed.should_run && pods == on_node.end()) continue;

    decide::RolloutNode& node = sight.input.nodes.emplace_back();
    node.name = name;
    node.should_run = placed.should_run;
    node.dead = seen.dead_since.has_value();
    node.dead_before = node.dead && *seen.dead_since <= began_;
    if (pods == on_node.end()) {
      node.has_images = HasImages(seen, {});
      continue;
    }
    node.has_images = HasImages(seen, pods->second);
    for (const PodSight* pod : pods->second) {
      decide::DaemonPod facts = decide::DaemonPodOf(*pod->pod, current, min_ready, now.wall);
      const auto available_at = decide::AvailableAt(pod->ready, min_ready);
      facts.available = facts.ready && available_at && *available_at <= now.mono;
      if (facts.ready && !facts.available && available_at && !node.dead) {
        sight.next_available = std::min(sight.next_available.value_or(*available_at), *available_at);
      }
      if (node.dead) facts.ready = facts.available = false;
      facts.terminating = facts.terminating || deleted_.contains(facts.id);
      const bool asked =
          decide::ValueOf(pod->pod->metadata().annotations(), decide::kSurgeAnnotation) == template_hash_ ||
          surged_.contains(facts.id);
      node.surge_asked = node.surge_asked || (asked && !facts.terminating && !facts.failed && !facts.succeeded);
      sight.pods[facts.id] = pod->pod;
      node.pods.push_back(std::move(facts));
    }
  }
  return sight;
}

std::vector<decide::NodeCount> RolloutSet::Counts(const decide::RolloutInput& input) {
  std::vector<decide::NodeCount> counts;
  counts.reserve(input.nodes.size());
  for (const decide::RolloutNode& node : input.nodes) {
    counts.push_back({.should_run = node.should_run, .pods = node.pods});
  }
  return counts;
}

decide::RevisionPlan RolloutSet::PlanRevisions(const ClusterView& view) const {
  decide::RevisionInput input{
      .daemon_set = object_.get(), .template_hash = template_hash_, .revisions = {}, .pods = {}};
  const auto revisions = view.RevisionsIn(metadata().namespace_());
  for (const auto& revision : revisions) input.revisions.push_back(revision.get());
  for (const auto& [uid, pod] : view.PodsOf(metadata().uid())) {
    input.pods.push_back({.pod_id = uid, .hash = HashOf(*pod.pod)});
  }
  return decide::PlanRevisions(input);
}

void RolloutSet::Wrote(const appsv1::DaemonSet& answer) {
  if (object_ && kube::IsOlder(answer.metadata().resourceversion(), object_->metadata().resourceversion())) return;
  object_ = std::make_shared<const appsv1::DaemonSet>(answer);
  is_answer_ = true;
}

}  // namespace daemonsetd::rollout

// One DaemonSet as the coordinator works on it: what it is decided from, and what is remembered between two looks.
// A new coordinator begins with nothing but the cluster's own state. Everything on the loop thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/base/time_point.h"
#include "agent/decide/daemonset_status.h"
#include "agent/decide/revisions.h"
#include "agent/decide/rollout.h"
#include "agent/decide/rollout_conditions.h"
#include "agent/rollout/cluster_view.h"

namespace daemonsetd::rollout {

class RolloutSet {
 public:
  using DaemonSetPtr = std::shared_ptr<const appsv1::DaemonSet>;

  // The DaemonSet as watched. `image_wait`: how long a new template's images are waited for on nodes whose pod is well.
  void Take(DaemonSetPtr object, const ClusterView& view, Nanoseconds image_wait, Now now);
  // As the watch has it, or as the answer to our own write told, whichever is newer.
  const DaemonSetPtr& object() const { return object_; }
  const std::string& template_hash() const { return template_hash_; }
  const metav1::ObjectMeta& metadata() const { return object_->metadata(); }

  // What a look sees. Pods point into `view`.
  struct Sight {
    decide::RolloutInput input;
    std::map<std::string, std::shared_ptr<const corev1::Pod>> pods;  // by UID
    std::optional<MonoTime> next_available;                          // when a pod that is ready becomes available
  };
  Sight Look(const ClusterView& view, Now now);

  static std::vector<decide::NodeCount> Counts(const decide::RolloutInput& input);
  decide::RevisionPlan PlanRevisions(const ClusterView& view) const;

  // What the server accepted and no watch has shown yet.
  void Deleted(const std::string& pod_uid) { deleted_.insert(pod_uid); }
  // A step was sent, and what became of it, or of the pod, is not known: no other is taken until the server was asked.
  void MaybeTaken(std::shared_ptr<const corev1::Pod> pod) { unsure_.push_back(std::move(pod)); }
  std::vector<std::shared_ptr<const corev1::Pod>> TakeUnsure() { return std::exchange(unsure_, {}); }
  void AskedForSurge(const std::string& pod_uid) { surged_.insert(pod_uid); }
  void Wrote(const appsv1::DaemonSet& answer);

  // Something has changed since it was looked at last.
  bool dirty = true;
  bool revisions_dirty = true;
  bool busy = false;
  std::optional<MonoTime> look_at;  // at the latest
  std::optional<MonoTime> status_written_at;
  decide::ProgressMemory progress;
  Backoff failures{{.initial = std::chrono::milliseconds(500), .maximum = std::chrono::minutes(1)}};

 private:
  void TemplateChanged(const ClusterView& view, Nanoseconds image_wait, Now now);
  bool HasImages(const NodeSight& node, const std::vector<const PodSight*>& pods) const;
  void ForgetShown(const ClusterView& view);

  DaemonSetPtr object_;
  bool is_answer_ = false;  // to our own write, which no watch has shown yet
  std::string template_hash_;
  std::set<std::string> images_;  // of the template, by canonical names
  WallTime began_{};              // when the present template came, as far as it is known
  MonoTime images_awaited_until_{};
  std::set<std::string> deleted_;  // pods, by UID
  std::vector<std::shared_ptr<const corev1::Pod>> unsure_;
  std::set<std::string> surged_;
  std::set<std::string> revision_labels_;  // those of the pods, at the last plan of revisions
  struct Placed {
    std::shared_ptr<const corev1::Node> node;
    bool should_run = false;
  };
  std::map<std::string, Placed> placed_;  // by node: placement is asked again only when the Node has changed
};

}  // namespace daemonsetd::rollout

// The coordinator's writes: each a request with a deadline, refused by the server when it rests on an older state than
// there is, and safe to repeat. Everything on the loop thread.
#pragma once

#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/decide/revisions.h"
#include "agent/kube/client.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::rollout {

class SetWrites {
 public:
  explicit SetWrites(kube::Client& client) : client_(client) {}  // must outlive it

  // The DaemonSet as it is now, not as a watch has shown it.
  Task<Result<appsv1::DaemonSet>> Read(kube::NamespacedName name, Nanoseconds timeout);
  // The pod as it is now. Unset: it is gone, or on its way; a successor counts as that.
  Task<Result<std::optional<corev1::Pod>>> ReadUnlessGoing(corev1::Pod pod, Nanoseconds timeout);
  // With the pod's own grace. `pod` as it was seen: kConflict when anything of it has changed since. kAbsent: gone.
  Task<Status> DeletePod(corev1::Pod pod, Nanoseconds timeout);
  // Tells the pod's node that a pod of this template may start beside it.
  Task<Status> AskForSurge(corev1::Pod pod, std::string template_hash, Nanoseconds timeout);
  Task<Status> LabelPod(corev1::Pod pod, std::string template_hash, Nanoseconds timeout);
  // The revision with its data, from `owner` as the server has it. kConflict: that has another template by now.
  Task<Result<appsv1::ControllerRevision>> WithData(appsv1::ControllerRevision revision, kube::NamespacedName owner,
                                                    Nanoseconds timeout);
  // kExists: the name is taken.
  Task<Status> CreateRevision(appsv1::ControllerRevision revision, Nanoseconds timeout);
  Task<Result<appsv1::ControllerRevision>> ReadRevision(kube::NamespacedName name, Nanoseconds timeout);
  Task<Status> UpdateRevision(appsv1::ControllerRevision revision, Nanoseconds timeout);
  Task<Status> DeleteRevision(kube::NamespacedName name, std::string uid, Nanoseconds timeout);
  // The answer is the DaemonSet as stored. kConflict: it has changed since it was read.
  Task<Result<appsv1::DaemonSet>> WriteStatus(appsv1::DaemonSet daemon_set, Nanoseconds timeout);

 private:
  Task<Status> PatchMetadata(corev1::Pod pod, std::string field, std::string key, std::string value,
                             Nanoseconds timeout);

  kube::Client& client_;
};

}  // namespace daemonsetd::rollout

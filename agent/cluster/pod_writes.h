// The writes to Pod objects at the API server: each a request or two with a deadline, safe to repeat. Everything on the
// loop thread.
#pragma once

#include <optional>
#include <string>

#include "agent/async/timeline.h"
#include "agent/cluster/server_view.h"
#include "agent/decide/pod_merge_actions.h"
#include "agent/kube/client.h"
#include "agent/pods/records.h"

namespace daemonsetd::cluster {

class PodWrites {
 public:
  // The references must outlive it, and what it returned.
  PodWrites(kube::Client& client, ServerView& server, pods::Records& records, std::string node_name)
      : client_(client), server_(server), records_(records), node_name_(std::move(node_name)) {}

  // POST of a pod of a DaemonSet, with kSequenceAnnotation on it. A name that is taken by an earlier try of ours is
  // success; kRetry while such a pod is being deleted; kConflict where it is somebody else's: the next try has the next
  // sequence number.
  Task<Status> Create(corev1::Pod pod, std::string owner_uid, std::uint32_t sequence);
  // POST of a mirror pod. An older one of that name is for the next merge.
  Task<Status> CreateMirror(corev1::Pod mirror);
  // kAbsent: there is no such object any more. So with the others below.
  Task<Status> Delete(decide::merge::DeleteObject deletion);
  // `object`, with the status to write; kConflict: another version is there by now.
  Task<Status> WriteStatus(corev1::Pod object);
  // Makes the set the controller of an orphan, or takes its entry away.
  Task<Status> Claim(corev1::Pod object, appsv1::DaemonSet owner);
  Task<Status> Release(corev1::Pod object, std::string owner_uid);
  // Its revision label.
  Task<Status> Label(corev1::Pod object, std::string template_hash);

 private:
  Status Take(const Result<corev1::Pod>& answer);
  void Raise(const std::string& owner_uid, std::uint32_t sequence);
  Task<Status> Patch(corev1::Pod object, std::string patch);

  kube::Client& client_;
  ServerView& server_;
  pods::Records& records_;
  const std::string node_name_;
};

}  // namespace daemonsetd::cluster

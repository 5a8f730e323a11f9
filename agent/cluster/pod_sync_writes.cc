// The writes of PodSync to the API server: what a merge asks for, asked for again and again until it has happened.
#include <fmt/format.h>

#include "agent/cluster/pod_sync.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/mirror_pod.h"
#include "agent/decide/pod_object.h"
#include "agent/pods/daemon_set_events.h"
#include "agent/pods/pod_identity.h"
#include "agent/pods/sequences.h"

namespace daemonsetd::cluster {

using decide::NameOf;
using pods::EventType;
using pods::PodWorker;

// What a template cannot have made says nothing of the next one (RO-14).
std::string PodSync::CreationKey(const Set& set) {
  return "create " + set.hosted.workload.uid + " " + set.hosted.workload.template_hash;
}

corev1::Pod PodSync::NextPod(const Set& set) const {
  return MakePod(set, pods::NextSequence(services_.records, set.hosted.workload.uid));
}

corev1::Pod PodSync::MakePod(const Set& set, std::uint32_t sequence) const {
  corev1::Pod pod = decide::MakeDaemonPod(*set.object, settings_.node_name, sequence);
  (*pod.mutable_metadata()->mutable_annotations())[decide::kSequenceAnnotation] = std::to_string(sequence);
  return pod;
}

void PodSync::AskFor(const Round& round, const decide::merge::CreateObject& create) {
  const Set& set = *round.sets[create.set];
  corev1::Pod pod;
  std::uint32_t sequence = 0;
  const PodWorker* provisional = workers_.Find(create.local_uid);
  if (provisional != nullptr) {
    pod = provisional->pod();
    pod.clear_status();
    // The server's admission sets that of the RuntimeClass, and takes no other.
    pod.mutable_spec()->clear_overhead();
    sequence = provisional->identity().sequence;
  } else if (!create.local_uid.empty()) {
    // Only the runtime knows it: the object comes first, and its worker by the adoption that follows.
    const decide::ObservedPod* observed = services_.view.Find(create.local_uid);
    const auto identity = observed ? pods::ReadIdentity(*observed) : std::nullopt;
    if (!identity) return;
    sequence = identity->sequence;
    pod = MakePod(set, sequence);
  } else {
    sequence = pods::NextSequence(services_.records, set.hosted.workload.uid);
    pod = MakePod(set, sequence);
  }
  pod.mutable_metadata()->clear_uid();
  const std::string what = "create pod " + NameOf(pod);
  const std::string key = create.local_uid.empty() ? CreationKey(set) : "create " + create.local_uid;
  // An object that was there already changes nothing by itself: not to be asked for again and again.
  const Nanoseconds settle = create.local_uid.empty() ? Nanoseconds::zero() : kSettle;
  queue_.Ask(key, what, settle, [&] { return CreateAndTell(std::move(pod), set.hosted.daemon_set, sequence); });
}

Task<Status> PodSync::CreateAndTell(corev1::Pod pod, appsv1::DaemonSet owner, std::uint32_t sequence) {
  const std::string name = pod.metadata().name();
  const Status status = co_await writes_.Create(std::move(pod), owner.metadata().uid(), sequence);
  if (status) {
    pods::TellCreation(services_.events, owner, name);
  } else if (status.error().kind() == ErrorKind::kInvalid || status.error().kind() == ErrorKind::kDenied) {
    services_.events.Record(decide::ReferenceTo(owner), EventType::kWarning, "FailedCreate",
                            "Error creating: " + status.error().message());
  }
  co_return status;
}

void PodSync::AskFor(const Round& round, const decide::merge::CreateMirror& create) {
  const PodWorker* worker = workers_.Find(create.uid);
  if (worker == nullptr) return;
  queue_.Ask("mirror " + create.uid, "create mirror pod " + NameOf(worker->pod()), Nanoseconds::zero(), [&] {
    return writes_.CreateMirror(decide::MakeMirrorPod(worker->pod(), settings_.node_name, round.input.node_uid));
  });
}

void PodSync::AskFor(const Round& round, const decide::merge::WriteStatus& write) {
  const corev1::Pod& object = *round.by_uid.at(write.object_uid);
  queue_.Ask("status " + write.object_uid, "status of pod " + NameOf(object), Nanoseconds::zero(), [&] {
    corev1::Pod with_status = object;
    *with_status.mutable_status() = write.status;
    return writes_.WriteStatus(std::move(with_status));
  });
}

void PodSync::AskForDeletion(decide::merge::DeleteObject deletion) {
  const bool final = deletion.grace == Seconds(0);
  // The last words of its containers come before its end.
  if (final && queue_.IsUnderWay("status " + deletion.uid)) return;
  const std::string key = (final ? "remove " : "delete ") + deletion.uid;
  const std::string what = fmt::format("{} pod {}/{}", final ? "remove" : "delete", deletion.namespace_, deletion.name);
  queue_.Ask(key, what, kSettle, [&] { return DeleteAndTell(std::move(deletion)); });
}

Task<Status> PodSync::DeleteAndTell(decide::merge::DeleteObject deletion) {
  const std::string uid = deletion.uid;
  const std::string reason = deletion.reason;
  const bool final = deletion.grace == Seconds(0);
  std::string terminal_phase;
  for (const ServerView::PodPtr& pod : server_.Pods()) {
    if (pod->metadata().uid() == uid && decide::IsTerminal(*pod)) terminal_phase = pod->status().phase();
  }
  const Status status = co_await writes_.Delete(std::move(deletion));
  if (!status || final) co_return status;
  for (const auto& [worker_uid, worker] : workers_.all()) {
    if (worker->identity().object_uid != uid) continue;
    pods::TellDeletion(services_.events, *worker, terminal_phase, settings_.node_name, reason);
  }
  co_return status;
}

void PodSync::AskFor(const Round& round, const decide::merge::RelabelObject& relabel) {
  const corev1::Pod& object = *round.by_uid.at(relabel.object_uid);
  queue_.Ask("label " + relabel.object_uid, "label pod " + NameOf(object) + " with the template that made it", kSettle,
             [&] { return RelabelAndTell(object, relabel.template_hash); });
}

Task<Status> PodSync::RelabelAndTell(corev1::Pod object, std::string template_hash) {
  const corev1::ObjectReference about = decide::ReferenceTo(object);
  const Status status = co_await writes_.Label(std::move(object), template_hash);
  if (status) {
    services_.events.Record(about, EventType::kWarning, "TemplateMismatch",
                            fmt::format("Its label said that the present template made it, but its containers run what "
                                        "template {} says: the label is put right, and the pod replaced in its turn",
                                        template_hash));
  }
  co_return status;
}

void PodSync::AskForOwner(const Round& round, const std::string& object_uid, const Set* claimed_by,
                          const std::string& release) {
  const corev1::Pod& object = *round.by_uid.at(object_uid);
  if (claimed_by != nullptr) {
    queue_.Ask("claim " + object_uid, "adopt pod " + NameOf(object), kSettle,
               [&] { return writes_.Claim(object, *claimed_by->object); });
  } else {
    queue_.Ask("release " + object_uid, "release pod " + NameOf(object), kSettle,
               [&] { return writes_.Release(object, release); });
  }
}

}  // namespace daemonsetd::cluster

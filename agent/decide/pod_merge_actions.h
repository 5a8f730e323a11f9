// What a merge asks for (pod_merge.h), as data: printable, and safe to repeat.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

namespace merge {
// These containers stand for that object, and for its owner, from now on; nothing is touched. `made_elsewhere`: say so
// in an Event.
struct AdoptPod {
  std::string uid, object_uid;
  bool made_elsewhere = false;
};
// It runs on without a DaemonSet, until its object is deleted.
struct ReleasePod {
  std::string uid;
};
// PATCH of ownerReferences with the UID as precondition: take an orphan into the set, or take the set's entry out.
struct ClaimObject {
  std::string object_uid;
  std::size_t set;
};
struct ReleaseObject {
  std::string object_uid, owner_uid;
};
// PATCH of the revision label, with the UID as precondition, to the hash of the template that made the pod.
struct RelabelObject {
  std::string object_uid, template_hash;
};
// Gracefully. A later one may only shorten the grace.
struct StopPod {
  std::string uid;
  Seconds grace;
  std::string reason;
};
// DELETE with the UID as precondition. No grace: the pod's own, and the node stops it when the server says so. Zero:
// the containers are gone. `resource_version` is a second precondition: the owner reference that the deletion rests on
// must still be there.
struct DeleteObject {
  std::string namespace_, name, uid, resource_version;
  std::optional<Seconds> grace;
  std::string reason;
};
// POST of MakeDaemonPod's object, or of the provisional pod `local_uid` as it runs. AlreadyExists: ResolveExisting.
struct CreateObject {
  std::size_t set;
  std::string local_uid;
};
struct CreateMirror {
  std::string uid;
};
struct StartPod {
  std::string object_uid;
  bool made_elsewhere = false;
};
// The server cannot be asked: start under a UID of our own, or go on with the pod `local_uid` that was started so, and
// that lost its worker when the agent ended.
struct StartProvisional {
  std::size_t set;
  std::string local_uid;
};
struct WriteStatus {
  std::string object_uid;
  corev1::PodStatus status;
};
// Ended, and nothing asks for it: drop its record.
struct ForgetPod {
  std::string uid;
};
}  // namespace merge

using MergeAction =
    std::variant<merge::AdoptPod, merge::ReleasePod, merge::ClaimObject, merge::ReleaseObject, merge::RelabelObject,
                 merge::StopPod, merge::DeleteObject, merge::CreateObject, merge::CreateMirror, merge::StartPod,
                 merge::StartProvisional, merge::WriteStatus, merge::ForgetPod>;
// "stop pod u1 within 30s: its Pod object is gone". For logs and tests.
std::string Describe(const MergeAction& action);

}  // namespace daemonsetd::decide

#include "agent/cluster/pod_writes.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <fmt/format.h>

#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/pods/sequences.h"

namespace daemonsetd::cluster {
namespace {

using decide::Existing;

constexpr kube::CallOptions kWrite{.timeout = std::chrono::seconds(10)};

// A pod that is not well is reported before everything else (design.md section 6).
kube::CallOptions ForStatus(const corev1::Pod& pod) {
  kube::CallOptions options = kWrite;
  if (!decide::IsReady(pod.status())) options.priority = kube::RequestPriority::kUrgent;
  return options;
}

std::string Json(const google::protobuf::Message& message) {
  std::string json;
  // Fails for messages of other languages' well-known types only; an empty patch would be refused by the server.
  if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) return {};
  return json;
}

std::string Quoted(const std::string& text) {
  google::protobuf::StringValue value;
  value.set_value(text);
  return Json(value);
}

}  // namespace

Task<Status> PodWrites::Create(corev1::Pod pod, std::string owner_uid, std::uint32_t sequence) {
  const kube::NamespacedName name = kube::NameOf(pod.metadata());
  Result<corev1::Pod> made = co_await client_.Create(std::move(pod), kWrite);
  if (!made) {
    if (made.error().kind() != ErrorKind::kExists) co_return made.error();
    made = co_await client_.Get<corev1::Pod>(name, kWrite);
    if (!made) co_return made.error();
    switch (decide::ResolveExisting(*made, owner_uid, node_name_)) {
      case Existing::kAdopt: break;
      case Existing::kWait:
        co_return Error(ErrorKind::kRetry, fmt::format("pod {} is still being deleted", decide::NameOf(*made)));
      case Existing::kNextSequence:
        pods::RaiseSequence(records_, owner_uid, "", "", sequence + 1);
        co_return Error(ErrorKind::kConflict,
                        fmt::format("the name of pod {} is taken by another pod", decide::NameOf(*made)));
    }
  }
  pods::RaiseSequence(records_, owner_uid, "", "", sequence + 1);
  server_.Wrote(*made);
  co_return Ok();
}

Task<Status> PodWrites::CreateMirror(corev1::Pod mirror) {
  Result<corev1::Pod> made = co_await client_.Create(std::move(mirror), kWrite);
  if (!made) co_return made.error();
  server_.Wrote(*made);
  co_return Ok();
}

Task<Status> PodWrites::Delete(decide::merge::DeleteObject deletion) {
  metav1::DeleteOptions how = kube::DeleteWith(deletion.grace, deletion.uid);
  if (!deletion.resource_version.empty()) {
    how.mutable_preconditions()->set_resourceversion(deletion.resource_version);
  }
  kube::NamespacedName name(deletion.namespace_, deletion.name);
  const Status status = co_await client_.Delete<corev1::Pod>(std::move(name), std::move(how), kWrite);
  if (!status && status.error().kind() == ErrorKind::kAbsent) co_return Ok();
  co_return status;
}

Task<Status> PodWrites::WriteStatus(corev1::Pod object) {
  const kube::CallOptions options = ForStatus(object);
  Result<corev1::Pod> written = co_await client_.UpdateStatus(std::move(object), options);
  if (!written) {
    if (written.error().kind() == ErrorKind::kAbsent) co_return Ok();
    co_return written.error();
  }
  server_.Wrote(*written);
  co_return Ok();
}

// Only this object, not a successor of its name.
Task<Status> PodWrites::PatchOwners(corev1::Pod object, std::string owner) {
  kube::NamespacedName name = kube::NameOf(object.metadata());
  std::string patch =
      fmt::format(R"({{"metadata":{{"uid":{},"ownerReferences":[{}]}}}})", Quoted(object.metadata().uid()), owner);
  Result<corev1::Pod> patched =
      co_await client_.Patch<corev1::Pod>(std::move(name), kube::PatchType::kStrategicMerge, std::move(patch), kWrite);
  if (!patched) {
    if (patched.error().kind() == ErrorKind::kAbsent) co_return Ok();
    co_return patched.error();
  }
  server_.Wrote(*patched);
  co_return Ok();
}

Task<Status> PodWrites::Claim(corev1::Pod object, appsv1::DaemonSet owner) {
  metav1::OwnerReference reference;
  reference.set_apiversion("apps/v1");
  reference.set_kind("DaemonSet");
  reference.set_name(owner.metadata().name());
  reference.set_uid(owner.metadata().uid());
  reference.set_controller(true);
  reference.set_blockownerdeletion(true);
  return PatchOwners(std::move(object), Json(reference));
}

Task<Status> PodWrites::Release(corev1::Pod object, std::string owner_uid) {
  return PatchOwners(std::move(object), fmt::format(R"({{"$patch":"delete","uid":{}}})", Quoted(owner_uid)));
}

}  // namespace daemonsetd::cluster

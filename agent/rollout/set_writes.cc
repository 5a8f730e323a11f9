#include "agent/rollout/set_writes.h"

#include <utility>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"
#include "agent/decide/pod_object.h"
#include "agent/model/tree_writer.h"

namespace daemonsetd::rollout {
namespace {

const model::Node* Mapping(std::string key, const model::Node* value, model::Tree& tree) {
  model::Node* mapping = tree.New(model::Node::Kind::kMapping);
  mapping->members.push_back({.key = std::move(key), .value = value});
  return mapping;
}

// {"metadata":{"uid":…,FIELD:{KEY:VALUE}}}: the UID makes it fail on the pod's successor.
std::string MetadataPatch(const std::string& uid, std::string field, std::string key, std::string value) {
  model::Tree tree;
  const model::Node* entry =
      Mapping(std::move(key), tree.NewScalar(model::Node::Kind::kString, std::move(value)), tree);
  model::Node* metadata = tree.New(model::Node::Kind::kMapping);
  metadata->members.push_back({.key = "uid", .value = tree.NewScalar(model::Node::Kind::kString, uid)});
  metadata->members.push_back({.key = std::move(field), .value = entry});
  return model::WriteJson(*Mapping("metadata", metadata, tree), 0);
}

}  // namespace

Task<Result<appsv1::DaemonSet>> SetWrites::Read(kube::NamespacedName name, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  co_return co_await client_.Get<appsv1::DaemonSet>(std::move(name), options);
}

Task<Result<std::optional<corev1::Pod>>> SetWrites::ReadUnlessGoing(corev1::Pod pod, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  kube::NamespacedName name = kube::NameOf(pod.metadata());
  auto live = co_await client_.Get<corev1::Pod>(std::move(name), options);
  if (!live && live.error().kind() != ErrorKind::kAbsent) co_return live.error();
  std::optional<corev1::Pod> present;
  if (live && live->metadata().uid() == pod.metadata().uid() && !decide::IsTerminating(*live)) {
    present = std::move(*live);
  }
  co_return present;
}

Task<Status> SetWrites::DeletePod(corev1::Pod pod, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  metav1::DeleteOptions how = kube::DeleteWith(std::nullopt, pod.metadata().uid());
  how.mutable_preconditions()->set_resourceversion(pod.metadata().resourceversion());
  kube::NamespacedName name = kube::NameOf(pod.metadata());
  co_return co_await client_.Delete<corev1::Pod>(std::move(name), std::move(how), options);
}

Task<Status> SetWrites::AskForSurge(corev1::Pod pod, std::string template_hash, Nanoseconds timeout) {
  return PatchMetadata(std::move(pod), "annotations", decide::kSurgeAnnotation, std::move(template_hash), timeout);
}

Task<Status> SetWrites::LabelPod(corev1::Pod pod, std::string template_hash, Nanoseconds timeout) {
  return PatchMetadata(std::move(pod), "labels", decide::kRevisionHashLabel, std::move(template_hash), timeout);
}

Task<Status> SetWrites::PatchMetadata(corev1::Pod pod, std::string field, std::string key, std::string value,
                                      Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  std::string patch = MetadataPatch(pod.metadata().uid(), std::move(field), std::move(key), std::move(value));
  kube::NamespacedName name = kube::NameOf(pod.metadata());
  const Result<corev1::Pod> patched =
      co_await client_.Patch<corev1::Pod>(std::move(name), kube::PatchType::kMerge, std::move(patch), options);
  if (!patched) co_return patched.error();
  co_return Ok();
}

Task<Result<appsv1::ControllerRevision>> SetWrites::WithData(appsv1::ControllerRevision revision,
                                                             kube::NamespacedName owner, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  const Result<std::string> json = co_await client_.GetJson(kube::kDaemonSets, std::move(owner), options);
  if (!json) co_return json.error();
  Result<std::string> data = decide::RevisionData(*json);
  if (!data) co_return data.error();
  revision.mutable_data()->set_raw(std::move(*data));
  // The template may be another one by now: then the next look makes its revision.
  const auto held = decide::TemplateOf(revision);
  if (!held) co_return held.error();
  const std::string hash = decide::ValueOf(revision.metadata().labels(), decide::kRevisionHashLabel);
  if (decide::TemplateHash(*held) != hash) {
    co_return Error(ErrorKind::kConflict, "the template changed while its revision was made");
  }
  co_return revision;
}

Task<Status> SetWrites::CreateRevision(appsv1::ControllerRevision revision, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  const auto made = co_await client_.Create(std::move(revision), options);
  if (!made) co_return made.error();
  co_return Ok();
}

Task<Result<appsv1::ControllerRevision>> SetWrites::ReadRevision(kube::NamespacedName name, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  co_return co_await client_.Get<appsv1::ControllerRevision>(std::move(name), options);
}

Task<Status> SetWrites::UpdateRevision(appsv1::ControllerRevision revision, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  const auto updated = co_await client_.Update(std::move(revision), options);
  if (!updated) co_return updated.error();
  co_return Ok();
}

Task<Status> SetWrites::DeleteRevision(kube::NamespacedName name, std::string uid, Nanoseconds timeout) {
  const kube::CallOptions options{.timeout = timeout};
  metav1::DeleteOptions how = kube::DeleteWith(std::nullopt, uid);
  co_return co_await client_.Delete<appsv1::ControllerRevision>(std::move(name), std::move(how), options);
}

Task<Result<appsv1::DaemonSet>> SetWrites::WriteStatus(appsv1::DaemonSet daemon_set, Nanoseconds timeout) {
  const kube::CallOptions options{.priority = kube::RequestPriority::kUrgent, .timeout = timeout};
  co_return co_await client_.UpdateStatus(std::move(daemon_set), options);
}

}  // namespace daemonsetd::rollout

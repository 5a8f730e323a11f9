#include "agent/cluster/pod_writes.h"

#include <fmt/format.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/model/message_encoder.h"
#include "agent/model/tree_writer.h"
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

const model::Node* Text(std::string text, model::Tree& tree) {
  return tree.NewScalar(model::Node::Kind::kString, std::move(text));
}

const model::Node* Mapping(std::vector<model::Member> members, model::Tree& tree) {
  model::Node* mapping = tree.New(model::Node::Kind::kMapping);
  mapping->members = std::move(members);
  return mapping;
}

// The uid: only this object, not a successor of its name.
std::string MetadataPatch(const corev1::Pod& object, std::string key, const model::Node* value, model::Tree& tree) {
  const model::Node* metadata = Mapping(
      {{.key = "uid", .value = Text(object.metadata().uid(), tree)}, {.key = std::move(key), .value = value}}, tree);
  return model::WriteJson(*Mapping({{.key = "metadata", .value = metadata}}, tree), 0);
}

std::string OwnerPatch(const corev1::Pod& object, const model::Node* owner, model::Tree& tree) {
  model::Node* owners = tree.New(model::Node::Kind::kSequence);
  owners->items = {owner};
  return MetadataPatch(object, "ownerReferences", owners, tree);
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
        Raise(owner_uid, sequence);
        co_return Error(ErrorKind::kConflict,
                        fmt::format("the name of pod {} is taken by another pod", decide::NameOf(*made)));
    }
  }
  Raise(owner_uid, sequence);
  server_.Wrote(*made);
  co_return Ok();
}

// The pod with this number is made, or somebody else's has its name.
void PodWrites::Raise(const std::string& owner_uid, std::uint32_t sequence) {
  pods::RaiseSequence(records_, {.uid = owner_uid, .from_api_server = true}, sequence + 1);
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
  co_return co_await client_.Delete<corev1::Pod>(std::move(name), std::move(how), kWrite);
}

Task<Status> PodWrites::WriteStatus(corev1::Pod object) {
  const kube::CallOptions options = ForStatus(object);
  const Result<corev1::Pod> written = co_await client_.UpdateStatus(std::move(object), options);
  co_return Take(written);
}

Status PodWrites::Take(const Result<corev1::Pod>& answer) {
  if (!answer) return answer.error();
  server_.Wrote(*answer);
  return Ok();
}

Task<Status> PodWrites::Claim(corev1::Pod object, appsv1::DaemonSet owner) {
  model::Tree tree;
  const model::Node* entry = model::EncodeMessage(decide::OwnerReferenceTo(owner), "", "", tree);
  std::string patch = OwnerPatch(object, entry, tree);
  return Patch(std::move(object), std::move(patch));
}

Task<Status> PodWrites::Release(corev1::Pod object, std::string owner_uid) {
  model::Tree tree;
  const model::Node* entry = Mapping(
      {{.key = "$patch", .value = Text("delete", tree)}, {.key = "uid", .value = Text(std::move(owner_uid), tree)}},
      tree);
  std::string patch = OwnerPatch(object, entry, tree);
  return Patch(std::move(object), std::move(patch));
}

Task<Status> PodWrites::Label(corev1::Pod object, std::string template_hash) {
  model::Tree tree;
  const model::Node* labels =
      Mapping({{.key = decide::kRevisionHashLabel, .value = Text(std::move(template_hash), tree)}}, tree);
  std::string patch = MetadataPatch(object, "labels", labels, tree);
  return Patch(std::move(object), std::move(patch));
}

Task<Status> PodWrites::Patch(corev1::Pod object, std::string patch) {
  kube::NamespacedName name = kube::NameOf(object.metadata());
  const Result<corev1::Pod> patched =
      co_await client_.Patch<corev1::Pod>(std::move(name), kube::PatchType::kStrategicMerge, std::move(patch), kWrite);
  co_return Take(patched);
}

}  // namespace daemonsetd::cluster

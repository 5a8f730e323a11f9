#include "agent/cluster/object_cache.h"

#include <algorithm>
#include <iterator>

#include "agent/base/log.h"
#include "agent/model/message_bytes.h"

namespace daemonsetd::cluster {
namespace {

using google::protobuf::Message;

constexpr char kLastApplied[] = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kSecretKinds[] = {"Secret", "TokenRequest"};

bool IsSecret(std::string_view kind) {
  return std::find(std::begin(kSecretKinds), std::end(kSecretKinds), kind) != std::end(kSecretKinds);
}

// A record of an object that does not exist has no bytes; an object always has some, its name.
bool IsAbsent(const store::ObjectRecord& record) { return record.object().empty(); }

}  // namespace

ObjectCache::ObjectCache(store::Store& store, bool keep_secrets) : store_(store), keep_secrets_(keep_secrets) {
  if (keep_secrets_) return;
  for (const std::string_view kind : kSecretKinds) {
    for (const kube::NamespacedName& secret : NamesOf(kind)) store_.RemoveObject(kind, secret.ns, secret.name);
  }
}

std::vector<kube::NamespacedName> ObjectCache::NamesOf(std::string_view kind) const {
  std::vector<kube::NamespacedName> names;
  for (const store::ObjectRecord* record : store_.ObjectsOf(kind)) {
    names.emplace_back(record->namespace_(), record->name());
  }
  return names;
}

void ObjectCache::StripMetadata(metav1::ObjectMeta& metadata) {
  metadata.clear_managedfields();
  metadata.mutable_annotations()->erase(kLastApplied);
}

WallTime ObjectCache::SeenAt(const store::ObjectRecord& record) { return WallTime(Nanoseconds(record.seen_at())); }

void ObjectCache::PutServices(const std::string& ns, const corev1::ServiceList& services, WallTime seen_at) {
  corev1::ServiceList kept = services;
  for (corev1::Service& service : *kept.mutable_items()) StripMetadata(*service.mutable_metadata());
  kept.mutable_metadata();  // else an empty list would look like none
  kept.mutable_metadata()->clear_resourceversion();
  PutMessage(IdOf<corev1::ServiceList>(ns, ""), kept, seen_at);
}

void ObjectCache::PutMessage(const Id& id, const Message& object, WallTime seen_at) {
  PutRecord(id, model::DeterministicBytes(object), seen_at);  // equal ones are not written again
}

void ObjectCache::PutRecord(const Id& id, std::optional<std::string> bytes, WallTime seen_at) {
  if (!keep_secrets_ && IsSecret(id.kind)) return;
  // What a newer agent added to the record stays in it.
  const store::ObjectRecord* before = store_.FindObject(id.kind, id.ns, id.name);
  store::ObjectRecord record = before != nullptr ? *before : store::ObjectRecord();
  record.set_kind(id.kind);
  record.set_namespace_(id.ns);
  record.set_name(id.name);
  record.set_object(bytes ? std::move(*bytes) : std::string());
  record.set_seen_at(seen_at.time_since_epoch().count());
  store_.Put(std::move(record));
  unreadable_.erase(id);
}

void ObjectCache::ConfirmRecord(const Id& id, WallTime seen_at) {
  const store::ObjectRecord* before = store_.FindObject(id.kind, id.ns, id.name);
  if (before == nullptr) return;
  store::ObjectRecord record = *before;
  record.set_seen_at(seen_at.time_since_epoch().count());
  store_.Put(std::move(record));
}

std::optional<WallTime> ObjectCache::AbsentSince(const Id& id) const {
  const store::ObjectRecord* record = store_.FindObject(id.kind, id.ns, id.name);
  if (record == nullptr || !IsAbsent(*record)) return std::nullopt;
  return SeenAt(*record);
}

bool ObjectCache::Parse(const Id& id, const store::ObjectRecord* record, Message& object) const {
  if (record == nullptr || IsAbsent(*record)) return false;
  if (object.ParseFromString(record->object())) return true;
  if (unreadable_.insert(id).second) {
    log::Warning("an object of the checkpoint cannot be read; going on as if it was not there",
                 {{"kind", id.kind}, {"object", kube::ToString({id.ns, id.name})}});
  }
  return false;
}

}  // namespace daemonsetd::cluster

// The API server's objects in the checkpoint, by type: what is answered while the server cannot be asked. What nobody
// here reads and may hold secrets is left out: managedFields, and the annotation of `kubectl apply`. Loop thread.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/kube/resource.h"
#include "agent/model/kubernetes.h"
#include "agent/store/store.h"

namespace daemonsetd::cluster {

template <class T>
struct Cached {
  std::shared_ptr<const T> object;
  WallTime seen_at;  // when the API server last said so
};

// T: any message of the API with a name and a namespace, kept under its kind; and ServiceList, the Services of one
// namespace, kept under that namespace and no name. Every answer is made anew from the record's bytes.
class ObjectCache {
 public:
  // `store` must outlive it, and hold what was loaded. Without `keep_secrets` no Secret and no token is kept,
  // and those of an earlier life are removed.
  ObjectCache(store::Store& store, bool keep_secrets);
  ObjectCache(const ObjectCache&) = delete;
  ObjectCache& operator=(const ObjectCache&) = delete;

  template <class T>
  void Put(const T& object, WallTime seen_at) {
    T kept = object;
    StripMetadata(*kept.mutable_metadata());
    PutMessage(IdOf<T>(kept.metadata().namespace_(), kept.metadata().name()), kept, seen_at);
  }
  void PutServices(const std::string& ns, const corev1::ServiceList& services, WallTime seen_at);

  // The server says that it does not exist, which is worth knowing too: an optional object must not hold up a pod.
  template <class T>
  void PutAbsent(const std::string& ns, const std::string& name, WallTime seen_at) {
    PutRecord(IdOf<T>(ns, name), std::nullopt, seen_at);
  }

  // The server says that nothing has changed since.
  template <class T>
  void Confirm(const std::string& ns, const std::string& name, WallTime seen_at) {
    ConfirmRecord(IdOf<T>(ns, name), seen_at);
  }

  // Nothing: not known, or known not to exist.
  template <class T>
  std::optional<Cached<T>> Find(const std::string& ns, const std::string& name) const {
    const Id id = IdOf<T>(ns, name);
    return Read<T>(id, store_.FindObject(id.kind, id.ns, id.name));
  }
  // Since when it is known not to exist; nothing: it exists, or nobody knows.
  template <class T>
  std::optional<WallTime> FindAbsent(const std::string& ns, const std::string& name) const {
    return AbsentSince(IdOf<T>(ns, name));
  }
  template <class T>
  std::vector<Cached<T>> All() const {
    std::vector<Cached<T>> all;
    for (const store::ObjectRecord* record : store_.ObjectsOf(KindOf<T>())) {
      if (auto cached = Read<T>(IdOf<T>(record->namespace_(), record->name()), record)) {
        all.push_back(std::move(*cached));
      }
    }
    return all;
  }
  // Of all records of this kind, those of absent objects too.
  template <class T>
  std::vector<kube::NamespacedName> Names() const {
    return NamesOf(KindOf<T>());
  }

  template <class T>
  void Remove(const std::string& ns, const std::string& name) {
    store_.RemoveObject(KindOf<T>(), ns, name);
  }

 private:
  struct Id {
    std::string kind;
    std::string ns;
    std::string name;
    auto operator<=>(const Id&) const = default;
  };

  template <class T>
  static const std::string& KindOf() {
    return T::descriptor()->name();
  }
  template <class T>
  static Id IdOf(const std::string& ns, const std::string& name) {
    return {.kind = KindOf<T>(), .ns = ns, .name = name};
  }
  template <class T>
  std::optional<Cached<T>> Read(const Id& id, const store::ObjectRecord* record) const {
    auto object = std::make_shared<T>();
    if (!Parse(id, record, *object)) return std::nullopt;
    return Cached<T>{.object = std::move(object), .seen_at = SeenAt(*record)};
  }

  std::vector<kube::NamespacedName> NamesOf(std::string_view kind) const;
  static void StripMetadata(metav1::ObjectMeta& metadata);
  static WallTime SeenAt(const store::ObjectRecord& record);
  bool Parse(const Id& id, const store::ObjectRecord* record, google::protobuf::Message& object) const;
  void PutMessage(const Id& id, const google::protobuf::Message& object, WallTime seen_at);
  void PutRecord(const Id& id, std::optional<std::string> bytes, WallTime seen_at);
  void ConfirmRecord(const Id& id, WallTime seen_at);
  std::optional<WallTime> AbsentSince(const Id& id) const;

  store::Store& store_;
  const bool keep_secrets_;
  mutable std::set<Id> unreadable_;  // told in the log
};

}  // namespace daemonsetd::cluster

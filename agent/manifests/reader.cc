#include "agent/manifests/reader.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/base/digest.h"
#include "agent/model/defaulting.h"
#include "agent/model/message_bytes.h"
#include "agent/model/validation.h"

namespace daemonsetd::manifests {
namespace {

constexpr std::string_view kConfigSource = "kubernetes.io/config.source";
constexpr std::string_view kConfigHash = "kubernetes.io/config.hash";

std::string ContentHash(const google::protobuf::Message& message) {
  return fmt::format("{:016x}", Fnv1a64(model::DeterministicBytes(message)));
}

// Kinds that real manifests carry beside their DaemonSet. Named one by one, so that a misspelt "DaemonSett" stays an
// error that holds the file back.
bool IsCompanionKind(std::string_view kind) {
  constexpr std::string_view kKinds[] = {
      "APIService",
      "CSIDriver",
      "ClusterRole",
      "ClusterRoleBinding",
      "ConfigMap",
      "CronJob",
      "CustomResourceDefinition",
      "Deployment",
      "HorizontalPodAutoscaler",
      "Ingress",
      "Job",
      "LimitRange",
      "MutatingWebhookConfiguration",
      "Namespace",
      "NetworkPolicy",
      "PersistentVolume",
      "PersistentVolumeClaim",
      "PodDisruptionBudget",
      "PodMonitor",
      "PriorityClass",
      "ResourceQuota",
      "Role",
      "RoleBinding",
      "RuntimeClass",
      "Secret",
      "Service",
      "ServiceAccount",
      "ServiceMonitor",
      "StatefulSet",
      "StorageClass",
      "ValidatingWebhookConfiguration",
  };
  return std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds);
}

// Takes out of `errors` what is only said of objects that are nothing to us, and says it as such.
std::vector<model::DecodeError> TakeIgnored(std::vector<model::DecodeError>& errors) {
  std::vector<model::DecodeError> ignored;
  std::erase_if(errors, [&](model::DecodeError& error) {
    const std::string_view kind = std::string_view(error.object).substr(0, error.object.find(' '));
    if (error.field != "kind" || !IsCompanionKind(kind)) return false;
    ignored.push_back(
        {.file = error.file,
         .line = error.line,
         .object = error.object,
         .message = "ignored: only DaemonSet and Pod are run from manifests; apply the others to a cluster"});
    return true;
  });
  return ignored;
}

std::string NameOf(std::string_view kind, const metav1::ObjectMeta& meta) {
  return fmt::format("{} {}/{}", kind, meta.namespace_(), meta.name());
}

// What a manifest may carry from an export but only the agent may say.
void Own(std::string_view kind, metav1::ObjectMeta& meta) {
  if (meta.namespace_().empty()) meta.set_namespace_("default");
  meta.clear_deletiontimestamp();
  meta.clear_deletiongraceperiodseconds();
  meta.clear_resourceversion();
  meta.clear_ownerreferences();
  meta.set_uid(DerivedUid(fmt::format("{}/{}/{}", kind, meta.namespace_(), meta.name())));
}

void AddFieldErrors(const model::FieldErrors& found, const std::string& file, int line, const std::string& object,
                    std::vector<model::DecodeError>& errors) {
  for (const model::FieldError& error : found) {
    std::string text = model::ToString(error);
    const std::string prefix = error.field + ": ";
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
    errors.push_back({.file = file, .line = line, .object = object, .field = error.field, .message = std::move(text)});
  }
}

void ReadDaemonSet(const std::string& file, int line, appsv1::DaemonSet object, FileObjects& out) {
  Own("DaemonSet", *object.mutable_metadata());
  object.clear_status();
  model::SetDefaults(object);
  AddFieldErrors(model::Validate(object), file, line, NameOf("DaemonSet", object.metadata()), out.errors);
  out.daemon_sets.push_back({.file = file, .object = std::move(object)});
}

void ReadPod(const std::string& file, int line, corev1::Pod object, const std::string& node_name, FileObjects& out) {
  metav1::ObjectMeta& meta = *object.mutable_metadata();
  object.clear_status();
  // Over the object as written: an agent that knows more defaults must not see a changed pod.
  const std::string hash = ContentHash(object);
  if (!meta.name().empty()) meta.set_name(fmt::format("{}-{}", meta.name(), node_name));
  Own("Pod", meta);
  (*meta.mutable_annotations())[std::string(kConfigSource)] = "file";
  (*meta.mutable_annotations())[std::string(kConfigHash)] = hash;
  object.mutable_spec()->set_nodename(node_name);
  auto& toleration = *object.mutable_spec()->add_tolerations();  // no taint evicts what the node itself defines
  toleration.set_operator_("Exists");
  toleration.set_effect("NoExecute");
  model::SetDefaults(object);
  AddFieldErrors(model::Validate(object), file, line, NameOf("Pod", meta), out.errors);
  out.pods.push_back({.file = file, .object = std::move(object)});
}

void SortByLine(std::vector<model::DecodeError>& errors) {
  std::multimap<int, model::DecodeError> ordered;
  for (model::DecodeError& error : errors) {
    const int line = error.line;
    ordered.emplace(line, std::move(error));
  }
  errors.clear();
  for (auto& [line, error] : ordered) errors.push_back(std::move(error));
}

template <class T>
bool SameObjects(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const T& left, const T& right) {
    return left.file == right.file && google::protobuf::util::MessageDifferencer::Equals(left.object, right.object);
  });
}

// Takes the objects of one file that no earlier file defined.
template <class T>
void Take(std::string_view kind, const std::vector<T>& objects, std::map<std::string, std::string>& owners,
          std::vector<T>& out, std::vector<model::DecodeError>& errors) {
  for (const T& item : objects) {
    const std::string name = NameOf(kind, item.object.metadata());
    const auto [owner, fresh] = owners.emplace(name, item.file);
    if (fresh) {
      out.push_back(item);
    } else {
      errors.push_back(
          {.file = item.file,
           .object = name,
           .message = fmt::format("also defined in {}, which is used; remove one of the two", owner->second)});
    }
  }
}

}  // namespace

bool IsManifestName(std::string_view name) {
  if (name.empty() || name[0] == '.' || name[0] == '#') return false;
  if (name.ends_with('~') || name.ends_with('#')) return false;
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

FileObjects ReadManifest(const std::string& file, std::string_view text, const std::string& node_name) {
  static const appsv1::DaemonSet daemon_set;
  static const corev1::Pod pod;
  static const std::vector<model::KnownKind> kinds{
      {.api_version = "apps/v1", .kind = "DaemonSet", .prototype = &daemon_set},
      {.api_version = "v1", .kind = "Pod", .prototype = &pod},
  };
  model::DecodedFile decoded = model::DecodeFile(text, file, kinds);
  FileObjects out;
  out.errors = std::move(decoded.errors);
  out.ignored = TakeIgnored(out.errors);
  std::set<std::string> seen;
  for (model::Document& document : decoded.documents) {
    const metav1::ObjectMeta* meta = nullptr;
    if (auto* typed = dynamic_cast<appsv1::DaemonSet*>(document.object.get())) {
      ReadDaemonSet(file, document.line, std::move(*typed), out);
      meta = &out.daemon_sets.back().object.metadata();
    } else if (auto* typed_pod = dynamic_cast<corev1::Pod*>(document.object.get())) {
      ReadPod(file, document.line, std::move(*typed_pod), node_name, out);
      meta = &out.pods.back().object.metadata();
    }
    if (meta == nullptr || meta->name().empty()) continue;
    const std::string name = NameOf(document.kind, *meta);
    if (!seen.insert(name).second) {
      out.errors.push_back({.file = file,
                            .line = document.line,
                            .object = name,
                            .message = "defined twice in this file; remove one of the two"});
    }
  }
  SortByLine(out.errors);
  if (!out.errors.empty()) {
    out.daemon_sets.clear();
    out.pods.clear();
  }
  return out;
}

void Picture::Update(const std::string& file, FileObjects objects) {
  File& entry = files_[file];
  const bool refused = !objects.errors.empty();
  entry.errors = std::move(objects.errors);
  entry.errors.insert(entry.errors.end(), objects.ignored.begin(), objects.ignored.end());
  objects.errors.clear();
  if (refused) return;
  if (objects.empty() && !entry.good.empty()) {
    entry.errors.push_back({.file = file,
                            .message = "the file holds no object any more, so its last good content stays in use; "
                                       "delete the file to remove its objects"});
    return;
  }
  entry.good = std::move(objects);
}

Snapshot Picture::Assemble() const {
  Snapshot snapshot;
  std::map<std::string, std::string> owners;
  for (const auto& [name, file] : files_) {
    snapshot.errors.insert(snapshot.errors.end(), file.errors.begin(), file.errors.end());
    Take("DaemonSet", file.good.daemon_sets, owners, snapshot.daemon_sets, snapshot.errors);
    Take("Pod", file.good.pods, owners, snapshot.pods, snapshot.errors);
  }
  return snapshot;
}

bool Same(const Snapshot& a, const Snapshot& b) {
  const auto same_error = [](const model::DecodeError& left, const model::DecodeError& right) {
    return left.file == right.file && left.line == right.line && left.object == right.object &&
           left.field == right.field && left.message == right.message;
  };
  return a.complete == b.complete && SameObjects(a.daemon_sets, b.daemon_sets) && SameObjects(a.pods, b.pods) &&
         std::equal(a.errors.begin(), a.errors.end(), b.errors.begin(), b.errors.end(), same_error);
}

}  // namespace daemonsetd::manifests

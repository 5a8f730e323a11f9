// The resources that a node agent uses, and the targets of requests for them. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::kube {

// One resource of the API. The texts are literals.
struct Resource {
  std::string_view group;  // empty: the core group
  std::string_view version;
  std::string_view plural;  // "pods"
  std::string_view kind;    // "Pod"; its list is "PodList"
  bool namespaced;
};

inline constexpr Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap", true};
inline constexpr Resource kControllerRevisions{"apps", "v1", "controllerrevisions", "ControllerRevision", true};
inline constexpr Resource kCsiNodes{"storage.k8s.io", "v1", "csinodes", "CSINode", false};
inline constexpr Resource kDaemonSets{"apps", "v1", "daemonsets", "DaemonSet", true};
inline constexpr Resource kEvents{"", "v1", "events", "Event", true};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease", true};
inline constexpr Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr Resource kNodes{"", "v1", "nodes", "Node", false};
inline constexpr Resource kPods{"", "v1", "pods", "Pod", true};
inline constexpr Resource kPriorityClasses{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false};
inline constexpr Resource kRuntimeClasses{"node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", false};
inline constexpr Resource kSecrets{"", "v1", "secrets", "Secret", true};
inline constexpr Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount", true};
inline constexpr Resource kServices{"", "v1", "services", "Service", true};

// "v1", "apps/v1".
std::string ApiVersion(const Resource& resource);
std::string ListKind(const Resource& resource);

// Which object of a resource. `ns` is empty for those of the cluster.
struct NamespacedName {
  NamespacedName() = default;
  NamespacedName(std::string the_ns, std::string the_name) : ns(std::move(the_ns)), name(std::move(the_name)) {}

  std::string ns;
  std::string name;
  auto operator<=>(const NamespacedName&) const = default;
};

NamespacedName NameOf(const metav1::ObjectMeta& metadata);
// Two copies of one object in one state.
bool SameVersion(const metav1::ObjectMeta& left, const metav1::ObjectMeta& right);
// "kube-system/proxy", or the name alone.
std::string ToString(const NamespacedName& name);

// What a GET of a collection asks for; Kubernetes' names (metav1.ListOptions). Empty fields are not sent.
struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  int limit = 0;  // 0: everything in one answer
  std::string continue_token;
  std::string resource_version;
  std::string resource_version_match;  // "NotOlderThan", "Exact"
  bool watch = false;
  bool allow_watch_bookmarks = false;    // only with `watch`, like the next two
  bool send_initial_events = false;      // the content first, then a bookmark that says that it was complete
  Seconds timeout_seconds = Seconds(0);  // after which the server ends the stream; 0: its own choice
};

// "/apis/apps/v1/daemonsets", "/api/v1/namespaces/default/pods". An empty `ns` means all namespaces.
// kInvalid for a namespace that can stand in no path.
Result<std::string> CollectionPath(const Resource& resource, std::string_view ns);
// "/api/v1/namespaces/default/pods/a/status". kInvalid for a name that can stand in no path, and for a missing or
// superfluous namespace.
Result<std::string> ObjectPath(const Resource& resource, const NamespacedName& name, std::string_view subresource = {});
// "?limit=500&…", or empty.
std::string QueryText(const ListOptions& options);

// What a deletion asks for. `grace` empty: the object's own; 0: at once. `uid`, if not empty: only this object, not its
// successor of the same name.
metav1::DeleteOptions DeleteWith(std::optional<Seconds> grace, std::string_view uid);

}  // namespace daemonsetd::kube

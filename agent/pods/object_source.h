// The port to the objects that pods name: ConfigMaps, Secrets, ServiceAccounts with their tokens, Services,
// RuntimeClasses. Implemented over the API server and the checkpoint by the composition root; by NoObjects
// (no_objects.h) where there is neither.
//
// Three answers, never mixed up (VO-07): the object; kAbsent, when the server itself says that it does not exist; and
// kRetry or kTimeout, when nobody can say. kDenied: the server refused, a person must act. The message names the object
// in the words of Kubernetes (`configmap "settings" not found`) and never tells any of its content.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "agent/base/trouble.h"
#include "agent/decide/runtime_class.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

// One answer. `cached_since` unset: live, as the server has it now. Set: the server cannot be reached and this is what
// it said then.
template <class T>
struct Found {
  std::shared_ptr<const T> object;
  std::optional<WallTime> cached_since;
};

// What a pod may be told to wait for or to read again.
struct ObjectKey {
  enum class Kind { kConfigMap, kSecret, kServiceAccount, kRuntimeClass };
  Kind kind;
  std::string name_space;  // empty: of the cluster, as RuntimeClasses are
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};

struct TokenRequest {
  std::string name_space;  // of the ServiceAccount and the pod
  std::string service_account;
  std::string audience;  // empty: the API server's own
  Seconds expiration{3600};
  // The token dies with this pod.
  std::string pod_name;
  std::string pod_uid;
  auto operator<=>(const TokenRequest&) const = default;
};

// `value` is a secret: no log, no error and no Event ever carries it.
struct Token {
  std::string value;
  Seconds lifetime{0};  // as granted, which may differ from what was asked for
  WallTime issued;      // when this node received it, on its own clock
};

class ObjectSource {
 public:
  // While it lives, the source keeps the object fresh and tells of its changes.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };

  virtual ~ObjectSource() = default;

  // Each ends within `timeout`. Throws operation_aborted when the caller is cancelled.
  virtual Task<Result<Found<corev1::ConfigMap>>> GetConfigMap(std::string name_space, std::string name,
                                                              Nanoseconds timeout) = 0;
  virtual Task<Result<Found<corev1::Secret>>> GetSecret(std::string name_space, std::string name,
                                                        Nanoseconds timeout) = 0;
  virtual Task<Result<Found<corev1::ServiceAccount>>> GetServiceAccount(std::string name_space, std::string name,
                                                                        Nanoseconds timeout) = 0;
  virtual Task<Result<Found<corev1::Service>>> GetService(std::string name_space, std::string name,
                                                          Nanoseconds timeout) = 0;
  // Every Service of a namespace.
  virtual Task<Result<Found<corev1::ServiceList>>> ListServices(std::string name_space, Nanoseconds timeout) = 0;
  virtual Task<Result<Found<nodev1::RuntimeClass>>> GetRuntimeClass(std::string name, Nanoseconds timeout) = 0;

  // A new token; one that was kept from earlier only while the server cannot be reached and it is valid.
  virtual Task<Result<Token>> RequestToken(TokenRequest request, Nanoseconds timeout) = 0;

  // `on_change` is called on the loop, never from within another call of this port, whenever a Get could answer
  // otherwise than before: changed, made, removed, or reachable again. It may come without need. Watch before the first
  // Get, and no change is missed. An object with `immutable` never changes, so nobody has to watch it at the server.
  virtual std::unique_ptr<Subscription> Watch(ObjectKey key, std::function<void()> on_change) = 0;
};

// Nobody can say yet whether it exists: to be waited for, not to be reported as a failure (VO-07).
inline bool IsUnknown(const Error& error) { return IsPassing(error); }

}  // namespace daemonsetd::pods

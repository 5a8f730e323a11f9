// ApiObjects on an API server that the test plays, with a checkpoint that nothing writes to a disk.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/cluster/api_objects.h"
#include "tests/support/loop.h"
#include "tests/unit/cluster/objects_api.h"

namespace daemonsetd::cluster {

using pods::Found;
using pods::ObjectKey;

inline constexpr Nanoseconds kTimeout = std::chrono::seconds(10);
inline constexpr char kNamespace[] = "default";

inline corev1::ConfigMap MakeMap(const std::string& name, const std::string& value, bool immutable = false) {
  corev1::ConfigMap map;
  map.mutable_metadata()->set_namespace_(kNamespace);
  map.mutable_metadata()->set_name(name);
  (*map.mutable_data())["key"] = value;
  if (immutable) map.set_immutable(true);
  return map;
}

template <class T>
T Make(const std::string& name, const std::string& ns = kNamespace) {
  T object;
  object.mutable_metadata()->set_namespace_(ns);
  object.mutable_metadata()->set_name(name);
  return object;
}

class ApiObjectsTest : public ::testing::Test {
 protected:
  ApiObjectsTest() { Begin(); }
  ~ApiObjectsTest() override { End(); }

  void Begin() {
    objects = std::make_shared<ApiObjects>(
        loop.executor(), loop.timeline(), client, cache, [] { return 0.5; }, [this] { return reachable; });
  }
  void End() {
    subscriptions.clear();
    if (objects) loop.Run(objects->Close());
    objects.reset();
  }
  // As an agent that starts again: only the checkpoint is left.
  void Restart() {
    End();
    told.clear();
    Begin();
  }
  void SetReachable(bool now) {
    reachable = now;
    server.SetDown(!now);
    objects->ReachabilityChanged();
    loop.Settle();
  }
  static ObjectKey Key(ObjectKey::Kind kind, const std::string& name) {
    return {.kind = kind, .name_space = kNamespace, .name = name};
  }
  void Watch(ObjectKey::Kind kind, const std::string& name) {
    subscriptions.push_back(objects->Watch(Key(kind, name), [this, name] { told.push_back(name); }));
    loop.Settle();
  }
  void WatchMap(const std::string& name) { Watch(ObjectKey::Kind::kConfigMap, name); }
  // "1", "1 cached", "absent: TEXT", "unknown: TEXT", "denied: TEXT"
  std::string MapValue(const std::string& name) {
    return Describe(loop.Run(objects->GetConfigMap(kNamespace, name, kTimeout)),
                    [](const corev1::ConfigMap& map) { return map.data().at("key"); });
  }
  template <class T, class Function>
  static std::string Describe(const Result<Found<T>>& answer, Function function) {
    if (answer) return function(*answer->object) + (answer->cached_since ? " cached" : "");
    if (pods::IsUnknown(answer.error())) return "unknown: " + answer.error().message();
    if (answer.error().kind() == ErrorKind::kAbsent) return "absent: " + answer.error().message();
    if (answer.error().kind() == ErrorKind::kDenied) return "denied: " + answer.error().message();
    return "other: " + answer.error().message();
  }
  template <class T>
  static std::string DescribeName(const Result<Found<T>>& answer) {
    return Describe(answer, [](const T& object) { return object.metadata().name(); });
  }
  static std::string DescribeCount(const Result<Found<corev1::ServiceList>>& answer) {
    return Describe(answer, [](const corev1::ServiceList& list) { return std::to_string(list.items_size()); });
  }
  std::vector<std::string> Told() { return std::exchange(told, {}); }
  pods::TokenRequest TokenOf(const std::string& account) const {
    pods::TokenRequest request;
    request.name_space = kNamespace;
    request.service_account = account;
    request.audience = "vault";
    request.expiration = std::chrono::seconds(7200);
    request.pod_name = "agent-x7k2p";
    request.pod_uid = "uid-1";
    return request;
  }
  Result<pods::Token> RequestToken(const std::string& account = "robot") {
    return loop.Run(objects->RequestToken(TokenOf(account), kTimeout));
  }

  testing::TestLoop loop;
  async::BlockingPool blocking{0};
  store::Store store{loop.executor(), loop.timeline(), blocking, "/nonexistent"};
  ObjectCache cache{store, true};
  ObjectsApi server{loop.executor(), loop.timeline()};
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{server, limiter, loop.timeline()};
  bool reachable = true;
  std::shared_ptr<ApiObjects> objects;
  std::vector<std::unique_ptr<pods::ObjectSource::Subscription>> subscriptions;
  std::vector<std::string> told;
};

}  // namespace daemonsetd::cluster

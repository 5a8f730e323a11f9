// What every ObjectSource promises (agent/pods/object_source.h), for the one over an API server and for the fake that
// the tests of the pod engine stand on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/cluster/api_objects.h"
#include "tests/support/loop.h"
#include "tests/unit/cluster/objects_api.h"
#include "tests/unit/pods/fake_objects.h"

namespace daemonsetd::cluster {
namespace {

using pods::ObjectKey;
using std::chrono::hours;
using std::chrono::seconds;

constexpr Nanoseconds kTimeout = seconds(10);
constexpr char kNamespace[] = "default";

// The world behind a source, as far as the contract speaks of it.
class World {
 public:
  virtual ~World() = default;
  virtual pods::ObjectSource& source() = 0;
  virtual void PutMap(const std::string& name, const std::string& value) = 0;
  virtual void RemoveMap(const std::string& name) = 0;
  virtual void PutSecret(const std::string& name) = 0;
  virtual void PutAccount(const std::string& name) = 0;
  virtual void PutService(const std::string& name) = 0;
  virtual void PutRuntimeClass(const std::string& name) = 0;
  virtual void SetReachable(bool reachable) = 0;
  // As long as no answer of an earlier moment is left in memory.
  virtual void ForgetAll() = 0;
};

class FakeWorld final : public World {
 public:
  explicit FakeWorld(testing::TestLoop& loop) : objects_(loop.timeline()) {}
  pods::ObjectSource& source() override { return objects_; }
  void PutMap(const std::string& name, const std::string& value) override {
    objects_.SetConfigMap(name, {{"key", value}});
  }
  void RemoveMap(const std::string& name) override { objects_.RemoveConfigMap(name); }
  void PutSecret(const std::string& name) override { objects_.SetSecret(name, {{"key", "1"}}); }
  void PutAccount(const std::string& name) override { objects_.SetAccount(name, {}); }
  void PutService(const std::string& name) override { objects_.SetService(kNamespace, name, "10.0.0.1", 80); }
  void PutRuntimeClass(const std::string& name) override { objects_.SetRuntimeClass(name, "handler"); }
  void SetReachable(bool reachable) override { objects_.SetDown(!reachable, has_cache_); }
  void ForgetAll() override { has_cache_ = false; }

 private:
  pods::FakeObjects objects_;
  bool has_cache_ = true;
};

class ServerWorld final : public World {
 public:
  explicit ServerWorld(testing::TestLoop& loop) : loop_(loop) {}
  ~ServerWorld() override { loop_.Run(objects_.Close()); }

  pods::ObjectSource& source() override { return objects_; }
  void PutMap(const std::string& name, const std::string& value) override {
    auto map = Make<corev1::ConfigMap>(name);
    (*map.mutable_data())["key"] = value;
    Put(map);
  }
  void RemoveMap(const std::string& name) override {
    server_.Remove<corev1::ConfigMap>({kNamespace, name});
    loop_.Settle();
  }
  void PutSecret(const std::string& name) override { Put(Make<corev1::Secret>(name)); }
  void PutAccount(const std::string& name) override { Put(Make<corev1::ServiceAccount>(name)); }
  void PutService(const std::string& name) override { Put(Make<corev1::Service>(name)); }
  void PutRuntimeClass(const std::string& name) override { Put(Make<nodev1::RuntimeClass>(name, "")); }
  void SetReachable(bool reachable) override {
    reachable_ = reachable;
    server_.SetDown(!reachable);
    objects_.ReachabilityChanged();
    loop_.Settle();
  }
  void ForgetAll() override {
    for (const auto& name : cache_.Names<corev1::ConfigMap>()) cache_.Remove<corev1::ConfigMap>(name.ns, name.name);
    loop_.Advance(std::chrono::minutes(1));
  }

 private:
  template <class T>
  static T Make(const std::string& name, const std::string& ns = kNamespace) {
    T object;
    object.mutable_metadata()->set_namespace_(ns);
    object.mutable_metadata()->set_name(name);
    return object;
  }
  template <class T>
  void Put(const T& object) {
    server_.Put(object);
    loop_.Settle();
  }

  testing::TestLoop& loop_;
  async::BlockingPool blocking_{0};
  store::Store store_{loop_.executor(), loop_.timeline(), blocking_, "/nonexistent"};
  ObjectCache cache_{store_, true};
  ObjectsApi server_{loop_.executor(), loop_.timeline()};
  kube::RequestLimiter limiter_{loop_.executor(), loop_.timeline(), kube::RequestLimits{}};
  kube::Client client_{server_, limiter_, loop_.timeline()};
  bool reachable_ = true;
  ApiObjects objects_{loop_.executor(), loop_.timeline(),   client_,
                      cache_,           [] { return 0.5; }, [this] { return reachable_; }};
};

template <class TheWorld>
class ObjectSourceContract : public ::testing::Test {
 protected:
  Result<pods::Found<corev1::ConfigMap>> GetMap(const std::string& name) {
    return loop.Run(world.source().GetConfigMap(kNamespace, name, kTimeout));
  }
  std::unique_ptr<pods::ObjectSource::Subscription> WatchMap(const std::string& name) {
    auto subscription = world.source().Watch(
        {.kind = ObjectKey::Kind::kConfigMap, .name_space = kNamespace, .name = name}, [this] { ++told; });
    loop.Settle();
    return subscription;
  }
  int Told() { return std::exchange(told, 0); }

  testing::TestLoop loop;
  TheWorld world{loop};
  int told = 0;
};

struct WorldNames {
  template <class TheWorld>
  static std::string GetName(int) {
    return std::is_same_v<TheWorld, FakeWorld> ? "FakeObjects" : "ApiObjects";
  }
};
using Worlds = ::testing::Types<FakeWorld, ServerWorld>;
TYPED_TEST_SUITE(ObjectSourceContract, Worlds, WorldNames);

TYPED_TEST(ObjectSourceContract, AnObjectIsLive) {
  this->world.PutMap("a", "1");
  for (const bool watched : {false, true}) {
    const auto subscription = watched ? this->WatchMap("a") : nullptr;
    const auto found = this->GetMap("a");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->object->data().at("key"), "1");
    EXPECT_FALSE(found->cached_since);
  }
}

TYPED_TEST(ObjectSourceContract, AbsentInTheWordsOfKubernetes) {
  const auto map = this->GetMap("a");
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error().kind(), ErrorKind::kAbsent);
  EXPECT_EQ(map.error().message(), "configmap \"a\" not found");
  EXPECT_EQ(this->loop.Run(this->world.source().GetSecret(kNamespace, "a", kTimeout)).error().message(),
            "secret \"a\" not found");
  EXPECT_EQ(this->loop.Run(this->world.source().GetServiceAccount(kNamespace, "a", kTimeout)).error().message(),
            "serviceaccount \"a\" not found");
  EXPECT_EQ(this->loop.Run(this->world.source().GetService(kNamespace, "a", kTimeout)).error().message(),
            "service \"a\" not found");
  EXPECT_EQ(this->loop.Run(this->world.source().GetRuntimeClass("a", kTimeout)).error().message(),
            "runtimeclass \"a\" not found");
}

TYPED_TEST(ObjectSourceContract, EveryKind) {
  this->world.PutSecret("s");
  this->world.PutAccount("robot");
  this->world.PutService("dns");
  this->world.PutRuntimeClass("kata");
  EXPECT_TRUE(this->loop.Run(this->world.source().GetSecret(kNamespace, "s", kTimeout)));
  EXPECT_TRUE(this->loop.Run(this->world.source().GetServiceAccount(kNamespace, "robot", kTimeout)));
  EXPECT_TRUE(this->loop.Run(this->world.source().GetService(kNamespace, "dns", kTimeout)));
  EXPECT_TRUE(this->loop.Run(this->world.source().GetRuntimeClass("kata", kTimeout)));
  const auto list = this->loop.Run(this->world.source().ListServices(kNamespace, kTimeout));
  ASSERT_TRUE(list);
  EXPECT_EQ(list->object->items_size(), 1);
  const auto none = this->loop.Run(this->world.source().ListServices("elsewhere", kTimeout));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->object->items_size(), 0);
}

TYPED_TEST(ObjectSourceContract, AWatcherHearsOfEachChangeUntilItLeaves) {
  this->world.PutMap("a", "1");
  auto subscription = this->WatchMap("a");
  ASSERT_TRUE(this->GetMap("a"));
  this->Told();
  this->world.PutMap("a", "2");
  EXPECT_EQ(this->Told(), 1);
  EXPECT_EQ(this->GetMap("a")->object->data().at("key"), "2");
  this->world.RemoveMap("a");
  EXPECT_EQ(this->Told(), 1);
  EXPECT_EQ(this->GetMap("a").error().kind(), ErrorKind::kAbsent);
  this->world.PutMap("a", "3");
  EXPECT_EQ(this->Told(), 1);
  this->world.PutMap("b", "1");
  EXPECT_EQ(this->Told(), 0);
  subscription.reset();
  this->world.PutMap("a", "4");
  EXPECT_EQ(this->Told(), 0);
}

TYPED_TEST(ObjectSourceContract, WithoutTheServerTheLastWordCountsWithItsAge) {
  this->world.PutMap("a", "1");
  auto subscription = this->WatchMap("a");
  ASSERT_TRUE(this->GetMap("a"));
  const WallTime then = this->loop.timeline().Read().wall;
  this->world.SetReachable(false);
  this->loop.Advance(hours(1));
  this->Told();
  const MonoTime before = this->loop.timeline().mono();
  const auto found = this->GetMap("a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->object->data().at("key"), "1");
  EXPECT_EQ(found->cached_since, then);
  EXPECT_EQ(this->loop.timeline().mono(), before);
  this->world.SetReachable(true);
  EXPECT_EQ(this->Told(), 1);
  EXPECT_FALSE(this->GetMap("a")->cached_since);
}

TYPED_TEST(ObjectSourceContract, WhatNobodyKnowsIsNotAbsent) {
  this->world.PutMap("a", "1");
  this->world.ForgetAll();
  this->world.SetReachable(false);
  const auto found = this->GetMap("a");
  ASSERT_FALSE(found);
  EXPECT_TRUE(pods::IsUnknown(found.error()));
}

TYPED_TEST(ObjectSourceContract, ATokenIsNewEachTime) {
  pods::TokenRequest request;
  request.name_space = kNamespace;
  request.service_account = "robot";
  request.pod_name = "p";
  request.pod_uid = "u";
  const auto absent = this->loop.Run(this->world.source().RequestToken(request, kTimeout));
  EXPECT_EQ(absent.error().message(), "serviceaccount \"robot\" not found");
  EXPECT_EQ(absent.error().kind(), ErrorKind::kAbsent);
  this->world.PutAccount("robot");
  const auto first = this->loop.Run(this->world.source().RequestToken(request, kTimeout));
  const auto second = this->loop.Run(this->world.source().RequestToken(request, kTimeout));
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->value, second->value);
  EXPECT_EQ(first->lifetime, seconds(3600));
  EXPECT_EQ(first->issued, this->loop.timeline().Read().wall);
  request.service_account = "other";
  this->world.SetReachable(false);
  const auto unknown = this->loop.Run(this->world.source().RequestToken(request, kTimeout));
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(pods::IsUnknown(unknown.error()));
}

}  // namespace
}  // namespace daemonsetd::cluster

#include "agent/cluster/object_cache.h"

#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include "agent/decide/runtime_class.h"
#include "agent/kube/client.h"
#include "tests/support/loop.h"

namespace daemonsetd::cluster {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSecretText[] = "hunter2";

template <class T>
T Make(const std::string& ns, const std::string& name) {
  T object;
  object.mutable_metadata()->set_namespace_(ns);
  object.mutable_metadata()->set_name(name);
  return object;
}

class ObjectCacheTest : public ::testing::Test {
 protected:
  // Nothing is written: Run does not run.
  testing::TestLoop loop;
  async::BlockingPool blocking{0};
  store::Store store{loop.executor(), loop.timeline(), blocking, "/nonexistent"};
  ObjectCache cache{store, true};
  const WallTime monday{std::chrono::hours(24 * 365 * 50)};
  const WallTime tuesday = monday + std::chrono::hours(24);
};

TEST_F(ObjectCacheTest, AnObjectOfEachKindComesBack) {
  cache.Put(Make<appsv1::DaemonSet>("a", "x"), monday);
  cache.Put(Make<corev1::Pod>("a", "x"), monday);
  cache.Put(Make<corev1::Node>("", "x"), monday);
  cache.Put(Make<corev1::ConfigMap>("a", "x"), monday);
  cache.Put(Make<corev1::Secret>("a", "x"), monday);
  cache.Put(Make<corev1::ServiceAccount>("a", "x"), monday);
  cache.Put(Make<corev1::Service>("a", "x"), monday);
  cache.Put(Make<nodev1::RuntimeClass>("", "x"), monday);
  EXPECT_TRUE(cache.Find<appsv1::DaemonSet>("a", "x"));
  EXPECT_TRUE(cache.Find<corev1::Pod>("a", "x"));
  EXPECT_TRUE(cache.Find<corev1::Node>("", "x"));
  EXPECT_TRUE(cache.Find<corev1::Secret>("a", "x"));
  EXPECT_TRUE(cache.Find<corev1::ServiceAccount>("a", "x"));
  EXPECT_TRUE(cache.Find<corev1::Service>("a", "x"));
  EXPECT_TRUE(cache.Find<nodev1::RuntimeClass>("", "x"));
  const auto map = cache.Find<corev1::ConfigMap>("a", "x");
  ASSERT_TRUE(map);
  EXPECT_EQ(map->object->metadata().name(), "x");
  EXPECT_EQ(map->seen_at, monday);
  EXPECT_FALSE(cache.Find<corev1::ConfigMap>("b", "x"));
}

TEST_F(ObjectCacheTest, AllOfOneKind) {
  cache.Put(Make<corev1::Pod>("a", "x"), monday);
  cache.Put(Make<corev1::Pod>("b", "y"), tuesday);
  cache.Put(Make<corev1::Secret>("b", "y"), monday);
  cache.PutAbsent<corev1::Pod>("c", "z", monday);
  const auto all = cache.All<corev1::Pod>();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[1].object->metadata().name(), "y");
  EXPECT_EQ(all[1].seen_at, tuesday);
  EXPECT_THAT(cache.Names<corev1::Pod>(), SizeIs(3));
  cache.Remove<corev1::Pod>("a", "x");
  EXPECT_THAT(cache.All<corev1::Pod>(), SizeIs(1));
}

TEST_F(ObjectCacheTest, WhatNobodyReadsIsNotKept) {
  auto map = Make<corev1::ConfigMap>("a", "x");
  map.mutable_metadata()->add_managedfields()->set_manager("kubectl");
  auto& annotations = *map.mutable_metadata()->mutable_annotations();
  annotations["kubectl.kubernetes.io/last-applied-configuration"] = kSecretText;
  annotations["other"] = "1";
  cache.Put(map, monday);
  corev1::ServiceList services;
  *services.add_items()->mutable_metadata() = map.metadata();
  cache.PutServices("a", services, monday);
  EXPECT_THAT(store.FindObject("ConfigMap", "a", "x")->object(), Not(HasSubstr(kSecretText)));
  EXPECT_THAT(store.FindObject("ServiceList", "a", "")->object(), Not(HasSubstr(kSecretText)));
  const auto found = cache.Find<corev1::ConfigMap>("a", "x");
  EXPECT_EQ(found->object->metadata().managedfields_size(), 0);
  EXPECT_EQ(found->object->metadata().annotations().at("other"), "1");
}

TEST_F(ObjectCacheTest, TheServicesOfANamespaceAreOneRecord) {
  EXPECT_FALSE(cache.Find<corev1::ServiceList>("a", ""));
  cache.PutServices("a", {}, monday);
  ASSERT_TRUE(cache.Find<corev1::ServiceList>("a", ""));  // there are none, which is an answer
  EXPECT_FALSE(cache.FindAbsent<corev1::ServiceList>("a", ""));
  corev1::ServiceList services;
  *services.add_items() = Make<corev1::Service>("a", "dns");
  cache.PutServices("a", services, tuesday);
  EXPECT_EQ(cache.Find<corev1::ServiceList>("a", "")->object->items(0).metadata().name(), "dns");
}

TEST_F(ObjectCacheTest, SecretsAreKeptOnlyWhereThatIsWanted) {
  auto secret = Make<corev1::Secret>("a", "x");
  (*secret.mutable_data())["password"] = kSecretText;
  cache.Put(secret, monday);
  cache.Put(Make<corev1::ConfigMap>("a", "x"), monday);
  auto token = Make<kube::authenticationv1::TokenRequest>("a", "x");
  token.mutable_status()->set_token(kSecretText);
  cache.Put(token, monday);
  EXPECT_THAT(store.FindObject("Secret", "a", "x")->object(), HasSubstr(kSecretText));
  EXPECT_THAT(store.FindObject("TokenRequest", "a", "x")->object(), HasSubstr(kSecretText));
  ObjectCache without(store, false);
  EXPECT_EQ(store.FindObject("Secret", "a", "x"), nullptr);
  EXPECT_EQ(store.FindObject("TokenRequest", "a", "x"), nullptr);
  without.Put(secret, monday);
  without.Put(token, monday);
  EXPECT_THAT(store.ObjectsOf("TokenRequest"), IsEmpty());
  without.PutAbsent<corev1::Secret>("a", "y", monday);
  EXPECT_THAT(store.ObjectsOf("Secret"), IsEmpty());
  EXPECT_TRUE(without.Find<corev1::ConfigMap>("a", "x"));
}

TEST_F(ObjectCacheTest, ThatAnObjectDoesNotExistIsKnowledge) {
  EXPECT_FALSE(cache.FindAbsent<corev1::ConfigMap>("a", "x"));
  cache.Put(Make<corev1::ConfigMap>("a", "x"), monday);
  EXPECT_FALSE(cache.FindAbsent<corev1::ConfigMap>("a", "x"));
  cache.PutAbsent<corev1::ConfigMap>("a", "x", tuesday);
  EXPECT_EQ(cache.FindAbsent<corev1::ConfigMap>("a", "x"), tuesday);
  EXPECT_FALSE(cache.Find<corev1::ConfigMap>("a", "x"));
  EXPECT_THAT(cache.All<corev1::ConfigMap>(), IsEmpty());
}

TEST_F(ObjectCacheTest, ConfirmedObjectsAreSeenLater) {
  cache.Confirm<corev1::ConfigMap>("a", "x", monday);  // there is none
  EXPECT_EQ(store.FindObject("ConfigMap", "a", "x"), nullptr);
  cache.Put(Make<corev1::ConfigMap>("a", "x"), monday);
  cache.Confirm<corev1::ConfigMap>("a", "x", tuesday);
  EXPECT_EQ(cache.Find<corev1::ConfigMap>("a", "x")->seen_at, tuesday);
}

// OF-10: the checksum fits, and yet it is no object.
TEST_F(ObjectCacheTest, ARecordThatCannotBeReadIsToldOnceAndIsNotThere) {
  cache.Put(Make<corev1::ConfigMap>("a", "good"), monday);
  store::ObjectRecord record;
  record.set_kind("ConfigMap");
  record.set_namespace_("a");
  record.set_name("bad");
  record.set_object(std::string("\x0a\xff") + kSecretText);
  store.Put(record);
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(cache.Find<corev1::ConfigMap>("a", "bad"));
  EXPECT_THAT(cache.All<corev1::ConfigMap>(), SizeIs(1));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("an object of the checkpoint cannot be read"));
  EXPECT_EQ(log.find("a/bad"), log.rfind("a/bad"));
  EXPECT_THAT(log, Not(HasSubstr(kSecretText)));
  cache.Put(Make<corev1::ConfigMap>("a", "bad"), monday);
  EXPECT_TRUE(cache.Find<corev1::ConfigMap>("a", "bad"));
}

TEST_F(ObjectCacheTest, FieldsOfANewerAgentStayInTheRecord) {
  store::ObjectRecord record;
  record.set_kind("ConfigMap");
  record.set_namespace_("a");
  record.set_name("x");
  record.GetReflection()->MutableUnknownFields(&record)->AddLengthDelimited(1000, "from the future");
  store.Put(record);
  cache.Put(Make<corev1::ConfigMap>("a", "x"), monday);
  EXPECT_THAT(store.FindObject("ConfigMap", "a", "x")->SerializeAsString(), HasSubstr("from the future"));
}

TEST_F(ObjectCacheTest, EqualObjectsGiveEqualBytes) {
  auto one = Make<corev1::ConfigMap>("a", "x");
  auto other = one;
  for (int i = 0; i < 50; ++i) (*one.mutable_data())["key" + std::to_string(i)] = "v";
  for (int i = 49; i >= 0; --i) (*other.mutable_data())["key" + std::to_string(i)] = "v";
  cache.Put(one, monday);
  const std::string bytes = store.FindObject("ConfigMap", "a", "x")->object();
  cache.Put(other, monday);
  EXPECT_EQ(store.FindObject("ConfigMap", "a", "x")->object(), bytes);
}

}  // namespace
}  // namespace daemonsetd::cluster

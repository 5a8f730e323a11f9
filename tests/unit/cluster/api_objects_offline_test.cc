// ApiObjects without the server, and what it keeps for that time.
#include <gmock/gmock.h>

#include "tests/unit/cluster/api_objects_fixture.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// ---- Without the server

// VO-10, OF-01
TEST_F(ApiObjectsTest, AfterARestartWithoutTheServerTheCheckpointAnswersAtOnce) {
  server.Put(MakeMap("a", "1"));
  server.Put(Make<corev1::Secret>("s"));
  server.Put(Make<corev1::ServiceAccount>("robot"));
  server.Put(Make<corev1::Service>("dns"));
  server.Put(Make<nodev1::RuntimeClass>("kata", ""));
  WatchMap("a");
  WatchMap("optional");
  Watch(ObjectKey::Kind::kSecret, "s");
  loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout));
  loop.Run(objects->GetService(kNamespace, "dns", kTimeout));
  loop.Run(objects->GetRuntimeClass("kata", kTimeout));
  loop.Run(objects->ListServices(kNamespace, kTimeout));
  const WallTime then = loop.timeline().Read().wall;
  SetReachable(false);
  Restart();
  loop.Advance(hours(3));
  server.TakeCalls();
  WatchMap("a");
  const MonoTime before = loop.timeline().mono();
  const auto map = loop.Run(objects->GetConfigMap(kNamespace, "a", kTimeout));
  ASSERT_TRUE(map);
  EXPECT_EQ(map->cached_since, then);
  EXPECT_EQ(DescribeName(loop.Run(objects->GetSecret(kNamespace, "s", kTimeout))), "s cached");
  EXPECT_EQ(DescribeName(loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout))), "robot cached");
  EXPECT_EQ(DescribeName(loop.Run(objects->GetService(kNamespace, "dns", kTimeout))), "dns cached");
  EXPECT_EQ(DescribeName(loop.Run(objects->GetRuntimeClass("kata", kTimeout))), "kata cached");
  EXPECT_THAT(DescribeName(loop.Run(objects->GetRuntimeClass("gvisor", kTimeout))),
              HasSubstr("unknown: runtimeclass \"gvisor\" is not in the checkpoint"));
  EXPECT_EQ(DescribeCount(loop.Run(objects->ListServices(kNamespace, kTimeout))), "1 cached");
  // An optional object that the server said is not there holds up nothing.
  EXPECT_THAT(MapValue("optional"),
              HasSubstr("absent: configmap \"optional\" not found, as the API server said at 2026"));
  EXPECT_THAT(MapValue("other"), HasSubstr("unknown: configmap \"other\" is not in the checkpoint"));
  EXPECT_EQ(loop.timeline().mono(), before);
  EXPECT_THAT(server.TakeCalls(), IsEmpty());
}

TEST_F(ApiObjectsTest, AfterARestartWithoutTheServerAPodGetsTheTokenThatItHad) {
  server.Put(Make<corev1::ServiceAccount>("robot"));
  ASSERT_TRUE(RequestToken());
  SetReachable(false);
  Restart();
  loop.Advance(minutes(119));
  EXPECT_EQ(RequestToken()->value, "token-1");
  EXPECT_EQ(RequestToken("other").error().kind(), ErrorKind::kRetry);
  pods::TokenRequest of_another_pod = TokenOf("robot");
  of_another_pod.pod_uid = "uid-2";
  EXPECT_FALSE(loop.Run(objects->RequestToken(of_another_pod, kTimeout)));
  loop.Advance(minutes(2));
  EXPECT_THAT(RequestToken().error().message(), HasSubstr("no valid token of serviceaccount \"robot\" is here"));
}

TEST_F(ApiObjectsTest, NoTokenOutlivesItsPodOrItsTime) {
  server.Put(Make<corev1::ServiceAccount>("robot"));
  const auto pod = std::make_shared<const corev1::Pod>(Make<corev1::Pod>("agent-x7k2p"));
  ASSERT_TRUE(RequestToken());
  objects->KeepOnly({pod});
  EXPECT_THAT(store.ObjectsOf("TokenRequest"), SizeIs(1));
  objects->KeepOnly({std::make_shared<const corev1::Pod>(Make<corev1::Pod>("another"))});
  EXPECT_THAT(store.ObjectsOf("TokenRequest"), IsEmpty());
  ASSERT_TRUE(RequestToken());
  loop.Advance(hours(3));
  objects->KeepOnly({pod});
  EXPECT_THAT(store.ObjectsOf("TokenRequest"), IsEmpty());
  ASSERT_TRUE(RequestToken());
  server.Remove<corev1::ServiceAccount>({kNamespace, "robot"});
  ASSERT_FALSE(RequestToken());
  EXPECT_THAT(store.ObjectsOf("TokenRequest"), IsEmpty());
}

TEST_F(ApiObjectsTest, WhoWasTheLastToSaySoIsTheServerBeforeItWentAway) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  loop.Advance(hours(5));
  const WallTime then = loop.timeline().Read().wall;
  SetReachable(false);
  loop.Advance(hours(1));
  const auto map = loop.Run(objects->GetConfigMap(kNamespace, "a", kTimeout));
  ASSERT_TRUE(map);
  EXPECT_EQ(map->cached_since, then);
  EXPECT_EQ(cache.Find<corev1::ConfigMap>(kNamespace, "a")->seen_at, then);
}

TEST_F(ApiObjectsTest, AnAgentThatStopsNotesThatTheObjectIsStillSo) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  loop.Advance(minutes(30));
  loop.Run(objects->Close());
  EXPECT_EQ(cache.Find<corev1::ConfigMap>(kNamespace, "a")->seen_at, loop.timeline().Read().wall);
}

TEST_F(ApiObjectsTest, WhatDidNotExistDoesNotExistForTheCheckpointEither) {
  loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout));
  loop.Run(objects->GetConfigMap(kNamespace, "a", kTimeout));
  SetReachable(false);
  Restart();
  EXPECT_THAT(DescribeName(loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout))),
              HasSubstr("absent: serviceaccount \"robot\" not found"));
  EXPECT_THAT(MapValue("a"), HasSubstr("absent: configmap \"a\" not found"));
}

// A loss of power tells nobody: the note on disk is never much older than the truth.
TEST_F(ApiObjectsTest, AQuietObjectIsConfirmedNowAndThen) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  loop.Advance(hours(10));
  EXPECT_GE(cache.Find<corev1::ConfigMap>(kNamespace, "a")->seen_at, loop.timeline().Read().wall - hours(1));
}

// VO-10
TEST_F(ApiObjectsTest, SubscribersHearThatTheServerIsBack) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  Watch(ObjectKey::Kind::kServiceAccount, "robot");
  SetReachable(false);
  EXPECT_EQ(MapValue("a"), "1 cached");
  server.Put(MakeMap("a", "2"));
  loop.Advance(minutes(10));
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(MapValue("a"), "1 cached");
  server.TakeCalls();
  SetReachable(true);
  EXPECT_THAT(Told(), ::testing::UnorderedElementsAre("a", "robot"));
  EXPECT_EQ(MapValue("a"), "2");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("WATCH configmaps/a"));
  EXPECT_EQ(server.open_watches(), 1);
}

// OF-06
TEST_F(ApiObjectsTest, NobodyAsksAServerThatCannotBeReached) {
  SetReachable(false);
  WatchMap("a");
  Watch(ObjectKey::Kind::kServiceAccount, "robot");
  loop.Advance(hours(1));
  EXPECT_THAT(MapValue("a"), HasSubstr("unknown: "));
  EXPECT_THAT(server.TakeCalls(), IsEmpty());
  server.Put(MakeMap("a", "1"));
  SetReachable(true);
  EXPECT_THAT(Told(), ::testing::Contains("a"));
  EXPECT_EQ(MapValue("a"), "1");
}

// OF-07: the connection is there and nothing answers.
TEST_F(ApiObjectsTest, AWaitEndsWhenTheServerIsFoundToBeAway) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  EXPECT_EQ(MapValue("a"), "1");
  Restart();
  server.SetSilent(true);
  WatchMap("a");
  const auto waiting = loop.Start(objects->GetConfigMap(kNamespace, "a", kTimeout));
  loop.Advance(seconds(1));
  EXPECT_FALSE(waiting->done());
  reachable = false;
  objects->ReachabilityChanged();
  loop.Settle();
  ASSERT_TRUE(waiting->done());
  EXPECT_TRUE(waiting->value->value().cached_since);
}

TEST_F(ApiObjectsTest, SecretsThatAreNotKeptAreUnknownAfterARestart) {
  ObjectCache without(store, false);
  End();
  objects = std::make_shared<ApiObjects>(
      loop.executor(), loop.timeline(), client, without, [] { return 0.5; }, [this] { return reachable; });
  server.Put(Make<corev1::Secret>("s"));
  Watch(ObjectKey::Kind::kSecret, "s");
  SetReachable(false);
  // It is in memory.
  EXPECT_EQ(DescribeName(loop.Run(objects->GetSecret(kNamespace, "s", kTimeout))), "s cached");
  Restart();
  EXPECT_THAT(DescribeName(loop.Run(objects->GetSecret(kNamespace, "s", kTimeout))), HasSubstr("unknown: "));
}

// ---- What is kept

TEST_F(ApiObjectsTest, WhatNoPodNamesIsForgotten) {
  auto account = Make<corev1::ServiceAccount>("robot");
  account.add_imagepullsecrets()->set_name("pull-account");
  cache.Put(account, WallTime());
  cache.Put(Make<corev1::ServiceAccount>("gone"), WallTime());
  for (const char* name : {"named", "env", "watched", "gone"}) cache.Put(MakeMap(name, "1"), WallTime());
  for (const char* name : {"pull", "pull-account", "gone"}) cache.Put(Make<corev1::Secret>(name), WallTime());
  cache.Put(Make<corev1::Secret>("pull", "elsewhere"), WallTime());
  cache.Put(Make<corev1::Service>("kubernetes"), WallTime());
  for (const char* name : {"kata", "gone"}) cache.Put(Make<nodev1::RuntimeClass>(name, ""), WallTime());
  cache.PutServices(kNamespace, {}, WallTime());
  cache.PutServices("elsewhere", {}, WallTime());
  reachable = false;
  WatchMap("watched");
  auto pod = Make<corev1::Pod>("p");
  pod.mutable_spec()->set_serviceaccountname("robot");
  pod.mutable_spec()->set_runtimeclassname("kata");
  pod.mutable_spec()->add_imagepullsecrets()->set_name("pull");
  auto* volume = pod.mutable_spec()->add_volumes();
  volume->mutable_volumesource()->mutable_configmap()->mutable_localobjectreference()->set_name("named");
  auto* source = pod.mutable_spec()->add_initcontainers()->add_envfrom();
  source->mutable_configmapref()->mutable_localobjectreference()->set_name("env");
  objects->KeepOnly({std::make_shared<const corev1::Pod>(pod)});
  const auto names = [](const std::vector<kube::NamespacedName>& all) {
    std::vector<std::string> texts;
    for (const auto& name : all) texts.push_back(kube::ToString(name));
    return texts;
  };
  EXPECT_THAT(names(cache.Names<corev1::ConfigMap>()), ElementsAre("default/env", "default/named", "default/watched"));
  EXPECT_THAT(names(cache.Names<corev1::Secret>()), ElementsAre("default/pull", "default/pull-account"));
  EXPECT_THAT(names(cache.Names<corev1::ServiceAccount>()), ElementsAre("default/robot"));
  ASSERT_THAT(cache.Names<nodev1::RuntimeClass>(), SizeIs(1));
  EXPECT_EQ(cache.Names<nodev1::RuntimeClass>()[0].name, "kata");
  EXPECT_THAT(cache.Names<corev1::Service>(), SizeIs(1));
  EXPECT_THAT(cache.Names<corev1::ServiceList>(), SizeIs(1));
  objects->KeepOnly({});
  EXPECT_THAT(cache.Names<nodev1::RuntimeClass>(), IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::cluster

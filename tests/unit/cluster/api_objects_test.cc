#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/model/special_types.h"

#include "tests/unit/cluster/api_objects_fixture.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// ---- Watched ConfigMaps and Secrets

TEST_F(ApiObjectsTest, AWatchedObjectIsAskedForOnce) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("WATCH configmaps/a"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(MapValue("a"), "1");
  WatchMap("a");
  EXPECT_EQ(MapValue("a"), "1");
  EXPECT_THAT(server.TakeCalls(), IsEmpty());
  EXPECT_EQ(server.open_watches(), 1);
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(ApiObjectsTest, SubscribersHearOfEachChange) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  EXPECT_EQ(MapValue("a"), "1");
  server.Put(MakeMap("a", "2"));
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(MapValue("a"), "2");
  server.Remove<corev1::ConfigMap>({kNamespace, "a"});
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(MapValue("a"), "absent: configmap \"a\" not found");
  server.Put(MakeMap("a", "3"));
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(MapValue("a"), "3");
  EXPECT_THAT(server.TakeCalls(), SizeIs(1));
}

TEST_F(ApiObjectsTest, TheCheckpointFollowsTheServer) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  ASSERT_TRUE(cache.Find<corev1::ConfigMap>(kNamespace, "a"));
  server.Remove<corev1::ConfigMap>({kNamespace, "a"});
  loop.Settle();
  EXPECT_FALSE(cache.Find<corev1::ConfigMap>(kNamespace, "a"));
  EXPECT_TRUE(cache.FindAbsent<corev1::ConfigMap>(kNamespace, "a"));
}

TEST_F(ApiObjectsTest, TheWatchEndsAWhileAfterTheLastSubscriber) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  WatchMap("a");
  subscriptions.pop_back();
  loop.Advance(minutes(5));
  EXPECT_EQ(server.open_watches(), 1);
  subscriptions.clear();
  loop.Advance(seconds(20));
  EXPECT_EQ(server.open_watches(), 1);
  WatchMap("a");  // its successor comes back for it
  loop.Advance(minutes(1));
  EXPECT_EQ(server.open_watches(), 1);
  EXPECT_EQ(MapValue("a"), "1");
  subscriptions.clear();
  loop.Advance(minutes(1));
  EXPECT_EQ(server.open_watches(), 0);
  EXPECT_EQ(loop.timeline().alarms(), 0U);
  server.TakeCalls();
  EXPECT_EQ(MapValue("a"), "1");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("GET configmaps/a"));
  WatchMap("a");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("WATCH configmaps/a"));
}

TEST_F(ApiObjectsTest, AnImmutableObjectIsFetchedOnce) {
  server.Put(MakeMap("a", "1", true));
  WatchMap("a");
  EXPECT_EQ(MapValue("a"), "1");
  EXPECT_EQ(server.open_watches(), 0);
  loop.Advance(hours(2));
  EXPECT_EQ(MapValue("a"), "1");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("WATCH configmaps/a"));
  SetReachable(false);
  EXPECT_EQ(MapValue("a"), "1 cached");
  SetReachable(true);
  EXPECT_EQ(MapValue("a"), "1");
  EXPECT_THAT(server.TakeCalls(), IsEmpty());
}

TEST_F(ApiObjectsTest, AnObjectThatBecomesImmutableIsNotWatchedAnyMore) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  server.Put(MakeMap("a", "2", true));
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(server.open_watches(), 0);
  EXPECT_EQ(MapValue("a"), "2");
}

TEST_F(ApiObjectsTest, ABrokenWatchIsReplacedByARequest) {
  server.Put(MakeMap("a", "1"));
  server.Refuse("WATCH configmaps/a", testing::StatusResponse(500, "InternalError", "etcd is away"));
  server.Refuse("LIST configmaps", testing::StatusResponse(500, "InternalError", "etcd is away"));
  WatchMap("a");
  server.TakeCalls();
  EXPECT_EQ(MapValue("a"), "1");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("GET configmaps/a"));
  server.Put(MakeMap("a", "2"));
  server.AllowAll();
  loop.Advance(minutes(2));
  EXPECT_THAT(Told(), ElementsAre("a"));
  EXPECT_EQ(MapValue("a"), "2");
}

TEST_F(ApiObjectsTest, ACallbackMayEndItsSubscriptionAndAsk) {
  server.Put(MakeMap("a", "1"));
  int calls = 0;
  std::unique_ptr<pods::ObjectSource::Subscription> own;
  own = objects->Watch(Key(ObjectKey::Kind::kConfigMap, "a"), [&] {
    ++calls;
    own.reset();
    WatchMap("b");
  });
  WatchMap("a");
  server.Put(MakeMap("a", "2"));
  loop.Settle();
  server.Put(MakeMap("a", "3"));
  loop.Settle();
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(Told(), ElementsAre("a", "a"));
}

// The port: never from within another call of it.
TEST_F(ApiObjectsTest, NobodyIsToldWithinAnotherCall) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  reachable = false;
  objects->ReachabilityChanged();
  reachable = true;
  objects->ReachabilityChanged();
  EXPECT_THAT(Told(), IsEmpty());
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("a"));
}

TEST_F(ApiObjectsTest, ASecretIsWatchedTheSameWay) {
  auto secret = Make<corev1::Secret>("s");
  (*secret.mutable_data())["password"] = "hunter2";
  server.Put(secret);
  Watch(ObjectKey::Kind::kSecret, "s");
  const auto found = loop.Run(objects->GetSecret(kNamespace, "s", kTimeout));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->object->data().at("password"), "hunter2");
  EXPECT_EQ(DescribeName(loop.Run(objects->GetSecret(kNamespace, "t", kTimeout))), "absent: secret \"t\" not found");
  EXPECT_THAT(server.TakeCalls(), ElementsAre("WATCH secrets/s", "GET secrets/t"));
}

// VO-07: late is not absent, and the answer is not asked for twice.
TEST_F(ApiObjectsTest, ASlowServerMakesTheStartLateAndNothingElse) {
  server.Put(MakeMap("a", "1"));
  server.set_delay(seconds(3));
  WatchMap("a");
  const auto first = loop.Start(objects->GetConfigMap(kNamespace, "a", kTimeout));
  const auto second = loop.Start(objects->GetConfigMap(kNamespace, "a", kTimeout));
  const auto unwatched = loop.Start(objects->GetConfigMap(kNamespace, "b", kTimeout));
  loop.Advance(seconds(2));
  EXPECT_FALSE(first->done());
  EXPECT_FALSE(unwatched->done());
  loop.Advance(seconds(2));
  ASSERT_TRUE(first->done() && second->done() && unwatched->done());
  EXPECT_TRUE(*first->value && *second->value);
  EXPECT_EQ(unwatched->value->error().kind(), ErrorKind::kAbsent);
  EXPECT_THAT(server.TakeCalls(), ElementsAre("WATCH configmaps/a", "GET configmaps/b"));
}

// VO-07
TEST_F(ApiObjectsTest, AServerThatIsTooSlowLeavesItUnknown) {
  server.Put(MakeMap("a", "1"));
  server.set_delay(seconds(20));
  WatchMap("a");
  EXPECT_EQ(MapValue("a"), "unknown: configmap \"a\": the API server did not answer in time");
  EXPECT_THAT(MapValue("b"), HasSubstr("unknown: "));
  server.set_delay(seconds(0));
  loop.Advance(minutes(2));
  EXPECT_THAT(Told(), ElementsAre("a"));  // who was told that it is unknown
  EXPECT_EQ(MapValue("a"), "1");
}

TEST_F(ApiObjectsTest, ACancelledCallerEnds) {
  server.set_delay(seconds(5));
  WatchMap("a");
  const auto waiting = loop.Start(objects->GetConfigMap(kNamespace, "a", kTimeout));
  const auto asking = loop.Start(objects->GetServiceAccount(kNamespace, "robot", kTimeout));
  const auto queued = loop.Start(objects->GetServiceAccount(kNamespace, "robot", kTimeout));
  loop.Cancel(waiting);
  loop.Cancel(queued);
  EXPECT_TRUE(waiting->threw());
  EXPECT_TRUE(queued->threw());
  loop.Cancel(asking);
  EXPECT_TRUE(asking->threw());
  loop.Advance(minutes(1));
}

TEST_F(ApiObjectsTest, CloseWaitsForEveryWatch) {
  server.Put(MakeMap("a", "1"));
  WatchMap("a");
  WatchMap("never-there");
  Watch(ObjectKey::Kind::kServiceAccount, "robot");
  server.set_delay(seconds(30));
  WatchMap("slow");
  loop.Run(objects->Close());
  EXPECT_EQ(server.open_watches(), 0);
  EXPECT_EQ(loop.timeline().alarms(), 0U);
  WatchMap("late");
  loop.Advance(minutes(1));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(ApiObjectsTest, ARefusalNamesTheMissingRight) {
  server.Refuse("WATCH configmaps/a", ForbiddenResponse("configmaps \"a\" is forbidden"));
  server.Refuse("LIST configmaps", ForbiddenResponse("configmaps is forbidden"));
  server.Refuse("GET configmaps/a", ForbiddenResponse("configmaps \"a\" is forbidden"));
  WatchMap("a");
  EXPECT_EQ(MapValue("a"),
            "denied: get configmaps default/a: configmaps \"a\" is forbidden (HTTP 403 Forbidden); grant the identity "
            "of this node's kubeconfig the right to get configmaps in namespace \"default\"");
  server.Refuse("LIST services", ForbiddenResponse("services is forbidden"));
  EXPECT_THAT(DescribeCount(loop.Run(objects->ListServices(kNamespace, kTimeout))),
              HasSubstr("the right to list services in namespace \"default\""));
}

// ---- ServiceAccounts and Services

TEST_F(ApiObjectsTest, ContainersThatStartTogetherListOnce) {
  server.Put(Make<corev1::Service>("a"));
  server.Put(Make<corev1::Service>("b"));
  server.Put(Make<corev1::ServiceAccount>("robot"));
  server.set_delay(seconds(1));
  std::vector<std::shared_ptr<testing::Started<Result<Found<corev1::ServiceList>>>>> lists;
  std::vector<std::shared_ptr<testing::Started<Result<Found<corev1::ServiceAccount>>>>> accounts;
  for (int i = 0; i < 30; ++i) {
    lists.push_back(loop.Start(objects->ListServices(kNamespace, kTimeout)));
    accounts.push_back(loop.Start(objects->GetServiceAccount(kNamespace, "robot", kTimeout)));
  }
  loop.Advance(seconds(2));
  for (const auto& list : lists) {
    ASSERT_TRUE(list->done());
    EXPECT_EQ(DescribeCount(*list->value), "2");
  }
  for (const auto& account : accounts) {
    ASSERT_TRUE(account->done());
    EXPECT_EQ(DescribeName(*account->value), "robot");
  }
  EXPECT_THAT(server.TakeCalls(), ElementsAre("LIST services in default", "GET serviceaccounts/robot"));
  loop.Advance(seconds(8));
  loop.Run(objects->ListServices(kNamespace, kTimeout));
  EXPECT_THAT(server.TakeCalls(), IsEmpty());
  loop.Advance(seconds(3));
  server.Put(Make<corev1::Service>("c"));
  EXPECT_EQ(DescribeCount(loop.Run(objects->ListServices(kNamespace, kTimeout))), "3");
  EXPECT_THAT(server.TakeCalls(), SizeIs(1));
  EXPECT_EQ(DescribeCount(loop.Run(objects->ListServices("empty", kTimeout))), "0");
}

TEST_F(ApiObjectsTest, AnAnswerIsHeldNoLongerThanItIsGood) {
  const std::weak_ptr<const corev1::ServiceList> held = loop.Run(objects->ListServices(kNamespace, kTimeout))->object;
  EXPECT_FALSE(held.expired());
  loop.Advance(seconds(11));
  EXPECT_TRUE(held.expired());
}

TEST_F(ApiObjectsTest, WhatWasAbsentIsAskedForAgain) {
  EXPECT_EQ(DescribeName(loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout))),
            "absent: serviceaccount \"robot\" not found");
  server.Put(Make<corev1::ServiceAccount>("robot"));
  EXPECT_EQ(DescribeName(loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout))), "robot");
  EXPECT_EQ(DescribeName(loop.Run(objects->GetService(kNamespace, "dns", kTimeout))),
            "absent: service \"dns\" not found");
}

// OF-12: the server lives, and the list never comes.
TEST_F(ApiObjectsTest, ServicesThatAreNotAnsweredComeFromTheCheckpoint) {
  server.Put(Make<corev1::Service>("dns"));
  loop.Run(objects->ListServices(kNamespace, kTimeout));
  loop.Advance(minutes(1));
  server.SetSilent(true);
  const MonoTime before = loop.timeline().mono();
  EXPECT_EQ(DescribeCount(loop.Run(objects->ListServices(kNamespace, kTimeout))), "1 cached");
  EXPECT_LE(loop.timeline().mono() - before, kTimeout);
  EXPECT_THAT(DescribeCount(loop.Run(objects->ListServices("other", kTimeout))), HasSubstr("unknown: "));
}

TEST_F(ApiObjectsTest, WhoWaitsForAServiceAccountHearsOfIt) {
  Watch(ObjectKey::Kind::kServiceAccount, "robot");
  EXPECT_THAT(DescribeName(loop.Run(objects->GetServiceAccount(kNamespace, "robot", kTimeout))), HasSubstr("absent"));
  loop.Advance(minutes(2));
  EXPECT_THAT(Told(), IsEmpty());
  server.Put(Make<corev1::ServiceAccount>("robot"));
  loop.Advance(seconds(20));
  EXPECT_THAT(Told(), ElementsAre("robot"));
  loop.Advance(minutes(2));
  EXPECT_THAT(Told(), IsEmpty());
  subscriptions.clear();
  loop.Advance(minutes(1));
  server.TakeCalls();
  loop.Advance(hours(1));
  EXPECT_THAT(server.TakeCalls(), IsEmpty());
}

// ---- RuntimeClasses

TEST_F(ApiObjectsTest, PodsThatStartTogetherAskForTheirRuntimeClassOnce) {
  auto kata = Make<nodev1::RuntimeClass>("kata", "");
  kata.set_handler("kata-qemu");
  server.Put(kata);
  const auto handler = [](const nodev1::RuntimeClass& object) { return object.handler(); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Describe(loop.Run(objects->GetRuntimeClass("kata", kTimeout)), handler), "kata-qemu");
  }
  EXPECT_THAT(server.TakeCalls(), ElementsAre("GET runtimeclasses/kata"));
  EXPECT_EQ(DescribeName(loop.Run(objects->GetRuntimeClass("gvisor", kTimeout))),
            "absent: runtimeclass \"gvisor\" not found");
  server.Put(Make<nodev1::RuntimeClass>("gvisor", ""));
  EXPECT_EQ(DescribeName(loop.Run(objects->GetRuntimeClass("gvisor", kTimeout))), "gvisor");
}

TEST_F(ApiObjectsTest, WhoWaitsForARuntimeClassHearsOfItWithoutAWatchAtTheServer) {
  EXPECT_THAT(DescribeName(loop.Run(objects->GetRuntimeClass("kata", kTimeout))), HasSubstr("absent"));
  subscriptions.push_back(objects->Watch({.kind = ObjectKey::Kind::kRuntimeClass, .name_space = "", .name = "kata"},
                                         [this] { told.emplace_back("kata"); }));
  loop.Advance(minutes(2));
  Told();
  server.Put(Make<nodev1::RuntimeClass>("kata", ""));
  loop.Advance(seconds(20));
  EXPECT_THAT(Told(), ElementsAre("kata"));
  EXPECT_THAT(server.TakeCalls(), ::testing::Each("GET runtimeclasses/kata"));
}

TEST_F(ApiObjectsTest, ARefusedRuntimeClassNamesTheRightAndNoNamespace) {
  server.Refuse("GET runtimeclasses", ForbiddenResponse("runtimeclasses is forbidden"));
  EXPECT_EQ(DescribeName(loop.Run(objects->GetRuntimeClass("kata", kTimeout))),
            "denied: get runtimeclasses kata: runtimeclasses is forbidden (HTTP 403 Forbidden); grant the identity of "
            "this node's kubeconfig the right to get runtimeclasses");
}

// ---- Tokens

TEST_F(ApiObjectsTest, ATokenIsBoundToItsPod) {
  server.Put(Make<corev1::ServiceAccount>("robot"));
  server.set_granted(seconds(600));
  const Result<pods::Token> token = RequestToken();
  ASSERT_TRUE(token);
  EXPECT_EQ(token->value, "token-1");
  EXPECT_EQ(token->lifetime, seconds(600));  // as granted
  EXPECT_EQ(token->issued, loop.timeline().Read().wall);
  ASSERT_THAT(server.token_requests(), SizeIs(1));
  const auto& spec = server.token_requests()[0].spec();
  EXPECT_THAT(spec.audiences(), ElementsAre("vault"));
  EXPECT_EQ(spec.expirationseconds(), 7200);
  EXPECT_EQ(spec.boundobjectref().kind(), "Pod");
  EXPECT_EQ(spec.boundobjectref().apiversion(), "v1");
  EXPECT_EQ(spec.boundobjectref().name(), "agent-x7k2p");
  EXPECT_EQ(spec.boundobjectref().uid(), "uid-1");
  EXPECT_EQ(RequestToken()->value, "token-2");  // who asks wants a new one
}

TEST_F(ApiObjectsTest, ARefusedTokenSaysWhy) {
  EXPECT_EQ(RequestToken().error().kind(), ErrorKind::kAbsent);
  EXPECT_EQ(RequestToken().error().message(), "serviceaccount \"robot\" not found");
  server.Put(Make<corev1::ServiceAccount>("robot"));
  server.Refuse("POST serviceaccounts/robot", NotFoundResponse("pods", "agent-x7k2p"));
  EXPECT_THAT(RequestToken().error().message(), HasSubstr("pod \"agent-x7k2p\" not found at the API server"));
  server.Refuse("POST serviceaccounts/robot", ForbiddenResponse("serviceaccounts \"robot\" is forbidden"));
  EXPECT_EQ(RequestToken().error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(RequestToken().error().message(),
              HasSubstr("the right to create serviceaccounts/token in namespace \"default\""));
}

// OF-03, VO-09
TEST_F(ApiObjectsTest, AKeptTokenServesWhileItIsValidAndTheServerAway) {
  server.Put(Make<corev1::ServiceAccount>("robot"));
  ASSERT_TRUE(RequestToken());
  SetReachable(false);
  EXPECT_EQ(RequestToken()->value, "token-1");
  EXPECT_EQ(RequestToken("other").error().kind(), ErrorKind::kRetry);
  loop.Advance(seconds(7100));
  EXPECT_EQ(RequestToken()->value, "token-1");
  loop.Advance(seconds(101));
  const Result<pods::Token> late = RequestToken();
  ASSERT_FALSE(late);
  EXPECT_TRUE(pods::IsUnknown(late.error()));
  EXPECT_THAT(late.error().message(), Not(HasSubstr("token-1")));
  SetReachable(true);
  EXPECT_EQ(RequestToken()->value, "token-2");
  // The clock says that it ran out.
  SetReachable(false);
  loop.timeline().JumpWall(hours(3));
  EXPECT_FALSE(RequestToken());
}

TEST_F(ApiObjectsTest, ATokenTellsHowLongItLivesItself) {
  server.Put(Make<corev1::ServiceAccount>("robot"));
  const auto expiry = loop.timeline().Read().wall + hours(24);
  const std::string claims =
      fmt::format(R"({{"exp":{}}})", std::chrono::floor<Seconds>(expiry).time_since_epoch().count());
  server.set_token("head." + model::EncodeBase64(claims) + ".signature");
  ASSERT_TRUE(RequestToken());
  SetReachable(false);
  loop.Advance(hours(23));
  EXPECT_TRUE(RequestToken());
  loop.Advance(hours(2));
  EXPECT_FALSE(RequestToken());
}

}  // namespace
}  // namespace daemonsetd::cluster

#include "agent/kube/resource.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kube/resource_version.h"

namespace daemonsetd::kube {
namespace {

using ::testing::HasSubstr;

TEST(ResourceTest, CollectionsOfTheCoreGroupAndOfOthers) {
  EXPECT_EQ(*CollectionPath(kPods, "kube-system"), "/api/v1/namespaces/kube-system/pods");
  EXPECT_EQ(*CollectionPath(kPods, ""), "/api/v1/pods");
  EXPECT_EQ(*CollectionPath(kDaemonSets, ""), "/apis/apps/v1/daemonsets");
  EXPECT_EQ(*CollectionPath(kCsiNodes, ""), "/apis/storage.k8s.io/v1/csinodes");
  EXPECT_EQ(ListKind(kDaemonSets), "DaemonSetList");
}

TEST(ResourceTest, ObjectsAndTheirSubresources) {
  EXPECT_EQ(*ObjectPath(kNodes, {"", "n1"}, "status"), "/api/v1/nodes/n1/status");
  EXPECT_EQ(*ObjectPath(kLeases, {"kube-node-lease", "n1"}),
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1");
  EXPECT_EQ(*ObjectPath(kServiceAccounts, {"a", "b"}, "token"), "/api/v1/namespaces/a/serviceaccounts/b/token");
}

TEST(ResourceTest, EveryUnusualByteOfANameIsEncoded) {
  EXPECT_EQ(*ObjectPath(kPods, {"a", "x?y=z#:é"}), "/api/v1/namespaces/a/pods/x%3Fy%3Dz%23%3A%C3%A9");
}

TEST(ResourceTest, ANameThatCouldLeadElsewhereIsRefused) {
  for (const std::string name : {"", ".", "..", "a/b", "a%2fb"}) {
    EXPECT_EQ(ObjectPath(kPods, {"a", name}).error().kind(), ErrorKind::kInvalid) << name;
    EXPECT_EQ(ObjectPath(kPods, {name, "a"}).error().kind(), ErrorKind::kInvalid) << name;
  }
  EXPECT_THAT(ObjectPath(kPods, {"", "a"}).error().message(), HasSubstr("lacks its namespace"));
  EXPECT_THAT(ObjectPath(kNodes, {"a", "n1"}).error().message(), HasSubstr("belong to the cluster"));
}

TEST(ResourceTest, OptionsOfAList) {
  EXPECT_EQ(QueryText({}), "");
  EXPECT_EQ(QueryText({.field_selector = "spec.nodeName=n1", .limit = 500, .continue_token = "a+b/c=="}),
            "?fieldSelector=spec.nodeName%3Dn1&limit=500&continue=a%2Bb%2Fc%3D%3D");
  EXPECT_EQ(QueryText({.label_selector = "a in (b, c)", .resource_version = "12", .resource_version_match = "Exact"}),
            "?labelSelector=a%20in%20%28b%2C%20c%29&resourceVersion=12&resourceVersionMatch=Exact");
}

TEST(ResourceTest, OptionsOfAWatchAreSentForAWatchOnly) {
  ListOptions options{.resource_version = "12",
                      .watch = true,
                      .allow_watch_bookmarks = true,
                      .send_initial_events = true,
                      .timeout_seconds = Seconds(290)};
  EXPECT_EQ(QueryText(options),
            "?resourceVersion=12&watch=true&allowWatchBookmarks=true&sendInitialEvents=true&timeoutSeconds=290");
  options.watch = false;
  EXPECT_EQ(QueryText(options), "?resourceVersion=12");
}

TEST(ResourceTest, ADeletionNamesItsGraceAndTheVeryObject) {
  const metav1::DeleteOptions now = DeleteWith(Seconds(0), "u1");
  EXPECT_TRUE(now.has_graceperiodseconds());
  EXPECT_EQ(now.graceperiodseconds(), 0);
  EXPECT_EQ(now.preconditions().uid(), "u1");
  const metav1::DeleteOptions own = DeleteWith(std::nullopt, "");
  EXPECT_FALSE(own.has_graceperiodseconds());
  EXPECT_FALSE(own.has_preconditions());
}

TEST(ResourceVersionTest, NumbersOfAnyLengthAreCompared) {
  EXPECT_TRUE(IsOlder("9", "10"));
  EXPECT_FALSE(IsOlder("10", "9"));
  EXPECT_FALSE(IsOlder("10", "10"));
  EXPECT_TRUE(IsOlder("99999999999999999999999999", "100000000000000000000000000"));
  EXPECT_EQ(CompareResourceVersions("7", "7"), std::strong_ordering::equal);
}

TEST(ResourceVersionTest, WhatIsNoNumberHasNoOrder) {
  for (const std::string_view text : {"", "0", "01", "-1", "1a", "abc", " 1"}) {
    EXPECT_EQ(CompareResourceVersions(text, "5"), std::nullopt) << text;
    EXPECT_FALSE(IsOlder(text, "5")) << text;
    EXPECT_FALSE(IsOlder("5", text)) << text;
  }
}

}  // namespace
}  // namespace daemonsetd::kube

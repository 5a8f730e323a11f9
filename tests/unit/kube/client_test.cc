#include "agent/kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kube/typed_resources.h"
#include "tests/support/fake_http_transport.h"
#include "tests/support/loop.h"

namespace daemonsetd::kube {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

corev1::Pod MakePod(const std::string& name) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("kube-system");
  return pod;
}

class ClientTest : public ::testing::Test {
 protected:
  const HttpRequest& Asked() { return server.requests().back(); }
  void AnswerWith(const corev1::Pod& pod) { server.FailNext(testing::ObjectResponse(kPods, pod)); }
  corev1::Pod Sent() {
    corev1::Pod pod;
    EXPECT_TRUE(DecodeObject(Asked().body, "v1", "Pod", pod));
    return pod;
  }

  testing::TestLoop loop;
  testing::FakeHttpTransport server{loop.executor(), loop.timeline(), kPods};
  RequestLimiter limiter{loop.executor(), loop.timeline(), RequestLimits{}};
  Client client{server, limiter, loop.timeline()};
  const NamespacedName name{"kube-system", "a"};
};

TEST_F(ClientTest, Get) {
  AnswerWith(MakePod("a"));
  const Result<corev1::Pod> pod = loop.Run(client.Get<corev1::Pod>(name));
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->metadata().name(), "a");
  EXPECT_EQ(Asked().method, "GET");
  EXPECT_EQ(Asked().target, "/api/v1/namespaces/kube-system/pods/a");
  EXPECT_EQ(Asked().accept, "application/vnd.kubernetes.protobuf");
  EXPECT_THAT(Asked().content_type, IsEmpty());
}

TEST_F(ClientTest, CreateTakesTheAnswerOver) {
  corev1::Pod stored = MakePod("a");
  stored.mutable_metadata()->set_uid("u1");
  AnswerWith(stored);
  const Result<corev1::Pod> pod = loop.Run(client.Create(MakePod("a")));
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->metadata().uid(), "u1");
  EXPECT_EQ(Asked().method, "POST");
  EXPECT_EQ(Asked().target, "/api/v1/namespaces/kube-system/pods");
  EXPECT_EQ(Asked().content_type, "application/vnd.kubernetes.protobuf");
  EXPECT_EQ(Sent().metadata().name(), "a");
}

TEST_F(ClientTest, CreateLeavesOutTheVersionOfTheObjectThatItReplaces) {
  corev1::Pod lost = MakePod("a");
  lost.mutable_metadata()->set_resourceversion("5");
  AnswerWith(MakePod("a"));
  ASSERT_TRUE(loop.Run(client.Create(lost)));
  EXPECT_EQ(Sent().metadata().resourceversion(), "");
}

TEST_F(ClientTest, AnErrorNamesTheCallTheObjectAndTheReason) {
  server.FailNext(testing::StatusResponse(409, "AlreadyExists", "pods \"a\" already exists"));
  const Result<corev1::Pod> pod = loop.Run(client.Create(MakePod("a")));
  ASSERT_FALSE(pod);
  EXPECT_EQ(pod.error().kind(), ErrorKind::kExists);
  EXPECT_EQ(pod.error().message(), "create pods kube-system/a: pods \"a\" already exists (HTTP 409 AlreadyExists)");
}

TEST_F(ClientTest, AnErrorOfTheWayThereKeepsItsKind) {
  server.FailNext(Error(ErrorKind::kTimeout, "no answer in time"));
  const Result<corev1::Pod> pod = loop.Run(client.UpdateStatus(MakePod("a")));
  ASSERT_FALSE(pod);
  EXPECT_EQ(pod.error().kind(), ErrorKind::kTimeout);
  EXPECT_EQ(pod.error().message(), "update pods/status kube-system/a: no answer in time");
}

TEST_F(ClientTest, Updates) {
  AnswerWith(MakePod("a"));
  ASSERT_TRUE(loop.Run(client.Update(MakePod("a"))));
  EXPECT_EQ(Asked().method, "PUT");
  EXPECT_EQ(Asked().target, "/api/v1/namespaces/kube-system/pods/a");
  AnswerWith(MakePod("a"));
  ASSERT_TRUE(loop.Run(client.UpdateStatus(MakePod("a"))));
  EXPECT_EQ(Asked().target, "/api/v1/namespaces/kube-system/pods/a/status");
}

TEST_F(ClientTest, PatchesAreJson) {
  AnswerWith(MakePod("a"));
  ASSERT_TRUE(loop.Run(client.Patch<corev1::Pod>(name, PatchType::kMerge, "{}")));
  EXPECT_EQ(Asked().method, "PATCH");
  EXPECT_EQ(Asked().content_type, "application/merge-patch+json");
  EXPECT_EQ(Asked().accept, "application/vnd.kubernetes.protobuf");
  EXPECT_EQ(Asked().body, "{}");
  AnswerWith(MakePod("a"));
  ASSERT_TRUE(loop.Run(client.PatchStatus<corev1::Pod>(name, PatchType::kStrategicMerge, "{}")));
  EXPECT_EQ(Asked().content_type, "application/strategic-merge-patch+json");
  EXPECT_EQ(Asked().target, "/api/v1/namespaces/kube-system/pods/a/status");
}

TEST_F(ClientTest, DeleteSaysHowAndWhich) {
  AnswerWith(MakePod("a"));  // still there: it has a grace period
  EXPECT_TRUE(loop.Run(client.Delete<corev1::Pod>(name, DeleteWith(Seconds(0), "u1"))));
  EXPECT_EQ(Asked().method, "DELETE");
  metav1::DeleteOptions options;
  ASSERT_TRUE(DecodeObject(Asked().body, "v1", "DeleteOptions", options));
  EXPECT_TRUE(options.has_graceperiodseconds());
  EXPECT_EQ(options.preconditions().uid(), "u1");
  server.FailNext(testing::StatusResponse(409, "Conflict", "the UID in the precondition does not match"));
  EXPECT_EQ(loop.Run(client.Delete<corev1::Pod>(name, DeleteWith(std::nullopt, "u1"))).error().kind(),
            ErrorKind::kConflict);
}

TEST_F(ClientTest, ListsPageByPage) {
  for (const std::string pod : {"a", "b", "c"}) server.Put(MakePod(pod));
  std::vector<std::string> names;
  ListOptions options{.limit = 2};
  do {
    const auto page = loop.Run(client.List<corev1::Pod>("", options));
    ASSERT_TRUE(page);
    for (const corev1::Pod& pod : page->items) names.push_back(pod.metadata().name());
    EXPECT_EQ(page->resource_version, server.version());
    options.continue_token = page->continue_token;
  } while (!options.continue_token.empty());
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));
  EXPECT_THAT(server.requests(), SizeIs(2));
}

TEST_F(ClientTest, TokensOfServiceAccounts) {
  authenticationv1::TokenRequest answer;
  answer.mutable_status()->set_token("very-secret");
  server.FailNext(HttpResponse{.status = 201,
                               .content_type = std::string(kProtobufType),
                               .body = EncodeObject("authentication.k8s.io/v1", "TokenRequest", answer)});
  authenticationv1::TokenRequest request;
  request.mutable_spec()->add_audiences("vault");
  const auto token = loop.Run(client.CreateToken({"kube-system", "robot"}, request));
  ASSERT_TRUE(token);
  EXPECT_EQ(token->status().token(), "very-secret");
  EXPECT_EQ(Asked().target, "/api/v1/namespaces/kube-system/serviceaccounts/robot/token");
}

TEST_F(ClientTest, AnAnswerWithATokenIsNotRepeatedInAnError) {  // SE-04
  authenticationv1::TokenRequest answer;
  answer.mutable_status()->set_token("very-secret");
  server.FailNext(HttpResponse{.status = 201,
                               .content_type = std::string(kProtobufType),
                               .body = EncodeObject("authentication.k8s.io/v1", "OtherRequest", answer)});
  const auto token = loop.Run(client.CreateToken({"kube-system", "robot"}, {}));
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(token.error().message(), Not(HasSubstr("very-secret")));
}

TEST_F(ClientTest, ANameThatFitsNoPathIsNotSent) {
  EXPECT_EQ(loop.Run(client.Get<corev1::Pod>(NamespacedName("a", ".."))).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(loop.Run(client.Create(corev1::Pod())).error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(server.requests(), IsEmpty());
}

TEST_F(ClientTest, RetryAfterHoldsTheNextRequestsBack) {
  HttpResponse busy = testing::StatusResponse(429, "TooManyRequests", "later");
  busy.retry_after = Seconds(5);
  server.FailNext(busy);
  EXPECT_EQ(loop.Run(client.Get<corev1::Pod>(name)).error().kind(), ErrorKind::kRetry);
  AnswerWith(MakePod("a"));
  const auto next = loop.Start(client.Get<corev1::Pod>(name));
  loop.Advance(seconds(4));
  EXPECT_FALSE(next->done());
  EXPECT_THAT(server.requests(), SizeIs(1));
  loop.Advance(seconds(1));
  ASSERT_TRUE(next->done());
  EXPECT_TRUE(*next->value);
}

TEST_F(ClientTest, AWatchBringsFramesAndItsEnd) {
  server.CutPieces(3);
  ListOptions options{.resource_version = server.version(), .timeout_seconds = Seconds(10)};
  auto watch = loop.Run(client.Watch(kPods, "", options));
  ASSERT_TRUE(watch);
  EXPECT_EQ(Asked().accept, "application/vnd.kubernetes.protobuf;stream=watch");
  EXPECT_EQ(testing::QueryOf(Asked())["watch"], "true");
  server.Put(MakePod("a"));
  const MonoTime deadline = loop.timeline().mono() + seconds(60);
  const auto frame = loop.Run((*watch)->Next(deadline));
  ASSERT_TRUE(frame);
  EXPECT_EQ((*frame)->type, FrameType::kAdded);
  const auto end = loop.Run((*watch)->Next(deadline));
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, std::nullopt);
}

TEST_F(ClientTest, AStreamThatEndsWithinAFrameIsBroken) {
  ListOptions options{.resource_version = server.version()};
  auto watch = loop.Run(client.Watch(kPods, "", options));
  ASSERT_TRUE(watch);
  server.SendToStreams(std::string("\0\0\0\x09half", 8));
  server.EndStreams();
  const auto frame = loop.Run((*watch)->Next(loop.timeline().mono() + seconds(60)));
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().kind(), ErrorKind::kRetry);
  EXPECT_EQ(frame.error().message(), "watch pods: the stream ended within a frame");
}

TEST_F(ClientTest, ARefusedWatchSaysWhy) {
  server.RefuseWatchLists(true);
  const auto watch = loop.Run(client.Watch(kPods, "a", ListOptions{.watch = true, .send_initial_events = true}));
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().error.kind(), ErrorKind::kInvalid);
  EXPECT_EQ(watch.error().code, 422);
  EXPECT_THAT(watch.error().error.message(), HasSubstr("watch pods in a: sendInitialEvents"));
}

TEST_F(ClientTest, AnAnswerThatIsNoProtobufIsNoWatch) {
  server.FailNext(HttpResponse{.status = 200, .content_type = "text/html", .body = "<h1>log in</h1>"});
  EXPECT_EQ(loop.Run(client.Watch(kPods, "", {})).error().error.kind(), ErrorKind::kInvalid);
}

}  // namespace
}  // namespace daemonsetd::kube

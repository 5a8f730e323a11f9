#include "agent/cluster/event_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <set>
#include <utility>

#include "agent/kube/codec.h"
#include "agent/kube/typed_resources.h"
#include "agent/model/codec.h"
#include "tests/support/fake_http_transport.h"
#include "tests/support/loop.h"

namespace daemonsetd::cluster {
namespace {

using decide::EventType;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

kube::HttpResponse Refusal(int code, const std::string& reason, const std::string& name = {}) {
  metav1::Status status;
  status.set_status("Failure");
  status.set_code(code);
  status.set_reason(reason);
  status.set_message("refused");
  status.mutable_details()->set_name(name);
  return {.status = code,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

// Keeps Events as an API server does, and refuses what it is told to.
class EventServer final : public kube::HttpTransport {
 public:
  using Fault = std::variant<kube::HttpResponse, Error>;

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime) override {
    requests.push_back(request);
    if (unreachable) co_return Error(ErrorKind::kRetry, "connection refused");
    if (!faults.empty()) {
      const Fault fault = std::move(faults.front());
      faults.pop_front();
      if (const auto* error = std::get_if<Error>(&fault)) co_return *error;
      co_return std::get<kube::HttpResponse>(fault);
    }
    const std::string ns = request.target.substr(0, request.target.find("/events"));
    if (const auto refused = refused_namespaces.find(ns.substr(ns.rfind('/') + 1)); refused != refused_namespaces.end())
      co_return refused->second;
    co_return request.method == "POST" ? Create(request) : Patch(request);
  }
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest, MonoTime) override {
    co_return Error(ErrorKind::kUnsupported, "no watch here");
  }

  // By reason.
  std::map<std::string, corev1::Event> ByReason() const {
    std::map<std::string, corev1::Event> events;
    for (const auto& [path, event] : stored) events[event.reason()] = event;
    return events;
  }

  std::vector<kube::HttpRequest> requests;
  std::map<std::string, corev1::Event> stored;  // by path
  std::deque<Fault> faults;                     // of the next requests
  std::map<std::string, kube::HttpResponse> refused_namespaces;
  bool unreachable = false;

 private:
  kube::HttpResponse Create(const kube::HttpRequest& request) {
    corev1::Event event;
    if (!kube::DecodeObject(request.body, "v1", "Event", event)) return Refusal(400, "BadRequest");
    const auto [at, fresh] = stored.emplace(request.target + "/" + event.metadata().name(), event);
    if (!fresh) return Refusal(409, "AlreadyExists", event.metadata().name());
    return testing::ObjectResponse(kube::kEvents, at->second);
  }
  kube::HttpResponse Patch(const kube::HttpRequest& request) {
    const auto at = stored.find(request.target);
    if (at == stored.end()) return Refusal(404, "NotFound", "the-event");
    corev1::Event changes;
    if (!model::DecodeObject(request.body, changes)) return Refusal(400, "BadRequest");
    at->second.MergeFrom(changes);
    return testing::ObjectResponse(kube::kEvents, at->second);
  }
};

corev1::ObjectReference About(const std::string& ns, const std::string& name) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_namespace_(ns);
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_uid("uid-of-" + name);
  return decide::ReferenceTo(pod);
}

class EventSenderTest : public ::testing::Test {
 protected:
  ~EventSenderTest() override { loop.Cancel(running); }

  void Record(const std::string& reason, const std::string& message = "m") { Record(pod, reason, message); }
  void Record(const corev1::ObjectReference& about, const std::string& reason, const std::string& message = "m") {
    log.Record(about, EventType::kNormal, reason, message);
    loop.Settle();
  }
  std::size_t Requests() const { return server.requests.size(); }
  std::vector<std::string> Methods() const {
    std::vector<std::string> methods;
    for (const auto& request : server.requests) methods.push_back(request.method);
    return methods;
  }

  testing::TestLoop loop;
  EventServer server;
  kube::RequestLimiter limiter{loop.executor(), loop.timeline(), kube::RequestLimits{}};
  kube::Client client{server, limiter, loop.timeline()};
  const corev1::ObjectReference pod = About("kube-system", "proxy");
  bool reachable = true;
  pods::EventLog log{loop.timeline(), "node-1", [this] { sender.Notify(); }};
  EventSender sender{loop.executor(), loop.timeline(), client, log, [this] { return reachable; }, [] { return 0.5; }};
  std::shared_ptr<testing::Started<void>> running = loop.Start(sender.Run());
};

TEST_F(EventSenderTest, ANewEventIsCreatedInTheNamespaceOfItsObject) {
  Record("Started", "the container runs");
  ASSERT_EQ(Requests(), 1U);
  EXPECT_EQ(server.requests[0].method, "POST");
  EXPECT_EQ(server.requests[0].target, "/api/v1/namespaces/kube-system/events");
  const corev1::Event event = server.ByReason()["Started"];
  EXPECT_THAT(event.metadata().name(), StartsWith("proxy."));
  EXPECT_EQ(event.involvedobject().uid(), "uid-of-proxy");
  EXPECT_EQ(event.message(), "the container runs");
  EXPECT_EQ(event.count(), 1);
  EXPECT_EQ(event.source().host(), "node-1");
  EXPECT_EQ(sender.sent(), 1U);
  EXPECT_EQ(sender.dropped(), 0U);
}

TEST_F(EventSenderTest, OfAnObjectOfTheClusterItGoesToDefault) {
  Record(About("", "node-1"), "Rebooted");
  ASSERT_EQ(Requests(), 1U);
  EXPECT_EQ(server.requests[0].target, "/api/v1/namespaces/default/events");
}

TEST_F(EventSenderTest, NothingIsAskedWhileNothingHappens) {
  Record("Started");
  loop.Advance(hours(10));
  EXPECT_EQ(Requests(), 1U);
  EXPECT_EQ(loop.timeline().alarms(), 0U);
}

TEST_F(EventSenderTest, OneThatCountsUpIsPatchedAndQuickOnesAreOneWrite) {
  Record("BackOff", "back-off");
  for (int i = 0; i < 8; ++i) {
    loop.Advance(milliseconds(500));
    Record("BackOff", "back-off");
  }
  EXPECT_EQ(Requests(), 1U);
  loop.Advance(seconds(1));
  ASSERT_EQ(Requests(), 2U);
  EXPECT_EQ(server.requests[1].method, "PATCH");
  EXPECT_EQ(server.requests[1].content_type, "application/merge-patch+json");
  EXPECT_THAT(server.requests[1].body, AllOf(HasSubstr(R"("count":9)"), HasSubstr("lastTimestamp"),
                                             Not(HasSubstr("involvedObject")), Not(HasSubstr("metadata"))));
  const corev1::Event event = server.ByReason()["BackOff"];
  EXPECT_EQ(event.count(), 9);
  EXPECT_EQ(event.lasttimestamp().seconds() - event.firsttimestamp().seconds(), 4);
  loop.Advance(hours(1));
  EXPECT_EQ(Requests(), 2U);
}

TEST_F(EventSenderTest, OneThatTheServerForgotIsCreatedAnewWithItsCount) {
  Record("BackOff");
  server.stored.clear();
  loop.Advance(hours(2));
  Record("BackOff");
  EXPECT_THAT(Methods(), ElementsAre("POST", "PATCH", "POST"));
  EXPECT_EQ(server.ByReason()["BackOff"].count(), 2);
  EXPECT_EQ(sender.sent(), 2U);
  EXPECT_EQ(sender.dropped(), 0U);
}

TEST_F(EventSenderTest, ANameThatSomebodyElseHasIsNotTouched) {
  server.faults.emplace_back(Refusal(409, "AlreadyExists", "proxy.1"));
  Record("Started");
  EXPECT_THAT(Methods(), ElementsAre("POST", "POST"));
  EXPECT_THAT(server.ByReason()["Started"].metadata().name(), EndsWith("-1"));
  loop.Advance(minutes(1));
  Record("Started");
  EXPECT_THAT(server.requests.back().target, EndsWith("-1"));
  EXPECT_EQ(server.stored.size(), 1U);
}

TEST_F(EventSenderTest, ACreateWithoutAnAnswerThatHappenedIsNotMadeTwice) {
  server.faults.emplace_back(Error(ErrorKind::kTimeout, "no answer in time"));
  Record("Started");
  // It did arrive.
  const auto made = log.Recent().at(0)->event;
  server.stored["/api/v1/namespaces/kube-system/events/" + made.metadata().name()] = made;
  loop.Advance(seconds(30));
  EXPECT_EQ(server.stored.size(), 1U);
  EXPECT_THAT(Methods(), ElementsAre("POST", "POST", "PATCH"));
  EXPECT_EQ(sender.sent(), 1U);
}

// client-go's names hold the moment; ours do too, and two of one moment differ.
TEST_F(EventSenderTest, EventsOfOneMomentHaveNamesOfTheirOwn) {
  for (int i = 0; i < 5; ++i) Record("Reason" + std::to_string(i));
  EXPECT_EQ(server.stored.size(), 5U);
  EXPECT_EQ(Requests(), 5U);
}

TEST_F(EventSenderTest, ANamespaceThatIsBeingDeletedIsLeftAlone) {
  server.refused_namespaces["doomed"] = Refusal(403, "Forbidden", "proxy.1");
  const auto doomed = About("doomed", "proxy");
  for (int i = 0; i < 10; ++i) Record(doomed, "Killing" + std::to_string(i));
  EXPECT_EQ(Requests(), 1U);
  EXPECT_EQ(sender.dropped(), 1U);
  Record("Started");
  EXPECT_EQ(sender.sent(), 1U) << "other namespaces go on";
  loop.Advance(minutes(10));
  EXPECT_LE(Requests(), 7U);
}

TEST_F(EventSenderTest, RightsThatAreGrantedLaterAreNoticed) {
  server.refused_namespaces["kube-system"] = Refusal(403, "Forbidden", "proxy.1");
  Record("Pulled");
  Record("Started");
  server.refused_namespaces.clear();
  loop.Advance(minutes(1));
  EXPECT_EQ(server.ByReason().count("Started"), 1U);
  EXPECT_EQ(server.ByReason().count("Pulled"), 0U) << "it was refused";
}

TEST_F(EventSenderTest, ANamespaceThatIsGoneIsLeftAlone) {
  server.refused_namespaces["kube-system"] = Refusal(404, "NotFound", "kube-system");
  Record("Started");
  Record("Started");
  EXPECT_THAT(Methods(), ElementsAre("POST"));
  EXPECT_EQ(sender.dropped(), 1U);
}

TEST_F(EventSenderTest, OneThatTheServerFindsInvalidIsGivenUpAndTheOthersGoOn) {
  server.faults.emplace_back(Refusal(422, "Invalid", "proxy.1"));
  Record("Bad");
  Record("Good");
  loop.Advance(hours(1));
  EXPECT_THAT(Methods(), ElementsAre("POST", "POST"));
  EXPECT_EQ(sender.dropped(), 1U);
  EXPECT_EQ(sender.sent(), 1U);
}

TEST_F(EventSenderTest, EachRefusalIsToldOnceForItsKind) {
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i) {
    server.faults.emplace_back(Refusal(422, "Invalid", "proxy.1"));
    Record("Bad" + std::to_string(i));
  }
  const std::string logged = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(sender.dropped(), 5U);
  EXPECT_THAT(logged, HasSubstr("refuses Events"));
  EXPECT_EQ(logged.find("refuses Events"), logged.rfind("refuses Events"));
}

TEST_F(EventSenderTest, WhileTheServerIsUnreachableNothingIsTriedAndThenTheNewestStatesGo) {
  reachable = false;
  Record("Pulled");
  for (int i = 0; i < 7; ++i) Record("BackOff");
  loop.Advance(hours(1));
  EXPECT_EQ(Requests(), 0U);
  reachable = true;
  loop.Advance(seconds(20));
  EXPECT_THAT(Methods(), ElementsAre("POST", "POST"));
  EXPECT_EQ(server.ByReason()["BackOff"].count(), 7);
  EXPECT_EQ(sender.dropped(), 0U);
}

TEST_F(EventSenderTest, OfTooManyThatWaitTheNewestAreSent) {
  reachable = false;
  for (int i = 0; i < 300; ++i) Record(About("kube-system", "pod-" + std::to_string(i)), "Started");
  reachable = true;
  loop.Advance(minutes(5));
  EXPECT_EQ(sender.sent(), 200U);
  EXPECT_EQ(sender.dropped(), 100U);
  std::set<std::string> objects;
  for (const auto& [path, event] : server.stored) objects.insert(event.involvedobject().name());
  EXPECT_FALSE(objects.contains("pod-99"));
  EXPECT_TRUE(objects.contains("pod-100"));
  EXPECT_TRUE(objects.contains("pod-299"));
}

TEST_F(EventSenderTest, OneThatLeavesTheLogBeforeItWasSentCounts) {
  reachable = false;
  // More than the log keeps of one object, one at a time, so that each was seen.
  for (int i = 0; i < 60; ++i) Record("Reason" + std::to_string(i));
  EXPECT_EQ(sender.dropped(), 10U);
}

TEST_F(EventSenderTest, AThousandFailuresOfOneObjectAreFewWrites) {  // PF-01
  for (int i = 0; i < 1000; ++i) {
    Record("Failed", "failure number " + std::to_string(i));
    loop.Advance(milliseconds(60));
  }
  EXPECT_LE(Requests(), 25U);
  const std::size_t before = Requests();
  for (int i = 0; i < 60 * 60; ++i) {
    Record("Failed", "late failure number " + std::to_string(i));
    loop.Advance(seconds(1));
  }
  EXPECT_LE(Requests() - before, 25U - before + 13U) << "one per five minutes once the allowance is spent";
  EXPECT_EQ(limiter.dropped_events(), 0U);
}

TEST_F(EventSenderTest, ANoisyObjectDoesNotHoldUpTheOthers) {  // PF-01
  for (int i = 0; i < 50; ++i) Record("Reason" + std::to_string(i));
  EXPECT_EQ(Requests(), 25U);
  Record(About("kube-system", "quiet"), "Started");
  EXPECT_EQ(server.requests.size(), 26U);
  EXPECT_EQ(server.ByReason().count("Started"), 1U);
}

TEST_F(EventSenderTest, FailuresAreRetriedEverLater) {  // PF-02
  server.unreachable = true;
  Record("Started");
  EXPECT_EQ(Requests(), 1U);
  for (int i = 0; i < 100; ++i) {
    loop.Advance(seconds(36));
    Record("Reason" + std::to_string(i % 20));
  }
  EXPECT_LE(Requests(), 68U) << "one a minute";
  server.unreachable = false;
  loop.Advance(minutes(3));
  EXPECT_EQ(server.ByReason().count("Started"), 1U);
  EXPECT_EQ(server.ByReason().count("Reason19"), 1U);
}

TEST_F(EventSenderTest, TheLeaseGoesBeforeEvents) {  // PF-02
  for (int i = 0; i < 120; ++i) Record(About("kube-system", "pod-" + std::to_string(i)), "Started");
  EXPECT_EQ(Requests(), 50U) << "the burst of Events";
  auto lease = loop.Start(client.Get<kube::coordinationv1::Lease>(
      kube::NamespacedName("kube-node-lease", "node-1"), kube::CallOptions{.priority = kube::RequestPriority::kLease}));
  EXPECT_TRUE(lease->done());
  loop.Advance(seconds(10));
  EXPECT_EQ(sender.sent(), 120U);
}

TEST_F(EventSenderTest, ADelayThatTheServerAsksForIsKept) {
  kube::HttpResponse busy = Refusal(429, "TooManyRequests");
  busy.retry_after = Seconds(20);
  server.faults.emplace_back(busy);
  Record("Started");
  loop.Advance(seconds(19));
  EXPECT_EQ(Requests(), 1U);
  loop.Advance(minutes(1));
  EXPECT_EQ(server.ByReason().count("Started"), 1U);
}

TEST_F(EventSenderTest, CancellationEndsIt) {
  reachable = false;
  Record("Started");
  loop.Cancel(running);
  EXPECT_TRUE(running->done());
}

}  // namespace
}  // namespace daemonsetd::cluster

#include "agent/pods/images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/pull_progress.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ImagesTest : public ::testing::Test {
 protected:
  ~ImagesTest() override { loop_.Run(puller_.Stop()); }

  static std::string Full(const std::string& name) { return "docker.io/library/" + name + ":1"; }
  static PullRequest Request(const std::string& name, const std::string& policy = "IfNotPresent") {
    PullRequest request;
    request.image = name + ":1";
    request.policy = policy;
    return request;
  }
  std::shared_ptr<testing::Started<PullOutcome>> Start(PullRequest request) {
    return loop_.Start(puller_.Ensure(std::move(request)));
  }
  // Images that the registry has, each a second away.
  void Offer(std::initializer_list<std::string> names) {
    for (const std::string& name : names) runtime_.SetPull(Full(name), {.takes = seconds(1)});
  }
  void Hang(const std::string& name) { runtime_.SetPull(Full(name), {.hangs = true}); }
  void Refuse(const std::string& name, ErrorKind kind, const std::string& message) {
    runtime_.SetPull(Full(name), {.error = Error(kind, message), .takes = seconds(1)});
  }
  std::vector<std::string> Pulls() const {
    std::vector<std::string> images;
    for (const testing::CallRecord& call : runtime_.calls()) {
      if (call.method == "PullImage") images.push_back(call.subject);
    }
    return images;
  }
  PullOutcome Ensure(PullRequest request) { return loop_.Run(puller_.Ensure(std::move(request))); }

  testing::TestLoop loop_;
  testing::FakeRuntime runtime_{loop_.executor(), loop_.timeline()};
  ImagePuller puller_{loop_.executor(), loop_.timeline(), runtime_, {.parallel = 2, .pull_timeout = minutes(15)}};
};

TEST_F(ImagesTest, IfNotPresentPullsOnlyWhatIsMissing) {
  Offer({"a"});
  const PullOutcome first = Ensure(Request("a"));
  ASSERT_TRUE(first.status);
  EXPECT_TRUE(first.pulled);
  EXPECT_EQ(first.image_ref, first.image.id());
  EXPECT_FALSE(first.image_ref.empty());
  EXPECT_FALSE(Ensure(Request("a")).pulled);
  EXPECT_THAT(Pulls(), ElementsAre(Full("a")));
  EXPECT_THAT(puller_.States(), IsEmpty());
}

TEST_F(ImagesTest, AlwaysAsksTheRegistryEachTime) {
  runtime_.AddImage(Full("a"));
  EXPECT_TRUE(Ensure(Request("a", "Always")).pulled);
  EXPECT_TRUE(Ensure(Request("a", "Always")).pulled);
  EXPECT_THAT(Pulls(), SizeIs(2));
}

TEST_F(ImagesTest, WithoutAPolicyOnlyLatestIsAlwaysPulled) {
  runtime_.AddImage(Full("a"));
  runtime_.AddImage("docker.io/library/a:latest");
  EXPECT_FALSE(Ensure(Request("a", "")).pulled);
  EXPECT_TRUE(Ensure(PullRequest{.image = "a"}).pulled);
}

TEST_F(ImagesTest, NeverPulls) {
  const PullOutcome missing = Ensure(Request("a", "Never"));
  EXPECT_EQ(missing.reason, "ErrImageNeverPull");
  EXPECT_THAT(missing.status.error().message(), HasSubstr("a:1"));
  runtime_.AddImage(Full("a"));
  EXPECT_TRUE(Ensure(Request("a", "Never")).status);
  EXPECT_THAT(Pulls(), IsEmpty());
}

TEST_F(ImagesTest, RefusesANameThatIsNone) {
  EXPECT_EQ(Ensure(PullRequest{.image = "Not A Name"}).reason, "InvalidImageName");
  EXPECT_THAT(Pulls(), IsEmpty());
}

TEST_F(ImagesTest, OnePullServesEverybodyWhoWantsTheImage) {
  Offer({"a"});
  auto a = Start(Request("a"));
  auto b = Start(Request("a"));
  ASSERT_THAT(puller_.States(), SizeIs(1));
  EXPECT_THAT(puller_.States()[0].waiters, SizeIs(2));
  EXPECT_EQ(puller_.States()[0].phase, PullState::Phase::kPulling);
  loop_.Advance(seconds(1));
  ASSERT_TRUE(a->done() && b->done());
  EXPECT_TRUE(a->value->status && b->value->status);
  EXPECT_THAT(Pulls(), SizeIs(1));
}

TEST_F(ImagesTest, ACancelledWaiterDoesNotStopTheOthersPull) {
  Offer({"a"});
  auto a = Start(Request("a"));
  auto b = Start(Request("a"));
  loop_.Cancel(a);
  EXPECT_TRUE(a->threw());
  loop_.Advance(seconds(1));
  ASSERT_TRUE(b->done());
  EXPECT_TRUE(b->value->status);
  EXPECT_THAT(Pulls(), SizeIs(1));
}

TEST_F(ImagesTest, DifferentCredentialsAreDifferentPulls) {
  Offer({"a"});
  PullRequest secret = Request("a");
  secret.auths.emplace_back().set_username("u");
  auto a = Start(Request("a"));
  auto b = Start(secret);
  loop_.Advance(seconds(1));
  EXPECT_THAT(Pulls(), SizeIs(2));
}

// GC-05
TEST_F(ImagesTest, AHangingPullDoesNotBlockOthers) {
  Hang("slow");
  Offer({"b", "c"});
  auto slow = Start(Request("slow"));
  auto b = Start(Request("b"));
  auto c = Start(Request("c"));
  loop_.Advance(seconds(2));
  EXPECT_FALSE(slow->done());
  ASSERT_TRUE(b->done() && c->done());
  EXPECT_TRUE(b->value->status && c->value->status);
}

TEST_F(ImagesTest, NeverMoreThanTheLimitAndInOrderOfPriority) {
  Offer({"a", "b", "c", "urgent"});
  auto a = Start(Request("a"));
  auto b = Start(Request("b"));
  auto c = Start(Request("c"));
  PullRequest urgent = Request("urgent");
  urgent.priority = 10;
  auto d = Start(urgent);
  EXPECT_EQ(puller_.States()[2].phase, PullState::Phase::kQueued);
  EXPECT_THAT(Pulls(), SizeIs(2));
  loop_.Advance(seconds(1));
  EXPECT_THAT(Pulls(), SizeIs(4));
  loop_.Advance(seconds(1));
  ASSERT_THAT(Pulls(), SizeIs(4));
  EXPECT_EQ(Pulls()[2], Full("urgent"));
}

// GC-06
TEST_F(ImagesTest, APullHasADeadlineAndIsTriedAgain) {
  Hang("a");
  auto a = Start(Request("a"));
  loop_.Advance(minutes(15));
  ASSERT_TRUE(a->done());
  EXPECT_EQ(a->value->reason, "ErrImagePull");
  EXPECT_EQ(a->value->status.error().kind(), ErrorKind::kTimeout);
  Offer({"a"});
  loop_.Advance(seconds(10));
  EXPECT_TRUE(Ensure(Request("a")).status);
}

TEST_F(ImagesTest, BacksOffFromTenSecondsToFiveMinutes) {
  Refuse("a", ErrorKind::kRetry, "manifest unknown");
  for (const int wait : {10, 20, 40, 80, 160, 300, 300}) {
    const PullOutcome failed = Ensure(Request("a"));
    EXPECT_EQ(failed.reason, "ErrImagePull");
    EXPECT_EQ(failed.retry_at, loop_.timeline().mono() + seconds(wait));
    loop_.Advance(seconds(wait) - std::chrono::milliseconds(1));
    const std::size_t pulls = Pulls().size();
    const PullOutcome waiting = Ensure(Request("a"));
    EXPECT_EQ(waiting.reason, "ImagePullBackOff");
    EXPECT_THAT(waiting.status.error().message(), StartsWith("Back-off pulling image \"a:1\": ErrImagePull: pulling"));
    EXPECT_EQ(waiting.retry_at, failed.retry_at);
    EXPECT_THAT(waiting.status.error().message(), HasSubstr("manifest unknown"));
    EXPECT_THAT(Pulls(), SizeIs(pulls));
    ASSERT_THAT(puller_.States(), SizeIs(1));
    EXPECT_EQ(puller_.States()[0].phase, PullState::Phase::kBackOff);
    EXPECT_THAT(puller_.States()[0].last_error, HasSubstr("manifest unknown"));
    loop_.Advance(std::chrono::milliseconds(1));
  }
  Offer({"a"});
  EXPECT_TRUE(Ensure(Request("a")).status);
  EXPECT_THAT(puller_.States(), IsEmpty());
}

// GC-04
TEST_F(ImagesTest, NewCredentialsAreTriedAtOnce) {
  Refuse("a", ErrorKind::kDenied, "401 Unauthorized");
  EXPECT_EQ(Ensure(Request("a")).reason, "ErrImagePull");
  EXPECT_EQ(Ensure(Request("a")).reason, "ImagePullBackOff");
  Offer({"a"});
  PullRequest request = Request("a");
  request.auths.emplace_back().set_password("right");
  EXPECT_TRUE(Ensure(request).status);
}

TEST_F(ImagesTest, TriesEachCredentialInTurn) {
  Refuse("a", ErrorKind::kDenied, "401 Unauthorized");
  PullRequest request = Request("a");
  request.auths.emplace_back().set_username("first");
  request.auths.emplace_back().set_username("second");
  EXPECT_THAT(Ensure(request).status.error().message(), HasSubstr("401"));
  std::vector<std::string> users;
  for (const testing::CallRecord& call : runtime_.calls()) {
    if (call.method != "PullImage") continue;
    users.push_back(dynamic_cast<const cri::v1::PullImageRequest&>(*call.request).auth().username());
  }
  EXPECT_THAT(users, ElementsAre("first", "second"));
}

TEST_F(ImagesTest, TakesTheNodesCredentialsAndNamesTheirFileWhenItIsWrong) {
  async::BlockingPool pool(0);
  ImageCredentials credentials("/nonexistent/auth.json", pool);
  ImagePuller puller(loop_.executor(), loop_.timeline(), runtime_, {}, &credentials);
  Refuse("a", ErrorKind::kDenied, "401 Unauthorized");
  EXPECT_THAT(loop_.Run(puller.Ensure(Request("a"))).status.error().message(),
              HasSubstr("401 Unauthorized (imageCredentialsFile /nonexistent/auth.json"));
  loop_.Run(puller.Stop());
}

// GC-06: who waits for what, and since when.
TEST_F(ImagesTest, SaysWhoWaitsForWhatSinceWhen) {
  for (const char* name : {"a", "b", "c"}) Hang(name);
  PullRequest first = Request("a");
  first.requester = "ns/one, container main";
  auto one = Start(first);
  loop_.Advance(seconds(5));
  PullRequest second = Request("a");
  second.requester = "ns/two, container main";
  auto two = Start(second);
  auto b = Start(Request("b"));
  PullRequest third = Request("c");
  third.requester = "ns/three, container main";
  auto c = Start(third);
  loop_.Advance(seconds(30));
  const Now now = loop_.timeline().Read();
  const auto waiting = puller_.WaitingFor("ns/two, container main");
  ASSERT_TRUE(waiting);
  EXPECT_EQ(Describe(*waiting, now),
            "pulling image docker.io/library/a:1 since " + FormatRfc3339(now.wall - seconds(35)));
  ASSERT_THAT(waiting->waiters, SizeIs(2));
  EXPECT_EQ(waiting->waiters[1].since, now.mono - seconds(30));
  EXPECT_EQ(Describe(*puller_.WaitingFor("ns/three, container main"), now),
            "waiting since " + FormatRfc3339(now.wall - seconds(30)) +
                " to pull image docker.io/library/c:1: other pulls are under way");
  EXPECT_FALSE(puller_.WaitingFor("ns/four, container main"));
}

// GC-06: each try has its own deadline, and the waits between them grow.
TEST_F(ImagesTest, AHangingPullIsCancelledAndRetriedWithBackOff) {
  Hang("a");
  for (const int wait : {10, 20, 40}) {
    auto a = Start(Request("a"));
    loop_.Advance(minutes(15));
    ASSERT_TRUE(a->done());
    EXPECT_EQ(a->value->status.error().kind(), ErrorKind::kTimeout);
    EXPECT_EQ(a->value->retry_at, loop_.timeline().mono() + seconds(wait));
    EXPECT_THAT(Describe(puller_.States().at(0), loop_.timeline().Read()), HasSubstr("back-off pulling image"));
    loop_.Advance(seconds(wait));
  }
  EXPECT_THAT(Pulls(), SizeIs(3));
}

// The tag of "name:tag@digest" is for people: the digest is asked for and pulled.
TEST_F(ImagesTest, PullsByDigestWhateverTheTag) {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  runtime_.SetPull("docker.io/library/a" + digest, {.takes = seconds(1)});
  EXPECT_TRUE(Ensure(PullRequest{.image = "a:1" + digest}).pulled);
  EXPECT_FALSE(Ensure(PullRequest{.image = "a" + digest}).pulled);
  EXPECT_FALSE(Ensure(PullRequest{.image = "a:latest" + digest}).pulled) << "latest means nothing beside a digest";
  EXPECT_THAT(Pulls(), ElementsAre("docker.io/library/a" + digest));
}

// GC-08
TEST_F(ImagesTest, AnUnreachableRegistryHasItsOwnReasonAndMayBeIgnored) {
  runtime_.AddImage(Full("a"));
  Refuse("a", ErrorKind::kRetry, "dial tcp 10.0.0.1:443: connect: connection refused");
  EXPECT_EQ(Ensure(Request("a", "Always")).reason, "RegistryUnavailable");

  ImagePuller lenient(loop_.executor(), loop_.timeline(), runtime_, {.always_if_reachable = true});
  const PullOutcome outcome = loop_.Run(lenient.Ensure(Request("a", "Always")));
  EXPECT_TRUE(outcome.status);
  EXPECT_TRUE(outcome.stale);
  loop_.Run(lenient.Stop());
}

TEST_F(ImagesTest, StoppingAnswersEverybodyWhoWaits) {
  for (const char* name : {"a", "b", "c"}) Hang(name);
  auto a = Start(Request("a"));
  auto b = Start(Request("b"));
  auto queued = Start(Request("c"));
  loop_.Run(puller_.Stop());
  for (const auto& request : {a, b, queued}) {
    ASSERT_TRUE(request->done());
    EXPECT_EQ(request->value->status.error().kind(), ErrorKind::kCancelled);
  }
}

// What comes to the disk is seen in containerd's content store.
class PullProgressTest : public TemporaryTree {
 protected:
  PullProgressTest() {
    runtime_.SetImageRoot(Path("root/io.containerd.snapshotter.v1.overlayfs"));
    runtime_.SetPull(kName, {.hangs = true});
  }
  ~PullProgressTest() override { loop_.Run(puller_.Stop()); }

  void Fetched(const std::string& bytes) {
    Write(Path("root/io.containerd.content.v1.content/ingest/1234/data"), bytes);
  }
  std::shared_ptr<testing::Started<PullOutcome>> Start() {
    return loop_.Start(puller_.Ensure(PullRequest{.image = "a:1", .policy = "IfNotPresent"}));
  }

  static constexpr char kName[] = "docker.io/library/a:1";
  testing::TestLoop loop_;
  testing::FakeRuntime runtime_{loop_.executor(), loop_.timeline()};
  async::BlockingPool pool_{0};
  PullProgress progress_{runtime_, pool_};
  ImagePuller puller_{loop_.executor(), loop_.timeline(),
                      runtime_,         {.pull_timeout = minutes(15), .progress_timeout = minutes(1)},
                      nullptr,          &progress_};
};

// GC-06
TEST_F(PullProgressTest, WithoutProgressAPullIsGivenUpAndTriedAgain) {
  Fetched("x");
  auto pull = Start();
  loop_.Advance(seconds(50));
  EXPECT_FALSE(pull->done());
  loop_.Advance(seconds(40));
  ASSERT_TRUE(pull->done());
  EXPECT_EQ(pull->value->reason, "ErrImagePull");
  EXPECT_THAT(pull->value->status.error().message(), HasSubstr("nothing came from the registry for 1m"));
  EXPECT_TRUE(pull->value->retry_at);
  EXPECT_THAT(Describe(puller_.States().at(0), loop_.timeline().Read()), HasSubstr("imagePullProgressTimeout"));
}

TEST_F(PullProgressTest, ASlowPullHasAllTheTimeOfTheOuterLimit) {
  auto pull = Start();
  for (int i = 1; i <= 28; ++i) {
    Fetched(std::string(static_cast<std::size_t>(i), 'x'));
    loop_.Advance(seconds(30));
    ASSERT_FALSE(pull->done()) << i;
  }
  loop_.Advance(minutes(2));
  EXPECT_TRUE(pull->done());
}

TEST_F(PullProgressTest, WhatCannotBeSeenIsNoStandstill) {
  auto pull = Start();
  loop_.Advance(minutes(14));
  EXPECT_FALSE(pull->done());
  loop_.Advance(minutes(2));
  EXPECT_TRUE(pull->done());
}

}  // namespace
}  // namespace daemonsetd::pods

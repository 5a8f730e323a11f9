#include "agent/pods/images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/loop.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The image half of a runtime: pulls take a second, hang until their deadline, or fail, as told. The rest is not there.
class ScriptedImages final : public cri::Runtime {
 public:
  explicit ScriptedImages(async::Timeline& timeline) : timeline_(timeline) {}

  std::set<std::string> present;
  std::set<std::string> hanging;
  std::map<std::string, Error> failing;
  std::vector<std::string> pulls;
  Nanoseconds pull_takes = seconds(1);
  int running = 0;
  int most_running = 0;

  Task<Result<cri::v1::Image>> ImageStatus(cri::v1::ImageSpec image, Nanoseconds) override {
    if (!present.contains(image.image())) co_return Error(ErrorKind::kAbsent, "not here");
    cri::v1::Image answer;
    answer.set_id("id of " + image.image());
    co_return answer;
  }
  Task<Result<std::string>> PullImage(cri::v1::PullImageRequest request, Nanoseconds timeout) override {
    const std::string image = request.image().image();
    const Running counted(*this);
    pulls.push_back(image);
    const Nanoseconds takes = hanging.contains(image) ? timeout : pull_takes;
    co_await timeline_.SleepFor(takes);
    if (hanging.contains(image)) co_return Error(ErrorKind::kTimeout, "no answer in " + FormatDuration(timeout));
    if (const auto failure = failing.find(image); failure != failing.end()) co_return failure->second;
    present.insert(image);
    co_return "id of " + image;
  }

  Task<Result<cri::v1::VersionResponse>> Version(Nanoseconds) override { co_return Absent(); }
  Task<Result<cri::v1::StatusResponse>> Status(bool, Nanoseconds) override { co_return Absent(); }
  Task<Result<cri::v1::RuntimeConfigResponse>> RuntimeConfig(Nanoseconds) override { co_return Absent(); }
  Task<Result<std::string>> RunPodSandbox(cri::v1::RunPodSandboxRequest, Nanoseconds) override { co_return Absent(); }
  Task<daemonsetd::Status> StopPodSandbox(std::string, Nanoseconds) override { co_return Absent(); }
  Task<daemonsetd::Status> RemovePodSandbox(std::string, Nanoseconds) override { co_return Absent(); }
  Task<Result<cri::v1::PodSandboxStatusResponse>> PodSandboxStatus(std::string, bool, Nanoseconds) override {
    co_return Absent();
  }
  Task<Result<cri::v1::ListPodSandboxResponse>> ListPodSandbox(cri::v1::PodSandboxFilter, Nanoseconds) override {
    co_return Absent();
  }
  Task<Result<std::string>> CreateContainer(cri::v1::CreateContainerRequest, Nanoseconds) override {
    co_return Absent();
  }
  Task<daemonsetd::Status> StartContainer(std::string, Nanoseconds) override { co_return Absent(); }
  Task<daemonsetd::Status> StopContainer(std::string, Seconds, Nanoseconds) override { co_return Absent(); }
  Task<daemonsetd::Status> RemoveContainer(std::string, Nanoseconds) override { co_return Absent(); }
  Task<Result<cri::v1::ListContainersResponse>> ListContainers(cri::v1::ContainerFilter, Nanoseconds) override {
    co_return Absent();
  }
  Task<Result<cri::v1::ContainerStatusResponse>> ContainerStatus(std::string, bool, Nanoseconds) override {
    co_return Absent();
  }
  Task<daemonsetd::Status> UpdateContainerResources(cri::v1::UpdateContainerResourcesRequest, Nanoseconds) override {
    co_return Absent();
  }
  Task<daemonsetd::Status> ReopenContainerLog(std::string, Nanoseconds) override { co_return Absent(); }
  Task<Result<cri::v1::ExecSyncResponse>> ExecSync(cri::v1::ExecSyncRequest, Nanoseconds) override {
    co_return Absent();
  }
  Task<Result<cri::v1::ListContainerStatsResponse>> ListContainerStats(cri::v1::ContainerStatsFilter,
                                                                       Nanoseconds) override {
    co_return Absent();
  }
  Task<daemonsetd::Status> ContainerEvents(EventHandler) override { co_return Absent(); }
  Task<Result<cri::v1::ListImagesResponse>> ListImages(cri::v1::ImageFilter, Nanoseconds) override {
    co_return Absent();
  }
  Task<daemonsetd::Status> RemoveImage(cri::v1::ImageSpec, Nanoseconds) override { co_return Absent(); }
  Task<Result<cri::v1::ImageFsInfoResponse>> ImageFsInfo(Nanoseconds) override { co_return Absent(); }

 private:
  struct Running {
    explicit Running(ScriptedImages& images) : owner(images) {
      owner.most_running = std::max(owner.most_running, ++owner.running);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { --owner.running; }
    ScriptedImages& owner;
  };
  static Error Absent() { return Error(ErrorKind::kUnsupported, "this runtime only has images"); }

  async::Timeline& timeline_;
};

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
  PullOutcome Ensure(PullRequest request) { return loop_.Run(puller_.Ensure(std::move(request))); }

  testing::TestLoop loop_;
  ScriptedImages runtime_{loop_.timeline()};
  ImagePuller puller_{loop_.executor(), loop_.timeline(), runtime_, {.parallel = 2, .pull_timeout = minutes(15)}};
};

TEST_F(ImagesTest, IfNotPresentPullsOnlyWhatIsMissing) {
  const PullOutcome first = Ensure(Request("a"));
  ASSERT_TRUE(first.status);
  EXPECT_TRUE(first.pulled);
  EXPECT_EQ(first.image_ref, "id of " + Full("a"));
  EXPECT_FALSE(Ensure(Request("a")).pulled);
  EXPECT_THAT(runtime_.pulls, ElementsAre(Full("a")));
  EXPECT_THAT(puller_.States(), IsEmpty());
}

TEST_F(ImagesTest, AlwaysAsksTheRegistryEachTime) {
  runtime_.present.insert(Full("a"));
  EXPECT_TRUE(Ensure(Request("a", "Always")).pulled);
  EXPECT_TRUE(Ensure(Request("a", "Always")).pulled);
  EXPECT_THAT(runtime_.pulls, SizeIs(2));
}

TEST_F(ImagesTest, WithoutAPolicyOnlyLatestIsAlwaysPulled) {
  runtime_.present = {Full("a"), "docker.io/library/a:latest"};
  EXPECT_FALSE(Ensure(Request("a", "")).pulled);
  EXPECT_TRUE(Ensure(PullRequest{.image = "a"}).pulled);
}

TEST_F(ImagesTest, NeverPulls) {
  const PullOutcome missing = Ensure(Request("a", "Never"));
  EXPECT_EQ(missing.reason, "ErrImageNeverPull");
  EXPECT_THAT(missing.status.error().message(), HasSubstr("a:1"));
  runtime_.present.insert(Full("a"));
  EXPECT_TRUE(Ensure(Request("a", "Never")).status);
  EXPECT_THAT(runtime_.pulls, IsEmpty());
}

TEST_F(ImagesTest, RefusesANameThatIsNone) {
  EXPECT_EQ(Ensure(PullRequest{.image = "Not A Name"}).reason, "InvalidImageName");
  EXPECT_THAT(runtime_.pulls, IsEmpty());
}

TEST_F(ImagesTest, OnePullServesEverybodyWhoWantsTheImage) {
  auto a = Start(Request("a"));
  auto b = Start(Request("a"));
  ASSERT_THAT(puller_.States(), SizeIs(1));
  EXPECT_EQ(puller_.States()[0].waiters, 2);
  EXPECT_EQ(puller_.States()[0].phase, PullState::Phase::kPulling);
  loop_.Advance(seconds(1));
  ASSERT_TRUE(a->done() && b->done());
  EXPECT_TRUE(a->value->status && b->value->status);
  EXPECT_THAT(runtime_.pulls, SizeIs(1));
}

TEST_F(ImagesTest, ACancelledWaiterDoesNotStopTheOthersPull) {
  auto a = Start(Request("a"));
  auto b = Start(Request("a"));
  loop_.Cancel(a);
  EXPECT_TRUE(a->threw());
  loop_.Advance(seconds(1));
  ASSERT_TRUE(b->done());
  EXPECT_TRUE(b->value->status);
  EXPECT_THAT(runtime_.pulls, SizeIs(1));
}

TEST_F(ImagesTest, DifferentCredentialsAreDifferentPulls) {
  PullRequest secret = Request("a");
  secret.auth.emplace().set_username("u");
  auto a = Start(Request("a"));
  auto b = Start(secret);
  loop_.Advance(seconds(1));
  EXPECT_THAT(runtime_.pulls, SizeIs(2));
}

// GC-05
TEST_F(ImagesTest, AHangingPullDoesNotBlockOthers) {
  runtime_.hanging.insert(Full("slow"));
  auto slow = Start(Request("slow"));
  auto b = Start(Request("b"));
  auto c = Start(Request("c"));
  loop_.Advance(seconds(2));
  EXPECT_FALSE(slow->done());
  ASSERT_TRUE(b->done() && c->done());
  EXPECT_TRUE(b->value->status && c->value->status);
}

TEST_F(ImagesTest, NeverMoreThanTheLimitAndInOrderOfPriority) {
  auto a = Start(Request("a"));
  auto b = Start(Request("b"));
  auto c = Start(Request("c"));
  PullRequest urgent = Request("urgent");
  urgent.priority = 10;
  auto d = Start(urgent);
  EXPECT_EQ(puller_.States()[2].phase, PullState::Phase::kQueued);
  loop_.Advance(seconds(5));
  EXPECT_EQ(runtime_.most_running, 2);
  ASSERT_THAT(runtime_.pulls, SizeIs(4));
  EXPECT_EQ(runtime_.pulls[2], Full("urgent"));
}

// GC-06
TEST_F(ImagesTest, APullHasADeadlineAndIsTriedAgain) {
  runtime_.hanging.insert(Full("a"));
  auto a = Start(Request("a"));
  loop_.Advance(minutes(15));
  ASSERT_TRUE(a->done());
  EXPECT_EQ(a->value->reason, "ErrImagePull");
  EXPECT_EQ(a->value->status.error().kind(), ErrorKind::kTimeout);
  runtime_.hanging.clear();
  loop_.Advance(seconds(10));
  EXPECT_TRUE(Ensure(Request("a")).status);
}

TEST_F(ImagesTest, BacksOffFromTenSecondsToFiveMinutes) {
  runtime_.failing.emplace(Full("a"), Error(ErrorKind::kRetry, "manifest unknown"));
  for (const int wait : {10, 20, 40, 80, 160, 300, 300}) {
    const PullOutcome failed = Ensure(Request("a"));
    EXPECT_EQ(failed.reason, "ErrImagePull");
    EXPECT_EQ(failed.retry_at, loop_.timeline().mono() + seconds(wait));
    loop_.Advance(seconds(wait) - std::chrono::milliseconds(1));
    const std::size_t pulls = runtime_.pulls.size();
    const PullOutcome waiting = Ensure(Request("a"));
    EXPECT_EQ(waiting.reason, "ImagePullBackOff");
    EXPECT_EQ(waiting.retry_at, failed.retry_at);
    EXPECT_THAT(waiting.status.error().message(), HasSubstr("manifest unknown"));
    EXPECT_THAT(runtime_.pulls, SizeIs(pulls));
    ASSERT_THAT(puller_.States(), SizeIs(1));
    EXPECT_EQ(puller_.States()[0].phase, PullState::Phase::kBackOff);
    EXPECT_THAT(puller_.States()[0].last_error, HasSubstr("manifest unknown"));
    loop_.Advance(std::chrono::milliseconds(1));
  }
  runtime_.failing.clear();
  EXPECT_TRUE(Ensure(Request("a")).status);
  EXPECT_THAT(puller_.States(), IsEmpty());
}

// GC-04
TEST_F(ImagesTest, NewCredentialsAreTriedAtOnce) {
  runtime_.failing.emplace(Full("a"), Error(ErrorKind::kDenied, "401 Unauthorized"));
  EXPECT_EQ(Ensure(Request("a")).reason, "ErrImagePull");
  EXPECT_EQ(Ensure(Request("a")).reason, "ImagePullBackOff");
  runtime_.failing.clear();
  PullRequest request = Request("a");
  request.auth.emplace().set_password("right");
  EXPECT_TRUE(Ensure(request).status);
}

// GC-08
TEST_F(ImagesTest, AnUnreachableRegistryHasItsOwnReasonAndMayBeIgnored) {
  runtime_.present.insert(Full("a"));
  runtime_.failing.emplace(Full("a"), Error(ErrorKind::kRetry, "dial tcp 10.0.0.1:443: connect: connection refused"));
  EXPECT_EQ(Ensure(Request("a", "Always")).reason, "RegistryUnavailable");

  ImagePuller lenient(loop_.executor(), loop_.timeline(), runtime_, {.always_if_reachable = true});
  const PullOutcome outcome = loop_.Run(lenient.Ensure(Request("a", "Always")));
  EXPECT_TRUE(outcome.status);
  EXPECT_TRUE(outcome.stale);
  loop_.Run(lenient.Stop());
}

TEST_F(ImagesTest, StoppingAnswersEverybodyWhoWaits) {
  runtime_.hanging = {Full("a"), Full("b"), Full("c")};
  auto a = Start(Request("a"));
  auto b = Start(Request("b"));
  auto queued = Start(Request("c"));
  loop_.Run(puller_.Stop());
  for (const auto& request : {a, b, queued}) {
    ASSERT_TRUE(request->done());
    EXPECT_EQ(request->value->status.error().kind(), ErrorKind::kCancelled);
  }
}

}  // namespace
}  // namespace daemonsetd::pods

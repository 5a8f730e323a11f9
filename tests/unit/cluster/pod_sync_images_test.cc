// Pull before stop: the images of a new template come while the old pod runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cluster/pod_sync_fixture.h"
#include "tests/unit/pods/fake_objects.h"

namespace daemonsetd::cluster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kNewImage[] = "docker.io/library/agent:2";
constexpr char kFirstImage[] = "docker.io/library/first:2";
constexpr char kImagesAwaited[] = "the images of the new template; the old pod runs on meanwhile";
constexpr char kTurnAwaited[] = "its turn in the rolling update; the old pod runs on meanwhile";

class PodSyncImagesTest : public PodSyncTest {
 protected:
  PodSyncImagesTest() {
    Put(MakeDaemonSet("a").object);
    before = RunningContainers();
    runtime.ClearCalls();
  }

  appsv1::DaemonSet With(const std::string& image, const std::string& policy = "IfNotPresent") {
    auto set = MakeDaemonSet("a");
    Main(set).set_image(image);
    Main(set).set_imagepullpolicy(policy);
    return set.object;
  }
  std::vector<std::string> Pulls() const {
    std::vector<std::string> images;
    for (const testing::CallRecord& call : runtime.calls()) {
      if (call.method == "PullImage") images.push_back(call.subject);
    }
    return images;
  }
  std::string ErrorOf() const { return life->sync.Workloads().at(0)->image_error; }
  void DeletePod() {
    api.AskToEnd(OnlyPod());
    loop.Advance(seconds(5));
  }

  std::vector<std::string> before;
};

TEST_F(PodSyncImagesTest, ImagesOfANewTemplateComeWhileTheOldPodRuns) {
  runtime.SetPull(kNewImage, {.takes = seconds(20)});
  runtime.SetPull(kFirstImage, {.takes = seconds(1)});
  appsv1::DaemonSet set = With(kNewImage);
  corev1::Container& first = *set.mutable_spec()->mutable_template_()->mutable_spec()->add_initcontainers();
  first.set_name("first");
  first.set_image("first:2");
  first.set_imagepullpolicy("IfNotPresent");
  Put(set);
  EXPECT_THAT(Pulls(), ElementsAre(kFirstImage, kNewImage));
  EXPECT_EQ(WaitingFor("a"), kImagesAwaited);
  told_images.clear();
  loop.Advance(seconds(20));
  EXPECT_THAT(told_images, ElementsAre(std::set<std::string>{kFirstImage, kNewImage})) << "for the Node's status";
  EXPECT_EQ(WaitingFor("a"), kTurnAwaited);
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_THAT(Events("Pulled"), Contains(HasSubstr("pulled image \"first:2\" of the new template")));
  loop.Advance(minutes(30));
  EXPECT_THAT(Pulls(), SizeIs(2)) << "once for each template";
  EXPECT_EQ(runtime.Count("StopContainer"), 0);

  runtime.SetBehaviour("first", {.exits_after = seconds(1)});
  DeletePod();
  EXPECT_THAT(Pulls(), SizeIs(2));
  EXPECT_EQ(WaitingFor("a"), "");
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
}

TEST_F(PodSyncImagesTest, ThePullPolicyHolds) {
  Put(With(kImage));  // an image that is here
  EXPECT_THAT(Pulls(), IsEmpty());
  runtime.AddImage(kNewImage);
  Put(With(kNewImage));
  EXPECT_THAT(Pulls(), IsEmpty());
  EXPECT_EQ(WaitingFor("a"), kTurnAwaited);
  Put(With(kNewImage, "Always"));
  EXPECT_THAT(Pulls(), ElementsAre(kNewImage));
  loop.Advance(minutes(30));
  EXPECT_THAT(Pulls(), SizeIs(1)) << "once for each template";
  Put(With("docker.io/library/agent:3", "Never"));
  loop.Advance(minutes(30));
  EXPECT_THAT(Pulls(), SizeIs(1));
  EXPECT_THAT(ErrorOf(), HasSubstr("ErrImageNeverPull"));
  EXPECT_EQ(RunningContainers(), before);
}

TEST_F(PodSyncImagesTest, APullThatFailsCostsNothingAndIsTriedEverMoreSeldom) {
  runtime.SetPull(kNewImage, {.error = Error(ErrorKind::kRetry, "manifest unknown")});
  Put(With(kNewImage));
  EXPECT_EQ(WaitingFor("a"), kImagesAwaited);
  EXPECT_THAT(ErrorOf(), HasSubstr("ErrImagePull: pulling image docker.io/library/agent:2: manifest unknown"));
  loop.Advance(std::chrono::hours(1));
  EXPECT_GE(Pulls().size(), 10);
  EXPECT_LE(Pulls().size(), 20);
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_THAT(Events("Failed"), ElementsAre(HasSubstr("and this pod runs on: ErrImagePull")));
  EXPECT_THAT(Events("Pulling"), SizeIs(1));
  EXPECT_TRUE(decide::IsReady(OnlyPod().status()));

  runtime.SetPull(kNewImage, {});
  loop.Advance(minutes(6));
  EXPECT_EQ(ErrorOf(), "");
  EXPECT_EQ(WaitingFor("a"), kTurnAwaited);
}

TEST_F(PodSyncImagesTest, TheNextTemplateDoesNotWaitForTheImagesOfTheOneBefore) {
  runtime.SetPull(kNewImage, {.hangs = true});
  Put(With(kNewImage));
  runtime.AddImage("docker.io/library/agent:3");
  Put(With("docker.io/library/agent:3"));
  EXPECT_EQ(WaitingFor("a"), kTurnAwaited);
  Put(MakeDaemonSet("a").object);  // undo
  EXPECT_EQ(WaitingFor("a"), "");
  EXPECT_EQ(RunningContainers(), before);
  loop.Advance(minutes(40));  // the end of the pull that hangs
  EXPECT_EQ(ErrorOf(), "");
  EXPECT_THAT(Pulls(), SizeIs(1));
}

TEST_F(PodSyncImagesTest, PullsThatHangLeaveRoomForThoseThatAPodWaitsFor) {
  for (const char* name : {"b", "c", "d", "e", "f"}) Put(MakeDaemonSet(name).object);
  for (const char* name : {"b", "c", "d", "e", "f"}) {
    auto set = MakeDaemonSet(name);
    Main(set).set_image(std::string(name) + ":2");
    runtime.SetPull("docker.io/library/" + Main(set).image(), {.hangs = true});
    Put(set.object);
  }
  EXPECT_LT(Pulls().size(), 4);
  runtime.SetPull("docker.io/library/urgent:1", {});
  auto urgent = MakeDaemonSet("urgent");
  Main(urgent).set_image("urgent:1");
  Put(urgent.object);
  EXPECT_EQ(WaitingFor("urgent"), "");
  EXPECT_THAT(RunningContainers(), SizeIs(7));
}

TEST_F(PodSyncImagesTest, WithOnDeleteTooAndThePodStaysUntilItIsDeleted) {
  runtime.SetPull(kNewImage, {.takes = seconds(20)});
  appsv1::DaemonSet set = With(kNewImage);
  set.mutable_spec()->mutable_updatestrategy()->set_type("OnDelete");
  Put(set);
  EXPECT_THAT(Pulls(), SizeIs(1));
  EXPECT_EQ(WaitingFor("a"), "updateStrategy OnDelete: the old template runs until its pod is deleted");
  loop.Advance(minutes(10));
  EXPECT_EQ(RunningContainers(), before);
  DeletePod();
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_NE(RunningContainers(), before);
  EXPECT_THAT(Pulls(), SizeIs(1));
}

TEST_F(PodSyncImagesTest, ANodeThatShouldNotRunTheNewTemplateFetchesNothing) {
  engine->node.mutable_spec()->add_taints()->set_key("busy");
  engine->node.mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  Put(With(kNewImage));
  loop.Advance(minutes(10));
  EXPECT_THAT(Pulls(), IsEmpty());
  EXPECT_EQ(RunningContainers(), before);
}

TEST_F(PodSyncImagesTest, AnAgentThatStartsAgainGoesOnWithThem) {
  runtime.SetPull(kNewImage, {.hangs = true});
  Put(With(kNewImage));
  RestartAgent([this] { runtime.SetPull(kNewImage, {}); });
  loop.Advance(seconds(5));
  EXPECT_EQ(WaitingFor("a"), kTurnAwaited);
  EXPECT_EQ(RunningContainers(), before);
}

TEST_F(PodSyncImagesTest, TheImagesOfEverySetPlacedHereAreNamed) {
  auto other = MakeDaemonSet("b");
  Main(other).set_image("agent:9");
  Put(other.object);
  EXPECT_EQ(told_images.back(), (std::set<std::string>{kImage, "docker.io/library/agent:9"}));
  const std::size_t times = told_images.size();
  loop.Advance(minutes(10));
  EXPECT_THAT(told_images, SizeIs(times)) << "once";
  (*other.object.mutable_spec()->mutable_template_()->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  Put(other.object);
  EXPECT_EQ(told_images.back(), (std::set<std::string>{kImage}));
}

// With the pod's secrets, or with those of its account, which admission copies into it.
class PodSyncPullSecretsTest : public PodSyncImagesTest {
 protected:
  PodSyncPullSecretsTest() {
    objects = api_objects;
    engine->services.objects = api_objects;
    runtime.SetPull(kNewImage, {.error = Error(ErrorKind::kRetry, "401 Unauthorized")});
  }
  void SetSecret(const std::string& name, const std::string& user) {
    const std::string auth = R"({"auths": {"docker.io": {"username": ")" + user + R"(", "password": "p"}}})";
    api_objects->SetSecret(name, {{".dockerconfigjson", auth}}, "kubernetes.io/dockerconfigjson");
    loop.Settle();
  }
  std::vector<std::string> Users() const {
    std::vector<std::string> users;
    for (const testing::CallRecord& call : runtime.calls()) {
      if (call.method != "PullImage") continue;
      users.push_back(static_cast<const testing::v1::PullImageRequest&>(*call.request).auth().username());
    }
    return users;
  }
  std::shared_ptr<pods::FakeObjects> api_objects = std::make_shared<pods::FakeObjects>(loop.timeline());
};

TEST_F(PodSyncPullSecretsTest, TheSecretsOfTheNewTemplateAreUsedAndANewOneIsTriedAtOnce) {
  SetSecret("pull", "wrong");
  appsv1::DaemonSet set = With(kNewImage);
  set.mutable_spec()->mutable_template_()->mutable_spec()->add_imagepullsecrets()->set_name("pull");
  Put(set);
  EXPECT_THAT(Users(), ElementsAre("wrong"));
  runtime.SetPull(kNewImage, {});
  SetSecret("pull", "right");
  loop.Advance(seconds(1));
  EXPECT_THAT(Users(), ElementsAre("wrong", "right"));
  EXPECT_EQ(WaitingFor("a"), kTurnAwaited);
}

TEST_F(PodSyncPullSecretsTest, TheSecretsOfTheDefaultAccountAreUsed) {
  SetSecret("of-account", "user");
  api_objects->SetAccount("default", {"of-account"});
  Put(With(kNewImage));
  EXPECT_THAT(Users(), ElementsAre("user"));
}

}  // namespace
}  // namespace daemonsetd::cluster

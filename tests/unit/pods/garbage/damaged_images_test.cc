// GC-07: what a loss of power does to images.
#include "agent/pods/garbage/damaged_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "agent/pods/images.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"
#include "tests/unit/pods/garbage/memory_image_records.h"

namespace daemonsetd::pods {
namespace {

namespace v1 = ::runtime::v1;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;

class DamagedImagesTest : public ::testing::Test {
 protected:
  DamagedImagesTest() {
    runtime.AddImage(kName);
    id = Ensure().image_ref;
    runtime.SetPull(kName, {.takes = seconds(1)});
    runtime.ClearCalls();
  }
  ~DamagedImagesTest() override { loop.Run(puller.Stop()); }

  PullOutcome Ensure(const std::string& policy = "IfNotPresent") {
    return loop.Run(puller.Ensure(PullRequest{.image = "a:1", .policy = policy}));
  }
  void Fail() { puller.NoteFailedStart(id, "runc: exec /bin/agent: exec format error"); }
  bool Suspects() {
    v1::ImageSpec spec;
    spec.set_image(kName);
    return damaged.Suspects(*loop.Run(runtime.ImageStatus(spec, minutes(1))));
  }
  std::vector<std::string> Calls() {
    std::vector<std::string> methods;
    for (const testing::CallRecord& call : runtime.calls()) {
      const bool changes =
          call.method == "PullImage" || call.method == "RemoveImage" || call.method == "RemoveContainer";
      if (changes) methods.push_back(call.method);
    }
    return methods;
  }
  // A container of the image, and what it is now.
  void AddContainer(bool ours, v1::ContainerState state) {
    v1::RunPodSandboxRequest pod;
    pod.mutable_config()->mutable_metadata()->set_name("pod");
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(*loop.Run(runtime.RunPodSandbox(pod, minutes(1))));
    *request.mutable_sandbox_config() = pod.config();
    request.mutable_config()->mutable_metadata()->set_name("main");
    request.mutable_config()->mutable_image()->set_image(id);
    if (ours) (*request.mutable_config()->mutable_labels())[decide::kManagedByLabel] = "true";
    const std::string container = *loop.Run(runtime.CreateContainer(request, minutes(1)));
    runtime.SetContainerState(container, state);
    runtime.ClearCalls();
  }

  static constexpr char kName[] = "docker.io/library/a:1";
  testing::TestLoop loop;
  testing::FakeRuntime runtime{loop.executor(), loop.timeline()};
  MemoryImageRecords records;
  Nanoseconds uptime = minutes(3);
  DamagedImages damaged{runtime, runtime, loop.timeline(), records, [this] { return uptime; }, minutes(2)};
  ImagePuller puller{loop.executor(), loop.timeline(), runtime, PullSettings{}, nullptr, nullptr, &damaged};
  std::string id;
};

TEST_F(DamagedImagesTest, AreFetchedAnewOnceWithTheirDeadContainersOutOfTheWay) {
  AddContainer(/*ours=*/true, v1::CONTAINER_EXITED);
  Fail();
  const PullOutcome outcome = Ensure();
  ASSERT_TRUE(outcome.status);
  EXPECT_NE(outcome.image_ref, id);
  EXPECT_THAT(Calls(), ElementsAre("PullImage", "RemoveContainer", "RemoveImage", "PullImage"));
  id = outcome.image_ref;
  records.records[id] = records.records.begin()->second;  // the very same image came again
  runtime.ClearCalls();
  Fail();
  EXPECT_TRUE(Ensure().status);
  EXPECT_THAT(Calls(), ElementsAre());
}

TEST_F(DamagedImagesTest, StayWhereTheyCannotBeFetched) {
  runtime.SetPull(kName, {.error = Error(ErrorKind::kRetry, "no route to host")});
  Fail();
  EXPECT_EQ(Ensure().image_ref, id);
  EXPECT_THAT(Calls(), ElementsAre("PullImage"));
  EXPECT_EQ(Ensure().image_ref, id) << "the back-off of the pull does not keep the container waiting";
  Fail();
  EXPECT_EQ(Ensure("Never").image_ref, id);
  EXPECT_THAT(Calls(), ElementsAre("PullImage"));
}

TEST_F(DamagedImagesTest, StayWhileSomethingRunsOnThem) {
  AddContainer(/*ours=*/true, v1::CONTAINER_RUNNING);
  Fail();
  EXPECT_EQ(Ensure().image_ref, id);
  EXPECT_THAT(Calls(), ElementsAre("PullImage"));
}

TEST_F(DamagedImagesTest, StayWhileContainersOfOthersUseThem) {
  AddContainer(/*ours=*/false, v1::CONTAINER_EXITED);
  Fail();
  EXPECT_EQ(Ensure().image_ref, id);
  EXPECT_THAT(Calls(), ElementsAre("PullImage"));
}

TEST_F(DamagedImagesTest, AreSuspectedOnlyAfterABootAndForTheRightWords) {
  uptime = hours(5);
  Fail();
  EXPECT_FALSE(Suspects());
  uptime = minutes(3);
  puller.NoteFailedStart(id, "context deadline exceeded");
  EXPECT_FALSE(Suspects());
  Fail();
  EXPECT_TRUE(Suspects());
}

}  // namespace
}  // namespace daemonsetd::pods

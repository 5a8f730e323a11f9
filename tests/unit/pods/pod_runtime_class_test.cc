// RuntimeClasses that pods name, in the pod engine: the node's own and those of the API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pods/fake_objects.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PodRuntimeClassTest : public PodEngineTest {
 protected:
  PodRuntimeClassTest() {
    objects = api;
    engine->services.objects = api;
  }

  // A DaemonSet "a" whose pod names this class.
  void Run(const std::string& runtime_class) {
    DaemonSetSource set = MakeDaemonSet("a");
    set.object.mutable_spec()->mutable_template_()->mutable_spec()->set_runtimeclassname(runtime_class);
    daemon_sets = {set};
    Apply();
    loop.Settle();
  }
  std::vector<cri::v1::RunPodSandboxRequest> SandboxRequests() {
    std::vector<cri::v1::RunPodSandboxRequest> requests;
    for (const auto& call : runtime.calls()) {
      if (call.method != "RunPodSandbox") continue;
      requests.push_back(static_cast<const cri::v1::RunPodSandboxRequest&>(*call.request));
    }
    return requests;
  }
  std::vector<std::string> Handlers() {
    std::vector<std::string> handlers;
    for (const auto& request : SandboxRequests()) handlers.push_back(request.runtime_handler());
    return handlers;
  }
  std::vector<std::string> Complaints() {
    std::vector<std::string> messages;
    for (const auto& logged : engine->events.Recent()) {
      if (logged->event.reason() == "FailedCreatePodSandBox") messages.push_back(logged->event.message());
    }
    return messages;
  }
  std::string WaitingFor() { return engine->workers.all().begin()->second->waiting_for(); }

  std::shared_ptr<FakeObjects> api = std::make_shared<FakeObjects>(loop.timeline());
};

TEST_F(PodRuntimeClassTest, TheObjectOfTheApiServerGivesTheHandler) {
  api->SetRuntimeClass("kata", "kata-qemu");
  Run("kata");
  loop.Advance(seconds(1));
  EXPECT_THAT(Handlers(), ElementsAre("kata-qemu"));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodRuntimeClassTest, TheConfigurationWinsAndTheServerIsNotAsked) {
  api->SetRuntimeClass("kata", "kata-qemu");
  engine->services.settings.runtime_classes["kata"] = {.handler = "kata-here", .overhead = {}};
  Run("kata");
  loop.Advance(seconds(1));
  EXPECT_THAT(Handlers(), ElementsAre("kata-here"));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(api->asked_classes(), IsEmpty());
}

TEST_F(PodRuntimeClassTest, NobodyIsAskedForAPodThatNamesNone) {
  Run("");
  loop.Advance(seconds(1));
  EXPECT_THAT(Handlers(), ElementsAre(""));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(api->asked_classes(), IsEmpty());
}

TEST_F(PodRuntimeClassTest, APodWaitsForAClassThatIsNowhereAndStartsByItselfWhenItComes) {
  Run("gvisor");
  loop.Advance(minutes(10));  // by then the back-off is long
  EXPECT_THAT(Handlers(), IsEmpty());
  const auto says = AllOf(HasSubstr("runtimeclass \"gvisor\" not found"), HasSubstr("create it at the API server"),
                          HasSubstr("runtimeClasses in the node's configuration"));
  EXPECT_THAT(Complaints(), Contains(says));
  EXPECT_THAT(WaitingFor(), says);
  EXPECT_EQ(PodStatus().phase(), "Pending");
  api->SetRuntimeClass("gvisor", "runsc");
  loop.Advance(milliseconds(100));
  EXPECT_THAT(Handlers(), ElementsAre("runsc"));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(api->watches(), 0U) << "nothing is waited for any more";
}

// VO-07
TEST_F(PodRuntimeClassTest, AServerThatCannotBeReachedIsNotAMissingClass) {
  api->SetRuntimeClass("gvisor", "runsc");
  api->SetDown(true);
  Run("gvisor");
  loop.Advance(minutes(10));
  EXPECT_THAT(Handlers(), IsEmpty());
  EXPECT_THAT(Complaints(), IsEmpty());
  EXPECT_THAT(WaitingFor(), HasSubstr("cannot be reached"));
  api->SetDown(false);
  loop.Advance(milliseconds(100));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// OF-01
TEST_F(PodRuntimeClassTest, WithoutTheServerItsLastWordGivesTheHandler) {
  api->SetRuntimeClass("gvisor", "runsc");
  api->SetDown(true, /*has_cache=*/true);
  Run("gvisor");
  loop.Advance(seconds(1));
  EXPECT_THAT(Handlers(), ElementsAre("runsc"));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

TEST_F(PodRuntimeClassTest, ASandboxThatIsThereNeedsItsClassNoMore) {
  api->SetRuntimeClass("gvisor", "runsc");
  Run("gvisor");
  loop.Advance(seconds(1));
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  const auto asked = api->asked_classes();
  EXPECT_THAT(asked, ElementsAre("gvisor"));
  api->RemoveRuntimeClass("gvisor");
  runtime.ExitContainer(before[0], 1);
  loop.Advance(seconds(5));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(api->asked_classes(), asked);
  EXPECT_THAT(Complaints(), IsEmpty());

  runtime.KillSandbox(runtime.Sandboxes()[0].id());
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(Complaints(), Contains(HasSubstr("runtimeclass \"gvisor\" not found"))) << "a new one does";
}

// Whoever begins anew has only the runtime's word: image volumes are pulled for the sandbox's handler.
TEST_F(PodRuntimeClassTest, AfterARestartAContainerStartsUnderTheHandlerOfItsSandbox) {
  engine->services.features = [] { return cri::RuntimeFeatures{.handlers = {}, .image_volumes = true}; };
  api->SetRuntimeClass("gvisor", "runsc");
  DaemonSetSource set = MakeDaemonSet("a");
  auto& spec = *set.object.mutable_spec()->mutable_template_()->mutable_spec();
  spec.set_runtimeclassname("gvisor");
  corev1::Volume& volume = *spec.add_volumes();
  volume.set_name("models");
  volume.mutable_volumesource()->mutable_image()->set_reference(kImage);
  corev1::VolumeMount& mount = *Main(set).add_volumemounts();
  mount.set_name("models");
  mount.set_mountpath("/models");
  daemon_sets = {set};
  Apply();
  loop.Advance(seconds(1));
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  api->RemoveRuntimeClass("gvisor");
  Restart();
  runtime.ClearCalls();
  runtime.ExitContainer(before[0], 1);
  loop.Advance(minutes(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  std::vector<std::string> handlers;
  for (const auto& call : runtime.calls()) {
    if (call.method != "CreateContainer") continue;
    const auto& request = static_cast<const cri::v1::CreateContainerRequest&>(*call.request);
    for (const auto& made : request.config().mounts()) {
      if (made.has_image()) handlers.push_back(made.image().runtime_handler());
    }
  }
  EXPECT_THAT(handlers, ElementsAre("runsc"));
}

TEST_F(PodRuntimeClassTest, WithoutAnApiServerThePodSaysWhatItLacks) {
  engine->services.objects = std::make_shared<NoObjects>();
  Run("gvisor");
  loop.Advance(seconds(1));
  EXPECT_THAT(Complaints(), Contains(AllOf(HasSubstr("needs RuntimeClass gvisor: no API server is configured"),
                                           HasSubstr("runtimeClasses in the node's configuration"))));
}

// The sandbox is made as it would be had the API server admitted the pod.
TEST_F(PodRuntimeClassTest, APodWithoutAnObjectHasTheOverheadOfItsClass) {
  api->SetRuntimeClass("kata", "kata-qemu", "120Mi");
  Run("kata");
  loop.Advance(seconds(1));
  ASSERT_THAT(SandboxRequests(), SizeIs(1));
  EXPECT_EQ(SandboxRequests()[0].config().linux().overhead().memory_limit_in_bytes(), 120 << 20);
}

TEST_F(PodRuntimeClassTest, OfAPodWithAnObjectTheObjectTellsTheOverhead) {
  api->SetRuntimeClass("kata", "kata-qemu", "120Mi");
  corev1::Pod pod;
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_metadata()->set_name("p");
  pod.mutable_metadata()->set_uid("uid-1");
  *pod.mutable_spec() = MakeDaemonSet("a").object.spec().template_().spec();
  pod.mutable_spec()->set_runtimeclassname("kata");
  engine->workers.Start({.owner_kind = "Pod", .owner_uid = "uid-1", .from_api_server = true, .object_uid = "uid-1"},
                        pod);
  loop.Advance(seconds(1));
  ASSERT_THAT(SandboxRequests(), SizeIs(1));
  EXPECT_EQ(SandboxRequests()[0].runtime_handler(), "kata-qemu");
  EXPECT_FALSE(SandboxRequests()[0].config().linux().has_overhead());
}

}  // namespace
}  // namespace daemonsetd::pods

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"
#include "agent/decide/mirror_pod.h"
#include "agent/decide/pod_object.h"
#include "tests/unit/decide/pod_merge_fixture.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- Creating and starting

TEST_F(PodMergeTest, MakesTheObjectBeforeThePodStarts) {
  HostSet();
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0"));
  AddObject("p");
  EXPECT_THAT(Actions(), ElementsAre("start pod p"));
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), IsEmpty());
}

// OF-01, OF-06
TEST_F(PodMergeTest, StartsUnderAUidOfItsOwnWhenTheServerCannotBeAsked) {
  HostSet();
  input.server_reachable = false;
  input.daemon_sets = input.objects = Knowledge::kCached;
  EXPECT_THAT(Actions(), ElementsAre("start a provisional pod of set 0"));
}

TEST_F(PodMergeTest, ADeletionThatTheServerCannotBeToldOfDoesNotKeepTheNodeWithoutItsPod) {
  HostSet();
  Terminate(AddObject("p"), 30);
  AddLocal("p", "p").ended = true;
  input.server_reachable = false;
  EXPECT_THAT(Actions(), ElementsAre("start a provisional pod of set 0"));
}

TEST_F(PodMergeTest, StartsACachedObjectWithItsOwnUid) {
  HostSet();
  AddObject("p");
  input.server_reachable = false;
  input.daemon_sets = input.objects = Knowledge::kCached;
  EXPECT_THAT(Actions(), ElementsAre("start pod p"));
}

// OF-13
TEST_F(PodMergeTest, StartsNothingWhileTheServerIsWaitedFor) {
  HostSet();
  AddObject("p");
  input.objects = Knowledge::kWaiting;
  EXPECT_THAT(Actions(), IsEmpty());
  input.objects = Knowledge::kComplete;
  input.daemon_sets = Knowledge::kWaiting;
  EXPECT_THAT(Actions(), IsEmpty());
}

// AW-01
TEST_F(PodMergeTest, ObeysNoDataThatWentBackInTime) {
  HostSet();
  AddLocal("gone", "gone");
  Terminate(AddObject("p"), 30);
  AddLocal("p", "p");
  input.objects = Knowledge::kRolledBack;
  EXPECT_THAT(Actions(), IsEmpty());
  input.objects = Knowledge::kComplete;
  input.daemon_sets = Knowledge::kRolledBack;
  local.pop_back();
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object p with grace 0s")));
}

TEST_F(PodMergeTest, PlansNothingBeforeTheRuntimeWasListed) {
  HostSet();
  Terminate(AddObject("p"), 30);
  input.runtime_listed = false;
  EXPECT_THAT(Actions(), IsEmpty());
}

// PL-08
TEST_F(PodMergeTest, JudgesNothingWithoutANode) {
  HostSet();
  AddLocal("p", "p");
  AddObject("p");
  input.node = nullptr;
  EXPECT_THAT(Actions(), IsEmpty());
}

// RO-05
TEST_F(PodMergeTest, StartsTheNextPodWhenTheOldOneIsGone) {
  HostSet();
  AddLocal("old", "old").stopping = true;
  AddObject("p");
  EXPECT_THAT(Actions(), IsEmpty());
  EXPECT_EQ(plan.waiting_for[0], "the old pod to be gone");
  local.front().ended = true;
  EXPECT_THAT(Actions(), ElementsAre("start pod p", "forget pod old"));
}

// ---- Adopting

// LC-22, PL-07
TEST_F(PodMergeTest, AdoptsWhatRunsAfterARestart) {
  HostSet();
  AddObject("p");
  AddLocal("p", "p").has_worker = false;
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as p"));
}

// OF-13: after a boot nothing runs that could be adopted, and the server may be about to say that it is gone.
TEST_F(PodMergeTest, APodThatABootEndedGoesOnWhenTheServerHadItsTime) {
  HostSet();
  AddObject("p");
  LocalPod& pod = AddLocal("p", "p");
  pod.has_worker = false;
  pod.asleep = true;
  input.server_reachable = false;
  input.daemon_sets = input.objects = Knowledge::kWaiting;
  EXPECT_THAT(Actions(), IsEmpty());
  input.daemon_sets = input.objects = Knowledge::kCached;
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as p"));
  input.server_reachable = true;
  input.daemon_sets = input.objects = Knowledge::kComplete;
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as p"));
  input.sets.clear();
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object p")));
}

// OF-01
TEST_F(PodMergeTest, GoesOnWithAProvisionalPodThatLostItsWorker) {
  HostSet();
  input.server_reachable = false;
  input.daemon_sets = input.objects = Knowledge::kCached;
  LocalPod& pod = AddLocal("provisional", "");
  EXPECT_THAT(Actions(), IsEmpty());
  pod.has_worker = false;
  EXPECT_THAT(Actions(), ElementsAre("go on with provisional pod provisional of set 0"));
  pod.asleep = true;
  EXPECT_THAT(Actions(), ElementsAre("go on with provisional pod provisional of set 0"));
  input.objects = Knowledge::kWaiting;
  EXPECT_THAT(Actions(), IsEmpty());
}

// OF-04
TEST_F(PodMergeTest, WritesTheObjectOfAProvisionalPodAndMapsIt) {
  HostSet();
  AddLocal("mine", "");
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0 for pod mine"));
  AddObject("p");
  EXPECT_THAT(Actions(), ElementsAre("adopt pod mine as p"));
  local.front().object_uid = "p";
  EXPECT_THAT(Actions(), IsEmpty());
}

// OF-04
TEST_F(PodMergeTest, WritesANewObjectForAPodWhoseObjectWentWhileAway) {
  HostSet();
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0 for pod p"));
  AddObject("q");
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as q"));
}

// Made anew for containers that ran on, and failed or deleted before the agent, killed meanwhile, had noted its UID.
TEST_F(PodMergeTest, ANewObjectThatEndedWhileAwayEndsItsContainers) {
  HostSet();
  AddLocal("p", "an object that is gone");
  corev1::Pod& object = AddObject("q");
  object.mutable_metadata()->set_name("p");
  object.mutable_status()->set_phase("Failed");
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as q", "stop pod p within 30s: its phase is Failed",
                                     HasSubstr("delete object q")));
  object.mutable_status()->clear_phase();
  Terminate(object, 20);
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as q", HasSubstr("stop pod p within 20s")));
  object.mutable_metadata()->set_name("another");
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object q"), "create object of set 0 for pod p"))
      << "it is no business of these containers";
}

TEST_F(PodMergeTest, AdoptsAPodThatTheBuiltInControllerMadeOfTheSameContainers) {
  HostSet();
  AddObject("p", "another-hash").mutable_metadata()->clear_annotations();
  LocalPod& mine = AddLocal("mine", "");
  const corev1::Pod running = testing::MakePod({"main"});
  mine.pod = &running;
  EXPECT_THAT(Actions(), ElementsAre("adopt pod mine as p (made elsewhere)"));
}

TEST_F(PodMergeTest, GivesUpAProvisionalPodForTheServersOtherOne) {
  HostSet();
  AddObject("p", "another-hash").mutable_metadata()->clear_annotations();
  AddLocal("mine", "");
  EXPECT_THAT(Actions(), ElementsAre("stop pod mine within 30s: the API server's pod p takes its place"));
  local.front().stopping = local.front().ended = true;
  EXPECT_THAT(Actions(), ElementsAre("start pod p (made elsewhere)", "forget pod mine"));
}

TEST_F(PodMergeTest, APodStartedAfterAnOfflineRebootTakesTheOldObject) {
  HostSet();
  AddObject("p");
  AddLocal("p", "p").ended = true;
  AddLocal("mine", "");
  EXPECT_THAT(Actions(), ElementsAre("adopt pod mine as p", "forget pod p"));
  local.back().object_uid = "p";
  input.objects = Knowledge::kCached;
  EXPECT_THAT(Actions(), IsEmpty()) << "the record that is left over does no harm";
}

TEST_F(PodMergeTest, RunsAPodMadeElsewhereAndMakesNoSecondOne) {
  HostSet();
  AddObject("p", "another-hash").mutable_metadata()->clear_annotations();
  EXPECT_THAT(Actions(), ElementsAre("start pod p (made elsewhere)"));
}

TEST(ResolveExisting, TellsOurOwnPodFromOthers) {
  corev1::Pod pod;
  pod.mutable_spec()->set_nodename("node-a");
  EXPECT_EQ(ResolveExisting(pod, "set", "node-a"), Existing::kNextSequence);
  metav1::OwnerReference& owner = *pod.mutable_metadata()->add_ownerreferences();
  owner.set_kind("DaemonSet");
  owner.set_uid("set");
  owner.set_controller(true);
  EXPECT_EQ(ResolveExisting(pod, "set", "node-a"), Existing::kAdopt);
  EXPECT_EQ(ResolveExisting(pod, "set", "node-b"), Existing::kNextSequence);
  pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_EQ(ResolveExisting(pod, "set", "node-a"), Existing::kWait);
}

// ---- Ending

TEST_F(PodMergeTest, EndsAPodInThreeSteps) {
  HostSet();
  node.mutable_spec()->add_taints()->set_key("k");
  node.mutable_spec()->mutable_taints(0)->set_effect("NoExecute");
  corev1::Pod& object = AddObject("p");
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), ElementsAre("delete object p: taint k:NoExecute is not tolerated"));
  Terminate(object, 30);
  EXPECT_THAT(Actions(), ElementsAre("stop pod p within 30s: its Pod object is being deleted"));
  local.front().stopping = true;
  local.front().kill_at = WallTime(kNow + Seconds(30));
  EXPECT_THAT(Actions(), IsEmpty());
  local.front().ended = true;
  EXPECT_THAT(Actions(), ElementsAre("delete object p with grace 0s: its containers are gone"));
  objects.clear();
  EXPECT_THAT(Actions(), ElementsAre("forget pod p"));
}

TEST_F(PodMergeTest, StopsByItselfWhatNoLongerBelongsHereWhenTheServerIsAway) {
  HostSet();
  (*set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  AddObject("p");
  AddLocal("p", "p");
  input.server_reachable = false;
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("stop pod p within 30s: nodeSelector disk=ssd")));
}

// LC-20
TEST_F(PodMergeTest, AVerdictThatIsNewStopsNothingAndStartsNothing) {  // PL-06
  (*set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  HostSet();
  input.sets.front().may_stop = false;
  AddObject("p");
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), IsEmpty());
  local.front().asleep = true;
  local.front().has_worker = false;
  input.server_reachable = false;
  input.daemon_sets = input.objects = Knowledge::kCached;
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(PodMergeTest, AShorterGraceTakesEffectAndALongerDoesNot) {
  HostSet();
  corev1::Pod& object = AddObject("p");
  Terminate(object, 5);
  LocalPod& pod = AddLocal("p", "p");
  pod.stopping = true;
  pod.kill_at = WallTime(kNow + Seconds(25));
  EXPECT_THAT(Actions(), ElementsAre("stop pod p within 5s: its Pod object is being deleted"));
  pod.kill_at = WallTime(kNow + Seconds(4));
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST(RemainingGrace, IsWithinTheGracePeriod) {
  corev1::Pod pod;
  pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(100);
  pod.mutable_metadata()->set_deletiongraceperiodseconds(30);
  EXPECT_EQ(RemainingGrace(pod, WallTime(Seconds(80))), Seconds(20));
  EXPECT_EQ(RemainingGrace(pod, WallTime(Seconds(10))), Seconds(30)) << "our clock is behind";
  EXPECT_EQ(RemainingGrace(pod, WallTime(Seconds(500))), Seconds(1)) << "the agent was away";
}

TEST_F(PodMergeTest, StopsAPodWhoseObjectWasForcedAway) {
  HostSet();
  AddLocal("p", "p").loss = ObjectLoss::kDeletionSeen;
  EXPECT_THAT(Actions(), ElementsAre("stop pod p within 30s: its Pod object was deleted by force"));
  local.front().stopping = local.front().ended = true;
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0", "forget pod p"));
}

// OF-11
TEST_F(PodMergeTest, StopsAPodThatTheRestoredServerNeverHeardOf) {
  HostSet();
  AddLocal("p", "p").loss = ObjectLoss::kHistoryLost;
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("stop pod p within 30s: the API server's data went back")));
}

// LC-23
TEST_F(PodMergeTest, ATerminalPhaseIsFinal) {
  HostSet();
  input.sets[0].replace_failed = false;
  AddObject("p").mutable_status()->set_phase("Failed");
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), ElementsAre("stop pod p within 30s: its phase is Failed"));
  local.front().ended = true;
  EXPECT_THAT(Actions(), IsEmpty());
  input.sets[0].replace_failed = true;
  EXPECT_THAT(Actions(), ElementsAre("delete object p: it failed, and its replacement is due"));
}

// ---- DaemonSets that go

TEST_F(PodMergeTest, TellsTheServerOfAnEvictionThatOnlyTheCheckpointKnows) {
  HostSet();
  input.sets[0].replace_failed = false;
  AddObject("p").mutable_status()->set_phase("Running");
  LocalPod& evicted = AddLocal("p", "p");
  evicted.status = nullptr;
  evicted.has_worker = false;
  evicted.ended = true;
  evicted.terminal_phase = "Failed";
  evicted.end = PodEnd{.reason = "Evicted", .message = "why"};
  EXPECT_THAT(Actions(), ElementsAre("write status of object p"));
  const auto& write = std::get<merge::WriteStatus>(plan.actions.at(0));
  EXPECT_EQ(write.status.phase(), "Failed");
  EXPECT_EQ(write.status.reason(), "Evicted");
}

TEST_F(PodMergeTest, DeletesPodsOfADaemonSetThatIsGone) {
  AddObject("p");
  AddLocal("p", "p");
  AddLocal("mine", "");
  EXPECT_THAT(Actions(),
              ElementsAre("stop pod mine within 30s: its DaemonSet is gone", "delete object p: its DaemonSet is gone"));
  const auto& deletion = std::get<merge::DeleteObject>(plan.actions[1]);
  EXPECT_EQ(deletion.resource_version, "7") << "its owner reference has to be there still";
}

// OF-08
TEST_F(PodMergeTest, AMissingSourceNeverMeansDelete) {
  AddObject("p");
  AddLocal("p", "p");
  AddLocal("mine", "");
  for (const Knowledge knowledge : {Knowledge::kWaiting, Knowledge::kCached, Knowledge::kRolledBack}) {
    input.daemon_sets = knowledge;
    input.objects = Knowledge::kComplete;
    EXPECT_THAT(Actions(), IsEmpty());
    input.daemon_sets = Knowledge::kComplete;
    input.objects = knowledge;
    EXPECT_THAT(Actions(), IsEmpty());
  }
}

TEST_F(PodMergeTest, AnOrphanRunsOnWithoutItsSet) {
  AddObject("p", "new", "");
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), ElementsAre("release pod p"));
  local.front().owner_uid.clear();
  EXPECT_THAT(Actions(), IsEmpty());
  Terminate(objects.front(), 30);
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("stop pod p")));
}

TEST_F(PodMergeTest, ASetThatSelectsAnOrphanTakesIt) {
  HostSet();
  corev1::Pod& object = AddObject("p", "new", "");
  AddLocal("p", "p").owner_uid.clear();
  EXPECT_THAT(Actions(), ElementsAre("claim object p for set 0"));
  metav1::OwnerReference& owner = *object.mutable_metadata()->add_ownerreferences();
  owner.set_kind("DaemonSet");
  owner.set_uid("set");
  owner.set_controller(true);
  EXPECT_THAT(Actions(), ElementsAre("adopt pod p as p"));
}

// Also before the set may claim it, another pod of the set does not start beside it.
TEST_F(PodMergeTest, AnOrphanThatRunsCountsAsAPodOfTheSetThatSelectsIt) {
  HostSet();
  AddObject("p", "new", "");
  AddLocal("p", "p").owner_uid.clear();
  AddObject("q");
  input.daemon_sets = Knowledge::kCached;
  EXPECT_THAT(Actions(), IsEmpty());
  EXPECT_EQ(plan.waiting_for[0], "the old pod to be gone");
}

TEST_F(PodMergeTest, APodWhoseLabelsLeftTheSelectorIsLetGoAndReplaced) {
  HostSet();
  (*AddObject("p").mutable_metadata()->mutable_labels())["app"] = "quarantine";
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), ElementsAre("release object p from set"));
  objects.front().mutable_metadata()->clear_ownerreferences();
  EXPECT_THAT(Actions(), ElementsAre("release pod p"));
  local.front().owner_uid.clear();
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0"));
}

TEST_F(PodMergeTest, ASetUnderDeletionIsHandledAsGarbageCollectionWould) {
  HostSet();
  set.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_THAT(Actions(), IsEmpty()) << "no new pod";
  AddObject("p");
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), IsEmpty());
  set.mutable_metadata()->add_finalizers("orphan");
  EXPECT_THAT(Actions(), ElementsAre("release object p from set"));
  set.mutable_metadata()->set_finalizers(0, "foregroundDeletion");
  EXPECT_THAT(Actions(), ElementsAre("delete object p: its DaemonSet is being deleted"));
}

// ---- Pod sources

TEST_F(PodMergeTest, BoundRunsWhatOthersMakeAndMakesNone) {
  HostSet();
  input.source = PodSource::kBound;
  EXPECT_THAT(Actions(), IsEmpty());
  AddObject("p");
  AddObject("other", "new", "");
  EXPECT_THAT(Actions(), ElementsAre("start pod p"));
  objects.clear();
  AddLocal("p", "p");
  EXPECT_THAT(Actions(), ElementsAre("stop pod p within 30s: its Pod object is gone"));
}

TEST_F(PodMergeTest, BoundAllRunsEveryPodOfTheNode) {
  input.source = PodSource::kBoundAll;
  AddObject("a", "", "");
  AddObject("b", "", "").mutable_spec()->set_nodename("node-b");
  EXPECT_THAT(Actions(), ElementsAre("start pod a"));
}

TEST_F(PodMergeTest, LocalLeavesOtherPodsAlone) {
  AddObject("other", "new", "");
  EXPECT_THAT(Actions(), IsEmpty());
}

// ---- Static pods

class MirrorTest : public PodMergeTest {
 protected:
  MirrorTest() : static_pod(testing::MakePod({"main"})) {
    LocalPod& pod = AddLocal("static", "");
    pod.owner_uid.clear();
    pod.name = static_pod.metadata().name();
    pod.is_static = true;
    pod.pod = &static_pod;
  }
  corev1::Pod& AddMirror() {
    corev1::Pod& mirror = objects.emplace_back(MakeMirrorPod(static_pod, "node-a", "node-uid"));
    mirror.mutable_metadata()->set_uid("mirror");
    return mirror;
  }
  corev1::Pod static_pod;
};

TEST_F(MirrorTest, AStaticPodGetsAMirrorOnceTheNodeIsRegistered) {
  input.node_uid.clear();
  EXPECT_THAT(Actions(), IsEmpty());
  input.node_uid = "node-uid";
  EXPECT_THAT(Actions(), ElementsAre("create mirror of pod static"));
  AddMirror();
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(MirrorTest, AMirrorThatIsNotCurrentIsMadeAnewAndThePodRunsOn) {
  corev1::Pod& mirror = AddMirror();
  static_pod.mutable_spec()->mutable_containers(0)->set_image("x:2");
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object mirror with grace 0s")));
  static_pod.mutable_spec()->mutable_containers(0)->clear_image();
  Terminate(mirror, 30);
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object mirror with grace 0s")));
}

// PL-18
TEST_F(MirrorTest, ANewNodeGetsNewMirrors) {
  AddMirror();
  input.node_uid = "another-uid";
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object mirror with grace 0s")));
}

TEST_F(MirrorTest, AMirrorWithoutItsStaticPodGoesOnceAllManifestsWereRead) {
  AddMirror();
  local.clear();
  input.manifests_complete = false;
  EXPECT_THAT(Actions(), IsEmpty());
  input.manifests_complete = true;
  EXPECT_THAT(Actions(), ElementsAre("delete object mirror with grace 0s: no manifest asks for it any more"));
}

TEST_F(MirrorTest, TheMirrorShowsThePodsStatus) {
  AddMirror();
  corev1::PodStatus status;
  status.set_phase("Running");
  local.front().status = &status;
  EXPECT_THAT(Actions(), ElementsAre("write status of object mirror"));
  *objects.front().mutable_status() = status;
  EXPECT_THAT(Actions(), IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::decide

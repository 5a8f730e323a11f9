// What a merge makes of a new template: the old pod runs until somebody deletes it, or the new one is made beside it.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/decide/pod_merge_fixture.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PodUpdateTest : public PodMergeTest {
 protected:
  PodUpdateTest() { HostSet(); }

  appsv1::RollingUpdateDaemonSet& Rolling() {
    set.mutable_spec()->mutable_updatestrategy()->set_type("RollingUpdate");
    return *set.mutable_spec()->mutable_updatestrategy()->mutable_rollingupdate();
  }
  void Surge() { Rolling().mutable_maxsurge()->set_intval(1); }
  static void Ask(corev1::Pod& old, const std::string& hash) {
    (*old.mutable_metadata()->mutable_annotations())[kSurgeAnnotation] = hash;
  }
  static void SayReady(corev1::Pod& object) {
    corev1::PodCondition& ready = *object.mutable_status()->add_conditions();
    ready.set_type("Ready");
    ready.set_status("True");
  }
  // Runs here, ready and available.
  corev1::Pod& Runs(const std::string& uid, const std::string& hash) {
    corev1::Pod& object = AddObject(uid, hash);
    AddLocal(uid, uid, hash).available = true;
    local.back().pod = &object;
    return object;
  }
  LocalPod& Local(const std::string& uid) {
    return *std::find_if(local.begin(), local.end(), [&](const LocalPod& pod) { return pod.uid == uid; });
  }
  // Old and new side by side; the new one is not ready yet.
  void RunBoth() {
    Surge();
    Ask(Runs("old", "old"), "new");
    Runs("next", "new");
    Local("next").ready = Local("next").available = false;
  }
};

// ---- One after the other

TEST_F(PodUpdateTest, AnOldPodStaysUntilSomebodyDeletesIt) {
  corev1::Pod& old = Runs("old", "old");
  EXPECT_THAT(Actions(), IsEmpty());
  EXPECT_THAT(plan.outdated, ElementsAre("old")) << "so its images are wanted";
  Terminate(old, 30);
  EXPECT_THAT(Actions(), ElementsAre("stop pod old within 30s: its Pod object is being deleted"));
  EXPECT_THAT(plan.outdated, ElementsAre("old"));
}

// RO-05
TEST_F(PodUpdateTest, ANewPodIsNotMadeWhileContainersOfTheOldOneAreLeft) {
  Terminate(Runs("old", "old"), 30);
  Local("old").stopping = true;
  Local("old").kill_at = input.now + Seconds(30);
  EXPECT_THAT(Actions(), IsEmpty());
  Local("old").pod = nullptr;
  objects.clear();  // deleted by force
  Local("old").loss = ObjectLoss::kDeletionSeen;
  EXPECT_THAT(Actions(), IsEmpty());
  EXPECT_THAT(plan.waiting_for, ElementsAre("the old pod to be gone"));
  Local("old").ended = true;
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0", "forget pod old"));
}

TEST_F(PodUpdateTest, ImagesAreWantedOnlyWhereANewPodIsToRunInPlaceOfAnOldOne) {
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0"));
  EXPECT_THAT(plan.outdated, ElementsAre("")) << "there is no pod to wait for";
  Runs("old", "old");
  Actions();
  EXPECT_THAT(plan.outdated, ElementsAre("old"));
  node.mutable_spec()->add_taints()->set_key("busy");
  node.mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  Actions();
  EXPECT_THAT(plan.outdated, ElementsAre("")) << "the node should run none";
  node.mutable_spec()->clear_taints();
  Local("old").terminal_phase = "Failed";
  Actions();
  EXPECT_THAT(plan.outdated, ElementsAre("")) << "it is replaced at once";
  Local("old").terminal_phase.clear();
  Runs("next", "new");
  Actions();
  EXPECT_THAT(plan.outdated, ElementsAre("")) << "the new pod sees to its images itself";
}

// ---- Side by side

TEST_F(PodUpdateTest, StartsTheNewPodBesideTheOldOneWhenAskedTo) {
  Surge();
  corev1::Pod& old = Runs("old", "old");
  EXPECT_THAT(Actions(), IsEmpty()) << "not before the coordinator says so";
  Ask(old, "an earlier one");
  EXPECT_THAT(Actions(), IsEmpty()) << "that was about another template";
  Ask(old, "new");
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0"));
  AddObject("next");
  EXPECT_THAT(Actions(), ElementsAre("start pod next"));
  AddLocal("next", "next").ready = false;
  EXPECT_THAT(Actions(), IsEmpty());
  // RO-03: by this machine's own clock, whatever the object says
  SayReady(objects.back());
  local.back().ready = true;
  EXPECT_THAT(Actions(), IsEmpty());
  local.back().available = true;
  EXPECT_THAT(Actions(), ElementsAre("delete object old: the pod of the new template is available"));
}

TEST_F(PodUpdateTest, AMarkOnAPodOfASetThatDoesNotSurgeSaysNothing) {
  Ask(Runs("old", "old"), "new");
  EXPECT_THAT(Actions(), IsEmpty());
  Rolling().mutable_maxsurge()->set_intval(0);
  EXPECT_THAT(Actions(), IsEmpty());
  Surge();
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0"));
}

// RO-08
TEST_F(PodUpdateTest, TheOldPodStaysAsLongAsTheNewOneIsNotAvailable) {
  RunBoth();
  EXPECT_THAT(Actions(), IsEmpty());
  Local("next").ready = true;
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(PodUpdateTest, AnOldPodThatIsNotReadyAnyMoreGoes) {
  RunBoth();
  Local("old").ready = Local("old").available = false;
  EXPECT_THAT(Actions(), ElementsAre("delete object old: its template changed and it is not ready"));
}

TEST_F(PodUpdateTest, APodThatOnlyTheRuntimeKnowsYetIsNotTakenForOneThatIsNotReady) {
  RunBoth();
  SayReady(objects.front());
  Local("old").has_worker = false;  // the agent has just started, and one of its containers has ended long since
  Local("old").ready = Local("old").available = false;
  EXPECT_THAT(Actions(), ElementsAre("adopt pod old as old"));
}

TEST_F(PodUpdateTest, ASurgeEndsWhenTheServerCanBeAsked) {
  RunBoth();
  Local("next").ready = Local("next").available = true;
  input.server_reachable = false;
  EXPECT_THAT(Actions(), IsEmpty());
  Local("old").ready = Local("old").available = false;
  EXPECT_THAT(Actions(), IsEmpty());
  input.server_reachable = true;
  EXPECT_THAT(Actions(), ElementsAre(HasSubstr("delete object old")));
}

TEST_F(PodUpdateTest, ANewTemplateWhileBothRunLeavesTheOldestOfTheOldOnes) {
  RunBoth();
  input.sets[0].template_hash = "newer";
  EXPECT_THAT(Actions(), ElementsAre("delete object next: another pod of the same DaemonSet is ready or older"));
  EXPECT_THAT(plan.outdated, ElementsAre("old"));
  local.pop_back();
  objects.pop_back();
  EXPECT_THAT(Actions(), IsEmpty()) << "the mark is about the template before";
}

TEST_F(PodUpdateTest, ASetThatSurgesNoMoreKeepsOnePod) {
  RunBoth();
  Rolling().mutable_maxsurge()->set_intval(0);
  EXPECT_THAT(Actions(), ElementsAre("delete object next: another pod of the same DaemonSet is older"));
}

// Neither is ready then, whatever the objects remember, and the old one has nothing to go on with.
TEST_F(PodUpdateTest, AfterABootOnlyTheNewPodComesBack) {
  RunBoth();
  for (LocalPod& pod : local) {
    pod.has_worker = pod.ready = pod.available = false;
    pod.asleep = true;
  }
  for (corev1::Pod& object : objects) SayReady(object);
  EXPECT_THAT(Actions(),
              ElementsAre("adopt pod next as next", "delete object old: its template changed and it is not ready"));
}

// RO-06, RO-07
TEST_F(PodUpdateTest, NothingIsMadeBesideAPodWhosePortOfTheHostItNeeds) {
  Surge();
  corev1::PodSpec& spec = *set.mutable_spec()->mutable_template_()->mutable_spec();
  spec.set_hostnetwork(true);
  spec.add_containers()->add_ports()->set_containerport(9100);
  Ask(Runs("old", "old"), "new");
  EXPECT_THAT(Actions(), IsEmpty());
  spec.mutable_containers(0)->clear_ports();
  EXPECT_THAT(Actions(), ElementsAre("create object of set 0"));
}

// ---- Labels

class MislabelledPodTest : public PodUpdateTest {
 protected:
  MislabelledPodTest() : object(Runs("p", "new")) {
    corev1::Container& container = *set.mutable_spec()->mutable_template_()->mutable_spec()->add_containers();
    container = object.spec().containers(0);
    container.set_image("registry.example/agent:2");
    Local("p").template_hash = "old";
  }
  corev1::Pod& object;
};

// RO-18
TEST_F(MislabelledPodTest, ALabelThatTheContainersBelieIsPutRight) {
  EXPECT_THAT(Actions(), ElementsAre("label object p with old, the template that made it"));
  EXPECT_THAT(plan.outdated, ElementsAre("p"));
  (*object.mutable_metadata()->mutable_labels())[kRevisionHashLabel] = "old";
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(MislabelledPodTest, APodOfTheSameContainersIsTakenForWhatItsLabelSays) {
  *set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0) = object.spec().containers(0);
  EXPECT_THAT(Actions(), IsEmpty());
  EXPECT_THAT(plan.outdated, ElementsAre(""));
}

TEST_F(MislabelledPodTest, APodThatAControllerMadeMayHaveBeenLabelledAnew) {
  object.mutable_metadata()->clear_annotations();
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(MislabelledPodTest, WhatTheSandboxSaysUnderAnotherVersionOfTheHashSaysNothing) {
  Local("p").template_hash.clear();
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(MislabelledPodTest, ASurgeMayBeginBesideIt) {
  Surge();
  Ask(object, "new");
  EXPECT_THAT(Actions(), ElementsAre("label object p with old, the template that made it", "create object of set 0"));
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/decide/rollout_conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/api_time.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;

const MonoTime kStart{std::chrono::hours(1)};
const WallTime kNow{Seconds(1'800'000'000)};
constexpr Nanoseconds kDeadline = minutes(10);

RolloutProgress ProgressOf(std::int32_t updated, std::int32_t desired) {
  return {.desired = desired,
          .updated = updated,
          .outdated = desired - updated,
          .max_unavailable = 1,
          .rolling = true,
          .complete = updated == desired};
}

// "True WithinBudget: 9 of 10 nodes ..."
std::string Text(const google::protobuf::RepeatedPtrField<appsv1::DaemonSetCondition>& conditions,
                 std::string_view type) {
  for (const appsv1::DaemonSetCondition& condition : conditions) {
    if (condition.type() == type) {
      return condition.status() + " " + condition.reason() + ": " + condition.message();
    }
  }
  return "none";
}

std::string ProgressingText(const RolloutProgress& progress, bool deadline_passed = false,
                            const appsv1::DaemonSet& daemon_set = {}) {
  return Text(RolloutConditions(daemon_set, progress, deadline_passed, kNow), kProgressingCondition);
}

std::string AvailableText(const RolloutProgress& progress) {
  return Text(RolloutConditions({}, progress, false, kNow), kAvailableCondition);
}

// ---- The deadline

// RO-19
TEST(NoteProgress, TheDeadlineRunsFromTheLastNodeThatWasUpdated) {
  ProgressMemory memory;
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(0, 10), kDeadline, kStart), kStart + kDeadline);
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(0, 10), kDeadline, kStart + minutes(4)), kStart + kDeadline);
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(8, 10), kDeadline, kStart + minutes(5)), kStart + minutes(15));
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(8, 10), kDeadline, kStart + minutes(60)), kStart + minutes(15))
      << "it has passed";
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(9, 10), kDeadline, kStart + minutes(61)), kStart + minutes(71));
}

TEST(NoteProgress, ANodeThatComesAndGoesIsNoProgress) {
  ProgressMemory memory;
  NoteProgress(memory, 1, ProgressOf(5, 10), kDeadline, kStart);
  NoteProgress(memory, 1, ProgressOf(4, 10), kDeadline, kStart + minutes(1));
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(5, 10), kDeadline, kStart + minutes(2)), kStart + kDeadline);
}

TEST(NoteProgress, AChangeOfTheDaemonSetBeginsANew) {
  ProgressMemory memory;
  NoteProgress(memory, 1, ProgressOf(5, 10), kDeadline, kStart);
  EXPECT_EQ(NoteProgress(memory, 2, ProgressOf(0, 10), kDeadline, kStart + minutes(20)), kStart + minutes(30));
}

TEST(NoteProgress, NothingIsWaitedForWhereNothingIsToCome) {
  ProgressMemory memory;
  RolloutProgress on_delete = ProgressOf(5, 10);
  on_delete.rolling = false;
  EXPECT_EQ(NoteProgress(memory, 1, on_delete, kDeadline, kStart), std::nullopt);
  RolloutProgress refused = ProgressOf(5, 10);
  refused.refusal = "the port";
  EXPECT_EQ(NoteProgress(memory, 1, refused, kDeadline, kStart), std::nullopt);
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(10, 10), kDeadline, kStart), std::nullopt);
}

TEST(NoteProgress, WhatComesAfterACompleteRolloutHasItsOwnDeadline) {
  ProgressMemory memory;
  NoteProgress(memory, 1, ProgressOf(9, 10), kDeadline, kStart);
  NoteProgress(memory, 1, ProgressOf(10, 10), kDeadline, kStart + minutes(1));
  EXPECT_EQ(NoteProgress(memory, 1, ProgressOf(9, 10), kDeadline, kStart + minutes(600)), kStart + minutes(610));
}

// ---- Progressing

TEST(RolloutConditions, SayHowFarARolloutIs) {
  RolloutProgress progress = ProgressOf(7, 10);
  progress.broken = {"n3"};
  EXPECT_EQ(ProgressingText(progress),
            "True RolloutInProgress: 7 of 10 nodes run the present template and are available; pods are not available "
            "on 1 node (n3)");
  progress.images_awaited = true;
  progress.broken.clear();
  EXPECT_EQ(ProgressingText(progress),
            "True RolloutInProgress: 7 of 10 nodes run the present template and are available; the next nodes are "
            "fetching their images");
}

TEST(RolloutConditions, ACompleteRolloutNamesWhomItDidNotWaitFor) {
  EXPECT_EQ(ProgressingText(ProgressOf(10, 10), /*deadline_passed=*/true),
            "True RolloutComplete: Every node has been updated");
  RolloutProgress progress = ProgressOf(6, 10);
  progress.complete = true;
  progress.set_aside = {"a", "b", "c", "d"};
  EXPECT_EQ(
      ProgressingText(progress),
      "True RolloutComplete: Every node has been updated; 4 nodes (a, b, c and 1 more) not waited for: not ready, "
      "and not because of this rollout");
  EXPECT_EQ(ProgressingText(ProgressOf(0, 0)), "True RolloutComplete: No node should run a pod of it");
}

// RO-19, RO-02
TEST(RolloutConditions, AStuckRolloutSaysWhatItWaitsFor) {
  RolloutProgress progress = ProgressOf(6, 10);
  progress.broken = {"n3", "n4"};
  progress.dead_updated = {"n5"};
  progress.set_aside = {"n6"};
  EXPECT_EQ(
      ProgressingText(progress, /*deadline_passed=*/true),
      "False ProgressDeadlineExceeded: No node was updated within the deadline: 6 of 10 nodes run the present "
      "template and are available; 1 node (n5) went down during the rollout and may have been brought down by it; "
      "pods are not available on 2 nodes (n3, n4); 1 node (n6) not waited for: not ready, and not because of this "
      "rollout");
}

TEST(RolloutConditions, OnDeleteWaitsForPeopleAndHasNoDeadline) {
  RolloutProgress progress = ProgressOf(1, 1);
  progress.desired = 3;
  progress.outdated = 2;
  progress.rolling = progress.complete = false;
  EXPECT_EQ(ProgressingText(progress, /*deadline_passed=*/true),
            "True OnDelete: 1 of 3 nodes run the present template and are available; a pod of an older template stays "
            "until somebody deletes it");
}

// RO-07
TEST(RolloutConditions, ARefusalIsToldEvenWhenAllIsUpdated) {
  RolloutProgress progress = ProgressOf(3, 3);
  progress.refusal = "container web takes port 8080 of the host";
  EXPECT_EQ(ProgressingText(progress), "False SurgeHostPortConflict: container web takes port 8080 of the host");
}

// RO-19: a node that dies a week later is no stuck rollout.
TEST(RolloutConditions, ARolloutThatWasCompleteStaysSo) {
  auto was_complete = FromYaml<appsv1::DaemonSet>(
      "{metadata: {generation: 4}, status: {observedGeneration: 4, conditions: [{type: Progressing, status: 'True', "
      "reason: RolloutComplete}]}}");
  RolloutProgress progress = ProgressOf(9, 10);
  progress.outdated = 0;
  progress.dead_updated = {"n1"};
  EXPECT_EQ(ProgressingText(progress, true, was_complete), "True RolloutComplete: Every node has been updated");

  RolloutProgress returned = progress;
  returned.outdated = 1;
  EXPECT_THAT(ProgressingText(returned, false, was_complete), testing::StartsWith("True RolloutInProgress"))
      << "a node came back with an old pod";
  was_complete.mutable_metadata()->set_generation(5);
  EXPECT_THAT(ProgressingText(progress, true, was_complete), testing::StartsWith("False ProgressDeadlineExceeded"))
      << "that was the one before";
}

// ---- Available

// ST-09, RO-02
TEST(RolloutConditions, TellNodeTroubleFromPodTrouble) {
  RolloutProgress progress = ProgressOf(10, 10);
  EXPECT_EQ(AvailableText(progress), "True AllAvailable: 10 of 10 nodes have an available pod");
  progress.broken = {"n1"};
  EXPECT_EQ(AvailableText(progress),
            "True WithinBudget: 9 of 10 nodes have an available pod; without an available pod: 1 node (n1)");
  progress.broken = {"n1", "n2"};
  EXPECT_EQ(AvailableText(progress),
            "False PodsNotAvailable: 8 of 10 nodes have an available pod; without an available pod: 2 nodes (n1, n2)");
  progress.dead_updated = {"n4"};
  progress.set_aside = {"n3", "n5"};
  EXPECT_EQ(AvailableText(progress),
            "False NodesAndPodsNotReady: 5 of 10 nodes have an available pod; not ready: 3 nodes (n3, n4, n5); without "
            "an available pod: 2 nodes (n1, n2)");
  progress.broken.clear();
  EXPECT_EQ(AvailableText(progress),
            "False NodesNotReady: 7 of 10 nodes have an available pod; not ready: 3 nodes (n3, n4, n5)");
  EXPECT_EQ(AvailableText(ProgressOf(0, 0)), "True AllAvailable: 0 of 0 nodes have an available pod");
}

TEST(RolloutConditions, AreShortHoweverManyNodesThereAre) {
  RolloutProgress progress = ProgressOf(0, 5000);
  for (int i = 1000; i < 6000; ++i) progress.broken.push_back("node-" + std::to_string(i));
  EXPECT_EQ(AvailableText(progress),
            "False PodsNotAvailable: 0 of 5000 nodes have an available pod; without an available pod: 5000 nodes "
            "(node-1000, node-1001, node-1002 and 4997 more)");
}

// ---- Beside what is there

TEST(RolloutConditions, KeepOthersAndTheTimeOfAnUnchangedStatus) {
  const auto set = FromYaml<appsv1::DaemonSet>(
      "{status: {conditions: [{type: Ours, status: Unknown, message: somebody's}, {type: Available, status: 'True', "
      "reason: AllAvailable, lastTransitionTime: '2026-01-01T00:00:00Z'}, {type: Progressing, status: 'True', reason: "
      "RolloutComplete, lastTransitionTime: '2026-01-01T00:00:00Z'}]}}");
  RolloutProgress progress = ProgressOf(9, 10);
  progress.broken = {"n1"};
  const auto conditions = RolloutConditions(set, progress, /*deadline_passed=*/true, kNow);
  ASSERT_EQ(conditions.size(), 3);
  EXPECT_EQ(conditions[0].SerializeAsString(), set.status().conditions(0).SerializeAsString());
  EXPECT_EQ(conditions[1].reason(), "WithinBudget");
  EXPECT_EQ(conditions[1].lasttransitiontime().seconds(), set.status().conditions(1).lasttransitiontime().seconds());
  EXPECT_EQ(conditions[2].status(), "False");
  EXPECT_EQ(FromApiTime(conditions[2].lasttransitiontime()), kNow);
}

TEST(RolloutConditions, ChangeNothingByThemselves) {
  appsv1::DaemonSet set;
  RolloutProgress progress = ProgressOf(9, 10);
  progress.broken = {"n1"};
  *set.mutable_status()->mutable_conditions() = RolloutConditions(set, progress, false, kNow);
  const auto later = RolloutConditions(set, progress, false, kNow + std::chrono::hours(1));
  ASSERT_EQ(later.size(), 2);
  for (int i = 0; i < later.size(); ++i) {
    EXPECT_EQ(later[i].SerializeAsString(), set.status().conditions(i).SerializeAsString());
  }
}

}  // namespace
}  // namespace daemonsetd::decide

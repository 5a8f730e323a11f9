#include "agent/decide/image_garbage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "agent/decide/damaged_image.h"
#include "agent/decide/garbage.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr WallTime kNow{hours(1000)};
constexpr ImageThresholds kThresholds{.high_percent = 85, .low_percent = 80, .minimum_age = minutes(2)};
constexpr ImageSpace kFull{.capacity = 1000, .available = 100};

ImageOnNode Image(const std::string& id, Nanoseconds last_used_ago = hours(1)) {
  return {.id = id,
          .names = {"docker.io/library/" + id + ":1"},
          .bytes = 10,
          .first_seen = kNow - hours(100),
          .last_used = kNow - last_used_ago};
}

std::vector<std::string> Ids(const std::vector<const ImageOnNode*>& images) {
  std::vector<std::string> ids;
  for (const ImageOnNode* image : images) ids.push_back(image->id);
  return ids;
}

TEST(ImageGarbage, NothingGoesBelowTheHighThreshold) {
  const std::vector<ImageOnNode> images{Image("a")};
  const ImagesToRemove plan = PlanImageRemoval(images, {}, {.capacity = 1000, .available = 151}, kThresholds, kNow);
  EXPECT_EQ(plan.bytes_wanted, 0u);
  EXPECT_THAT(plan.candidates, IsEmpty());
}

TEST(ImageGarbage, FromTheHighThresholdItGoesDownToTheLowOne) {
  EXPECT_EQ(BytesToFree({.capacity = 1000, .available = 150}, kThresholds), 50u);
  EXPECT_EQ(BytesToFree({.capacity = 1000, .available = 0}, kThresholds), 200u);
  EXPECT_FALSE(IsBelowLowThreshold({.capacity = 1000, .available = 199}, kThresholds));
  EXPECT_TRUE(IsBelowLowThreshold({.capacity = 1000, .available = 200}, kThresholds));
}

TEST(ImageGarbage, AThresholdOfAHundredNeverRemoves) {
  EXPECT_EQ(BytesToFree({.capacity = 1000, .available = 0}, {.high_percent = 100, .low_percent = 80}), 0u);
}

TEST(ImageGarbage, NoSizeOfADiskOverflows) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_GT(BytesToFree({.capacity = kMost, .available = 0}, kThresholds), kMost / 6);
  EXPECT_EQ(BytesToFree({.capacity = 0, .available = 0}, kThresholds), 0u) << "nobody knows";
  EXPECT_EQ(BytesToFree({.capacity = 10, .available = 20}, kThresholds), 0u);
}

TEST(ImageGarbage, ThoseNotUsedForLongestGoFirst) {
  std::vector<ImageOnNode> images{Image("new", minutes(1)), Image("old", hours(9)), Image("never"), Image("earlier")};
  images[2].last_used.reset();
  images[3].last_used.reset();
  images[3].first_seen -= hours(1);
  EXPECT_THAT(Ids(PlanImageRemoval(images, {}, kFull, kThresholds, kNow).candidates),
              ElementsAre("earlier", "never", "old", "new"));
}

// GC-01, GC-02
TEST(ImageGarbage, WhatIsNeededStays) {
  std::vector<ImageOnNode> images{Image("used"),  Image("wanted"),          Image("pinned"), Image("mine"),
                                  Image("young"), Image("from-the-future"), Image("goes")};
  images[2].pinned = true;
  images[4].first_seen = kNow - minutes(1);
  images[5].first_seen = kNow + hours(1);
  const ImagesToKeep keep{.images = {"used", "docker.io/library/wanted:1"}, .patterns = {"docker.io/library/mi*"}};
  EXPECT_THAT(Ids(PlanImageRemoval(images, keep, kFull, kThresholds, kNow).candidates), ElementsAre("goes"));
}

// GC-01: where a runtime neither names nor pins it.
TEST(ImageGarbage, APauseImageStaysInAnyCase) {
  std::vector<ImageOnNode> images{Image("a"), Image("b"), Image("c"), Image("d")};
  images[0].names = {"registry.k8s.io/pause:3.10"};
  images[1].names = {"registry.k8s.io/pause@sha256:1234"};
  images[2].names = {"example.com/pausefish:1"};
  images[3].names = {"example.com/pause/else:1"};
  EXPECT_THAT(Ids(UnusedImages(images, {}, minutes(2), kNow)), ElementsAre("c", "d"));
}

TEST(ImageGarbage, AnImageWithoutAnyNameGoesToo) {
  std::vector<ImageOnNode> images{Image("a")};
  images[0].names.clear();
  EXPECT_THAT(Ids(UnusedImages(images, {}, minutes(2), kNow)), ElementsAre("a"));
}

TEST(ImageGarbage, PatternsAreNamesOrBeginnings) {
  EXPECT_TRUE(MatchesImagePattern("quay.io/a/b:1", "quay.io/a/b:1"));
  EXPECT_TRUE(MatchesImagePattern("quay.io/a/b:1", "quay.io/a/*"));
  EXPECT_FALSE(MatchesImagePattern("quay.io/a/b:1", "quay.io/a/b"));
  EXPECT_FALSE(MatchesImagePattern("quay.io/ab", "quay.io/a/*"));
}

// Whatever the node looks like: nothing that must stay is offered, nothing is offered twice, the order is that of use,
// and without a shortage nothing is offered at all.
TEST(ImageGarbageProperty, HoldsInRandomWorlds) {
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](std::uint32_t limit) { return random() % limit; };
    std::vector<ImageOnNode> images;
    ImagesToKeep keep;
    for (std::uint32_t i = 0; i < below(20); ++i) {
      ImageOnNode image = Image("i" + std::to_string(i), minutes(below(300)));
      if (below(4) == 0) image.last_used.reset();
      image.pinned = below(5) == 0;
      image.first_seen = kNow - minutes(below(6));
      image.names.push_back("example.com/x@" + image.id);
      if (below(5) == 0) keep.images.insert(below(2) == 0 ? image.id : image.names[below(2)]);
      if (below(9) == 0) keep.patterns.push_back(image.names[below(2)]);
      images.push_back(std::move(image));
    }
    const ImageSpace space{.capacity = 1000, .available = below(1001)};
    const ImagesToRemove plan = PlanImageRemoval(images, keep, space, kThresholds, kNow);
    const bool full = space.capacity - space.available >= 850;
    ASSERT_EQ(plan.bytes_wanted > 0, full) << "seed " << seed;
    if (!full) ASSERT_THAT(plan.candidates, IsEmpty()) << "seed " << seed;
    std::set<std::string> offered;
    std::optional<WallTime> last;
    for (const ImageOnNode* image : plan.candidates) {
      ASSERT_TRUE(offered.insert(image->id).second) << "seed " << seed;
      ASSERT_FALSE(image->pinned) << "seed " << seed;
      ASSERT_LE(image->first_seen, kNow - minutes(2)) << "seed " << seed;
      const WallTime used = image->last_used.value_or(WallTime::min());
      ASSERT_TRUE(!last || *last <= used) << "seed " << seed;
      last = used;
    }
    // Told in other words: what stays has a reason.
    for (const ImageOnNode& image : images) {
      const auto listed = [&](const auto& list) {
        return std::any_of(list.begin(), list.end(), [&](const std::string& name) {
          return name == image.id || name == image.names[0] || name == image.names[1];
        });
      };
      const bool has_reason =
          image.pinned || kNow - image.first_seen < minutes(2) || listed(keep.images) || listed(keep.patterns) || !full;
      ASSERT_NE(offered.contains(image.id), has_reason) << "seed " << seed << ", " << image.id;
    }
  }
}

// VO-05, GC of directories: ours and unknown, nothing else.
TEST(Garbage, OnlyOurDirectoriesOfUnknownPodsGo) {
  const std::vector<PodDirectory> found{{.uid = "runs", .ours = true},
                                        {.uid = "gone", .ours = true},
                                        {.uid = "kubelets"},
                                        {.uid = "cut-off", .empty = true},
                                        {.uid = "just-made", .empty = true}};
  const auto known = [](const std::string& uid) { return uid == "runs" || uid == "just-made"; };
  EXPECT_THAT(OrphanedPods(found, known), ElementsAre("gone", "cut-off"));
}

// GC-07
TEST(DamagedImage, KnowsTheWordsOfDamage) {
  EXPECT_TRUE(
      TellsOfDamagedLayers("runc create failed: unable to start container process: exec /bin/a: exec format error"));
  EXPECT_TRUE(TellsOfDamagedLayers("runc: exec: \"/bin/a\": stat /bin/a: no such file or directory"));
  EXPECT_TRUE(TellsOfDamagedLayers("exec: \"a\": executable file not found in $PATH"));
  EXPECT_TRUE(TellsOfDamagedLayers("failed to get image: content digest sha256:12: not found"));
  EXPECT_FALSE(TellsOfDamagedLayers("error mounting \"/etc/x\" to rootfs: no such file or directory"));
  EXPECT_FALSE(TellsOfDamagedLayers("context deadline exceeded"));
}

TEST(DamagedImage, BlamesALossOfPowerOnlySoonAfterABootAndOnce) {
  const ImageSightings old{.first_seen = kNow - hours(5), .repaired_at = {}};
  EXPECT_TRUE(MayBeDamagedByPowerLoss(old, minutes(2), kNow));
  EXPECT_TRUE(MayBeDamagedByPowerLoss({}, minutes(2), kNow)) << "it was there when the agent came up";
  EXPECT_FALSE(MayBeDamagedByPowerLoss(old, hours(2), kNow));
  EXPECT_FALSE(MayBeDamagedByPowerLoss({.first_seen = kNow - minutes(1), .repaired_at = {}}, minutes(2), kNow));
  EXPECT_FALSE(
      MayBeDamagedByPowerLoss({.first_seen = kNow - hours(5), .repaired_at = kNow - minutes(1)}, minutes(2), kNow));
  EXPECT_TRUE(
      MayBeDamagedByPowerLoss({.first_seen = kNow - hours(5), .repaired_at = kNow - hours(4)}, minutes(2), kNow))
      << "another loss of power";
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/node/node_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <fmt/format.h>

namespace daemonsetd::node {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::SizeIs;

using Images = google::protobuf::RepeatedPtrField<::runtime::v1::Image>;

::runtime::v1::Image& Add(Images& images, const std::string& name, std::uint64_t size) {
  ::runtime::v1::Image& image = *images.Add();
  image.set_id("id of " + name);
  image.add_repo_tags(name);
  image.set_size(size);
  return image;
}

std::vector<std::string> FirstNames(const google::protobuf::RepeatedPtrField<corev1::ContainerImage>& images) {
  std::vector<std::string> names;
  for (const corev1::ContainerImage& image : images) names.push_back(image.names(0));
  return names;
}

TEST(NodeImages, TheLargestComeFirstAndThoseWithoutANameAreLeftOut) {
  Images images;
  Add(images, "small:1", 1);
  Add(images, "large:1", 3);
  Add(images, "middle:1", 2);
  images.Add()->set_size(9);
  EXPECT_THAT(FirstNames(NodeImages(images)), ElementsAre("large:1", "middle:1", "small:1"));
  EXPECT_THAT(FirstNames(NodeImages(images, {"small:1"})), ElementsAre("large:1", "middle:1", "small:1"))
      << "what all have room for keeps its order";
}

TEST(NodeImages, APreferredOneIsInHoweverSmallItIs) {
  Images images;
  for (int i = 0; i < 60; ++i) Add(images, fmt::format("large:{}", i), 1000 + i);
  Add(images, "small:1", 1);
  EXPECT_THAT(FirstNames(NodeImages(images)), Not(Contains("small:1")));
  const auto names = FirstNames(NodeImages(images, {"small:1", "elsewhere:1"}));
  EXPECT_THAT(names, SizeIs(50));
  EXPECT_EQ(names.front(), "large:59");
  EXPECT_EQ(names.back(), "small:1");
  EXPECT_THAT(names, Contains("large:11"));
  EXPECT_THAT(names, Not(Contains("large:10")));
}

TEST(NodeImages, APreferredNameIsAmongTheFive) {
  Images images;
  ::runtime::v1::Image& image = Add(images, "wanted:1", 1);
  for (int i = 0; i < 7; ++i) image.add_repo_digests(fmt::format("registry{}@sha256:aa", i));
  EXPECT_THAT(NodeImages(images)[0].names(), SizeIs(5));
  EXPECT_THAT(NodeImages(images)[0].names(), Not(Contains("wanted:1")));
  EXPECT_THAT(NodeImages(images, {"wanted:1"})[0].names(), SizeIs(5));
  EXPECT_THAT(NodeImages(images, {"wanted:1"})[0].names(), Contains("wanted:1"));
}

}  // namespace
}  // namespace daemonsetd::node

// Answers that a real API server gave (testdata/cluster/README.md), read by our decoder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kube/codec.h"
#include "agent/model/kubernetes.h"
#include "tests/support/test_data.h"

namespace daemonsetd::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string Recording(const std::string& name) {
  return testing::ReadTestData("tests/unit/kube/testdata/cluster/" + name + ".bin");
}

ApiError Refusal(const std::string& name, int code) {
  const HttpResponse response{.status = code, .content_type = std::string(kProtobufType), .body = Recording(name)};
  return ErrorOf(response, "get x");
}

std::vector<WatchFrame> Frames(const std::string& name, const Resource& resource, std::size_t piece) {
  const std::string stream = Recording(name);
  FrameParser parser;
  std::vector<WatchFrame> frames;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    parser.Append(std::string_view(stream).substr(at, piece));
    for (;;) {
      const auto next = parser.Next();
      EXPECT_TRUE(next);
      if (!next || !*next) break;
      auto frame = DecodeWatchFrame(**next, resource, "watch x");
      EXPECT_TRUE(frame) << frame.error().message();
      if (frame) frames.push_back(std::move(*frame));
    }
  }
  EXPECT_FALSE(parser.HasPart());
  return frames;
}

TEST(Recordings, AnObjectAndItsEncodingAreTheSame) {
  const std::string body = Recording("daemon_set");
  appsv1::DaemonSet object;
  const Status decoded = DecodeObject(body, "apps/v1", "DaemonSet", object);
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_EQ(object.metadata().name(), "agent");
  EXPECT_THAT(object.metadata().uid(), Not(IsEmpty()));
  appsv1::DaemonSet again;
  ASSERT_TRUE(DecodeObject(EncodeObject("apps/v1", "DaemonSet", object), "apps/v1", "DaemonSet", again));
  EXPECT_EQ(again.SerializeAsString(), object.SerializeAsString());
}

TEST(Recordings, PagesAndEmptyLists) {
  const auto page = DecodeList(Recording("node_list_page"), kNodes);
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_THAT(page->items, SizeIs(2));
  EXPECT_THAT(page->continue_token, Not(IsEmpty()));
  const auto empty = DecodeList(Recording("node_list_empty"), kNodes);
  ASSERT_TRUE(empty) << empty.error().message();
  EXPECT_THAT(empty->items, IsEmpty());
  EXPECT_THAT(empty->resource_version, Not(IsEmpty()));
}

TEST(Recordings, Refusals) {
  EXPECT_EQ(Refusal("status_400", 400).error.kind(), ErrorKind::kInvalid);
  EXPECT_EQ(Refusal("status_403", 403).error.kind(), ErrorKind::kDenied);
  EXPECT_EQ(Refusal("status_404", 404).error.kind(), ErrorKind::kAbsent);
  EXPECT_EQ(Refusal("status_404_kind", 404).error.kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(Refusal("status_409_exists", 409).error.kind(), ErrorKind::kExists);
  EXPECT_EQ(Refusal("status_409_conflict", 409).error.kind(), ErrorKind::kConflict);
  EXPECT_EQ(Refusal("status_410_page", 410).error.kind(), ErrorKind::kGone);
  EXPECT_EQ(Refusal("status_422", 422).error.kind(), ErrorKind::kInvalid);
}

// A patch with the uid of an object that is gone, to its successor.
TEST(Recordings, AnotherObjectOfThatNameIsAConflict) {
  metav1::Status status;
  status.set_code(422);
  status.set_reason("Invalid");
  status.mutable_details()->add_causes()->set_field("metadata.uid");
  EXPECT_EQ(ErrorOf(status, 422, "patch x").error.kind(), ErrorKind::kConflict);
}

TEST(Recordings, WatchesHoweverTheyAreCut) {
  for (const std::size_t piece : {1u, 7u, 1000u, 100000u}) {
    const auto frames = Frames("watch_daemon_sets", kDaemonSets, piece);
    ASSERT_THAT(frames, SizeIs(::testing::Ge(6u)));
    std::vector<FrameType> first;
    for (std::size_t i = 0; i < 6; ++i) first.push_back(frames[i].type);
    EXPECT_THAT(first, ElementsAre(FrameType::kAdded, FrameType::kAdded, FrameType::kBookmark, FrameType::kModified,
                                   FrameType::kDeleted, FrameType::kAdded));
    appsv1::DaemonSet end;
    ASSERT_TRUE(end.ParseFromString(frames[2].object));
    EXPECT_EQ(end.metadata().annotations().at("k8s.io/initial-events-end"), "true");
  }
}

TEST(Recordings, AWatchFromTooLongAgo) {
  const auto frames = Frames("watch_410", kNodes, 16);
  ASSERT_THAT(frames, SizeIs(1));
  EXPECT_EQ(frames[0].type, FrameType::kError);
  EXPECT_EQ(frames[0].error.error.kind(), ErrorKind::kGone);
  EXPECT_THAT(frames[0].error.error.message(), HasSubstr("watch x"));
}

}  // namespace
}  // namespace daemonsetd::kube

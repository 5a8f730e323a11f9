// The images in the Node's status: soon where somebody waits for them, and no write more than that needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cluster/node_registrar_fixture.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::Not;

constexpr char kStatusWrite[] = "PUT nodes/node-a/status";
constexpr char kWanted[] = "registry.example/app:2";

class NodeRegistrarImagesTest : public NodeRegistrarTest {
 protected:
  NodeRegistrarImagesTest() {
    runtime.AddImage("registry.example/app:1");
    Start();
    loop.Advance(seconds(30));
    api.TakeCalls();
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const corev1::ContainerImage& image : api.node()->status().images()) {
      names.insert(names.end(), image.names().begin(), image.names().end());
    }
    return names;
  }
  int Writes() {
    const std::vector<std::string> calls = api.TakeCalls();
    return static_cast<int>(std::count(calls.begin(), calls.end(), kStatusWrite));
  }
};

TEST_F(NodeRegistrarImagesTest, AnImageThatSomebodyWaitsForIsReportedWithinTwoSeconds) {
  runtime.AddImage(kWanted);
  registrar->ImagesChanged({kWanted});
  loop.Advance(seconds(2));
  EXPECT_THAT(Names(), Contains(kWanted));
  EXPECT_EQ(Writes(), 1);
  loop.Advance(minutes(2));
  EXPECT_EQ(Writes(), 0);
}

TEST_F(NodeRegistrarImagesTest, NothingIsWrittenWhereNothingIsNew) {
  for (int i = 0; i < 10; ++i) {
    registrar->ImagesChanged({kWanted});
    loop.Advance(seconds(7));
  }
  EXPECT_EQ(Writes(), 0);
  EXPECT_LE(runtime.Count("ListImages"), 11);
}

TEST_F(NodeRegistrarImagesTest, ImagesThatComeOneAfterTheOtherShareAWrite) {
  for (int i = 0; i < 60; ++i) {
    runtime.AddImage(fmt::format("registry.example/app-{}:1", i));
    registrar->ImagesChanged({kWanted});
    loop.Advance(Milliseconds(500));
  }
  loop.Advance(seconds(10));
  EXPECT_LE(Writes(), 8);
  EXPECT_EQ(api.node()->status().images_size(), 50);
}

TEST_F(NodeRegistrarImagesTest, ASmallImageThatSomebodyWaitsForIsInBeforeLargerOnes) {
  for (int i = 0; i < 60; ++i) runtime.AddImage(fmt::format("registry.example/large:{}", i), 1 << 30);
  runtime.AddImage(kWanted, 1);
  registrar->ImagesChanged({});
  loop.Advance(seconds(2));
  EXPECT_THAT(Names(), Not(Contains(kWanted)));
  registrar->ImagesChanged({kWanted});
  loop.Advance(seconds(10));
  EXPECT_THAT(Names(), Contains(kWanted));
  EXPECT_EQ(api.node()->status().images_size(), 50);
  loop.Advance(minutes(6));
  EXPECT_THAT(Names(), Contains(kWanted)) << "and stays";
}

TEST_F(NodeRegistrarImagesTest, WhatFailsIsTriedAgain) {
  runtime.AddImage(kWanted);
  runtime.Inject("ListImages", testing::Fault::Fail(Error(ErrorKind::kRetry, "busy")));
  registrar->ImagesChanged({kWanted});
  loop.Advance(seconds(10));
  EXPECT_THAT(Names(), Contains(kWanted));

  constexpr char kNext[] = "registry.example/app:3";
  runtime.AddImage(kNext);
  api.Inject(kStatusWrite, NodeApi::Mishap::kFails, testing::StatusResponse(500, "InternalError", "etcd is slow"), 2);
  registrar->ImagesChanged({kNext});
  loop.Advance(seconds(30));
  EXPECT_THAT(Names(), Contains(kNext));
}

}  // namespace
}  // namespace daemonsetd::cluster

#include "agent/node/pressure.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "agent/node/node_images.h"

namespace daemonsetd::node {
namespace {

class PressureTest : public ::testing::Test {
 protected:
  PressureTest() : root(::testing::TempDir() + "pressure_test") { std::filesystem::remove_all(root); }
  ~PressureTest() override { std::filesystem::remove_all(root); }
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  decide::PressureSignals Read() { return ReadPressure({.root = root, .pod_root = root, .image_root = ""}); }

  const std::string root;
};

TEST_F(PressureTest, ReadsMemoryAndTasks) {
  Write("/proc/meminfo", "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    1024 kB\n");
  Write("/proc/loadavg", "0.1 0.2 0.3 2/300 12345\n");
  Write("/proc/sys/kernel/pid_max", "4194304\n");
  Write("/proc/sys/kernel/threads-max", "1000\n");
  const decide::PressureSignals signals = Read();
  ASSERT_TRUE(signals.memory && signals.pids);
  EXPECT_EQ(signals.memory->capacity, 2048u * 1024);
  EXPECT_EQ(signals.memory->available, 1024u * 1024);
  EXPECT_EQ(signals.pids->capacity, 1000u);
  EXPECT_EQ(signals.pids->available, 700u);
}

TEST_F(PressureTest, TakesTheWorkingSetOfTheRootControlGroup) {
  Write("/proc/meminfo", "MemTotal:        1000 kB\nMemAvailable:    1 kB\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "512000\n");
  Write("/sys/fs/cgroup/memory/memory.stat", "cache 7\ninactive_file 5\ntotal_inactive_file 256000\n");
  ASSERT_TRUE(Read().memory);
  EXPECT_EQ(Read().memory->available, 1000u * 1024 - 256000);
}

TEST_F(PressureTest, WhatIsMissingOrGarbledIsNotKnown) {
  EXPECT_FALSE(Read().memory || Read().pids || Read().image_disk);
  for (const char* text : {"", "MemTotal:", "MemTotal: kB\n", "MemTotal: 99999999999999999999999 kB\n",
                           "MemTotal: 100 kB\nMemAvailable: 200 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n"}) {
    Write("/proc/meminfo", text);
    EXPECT_FALSE(Read().memory) << text;
  }
  Write("/proc/sys/kernel/pid_max", "100\n");
  Write("/proc/loadavg", "0.1 0.2 0.3 2/x\n");
  EXPECT_FALSE(Read().pids);
  Write("/proc/loadavg", "0.1 0.2 0.3 2/500 1\n");
  EXPECT_EQ(Read().pids->available, 0u);
}

TEST_F(PressureTest, ReadsTheDiskOfThePods) {
  std::filesystem::create_directories(root);
  const decide::PressureSignals signals = Read();
  ASSERT_TRUE(signals.pod_disk);
  EXPECT_GT(signals.pod_disk->capacity, 0u);
  EXPECT_LE(signals.pod_disk->available, signals.pod_disk->capacity);
}

TEST(NodeImages, AreTheFiftyLargestWithFiveNamesEach) {
  google::protobuf::RepeatedPtrField<::runtime::v1::Image> images;
  for (int i = 0; i < 70; ++i) {
    ::runtime::v1::Image& image = *images.Add();
    image.set_id("sha256:" + std::to_string(i));
    image.set_size(static_cast<std::uint64_t>(i));
    image.add_repo_digests("r@sha256:" + std::to_string(i));
    for (int tag = 0; tag < 9; ++tag) image.add_repo_tags("r:" + std::to_string(tag));
  }
  images.Add()->set_size(1'000);  // without a name
  images.Mutable(3)->set_size(~std::uint64_t{0});
  const auto result = NodeImages(images);
  ASSERT_EQ(result.size(), 50);
  EXPECT_EQ(result[0].sizebytes(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(result[1].sizebytes(), 69);
  ASSERT_EQ(result[1].names_size(), 5);
  EXPECT_EQ(result[1].names(0), "r@sha256:69");
  EXPECT_EQ(result[1].names(1), "r:0");
}

}  // namespace
}  // namespace daemonsetd::node

// A checkpoint in a directory of its own, with a store that runs on it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "agent/store/store.h"
#include "tests/support/loop.h"
#include "tests/support/temporary_directory.h"

namespace daemonsetd::store {

namespace fs = std::filesystem;

class StoreTest : public ::testing::Test {
 protected:
  ~StoreTest() override { Stop(); }

  LoadResult Start() {
    LoadResult loaded = Load(directory);
    store = std::make_unique<Store>(loop.executor(), loop.timeline(), blocking, directory, [this] { ++told; });
    store->Adopt(loaded);
    running = loop.Start(store->Run());
    return loaded;
  }
  void Stop() {
    if (running) loop.Cancel(running);
    running.reset();
    store.reset();
  }
  static PodRecord Pod(const std::string& uid, int restarts = 1) {
    PodRecord record;
    record.set_uid(uid);
    record.set_namespace_("default");
    record.set_name("pod-" + uid);
    (*record.mutable_containers())["main"].set_restart_count(restarts);
    return record;
  }
  static WorkloadRecord Workload(const std::string& uid, std::uint32_t next) {
    WorkloadRecord record;
    record.set_owner_uid(uid);
    record.set_next_sequence(next);
    return record;
  }
  static ObjectRecord Object(const std::string& name_space, const std::string& name, const std::string& bytes = "1") {
    ObjectRecord record;
    record.set_kind("ConfigMap");
    record.set_namespace_(name_space);
    record.set_name(name);
    record.set_object(bytes);
    record.set_seen_at(1000);
    return record;
  }
  static PositionRecord Position(const std::string& resource, const std::string& newest) {
    PositionRecord record;
    record.set_resource(resource);
    record.set_newest(newest);
    return record;
  }
  std::string PathOf(const std::string& uid) { return directory + "/pods/" + uid; }
  static std::string Content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static void WriteText(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  std::vector<std::string> FilesIn(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  testing::TestLoop loop;
  async::BlockingPool blocking{0};
  const testing::TemporaryDirectory temporary;
  const std::string root = temporary.path().string();
  std::string directory = root + "/checkpoint";
  std::unique_ptr<Store> store;
  std::shared_ptr<testing::Started<void>> running;
  int told = 0;
};

}  // namespace daemonsetd::store

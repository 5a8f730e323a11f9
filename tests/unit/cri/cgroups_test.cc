#include "cri/cgroups.h"

#include <gtest/gtest.h>

namespace daemonsetd::cri {
namespace {

namespace v1 = ::runtime::v1;

CgroupDriver OfStatus(const std::string& config) {
  v1::StatusResponse status;
  (*status.mutable_info())["config"] = config;
  return CgroupDriverOf(status);
}

TEST(CgroupDriverOf, IsWhatTheRuntimeTells) {
  v1::RuntimeConfigResponse config;
  config.mutable_linux()->set_cgroup_driver(v1::SYSTEMD);
  EXPECT_EQ(CgroupDriverOf(config), CgroupDriver::kSystemd);
  config.mutable_linux()->set_cgroup_driver(v1::CGROUPFS);
  EXPECT_EQ(CgroupDriverOf(config), CgroupDriver::kCgroupfs);
}

// As containerd 1.6 and 1.7 write it.
TEST(CgroupDriverOf, StandsInTheConfigurationOfAnOlderContainerd) {
  const std::string before = R"({"containerd":{"defaultRuntimeName":"runc","runtimes":{"runc":{"options":{)";
  const std::string after = R"(}},"other":{"options":{"SystemdCgroup":true}}}},"sandboxImage":"pause:1"})";
  EXPECT_EQ(OfStatus(before + R"("BinaryName":"","SystemdCgroup":true)" + after), CgroupDriver::kSystemd);
  EXPECT_EQ(OfStatus(before + R"("SystemdCgroup":false)" + after), CgroupDriver::kCgroupfs);
  EXPECT_EQ(OfStatus(before + after), CgroupDriver::kCgroupfs) << "its default";
}

TEST(CgroupDriverOf, IsUnknownWhereNothingTellsIt) {
  EXPECT_EQ(CgroupDriverOf(v1::StatusResponse()), CgroupDriver::kUnknown);
  for (const char* config : {"", "{", "[]", "{}", "null", R"({"containerd":1})", R"({"containerd":{"runtimes":{}}})"}) {
    EXPECT_EQ(OfStatus(config), CgroupDriver::kUnknown) << config;
  }
  EXPECT_EQ(CgroupDriverOf("auto"), CgroupDriver::kUnknown);
  EXPECT_EQ(CgroupDriverOf("systemd"), CgroupDriver::kSystemd);
  EXPECT_EQ(CgroupDriverOf("cgroupfs"), CgroupDriver::kCgroupfs);
}

TEST(CgroupParent, IsASliceForSystemd) {
  EXPECT_EQ(CgroupParent("", CgroupDriver::kSystemd), "kubepods.slice");
  EXPECT_EQ(CgroupParent("/", CgroupDriver::kSystemd), "kubepods.slice");
  EXPECT_EQ(CgroupParent("/edge", CgroupDriver::kSystemd), "edge.slice");
  EXPECT_EQ(CgroupParent("/edge/node-a/", CgroupDriver::kSystemd), "edge-node_a.slice");
  EXPECT_EQ(CgroupParent("/edge.slice/edge-a.slice", CgroupDriver::kSystemd), "/edge.slice/edge-a.slice");
}

TEST(CgroupParent, IsThePathForOthers) {
  for (const CgroupDriver driver : {CgroupDriver::kCgroupfs, CgroupDriver::kUnknown}) {
    EXPECT_EQ(CgroupParent("", driver), "");
    EXPECT_EQ(CgroupParent("/edge/node-a", driver), "/edge/node-a");
  }
}

}  // namespace
}  // namespace daemonsetd::cri

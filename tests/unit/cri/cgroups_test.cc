#include "cri/cgroups.h"

#include <gtest/gtest.h>

namespace daemonsetd::cri {
namespace {

namespace v1 = ::runtime::v1;

TEST(CgroupDriverOf, IsWhatTheRuntimeTells) {
  v1::RuntimeConfigResponse config;
  config.mutable_linux()->set_cgroup_driver(v1::SYSTEMD);
  EXPECT_EQ(CgroupDriverOf(config), CgroupDriver::kSystemd);
  config.mutable_linux()->set_cgroup_driver(v1::CGROUPFS);
  EXPECT_EQ(CgroupDriverOf(config), CgroupDriver::kCgroupfs);
}

TEST(CgroupDriverOf, IsUnknownForAuto) {
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

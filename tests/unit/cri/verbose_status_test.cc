#include "cri/verbose_status.h"

#include <gtest/gtest.h>

namespace daemonsetd::cri {
namespace {

namespace v1 = ::runtime::v1;

CgroupDriver OfStatus(const std::string& config) {
  v1::StatusResponse status;
  (*status.mutable_info())["config"] = config;
  return CgroupDriverOf(status);
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
}

TEST(PauseImageOf, StandsInTheConfigurationOfContainerd) {
  v1::StatusResponse status;
  EXPECT_EQ(PauseImageOf(status), "");
  (*status.mutable_info())["config"] = R"({"containerd": {"sandboxImage": "no"}, "sandboxImage": "r.io/pause:3"})";
  EXPECT_EQ(PauseImageOf(status), "r.io/pause:3");
  (*status.mutable_info())["config"] = "{";
  EXPECT_EQ(PauseImageOf(status), "");
}

}  // namespace
}  // namespace daemonsetd::cri

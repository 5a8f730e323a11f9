#include "agent/decide/sysctls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using ::testing::HasSubstr;

Status Check(const std::vector<std::string>& names, const std::vector<std::string>& allowed) {
  corev1::PodSpec spec;
  for (const std::string& name : names) spec.mutable_securitycontext()->add_sysctls()->set_name(name);
  return CheckSysctls(spec, allowed);
}

TEST(CheckSysctls, TakesSafeOnes) {
  EXPECT_TRUE(Check({}, {}));
  EXPECT_TRUE(Check({"net.ipv4.ip_unprivileged_port_start", "net/ipv4/tcp_syncookies", "net.ipv4.tcp_rmem"}, {}));
}

TEST(CheckSysctls, RefusesOthersUnlessTheNodeAllowsThem) {
  const Status refused = Check({"net.ipv4.tcp_syncookies", "kernel.msgmax"}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("forbidden sysctl: \"kernel.msgmax\""));
  EXPECT_TRUE(Check({"kernel.msgmax"}, {"kernel.msg*"}));
  EXPECT_TRUE(Check({"kernel/msgmax"}, {"kernel.msgmax"}));
  EXPECT_TRUE(Check({"net.ipv4.conf.eth0/100.forwarding"}, {"net/ipv4/conf/eth0.100/forwarding"}));
  EXPECT_FALSE(Check({"kernel.sem"}, {"kernel.msg*", "kernel.se"}));
}

TEST(CheckSysctlPattern, WantsSysctlsThatBelongToAPod) {
  for (const char* right :
       {"kernel.sem", "kernel.shm*", "kernel.msgmax", "fs.mqueue.*", "net.core.somaxconn", "net.*"}) {
    EXPECT_EQ(CheckSysctlPattern(right), "") << right;
  }
  for (const char* wrong : {"", "*", "kernel.*", "vm.swappiness", "net.*.x", "kernel.semaphore", "fs.file-max"}) {
    EXPECT_NE(CheckSysctlPattern(wrong), "") << wrong;
  }
}

}  // namespace
}  // namespace daemonsetd::decide

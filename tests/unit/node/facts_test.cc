#include "agent/node/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace daemonsetd::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// A machine made of files.
class FactsTest : public ::testing::Test {
 protected:
  FactsTest() {
    Write("/proc/sys/kernel/osrelease", "6.1.0-28-amd64\n");
    Write("/proc/sys/kernel/random/boot_id", "0e6f1f2a-3b0a-4b6e-9a55-5f7d7a0e6c11\n");
    Write("/proc/meminfo", "MemTotal:        8137164 kB\nMemFree:  1 kB\n");
    Write("/sys/devices/system/cpu/online", "0-3\n");
    Write("/etc/machine-id", "b08dfa6083e7567a1921a715000001fb\n");
    Write("/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  }

  void Write(const std::string& path, const std::string& text) {
    const std::string full = root_ + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << text;
  }
  void Remove(const std::string& path) { std::filesystem::remove(root_ + path); }
  Result<MachineFacts> Read() { return ReadMachineFacts(root_, root_ + "/not/made/yet"); }

  const testing::TemporaryDirectory temporary_;
  const std::string root_ = temporary_.path().string();
};

TEST_F(FactsTest, TellsWhichCgroupsTheMachineHas) {
  EXPECT_FALSE(Read()->cgroup_v2);
  Write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  EXPECT_TRUE(Read()->cgroup_v2);
}

TEST_F(FactsTest, TellsAUserNamespaceOfItsOwn) {
  EXPECT_FALSE(Read()->in_user_namespace);
  Write("/proc/self/uid_map", "         0          0 4294967295\n");
  EXPECT_FALSE(Read()->in_user_namespace);
  Write("/proc/self/uid_map", "         0     100000      65536\n");
  EXPECT_TRUE(Read()->in_user_namespace);
}

TEST_F(FactsTest, ReadsAMachine) {
  const Result<MachineFacts> facts = Read();
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->cpus, 4);
  EXPECT_EQ(facts->memory_bytes, std::uint64_t{8137164} * 1024);
  EXPECT_EQ(facts->boot_id, "0e6f1f2a-3b0a-4b6e-9a55-5f7d7a0e6c11");
  EXPECT_EQ(facts->kernel_version, "6.1.0-28-amd64");
  EXPECT_EQ(facts->os_image, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(facts->machine_id, "b08dfa6083e7567a1921a715000001fb");
  EXPECT_EQ(facts->system_uuid, facts->machine_id) << "without DMI";
  EXPECT_FALSE(facts->architecture.empty());
  EXPECT_THAT(facts->huge_pages, IsEmpty());
}

TEST_F(FactsTest, PodRootThatDoesNotExistYetCountsAsItsParentsFileSystem) {
  EXPECT_GT(Read()->ephemeral_storage_bytes, 0U);
}

TEST_F(FactsTest, CountsProcessorsOfCpuinfoWithoutSys) {
  Remove("/sys/devices/system/cpu/online");
  Write("/proc/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\nmodel name\t: processor\n");
  EXPECT_EQ(Read()->cpus, 2);
}

TEST_F(FactsTest, FindsFactsInTheirSecondPlaces) {
  Remove("/etc/machine-id");
  Remove("/etc/os-release");
  Write("/var/lib/dbus/machine-id", "feed\n");
  Write("/usr/lib/os-release", "PRETTY_NAME='Flatcar Linux'\n");
  Write("/sys/class/dmi/id/product_uuid", "4c4c4544-0042\n");
  const Result<MachineFacts> facts = Read();
  EXPECT_EQ(facts->machine_id, "feed");
  EXPECT_EQ(facts->os_image, "Flatcar Linux");
  EXPECT_EQ(facts->system_uuid, "4c4c4544-0042");
}

TEST_F(FactsTest, ReadsHugePages) {
  Write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "64\n");
  Write("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n");
  EXPECT_THAT(Read()->huge_pages, ElementsAre(Pair(2048, 64), Pair(1048576, 0)));
}

TEST_F(FactsTest, SaysWhichFactIsMissing) {
  Remove("/proc/meminfo");
  const Result<MachineFacts> facts = Read();
  ASSERT_FALSE(facts);
  EXPECT_THAT(facts.error().message(), HasSubstr("/proc/meminfo"));
  Write("/proc/meminfo", "MemTotal: a lot kB\n");
  EXPECT_FALSE(Read());
}

TEST_F(FactsTest, MissingBootIdIsAnError) {
  Remove("/proc/sys/kernel/random/boot_id");
  EXPECT_FALSE(Read());
}

TEST(ThisMachine, CanBeRead) {
  const Result<MachineFacts> facts = ReadMachineFacts("/", "/var/lib/kubelet");
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_GT(facts->cpus, 0);
}

TEST(CpuList, IsCounted) {
  EXPECT_EQ(CountCpuList("0-3,8"), 5);
  EXPECT_EQ(CountCpuList("0"), 1);
  EXPECT_EQ(CountCpuList(""), 0);
  EXPECT_EQ(CountCpuList("3-1"), 0);
  EXPECT_EQ(CountCpuList("0-99999999"), 0);
  EXPECT_EQ(CountCpuList("a,b"), 0);
}

TEST(Architecture, IsGosName) {
  EXPECT_EQ(GoArchitecture("x86_64"), "amd64");
  EXPECT_EQ(GoArchitecture("aarch64"), "arm64");
  EXPECT_EQ(GoArchitecture("riscv64"), "riscv64");
}

constexpr std::string_view kRoute =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
    "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";

TEST(DefaultRoute, OfTheLowestMetricWins) {
  EXPECT_EQ(DefaultInterface4(kRoute), "eth0");
  EXPECT_EQ(DefaultInterface4(""), "");
  EXPECT_EQ(DefaultInterface4("half a line"), "");
}

TEST(DefaultRoute, Version6IgnoresTheUnreachableOneOfLo) {
  EXPECT_EQ(DefaultInterface6("00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
                              "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
                              "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
                              "fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0\n"),
            "eth0");
}

TEST(Addresses, AreThoseOfTheDefaultRoute) {
  const std::vector<InterfaceAddress> all{{"cni0", "10.244.0.1"}, {"eth0", "192.168.2.7"}, {"eth0", "192.168.2.8"},
                                          {"eth0", "fe80::1"},    {"cni0", "fd00::1"},     {"eth1", "2001:db8::7"}};
  EXPECT_THAT(ChooseAddresses(all, "eth0", "eth1"), ElementsAre("192.168.2.7", "2001:db8::7"));
}

TEST(Addresses, WithoutADefaultRouteAreTheFirstThatPeersCouldReach) {
  const std::vector<InterfaceAddress> all{
      {"lo", "127.0.0.1"}, {"eth0", "169.254.3.4"}, {"eth0", "fe80::1"}, {"eth1", "10.0.0.5"}};
  EXPECT_THAT(ChooseAddresses(all, "", ""), ElementsAre("10.0.0.5"));
  EXPECT_THAT(ChooseAddresses({}, "", ""), IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::node

#include "agent/pods/hosts_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "agent/pods/files.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::HasSubstr;

corev1::Pod PodWithAliases() {
  corev1::Pod pod;
  corev1::HostAlias& alias = *pod.mutable_spec()->add_hostaliases();
  alias.set_ip("192.0.2.1");
  alias.add_hostnames("db");
  alias.add_hostnames("db.example.org");
  return pod;
}

TEST(ManagedHostsFile, IsTheKubelets) {
  EXPECT_EQ(ManagedHostsFile(PodWithAliases().spec(), {"10.0.0.5", "fd00::5"}, "agent", ""),
            "# Kubernetes-managed hosts file.\n"
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::0\tip6-localnet\n"
            "fe00::0\tip6-mcastprefix\n"
            "fe00::1\tip6-allnodes\n"
            "fe00::2\tip6-allrouters\n"
            "10.0.0.5\tagent\n"
            "fd00::5\tagent\n"
            "\n# Entries added by HostAliases.\n"
            "192.0.2.1\tdb\tdb.example.org\n");
  EXPECT_THAT(ManagedHostsFile({}, {"10.0.0.5"}, "agent", "data.ns.svc.cluster.local"),
              HasSubstr("10.0.0.5\tagent.data.ns.svc.cluster.local\tagent\n"));
}

class HostsFile : public TemporaryTree {};

TEST_F(HostsFile, CopiesTheNodesOnTheHostNetwork) {
  Write(Path("node-hosts"), "127.0.0.1 localhost\n");
  corev1::Pod pod = PodWithAliases();
  pod.mutable_spec()->set_hostnetwork(true);
  ASSERT_TRUE(WriteHostsFile(pod, Path("etc-hosts"), {}, "", "", Path("node-hosts")));
  EXPECT_EQ(Read(Path("etc-hosts")),
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"
            "\n# Entries added by HostAliases.\n192.0.2.1\tdb\tdb.example.org\n");
  EXPECT_EQ(Mode(Path("etc-hosts")), 0644u);
  EXPECT_FALSE(WriteHostsFile(pod, Path("etc-hosts"), {}, "", "", Path("absent")));
}

TEST_F(HostsFile, IsReplacedInOneStepAndSurvivesALeftOver) {
  Write(Path("etc-hosts"), "old");
  Write(Path("etc-hosts.new.a1b2c3"), "half wri");
  ASSERT_TRUE(WriteHostsFile({}, Path("etc-hosts"), {"10.0.0.5"}, "agent", ""));
  EXPECT_THAT(Read(Path("etc-hosts")), HasSubstr("10.0.0.5\tagent\n"));
}

TEST_F(HostsFile, IsWrittenByAllContainersOfAPodAtOnce) {
  const std::string path = Path("pod/etc-hosts");
  std::filesystem::create_directories(Path("pod"));
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (const char* ip : {"10.0.0.5", "10.0.0.6", "10.0.0.7"}) {
    threads.emplace_back([&, ip] {
      for (int i = 0; i < 300; ++i) failed += WriteHostsFile({}, path, {ip}, "agent", "") ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(ListDirectory(Path("pod"))->size(), 1u) << "nothing is left beside it";
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/decide/dns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class DnsTest : public ::testing::Test {
 protected:
  DnsTest() {
    node.host = ParseResolvConf("# ours\nnameserver 10.0.0.1\nsearch old.example\nsearch lan.example\noptions edns0\n");
    node.cluster_servers = {"10.96.0.10"};
    node.cluster_domain = "cluster.local";
    pod.mutable_spec()->set_dnspolicy("ClusterFirst");
  }
  corev1::Pod pod = testing::MakePod({"main"});
  NodeDns node;
};

TEST_F(DnsTest, TheLastSearchLineCounts) {
  EXPECT_THAT(node.host.servers(), ElementsAre("10.0.0.1"));
  EXPECT_THAT(node.host.searches(), ElementsAre("lan.example"));
  EXPECT_THAT(node.host.options(), ElementsAre("edns0"));
}

TEST_F(DnsTest, ClusterFirstAsksTheClusterAndSearchesItFirst) {
  const auto config = PodDns(pod, node);
  EXPECT_THAT(config.servers(), ElementsAre("10.96.0.10"));
  EXPECT_THAT(config.searches(),
              ElementsAre("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan.example"));
  EXPECT_THAT(config.options(), ElementsAre("ndots:5"));
}

TEST_F(DnsTest, ClusterFirstOnTheHostNetworkIsTheNodesOwn) {
  pod.mutable_spec()->set_hostnetwork(true);
  EXPECT_THAT(PodDns(pod, node).servers(), ElementsAre("10.0.0.1"));
  pod.mutable_spec()->set_dnspolicy("ClusterFirstWithHostNet");
  EXPECT_THAT(PodDns(pod, node).servers(), ElementsAre("10.96.0.10"));
}

TEST_F(DnsTest, WithoutClusterServersClusterFirstIsTheNodesOwn) {
  node.cluster_servers.clear();
  EXPECT_THAT(PodDns(pod, node).servers(), ElementsAre("10.0.0.1"));
}

TEST_F(DnsTest, NoneTakesOnlyWhatThePodSays) {
  pod.mutable_spec()->set_dnspolicy("None");
  EXPECT_THAT(PodDns(pod, node).servers(), IsEmpty());
  pod.mutable_spec()->mutable_dnsconfig()->add_nameservers("192.0.2.1");
  EXPECT_THAT(PodDns(pod, node).servers(), ElementsAre("192.0.2.1"));
}

TEST_F(DnsTest, DnsConfigAddsAndOverrides) {
  auto* config = pod.mutable_spec()->mutable_dnsconfig();
  config->add_nameservers("10.96.0.10");
  config->add_nameservers("192.0.2.1");
  config->add_searches("my.example");
  auto* ndots = config->add_options();
  ndots->set_name("ndots");
  ndots->set_value("2");
  config->add_options()->set_name("rotate");
  const auto merged = PodDns(pod, node);
  EXPECT_THAT(merged.servers(), ElementsAre("10.96.0.10", "192.0.2.1"));
  EXPECT_EQ(merged.searches(merged.searches_size() - 1), "my.example");
  EXPECT_THAT(merged.options(), ElementsAre("ndots:2", "rotate"));
}

TEST_F(DnsTest, NoMoreThanTheResolverReads) {
  for (int i = 0; i < 5; ++i) pod.mutable_spec()->mutable_dnsconfig()->add_nameservers("192.0.2." + std::to_string(i));
  for (int i = 0; i < 40; ++i) pod.mutable_spec()->mutable_dnsconfig()->add_searches("s" + std::to_string(i));
  EXPECT_THAT(PodDns(pod, node).servers(), SizeIs(3));
  EXPECT_THAT(PodDns(pod, node).searches(), SizeIs(32));
  pod.mutable_spec()->mutable_dnsconfig()->clear_searches();
  for (int i = 0; i < 20; ++i)
    pod.mutable_spec()->mutable_dnsconfig()->add_searches(std::string(250, 'a') + std::to_string(i));
  EXPECT_LT(PodDns(pod, node).searches_size(), 15);
}

// glibc 2.28 aborts on a longer one.
TEST_F(DnsTest, LeavesOutASearchDomainThatIsTooLong) {
  pod.mutable_spec()->set_dnspolicy("None");
  pod.mutable_spec()->mutable_dnsconfig()->add_searches("a.example");
  pod.mutable_spec()->mutable_dnsconfig()->add_searches(std::string(254, 'a'));
  pod.mutable_spec()->mutable_dnsconfig()->add_searches("b.example");
  EXPECT_THAT(PodDns(pod, node).searches(), ElementsAre("a.example", "b.example"));
}

TEST_F(DnsTest, SaysWhatTheLimitsCutOff) {
  EXPECT_THAT(PodDnsWarnings(pod, node), IsEmpty());
  for (int i = 0; i < 3; ++i) pod.mutable_spec()->mutable_dnsconfig()->add_nameservers("192.0.2." + std::to_string(i));
  EXPECT_THAT(PodDnsWarnings(pod, node),
              ElementsAre("Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver "
                          "line is: 10.96.0.10 192.0.2.0 192.0.2.1"));
  for (int i = 0; i < 40; ++i) pod.mutable_spec()->mutable_dnsconfig()->add_searches("s" + std::to_string(i));
  ASSERT_THAT(PodDnsWarnings(pod, node), SizeIs(2));
  EXPECT_THAT(PodDnsWarnings(pod, node)[1], ::testing::StartsWith("Search Line limits were exceeded"));
}

TEST_F(DnsTest, ReadsResolverFilesAsTheKubeletDoes) {
  const auto config = ParseResolvConf(
      "nameserver 10.0.0.1 # the first\n; nameserver 10.0.0.9\nnameserver\n"
      "search a.example. a.example .\noptions ndots:1 edns0\noptions ndots:3\ndomain x\n");
  EXPECT_THAT(config.servers(), ElementsAre("10.0.0.1"));
  EXPECT_THAT(config.searches(), ElementsAre("a.example", "."));
  EXPECT_THAT(config.options(), ElementsAre("ndots:3", "edns0"));
}

}  // namespace
}  // namespace daemonsetd::decide

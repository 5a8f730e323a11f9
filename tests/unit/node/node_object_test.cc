#include "agent/node/node_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::node {
namespace {

using config::v1alpha1::DaemonsetdConfiguration;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

DaemonsetdConfiguration Configured() {
  DaemonsetdConfiguration configuration;
  configuration.set_nodename("node-7");
  configuration.set_maxpods(110);
  return configuration;
}

MachineFacts Machine() {
  MachineFacts facts;
  facts.cpus = 4;
  facts.memory_bytes = std::uint64_t{8} << 30;
  facts.ephemeral_storage_bytes = std::uint64_t{100} << 30;
  facts.machine_id = "m";
  facts.system_uuid = "u";
  facts.boot_id = "b";
  facts.kernel_version = "6.1.0";
  facts.os_image = "Debian";
  facts.architecture = "arm64";
  facts.addresses = {"192.0.2.7", "2001:db8::7"};
  return facts;
}

std::map<std::string, std::string> Texts(const google::protobuf::Map<std::string, resourcev1::Quantity>& resources) {
  std::map<std::string, std::string> texts;
  for (const auto& [name, amount] : resources) texts[name] = amount.string();
  return texts;
}

TEST(NodeObject, DescribesTheMachine) {
  const NodeReport report{.container_runtime_version = "containerd://1.7.24", .agent_version = "v0.1.0"};
  const corev1::Node node = MakeNode(Configured(), Machine(), report);
  EXPECT_EQ(node.metadata().name(), "node-7");
  const corev1::NodeSystemInfo& info = node.status().nodeinfo();
  EXPECT_EQ(info.bootid(), "b");
  EXPECT_EQ(info.machineid(), "m");
  EXPECT_EQ(info.systemuuid(), "u");
  EXPECT_EQ(info.kernelversion(), "6.1.0");
  EXPECT_EQ(info.osimage(), "Debian");
  EXPECT_EQ(info.operatingsystem(), "linux");
  EXPECT_EQ(info.architecture(), "arm64");
  EXPECT_EQ(info.containerruntimeversion(), "containerd://1.7.24");
  EXPECT_EQ(info.kubeletversion(), "v0.1.0");
  ASSERT_EQ(node.status().addresses_size(), 3);
  EXPECT_EQ(node.status().addresses(0).type(), "InternalIP");
  EXPECT_EQ(node.status().addresses(0).address(), "192.0.2.7");
  EXPECT_EQ(node.status().addresses(1).address(), "2001:db8::7");
  EXPECT_EQ(node.status().addresses(2).type(), "Hostname");
  EXPECT_EQ(node.status().addresses(2).address(), "node-7");
}

TEST(NodeObject, CarriesWellKnownLabelsAndTheConfiguredOnesWin) {
  DaemonsetdConfiguration configuration = Configured();
  (*configuration.mutable_nodelabels())["role"] = "edge";
  EXPECT_THAT(MakeNode(configuration, Machine(), {}).metadata().labels(),
              UnorderedElementsAre(Pair("kubernetes.io/hostname", "node-7"), Pair("kubernetes.io/os", "linux"),
                                   Pair("kubernetes.io/arch", "arm64"), Pair("beta.kubernetes.io/os", "linux"),
                                   Pair("beta.kubernetes.io/arch", "arm64"), Pair("role", "edge")));
  // PL-03: the host name label is a label, not the node's identity.
  (*configuration.mutable_nodelabels())["kubernetes.io/hostname"] = "h1";
  const corev1::Node node = MakeNode(configuration, Machine(), {});
  EXPECT_EQ(node.metadata().labels().at("kubernetes.io/hostname"), "h1");
  EXPECT_EQ(node.metadata().name(), "node-7");
}

TEST(NodeObject, AllocatableIsCapacityLessWhatIsReserved) {
  DaemonsetdConfiguration configuration = Configured();
  (*configuration.mutable_systemreserved())["cpu"].set_string("300m");
  (*configuration.mutable_systemreserved())["memory"].set_string("1Gi");
  (*configuration.mutable_kubereserved())["cpu"].set_string("200m");
  (*configuration.mutable_kubereserved())["ephemeral-storage"].set_string("10Gi");
  const corev1::NodeStatus status = MakeNode(configuration, Machine(), {}).status();
  EXPECT_THAT(Texts(status.capacity()),
              UnorderedElementsAre(Pair("cpu", "4"), Pair("memory", "8Gi"), Pair("pods", "110"),
                                   Pair("ephemeral-storage", "107374182400")));
  EXPECT_THAT(Texts(status.allocatable()),
              UnorderedElementsAre(Pair("cpu", "3500m"), Pair("memory", "7Gi"), Pair("pods", "110"),
                                   Pair("ephemeral-storage", "96636764160")));
}

TEST(NodeObject, ReservingMoreThanThereIsLeavesZero) {
  DaemonsetdConfiguration configuration = Configured();
  (*configuration.mutable_systemreserved())["memory"].set_string("1Ti");
  EXPECT_EQ(MakeNode(configuration, Machine(), {}).status().allocatable().at("memory").string(), "0");
}

TEST(NodeObject, ConfiguredAllocatableWinsAndAnnouncesExtendedResources) {
  DaemonsetdConfiguration configuration = Configured();
  (*configuration.mutable_nodeallocatable())["memory"].set_string("2Gi");
  (*configuration.mutable_nodeallocatable())["example.com/device"].set_string("2");
  const corev1::NodeStatus status = MakeNode(configuration, Machine(), {}).status();
  EXPECT_EQ(status.allocatable().at("memory").string(), "2Gi");
  EXPECT_EQ(status.capacity().at("memory").string(), "8Gi");
  EXPECT_EQ(status.capacity().at("example.com/device").string(), "2");
}

TEST(NodeObject, HugePagesAreCapacityAndNoLongerMemory) {
  MachineFacts facts = Machine();
  facts.huge_pages = {{2048, 512}};
  const corev1::NodeStatus status = MakeNode(Configured(), facts, {}).status();
  EXPECT_EQ(status.capacity().at("hugepages-2Mi").string(), "1Gi");
  EXPECT_EQ(status.allocatable().at("memory").string(), "7Gi");
}

TEST(NodeObject, TellsWhatTheRuntimeCanDo) {
  NodeReport report;
  EXPECT_FALSE(MakeNode(Configured(), Machine(), report).status().has_features()) << "nothing is known of it";
  report.runtime_features.handlers = {{"", {.recursive_read_only = true}}, {"kata", {.user_namespaces = true}}};
  report.runtime_features.supplemental_groups_policy = true;
  const corev1::NodeStatus status = MakeNode(Configured(), Machine(), report).status();
  EXPECT_TRUE(status.features().supplementalgroupspolicy());
  ASSERT_EQ(status.runtimehandlers_size(), 2);
  EXPECT_EQ(status.runtimehandlers(0).name(), "");
  EXPECT_TRUE(status.runtimehandlers(0).features().recursivereadonlymounts());
  EXPECT_FALSE(status.runtimehandlers(0).features().usernamespaces());
  EXPECT_EQ(status.runtimehandlers(1).name(), "kata");
  EXPECT_TRUE(status.runtimehandlers(1).features().usernamespaces());
}

TEST(NodeObject, TakesTaintsAddressesAndConditionsAsGiven) {
  DaemonsetdConfiguration configuration = Configured();
  configuration.add_nodeips("198.51.100.1");
  auto& taint = *configuration.add_nodetaints();
  taint.set_key("dedicated");
  taint.set_effect("NoSchedule");
  NodeReport report;
  report.conditions.emplace_back().set_type("Ready");
  const corev1::Node node = MakeNode(configuration, Machine(), report);
  ASSERT_EQ(node.spec().taints_size(), 1);
  EXPECT_EQ(node.spec().taints(0).key(), "dedicated");
  ASSERT_EQ(node.status().addresses_size(), 2);
  EXPECT_EQ(node.status().addresses(0).address(), "198.51.100.1");
  ASSERT_EQ(node.status().conditions_size(), 1);
  EXPECT_EQ(node.status().conditions(0).type(), "Ready");
}

}  // namespace
}  // namespace daemonsetd::node

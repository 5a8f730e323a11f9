#include "agent/decide/admission.h"

#include <gtest/gtest.h>

#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

constexpr char kNode[] = "status: {allocatable: {cpu: '2', memory: 1Gi, ephemeral-storage: 10Gi, pods: '4'}}";

corev1::Pod PodWith(const std::string& spec, const std::string& name = "a") {
  auto pod = FromYaml<corev1::Pod>("spec: " + spec);
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_metadata()->set_uid("uid-" + name);
  return pod;
}

corev1::Pod Requesting(const std::string& requests, const std::string& name = "a") {
  return PodWith("{containers: [{name: c, resources: {requests: " + requests + "}}]}", name);
}

corev1::Pod OnPort(const std::string& port, const std::string& name = "a") {
  return PodWith("{containers: [{name: c, ports: [" + port + "]}]}", name);
}

Admission AdmitTo(const std::string& node, const corev1::Pod& pod, const std::vector<corev1::Pod>& others = {}) {
  std::vector<const corev1::Pod*> pointers;
  for (const corev1::Pod& other : others) pointers.push_back(&other);
  return Admit(pod, FromYaml<corev1::Node>(node), pointers);
}

TEST(Admit, TakesAPodThatFits) {
  const Admission admission = AdmitTo(kNode, Requesting("{cpu: '2', memory: 1Gi}"));
  EXPECT_TRUE(admission.admitted);
  EXPECT_EQ(admission.reason, "");
  EXPECT_EQ(admission.message, "");
}

// PL-13
TEST(Admit, AsksForTheNodeThatThePodAsksFor) {
  const std::string node =
      "metadata: {name: node-a, labels: {disk: hdd}}\nspec: {taints: [{key: k, effect: NoExecute}]}\n";
  EXPECT_TRUE(AdmitTo(node, PodWith("{nodeSelector: {disk: hdd}}")).admitted) << "taints are another's business";
  const Admission other = AdmitTo(node, PodWith("{nodeSelector: {disk: ssd}, containers: [{name: c}]}"));
  EXPECT_FALSE(other.admitted);
  EXPECT_EQ(other.reason, "NodeAffinity");
  EXPECT_EQ(other.message, "nodeSelector disk=ssd: the node has disk=hdd");
  const auto pinned = [](const std::string& name) {
    return PodWith(
        "{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
        "[{matchFields: [{key: metadata.name, operator: In, values: [" +
        name + "]}]}]}}}}");
  };
  EXPECT_TRUE(AdmitTo(node, pinned("node-a")).admitted);
  EXPECT_FALSE(AdmitTo(node, pinned("node-b")).admitted);
}

TEST(Admit, LetsAPodWaitThatAKubeletUnderPressureWouldRefuse) {
  const auto under = [](const std::string& conditions) { return "status: {conditions: [" + conditions + "]}"; };
  const std::string memory = "{type: MemoryPressure, status: 'True'}";
  const std::string disk = "{type: DiskPressure, status: 'True'}";
  const corev1::Pod best_effort = PodWith("{containers: [{name: c}]}");
  const corev1::Pod burstable = Requesting("{cpu: 1m}");
  const corev1::Pod daemon = PodWith(
      "{containers: [{name: c}], tolerations: [{key: node.kubernetes.io/memory-pressure, operator: Exists, effect: "
      "NoSchedule}, {key: node.kubernetes.io/disk-pressure, operator: Exists, effect: NoSchedule}]}");
  const corev1::Pod critical = PodWith("{containers: [{name: c}], priority: 2000000000}");

  const Admission refused = AdmitTo(under(memory), best_effort);
  EXPECT_EQ(refused.reason, "NodePressure");
  EXPECT_EQ(refused.message, "the node has MemoryPressure; only critical pods start until that is over");
  EXPECT_TRUE(AdmitTo(under(memory), burstable).admitted);
  EXPECT_TRUE(AdmitTo(under(memory), daemon).admitted);
  EXPECT_EQ(AdmitTo(under(disk), daemon).message,
            "the node has DiskPressure; only critical pods start until that is over");
  EXPECT_EQ(AdmitTo(under(memory + ", " + disk), burstable).message,
            "the node has MemoryPressure and DiskPressure; only critical pods start until that is over");
  EXPECT_FALSE(AdmitTo(under("{type: PIDPressure, status: 'True'}"), daemon).admitted);
  EXPECT_TRUE(AdmitTo(under(memory + ", " + disk), critical).admitted);
  EXPECT_TRUE(Admit(best_effort, FromYaml<corev1::Node>(under(disk)), {}, /*is_static=*/true).admitted);
  EXPECT_TRUE(AdmitTo(under("{type: DiskPressure, status: Unknown}"), best_effort).admitted);
}

// PL-15
TEST(Admit, SaysWhatIsNeededAndWhatIsFree) {
  const Admission admission = AdmitTo(kNode, Requesting("{cpu: 500m}"), {Requesting("{cpu: 1800m}", "b")});
  EXPECT_FALSE(admission.admitted);
  EXPECT_EQ(admission.reason, "OutOfcpu");
  EXPECT_EQ(admission.message, "needs cpu 500m, free 200m of 2");
}

TEST(Admit, NamesEveryResourceThatIsShort) {
  const Admission admission =
      AdmitTo(kNode, Requesting("{ephemeral-storage: 20Gi, memory: 2Gi, cpu: '3', example.com/gpu: 1}"));
  EXPECT_EQ(admission.reason, "OutOfcpu");
  EXPECT_EQ(admission.message,
            "needs cpu 3, free 2 of 2; needs memory 2Gi, free 1Gi of 1Gi; "
            "needs ephemeral-storage 20Gi, free 10Gi of 10Gi; needs example.com/gpu 1, free 0 of 0");
}

TEST(Admit, GivesUpstreamsReasonWords) {
  EXPECT_EQ(AdmitTo(kNode, Requesting("{memory: 2Gi}")).reason, "OutOfmemory");
  EXPECT_EQ(AdmitTo(kNode, Requesting("{ephemeral-storage: 11Gi}")).reason, "OutOfephemeral-storage");
  EXPECT_EQ(AdmitTo(kNode, Requesting("{hugepages-2Mi: 2Mi}")).reason, "OutOfhugepages-2Mi");
  EXPECT_EQ(AdmitTo(kNode, Requesting("{example.com/gpu: 1}")).reason, "OutOfexample.com/gpu");
}

TEST(Admit, CountsPodSlots) {
  const std::vector<corev1::Pod> others = {Requesting("{}", "b"), Requesting("{}", "c"), Requesting("{}", "d"),
                                           Requesting("{}", "e")};
  const Admission admission = AdmitTo(kNode, Requesting("{}"), others);
  EXPECT_EQ(admission.reason, "OutOfpods");
  EXPECT_EQ(admission.message, "needs 1 of the node's 4 pod slots, 4 are taken");
}

TEST(Admit, AResourceThatIsNotRequestedNeverBlocks) {
  const std::vector<corev1::Pod> others = {Requesting("{cpu: '9', memory: 9Gi}", "b")};
  EXPECT_TRUE(AdmitTo(kNode, Requesting("{}"), others).admitted);
  EXPECT_TRUE(AdmitTo(kNode, Requesting("{cpu: '0'}"), others).admitted);
  EXPECT_EQ(AdmitTo(kNode, Requesting("{cpu: 1m}"), others).message, "needs cpu 1m, free 0 of 2");
}

TEST(Admit, AnUnreportedResourceOfEveryNodeIsUnknownAndDoesNotBlock) {
  const std::string node = "status: {allocatable: {pods: '10'}}";
  EXPECT_TRUE(AdmitTo(node, Requesting("{cpu: '64', memory: 1Ti, ephemeral-storage: 1Ti}")).admitted);
  EXPECT_FALSE(AdmitTo(node, Requesting("{example.com/gpu: 1}")).admitted);
}

TEST(Admit, ANodeThatReportsNothingBlocksNothing) {
  EXPECT_TRUE(AdmitTo("{}", Requesting("{cpu: '64', example.com/gpu: 1}")).admitted);
}

TEST(Admit, CapacityStandsInForMissingAllocatable) {
  EXPECT_EQ(AdmitTo("status: {capacity: {cpu: '1'}}", Requesting("{cpu: '2'}")).reason, "OutOfcpu");
}

// PL-09
TEST(Admit, PodsThatEndedHoldNothing) {
  std::vector<corev1::Pod> others;
  for (const char* name : {"b", "c", "d", "e"}) others.push_back(Requesting("{cpu: '1'}", name));
  for (corev1::Pod& other : others) other.mutable_status()->set_phase("Succeeded");
  others.back().mutable_status()->set_phase("Failed");
  EXPECT_TRUE(AdmitTo(kNode, Requesting("{cpu: '1'}"), others).admitted);
}

// PL-10
TEST(Admit, InitContainersCountOnlyAboveTheContainersTogether) {
  const std::string node = "status: {allocatable: {cpu: '2'}}";
  const auto pod = PodWith(R"({
    overhead: {cpu: 200m},
    initContainers: [{name: i, resources: {requests: {cpu: 1500m}}}],
    containers: [{name: a, resources: {requests: {cpu: 900m}}}, {name: b, resources: {requests: {cpu: 900m}}}]})");
  EXPECT_TRUE(AdmitTo(node, pod).admitted);
  EXPECT_EQ(AdmitTo(node, pod, {Requesting("{cpu: 1m}", "b")}).message, "needs cpu 2, free 1999m of 2");
}

// PL-16
TEST(Admit, APodNeverConflictsWithItself) {
  const auto pod = OnPort("{containerPort: 80, hostPort: 9100}");
  EXPECT_TRUE(AdmitTo(kNode, pod, {pod}).admitted);
}

// PL-17
TEST(Admit, NamesWhoHoldsTheHostPort) {
  const Admission admission = AdmitTo(kNode, OnPort("{containerPort: 80, hostPort: 9100}"),
                                      {OnPort("{containerPort: 81, hostPort: 9100, protocol: TCP}", "other")});
  EXPECT_EQ(admission.reason, "NodePorts");
  EXPECT_EQ(admission.message, "host port 9100/TCP is taken by default/other");
}

// PL-17
TEST(Admit, HostPortsConflictOnlyOnTheSameProtocolAndAddress) {
  const auto admits = [](const std::string& a, const std::string& b) {
    return AdmitTo(kNode, OnPort("{containerPort: 1, hostPort: 53, " + a + "}"),
                   {OnPort("{containerPort: 1, hostPort: 53, " + b + "}", "b")})
        .admitted;
  };
  EXPECT_FALSE(admits("protocol: UDP", "protocol: UDP"));
  EXPECT_TRUE(admits("protocol: UDP", "protocol: TCP"));
  EXPECT_TRUE(admits("hostIP: 10.0.0.1", "hostIP: 10.0.0.2"));
  EXPECT_FALSE(admits("hostIP: 10.0.0.1", "hostIP: 10.0.0.1"));
  EXPECT_FALSE(admits("hostIP: 10.0.0.1", "hostIP: 0.0.0.0"));
  EXPECT_FALSE(admits("hostIP: '::'", "hostIP: 10.0.0.1"));
  EXPECT_FALSE(admits("hostIP: 10.0.0.1", "protocol: TCP"));
}

TEST(Admit, PortsWithoutHostPortDoNotCount) {
  EXPECT_TRUE(AdmitTo(kNode, OnPort("{containerPort: 80}"), {OnPort("{containerPort: 80}", "b")}).admitted);
}

TEST(Admit, EveryPortOfAPodOnTheHostNetworkIsAHostPort) {
  const auto pod = PodWith("{hostNetwork: true, containers: [{name: c, ports: [{containerPort: 9100}]}]}");
  EXPECT_EQ(AdmitTo(kNode, pod, {OnPort("{containerPort: 1, hostPort: 9100}", "b")}).reason, "NodePorts");
}

TEST(Admit, SidecarsHoldHostPortsAndInitContainersDoNot) {
  const auto sidecar =
      PodWith("{initContainers: [{name: s, restartPolicy: Always, ports: [{containerPort: 1, hostPort: 9100}]}]}", "b");
  const auto init = PodWith("{initContainers: [{name: s, ports: [{containerPort: 1, hostPort: 9100}]}]}", "b");
  const auto pod = OnPort("{containerPort: 80, hostPort: 9100}");
  EXPECT_FALSE(AdmitTo(kNode, pod, {sidecar}).admitted);
  EXPECT_TRUE(AdmitTo(kNode, pod, {init}).admitted);
}

TEST(Admit, ResourcesGiveTheReasonBeforePorts) {
  const auto pod = PodWith(
      "{containers: [{name: c, ports: [{containerPort: 1, hostPort: 80, hostIP: 10.0.0.1}], "
      "resources: {requests: {cpu: '3'}}}]}");
  const Admission admission = AdmitTo(kNode, pod, {OnPort("{containerPort: 1, hostPort: 80}", "b")});
  EXPECT_EQ(admission.reason, "OutOfcpu");
  EXPECT_EQ(admission.message, "needs cpu 3, free 2 of 2; host port 10.0.0.1:80/TCP is taken by default/b");
}

}  // namespace
}  // namespace daemonsetd::decide

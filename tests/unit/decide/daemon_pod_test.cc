#include "agent/decide/daemon_pod.h"

#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/model/defaulting.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr char kTemplate[] = R"(
metadata: {labels: {app: agent, tier: node}, annotations: {note: x}}
spec:
  hostNetwork: true
  serviceAccountName: agent
  nodeSelector: {disk: ssd}
  containers:
  - name: agent
    image: registry.example/agent:1.2
    command: [agent, --verbose]
    env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
    ports: [{containerPort: 9100, name: metrics}]
    resources: {limits: {cpu: 500m, memory: 128Mi}, requests: {cpu: 100m}}
    readinessProbe: {httpGet: {port: 9100}}
    volumeMounts: [{name: config, mountPath: /etc/agent}, {name: scratch, mountPath: /tmp}]
  volumes:
  - {name: config, configMap: {name: agent}}
  - {name: scratch}
)";

corev1::PodTemplateSpec TemplateOf(const std::string& spec) {
  return FromYaml<corev1::PodTemplateSpec>("spec: " + spec);
}

corev1::PodTemplateSpec WithContainer(const std::string& fields) {
  return TemplateOf("{containers: [{name: a, image: 'x:1', " + fields + "}]}");
}

std::string HashOf(const std::string& spec) { return TemplateHash(TemplateOf(spec)); }

appsv1::DaemonSet AgentSet(const std::string& name = "agent") {
  appsv1::DaemonSet set;
  set.mutable_metadata()->set_name(name);
  set.mutable_metadata()->set_namespace_("kube-system");
  set.mutable_metadata()->set_uid("6f1d0ad4-5b9e-4bb1-8f6c-0123456789ab");
  *set.mutable_spec()->mutable_template_() = FromYaml<corev1::PodTemplateSpec>(kTemplate);
  return set;
}

// A change of one of these values replaces every pod in every cluster at the next upgrade of the agent. LC-22
TEST(TemplateHash, IsTheSameInEveryVersion) {
  EXPECT_EQ(TemplateHash(FromYaml<corev1::PodTemplateSpec>(kTemplate)), "GOLDEN_T1");
  EXPECT_EQ(TemplateHash(corev1::PodTemplateSpec()), "GOLDEN_T2");
  EXPECT_EQ(HashOf("{containers: [{name: a, image: 'x:1'}]}"), "GOLDEN_T3");
}

TEST(TemplateHash, IsTheSameBeforeAndAfterDefaulting) {
  const std::vector<std::string> specs = {
      "{}",
      "{hostNetwork: true, containers: [{name: a, image: x, ports: [{containerPort: 80}]}]}",
      "{serviceAccount: old-name, containers: [{name: a, image: 'x@sha256:0000'}]}",
      "{containers: [{name: a, image: x, livenessProbe: {httpGet: {port: 1}}, startupProbe: {grpc: {port: 1}}, "
      "lifecycle: {preStop: {httpGet: {port: 1}}}}]}",
      "{containers: [{name: a, image: 'x:latest', env: [{name: L, valueFrom: {resourceFieldRef: {resource: "
      "limits.cpu}}}], resources: {limits: {cpu: '1', example.com/gpu: '1'}, requests: {memory: 1Gi}}}], "
      "initContainers: [{name: b, image: y}]}",
      "{volumes: [{name: a}, {name: b, secret: {secretName: s}}, {name: c, hostPath: {path: /}}, "
      "{name: d, projected: {sources: [{serviceAccountToken: {path: t}}, {downwardAPI: {items: [{path: p, fieldRef: "
      "{fieldPath: metadata.name}}]}}]}}, {name: e, downwardAPI: {}}, {name: f, image: {reference: r}}, "
      "{name: g, rbd: {image: i}}, {name: h, azureDisk: {diskName: d}}, {name: i, iscsi: {lun: 0}}]}",
  };
  for (const std::string& text : specs) {
    const corev1::PodTemplateSpec plain = TemplateOf(text);
    corev1::PodTemplateSpec defaulted = plain;
    model::SetPodSpecDefaults(*defaulted.mutable_spec());
    EXPECT_EQ(TemplateHash(defaulted), TemplateHash(plain)) << text;

    corev1::Pod pod;
    *pod.mutable_spec() = plain.spec();
    model::SetDefaults(pod);
    *defaulted.mutable_spec() = pod.spec();
    EXPECT_EQ(TemplateHash(defaulted), TemplateHash(plain)) << "as a pod: " << text;
  }
  corev1::PodTemplateSpec whole = FromYaml<corev1::PodTemplateSpec>(kTemplate);
  const std::string before = TemplateHash(whole);
  model::SetPodSpecDefaults(*whole.mutable_spec());
  EXPECT_EQ(TemplateHash(whole), before);
}

// The API server's encoder writes plain fields even when they are zero.
TEST(TemplateHash, ZeroAndUnsetAreAlikeWhereKubernetesDoesNotTellThemApart) {
  EXPECT_EQ(HashOf("{hostNetwork: false, hostPID: false, hostname: '', priority: 0, securityContext: {}}"), HashOf("{}"));
  EXPECT_EQ(TemplateHash(WithContainer("stdin: false, workingDir: '', resources: {}, securityContext: {}")),
            TemplateHash(WithContainer("tty: false")));
  auto with_empty = TemplateOf("{}");
  with_empty.mutable_metadata()->mutable_creationtimestamp();
  EXPECT_EQ(TemplateHash(with_empty), HashOf("{}"));
}

TEST(TemplateHash, AnExplicitZeroCountsWhereKubernetesTellsItApart) {
  EXPECT_NE(HashOf("{securityContext: {runAsUser: 0}}"), HashOf("{}"));
  EXPECT_NE(HashOf("{terminationGracePeriodSeconds: 0}"), HashOf("{}"));
  EXPECT_NE(HashOf("{automountServiceAccountToken: false}"), HashOf("{}"));
  EXPECT_NE(HashOf("{hostUsers: false}"), HashOf("{}"));
  EXPECT_NE(HashOf("{enableServiceLinks: false}"), HashOf("{}"));
  EXPECT_EQ(HashOf("{enableServiceLinks: true}"), HashOf("{}"));
  EXPECT_NE(HashOf("{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}}"), HashOf("{}"));
  EXPECT_NE(HashOf("{volumes: [{name: v, configMap: {name: c, defaultMode: 0}}]}"),
            HashOf("{volumes: [{name: v, configMap: {name: c}}]}"));
  EXPECT_NE(TemplateHash(WithContainer("securityContext: {allowPrivilegeEscalation: false}")),
            TemplateHash(WithContainer("tty: false")));
  EXPECT_NE(HashOf("{tolerations: [{key: a, operator: Exists, tolerationSeconds: 0}]}"),
            HashOf("{tolerations: [{key: a, operator: Exists}]}"));
}

TEST(TemplateHash, TellsTemplatesApart) {
  const std::set<std::string> hashes = {
      HashOf("{}"),
      HashOf("{containers: [{name: a}]}"),
      HashOf("{containers: [{name: b}]}"),
      HashOf("{containers: [{image: a}]}"),
      HashOf("{containers: [{name: a}, {name: b}]}"),
      HashOf("{containers: [{name: b}, {name: a}]}"),
      HashOf("{initContainers: [{name: a}]}"),
      HashOf("{containers: [{name: a, command: [b, c]}]}"),
      HashOf("{containers: [{name: a, command: ['bc']}]}"),
      HashOf("{containers: [{name: a, args: [b, c]}]}"),
      HashOf("{nodeSelector: {a: b}}"),
      HashOf("{nodeSelector: {b: a}}"),
      HashOf("{nodeSelector: {a: ''}}"),
      HashOf("{dnsPolicy: Default}"),
      TemplateHash(FromYaml<corev1::PodTemplateSpec>("metadata: {annotations: {a: b}}")),
      TemplateHash(FromYaml<corev1::PodTemplateSpec>("metadata: {labels: {a: b}}")),
  };
  EXPECT_EQ(hashes.size(), 16u);
}

TEST(TemplateHash, QuantitiesCompareByTheirCanonicalText) {
  EXPECT_EQ(TemplateHash(WithContainer("resources: {limits: {cpu: '0.5'}}")),
            TemplateHash(WithContainer("resources: {limits: {cpu: 500m}}")));
  EXPECT_NE(TemplateHash(WithContainer("resources: {limits: {cpu: '0.5'}}")),
            TemplateHash(WithContainer("resources: {limits: {cpu: 501m}}")));
}

TEST(TemplateHash, DoesNotDependOnTheOrderOfMaps) {
  EXPECT_EQ(HashOf("{nodeSelector: {a: '1', b: '2', c: '3', d: '4', e: '5'}}"),
            HashOf("{nodeSelector: {e: '5', d: '4', c: '3', b: '2', a: '1'}}"));
}

// A newer API server sends fields that this agent does not know.
TEST(TemplateHash, LeavesOutUnknownFields) {
  auto pod_template = FromYaml<corev1::PodTemplateSpec>(kTemplate);
  const std::string before = TemplateHash(pod_template);
  corev1::PodSpec& spec = *pod_template.mutable_spec();
  spec.GetReflection()->MutableUnknownFields(&spec)->AddVarint(7001, 1);
  EXPECT_EQ(TemplateHash(pod_template), before);
}

// LC-22
TEST(ContainerSpecHash, IsTheSameInEveryVersion) {
  const auto pod_template = FromYaml<corev1::PodTemplateSpec>(kTemplate);
  EXPECT_EQ(ContainerSpecHash(pod_template.spec().containers(0)), "GOLDEN_C1");
  EXPECT_EQ(ContainerSpecHash(corev1::Container()), "GOLDEN_C2");
  EXPECT_EQ(kSpecHashVersion, 1) << "a new version adopts every container and restarts none";
}

TEST(ContainerSpecHash, IsTheSameBeforeAndAfterDefaulting) {
  corev1::Pod pod;
  *pod.mutable_spec() = FromYaml<corev1::PodTemplateSpec>(kTemplate).spec();
  const std::string before = ContainerSpecHash(pod.spec().containers(0));
  model::SetDefaults(pod);
  EXPECT_EQ(ContainerSpecHash(pod.spec().containers(0)), before);
}

TEST(ContainerSpecHash, CoversWhatIsFixedAtCreation) {
  const auto hash = [](const std::string& fields) {
    return ContainerSpecHash(FromYaml<corev1::Container>("{name: a, image: x" + fields + "}"));
  };
  const std::set<std::string> hashes = {
      hash(""),
      hash(", command: [c]"),
      hash(", args: [c]"),
      hash(", workingDir: /"),
      hash(", env: [{name: A, value: b}]"),
      hash(", envFrom: [{configMapRef: {name: c}}]"),
      hash(", volumeMounts: [{name: v, mountPath: /v}]"),
      hash(", volumeDevices: [{name: v, devicePath: /v}]"),
      hash(", resources: {limits: {cpu: '1'}}"),
      hash(", securityContext: {privileged: true}"),
      hash(", securityContext: {runAsUser: 0}"),
      hash(", terminationMessagePath: /other"),
      hash(", stdin: true"),
      hash(", stdinOnce: true"),
      hash(", tty: true"),
      hash(", lifecycle: {stopSignal: SIGINT}"),
      ContainerSpecHash(FromYaml<corev1::Container>("{name: b, image: x}")),
      ContainerSpecHash(FromYaml<corev1::Container>("{name: a, image: y}")),
  };
  EXPECT_EQ(hashes.size(), 18u);
}

TEST(ContainerSpecHash, LeavesOutWhatTheAgentActsOnItself) {
  const std::string plain = ContainerSpecHash(FromYaml<corev1::Container>("{name: a, image: x}"));
  for (const char* fields :
       {"livenessProbe: {tcpSocket: {port: 1}}", "readinessProbe: {tcpSocket: {port: 1}}",
        "startupProbe: {tcpSocket: {port: 1}}", "lifecycle: {preStop: {exec: {command: [c]}}}",
        "imagePullPolicy: Never", "restartPolicy: Always", "terminationMessagePolicy: FallbackToLogsOnError",
        "ports: [{containerPort: 1}]"}) {
    EXPECT_EQ(ContainerSpecHash(FromYaml<corev1::Container>(std::string("{name: a, image: x, ") + fields + "}")), plain)
        << fields;
  }
}

TEST(DaemonPodName, IsDerivedFromUidNodeAndSequence) {
  const appsv1::DaemonSet set = AgentSet();
  appsv1::DaemonSet other = set;
  other.mutable_metadata()->set_uid("another");
  const std::string name = DaemonPodName(set, "node-a", 0);
  EXPECT_EQ(name, "GOLDEN_N1");
  EXPECT_EQ(DaemonPodName(set, "node-a", 0), name);
  EXPECT_NE(DaemonPodName(set, "node-b", 0), name);
  EXPECT_NE(DaemonPodName(set, "node-a", 1), name);
  EXPECT_NE(DaemonPodName(other, "node-a", 0), name);
}

TEST(DaemonPodName, FitsAHostNameHoweverLongTheSetsName) {
  const std::regex valid("[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*");
  for (const std::size_t length : {1u, 56u, 57u, 58u, 63u, 253u}) {
    std::string set_name;
    while (set_name.size() < length) set_name += set_name.size() % 58 == 57 && length > 63 ? "." : "a";
    const std::string name = DaemonPodName(AgentSet(set_name), "node-a", 7);
    EXPECT_LE(name.size(), 63u);
    EXPECT_TRUE(std::regex_match(name, valid)) << name;
  }
}

TEST(MakeDaemonPod, CarriesTheTemplateAndItsOwner) {
  appsv1::DaemonSet set = AgentSet();
  set.mutable_spec()->mutable_template_()->mutable_metadata()->add_finalizers("example.com/hold");
  set.mutable_spec()->mutable_template_()->mutable_metadata()->set_name("ignored");
  const corev1::Pod pod = MakeDaemonPod(set, "node-a", 3);
  const metav1::ObjectMeta& metadata = pod.metadata();

  EXPECT_EQ(metadata.name(), DaemonPodName(set, "node-a", 3));
  EXPECT_EQ(metadata.generatename(), "agent-");
  EXPECT_EQ(metadata.namespace_(), "kube-system");
  EXPECT_THAT(metadata.labels(),
              UnorderedElementsAre(Pair("app", "agent"), Pair("tier", "node"),
                                   Pair("controller-revision-hash", TemplateHash(set.spec().template_()))));
  EXPECT_THAT(metadata.annotations(), UnorderedElementsAre(Pair("note", "x")));
  EXPECT_THAT(metadata.finalizers(), ElementsAre("example.com/hold"));

  ASSERT_EQ(metadata.ownerreferences_size(), 1);
  const metav1::OwnerReference& owner = metadata.ownerreferences(0);
  EXPECT_EQ(owner.apiversion(), "apps/v1");
  EXPECT_EQ(owner.kind(), "DaemonSet");
  EXPECT_EQ(owner.name(), "agent");
  EXPECT_EQ(owner.uid(), set.metadata().uid());
  EXPECT_TRUE(owner.controller());
  EXPECT_TRUE(owner.blockownerdeletion());

  EXPECT_EQ(pod.spec().nodename(), "node-a");
  EXPECT_EQ(pod.spec().nodeselector().at("disk"), "ssd");
  EXPECT_EQ(pod.spec().tolerations_size(), 8) << "six, the network's and our own";
}

TEST(MakeDaemonPod, ReplacesRequiredNodeAffinityOnly) {
  appsv1::DaemonSet set = AgentSet();
  *set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_affinity() = FromYaml<corev1::Affinity>(R"(
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}, {matchExpressions: [{key: b, operator: Exists}]}]
  preferredDuringSchedulingIgnoredDuringExecution:
  - {weight: 1, preference: {matchExpressions: [{key: c, operator: Exists}]}}
podAntiAffinity:
  requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, labelSelector: {}}]
)");
  const corev1::Pod pod = MakeDaemonPod(set, "node-a", 0);
  const corev1::NodeAffinity& affinity = pod.spec().affinity().nodeaffinity();
  const corev1::NodeSelector& required = affinity.requiredduringschedulingignoredduringexecution();
  ASSERT_EQ(required.nodeselectorterms_size(), 1);
  EXPECT_TRUE(required.nodeselectorterms(0).matchexpressions().empty());
  ASSERT_EQ(required.nodeselectorterms(0).matchfields_size(), 1);
  EXPECT_EQ(required.nodeselectorterms(0).matchfields(0).key(), "metadata.name");
  EXPECT_EQ(required.nodeselectorterms(0).matchfields(0).operator_(), "In");
  EXPECT_THAT(required.nodeselectorterms(0).matchfields(0).values(), ElementsAre("node-a"));
  EXPECT_EQ(affinity.preferredduringschedulingignoredduringexecution_size(), 1);
  EXPECT_EQ(pod.spec().affinity().podantiaffinity().requiredduringschedulingignoredduringexecution_size(), 1);
}

TEST(MakeDaemonPod, LabelsTheTemplateGenerationOnlyWhenItParses) {
  const auto label = [](const std::string& annotation) -> std::string {
    appsv1::DaemonSet set = AgentSet();
    (*set.mutable_metadata()->mutable_annotations())["deprecated.daemonset.template.generation"] = annotation;
    const corev1::Pod pod = MakeDaemonPod(set, "node-a", 0);
    const auto found = pod.metadata().labels().find("pod-template-generation");
    return found == pod.metadata().labels().end() ? "none" : found->second;
  };
  EXPECT_EQ(label("7"), "7");
  EXPECT_EQ(label("x7"), "none");
  EXPECT_EQ(label("7.5"), "none");
  EXPECT_EQ(label(""), "none");
}

TEST(MakeDaemonPod, IsDeterministicAndEachSequenceHasItsOwnUid) {
  const appsv1::DaemonSet set = AgentSet();
  const corev1::Pod pod = MakeDaemonPod(set, "node-a", 0);
  EXPECT_EQ(pod.metadata().uid(), "GOLDEN_U1");
  EXPECT_EQ(MakeDaemonPod(set, "node-a", 0).DebugString(), pod.DebugString());
  EXPECT_NE(MakeDaemonPod(set, "node-a", 1).metadata().uid(), pod.metadata().uid());
  EXPECT_NE(MakeDaemonPod(set, "node-b", 0).metadata().uid(), pod.metadata().uid());
}

}  // namespace
}  // namespace daemonsetd::decide

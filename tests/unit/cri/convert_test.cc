// What containerd is told about a pod. The golden files hold the CRI messages as JSON, one file per pod.
#include "cri/convert.h"

#include <gmock/gmock.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "tests/support/golden.h"

namespace daemonsetd::cri {
namespace {

namespace v1 = ::runtime::v1;
using ::testing::HasSubstr;
using ::testing::SizeIs;

corev1::Pod ParsePod(const std::string& text) {
  corev1::Pod pod;
  if (!google::protobuf::TextFormat::ParseFromString(text, &pod)) throw std::runtime_error("the test's pod is wrong");
  return pod;
}

// Maps are sorted, so that the text is the same in every run.
std::string ToJson(const google::protobuf::Message& message) {
  std::string binary;
  {
    google::protobuf::io::StringOutputStream stream(&binary);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool("type",
                                                               google::protobuf::DescriptorPool::generated_pool()));
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      resolver.get(), "type/" + message.GetDescriptor()->full_name(), binary, &json, options);
  if (!status.ok()) throw std::runtime_error("cannot print the message");
  return json;
}

SandboxInputs NodeSandbox() {
  SandboxInputs inputs;
  inputs.attempt = 2;
  inputs.log_directory = "/var/log/pods/kube-system_agent_1234";
  inputs.dns_config.add_servers("10.0.0.2");
  inputs.dns_config.add_searches("example.org");
  inputs.cluster_domain = "cluster.local";
  inputs.node_memory = 8LL << 30;
  inputs.config_source = "file";
  inputs.config_seen = "2026-01-02T03:04:05Z";
  return inputs;
}

ContainerInputs NodeContainer(const corev1::Container& container) {
  ContainerInputs inputs;
  inputs.image_ref = "sha256:abc";
  inputs.node_memory = 8LL << 30;
  inputs.log_path = container.name() + "/3.log";
  inputs.command = {container.command().begin(), container.command().end()};
  inputs.args = {container.args().begin(), container.args().end()};
  return inputs;
}

// One pod per kind of thing that CRI carries.
struct GoldenCase {
  const char* name;
  const char* spec;
};
const GoldenCase kCases[] = {
    {"plain", R"(containers { name: "main" image: "busybox" command: "sleep" args: "1d" workingDir: "/tmp"
                 terminationMessagePath: "/dev/termination-log" terminationMessagePolicy: "File" }
                 terminationGracePeriodSeconds: 30)"},
    {"host_network", R"(hostNetwork: true hostPID: true hostIPC: true containers { name: "main" image: "cni"
                 ports { name: "m" hostPort: 9100 containerPort: 9100 protocol: "TCP" } })"},
    {"host_ports", R"(containers { name: "main" image: "web"
                 ports { name: "web" hostPort: 80 containerPort: 8080 protocol: "TCP" hostIP: "127.0.0.1" }
                 ports { hostPort: 53 containerPort: 53 protocol: "UDP" } ports { containerPort: 1 } }
                 initContainers { name: "sidecar" image: "s" restartPolicy: "Always"
                                  ports { hostPort: 7 containerPort: 7 protocol: "SCTP" } }
                 initContainers { name: "init" image: "i" ports { hostPort: 8 containerPort: 8 } })"},
    {"privileged", R"(containers { name: "main" image: "csi" securityContext { privileged: true } })"},
    {"resources", R"(containers { name: "main" image: "a" resources {
                 limits { key: "cpu" value { string: "500m" } } limits { key: "memory" value { string: "128Mi" } }
                 limits { key: "hugepages-2Mi" value { string: "4Mi" } }
                 requests { key: "cpu" value { string: "250m" } }
                 requests { key: "memory" value { string: "64Mi" } } } })"},
    {"overhead", R"(overhead { key: "cpu" value { string: "250m" } }
                 overhead { key: "memory" value { string: "120Mi" } }
                 containers { name: "main" image: "a" resources {
                 limits { key: "cpu" value { string: "1" } } limits { key: "memory" value { string: "1Gi" } }
                 requests { key: "cpu" value { string: "1" } } requests { key: "memory" value { string: "1Gi" } } } })"},
    {"users_and_groups", R"(securityContext { runAsUser: 1000 runAsGroup: 1001 fsGroup: 2000 supplementalGroups: 3000
                 supplementalGroupsPolicy: "Strict" runAsNonRoot: true }
                 containers { name: "pods" image: "a" }
                 containers { name: "own" image: "a" securityContext { runAsUser: 5 runAsGroup: 6 } })"},
    {"capabilities", R"(containers { name: "main" image: "a" securityContext { readOnlyRootFilesystem: true
                 allowPrivilegeEscalation: false
                 capabilities { add: "NET_ADMIN" add: "SYS_TIME" drop: "ALL" } } })"},
    {"profiles", R"(securityContext { seccompProfile { type: "RuntimeDefault" }
                 appArmorProfile { type: "RuntimeDefault" } }
                 containers { name: "pods" image: "a" }
                 containers { name: "local" image: "a" securityContext {
                   seccompProfile { type: "Localhost" localhostProfile: "p/x.json" }
                   appArmorProfile { type: "Localhost" localhostProfile: "k8s-x" } } }
                 containers { name: "none" image: "a" securityContext {
                   seccompProfile { type: "Unconfined" } appArmorProfile { type: "Unconfined" } } })"},
    {"selinux_and_sysctls", R"(securityContext { seLinuxOptions { type: "spc_t" level: "s0:c1" }
                 sysctls { name: "net.ipv4.ip_forward" value: "1" } }
                 containers { name: "pods" image: "a" }
                 containers { name: "own" image: "a" securityContext {
                   seLinuxOptions { user: "u" role: "r" type: "t" level: "l" } } })"},
    {"unmasked_proc", R"(containers { name: "main" image: "a" securityContext { procMount: "Unmasked" } })"},
    {"terminal", R"(shareProcessNamespace: true hostname: "db" subdomain: "data" setHostnameAsFQDN: true
                 containers { name: "main" image: "a" stdin: true stdinOnce: true tty: true
                 lifecycle { stopSignal: "SIGQUIT" } })"},
};

class GoldenTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenTest, TellsContainerdThePod) {
  const corev1::Pod pod = ParsePod(std::string(R"(metadata { name: "agent" namespace: "kube-system" uid: "1234"
      labels { key: "app" value: "agent" } annotations { key: "note" value: "x" } } spec { )") +
                                   GetParam().spec + " }");
  std::string text = "sandbox " + ToJson(ToSandboxConfig(pod, NodeSandbox()));
  for (const auto* list : {&pod.spec().initcontainers(), &pod.spec().containers()}) {
    for (const corev1::Container& container : *list) {
      text += "\ncontainer " + container.name() + " " +
              ToJson(ToContainerConfig(pod, container, 3, NodeContainer(container)));
    }
  }
  EXPECT_TRUE(testing::MatchesGolden("tests/unit/cri/testdata/" + std::string(GetParam().name) + ".txt", text));
}

INSTANTIATE_TEST_SUITE_P(Pods, GoldenTest, ::testing::ValuesIn(kCases),
                         [](const auto& golden) { return std::string(golden.param.name); });

TEST(PodHostname, IsThePodsNameCutAsTheKubeletCutsIt) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name(std::string(62, 'a') + "-bcd");
  EXPECT_EQ(PodHostname(pod, ""), std::string(62, 'a'));
  pod.mutable_spec()->set_hostname("given");
  EXPECT_EQ(PodHostname(pod, ""), "given");
  pod.mutable_spec()->set_hostnameoverride("exact.name");
  EXPECT_EQ(PodHostname(pod, ""), "exact.name");
  pod.mutable_spec()->set_hostnetwork(true);
  EXPECT_EQ(PodHostname(pod, ""), "");
}

TEST(PodHostname, IsTheFullNameOnlyWithASubdomain) {
  corev1::Pod pod = ParsePod(R"(metadata { name: "p" namespace: "n" } spec { setHostnameAsFQDN: true })");
  EXPECT_EQ(PodHostname(pod, "cluster.local"), "p");
  EXPECT_EQ(PodDomain(pod, "cluster.local"), "");
  pod.mutable_spec()->set_subdomain("s");
  EXPECT_EQ(PodHostname(pod, "cluster.local"), "p.s.n.svc.cluster.local");
  EXPECT_EQ(ShortHostname(pod), "p");
  EXPECT_EQ(PodDomain(pod, "cluster.local"), "s.n.svc.cluster.local");
  pod.mutable_spec()->set_sethostnameasfqdn(false);
  EXPECT_EQ(PodHostname(pod, "cluster.local"), "p");
  EXPECT_EQ(PodDomain(pod, "cluster.local"), "s.n.svc.cluster.local") << "the hosts file has it all the same";
  pod.mutable_spec()->set_hostnameoverride("over.ride");
  EXPECT_EQ(PodHostname(pod, "cluster.local"), "over.ride");
  EXPECT_EQ(PodDomain(pod, "cluster.local"), "") << "the override is the whole name";
}

TEST(CheckSupported, RefusesWhatWouldBeLostSilently) {
  const corev1::Pod pod = ParsePod(R"(metadata { name: "p" namespace: "n" } spec { containers { name: "c" } })");
  EXPECT_TRUE(CheckSupported(pod, NodeSandbox()));

  corev1::Pod users = pod;
  users.mutable_spec()->set_hostusers(false);
  EXPECT_EQ(CheckSupported(users, NodeSandbox()).error().kind(), ErrorKind::kUnsupported);

  corev1::Pod fqdn = pod;
  fqdn.mutable_spec()->set_sethostnameasfqdn(true);
  fqdn.mutable_spec()->set_subdomain(std::string(50, 's'));
  EXPECT_THAT(CheckSupported(fqdn, NodeSandbox()).error().message(), HasSubstr("setHostnameAsFQDN"));

  for (const char* profile : {"", "/etc/shadow", "../../x", "a/../b"}) {
    corev1::Pod local = pod;
    auto& seccomp = *local.mutable_spec()->mutable_containers(0)->mutable_securitycontext()->mutable_seccompprofile();
    seccomp.set_type("Localhost");
    seccomp.set_localhostprofile(profile);
    EXPECT_EQ(CheckSupported(local, NodeSandbox()).error().kind(), ErrorKind::kInvalid) << profile;
    seccomp.set_localhostprofile("a..b/c.json");
    EXPECT_TRUE(CheckSupported(local, NodeSandbox()));
  }
}

TEST(UserNamespace, IsToldToSandboxContainerAndMounts) {
  const corev1::Pod pod = ParsePod(R"(metadata { name: "p" } spec { hostUsers: false containers { name: "c" } })");
  SandboxInputs sandbox = NodeSandbox();
  sandbox.features.handlers[""].user_namespaces = true;
  EXPECT_FALSE(CheckSupported(pod, sandbox)) << "without IDs it would run in the node's";
  sandbox.user_namespace = IdRange{.host_id = 131072, .length = 65536};
  EXPECT_TRUE(CheckSupported(pod, sandbox));
  const auto options = ToSandboxConfig(pod, sandbox).linux().security_context().namespace_options().userns_options();
  EXPECT_EQ(options.mode(), v1::NamespaceMode::POD);
  ASSERT_THAT(options.uids(), SizeIs(1));
  EXPECT_EQ(options.uids(0).host_id(), 131072u);
  EXPECT_EQ(options.uids(0).container_id(), 0u);
  EXPECT_EQ(options.gids(0).length(), 65536u);

  ContainerInputs inputs = NodeContainer(pod.spec().containers(0));
  inputs.user_namespace = sandbox.user_namespace;
  inputs.mounts.emplace_back().set_host_path("/data");
  inputs.mounts.emplace_back().mutable_image()->set_image("models");
  const v1::ContainerConfig config = ToContainerConfig(pod, pod.spec().containers(0), 0, inputs);
  EXPECT_EQ(config.linux().security_context().namespace_options().userns_options().uids(0).host_id(), 131072u);
  EXPECT_EQ(config.mounts(0).uidmappings(0).host_id(), 131072u);
  EXPECT_EQ(config.mounts(0).gidmappings(0).length(), 65536u);
  EXPECT_THAT(config.mounts(1).uidmappings(), SizeIs(0));

  const corev1::Pod node = ParsePod(R"(metadata { name: "p" } spec { hostUsers: true containers { name: "c" } })");
  EXPECT_EQ(ToSandboxConfig(node, NodeSandbox()).linux().security_context().namespace_options().userns_options().mode(),
            v1::NamespaceMode::NODE);
}

TEST(ToContainerConfig, PassesEnvironmentAndMountsAsGiven) {
  const corev1::Pod pod =
      ParsePod(R"(metadata { name: "p" namespace: "n" uid: "u" } spec { containers { name: "c" } })");
  ContainerInputs inputs;
  inputs.envs = {{"A", "1"}, {"B", std::string("x\0y", 3)}};
  v1::Mount mount;
  mount.set_container_path("/data");
  inputs.mounts = {mount};
  const v1::ContainerConfig config = ToContainerConfig(pod, pod.spec().containers(0), 0, inputs);
  ASSERT_THAT(config.envs(), SizeIs(2));
  EXPECT_EQ(config.envs(1).value(), std::string("x\0y", 3));
  ASSERT_THAT(config.mounts(), SizeIs(1));
  EXPECT_EQ(config.mounts(0).container_path(), "/data");
}

TEST(ToContainerConfig, TakesTheImagesUserWhereThePodNamesNone) {
  const corev1::Pod pod =
      ParsePod(R"(metadata { name: "p" } spec { securityContext { runAsGroup: 7 } containers { name: "c" } })");
  ContainerInputs inputs;
  inputs.image_uid = 65532;
  v1::ContainerConfig config = ToContainerConfig(pod, pod.spec().containers(0), 0, inputs);
  EXPECT_EQ(config.linux().security_context().run_as_user().value(), 65532);
  EXPECT_EQ(config.linux().security_context().run_as_group().value(), 7);

  inputs.image_uid.reset();
  inputs.image_username = "nobody";
  config = ToContainerConfig(pod, pod.spec().containers(0), 0, inputs);
  EXPECT_FALSE(config.linux().security_context().has_run_as_user());
  EXPECT_EQ(config.linux().security_context().run_as_username(), "nobody");
}

TEST(ToContainerConfig, ReadsAppArmorFromTheOldAnnotation) {
  corev1::Pod pod = ParsePod(R"(metadata { name: "p" } spec { containers { name: "c" } })");
  (*pod.mutable_metadata()->mutable_annotations())["container.apparmor.security.beta.kubernetes.io/c"] = "localhost/x";
  const v1::ContainerConfig config = ToContainerConfig(pod, pod.spec().containers(0), 0, {});
  EXPECT_EQ(config.linux().security_context().apparmor().localhost_ref(), "x");
}

TEST(ToContainerConfig, LimitsHugePagesThatAreNotAskedForToZero) {
  const corev1::Pod pod = ParsePod(R"(metadata { name: "p" } spec { containers { name: "c" resources {
      limits { key: "hugepages-2Mi" value { string: "4Mi" } } } } })");
  ContainerInputs inputs;
  inputs.huge_page_sizes = {2 << 20, 1 << 30};
  const v1::ContainerConfig config = ToContainerConfig(pod, pod.spec().containers(0), 0, inputs);
  ASSERT_THAT(config.linux().resources().hugepage_limits(), SizeIs(2));
  EXPECT_EQ(config.linux().resources().hugepage_limits(0).page_size(), "2MB");
  EXPECT_EQ(config.linux().resources().hugepage_limits(0).limit(), 4u << 20);
  EXPECT_EQ(config.linux().resources().hugepage_limits(1).page_size(), "1GB");
  EXPECT_EQ(config.linux().resources().hugepage_limits(1).limit(), 0u);
}

TEST(ToContainerConfig, SaysWhetherMemoryThatRunsOutEndsTheWholeContainer) {  // LC-29
  const corev1::Pod pod = ParsePod(R"(metadata { name: "p" } spec { containers { name: "c" } })");
  const auto unified = [&pod](bool whole) {
    ContainerInputs inputs;
    inputs.oom_kills_container = whole;
    return ToContainerConfig(pod, pod.spec().containers(0), 0, inputs).linux().resources().unified();
  };
  EXPECT_EQ(unified(true).at("memory.oom.group"), "1");
  EXPECT_TRUE(unified(false).empty());
}

TEST(CheckRunAsNonRoot, WantsANumberThatIsNotZero) {
  corev1::Pod pod = ParsePod(R"(metadata { name: "p" namespace: "n" } spec {
      securityContext { runAsNonRoot: true } containers { name: "c" } })");
  corev1::Container& container = *pod.mutable_spec()->mutable_containers(0);
  v1::Image image;
  EXPECT_THAT(CheckRunAsNonRoot(pod, container, image).error().message(), HasSubstr("container c of pod n/p"));
  image.mutable_uid()->set_value(0);
  EXPECT_FALSE(CheckRunAsNonRoot(pod, container, image));
  image.mutable_uid()->set_value(10);
  EXPECT_TRUE(CheckRunAsNonRoot(pod, container, image));
  image.clear_uid();
  image.set_username("web");
  EXPECT_THAT(CheckRunAsNonRoot(pod, container, image).error().message(), HasSubstr("web"));
  pod.mutable_spec()->mutable_securitycontext()->set_runasuser(0);
  EXPECT_FALSE(CheckRunAsNonRoot(pod, container, image));
  container.mutable_securitycontext()->set_runasuser(1);
  EXPECT_TRUE(CheckRunAsNonRoot(pod, container, image));
  container.mutable_securitycontext()->clear_runasuser();
  container.mutable_securitycontext()->set_runasnonroot(false);
  EXPECT_TRUE(CheckRunAsNonRoot(pod, container, v1::Image()));
}

}  // namespace
}  // namespace daemonsetd::cri

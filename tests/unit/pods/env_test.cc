#include "agent/pods/env.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "agent/pods/no_objects.h"
#include "tests/support/loop.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class EnvTest : public ::testing::Test {
 protected:
  EnvTest() {
    pod_.mutable_metadata()->set_name("agent");
    pod_.mutable_metadata()->set_namespace_("kube-system");
    pod_.mutable_metadata()->set_uid("1234");
    (*pod_.mutable_metadata()->mutable_labels())["app"] = "x";
    (*pod_.mutable_metadata()->mutable_annotations())["a.b/c"] = "y";
    pod_.mutable_spec()->set_nodename("node-1");
    pod_.mutable_spec()->set_serviceaccountname("sa");
    facts_.host_ips = {"10.0.0.1", "fd00::1"};
    facts_.pod_ips = {"10.1.0.1", "fd01::1"};
    facts_.node_allocatable["cpu"] = model::Quantity::FromMilli(3500);
    facts_.node_allocatable["memory"] = model::Quantity::FromBytes(1 << 20);
  }

  Result<ProcessSpec> Make(const std::string& container) {
    corev1::Container& target = *pod_.mutable_spec()->add_containers();
    if (!google::protobuf::TextFormat::ParseFromString("name: \"main\" " + container, &target)) {
      throw std::runtime_error("the test's container is wrong");
    }
    return MakeProcess(pod_, target, facts_, sources_);
  }
  // As where no API server is.
  Result<ProcessSpec> MakeWithoutServer(const std::string& container) {
    corev1::Container target;
    if (!google::protobuf::TextFormat::ParseFromString("name: \"main\" " + container, &target)) {
      throw std::runtime_error("the test's container is wrong");
    }
    ObjectNames names;
    AddNames(target, names);
    testing::TestLoop loop;
    sources_.objects = loop.Run(Fetch(std::make_shared<NoObjects>(), "kube-system", names, Seconds(1)));
    return MakeProcess(pod_, target, facts_, sources_);
  }
  void AddConfigMap(const std::string& name, const std::map<std::string, std::string>& data) {
    corev1::ConfigMap object;
    for (const auto& [key, value] : data) (*object.mutable_data())[key] = value;
    sources_.objects.config_maps.emplace(name, std::make_shared<const corev1::ConfigMap>(object));
  }
  void AddSecret(const std::string& name, const std::map<std::string, std::string>& data) {
    corev1::Secret object;
    for (const auto& [key, value] : data) (*object.mutable_data())[key] = value;
    sources_.objects.secrets.emplace(name, std::make_shared<const corev1::Secret>(object));
  }
  std::string ErrorOf(const std::string& container) {
    const Result<ProcessSpec> process = Make(container);
    return process ? "" : process.error().message();
  }
  std::string Resource(const std::string& container, const std::string& selector) {
    corev1::Container target;
    corev1::ResourceFieldSelector field;
    if (!google::protobuf::TextFormat::ParseFromString(container, &target) ||
        !google::protobuf::TextFormat::ParseFromString(selector, &field)) {
      throw std::runtime_error("the test's text is wrong");
    }
    const Result<std::string> value = ResourceValue(pod_, target, field, facts_);
    return value ? *value : value.error().message();
  }
  std::string Field(const std::string& path) {
    const Result<std::string> value = FieldValue(pod_, path, facts_);
    return value ? *value : value.error().message();
  }

  corev1::Pod pod_;
  PodFacts facts_;
  EnvSources sources_;
};

TEST_F(EnvTest, ExpandsAgainstEarlierVariablesOnly) {
  const Result<ProcessSpec> process = Make(R"text(
      env { name: "A" value: "1" } env { name: "B" value: "$(A)-$(C)-$$(A)" } env { name: "C" value: "3" }
      command: "/bin/$(C)" args: "--a=$(A)" args: "$(NONE)")text");
  ASSERT_TRUE(process);
  EXPECT_THAT(process->envs, ElementsAre(FieldsAre("A", "1"), FieldsAre("B", "1-$(C)-$(A)"), FieldsAre("C", "3")));
  EXPECT_THAT(process->command, ElementsAre("/bin/3"));
  EXPECT_THAT(process->args, ElementsAre("--a=1", "$(NONE)"));
}

TEST_F(EnvTest, TheLaterOfTwoVariablesWithOneNameWins) {
  const Result<ProcessSpec> process =
      Make(R"text(env { name: "A" value: "1" } env { name: "B" value: "$(A)" } env { name: "A" value: "2" })text");
  ASSERT_TRUE(process);
  EXPECT_THAT(process->envs, ElementsAre(FieldsAre("A", "2"), FieldsAre("B", "1")));
}

TEST_F(EnvTest, ReadsFieldsOfThePod) {
  EXPECT_EQ(Field("metadata.name"), "agent");
  EXPECT_EQ(Field("metadata.namespace"), "kube-system");
  EXPECT_EQ(Field("metadata.uid"), "1234");
  EXPECT_EQ(Field("metadata.labels['app']"), "x");
  EXPECT_EQ(Field("metadata.labels['absent']"), "");
  EXPECT_EQ(Field("metadata.annotations['a.b/c']"), "y");
  EXPECT_EQ(Field("spec.nodeName"), "node-1");
  EXPECT_EQ(Field("spec.serviceAccountName"), "sa");
  EXPECT_EQ(Field("status.hostIP"), "10.0.0.1");
  EXPECT_EQ(Field("status.hostIPs"), "10.0.0.1,fd00::1");
  EXPECT_EQ(Field("status.podIP"), "10.1.0.1");
  EXPECT_EQ(Field("status.podIPs"), "10.1.0.1,fd01::1");
  for (const char* wrong : {"spec.hostname", "metadata.labels['", "metadata.labels['']x", "spec['a']", ""}) {
    EXPECT_FALSE(FieldValue(pod_, wrong, facts_)) << wrong;
  }
}

TEST_F(EnvTest, TheHostsAddressIsThePodsOnTheHostNetwork) {
  facts_.pod_ips.clear();
  EXPECT_EQ(FieldValue(pod_, "status.podIP", facts_).error().kind(), ErrorKind::kRetry);
  pod_.mutable_spec()->set_hostnetwork(true);
  EXPECT_EQ(Field("status.podIPs"), "10.0.0.1,fd00::1");
}

TEST_F(EnvTest, RoundsResourcesUpAndDefaultsLimitsToTheNodes) {
  const std::string own = R"(name: "main" resources { limits { key: "cpu" value { string: "1500m" } }
      limits { key: "memory" value { string: "64Mi" } } requests { key: "memory" value { string: "1500" } } })";
  EXPECT_EQ(Resource(own, R"(resource: "limits.cpu")"), "2");
  EXPECT_EQ(Resource(own, R"(resource: "limits.cpu" divisor { string: "1m" })"), "1500");
  EXPECT_EQ(Resource(own, R"(resource: "limits.memory" divisor { string: "1Mi" })"), "64");
  EXPECT_EQ(Resource(own, R"(resource: "requests.memory" divisor { string: "1Ki" })"), "2");
  EXPECT_EQ(Resource(own, R"(resource: "limits.memory" divisor { string: "0" })"), "67108864");
  EXPECT_EQ(Resource(R"(name: "main")", R"(resource: "limits.cpu")"), "4");
  EXPECT_EQ(Resource(R"(name: "main")", R"(resource: "limits.memory")"), "1048576");
  EXPECT_EQ(Resource(R"(name: "main")", R"(resource: "requests.cpu")"), "0");
  EXPECT_THAT(Resource(own, R"(resource: "limits.gpu")"), HasSubstr("limits.gpu"));
  EXPECT_THAT(Resource(own, R"(resource: "cpu")"), HasSubstr("limits. or requests."));
  EXPECT_THAT(Resource(own, R"(resource: "limits.cpu" containerName: "other")"), HasSubstr("no container other"));
}

TEST_F(EnvTest, NamesTheObjectThatNeedsAnApiServer) {
  const Result<ProcessSpec> process = MakeWithoutServer(R"(env { name: "A" value: "hidden" } env { name: "P" valueFrom {
      secretKeyRef { localObjectReference { name: "db" } key: "k" } } })");
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().kind(), ErrorKind::kAbsent);
  EXPECT_EQ(process.error().message(), "container main: env P: needs Secret db: no API server is configured");
  EXPECT_THAT(process.error().message(), Not(HasSubstr("hidden")));
}

TEST_F(EnvTest, EnvFromNeedsAnApiServerToo) {
  const Result<ProcessSpec> process =
      MakeWithoutServer(R"(envFrom { configMapRef { localObjectReference { name: "settings" } } })");
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().kind(), ErrorKind::kAbsent);
  EXPECT_THAT(process.error().message(), HasSubstr("ConfigMap settings"));
}

TEST_F(EnvTest, LeavesOptionalSourcesOut) {
  const Result<ProcessSpec> process = MakeWithoutServer(R"(
      env { name: "A" valueFrom { configMapKeyRef { localObjectReference { name: "c" } key: "k" optional: true } } }
      env { name: "B" valueFrom { secretKeyRef { localObjectReference { name: "s" } key: "k" optional: true } } }
      envFrom { secretRef { localObjectReference { name: "s" } optional: true } })");
  ASSERT_TRUE(process);
  EXPECT_THAT(process->envs, IsEmpty());
}

TEST_F(EnvTest, TakesValuesFromKeysOfObjects) {
  AddConfigMap("settings", {{"level", "debug"}});
  AddSecret("db", {{"password", "hidden"}});
  const Result<ProcessSpec> process = Make(R"text(
      env { name: "LEVEL" valueFrom { configMapKeyRef { localObjectReference { name: "settings" } key: "level" } } }
      env { name: "PASSWORD" valueFrom { secretKeyRef { localObjectReference { name: "db" } key: "password" } } }
      env { name: "NONE" valueFrom { configMapKeyRef {
          localObjectReference { name: "settings" } key: "absent" optional: true } } }
      env { name: "URL" value: "db:$(PASSWORD)@$(NONE)" })text");
  ASSERT_TRUE(process);
  EXPECT_THAT(process->envs, ElementsAre(FieldsAre("LEVEL", "debug"), FieldsAre("PASSWORD", "hidden"),
                                         FieldsAre("URL", "db:hidden@$(NONE)")));
}

TEST_F(EnvTest, NamesTheKeyThatIsMissing) {
  AddConfigMap("settings", {});
  AddSecret("db", {{"other", "hidden"}});
  EXPECT_EQ(ErrorOf(R"(env { name: "A" valueFrom { configMapKeyRef {
                localObjectReference { name: "settings" } key: "k" } } })"),
            "container main: env A: couldn't find key k in ConfigMap kube-system/settings");
  EXPECT_EQ(ErrorOf(R"(env { name: "A" valueFrom { secretKeyRef { localObjectReference { name: "db" } key: "k" } } })"),
            "container main: env A: couldn't find key k in Secret kube-system/db");
}

TEST_F(EnvTest, TakesEveryKeyOfAnObjectAndLetsEnvOverrideThem) {
  AddConfigMap("settings", {{"A", "1"}, {"B", "2"}});
  AddSecret("db", {{"B", "3"}, {"C", "4"}});
  const Result<ProcessSpec> process = Make(R"text(
      envFrom { configMapRef { localObjectReference { name: "settings" } } }
      envFrom { prefix: "DB_" secretRef { localObjectReference { name: "db" } } }
      envFrom { secretRef { localObjectReference { name: "db" } } }
      env { name: "A" value: "own $(DB_C)" })text");
  ASSERT_TRUE(process);
  EXPECT_THAT(process->envs, ElementsAre(FieldsAre("A", "own 4"), FieldsAre("B", "3"), FieldsAre("DB_B", "3"),
                                         FieldsAre("DB_C", "4"), FieldsAre("C", "4")));
  EXPECT_THAT(process->skipped, IsEmpty());
}

TEST_F(EnvTest, SkipsKeysThatNameNoVariableAndSaysWhich) {
  AddConfigMap("settings", {{"good", "1"}, {"a=b", "2"}, {"line\n", "3"}});
  const Result<ProcessSpec> process = Make(R"(envFrom { configMapRef { localObjectReference { name: "settings" } } })");
  ASSERT_TRUE(process);
  EXPECT_THAT(process->envs, ElementsAre(FieldsAre("good", "1")));
  EXPECT_THAT(process->skipped, ElementsAre("Keys [a=b, line\n] from the EnvFrom configMap kube-system/settings were "
                                            "skipped since they are considered invalid environment variable names."));
}

TEST_F(EnvTest, RefusesWhatNoVariableCanHoldWithoutTellingIt) {
  AddSecret("db", {{"zero", std::string("hid\0den", 7)}, {"binary", "hid\xff"}});
  for (const char* key : {"zero", "binary"}) {
    const std::string error = ErrorOf(R"(env { name: "A" valueFrom { secretKeyRef {
        localObjectReference { name: "db" } key: ")" +
                                      std::string(key) + "\" } } }");
    EXPECT_THAT(error, HasSubstr("key " + std::string(key) + " of Secret db is not UTF-8 text"));
    EXPECT_THAT(error, Not(HasSubstr("hid")));
  }
  EXPECT_THAT(ErrorOf(R"(envFrom { secretRef { localObjectReference { name: "db" } } })"), HasSubstr("is not UTF-8"));
}

TEST_F(EnvTest, TellsOfServicesWithoutHidingWhatTheContainerSays) {
  corev1::Service service;
  service.mutable_metadata()->set_name("kubernetes");
  service.mutable_spec()->set_clusterip("10.96.0.1");
  service.mutable_spec()->add_ports()->set_port(443);
  sources_.services = {service};
  const Result<ProcessSpec> process = Make(R"text(
      env { name: "API" value: "https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)" }
      env { name: "KUBERNETES_SERVICE_HOST" value: "api.example" } args: "--server=$(KUBERNETES_SERVICE_HOST)")text");
  ASSERT_TRUE(process);
  ASSERT_GE(process->envs.size(), 4u);
  EXPECT_THAT(process->envs[0], FieldsAre("API", "https://10.96.0.1:443"));
  EXPECT_THAT(process->envs[1], FieldsAre("KUBERNETES_SERVICE_HOST", "api.example"));
  EXPECT_THAT(process->envs[2], FieldsAre("KUBERNETES_PORT", "tcp://10.96.0.1:443"));
  EXPECT_THAT(process->args, ElementsAre("--server=api.example"));
}

TEST_F(EnvTest, ExpandsASubPathOnlyWhenEveryVariableIsSet) {
  EXPECT_EQ(*ExpandStrictly("logs/$(POD)", {{"POD", "p"}}), "logs/p");
  const Result<std::string> missing = ExpandStrictly("logs/$(POD)", {});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), HasSubstr("POD"));
}

}  // namespace
}  // namespace daemonsetd::pods

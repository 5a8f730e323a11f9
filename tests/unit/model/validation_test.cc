#include "agent/model/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/model/defaulting.h"
#include "agent/model/names.h"

namespace daemonsetd::model {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

appsv1::DaemonSet ValidDaemonSet() {
  appsv1::DaemonSet daemon_set;
  daemon_set.mutable_metadata()->set_name("agent");
  auto& spec = *daemon_set.mutable_spec();
  (*spec.mutable_selector()->mutable_matchlabels())["app"] = "agent";
  (*spec.mutable_template_()->mutable_metadata()->mutable_labels())["app"] = "agent";
  auto& container = *spec.mutable_template_()->mutable_spec()->add_containers();
  container.set_name("agent");
  container.set_image("registry.example.com/agent:1.0");
  SetDefaults(daemon_set);
  return daemon_set;
}

corev1::PodSpec& PodOf(appsv1::DaemonSet& daemon_set) {
  return *daemon_set.mutable_spec()->mutable_template_()->mutable_spec();
}

corev1::Pod ValidPod() {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("agent");
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  *pod.mutable_spec() = PodOf(daemon_set);
  SetDefaults(pod);
  return pod;
}

template <class Object>
std::vector<std::string> Texts(const Object& object) {
  std::vector<std::string> texts;
  for (const FieldError& error : Validate(object)) {
    texts.push_back(ToString(error));
  }
  return texts;
}

TEST(ValidationTest, AcceptsAMinimalDaemonSetAndPod) {
  EXPECT_THAT(Texts(ValidDaemonSet()), IsEmpty());
  EXPECT_THAT(Texts(ValidPod()), IsEmpty());
}

TEST(ValidationTest, AnEmptyObjectIsRefusedWithoutACrash) {
  EXPECT_THAT(Texts(appsv1::DaemonSet()), Contains("metadata.name: Required value: name or generateName is required"));
  EXPECT_THAT(Texts(corev1::Pod()), Contains("spec.containers: Required value"));
}

TEST(ValidationTest, AQuantityThatDoesNotParseNamesItself) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  auto& resources = *PodOf(daemon_set).mutable_containers(0)->mutable_resources();
  (*resources.mutable_limits())["memory"].set_string("128 Mi");
  EXPECT_THAT(Texts(daemon_set),
              ElementsAre("spec.template.spec.containers[0].resources.limits[memory]: Invalid value: \"128 Mi\": "
                          "must be a quantity, such as 100m, 0.5, 128Mi or 1G"));
}

// The reference checks a template's pod-level resources only when the pod is created; here nothing else would.
TEST(ValidationTest, ATemplatesPodLevelRequestMayNotExceedItsLimit) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  auto& resources = *PodOf(daemon_set).mutable_resources();
  (*resources.mutable_limits())["cpu"].set_string("1");
  (*resources.mutable_requests())["cpu"].set_string("2");
  EXPECT_THAT(Texts(daemon_set), ElementsAre("spec.template.spec.resources.requests: Invalid value: \"2\": must be "
                                             "less than or equal to cpu limit of 1"));
}

TEST(ValidationTest, APodMayRestartItsContainersByRules) {
  corev1::Pod pod = ValidPod();
  auto& container = *pod.mutable_spec()->mutable_containers(0);
  container.set_restartpolicy("Never");
  auto& rule = *container.add_restartpolicyrules();
  rule.set_action("Restart");
  rule.mutable_exitcodes()->set_operator_("In");
  rule.mutable_exitcodes()->add_values(42);
  EXPECT_THAT(Texts(pod), IsEmpty());
  for (int i = 0; i < 20; ++i) {
    *container.add_restartpolicyrules() = container.restartpolicyrules(0);
  }
  EXPECT_THAT(Texts(pod),
              ElementsAre("spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items"));
}

TEST(ValidationTest, AnAnnotationOfAnyLengthCountsTowardsTheLimit) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  (*daemon_set.mutable_metadata()->mutable_annotations())["example.com/a"] = std::string(256 * 1024 - 13, 'x');
  EXPECT_THAT(Texts(daemon_set), IsEmpty());
  (*daemon_set.mutable_metadata()->mutable_annotations())["b"] = "";
  EXPECT_THAT(Texts(daemon_set), ElementsAre("metadata.annotations: Too long: may not be more than 262144 bytes"));
}

TEST(ValidationTest, ALimitMayBeHugeAndAPercentageLongerThanAnyNumber) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  auto& value = *daemon_set.mutable_spec()->mutable_updatestrategy()->mutable_rollingupdate()->mutable_maxunavailable();
  value.set_type(1);
  value.set_strval(std::string(1000, '9') + "%");
  EXPECT_THAT(Texts(daemon_set), ElementsAre(HasSubstr("must not be greater than 100%")));
}

TEST(ValidationTest, FileKeysComeFromAnEmptyDirOfThePod) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  auto& env = *PodOf(daemon_set).mutable_containers(0)->add_env();
  env.set_name("KEY");
  auto& key = *env.mutable_valuefrom()->mutable_filekeyref();
  key.set_volumename("files");
  key.set_path("settings.env");
  key.set_key("KEY");
  EXPECT_THAT(Texts(daemon_set), ElementsAre("spec.template.spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: "
                                             "Not found: \"files\""));
  auto& volume = *PodOf(daemon_set).add_volumes();
  volume.set_name("files");
  volume.mutable_volumesource()->mutable_emptydir();
  EXPECT_THAT(Texts(daemon_set), IsEmpty());
}

TEST(ValidationTest, ASidecarMayHaveProbes) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  auto& sidecar = *PodOf(daemon_set).add_initcontainers();
  sidecar.set_name("sidecar");
  sidecar.set_image("registry.example.com/sidecar:1.0");
  sidecar.set_restartpolicy("Always");
  sidecar.mutable_startupprobe()->mutable_handler()->mutable_exec()->add_command("true");
  SetDefaults(daemon_set);
  EXPECT_THAT(Texts(daemon_set), IsEmpty());
}

TEST(ValidationTest, TheSameErrorsComeInTheSameOrderEveryTime) {
  appsv1::DaemonSet daemon_set = ValidDaemonSet();
  for (int i = 0; i < 50; ++i) {
    (*daemon_set.mutable_metadata()->mutable_labels())["bad key " + std::to_string(i)] = "x";
  }
  const auto once = Texts(daemon_set);
  appsv1::DaemonSet copy;
  ASSERT_TRUE(copy.ParseFromString(daemon_set.SerializeAsString()));
  EXPECT_EQ(once.size(), 50U);
  EXPECT_EQ(Texts(copy), once);
}

TEST(FieldErrorTest, ReadsLikeTheApiServersErrors) {
  using Type = FieldError::Type;
  EXPECT_EQ(ToString({Type::kRequired, "a.b", "", ""}), "a.b: Required value");
  EXPECT_EQ(ToString({Type::kInvalid, "a", "x\"y", "no"}), "a: Invalid value: \"x\\\"y\": no");
  EXPECT_EQ(ToString({Type::kInvalid, "a", "7", "no", false}), "a: Invalid value: 7: no");
  EXPECT_EQ(ToString({Type::kDuplicate, "a", "x", ""}), "a: Duplicate value: \"x\"");
  EXPECT_EQ(ToString({Type::kNotFound, "a", "x", ""}), "a: Not found: \"x\"");
  EXPECT_EQ(ToString({Type::kForbidden, "a", "", "why"}), "a: Forbidden: why");
  EXPECT_EQ(UpstreamName(Type::kNotSupported), "FieldValueNotSupported");
}

TEST(FieldErrorTest, ShowsHostileValuesInShortAndOnOneLine) {
  const std::string text = ToString({FieldError::Type::kInvalid, "a", std::string(100'000, 'x') + "\n\x01", "no"});
  EXPECT_LT(text.size(), 400U);
  EXPECT_EQ(ToString({FieldError::Type::kInvalid, "a", "1\n\x01", "no"}), "a: Invalid value: \"1\\n\\x01\": no");
}

struct NameCase {
  std::string (*check)(std::string_view);
  std::string text;
  bool is_fine;
};

TEST(NamesTest, AreAcceptedAsTheReferenceAcceptsThem) {
  const std::string long_label(63, 'a');
  const NameCase cases[] = {
      {CheckDns1123Label, "a", true},
      {CheckDns1123Label, "a-1", true},
      {CheckDns1123Label, "1", true},
      {CheckDns1123Label, long_label, true},
      {CheckDns1123Label, long_label + "a", false},
      {CheckDns1123Label, "", false},
      {CheckDns1123Label, "-a", false},
      {CheckDns1123Label, "a-", false},
      {CheckDns1123Label, "A", false},
      {CheckDns1123Label, "a.b", false},
      {CheckDns1123Label, "a\n", false},
      {CheckDns1123Subdomain, "a.b-c.d", true},
      {CheckDns1123Subdomain, "a..b", false},
      {CheckDns1123Subdomain, ".a", false},
      {CheckDns1123Subdomain, "a.", false},
      {CheckDns1123Subdomain, std::string(254, 'a'), false},
      {CheckDns1123SubdomainWithUnderscore, "_srv._tcp.example.com", true},
      {CheckDns1123SubdomainWithUnderscore, "a_", false},
      {CheckQualifiedName, "app", true},
      {CheckQualifiedName, "example.com/App_1.x", true},
      {CheckQualifiedName, "/app", false},
      {CheckQualifiedName, "a/b/c", false},
      {CheckQualifiedName, "Example.com/app", false},
      {CheckQualifiedName, "example.com/", false},
      {CheckQualifiedName, "-app", false},
      {CheckQualifiedName, long_label + "a", false},
      {CheckLabelValue, "", true},
      {CheckLabelValue, "v1.2_3-x", true},
      {CheckLabelValue, "a b", false},
      {CheckLabelValue, long_label + "a", false},
      {CheckPortName, "http-2", true},
      {CheckPortName, "80", false},
      {CheckPortName, "a--b", false},
      {CheckPortName, "a-very-long-port", false},
      {CheckPortName, "", false},
      {CheckEnvVarName, "my.env-name 1", true},
      {CheckEnvVarName, "A=B", false},
      {CheckEnvVarName, "\xc3\xa9", false},
      {CheckConfigMapKey, "a.b_c-D", true},
      {CheckConfigMapKey, ".", false},
      {CheckConfigMapKey, "..a", false},
      {CheckConfigMapKey, "a/b", false},
      {CheckDomainPrefixedPath, "example.com/a/b:c", true},
      {CheckDomainPrefixedPath, "example.com/", false},
      {CheckDomainPrefixedPath, "example.com", false},
      {CheckDomainPrefixedPath, "example.com/a b", false},
      {CheckIpAddress, "10.0.0.1", true},
      {CheckIpAddress, "2001:db8::1", true},
      {CheckIpAddress, "010.0.0.1", false},
      {CheckIpAddress, "10.0.0", false},
      {CheckIpAddress, "localhost", false},
      {CheckHttpHeaderName, "X-Probe", true},
      {CheckHttpHeaderName, "X Probe", false},
  };
  for (const NameCase& each : cases) {
    EXPECT_EQ(each.check(each.text).empty(), each.is_fine) << each.text << ": " << each.check(each.text);
  }
}

TEST(NamesTest, AnAddressHasAPort) {
  EXPECT_EQ(ParseAddressPort("10.0.0.1:9100")->address, "10.0.0.1");
  EXPECT_EQ(ParseAddressPort("0.0.0.0:65535")->port, 65535);
  EXPECT_EQ(ParseAddressPort("[2001:db8::1]:1")->address, "2001:db8::1");
  for (const char* text :
       {"", ":", ":9100", "9100", "localhost:9100", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536",
        "10.0.0.1:-1", "10.0.0.1:9100 ", "2001:db8::1:9100", "[10.0.0.1]:9100", "[]:9100", "[2001:db8::1]9100"}) {
    EXPECT_FALSE(ParseAddressPort(text)) << text;
  }
}

TEST(NamesTest, AVeryLongNameCostsNoMoreThanItsLength) {
  const std::string dots(1'000'000, '.');
  EXPECT_NE(CheckDns1123Subdomain(dots), "");
  EXPECT_NE(CheckQualifiedName(dots), "");
  EXPECT_FALSE(IsPercent(std::string(1'000'000, '9')));
}

}  // namespace
}  // namespace daemonsetd::model

#include "agent/pods/volumes/projected_files.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

class ProjectedFiles : public ::testing::Test {
 protected:
  ProjectedFiles() {
    pod_.mutable_metadata()->set_name("agent");
    pod_.mutable_metadata()->set_namespace_("ns");
    pod_.mutable_metadata()->set_uid("uid-1");
    (*pod_.mutable_metadata()->mutable_labels())["b"] = "2";
    (*pod_.mutable_metadata()->mutable_labels())["a"] = "1";
    (*pod_.mutable_metadata()->mutable_annotations())["text"] = "line\n\"quoted\"\\ \x01 ü";
    pod_.mutable_spec()->add_containers()->set_name("main");

    corev1::ConfigMap settings;
    (*settings.mutable_data())["a.conf"] = "text";
    (*settings.mutable_binarydata())["b.bin"] = std::string("\0\xff", 2);
    objects_.config_maps.emplace("settings", std::make_shared<const corev1::ConfigMap>(settings));
    corev1::Secret secret;
    (*secret.mutable_data())["password"] = "hidden";
    objects_.secrets.emplace("db", std::make_shared<const corev1::Secret>(secret));
    objects_.config_maps.emplace("missing", Error(ErrorKind::kAbsent, "configmap \"missing\" not found"));
    objects_.secrets.emplace("missing", Error(ErrorKind::kAbsent, "secret \"missing\" not found"));
    objects_.config_maps.emplace("unknown", Error(ErrorKind::kRetry, "the API server cannot be reached"));
  }

  Result<WantedFiles> Make(const std::string& source) {
    corev1::Volume volume;
    if (!google::protobuf::TextFormat::ParseFromString(R"(name: "v" volumeSource { )" + source + " }", &volume)) {
      throw std::runtime_error("the test's volume is wrong");
    }
    return FilesOf(pod_, volume, objects_, tokens_, facts_);
  }
  std::map<std::string, std::string> Contents(const std::string& source) {
    std::map<std::string, std::string> contents;
    const Result<WantedFiles> files = Make(source);
    if (!files) return {{"error", files.error().message()}};
    for (const auto& [path, file] : files->files) contents[path] = file.content;
    return contents;
  }
  std::string ErrorOf(const std::string& source) {
    const Result<WantedFiles> files = Make(source);
    return files ? "" : files.error().message();
  }

  corev1::Pod pod_;
  NamedObjects objects_;
  TokenValues tokens_;
  PodFacts facts_;
};

TEST_F(ProjectedFiles, HaveAFileForEveryKeyOrForTheItems) {
  EXPECT_THAT(Contents(R"(configMap { localObjectReference { name: "settings" } })"),
              ElementsAre(Pair("a.conf", "text"), Pair("b.bin", std::string("\0\xff", 2))));
  EXPECT_THAT(Contents(R"(configMap { localObjectReference { name: "settings" }
                          items { key: "a.conf" path: "etc/x.conf" } items { key: "b.bin" path: "b" } })"),
              ElementsAre(Pair("b", std::string("\0\xff", 2)), Pair("etc/x.conf", "text")));
  EXPECT_THAT(Contents(R"(secret { secretName: "db" })"), ElementsAre(Pair("password", "hidden")));
}

TEST_F(ProjectedFiles, TakeTheirModeFromTheItemElseFromTheVolume) {
  const Result<WantedFiles> files = Make(R"(secret { secretName: "db" defaultMode: 256 defaultUser: 7
      items { key: "password" path: "p" } items { key: "password" path: "q" mode: 448 user: 8 } })");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->files.at("p").mode, 0400u);
  EXPECT_EQ(files->files.at("p").user, 7u);
  EXPECT_EQ(files->files.at("q").mode, 0700u);
  EXPECT_EQ(files->files.at("q").user, 8u);
  EXPECT_EQ(Make(R"(configMap { localObjectReference { name: "settings" } })")->files.at("a.conf").mode, 0644u);
}

TEST_F(ProjectedFiles, BelongToThePodsGroup) {
  EXPECT_FALSE(Make(R"(secret { secretName: "db" })")->group);
  pod_.mutable_spec()->mutable_securitycontext()->set_fsgroup(2000);
  EXPECT_EQ(Make(R"(secret { secretName: "db" })")->group, 2000u);
}

TEST_F(ProjectedFiles, ComeWithThePlacesWhereContainersMountSomethingElse) {
  corev1::Container& container = *pod_.mutable_spec()->mutable_containers(0);
  const auto mount = [&](const char* volume, const char* path, const char* sub_path = "") {
    corev1::VolumeMount& added = *container.add_volumemounts();
    added.set_name(volume);
    added.set_mountpath(path);
    added.set_subpath(sub_path);
  };
  mount("w", "/etc/x/peers/./list");
  mount("v", "/etc/x/");
  mount("w", "/etc/x");
  mount("w", "/etc/xy");
  mount("w", "/etc/x/../y");
  mount("w", "/etc/x/..data");
  mount("v", "/opt", "only/this");
  mount("w", "/opt/z");
  EXPECT_THAT(Make(R"(secret { secretName: "db" })")->mount_points, ElementsAre("peers/list"));
}

TEST_F(ProjectedFiles, NameTheObjectAndTheKeyThatAreMissing) {
  EXPECT_EQ(ErrorOf(R"(configMap { localObjectReference { name: "missing" } })"), "configmap \"missing\" not found");
  EXPECT_EQ(ErrorOf(R"(secret { secretName: "missing" })"), "secret \"missing\" not found");
  EXPECT_EQ(ErrorOf(R"(configMap { localObjectReference { name: "settings" } items { key: "k" path: "p" } })"),
            "configmap \"settings\" references non-existent config key: k");
  EXPECT_EQ(ErrorOf(R"(secret { secretName: "db" items { key: "k" path: "p" } })"),
            "secret \"db\" references non-existent secret key: k");
  EXPECT_EQ(Make(R"(secret { secretName: "db" items { key: "k" path: "p" } })").error().kind(), ErrorKind::kAbsent);
}

TEST_F(ProjectedFiles, OfOptionalSourcesMayBeMissingButNotUnknown) {
  EXPECT_THAT(Contents(R"(configMap { localObjectReference { name: "missing" } optional: true })"), IsEmpty());
  EXPECT_THAT(Contents(R"(secret { secretName: "missing" optional: true })"), IsEmpty());
  EXPECT_THAT(Contents(R"(configMap { localObjectReference { name: "settings" } optional: true
                          items { key: "k" path: "p" } items { key: "a.conf" path: "q" } })"),
              ElementsAre(Pair("q", "text")));
  const auto unknown = Make(R"(configMap { localObjectReference { name: "unknown" } optional: true })");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kRetry);
}

TEST_F(ProjectedFiles, NeverLeaveTheVolume) {
  for (const char* path : {"../x", "/x", "a/../../x", "..data"}) {
    EXPECT_THAT(ErrorOf(R"(secret { secretName: "db" items { key: "password" path: ")" + std::string(path) + "\" } }"),
                HasSubstr("path"));
  }
  corev1::Secret hostile;
  (*hostile.mutable_data())["../../etc/passwd"] = "x";
  objects_.secrets.emplace("hostile", std::make_shared<const corev1::Secret>(hostile));
  EXPECT_THAT(ErrorOf(R"(secret { secretName: "hostile" })"), HasSubstr("must not begin with"));
}

TEST_F(ProjectedFiles, AreBounded) {
  corev1::ConfigMap large;
  (*large.mutable_data())["k"] = std::string(std::size_t{33} << 20, 'x');
  objects_.config_maps.emplace("large", std::make_shared<const corev1::ConfigMap>(large));
  EXPECT_THAT(ErrorOf(R"(configMap { localObjectReference { name: "large" } })"), HasSubstr("a volume may have"));
}

TEST_F(ProjectedFiles, TellThePodAboutItself) {
  EXPECT_THAT(Contents(R"(downwardAPI { items { path: "labels" fieldRef { fieldPath: "metadata.labels" } }
      items { path: "annotations" fieldRef { fieldPath: "metadata.annotations" } }
      items { path: "one" fieldRef { fieldPath: "metadata.labels['a']" } }
      items { path: "uid" mode: 256 fieldRef { fieldPath: "metadata.uid" } } })"),
              ElementsAre(Pair("annotations", "text=\"line\\n\\\"quoted\\\"\\\\ \\x01 ü\""),
                          Pair("labels", "a=\"1\"\nb=\"2\""), Pair("one", "1"), Pair("uid", "uid-1")));
  corev1::Container& container = *pod_.mutable_spec()->add_containers();
  container.set_name("sized");
  (*container.mutable_resources()->mutable_limits())["memory"].set_string("64Mi");
  EXPECT_THAT(Contents(R"(downwardAPI { items { path: "m" resourceFieldRef { containerName: "sized"
                          resource: "limits.memory" divisor { string: "1Mi" } } } })"),
              ElementsAre(Pair("m", "64")));
  EXPECT_THAT(ErrorOf(R"(downwardAPI { items { path: "m" resourceFieldRef { resource: "limits.memory" } } })"),
              HasSubstr("must name a container"));
}

TEST_F(ProjectedFiles, OfSeveralSourcesShareOneDirectory) {
  tokens_[2] = "the-token";
  EXPECT_THAT(
      Contents(R"(projected {
      sources { configMap { localObjectReference { name: "settings" } items { key: "a.conf" path: "a" } } }
      sources { secret { localObjectReference { name: "db" } } }
      sources { serviceAccountToken { path: "token" } }
      sources { downwardAPI { items { path: "namespace" fieldRef { fieldPath: "metadata.namespace" } } } } })"),
      ElementsAre(Pair("a", "text"), Pair("namespace", "ns"), Pair("password", "hidden"), Pair("token", "the-token")));
}

// SE-04
TEST_F(ProjectedFiles, ATokenIsOnlyForThoseWhoNeedIt) {
  tokens_[0] = "the-token";
  const std::string source = R"(projected { defaultMode: 420 sources { serviceAccountToken { path: "token" } } })";
  EXPECT_EQ(Make(source)->files.at("token").mode, 0644u);
  pod_.mutable_spec()->mutable_securitycontext()->set_runasuser(1000);
  EXPECT_EQ(Make(source)->files.at("token").mode, 0600u);
  EXPECT_EQ(Make(source)->files.at("token").user, 1000u);
  pod_.mutable_spec()->add_containers()->mutable_securitycontext()->set_runasuser(1001);
  EXPECT_EQ(Make(source)->files.at("token").mode, 0644u) << "two users have to read it";
  pod_.mutable_spec()->mutable_securitycontext()->set_fsgroup(2000);
  EXPECT_EQ(Make(source)->files.at("token").mode, 0600u) << "and the group, as for every file";
}

TEST_F(ProjectedFiles, RefuseSourcesThatNobodyCanFillYet) {
  for (const char* source : {"clusterTrustBundle", "podCertificate"}) {
    const auto files = Make("projected { sources { " + std::string(source) + " { } } }");
    ASSERT_FALSE(files);
    EXPECT_EQ(files.error().kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(files.error().message(), HasSubstr(std::string(source) + " is not supported yet"));
  }
  EXPECT_THAT(ErrorOf("projected { sources { } }"), HasSubstr("names nothing"));
}

// SE-04
TEST_F(ProjectedFiles, NeverTellContentInAnError) {
  EXPECT_THAT(ErrorOf(R"(secret { secretName: "db" items { key: "password" path: "../x" } })"),
              Not(HasSubstr("hidden")));
  EXPECT_THAT(
      ErrorOf(R"(secret { secretName: "db" items { key: "password" path: "a" } items { key: "k" path: "b" } })"),
      Not(HasSubstr("hidden")));
}

}  // namespace
}  // namespace daemonsetd::pods

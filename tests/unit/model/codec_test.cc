#include "agent/model/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/model/kubernetes.h"
#include "agent/model/special_types.h"
#include "config.pb.h"
#include "kubernetes/authentication_v1.pb.h"
#include "kubernetes/coordination_v1.pb.h"
#include "kubernetes/runtime.pb.h"
#include "status.pb.h"
#include "tests/support/golden.h"
#include "tests/support/message_equality.h"
#include "tests/support/test_data.h"

namespace daemonsetd::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SameMessage;
using ::testing::SizeIs;

const std::vector<KnownKind>& Kinds() {
  static const std::vector<KnownKind> kinds = {
      {"apps/v1", "DaemonSet", &appsv1::DaemonSet::default_instance()},
      {"v1", "Pod", &corev1::Pod::default_instance()},
      {"v1", "Secret", &corev1::Secret::default_instance()},
      {"coordination.k8s.io/v1", "Lease", &::k8s::io::api::coordination::v1::Lease::default_instance()}};
  return kinds;
}

std::vector<std::string> Texts(const std::vector<DecodeError>& errors) {
  std::vector<std::string> texts;
  for (const DecodeError& error : errors) texts.push_back(ToString(error));
  return texts;
}

DecodedFile Decode(std::string_view text) { return DecodeFile(text, "f.yaml", Kinds()); }

// The single Pod of a text that must decode.
corev1::Pod DecodePod(const std::string& text) {
  DecodedFile file = Decode(text);
  EXPECT_THAT(Texts(file.errors), IsEmpty());
  if (file.documents.size() != 1 || !file.documents[0].object) return {};
  return dynamic_cast<const corev1::Pod&>(*file.documents[0].object);
}
corev1::Pod DecodePodSpec(const std::string& spec) {
  return DecodePod("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n" + spec);
}

// An object of the vectors: 4 bytes "k8s\0", then a runtime.Unknown whose raw is the object.
appsv1::DaemonSet FromEnvelope(std::string_view base64) {
  const std::string bytes = DecodeBase64(base64).value();
  EXPECT_EQ(bytes.substr(0, 4), std::string("k8s\0", 4));
  ::k8s::io::apimachinery::pkg::runtime::Unknown envelope;
  EXPECT_TRUE(envelope.ParseFromString(bytes.substr(4)));
  appsv1::DaemonSet object;
  EXPECT_TRUE(object.ParseFromString(envelope.raw()));
  return object;
}

boost::json::object ReferenceManifests() {
  return boost::json::parse(testing::ReadTestData("tests/unit/model/testdata/manifests.json")).as_object();
}

TEST(CodecReferenceTest, TextOfEveryRealDaemonSetReadsBackEqual) {
  int objects = 0;
  for (const auto& [file, documents] : ReferenceManifests()) {
    if (!documents.is_array()) continue;  // a file without a DaemonSet
    for (const boost::json::value& document : documents.as_array()) {
      SCOPED_TRACE(file);
      const appsv1::DaemonSet expected = FromEnvelope(document.at("protobuf").as_string());
      for (const std::string& text :
           {EncodeYaml(expected, "apps/v1", "DaemonSet"), EncodeJson(expected, "apps/v1", "DaemonSet"),
            EncodeJson(expected, "apps/v1", "DaemonSet", 4)}) {
        const DecodedFile decoded = Decode(text);
        EXPECT_THAT(Texts(decoded.errors), IsEmpty()) << text;
        ASSERT_THAT(decoded.documents, SizeIs(1));
        ASSERT_NE(decoded.documents[0].object, nullptr);
        EXPECT_TRUE(SameMessage(expected, *decoded.documents[0].object));
      }
      ++objects;
    }
  }
  EXPECT_EQ(objects, 88);
}

// The manifests themselves belong to others and are not part of this repository: this test reads them where they are.
TEST(CodecReferenceTest, RealManifestsDecodeAsTheReferenceDoes) {
  const char* given = std::getenv("DAEMONSETD_CORPUS");
  const std::string folder = given != nullptr ? given : testing::SourcePath("../shared/corpus");
  if (given == nullptr && !std::filesystem::exists(folder)) {
    GTEST_SKIP() << "no manifests here; DAEMONSETD_CORPUS names their folder";
  }
  int equal = 0;
  int with_strict_error = 0;
  for (const auto& [file, documents] : ReferenceManifests()) {
    if (!documents.is_array()) continue;
    SCOPED_TRACE(file);
    const std::optional<std::string> text = testing::ReadFile(folder + "/" + std::string(file));
    ASSERT_TRUE(text.has_value()) << folder;
    const DecodedFile decoded = DecodeFile(*text, std::string_view(file), Kinds());
    std::vector<const Document*> daemon_sets;
    for (const Document& document : decoded.documents) {
      if (document.kind == "DaemonSet") daemon_sets.push_back(&document);
    }
    ASSERT_EQ(daemon_sets.size(), documents.as_array().size());
    for (std::size_t i = 0; i < daemon_sets.size(); ++i) {
      const boost::json::object& reference = documents.as_array()[i].as_object();
      if (reference.contains("strictError")) {
        EXPECT_EQ(daemon_sets[i]->object, nullptr);
        EXPECT_THAT(Texts(decoded.errors), ::testing::Contains(HasSubstr("volumes: unknown field")));
        ++with_strict_error;
        continue;
      }
      ASSERT_NE(daemon_sets[i]->object, nullptr) << ::testing::PrintToString(Texts(decoded.errors));
      EXPECT_TRUE(SameMessage(FromEnvelope(reference.at("protobuf").as_string()), *daemon_sets[i]->object));
      ++equal;
    }
  }
  EXPECT_EQ(equal, 87);
  EXPECT_EQ(with_strict_error, 1);
}

TEST(CodecTest, EveryBadManifestIsExplained) {
  const std::string folder = "tests/unit/model/testdata/bad";
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing::SourcePath(folder))) {
    if (entry.path().extension() != ".golden") names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  EXPECT_GE(names.size(), 35U);
  for (const std::string& name : names) {
    const DecodedFile decoded = DecodeFile(testing::ReadTestData(folder + "/" + name), name, Kinds());
    EXPECT_FALSE(decoded.errors.empty()) << name;
    std::string text;
    for (const DecodeError& error : decoded.errors) text += ToString(error) + "\n";
    EXPECT_TRUE(testing::MatchesGolden(folder + "/" + name + ".golden", text));
  }
}

TEST(CodecTest, AMistakeInOneDocumentLeavesTheOthers) {
  const DecodedFile file = Decode(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n]\n---\n# nothing\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n");
  EXPECT_THAT(file.errors, SizeIs(1));
  EXPECT_EQ(file.errors[0].line, 5);
  ASSERT_THAT(file.documents, SizeIs(2));
  EXPECT_EQ(file.documents[1].line, 9);
  EXPECT_NE(file.documents[1].object, nullptr);
}

TEST(CodecTest, ListsAreExpanded) {
  const DecodedFile file = Decode(
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
      "- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n---\n"
      "apiVersion: apps/v1\nkind: DaemonSetList\nmetadata: {resourceVersion: \"5\"}\nitems:\n- metadata: {name: c}\n");
  EXPECT_THAT(Texts(file.errors), IsEmpty());
  ASSERT_THAT(file.documents, SizeIs(3));
  EXPECT_EQ(file.documents[2].kind, "DaemonSet");
  EXPECT_EQ(dynamic_cast<appsv1::DaemonSet&>(*file.documents[2].object).metadata().name(), "c");
}

TEST(CodecTest, ReadsScalarsAsKubernetesToolsDo) {
  const corev1::Pod pod = DecodePodSpec(
      "  hostNetwork: yes\n  hostPID: Off\n  priority: 1_000\n  terminationGracePeriodSeconds: 3e1\n"
      "  nodeName: ~\n  schedulerName: 2026-11-25\n"
      "  volumes:\n  - name: v\n    hostPath: null\n    configMap: {name: c, defaultMode: 0644}\n"
      "  - name: w\n    emptyDir: {}\n  - name: x\n    configMap: {defaultMode: 0x1ff}\n");
  EXPECT_TRUE(pod.spec().hostnetwork());
  EXPECT_TRUE(pod.spec().has_hostpid());
  EXPECT_FALSE(pod.spec().hostpid());
  EXPECT_EQ(pod.spec().priority(), 1000);
  EXPECT_EQ(pod.spec().terminationgraceperiodseconds(), 30);
  EXPECT_FALSE(pod.spec().has_nodename());
  EXPECT_EQ(pod.spec().schedulername(), "2026-11-25");
  EXPECT_FALSE(pod.spec().volumes(0).volumesource().has_hostpath());
  EXPECT_EQ(pod.spec().volumes(0).volumesource().configmap().defaultmode(), 0644);
  EXPECT_EQ(pod.spec().volumes(0).volumesource().configmap().localobjectreference().name(), "c");
  EXPECT_TRUE(pod.spec().volumes(1).volumesource().has_emptydir());
  EXPECT_EQ(pod.spec().volumes(2).volumesource().configmap().defaultmode(), 511);
}

TEST(CodecTest, ReadsTheSpecialForms) {
  const corev1::Pod pod = DecodePod(
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  creationTimestamp: 2026-11-25T01:18:32.5+01:00\n"
      "  labels: {empty: }\n  managedFields:\n  - fieldsV1: {\"f:spec\": {\"f:b\": {}, \"f:a\": [1, \"x\"]}}\n"
      "spec:\n  containers:\n  - name: c\n    resources:\n      requests: {cpu: 0.1, memory: 1.5Gi, x: 1e3, z: 1000m}\n"
      "    livenessProbe:\n      httpGet: {port: 8080}\n      periodSeconds: 5\n"
      "    readinessProbe:\n      httpGet: {port: http}\n"
      "  ephemeralContainers:\n  - name: e\n    targetContainerName: c\n");
  EXPECT_EQ(pod.metadata().creationtimestamp().seconds(), 1795565912);
  EXPECT_EQ(pod.metadata().labels().at("empty"), "");
  EXPECT_EQ(pod.metadata().managedfields(0).fieldsv1().raw(), R"({"f:spec":{"f:b":{},"f:a":[1,"x"]}})");
  const corev1::Container& container = pod.spec().containers(0);
  EXPECT_EQ(container.resources().requests().at("cpu").string(), "100m");
  EXPECT_EQ(container.resources().requests().at("memory").string(), "1536Mi");
  EXPECT_EQ(container.resources().requests().at("x").string(), "1k");
  EXPECT_EQ(container.resources().requests().at("z").string(), "1");
  EXPECT_EQ(container.livenessprobe().handler().httpget().port().intval(), 8080);
  EXPECT_EQ(container.livenessprobe().periodseconds(), 5);
  EXPECT_EQ(container.readinessprobe().handler().httpget().port().type(), 1);
  EXPECT_EQ(container.readinessprobe().handler().httpget().port().strval(), "http");
  EXPECT_EQ(pod.spec().ephemeralcontainers(0).ephemeralcontainercommon().name(), "e");
}

TEST(CodecTest, ReadsBytesAndMicroTimes) {
  corev1::Secret secret;
  ASSERT_TRUE(DecodeObject("data: {a: aGk=, b: \"\", c: }", secret));
  EXPECT_EQ(secret.data().at("a"), "hi");
  EXPECT_EQ(EncodeJson(secret), R"({"data":{"a":"aGk=","b":"","c":""}})");
  ::k8s::io::api::coordination::v1::Lease lease;
  ASSERT_TRUE(DecodeObject(R"({"spec":{"renewTime":"2026-11-25T00:18:32.123456Z"}})", lease));
  EXPECT_EQ(lease.spec().renewtime().nanos(), 123456000);
  EXPECT_EQ(EncodeJson(lease), R"({"spec":{"renewTime":"2026-11-25T00:18:32.123456Z"}})");
}

TEST(CodecTest, ReadsFieldsWhoseJsonNameDiffers) {
  ::k8s::io::api::authentication::v1::TokenRequest request;
  ASSERT_TRUE(DecodeObject("spec: {boundObjectRef: {kind: Pod, uid: u}}", request));
  EXPECT_EQ(request.spec().boundobjectref().uid(), "u");
  EXPECT_EQ(EncodeJson(request), R"({"spec":{"boundObjectRef":{"kind":"Pod","uid":"u"}}})");
  ::k8s::io::api::authentication::v1::TokenReview review;
  const std::string text = R"({"status":{"user":{"extra":{"scopes":["a","b"]}}}})";
  ASSERT_TRUE(DecodeObject(text, review));
  EXPECT_THAT(review.status().user().extra().at("scopes").items(), ElementsAre("a", "b"));
  EXPECT_EQ(EncodeJson(review), text);
}

TEST(CodecTest, AnchorsAliasesAndMergeKeysAreFollowed) {
  const corev1::Pod pod = DecodePodSpec(
      "  containers:\n  - &base\n    name: a\n    image: one\n    env: &env\n    - {name: X, value: \"1\"}\n"
      "  - <<: *base\n    name: b\n  - {name: c, env: *env}\n");
  ASSERT_EQ(pod.spec().containers_size(), 3);
  EXPECT_EQ(pod.spec().containers(1).name(), "b");
  EXPECT_EQ(pod.spec().containers(1).image(), "one");
  EXPECT_EQ(pod.spec().containers(2).env(0).value(), "1");
}

TEST(CodecTest, ReadsJsonStrings) {
  const corev1::Pod pod = DecodePod(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"a":"\ud83d\ude00\/\u00e9\n\ud800"}}})");
  EXPECT_EQ(pod.metadata().annotations().at("a"), "\xF0\x9F\x98\x80/\xC3\xA9\n\xEF\xBF\xBD");
  // Several JSON objects may follow each other, and a flow mapping is YAML.
  EXPECT_THAT(Decode(R"({"apiVersion":"v1","kind":"Pod"} {"apiVersion":"v1","kind":"Pod"})").documents, SizeIs(2));
  EXPECT_THAT(Decode("{apiVersion: v1, kind: Pod}").documents, SizeIs(1));
}

TEST(CodecTest, OurOwnConfigurationKeepsItsTypeFields) {
  config::v1alpha1::DaemonsetdConfiguration configuration;
  ASSERT_TRUE(DecodeObject("apiVersion: daemonsetd.dev/v1alpha1\nkind: DaemonsetdConfiguration\n", configuration));
  EXPECT_EQ(configuration.kind(), "DaemonsetdConfiguration");
  const std::vector<KnownKind> kinds = {{"daemonsetd.dev/v1alpha1", "DaemonsetdConfiguration", &configuration}};
  const DecodedFile file = DecodeFile(EncodeYaml(configuration), "", kinds);
  ASSERT_THAT(file.documents, SizeIs(1));
  EXPECT_TRUE(SameMessage(configuration, *file.documents[0].object));
}

TEST(CodecTest, Proto3MessagesLeaveOutDefaults) {
  status::v1::Version message;
  EXPECT_EQ(EncodeJson(message), "{}");
  EXPECT_EQ(EncodeYaml(message), "{}\n");
  message.set_version("1.0");
  EXPECT_EQ(EncodeYaml(message), "version: \"1.0\"\n");
}

TEST(CodecTest, AnObjectIsReadStrictlyOrNot) {
  corev1::Pod pod;
  const Status strict = DecodeObject("metadata: {nmae: x}\nspec: {priority: high}\n", pod);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(strict.error().message(),
            "line 1: metadata.nmae: unknown field; did you mean \"name\"?; "
            "line 2: spec.priority: must be a whole number, but is the text \"high\"");
  corev1::Pod lenient;
  EXPECT_TRUE(DecodeObject("metadata: {nmae: x, name: z}\nnew: 1\n", lenient, false));
  EXPECT_EQ(lenient.metadata().name(), "z");
  EXPECT_FALSE(DecodeObject("a: 1\n---\nb: 2\n", lenient, false));
  EXPECT_FALSE(DecodeObject("a: [", lenient, false));
}

TEST(CodecTest, YamlQuotesOnlyWhatWouldReadAsSomethingElse) {
  corev1::Pod pod;
  auto& annotations = *pod.mutable_metadata()->mutable_annotations();
  const std::vector<std::string> values = {"plain",
                                           "true",
                                           "yes",
                                           "0644",
                                           "1e3",
                                           "1.5",
                                           "~",
                                           "",
                                           "a: b",
                                           "a #b",
                                           "- x",
                                           "-x",
                                           "it's",
                                           "'",
                                           "\"q\"",
                                           "a\nb",
                                           "a\nb\n",
                                           "a\n\n",
                                           "\n",
                                           " lead\nb",
                                           "a\n  ",
                                           "tab\tx",
                                           "{}",
                                           "[x",
                                           "*a",
                                           "&a",
                                           "!t",
                                           "%d",
                                           "@x",
                                           "`x",
                                           "12:30",
                                           "2026-11-25",
                                           "<<",
                                           "=",
                                           "null",
                                           "x:",
                                           "http://a/b?c#d",
                                           "---",
                                           "...",
                                           "a, b",
                                           "\x01",
                                           "\xC2\x85",
                                           "é",
                                           "?",
                                           "? x",
                                           ":",
                                           "|",
                                           ">",
                                           "  ",
                                           "a\r\nb",
                                           "0x1F",
                                           "1_000",
                                           ".5",
                                           "+1",
                                           "-",
                                           "#",
                                           "a\n# b\n",
                                           "a\n---\nb",
                                           "key: |\n  block\n"};
  for (std::size_t i = 0; i < values.size(); ++i) annotations["k" + std::to_string(i)] = values[i];
  for (const std::string& value : values) {
    if (!value.empty() && value.find('\n') == std::string::npos) annotations[value] = "as a key";
  }
  const std::string yaml = EncodeYaml(pod);
  corev1::Pod back;
  const Status decoded = DecodeObject(yaml, back);
  ASSERT_TRUE(decoded) << decoded.error().message() << "\n" << yaml;
  EXPECT_TRUE(SameMessage(pod, back)) << yaml;
  EXPECT_THAT(yaml, HasSubstr("k0: plain\n"));
  EXPECT_THAT(yaml, HasSubstr("k1: \"true\"\n"));
  EXPECT_THAT(yaml, HasSubstr("k11: -x\n"));
  EXPECT_THAT(yaml, HasSubstr("k8: 'a: b'\n"));
  EXPECT_THAT(yaml, HasSubstr("k15: |-\n      a\n      b\n"));
}

TEST(CodecTest, YamlLooksLikeKubectls) {
  const corev1::Pod pod =
      DecodePodSpec("  containers:\n  - name: c\n    args: [a, \"1\"]\n    ports: [{containerPort: 80}]\n");
  EXPECT_EQ(EncodeYaml(pod, "v1", "Pod"),
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: c\n    args:\n    - a\n"
            "    - \"1\"\n    ports:\n    - containerPort: 80\n");
  EXPECT_EQ(
      EncodeJson(pod, "v1", "Pod"),
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","args":["a","1"],)"
      R"("ports":[{"containerPort":80}]}]}})");
}

TEST(CodecTest, BrokenStringsAndRawValuesStillGiveValidJson) {
  corev1::Pod pod;
  (*pod.mutable_metadata()->mutable_labels())["a"] = "\xFF\xC3";
  pod.mutable_metadata()->add_managedfields()->mutable_fieldsv1()->set_raw("{broken");
  pod.mutable_metadata()->mutable_creationtimestamp()->set_seconds(INT64_MAX);
  EXPECT_EQ(EncodeJson(pod), "{\"metadata\":{\"labels\":{\"a\":\"\xEF\xBF\xBD\xEF\xBF\xBD\"},\"managedFields\":[{}]}}");
}

TEST(CodecTest, FieldsOfANewerServerSurviveTheWire) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("p");
  pod.mutable_spec()->GetReflection()->MutableUnknownFields(pod.mutable_spec())->AddLengthDelimited(4000, "new");
  corev1::Pod back;
  ASSERT_TRUE(back.ParseFromString(pod.SerializeAsString()));
  EXPECT_EQ(back.SerializeAsString(), pod.SerializeAsString());
  EXPECT_EQ(back.spec().GetReflection()->GetUnknownFields(back.spec()).field(0).length_delimited(), "new");
}

TEST(CodecTest, HostileTextsAreRefused) {
  const std::string head = "apiVersion: v1\nkind: Pod\nspec: ";
  EXPECT_THAT(Decode(head + std::string(100'000, '[')).errors, SizeIs(1));
  EXPECT_THAT(Texts(Decode(head + std::string(1'000, '[') + std::string(1'000, ']')).errors),
              ElementsAre(HasSubstr("levels deep")));
  EXPECT_THAT(Decode("]").errors, SizeIs(1));
  EXPECT_THAT(Texts(Decode("{\"a\":" + std::string(100'000, '[')).errors), ElementsAre(HasSubstr("levels deep")));
  EXPECT_THAT(Texts(Decode(std::string(3 * 1024 * 1024 + 1, ' ')).errors), ElementsAre(HasSubstr("bytes long")));
  EXPECT_THAT(Texts(Decode(head + "&a [*a]").errors), ElementsAre(HasSubstr("inside of what it refers to")));
  std::string merges = "a: &a {";
  for (int i = 0; i < 2'000; ++i) merges += "k" + std::to_string(i) + ": 1, ";
  merges += "}\nb:\n";
  for (int i = 0; i < 2'000; ++i) merges += "- {<<: *a}\n";
  EXPECT_THAT(Texts(Decode(merges).errors), ElementsAre(HasSubstr("stand for too much text")));
}

TEST(CodecTest, NoPrefixOfAManifestCrashes) {
  const std::string yaml = EncodeYaml(DecodePodSpec("  containers:\n  - name: c\n    args: [a, \"1\"]\n"), "v1", "Pod");
  const std::string json = EncodeJson(DecodePodSpec("  containers:\n  - name: \"\\u00e9\\n\"\n"), "v1", "Pod");
  for (const std::string& text : {yaml, json}) {
    for (std::size_t length = 0; length <= text.size(); ++length) {
      const DecodedFile file = Decode(std::string_view(text).substr(0, length));
      EXPECT_TRUE(!file.errors.empty() || file.documents.size() == 1) << text.substr(0, length);
    }
    for (std::size_t at = 0; at < text.size(); ++at) {
      for (const char c : {'\0', '\t', '"', '{', '&', '*', '\xFF', ':', '-', '\n'}) {
        std::string changed = text;
        changed[at] = c;
        const DecodedFile file = Decode(changed);
        EXPECT_TRUE(!file.errors.empty() || !file.documents.empty()) << changed;
      }
    }
  }
}

}  // namespace
}  // namespace daemonsetd::model

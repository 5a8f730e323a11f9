#include "cri/runtime_features.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace daemonsetd::cri {
namespace {

namespace v1 = ::runtime::v1;
using ::testing::HasSubstr;

v1::VersionResponse Runtime(const std::string& name, const std::string& number) {
  v1::VersionResponse version;
  version.set_runtime_name(name);
  version.set_runtime_version(number);
  return version;
}

RuntimeFeatures New() {
  v1::StatusResponse status;
  v1::RuntimeHandler& plain = *status.add_runtime_handlers();
  plain.mutable_features()->set_user_namespaces(true);
  plain.mutable_features()->set_recursive_read_only_mounts(true);
  status.add_runtime_handlers()->set_name("kata");
  status.mutable_features()->set_supplemental_groups_policy(true);
  return ReadFeatures(status, Runtime("containerd", "v2.1.4"));
}
RuntimeFeatures Old() { return ReadFeatures({}, Runtime("containerd", "1.6.20~ds1")); }

std::string Check(const std::string& spec, const std::string& handler, const RuntimeFeatures& features) {
  corev1::PodSpec parsed;
  if (!google::protobuf::TextFormat::ParseFromString(spec, &parsed))
    throw std::runtime_error("the test's pod is wrong");
  const Status status = CheckFeatures(parsed, handler, features);
  return status ? "" : status.error().message();
}

TEST(RuntimeFeatures, ComeFromStatusAndVersion) {
  EXPECT_TRUE(New().Find("").user_namespaces);
  EXPECT_TRUE(New().Find("").recursive_read_only);
  EXPECT_FALSE(New().Find("kata").user_namespaces);
  EXPECT_FALSE(New().Find("absent").recursive_read_only);
  EXPECT_TRUE(Old().handlers.empty());
  EXPECT_FALSE(Old().supplemental_groups_policy);
  for (const auto& [name, number, able] :
       std::vector<std::tuple<const char*, const char*, bool>>{{"containerd", "v2.1.4", true},
                                                               {"containerd", "2.0.9", false},
                                                               {"containerd", "v10.0", true},
                                                               {"containerd", "unknown", false},
                                                               {"cri-o", "1.31.0", true},
                                                               {"cri-o", "1.30.9", false},
                                                               {"another", "0.1", true}}) {
    EXPECT_EQ(ReadFeatures({}, Runtime(name, number)).image_volumes, able) << name << number;
  }
}

TEST(CheckFeatures, RefusesWhatTheRuntimeWouldLose) {
  for (const auto& [spec, named] : std::vector<std::pair<const char*, const char*>>{
           {"hostUsers: false", "spec.hostUsers"},
           {R"(securityContext { supplementalGroupsPolicy: "Strict" })", "supplementalGroupsPolicy"},
           {R"(volumes { name: "models" volumeSource { image { reference: "x" } } })", "volume models"},
           {R"(containers { name: "c" volumeMounts { name: "v" recursiveReadOnly: "Enabled" } })",
            "container c: volumeMount v: recursiveReadOnly"}}) {
    EXPECT_THAT(Check(spec, "", Old()), HasSubstr(named));
    EXPECT_EQ(Check(spec, "", New()), "");
  }
  EXPECT_EQ(Check("hostUsers: true", "", Old()), "");
  EXPECT_EQ(Check(R"(containers { name: "c" volumeMounts { name: "v" recursiveReadOnly: "IfPossible" } })", "", Old()),
            "");
  EXPECT_THAT(Check("hostUsers: false", "kata", New()), HasSubstr("user namespace")) << "by handler";
  EXPECT_THAT(Check("hostUsers: false hostNetwork: true", "", New()), HasSubstr("host network"));
}

TEST(CheckFeatures, KnowsTheHandlersThatTheRuntimeLists) {
  EXPECT_EQ(Check(R"(runtimeClassName: "k")", "kata", New()), "");
  EXPECT_THAT(Check(R"(runtimeClassName: "k")", "gvisor", New()),
              HasSubstr("RuntimeClass k: the runtime has no handler gvisor"));
  EXPECT_EQ(Check(R"(runtimeClassName: "k")", "gvisor", Old()), "") << "only the runtime knows";
}

}  // namespace
}  // namespace daemonsetd::cri

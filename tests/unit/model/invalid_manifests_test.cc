// Every manifest in testdata/invalid with the exact text that its author gets to read.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/model/codec.h"
#include "agent/model/defaulting.h"
#include "agent/model/validation.h"
#include "tests/support/golden.h"
#include "tests/support/test_data.h"

namespace daemonsetd::model {
namespace {

constexpr std::string_view kFolder = "tests/unit/model/testdata/invalid/";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing::SourcePath(kFolder))) {
    if (entry.path().extension() == ".yaml") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::ranges::sort(names);
  return names;
}

FieldErrors ErrorsOf(google::protobuf::Message& object) {
  if (auto* daemon_set = dynamic_cast<appsv1::DaemonSet*>(&object)) {
    SetDefaults(*daemon_set);
    return Validate(*daemon_set);
  }
  auto& pod = dynamic_cast<corev1::Pod&>(object);
  SetDefaults(pod);
  return Validate(pod);
}

class InvalidManifestTest : public ::testing::TestWithParam<std::string> {};

TEST_P(InvalidManifestTest, IsRefusedWithTheseErrors) {
  const std::string file = GetParam() + ".yaml";
  const DecodedFile decoded = DecodeFile(testing::ReadTestData(std::string(kFolder) + file), file,
                                         {{"apps/v1", "DaemonSet", &appsv1::DaemonSet::default_instance()},
                                          {"v1", "Pod", &corev1::Pod::default_instance()}});
  std::string text;
  for (const DecodeError& error : decoded.errors) {
    text += ToString(error) + "\n";
  }
  for (const Document& document : decoded.documents) {
    if (document.object != nullptr) {
      for (const FieldError& error : ErrorsOf(*document.object)) {
        text += ToString(error) + "\n";
      }
    }
  }
  EXPECT_NE(text, "");
  EXPECT_TRUE(testing::MatchesGolden(std::string(kFolder) + GetParam() + ".golden", text));
}

INSTANTIATE_TEST_SUITE_P(All, InvalidManifestTest, ::testing::ValuesIn(Names()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(InvalidManifestsTest, CoverTheRules) { EXPECT_GE(Names().size(), 70U); }

}  // namespace
}  // namespace daemonsetd::model

#include "agent/pods/image_credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "agent/model/special_types.h"
#include "tests/support/loop.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The users whose credentials are tried, in turn.
std::vector<std::string> Users(const std::string& json, const std::string& repository) {
  const auto credentials = ParseImageCredentials(json);
  if (!credentials) return {credentials.error().message()};
  std::vector<std::string> users;
  for (const auto& auth : FindImageCredentials(*credentials, repository)) users.push_back(auth.username());
  return users;
}

std::string Auths(const std::vector<std::string>& registries) {
  std::string text;
  for (const std::string& registry : registries) {
    text +=
        (text.empty() ? "" : ",") + ("\"" + registry + R"(": {"username": ")" + registry + R"(", "password": "p"})");
  }
  return R"({"auths": {)" + text + "}}";
}

TEST(ImageCredentials, MatchHostAndPath) {
  const std::string json = Auths({"quay.io", "quay.io/team", "quay.io/team/app", "quay.io:8443", "other.io"});
  EXPECT_THAT(Users(json, "quay.io/team/app"), ElementsAre("quay.io/team/app", "quay.io/team", "quay.io"));
  EXPECT_THAT(Users(json, "quay.io/else"), ElementsAre("quay.io"));
  EXPECT_THAT(Users(json, "quay.io:8443/team/app"), ElementsAre("quay.io:8443"));
  EXPECT_THAT(Users(json, "sub.quay.io/team"), IsEmpty());
}

TEST(ImageCredentials, TakeSchemesAndApiVersionsForNothing) {
  EXPECT_THAT(Users(Auths({"https://a.io/v2/"}), "a.io/x"), ElementsAre("https://a.io/v2/"));
  EXPECT_THAT(Users(Auths({"http://a.io/v1/team"}), "a.io/team"), ElementsAre("http://a.io/v1/team"));
  EXPECT_THAT(Users(Auths({"http://a.io/v1/team"}), "a.io/x"), IsEmpty());
}

TEST(ImageCredentials, TakeAStarForOneLabel) {
  const std::string json = Auths({"*.azurecr.io", "prefix*.b.io"});
  EXPECT_THAT(Users(json, "mine.azurecr.io/x"), ElementsAre("*.azurecr.io"));
  EXPECT_THAT(Users(json, "a.b.azurecr.io/x"), IsEmpty());
  EXPECT_THAT(Users(json, "azurecr.io/x"), IsEmpty());
  EXPECT_THAT(Users(json, "prefix-1.b.io/x"), ElementsAre("prefix*.b.io"));
}

TEST(ImageCredentials, KnowDockerHubByItsOldName) {
  const std::string old = "https://index.docker.io/v1/";
  EXPECT_THAT(Users(Auths({old}), "docker.io/library/busybox"), ElementsAre(old));
  EXPECT_THAT(Users(Auths({old, "docker.io"}), "docker.io/library/busybox"), ElementsAre("docker.io"));
  EXPECT_THAT(Users(Auths({old}), "quay.io/library/busybox"), IsEmpty());
}

TEST(ImageCredentials, ReadEveryFormOfAnEntry) {
  const auto credentials =
      ParseImageCredentials(R"({"auths": {"a.io": {"auth": ")" + model::EncodeBase64("user:pass:word") + R"("},
      "b.io": {"username": "u", "password": "p", "email": "e"},
      "c.io": {"auth": ")" + model::EncodeBase64("00000000:") +
                            R"(", "identitytoken": "token"}}, "credsStore": "x"})");
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->at(2).auth.username(), "user");
  EXPECT_EQ(credentials->at(2).auth.password(), "pass:word");
  EXPECT_EQ(credentials->at(1).auth.username(), "u");
  EXPECT_EQ(credentials->at(0).auth.identity_token(), "token");
  EXPECT_EQ(credentials->at(0).auth.username(), "");
}

TEST(ImageCredentials, SayWhatIsWrongWithoutTellingTheContent) {
  for (const char* json : {"{", "[]", "{}", R"({"auths": []})", R"({"auths": {"a.io": {"auth": "SECRET!"}}})",
                           R"({"auths": {"a.io": "SECRET"}})", R"({"auths": {"": {}}})", "SECRET"}) {
    const auto credentials = ParseImageCredentials(json);
    ASSERT_FALSE(credentials) << json;
    EXPECT_THAT(credentials.error().message(), Not(HasSubstr("SECRET")));
  }
  EXPECT_THAT(ParseImageCredentials(R"({"auths": {"a.io": {"auth": "SECRET!"}}})").error().message(),
              HasSubstr("auths[a.io]: auth must be the base64 text"));
}

corev1::Secret PullSecret(const std::string& type, const std::string& key, const std::string& data) {
  corev1::Secret secret;
  secret.set_type(type);
  (*secret.mutable_data())[key] = data;
  return secret;
}

TEST(PullSecrets, AreReadInBothForms) {
  const auto now = ReadPullSecret(PullSecret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", Auths({"a.io"})));
  ASSERT_TRUE(now);
  EXPECT_EQ(now->at(0).host, "a.io");
  const auto old = ReadPullSecret(
      PullSecret("kubernetes.io/dockercfg", ".dockercfg", R"({"b.io": {"username": "u", "password": "p"}})"));
  ASSERT_TRUE(old);
  EXPECT_EQ(old->at(0).host, "b.io");
  EXPECT_EQ(old->at(0).auth.username(), "u");
  EXPECT_THAT(*ReadPullSecret(PullSecret("Opaque", ".dockerconfigjson", Auths({"a.io"}))), IsEmpty());
}

TEST(PullSecrets, SayWhatIsWrongWithoutTellingTheContent) {
  for (const auto& secret : {PullSecret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", "SECRET"),
                             PullSecret("kubernetes.io/dockerconfigjson", "SECRET", "SECRET"),
                             PullSecret("kubernetes.io/dockercfg", ".dockercfg", "[\"SECRET\"]"),
                             PullSecret("kubernetes.io/dockercfg", ".dockercfg", R"({"a.io": {"auth": "SECRET!"}})")}) {
    const auto credentials = ReadPullSecret(secret);
    ASSERT_FALSE(credentials);
    EXPECT_THAT(credentials.error().message(), HasSubstr("key .docker"));
    EXPECT_THAT(credentials.error().message(), Not(HasSubstr("SECRET")));
  }
}

class ImageCredentialsFile : public TemporaryTree {
 protected:
  ImageCredentials::Answer Find(const std::string& repository) {
    return loop_.Run(credentials_.Find(repository), testing::TestLoop::Clock::kStands);
  }
  std::string path_ = Path("auth.json");
  testing::TestLoop loop_;
  async::BlockingPool pool_{0};
  ImageCredentials credentials_{path_, pool_};
};

// GC-04
TEST_F(ImageCredentialsFile, IsReadAgainWhenItChanges) {
  const auto absent = Find("a.io/x");
  ASSERT_FALSE(absent.file);
  EXPECT_THAT(absent.file.error().message(), HasSubstr("imageCredentialsFile " + path_));
  EXPECT_THAT(absent.auths, IsEmpty());

  Write(path_, Auths({"a.io"}));
  EXPECT_TRUE(Find("a.io/x").file);
  EXPECT_EQ(Find("a.io/x").auths.size(), 1u);
  Write(path_, Auths({"a.io", "a.io/x"}));
  EXPECT_EQ(Find("a.io/x").auths.size(), 2u);

  Write(path_, "half a fi");
  const auto damaged = Find("a.io/x");
  EXPECT_FALSE(damaged.file);
  EXPECT_EQ(damaged.auths.size(), 2u) << "what was read before stays";
  EXPECT_FALSE(Find("a.io/x").file) << "and stays reported";
  std::filesystem::remove(path_);
  EXPECT_THAT(Find("a.io/x").auths, IsEmpty());
}

TEST_F(ImageCredentialsFile, MayBeNone) {
  ImageCredentials none("", pool_);
  const auto answer = loop_.Run(none.Find("a.io/x"), testing::TestLoop::Clock::kStands);
  EXPECT_TRUE(answer.file);
  EXPECT_THAT(answer.auths, IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/kube/transport/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "agent/model/special_types.h"
#include "tests/support/golden.h"
#include "tests/support/test_data.h"

namespace daemonsetd::kube {
namespace {

using ::testing::HasSubstr;

const std::string kFolder = "tests/unit/kube/transport/testdata/bad";

std::vector<std::string> BadFiles() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing::SourcePath(kFolder))) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string ErrorsOf(const std::string& text) {
  std::string lines;
  for (const model::DecodeError& error : ParseKubeconfig(text, "kubeconfig").errors) lines += ToString(error) + "\n";
  return lines;
}

Kubeconfig Parsed(const std::string& text, const std::string& file = "/etc/daemonsetd/kubeconfig") {
  KubeconfigResult result = ParseKubeconfig(text, file);
  if (!result.kubeconfig) throw std::runtime_error(ErrorsOf(text));
  return std::move(*result.kubeconfig);
}

// `cluster` and `user`: the fields of the two entries.
std::string Text(const std::string& cluster, const std::string& user = "token: t") {
  return "current-context: main\n"
         "contexts: [{name: main, context: {cluster: site, user: node}}]\n"
         "clusters: [{name: site, cluster: {" +
         cluster + "}}]\nusers: [{name: node, user: {" + user + "}}]\n";
}

class BadKubeconfig : public ::testing::TestWithParam<std::string> {};

TEST_P(BadKubeconfig, IsExplained) {
  const std::string base = kFolder + "/" + GetParam();
  const std::string text = testing::ReadTestData(base + ".yaml");
  EXPECT_FALSE(ParseKubeconfig(text, "kubeconfig").kubeconfig);
  const std::string errors = ErrorsOf(text);
  EXPECT_TRUE(testing::MatchesGolden(base + ".golden", errors));
  EXPECT_EQ(errors.find("s3cr3t"), std::string::npos) << "a credential in an error text";
}

INSTANTIATE_TEST_SUITE_P(All, BadKubeconfig, ::testing::ValuesIn(BadFiles()),
                         [](const auto& info) { return info.param; });

TEST(KubeconfigTest, IsReadAsKubeadmWritesIt) {
  const std::string pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const std::string data = model::EncodeBase64(pem);
  const Kubeconfig config = Parsed(
      "apiVersion: v1\n"
      "clusters:\n"
      "- cluster:\n"
      "    certificate-authority-data: " +
      data +
      "\n"
      "    server: https://10.0.0.1:6443\n"
      "  name: kubernetes\n"
      "contexts:\n"
      "- context:\n"
      "    cluster: kubernetes\n"
      "    user: system:node:n1\n"
      "  name: system:node:n1@kubernetes\n"
      "current-context: system:node:n1@kubernetes\n"
      "kind: Config\n"
      "preferences: {}\n"
      "users:\n"
      "- name: system:node:n1\n"
      "  user:\n"
      "    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"
      "    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n");
  EXPECT_EQ(config.cluster, "kubernetes");
  EXPECT_EQ(config.user, "system:node:n1");
  EXPECT_EQ(ToString(config.server), "https://10.0.0.1:6443");
  EXPECT_EQ(config.certificate_authority.text, pem);
  EXPECT_EQ(config.client_certificate.file, "/var/lib/kubelet/pki/kubelet-client-current.pem");
  EXPECT_EQ(config.client_key.file, "/var/lib/kubelet/pki/kubelet-client-current.pem");
}

TEST(KubeconfigTest, MayBeJson) {
  const Kubeconfig config = Parsed(
      R"({"kind": "Config", "apiVersion": "v1", "current-context": "c",
          "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
          "clusters": [{"name": "k", "cluster": {"server": "https://api.example"}}],
          "users": [{"name": "u", "user": {"token": "t"}}]})");
  EXPECT_EQ(config.server.host, "api.example");
  EXPECT_EQ(config.token, "t");
}

TEST(KubeconfigTest, PathsAreRelativeToItsFolder) {
  const std::string user = "client-certificate: pki/node.crt, client-key: ../node.key, tokenFile: /run/token";
  const Kubeconfig config = Parsed(Text("server: \"https://a\", certificate-authority: ca.crt", user));
  EXPECT_EQ(config.certificate_authority.file, "/etc/daemonsetd/ca.crt");
  EXPECT_EQ(config.client_certificate.file, "/etc/daemonsetd/pki/node.crt");
  EXPECT_EQ(config.client_key.file, "/etc/node.key");
  EXPECT_EQ(config.token_file, "/run/token");
}

TEST(KubeconfigTest, DataWinsOverAFile) {
  const std::string data = model::EncodeBase64("-----BEGIN CERTIFICATE-----\n");
  const Kubeconfig config =
      Parsed(Text("server: \"https://a\", certificate-authority: ca.crt, certificate-authority-data: " + data));
  EXPECT_EQ(config.certificate_authority.file, "");
  EXPECT_EQ(config.certificate_authority.text, "-----BEGIN CERTIFICATE-----\n");
}

TEST(KubeconfigTest, ServersAreWrittenInManyWays) {
  const auto server = [](const std::string& url) { return Parsed(Text("server: \"" + url + "\"")).server; };
  EXPECT_EQ(HostHeader(server("https://API.Example")), "api.example");
  EXPECT_EQ(server("https://api.example").port, 443);
  EXPECT_EQ(HostHeader(server("https://[fd00::1]:6443/")), "[fd00::1]:6443");
  EXPECT_EQ(server("https://[fd00::1]").host, "fd00::1");
  EXPECT_EQ(server("https://rancher.example/k8s/clusters/c-1/").path, "/k8s/clusters/c-1");
  EXPECT_EQ(HostHeader(server("http://127.0.0.1:8001")), "127.0.0.1:8001");
  EXPECT_FALSE(server("http://localhost").tls);
  EXPECT_EQ(server("http://[::1]").port, 80);
}

TEST(KubeconfigTest, BadServersAreExplained) {
  const std::pair<const char*, const char*> cases[] = {
      {"10.0.0.1:6443", "has no scheme"},
      {"ftp://10.0.0.1", "has no scheme"},
      {"https://", "does not name a host"},
      {"https://:6443", "does not name a host"},
      {"https://a b", "does not name a host"},
      {"https://a_b..c", "does not name a host"},
      {"https://10.0.0.1:", "does not end with a port"},
      {"https://10.0.0.1:0", "does not end with a port"},
      {"https://10.0.0.1:65536", "does not end with a port"},
      {"https://10.0.0.1:64x", "does not end with a port"},
      {"https://fd00::1", "does not end with a port"},
      {"https://[fd00::1", "without"},
      {"https://[10.0.0.1]", "has no IPv6 address"},
      {"https://[fd00::1%eth0]", "has no IPv6 address"},
      {"https://[fd00::1]6443", "does not end with a port"},
      {"https://user:s3cr3t@a", "holds a user or password"},
      {"https://a/?x=1", "has more than a path"},
      {"https://a/b c", "has more than a path"},
      {"http://10.0.0.1", "is not encrypted"},
      {"http://127.example", "is not encrypted"},
  };
  for (const auto& [url, expected] : cases) {
    const std::string errors = ErrorsOf(Text(std::string("server: \"") + url + "\""));
    EXPECT_THAT(errors, HasSubstr(expected)) << url;
    EXPECT_EQ(errors.find("s3cr3t"), std::string::npos);
  }
}

TEST(KubeconfigTest, OtherContextsAreNotLookedAt) {
  const Kubeconfig config = Parsed(
      "current-context: main\n"
      "contexts: [{name: other, context: 7}, {name: main, context: {cluster: site, user: node}}, 5]\n"
      "clusters: [{name: other, cluster: {insecure-skip-tls-verify: true}}, {name: site, cluster: {server: "
      "\"https://a\", insecure-skip-tls-verify: false}}]\n"
      "users: [{name: other, user: {exec: {command: aws}}}, {name: node, user: {token: t}}]\n");
  EXPECT_EQ(config.user, "node");
}

TEST(KubeconfigTest, AProxyOnThisMachineNeedsNoUser) {
  EXPECT_EQ(Parsed("current-context: c\n"
                   "contexts: [{name: c, context: {cluster: k}}]\n"
                   "clusters: [{name: k, cluster: {server: \"http://127.0.0.1:8001\"}}]\n")
                .user,
            "");
}

TEST(KubeconfigTest, IsBounded) {
  EXPECT_THAT(ErrorsOf(std::string((1 << 20) + 1, ' ')), HasSubstr("a kubeconfig has at most 1048576"));
}

}  // namespace
}  // namespace daemonsetd::kube

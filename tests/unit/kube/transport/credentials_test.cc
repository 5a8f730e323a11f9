#include "agent/kube/transport/credentials.h"

#include <sys/stat.h>

#include "tests/unit/kube/transport/transport_fixture.h"

namespace daemonsetd::kube {
namespace {

using testing::Answer;
using testing::Authority;
using ::testing::HasSubstr;
using testing::IssuedCertificate;
using ::testing::Not;

constexpr char kHttps[] = "server: \"https://127.0.0.1:6443\"";

class CredentialsTest : public TransportTest {
 protected:
  CredentialsTest() : credentials_(loop_.executor(), loop_.timeline(), pool_, Path("kubeconfig")) {}
  ~CredentialsTest() override { loop_.Run(credentials_.Close(), Clock::kStands); }

  Result<std::shared_ptr<const Access>> Look() { return loop_.Run(credentials_.Get(), Clock::kStands); }
  Result<std::shared_ptr<const Access>> LookLater() {
    loop_.Advance(Seconds(1));
    return Look();
  }

  Credentials credentials_;
};

class Tokens : public TransportTest {
 protected:
  std::string Sent() { return server_->requests().back().head; }
};

TEST_F(Tokens, AreSentWithEachRequest) {
  ServeAnswer(Answer(200));
  WriteKubeconfig("server: \"" + Url() + "\"", "token: abc.def");
  ASSERT_TRUE(Get());
  EXPECT_THAT(Sent(), HasSubstr("\r\nAuthorization: Bearer abc.def\r\n"));
}

TEST_F(Tokens, OfAFileWinAndARotatedOneIsUsedByTheNextRequest) {
  ServeAnswer(Answer(200));
  WriteKubeconfig("server: \"" + Url() + "\"", "token: abc, tokenFile: token");
  Write("token", "first\n");
  ASSERT_TRUE(Get());
  EXPECT_THAT(Sent(), HasSubstr("Bearer first\r\n"));
  Write("token", "second\n");
  loop_.Advance(Seconds(1));
  ASSERT_TRUE(Get());
  EXPECT_THAT(Sent(), HasSubstr("Bearer second\r\n"));
  EXPECT_EQ(server_->connections(), 1) << "a token needs no new connection";
}

TEST_F(Tokens, AreInNoErrorText) {
  ServeAnswer("garbage\r\n\r\n");
  WriteKubeconfig("server: \"" + Url() + "\"", "token: top-secret");
  const Result<HttpResponse> response = Get();
  ASSERT_FALSE(response);
  EXPECT_THAT(response.error().message(), Not(HasSubstr("top-secret")));
}

TEST_F(CredentialsTest, AreReadOnceWhileNothingChanges) {
  WriteKubeconfig(kHttps, "token: abc");
  const auto first = Look();
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(*LookLater(), *first);
}

TEST_F(CredentialsTest, AreLookedAtOnceASecond) {
  WriteKubeconfig(kHttps, "token: abc");
  ASSERT_TRUE(Look());
  WriteKubeconfig(kHttps, "token: def");
  loop_.Advance(Milliseconds(999));
  EXPECT_EQ((*Look())->token, "abc");
  loop_.Advance(Milliseconds(1));
  EXPECT_EQ((*Look())->token, "def");
}

TEST_F(CredentialsTest, AreFoundOnceTheyAreThere) {
  EXPECT_THAT(Look(),
              FailsWith(ErrorKind::kDenied, "kubeconfig " + Path("kubeconfig") + ": can't be read: there is no such"));
  WriteKubeconfig(kHttps, "token: abc");
  EXPECT_TRUE(LookLater());
}

TEST_F(CredentialsTest, StayInUseWhenAFileBecomesUnusable) {
  WriteKubeconfig(kHttps, "tokenFile: token");
  Write("token", "good");
  ASSERT_TRUE(Look());
  Write("token", "");
  EXPECT_EQ((*LookLater())->token, "good");
  std::filesystem::remove(Path("token"));
  EXPECT_EQ((*LookLater())->token, "good");
  Write("kubeconfig", "no: [");
  EXPECT_EQ((*LookLater())->token, "good");
  WriteKubeconfig(kHttps, "tokenFile: token");
  Write("token", "better");
  EXPECT_EQ((*LookLater())->token, "better");
  EXPECT_EQ((*Look())->generation, 1U);
}

TEST_F(CredentialsTest, OfAnotherServerMakeConnectionsStale) {
  WriteKubeconfig(kHttps, "token: abc");
  const std::uint64_t before = (*Look())->generation;
  WriteKubeconfig("server: \"https://127.0.0.2:6443\"", "token: abc");
  EXPECT_GT((*LookLater())->generation, before);
}

TEST_F(CredentialsTest, NameTheFieldAndTheFileThatIsWrong) {
  const Authority authority("authority");
  const IssuedCertificate own = authority.Issue({.common_name = "node", .names = ""});
  const IssuedCertificate other = authority.Issue({.common_name = "other", .names = ""});
  const std::string broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  struct Case {
    std::string authority, certificate, key, token;
    std::string expected;
  };
  const Case cases[] = {
      {"", own.certificate, own.key, "t",
       "cluster \"site\": certificate-authority (" + Path("ca.crt") + "): holds no certificate"},
      {broken, own.certificate, own.key, "t",
       "certificate-authority (" + Path("ca.crt") + "): holds a broken certificate"},
      {"ca", own.key, own.key, "t",
       "user \"node\": client-certificate (" + Path("client.crt") + "): holds no certificate"},
      {"ca", own.certificate, own.certificate, "t", "client-key (" + Path("client.key") + "): holds no private key"},
      {"ca", own.certificate, other.key, "t",
       "client-key (" + Path("client.key") + "): does not belong to client-certificate"},
      {"ca", own.certificate, testing::Encrypted(own.key), "t",
       "client-key (" + Path("client.key") + "): is protected by a passphrase"},
      {"ca", own.certificate, own.key, " \n", "tokenFile (" + Path("token") + "): is empty"},
      {"ca", own.certificate, own.key, "two words", "tokenFile (" + Path("token") + "): holds more than a token"},
      {"ca", own.certificate, own.key, std::string(70'000, 't'), "tokenFile (" + Path("token") + "): is larger than"},
  };
  WriteKubeconfig(std::string(kHttps) + ", certificate-authority: ca.crt",
                  "client-certificate: client.crt, client-key: client.key, tokenFile: token");
  for (const Case& one : cases) {
    Write("ca.crt", one.authority == "ca" ? authority.certificate() : one.authority);
    Write("client.crt", one.certificate);
    Write("client.key", one.key);
    Write("token", one.token);
    EXPECT_THAT(LookLater(), FailsWith(ErrorKind::kDenied, one.expected));
  }
  for (const char* file : {"token", "client.key", "client.crt", "ca.crt"}) {
    std::filesystem::remove(Path(file));
    EXPECT_THAT(LookLater(), FailsWith(ErrorKind::kDenied, "(" + Path(file) + "): can't be read: there is no such"));
  }
  ASSERT_EQ(::mkfifo(Path("ca.crt").c_str(), 0600), 0);
  EXPECT_THAT(LookLater(), FailsWith(ErrorKind::kDenied, "is not a regular file"));
}

TEST_F(CredentialsTest, ReadAKeyBesideItsCertificate) {
  const IssuedCertificate own = Authority("authority").Issue({.common_name = "node", .names = ""});
  Write("node.pem", own.key + own.certificate);
  WriteKubeconfig(kHttps, "client-certificate: node.pem, client-key: node.pem");
  const auto access = Look();
  EXPECT_TRUE(access) << access.error().message();
}

}  // namespace
}  // namespace daemonsetd::kube

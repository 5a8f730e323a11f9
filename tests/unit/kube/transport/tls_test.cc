#include "tests/unit/kube/transport/transport_fixture.h"

namespace daemonsetd::kube {
namespace {

using testing::Answer;
using testing::Authority;
using testing::CertificateRequest;
using testing::IssuedCertificate;

class TlsTest : public TransportTest {
 protected:
  TlsTest() {
    Write("ca.crt", authority_.certificate());
    ShowCertificate("node-1");
  }

  void ShowCertificate(const std::string& name) {
    const IssuedCertificate own = clients_.Issue({.common_name = name, .names = ""});
    Write("client.crt", own.certificate);
    Write("client.key", own.key);
  }

  // `names` of the server's certificate; `cluster`: further fields of the entry.
  void ServeTls(const CertificateRequest& certificate, const std::string& cluster = "",
                const std::string& host = "127.0.0.1", bool client_required = false) {
    const ApiServer::Tls tls{.certificate = authority_.Issue(certificate),
                             .client_authority = clients_.certificate(),
                             .client_certificate_required = client_required};
    server_ = std::make_unique<ApiServer>(
        loop_.executor(), [this](const ApiServer::Request&) { return ApiServer::Reply{.bytes = answer_}; }, tls);
    cluster_ = "certificate-authority: ca.crt, server: \"" + Url("https", host) + "\"" + cluster;
    WriteKubeconfig(cluster_, user_);
  }
  void ServeTls() { ServeTls({.common_name = "server", .names = "IP:127.0.0.1"}); }

  const Authority authority_{"site authority"};
  const Authority clients_{"authority of nodes"};
  std::string answer_ = Answer(200, "ok");
  std::string cluster_;
  std::string user_ = "client-certificate: client.crt, client-key: client.key";
};

TEST_F(TlsTest, ShowsTheClientsCertificateAndAgreesOnHttp) {
  ServeTls();
  const Result<HttpResponse> response = Get();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "ok");
  EXPECT_EQ(server_->requests().at(0).client_name, "node-1");
  EXPECT_EQ(server_->requests().at(0).protocol, "http/1.1");
  EXPECT_EQ(server_->requests().at(0).server_name, "") << "which is for names only";
  ASSERT_TRUE(Get());
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(TlsTest, AsksForTheServerByItsName) {
  ServeTls({.common_name = "server", .names = "DNS:localhost"}, "", "localhost");
  const Result<HttpResponse> response = Get();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(server_->requests().at(0).server_name, "localhost");
}

TEST_F(TlsTest, TakesTheServersNameFromTheKubeconfig) {
  ServeTls({.common_name = "server", .names = "DNS:api.example"}, ", tls-server-name: api.example");
  const Result<HttpResponse> response = Get();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(server_->requests().at(0).server_name, "api.example");
}

TEST_F(TlsTest, RefusesACertificateForAnotherHost) {
  ServeTls({.common_name = "127.0.0.1", .names = "IP:10.0.0.1,DNS:api.example"});
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied,
                               "cannot connect to " + Url("https") +
                                   ": the server's certificate is not for 127.0.0.1 but for 10.0.0.1, api.example; "));
  ExpectNoConnection();
}

TEST_F(TlsTest, RefusesACertificateThatOnlyItsCommonNameSpeaksFor) {
  ServeTls({.common_name = "localhost", .names = ""}, "", "localhost");
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "the server's certificate is not for localhost;"));
  ExpectNoConnection();
}

TEST_F(TlsTest, RefusesAnUnknownAuthority) {
  ServeTls();
  Write("ca.crt", Authority("another").certificate());
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "signed by an authority that certificate-authority does not hold"));
  ExpectNoConnection();
}

TEST_F(TlsTest, RefusesAnAuthorityThatOnlyHasTheRightName) {
  ServeTls();
  Write("ca.crt", Authority("site authority").certificate());
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "signed by an authority that certificate-authority does not hold"));
}

TEST_F(TlsTest, TrustsNoneOfTheSystemsAuthoritiesUnasked) {
  ServeTls();
  WriteKubeconfig("server: \"" + Url("https") + "\"", user_);
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "signed by an authority that certificate-authority does not hold"));
}

TEST_F(TlsTest, RefusesAnExpiredCertificateAndOneOfTheFuture) {
  ServeTls({.common_name = "server", .names = "IP:127.0.0.1", .valid_from = -7200, .valid_until = -60});
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "the server's certificate expired at 20"));
  ExpectNoConnection();
  loop_.Advance(Seconds(2));
  server_.reset();
  loop_.Settle();
  ServeTls({.common_name = "server", .names = "IP:127.0.0.1", .valid_from = 600});
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "the server's certificate is not valid before 20"));
}

TEST_F(TlsTest, TellsThatTheServerRefusesOurCertificate) {
  const Authority strangers("strangers");
  const IssuedCertificate own = strangers.Issue({.common_name = "node-1", .names = ""});
  Write("client.crt", own.certificate);
  Write("client.key", own.key);
  ServeTls({.common_name = "server", .names = "IP:127.0.0.1"});
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "the server refuses our client certificate: "));
  ExpectNoConnection();
}

TEST_F(TlsTest, TellsThatTheServerWantsACertificate) {
  user_ = "token: abc";
  ServeTls({.common_name = "server", .names = "IP:127.0.0.1"}, "", "127.0.0.1", /*client_required=*/true);
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "the server refuses our client certificate: "));
  ExpectNoConnection();
}

TEST_F(TlsTest, TellsThatTheServerSpeaksNoTls) {
  server_ = std::make_unique<ApiServer>(loop_.executor(), [](const ApiServer::Request&) { return ApiServer::Reply{}; });
  WriteKubeconfig("certificate-authority: ca.crt, server: \"" + Url("https") + "\"", user_);
  const auto sent = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->connections() == 1; });
  server_->Push(0, "HTTP/1.0 400 Bad Request\r\n\r\n");
  WaitUntil([&] { return sent->done(); });
  EXPECT_THAT(*sent->value, FailsWith(ErrorKind::kRetry, "does the server speak TLS on this port?"));
}

TEST_F(TlsTest, GivesUpAHandshakeThatIsNotAnswered) {
  server_ = std::make_unique<ApiServer>(loop_.executor(), [](const ApiServer::Request&) { return ApiServer::Reply{}; });
  WriteKubeconfig("certificate-authority: ca.crt, server: \"" + Url("https") + "\"", user_);
  const auto sent = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->connections() == 1; });
  loop_.Advance(Seconds(10));
  ASSERT_TRUE(sent->done());
  EXPECT_THAT(*sent->value, FailsWith(ErrorKind::kTimeout, Url("https") + ": no answer in time (connecting)"));
  ExpectNoConnection();
}

TEST_F(TlsTest, TakesNoAnswerWhoseEndIsMissing) {
  // Without a length only TLS's farewell tells the end from a cut.
  answer_ = "HTTP/1.1 200 OK\r\n\r\nthe first half";
  ServeTls();
  const auto sent = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 1; });
  loop_.Settle();
  server_->Close(0);
  WaitUntil([&] { return sent->done(); });
  EXPECT_THAT(*sent->value, FailsWith(ErrorKind::kRetry, "before the answer was complete"));
  ExpectNoConnection();
}

TEST_F(TlsTest, StreamsPiecesAsTheyCome) {
  answer_ = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  ServeTls();
  Result<HttpStreamStart> start = Open();
  ASSERT_TRUE(start) << start.error().message();
  for (const char* event : {"one", "two", "three"}) {
    server_->Push(0, testing::Chunk(event));
    EXPECT_EQ(*Read(*start->stream), event);
  }
}

TEST_F(TlsTest, CancelsAStreamThatWaits) {
  answer_ = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  ServeTls();
  Result<HttpStreamStart> start = Open();
  ASSERT_TRUE(start) << start.error().message();
  const auto waiting = loop_.Start(start->stream->Read(In(Seconds(10))));
  loop_.Cancel(waiting);
  EXPECT_TRUE(waiting->threw());
  ExpectNoConnection();
}

// SE-06
TEST_F(TlsTest, UsesARotatedCertificateAndDropsConnectionsOfTheOld) {
  ServeTls();
  ASSERT_TRUE(Get());
  ShowCertificate("node-1-renewed");
  loop_.Advance(Seconds(1));
  ASSERT_TRUE(Get());
  EXPECT_EQ(server_->requests().at(1).client_name, "node-1-renewed");
  WaitUntil([&] { return server_->open_connections() == 1; });
  EXPECT_EQ(transport().counters().idle, 1U);
}

TEST_F(TlsTest, KeepsTheOldCertificateWhileTheNewOneIsHalfWritten) {
  ServeTls();
  ASSERT_TRUE(Get());
  const IssuedCertificate next = clients_.Issue({.common_name = "next", .names = ""});
  Write("client.crt", next.certificate);
  loop_.Advance(Seconds(1));
  ASSERT_TRUE(Get());
  EXPECT_EQ(server_->requests().at(1).client_name, "node-1");
  EXPECT_EQ(server_->connections(), 1);
  Write("client.key", next.key);
  loop_.Advance(Seconds(1));
  ASSERT_TRUE(Get());
  EXPECT_EQ(server_->requests().at(2).client_name, "next");
}

TEST_F(TlsTest, UsesARotatedAuthority) {
  ServeTls();
  Write("ca.crt", Authority("another").certificate());
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kDenied, "signed by an authority"));
  Write("ca.crt", Authority("another").certificate() + authority_.certificate());
  loop_.Advance(Seconds(1));
  EXPECT_TRUE(Get());
}

TEST_F(TlsTest, DoesNotReconnectWhenTheSameCertificateIsWrittenAgain) {
  ServeTls();
  ASSERT_TRUE(Get());
  Write("ca.crt", authority_.certificate());
  loop_.Advance(Seconds(1));
  ASSERT_TRUE(Get());
  EXPECT_EQ(server_->connections(), 1);
}

}  // namespace
}  // namespace daemonsetd::kube

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "agent/base/version.h"
#include "tests/unit/kube/transport/full_listener.h"
#include "tests/unit/kube/transport/transport_fixture.h"

namespace daemonsetd::kube {
namespace {

using ::testing::AllOf;
using testing::Answer;
using ::testing::AnyOf;
using testing::Chunk;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Requests = TransportTest;
using Failures = TransportTest;
using KeptConnections = TransportTest;
using Load = TransportTest;
using Deadlines = TransportTest;

TEST_F(Requests, CarryMethodTargetAndHeaders) {
  ServeAnswer(Answer(200, "{}", "Content-Type: application/json\r\n"));
  HttpRequest request = Request("GET", "/api/v1/nodes?limit=500");
  request.accept = "application/vnd.kubernetes.protobuf";
  const Result<HttpResponse> response = Send(request);
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->content_type, "application/json");
  EXPECT_EQ(response->body, "{}");
  EXPECT_EQ(response->retry_after, std::nullopt);
  const std::string& head = server_->requests().at(0).head;
  EXPECT_THAT(head, StartsWith("GET /api/v1/nodes?limit=500 HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nHost: 127.0.0.1:" + std::to_string(server_->port()) + "\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nUser-Agent: daemonsetd/" + std::string(BuildVersion().version) + "\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nAccept: application/vnd.kubernetes.protobuf\r\n"));
  EXPECT_THAT(head, Not(AnyOf(HasSubstr("Authorization"), HasSubstr("Content-"))));
}

TEST_F(Requests, CarryABodyWithItsTypeAndLength) {
  ServeAnswer(Answer(201));
  HttpRequest request = Request("POST");
  request.content_type = "application/json";
  request.body = std::string(100'000, 'x');
  ASSERT_TRUE(Send(request));
  EXPECT_THAT(server_->requests().at(0).head,
              AllOf(HasSubstr("\r\nContent-Type: application/json\r\n"), HasSubstr("\r\nContent-Length: 100000\r\n")));
  EXPECT_EQ(server_->requests().at(0).body, request.body);
}

TEST_F(Requests, GoBelowThePathOfTheServer) {
  ServeAnswer(Answer(200));
  WriteKubeconfig("server: \"" + Url() + "/k8s/clusters/c-1/\"", "");
  ASSERT_TRUE(Get("/version"));
  EXPECT_THAT(server_->requests().at(0).head, StartsWith("GET /k8s/clusters/c-1/version HTTP/1.1\r\n"));
}

TEST_F(Requests, AreRefusedWhenTheyWouldHideAnother) {
  ServeAnswer(Answer(200));
  EXPECT_THAT(Get("/api HTTP/1.1\r\nX: y"), FailsWith(ErrorKind::kInvalid, "characters"));
  EXPECT_THAT(Get("api"), FailsWith(ErrorKind::kInvalid, "characters"));
  HttpRequest request = Request("GET");
  request.accept = "a\r\nX: y";
  EXPECT_THAT(Send(request), FailsWith(ErrorKind::kInvalid, "characters"));
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(Requests, TakeAnyStatusAsAnAnswer) {
  Serve([](const ApiServer::Request& request) {
    return ApiServer::Reply{.bytes = Answer(std::stoi(request.head.substr(5)), "why")};
  });
  for (const int status : {204, 301, 404, 409, 410, 429, 500, 599}) {
    const Result<HttpResponse> response = Get("/" + std::to_string(status));
    ASSERT_TRUE(response) << status << ": " << response.error().message();
    EXPECT_EQ(response->status, status);
    EXPECT_EQ(response->body, status == 204 ? "" : "why") << status;
  }
}

TEST_F(Requests, TellWhenToComeBack) {
  Serve([](const ApiServer::Request& request) {
    const std::string after = request.head.substr(5, request.head.find(' ', 5) - 5);
    return ApiServer::Reply{.bytes = Answer(429, "", "Retry-After: " + after + "\r\n")};
  });
  EXPECT_EQ(Get("/7")->retry_after, Seconds(7));
  EXPECT_EQ(Get("/0")->retry_after, Seconds(0));
  EXPECT_EQ(Get("/99999999999999999999")->retry_after, Seconds(86400)) << "a day at most";
  EXPECT_EQ(Get("/-1")->retry_after, std::nullopt);
  EXPECT_EQ(Get("/1.5")->retry_after, std::nullopt);
  EXPECT_EQ(Get("/Fri,31-Dec-1999")->retry_after, std::nullopt);
}

TEST_F(Requests, SkipInterimAnswers) {
  ServeAnswer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + Answer(200, "ok"));
  EXPECT_EQ(Get()->body, "ok");
}

TEST_F(Requests, ReadChunkedAnswersAndThoseThatEndWithTheConnection) {
  Serve([](const ApiServer::Request& request) {
    if (request.connection > 0) return ApiServer::Reply{.bytes = "HTTP/1.0 200 OK\r\n\r\nto the end", .close = true};
    return ApiServer::Reply{.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
                                     Chunk("first ") + Chunk("second") + "0\r\n\r\n"};
  });
  EXPECT_EQ(Get()->body, "first second");
  EXPECT_EQ(Get()->body, "to the end");
  ExpectNoConnection();
}

TEST_F(Requests, TryEachAddressOfAName) {
  ServeAnswer(Answer(200, "ok"));
  WriteKubeconfig("server: \"" + Url("http", "localhost") + "\"", "");
  const Result<HttpResponse> response = Get();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->body, "ok");
  server_->StopListening();
  server_->Close(0);
  WaitUntil([&] { return server_->open_connections() == 0; });
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kRetry, "127.0.0.1: connection refused"));
}

TEST_F(Failures, ARefusedConnectionIsToldWithItsAddress) {
  ServeAnswer("");
  server_->StopListening();
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kRetry, "cannot connect to " + Url() + ": connection refused"));
  ExpectNoConnection();
}

TEST_F(Failures, AnAnswerThatIsCutOff) {
  const std::string half[] = {
      "",
      "HTTP/1.1 200 O",
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nha",
  };
  Serve([&half](const ApiServer::Request& request) {
    return ApiServer::Reply{.bytes = half[request.connection], .close = true};
  });
  for (const std::string& text : half) {
    EXPECT_THAT(Get(), FailsWith(ErrorKind::kRetry, Url() + ": the server closed the connection")) << text;
    ExpectNoConnection();
  }
  EXPECT_EQ(server_->connections(), 5) << "an answer that began is not asked for again";
}

TEST_F(Failures, AnAnswerThatIsNoHttp) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string garbage[] = {
      "SSH-2.0-OpenSSH_9.2\r\n\r\n",
      std::string("\x16\x03\x01\x00\x00", 5) + std::string(60, '\0'),
      "HTTP/1.1 999 X\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n",
      interim + interim + interim + interim + interim + interim,
  };
  Serve(
      [&garbage](const ApiServer::Request& request) { return ApiServer::Reply{.bytes = garbage[request.connection]}; });
  for (const std::string& text : garbage) {
    EXPECT_THAT(Get(), FailsWith(ErrorKind::kInvalid, Url() + ": the answer ")) << text;
    ExpectNoConnection();
  }
}

TEST_F(Failures, AHeaderThatIsTooLarge) {
  const std::string large[] = {
      "HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x') + "\r\n\r\n",
      "HTTP/1.1 200 " + std::string(200'000, 'x'),
  };
  Serve([&large](const ApiServer::Request& request) { return ApiServer::Reply{.bytes = large[request.connection]}; });
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Get(), FailsWith(ErrorKind::kInvalid, "the header of the answer is longer than 64 KiB"));
    ExpectNoConnection();
  }
}

TEST_F(Failures, ABodyThatIsTooLarge) {
  Serve([](const ApiServer::Request& request) {
    std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n";
    if (request.connection == 1) {
      bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
      const std::string chunk = Chunk(std::string(1 << 20, 'x'));
      for (int i = 0; i < 65; ++i) bytes += chunk;
    }
    return ApiServer::Reply{.bytes = std::move(bytes)};
  });
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kInvalid, "the answer is larger than 64 MiB")) << "without reading it";
  ExpectNoConnection();
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kInvalid, "the answer is larger than 64 MiB"));
  ExpectNoConnection();
}

TEST_F(Failures, CancellationEndsARequestAtOnce) {
  ServeAnswer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  const auto sent = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 1; });
  loop_.Cancel(sent);
  EXPECT_TRUE(sent->done());
  EXPECT_TRUE(sent->threw());
  ExpectNoConnection();
}

TEST_F(KeptConnections, ServeOneRequestAfterTheOther) {
  ServeAnswer(Answer(200, "ok"));
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Get()->body, "ok");
  EXPECT_EQ(server_->connections(), 1);
  EXPECT_EQ(transport().counters().connections, 1U);
  EXPECT_EQ(transport().counters().requests, 5U);
  EXPECT_EQ(transport().counters().idle, 1U);
}

TEST_F(KeptConnections, AreClosedAfterNinetySeconds) {
  ServeAnswer(Answer(200));
  ASSERT_TRUE(Get());
  loop_.Advance(Seconds(60));
  ASSERT_TRUE(Get());
  loop_.Advance(Seconds(60));
  EXPECT_EQ(transport().counters().idle, 1U) << "it was used in between";
  loop_.Advance(Seconds(31));
  EXPECT_EQ(transport().counters().idle, 0U);
  ExpectNoConnection();
}

TEST_F(KeptConnections, AreNotUsedAfterTheServerClosedThem) {
  Serve([](const ApiServer::Request&) { return ApiServer::Reply{.bytes = Answer(200), .close = true}; });
  ASSERT_TRUE(Get());
  WaitUntil([&] { return server_->open_connections() == 0; });
  HttpRequest post = Request("POST");
  ASSERT_TRUE(Send(post)) << "though a POST may not be repeated";
  EXPECT_EQ(transport().counters().repeated, 0U);
  EXPECT_EQ(server_->connections(), 2);
}

TEST_F(KeptConnections, AreNotUsedWithBytesThatNobodyAskedFor) {
  ServeAnswer(Answer(200, "ok") + "HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(Get()->body, "ok");
  EXPECT_EQ(Get()->body, "ok");
  EXPECT_EQ(server_->connections(), 2);
}

// Answers the first request of each connection and hangs up on the second.
testing::ApiServer::Reply OneAnswerEach(std::vector<int>* seen, const testing::ApiServer::Request& request) {
  seen->resize(static_cast<std::size_t>(request.connection) + 1);
  if (++(*seen)[static_cast<std::size_t>(request.connection)] == 1) return {.bytes = Answer(200, "ok")};
  return {.bytes = "", .close = true};
}

TEST_F(KeptConnections, ThatTurnOutClosedAreReplacedOnceForIdempotentRequests) {
  std::vector<int> seen;
  Serve([&seen](const ApiServer::Request& request) { return OneAnswerEach(&seen, request); });
  ASSERT_TRUE(Get());
  for (const char* method : {"GET", "PUT", "DELETE"}) {
    const std::uint64_t before = transport().counters().repeated;
    const Result<HttpResponse> response = Send(Request(method));
    ASSERT_TRUE(response) << method << ": " << response.error().message();
    EXPECT_EQ(transport().counters().repeated, before + 1) << method;
  }
  for (const char* method : {"POST", "PATCH"}) {
    EXPECT_THAT(Send(Request(method)), FailsWith(ErrorKind::kRetry, "before the answer was complete")) << method;
    ASSERT_TRUE(Get());
  }
  EXPECT_EQ(transport().counters().repeated, 3U);
}

TEST_F(KeptConnections, ThatBreakAfterTheAnswerBeganAreNotReplaced) {
  Serve([first = true](const ApiServer::Request&) mutable {
    if (std::exchange(first, false)) return ApiServer::Reply{.bytes = Answer(200)};
    return ApiServer::Reply{.bytes = "HTTP/1.1 2", .close = true};
  });
  ASSERT_TRUE(Get());
  EXPECT_THAT(Get(), FailsWith(ErrorKind::kRetry, "before the answer was complete"));
  EXPECT_EQ(server_->connections(), 1);
  ExpectNoConnection();
}

TEST_F(KeptConnections, AreNotTrustedWhenOneHasFallenSilent) {
  Serve([](const ApiServer::Request& request) {
    return ApiServer::Reply{.bytes = request.connection < 2 ? "" : Answer(200)};
  });
  const auto first = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  const auto second = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 2; });
  for (const int connection : {0, 1}) server_->Push(connection, Answer(200));
  WaitUntil([&] { return first->done() && second->done(); });
  ASSERT_EQ(transport().counters().idle, 2U);
  const auto unanswered = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 3; });
  loop_.Advance(Seconds(10));
  ASSERT_TRUE(unanswered->done());
  EXPECT_THAT(*unanswered->value, FailsWith(ErrorKind::kTimeout, "no answer in time"));
  EXPECT_EQ(transport().counters().idle, 0U);
  ASSERT_TRUE(Get()) << "on a new connection, not after another wait on an old one";
  EXPECT_EQ(server_->connections(), 3);
}

TEST_F(Load, IsSpreadOverFourConnections) {
  ServeAnswer("");
  std::vector<std::shared_ptr<testing::Started<Result<HttpResponse>>>> sent;
  for (int i = 0; i < 10; ++i) sent.push_back(loop_.Start(transport().Send(Request("GET"), In(Seconds(10)))));
  WaitUntil([&] { return server_->requests().size() == 4; });
  for (std::size_t answered = 0; answered < sent.size(); ++answered) {
    WaitUntil([&] { return server_->requests().size() > answered; });
    server_->Push(server_->requests()[answered].connection, Answer(200, "ok"));
    WaitUntil([&] {
      return std::count_if(sent.begin(), sent.end(), [](const auto& one) { return one->done(); }) ==
             static_cast<std::ptrdiff_t>(answered) + 1;
    });
  }
  for (const auto& one : sent) {
    ASSERT_TRUE(one->value && *one->value);
    EXPECT_EQ((*one->value)->body, "ok");
  }
  EXPECT_EQ(server_->connections(), 4);
  EXPECT_EQ(transport().counters().idle, 4U);
}

TEST_F(Load, LetsAWaiterGoAtItsDeadline) {
  ServeAnswer("");
  std::vector<std::shared_ptr<testing::Started<Result<HttpResponse>>>> sent;
  for (int i = 0; i < 4; ++i) sent.push_back(loop_.Start(transport().Send(Request("GET"), In(Seconds(100)))));
  WaitUntil([&] { return server_->requests().size() == 4; });
  const auto waiter = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  loop_.Advance(Seconds(10));
  ASSERT_TRUE(waiter->done());
  EXPECT_THAT(*waiter->value, FailsWith(ErrorKind::kTimeout, "no answer in time (waiting for its turn)"));
  loop_.Advance(Seconds(90));
  for (const auto& one : sent) {
    ASSERT_TRUE(one->done());
    EXPECT_THAT(*one->value, FailsWith(ErrorKind::kTimeout, Url() + ": no answer in time (waiting for the answer)"));
  }
  ExpectNoConnection();
}

TEST_F(Deadlines, EndAConnectionThatIsNeverMade) {
  auto silent = std::make_unique<testing::FullListener>("127.0.0.1");
  const std::string url = "http://127.0.0.1:" + std::to_string(silent->port());
  WriteKubeconfig("server: \"" + url + "\"", "");
  const auto sent = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  loop_.Advance(Milliseconds(9999));
  EXPECT_FALSE(sent->done());
  loop_.Advance(Milliseconds(1));
  ASSERT_TRUE(sent->done());
  EXPECT_THAT(*sent->value, FailsWith(ErrorKind::kTimeout, url + ": no answer in time (connecting)"));
  silent.reset();
  ExpectNoConnection();
}

TEST_F(Deadlines, EndAnAnswerThatStops) {
  ServeAnswer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  const auto sent = loop_.Start(transport().Send(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 1; });
  loop_.Advance(Seconds(10));
  ASSERT_TRUE(sent->done());
  EXPECT_THAT(*sent->value, FailsWith(ErrorKind::kTimeout, ": no answer in time ("));
  ExpectNoConnection();
}

int OptionOf(int fd, int level, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  ::getsockopt(fd, level, option, &value, &size);
  return value;
}

// AW-02: the kernel breaks a connection whose other end is gone without a word.
TEST_F(Deadlines, OfTheKernelEndAHalfOpenConnectionWithin45Seconds) {
  ServeAnswer(Answer(200));
  ASSERT_TRUE(Get());
  int found = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET ||
        ntohs(peer.sin_port) != server_->port()) {
      continue;
    }
    ++found;
    EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    const int silent = OptionOf(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                       OptionOf(fd, IPPROTO_TCP, TCP_KEEPINTVL) * OptionOf(fd, IPPROTO_TCP, TCP_KEEPCNT);
    EXPECT_LT(silent, 45);
    EXPECT_GT(OptionOf(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    EXPECT_LT(OptionOf(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 45'000);
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace daemonsetd::kube

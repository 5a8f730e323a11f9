#include "tests/unit/kube/transport/transport_fixture.h"

namespace daemonsetd::kube {
namespace {

using testing::Answer;
using testing::Chunk;

constexpr char kHead[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

class Streams : public TransportTest {
 protected:
  // A server that begins to stream, and the stream.
  void Begin(const std::string& first = "") {
    ServeAnswer(kHead + first);
    Result<HttpStreamStart> start = Open();
    ASSERT_TRUE(start) << start.error().message();
    ASSERT_EQ(start->response.status, 200);
    EXPECT_EQ(start->response.content_type, "application/json");
    EXPECT_EQ(start->response.body, "");
    stream_ = std::move(start->stream);
    ASSERT_NE(stream_, nullptr);
  }
  ~Streams() override { stream_.reset(); }

  std::unique_ptr<HttpStream> stream_;
};

TEST_F(Streams, DeliverEachPieceAsItComes) {
  Begin();
  const auto waiting = loop_.Start(stream_->Read(In(Seconds(10))));
  EXPECT_FALSE(waiting->done());
  server_->Push(0, Chunk("one"));
  WaitUntil([&] { return waiting->done(); });
  EXPECT_EQ(**waiting->value, "one");
  server_->Push(0, Chunk("two"));
  EXPECT_EQ(*Read(*stream_), "two");
}

TEST_F(Streams, HoldNoPieceBackForTheRestOfWhatFollows) {
  Begin(Chunk("one") + "5");  // the next chunk's size is not complete
  EXPECT_EQ(*Read(*stream_), "one");
  const auto waiting = loop_.Start(stream_->Read(In(Seconds(10))));
  server_->Push(0, "\r\nhal");  // of a chunk of five bytes
  WaitUntil([&] { return waiting->done(); });
  EXPECT_EQ(**waiting->value, "hal");
  server_->Push(0, "f!\r\n");
  EXPECT_EQ(*Read(*stream_), "f!");
}

TEST_F(Streams, DeliverLargePiecesWhole) {
  std::string sent;
  for (int i = 0; i < 100'000; ++i) sent += std::to_string(i);
  Begin(Chunk(sent) + "0\r\n\r\n");
  std::string got;
  while (true) {
    const Result<std::string> piece = Read(*stream_);
    ASSERT_TRUE(piece);
    if (piece->empty()) break;
    got += *piece;
  }
  EXPECT_EQ(got, sent);
}

TEST_F(Streams, EndWithAnEmptyPieceAndGiveTheirConnectionBack) {
  Begin(Chunk("one") + "0\r\n\r\n");
  EXPECT_EQ(*Read(*stream_), "one");
  EXPECT_EQ(*Read(*stream_), "");
  EXPECT_EQ(*Read(*stream_), "") << "and stay ended";
  EXPECT_EQ(transport().counters().idle, 1U);
  ASSERT_TRUE(Open());
  EXPECT_EQ(server_->connections(), 1) << "no new handshake each time a watch runs out";
}

TEST_F(Streams, BreakWhenTheServerGoes) {
  Begin(Chunk("one"));
  EXPECT_EQ(*Read(*stream_), "one");
  server_->Close(0);
  EXPECT_THAT(Read(*stream_), FailsWith(ErrorKind::kRetry, Url() + ": the server closed the connection"));
  EXPECT_THAT(Read(*stream_), FailsWith(ErrorKind::kRetry, "the stream broke earlier"));
  ExpectNoConnection();
}

TEST_F(Streams, BreakOnGarbage) {
  Begin(Chunk("one") + "zz\r\n");
  EXPECT_EQ(*Read(*stream_), "one");
  EXPECT_THAT(Read(*stream_), FailsWith(ErrorKind::kInvalid, "the answer is not HTTP"));
  ExpectNoConnection();
}

// AW-04
TEST_F(Streams, EndAtTheDeadlineOfAReadWhenNothingComes) {
  Begin();
  const auto waiting = loop_.Start(stream_->Read(In(Seconds(10))));
  loop_.Advance(Seconds(10));
  ASSERT_TRUE(waiting->done());
  EXPECT_THAT(*waiting->value, FailsWith(ErrorKind::kTimeout, "nothing came in time"));
  ExpectNoConnection();
  EXPECT_THAT(Read(*stream_), FailsWith(ErrorKind::kRetry, "the stream broke earlier"));
}

TEST_F(Streams, EndWhenAReadIsCancelled) {
  Begin();
  const auto waiting = loop_.Start(stream_->Read(In(Seconds(10))));
  loop_.Cancel(waiting);
  EXPECT_TRUE(waiting->threw());
  ExpectNoConnection();
}

TEST_F(Streams, CloseTheirConnectionWhenTheyGo) {
  Begin(Chunk("one"));
  stream_.reset();
  ExpectNoConnection();
  EXPECT_EQ(transport().counters().idle, 0U);
}

TEST_F(Streams, AreNotBegunForOtherStatuses) {
  ServeAnswer(Answer(410, "too old", "Retry-After: 3\r\n"));
  const Result<HttpStreamStart> start = Open();
  ASSERT_TRUE(start);
  EXPECT_EQ(start->response.status, 410);
  EXPECT_EQ(start->response.body, "too old");
  EXPECT_EQ(start->response.retry_after, Seconds(3));
  EXPECT_EQ(start->stream, nullptr);
  EXPECT_EQ(transport().counters().idle, 1U);
}

TEST_F(Streams, LeaveRequestsAlone) {
  Serve([](const ApiServer::Request& request) {
    const bool watch = request.head.find("watch=true") != std::string::npos;
    return ApiServer::Reply{.bytes = watch ? std::string(kHead) : Answer(200, "ok")};
  });
  std::vector<std::unique_ptr<HttpStream>> streams;
  for (int i = 0; i < 6; ++i) {
    Result<HttpStreamStart> start = Open();
    ASSERT_TRUE(start) << start.error().message();
    streams.push_back(std::move(start->stream));
  }
  EXPECT_EQ(Get()->body, "ok");
  EXPECT_EQ(server_->connections(), 7);
  server_->Push(3, Chunk("event"));
  EXPECT_EQ(*Read(*streams[3]), "event");
}

TEST_F(Streams, FailToBeginLikeRequests) {
  ServeAnswer("");
  const auto opened = loop_.Start(transport().Open(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 1; });
  loop_.Advance(Seconds(10));
  ASSERT_TRUE(opened->done());
  EXPECT_THAT(*opened->value, FailsWith(ErrorKind::kTimeout, "no answer in time (waiting for the answer)"));
  ExpectNoConnection();
  const auto cancelled = loop_.Start(transport().Open(Request("GET"), In(Seconds(10))));
  WaitUntil([&] { return server_->requests().size() == 2; });
  loop_.Cancel(cancelled);
  EXPECT_TRUE(cancelled->threw());
  ExpectNoConnection();
}

TEST_F(Streams, OutliveTheTransport) {
  Begin(Chunk("one") + "0\r\n\r\n");
  loop_.Run(transport_->Close(), Clock::kStands);
  transport_.reset();
  EXPECT_EQ(*Read(*stream_), "one");
  EXPECT_EQ(*Read(*stream_), "");
  ExpectNoConnection();
}

}  // namespace
}  // namespace daemonsetd::kube

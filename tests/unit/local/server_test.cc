#include "agent/local/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <list>

#include "agent/local/socket_file.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/local/server_fixture.h"

namespace daemonsetd::local {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Request(const std::string& target, const std::string& more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n";
}
const std::string kClose = "Connection: close\r\n";

Snapshot OnePod(const std::string& status) {
  Snapshot snapshot;
  auto* pod = snapshot.pods.add_items();
  pod->set_namespace_("default");
  pod->set_name("agent-x7k2p");
  pod->set_status(status);
  return snapshot;
}

std::string Ask(const RunningServer& server, const std::string& bytes) {
  RawClient client(server.socket_path);
  EXPECT_TRUE(client.connected);
  client.Send(bytes);
  return client.ReadUntil();
}

// Waits for a fact of the server's own thread; the limit is only there to fail instead of hanging.
template <class Predicate>
bool Eventually(Predicate predicate) {
  for (int i = 0; i < 2000; ++i) {
    if (predicate()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::size_t OpenDescriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

TEST(Server, AnswersAndKeepsTheConnection) {
  RunningServer server(OnePod("Running"), {});
  ASSERT_TRUE(server.opened.has_value());
  RawClient client(server.socket_path);
  client.Send(Request("/v1/pods"));
  EXPECT_THAT(client.ReadUntil("]}\n"), HasSubstr("\"status\":\"Running\""));
  client.Send(Request("/healthz", kClose));
  const std::string second = client.ReadUntil();
  EXPECT_THAT(second, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(second, HasSubstr("\r\n\r\nok"));
}

TEST(Server, SocketIsForOwnerAndGroupOnlyAndIsRemoved) {
  std::string path;
  {
    RunningServer server({}, {});
    path = server.socket_path;
    struct stat facts{};
    ASSERT_EQ(stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777, 0660u);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(Server, RefusesBadRequests) {
  RunningServer server({}, {});
  EXPECT_THAT(Ask(server, "nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask(server, Request("/v1/status", "X: " + std::string(9000, 'a') + "\r\n")), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Ask(server, Request("/" + std::string(9000, 'a'))), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Ask(server, "POST /v1/status HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), StartsWith("HTTP/1.1 413 "));
  const std::string post = Ask(server, "POST /v1/status HTTP/1.1\r\n" + kClose + "\r\n");
  EXPECT_THAT(post, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(post, HasSubstr("Allow: GET\r\n"));
  EXPECT_THAT(Ask(server, Request("/v1/logs?namespace=default&pod=none", kClose)), StartsWith("HTTP/1.1 404 "));
  EXPECT_TRUE(Eventually([&] { return server.Connections() == 0; }));
}

TEST(Server, ClosesConnectionsThatSendNothing) {
  RunningServer server({}, {.read_timeout = Milliseconds(50)});
  RawClient silent(server.socket_path);
  RawClient half(server.socket_path);
  half.Send("GET /v1/st");
  EXPECT_EQ(silent.ReadUntil(), "");
  EXPECT_EQ(half.ReadUntil(), "");
}

TEST(Server, ASlowReaderDelaysNobodyAndIsDropped) {
  Snapshot big = OnePod(std::string(8 << 20, 'x'));
  RunningServer server(std::move(big), {.write_timeout = Milliseconds(300)});
  RawClient slow(server.socket_path);
  slow.Send(Request("/v1/pods"));  // and reads nothing: the socket's buffer is far smaller
  EXPECT_THAT(Ask(server, Request("/healthz", kClose)), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(Eventually([&] { return server.Connections() == 0; }));
}

TEST(Server, TellsConnectionsBeyondTheLimitAndRecovers) {
  RunningServer server({}, {.max_connections = 4});
  {
    std::list<RawClient> clients;
    for (int i = 0; i < 4; ++i) clients.emplace_back(server.socket_path);
    ASSERT_TRUE(Eventually([&] { return server.Connections() == 4; }));
    RawClient extra(server.socket_path);
    EXPECT_THAT(extra.ReadUntil(), StartsWith("HTTP/1.1 503 "));
  }
  ASSERT_TRUE(Eventually([&] { return server.Connections() == 0; }));
  EXPECT_THAT(Ask(server, Request("/healthz", kClose)), StartsWith("HTTP/1.1 200 "));
}

TEST(Server, WatchTellsChangesUntilTheClientLeaves) {
  RunningServer server(OnePod("Pending"), {});
  {
    RawClient client(server.socket_path);
    client.Send(Request("/v1/pods?watch=true"));
    // The present state must have come before it changes; the header alone may come earlier.
    EXPECT_THAT(client.ReadUntil("Pending"), HasSubstr("chunked"));
    server.Publish(OnePod("Running"));
    const std::string change = client.ReadUntil("Running");
    EXPECT_THAT(change, HasSubstr("\"type\":\"MODIFIED\""));
  }
  EXPECT_TRUE(Eventually([&] { return server.Connections() == 0; }));
}

TEST(Server, StopsWhileStreamsAreOpen) {
  auto server = std::make_unique<RunningServer>(OnePod("Pending"), ServerOptions{});
  RawClient client(server->socket_path);
  client.Send(Request("/v1/pods?watch=true"));
  client.ReadUntil("Pending");
  server.reset();
  EXPECT_THAT(client.ReadUntil(), ::testing::Not(HasSubstr("0\r\n\r\n")));
}

// LG-02
TEST(Server, FollowersThatHangUpLeaveNoDescriptor) {
  RunningServer server({}, {.follow_interval = Milliseconds(5)});
  std::ofstream(server.log_path) << "2026-11-25T00:18:32.5Z stdout F hello\n";
  ASSERT_TRUE(Eventually([&] { return server.Connections() == 0; }));
  const std::size_t before = OpenDescriptors();
  for (int i = 0; i < 200; ++i) {
    RawClient client(server.socket_path);
    client.Send(Request("/v1/logs?namespace=default&pod=agent-x7k2p&follow=true"));
    if (i % 2 == 0) EXPECT_THAT(client.ReadUntil("hello"), HasSubstr("hello\n"));
    while (server.Connections() > 40) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(Eventually([&] { return server.Connections() == 0; }));
  EXPECT_LE(OpenDescriptors(), before);
}

TEST(Server, LogsEndWithTheLastChunk) {
  RunningServer server({}, {});
  std::ofstream(server.log_path) << "2026-11-25T00:18:32.5Z stdout F one\n2026-11-25T00:18:33.5Z stdout P two\n";
  const std::string answer = Ask(server, Request("/v1/logs?namespace=default&pod=agent-x7k2p"));
  EXPECT_THAT(answer, HasSubstr("one\n"));
  EXPECT_THAT(answer, HasSubstr("two\n"));
  EXPECT_TRUE(answer.ends_with("0\r\n\r\n"));
}

TEST(SocketFile, ReplacesAStaleSocketButNotALivingOne) {
  const testing::TemporaryDirectory directory;
  const std::string path = (directory.path() / "d.sock").string();
  auto first = ListenOn(path, "");
  ASSERT_TRUE(first.has_value());
  auto second = ListenOn(path, "");
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind(), ErrorKind::kExists);
  close(*first);  // as a crash does: the file stays
  ASSERT_TRUE(fs::exists(path));
  auto third = ListenOn(path, "");
  ASSERT_TRUE(third.has_value());
  close(*third);
  fs::remove(path);
  std::ofstream(path) << "x";
  EXPECT_EQ(ListenOn(path, "").error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(ListenOn("/" + std::string(200, 'a'), "").error().kind(), ErrorKind::kInvalid);
}

TEST(SocketFile, DoesNotRemoveASuccessor) {
  const testing::TemporaryDirectory directory;
  const std::string path = (directory.path() / "d.sock").string();
  auto first = ListenOn(path, "");
  const SocketIdentity identity = *IdentityOf(path);
  fs::rename(path, path + ".old");
  auto second = ListenOn(path, "");
  RemoveIfSame(path, identity);
  EXPECT_TRUE(fs::exists(path));
  close(*first);
  close(*second);
}

TEST(Server, RestartsByPostAlone) {
  RunningServer server({}, {});
  const std::string target = "/v1/restart?kind=DaemonSet&namespace=default&name=";
  const auto post = [&](const std::string& name) {
    return Ask(server, "POST " + target + name + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + kClose + "\r\n");
  };
  EXPECT_THAT(post("agent"), HasSubstr("\"pods\":[\"agent-x7k2p\"]"));
  EXPECT_THAT(post("none"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post("gpu"), StartsWith("HTTP/1.1 409"));
  EXPECT_THAT(Ask(server, Request(target + "agent", kClose)), StartsWith("HTTP/1.1 405"));
}

TEST(Server, MeasuresUsageWhenAsked) {
  RunningServer server({}, {});
  EXPECT_THAT(Ask(server, Request("/v1/usage", kClose)), HasSubstr("\"cpu\":\"12345678n\""));
}

}  // namespace
}  // namespace daemonsetd::local

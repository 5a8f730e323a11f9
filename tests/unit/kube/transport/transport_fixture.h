// A transport with a kubeconfig in a folder of its own and a scripted server; the clock is moved by hand, sockets are
// real. Every test ends with a look at /proc/self/fd: nothing may be left open.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "agent/kube/transport/http_transport.h"
#include "tests/support/loop.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/kube/transport/api_server.h"

namespace daemonsetd {

// In place of Boost's, which prints the value as well.
template <class T>
void PrintTo(const Result<T>& result, std::ostream* out) {
  *out << (result ? "a value" : result.error().message());
}

}  // namespace daemonsetd

namespace daemonsetd::kube {

// Sockets that this process has open.
int OpenSockets();

class TransportTest : public ::testing::Test {
 protected:
  using Clock = testing::TestLoop::Clock;
  using ApiServer = testing::ApiServer;

  TransportTest();
  ~TransportTest() override;

  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  // As those who rotate files do: written beside, then renamed over the old one.
  void Write(const std::string& name, const std::string& content) const;
  // A kubeconfig; `cluster` and `user` are the fields of the two entries: "a: b, c: d".
  void WriteKubeconfig(const std::string& cluster, const std::string& user) const;

  // A plain server, and a kubeconfig for it.
  void Serve(ApiServer::Script script);
  void ServeAnswer(std::string answer);  // to each request
  std::string Url(const std::string& scheme = "http", const std::string& host = "127.0.0.1") const;

  KubeconfigTransport& transport();
  MonoTime In(Nanoseconds time) { return loop_.timeline().mono() + time; }
  static HttpRequest Request(std::string method, std::string target = "/api/v1/nodes");

  Result<HttpResponse> Send(HttpRequest request);
  Result<HttpResponse> Get(std::string target = "/api/v1/nodes") { return Send(Request("GET", std::move(target))); }
  Result<HttpStreamStart> Open(std::string target = "/api/v1/nodes?watch=true");
  Result<std::string> Read(HttpStream& stream);

  // Runs the loop until something that real sockets bring about; the fake clock stands.
  void WaitUntil(const std::function<bool()>& condition);
  // After the server let go of its ends, the transport holds no connection.
  void ExpectNoConnection();

  testing::TestLoop loop_{std::chrono::seconds(60)};
  async::BlockingPool pool_{0};
  const testing::TemporaryDirectory folder_;
  std::unique_ptr<ApiServer> server_;
  std::unique_ptr<KubeconfigTransport> transport_;
  int sockets_before_ = 0;
};

// Matches a failed Result by kind and text.
MATCHER_P2(FailsWith, kind, text, "") {
  if (arg) {
    *result_listener << "which succeeded";
    return false;
  }
  *result_listener << "which is " << ToString(arg.error().kind()) << ": " << arg.error().message();
  return arg.error().kind() == kind && ::testing::Matches(::testing::HasSubstr(text))(arg.error().message());
}

}  // namespace daemonsetd::kube

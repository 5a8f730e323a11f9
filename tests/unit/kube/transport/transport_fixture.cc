#include "tests/unit/kube/transport/transport_fixture.h"

#include <dirent.h>

#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace daemonsetd::kube {

int OpenSockets() {
  int count = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (!gone && target.starts_with("socket:")) ++count;
  }
  return count;
}

TransportTest::TransportTest() : sockets_before_(OpenSockets()) {}

TransportTest::~TransportTest() {
  server_.reset();
  if (transport_) loop_.Run(transport_->Close(), Clock::kStands);
  transport_.reset();
  loop_.Settle();
  EXPECT_EQ(OpenSockets(), sockets_before_) << "a socket was left open";
}

void TransportTest::Write(const std::string& name, const std::string& content) const {
  const std::string beside = Path("." + name);
  std::ofstream(beside, std::ios::binary) << content;
  std::filesystem::rename(beside, Path(name));
}

void TransportTest::WriteKubeconfig(const std::string& cluster, const std::string& user) const {
  Write("kubeconfig", fmt::format("apiVersion: v1\nkind: Config\ncurrent-context: main\n"
                                  "contexts: [{{name: main, context: {{cluster: site, user: node}}}}]\n"
                                  "clusters: [{{name: site, cluster: {{{}}}}}]\n"
                                  "users: [{{name: node, user: {{{}}}}}]\n",
                                  cluster, user));
}

std::string TransportTest::Url(const std::string& scheme, const std::string& host) const {
  return fmt::format("{}://{}:{}", scheme, host, server_->port());
}

void TransportTest::Serve(ApiServer::Script script) {
  server_ = std::make_unique<ApiServer>(loop_.executor(), std::move(script));
  WriteKubeconfig("server: \"" + Url() + "\"", "");
}

void TransportTest::ServeAnswer(std::string answer) {
  Serve([answer = std::move(answer)](const ApiServer::Request&) { return ApiServer::Reply{.bytes = answer}; });
}

KubeconfigTransport& TransportTest::transport() {
  if (!transport_) {
    transport_ = std::make_unique<KubeconfigTransport>(loop_.executor(), loop_.timeline(), pool_, Path("kubeconfig"));
  }
  return *transport_;
}

HttpRequest TransportTest::Request(std::string method, std::string target) {
  HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  return request;
}

Result<HttpResponse> TransportTest::Send(HttpRequest request) {
  return loop_.Run(transport().Send(std::move(request), In(Seconds(10))), Clock::kStands);
}

Result<HttpStreamStart> TransportTest::Open(std::string target) {
  return loop_.Run(transport().Open(Request("GET", std::move(target)), In(Seconds(10))), Clock::kStands);
}

Result<std::string> TransportTest::Read(HttpStream& stream) {
  return loop_.Run(stream.Read(In(Seconds(10))), Clock::kStands);
}

void TransportTest::WaitUntil(const std::function<bool()>& condition) {
  bool done = false;
  for (int i = 0; i < 10'000 && !(done = condition()); ++i) {
    loop_.context().restart();
    loop_.context().run_one_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(done);
}

void TransportTest::ExpectNoConnection() {
  const int listening = server_ && server_->listening() ? 1 : 0;
  WaitUntil([&] { return OpenSockets() == sockets_before_ + listening; });
}

}  // namespace daemonsetd::kube

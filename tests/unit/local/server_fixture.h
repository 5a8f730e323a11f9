// A server on a real socket in a directory of its own, on a thread of its own, for clients that block.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "agent/async/system_timeline.h"
#include "agent/local/server.h"
#include "tests/support/temporary_directory.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace daemonsetd::local {

class RunningServer {
 public:
  // Answers two pods of which one has a container that cannot be measured.
  static Task<Result<statusv1::UsageList>> Usage() {
    statusv1::UsageList usage;
    const Status parsed = FromJson(R"({"window":"1s","items":[
      {"namespace":"default","name":"web-node-1","containers":[{"name":"web","memory":"3Mi"}]},
      {"namespace":"kube-system","name":"agent-x7k2p","containers":[{"name":"agent","cpu":"12345678n","memory":"64Mi"},
      {"name":"proxy","cpu":"250m","memory":"1536Ki"}]}]})",
                                   usage);
    if (!parsed) co_return parsed.error();
    co_return usage;
  }

  RunningServer(Snapshot snapshot, ServerOptions options)
      : snapshots_(context_.get_executor(), [this] { return newest_; }), pool_(1) {
    options.socket_path = (directory / "run" / "d.sock").string();
    socket_path = options.socket_path;
    log_path = (directory / "0.log").string();
    newest_ = std::make_shared<const Snapshot>(std::move(snapshot));
    FindLog find_log = [this](const LogRequest& request) -> Result<LogSource> {
      if (request.pod != "agent-x7k2p") return Error(ErrorKind::kAbsent, "pod " + request.pod + " is not on this node");
      return LogSource{log_path, nullptr};
    };
    auto restart = [](const RestartRequest& request) -> Result<statusv1::RestartAnswer> {
      if (request.name == "gpu") return Error(ErrorKind::kConflict, "DaemonSet default/gpu has no pod on this node");
      if (request.name != "agent") {
        return Error(ErrorKind::kAbsent, "no " + request.kind + " " + request.object_namespace + "/" + request.name);
      }
      statusv1::RestartAnswer answer;
      answer.set_kind(request.kind);
      answer.set_namespace_(request.object_namespace);
      answer.set_name(request.name);
      answer.add_pods("agent-x7k2p");
      return answer;
    };
    server_ = std::make_unique<Server>(
        context_.get_executor(), timeline_, snapshots_, registry_, pool_,
        Handlers{.find_log = std::move(find_log), .restart = std::move(restart), .usage = Usage}, options);
    opened = server_->Open();
    if (!opened) return;
    boost::asio::co_spawn(context_, server_->Serve(),
                          boost::asio::bind_cancellation_slot(cancel_.slot(), [](const std::exception_ptr& error) {
                            if (error) std::rethrow_exception(error);
                          }));
    thread_ = std::thread([this] { context_.run(); });
  }
  ~RunningServer() {
    boost::asio::post(context_, [this] { cancel_.emit(boost::asio::cancellation_type::terminal); });
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }

  void Publish(Snapshot snapshot) {
    boost::asio::post(context_, [this, next = std::make_shared<const Snapshot>(std::move(snapshot))] {
      newest_ = next;
      snapshots_.MarkStale();
      snapshots_.Notify();
    });
  }
  std::size_t Connections() {
    std::promise<std::size_t> answer;
    boost::asio::post(context_, [&] { answer.set_value(server_->connections()); });
    return answer.get_future().get();
  }

  const testing::TemporaryDirectory temporary;
  const std::filesystem::path directory = temporary.path();
  std::string socket_path;
  std::string log_path;
  Status opened = Ok();

 private:
  boost::asio::io_context context_{1};
  boost::asio::cancellation_signal cancel_;
  async::SystemTimeline timeline_;
  Registry registry_;
  std::shared_ptr<const Snapshot> newest_;
  SnapshotHolder snapshots_;
  async::BlockingPool pool_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

// A client that speaks bytes.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : descriptor_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    connected = connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const timeval patience{20, 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawClient() { close(descriptor_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool Send(const std::string& bytes) {
    return send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Until the server closes, or until `text` has come.
  std::string ReadUntil(const std::string& text = {}) {
    std::string all;
    char block[4096];
    while (text.empty() || all.find(text) == std::string::npos) {
      const ssize_t got = recv(descriptor_, block, sizeof block, 0);
      if (got <= 0) break;
      all.append(block, static_cast<std::size_t>(got));
    }
    return all;
  }

  bool connected = false;

 private:
  int descriptor_;
};

}  // namespace daemonsetd::local

// gRPC's callback API as awaitables. Callbacks run on gRPC's threads and do one thing: post to the loop.
//
// Cancel, then wait: a cancelled call completes when its callback has posted, not before, since until then gRPC writes
// into the response.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "cri/call_observer.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <boost/asio/steady_timer.hpp>

namespace daemonsetd::cri {

// A channel to a runtime's socket ("unix:///run/containerd/containerd.sock"): connects on first use and again by itself
// after the runtime restarted. Keep one for the life of the process: in gRPC 1.51 destroying the last channel tears
// down its global callback queue, which can abort.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& endpoint);

// One call under way. Its messages live in what derives from it, for gRPC to read and write until the call has ended.
class Call {
 public:
  explicit Call(const async::Executor& executor) : gate_(executor, boost::asio::steady_timer::time_point::max()) {}
  virtual ~Call() = default;

  grpc::ClientContext& context() { return context_; }

 private:
  friend class GrpcBridge;
  // On the loop: the call must end without any further help from the loop.
  virtual void Abandon() {}

  grpc::ClientContext context_;
  boost::asio::steady_timer gate_;  // never expires: cancelled when the call has ended
  grpc::Status status_;
  bool ended_ = false;
  bool cancelled_ = false;
};

class GrpcBridge {
 public:
  explicit GrpcBridge(async::Executor executor, CallObserver observer = nullptr);
  // Cancels what still runs and blocks until gRPC has let go of it. Orderly shutdown: CancelAndDrain() first.
  ~GrpcBridge();
  GrpcBridge(const GrpcBridge&) = delete;
  GrpcBridge& operator=(const GrpcBridge&) = delete;

  // Ends a call with its status. Called once, from any thread; the last thing that gRPC does with the call.
  using Finish = std::function<void(grpc::Status)>;

  // Calls `start`, which hands the call to gRPC, and waits for its end. No timeout: only for streams.
  // When the calling coroutine is cancelled the call is cancelled too and answers kCancelled, or success if it won.
  Task<Status> Run(std::shared_ptr<Call> call, std::string_view method, std::function<void(Finish)> start,
                   std::optional<Nanoseconds> timeout);

  // Refuses new calls with kCancelled, cancels those under way and completes when they have ended.
  Task<void> CancelAndDrain();

  std::size_t calls_under_way() const;
  const async::Executor& executor() const { return executor_; }

 private:
  struct Tracker;
  class Registration;
  // How many calls gRPC still holds. The callbacks that are just ending share it.
  struct Outstanding {
    std::atomic<int> count = 0;
  };

  static void Cancel(Call& call);
  static Finish MakeFinish(const async::Executor& executor, std::shared_ptr<Call> call,
                           std::shared_ptr<Outstanding> outstanding);

  async::Executor executor_;
  std::shared_ptr<Tracker> tracker_;
  std::shared_ptr<Outstanding> outstanding_ = std::make_shared<Outstanding>();
};

}  // namespace daemonsetd::cri

#include "cri/grpc_bridge.h"

#include <algorithm>
#include <chrono>
#include <list>
#include <utility>

#include "cri/error_mapping.h"

#include <grpc/support/time.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/time.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace daemonsetd::cri {

namespace asio = boost::asio;
namespace this_coro = boost::asio::this_coro;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  // A later gRPC derives an authority from the socket's path that Go servers refuse.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  arguments.SetUserAgentPrefix("daemonsetd");
  arguments.SetMaxReceiveMessageSize(16 * 1024 * 1024);  // as the kubelet's CRI client
  // The runtime restarts in seconds and pods wait for it: try quickly and often.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // the time one attempt may take
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // What a local socket has no use for, and its memory.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

// The calls under way, as the loop sees them. Shared with the coroutines that wait, which may be thrown away after the
// bridge when a loop is destroyed.
struct GrpcBridge::Tracker {
  explicit Tracker(const async::Executor& executor) : drained(executor, asio::steady_timer::time_point::max()) {}

  std::list<std::shared_ptr<Call>> calls;
  asio::steady_timer drained;  // never expires: cancelled when the last call ends
  bool closed = false;
  CallObserver observer;  // empty once the bridge is gone
};

class GrpcBridge::Registration {
 public:
  Registration(std::shared_ptr<Tracker> tracker, std::shared_ptr<Call> call)
      : tracker_(std::move(tracker)), place_(tracker_->calls.insert(tracker_->calls.end(), std::move(call))) {}
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    tracker_->calls.erase(place_);
    if (tracker_->calls.empty()) tracker_->drained.cancel();
  }

 private:
  std::shared_ptr<Tracker> tracker_;
  std::list<std::shared_ptr<Call>>::iterator place_;
};

GrpcBridge::GrpcBridge(async::Executor executor, CallObserver observer)
    : executor_(std::move(executor)), tracker_(std::make_shared<Tracker>(executor_)) {
  tracker_->observer = std::move(observer);
}

GrpcBridge::~GrpcBridge() {
  tracker_->observer = nullptr;
  for (const auto& call : tracker_->calls) {
    Cancel(*call);
    call->Abandon();
  }
  for (int left = outstanding_->count; left > 0; left = outstanding_->count) outstanding_->count.wait(left);
}

std::size_t GrpcBridge::calls_under_way() const { return tracker_->calls.size(); }

void GrpcBridge::Cancel(Call& call) {
  call.cancelled_ = true;
  call.context_.TryCancel();
}

GrpcBridge::Finish GrpcBridge::MakeFinish(const async::Executor& executor, std::shared_ptr<Call> call,
                                          std::shared_ptr<Outstanding> outstanding) {
  ++outstanding->count;
  auto work = asio::make_work_guard(executor);
  return [work = std::move(work), call = std::move(call),
          outstanding = std::move(outstanding)](grpc::Status status) mutable {
    Call& ending = *call;
    ending.status_ = std::move(status);
    // Post first, then deregister: whoever sees the count at zero may destroy the loop, so nothing may be posted to it,
    // nor may a call and its timer be destroyed on this thread, after that.
    asio::post(work.get_executor(), [call = std::move(call)] {
      call->ended_ = true;
      call->gate_.cancel();
    });
    work.reset();
    --outstanding->count;
    outstanding->count.notify_all();
  };
}

Task<Status> GrpcBridge::Run(std::shared_ptr<Call> call, std::string_view method, std::function<void(Finish)> start,
                             std::optional<Nanoseconds> timeout) {
  if (tracker_->closed) {
    co_return Error(ErrorKind::kCancelled, "CRI " + std::string(method) + ": the agent is shutting down");
  }
  if (timeout) {
    // Never zero: to gRPC a deadline of zero may mean none. Monotonic, so that a jump of the wall clock ends no call.
    const Nanoseconds clamped = std::max<Nanoseconds>(*timeout, Milliseconds(1));
    call->context_.set_deadline(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(clamped.count(), GPR_TIMESPAN)));
  }
  const std::shared_ptr<Tracker> tracker = tracker_;  // the bridge may be gone when the call has ended
  const auto began = std::chrono::steady_clock::now();
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  {
    const Registration registration(tracker, call);
    start(MakeFinish(executor_, call, outstanding_));
    while (!call->ended_) {
      co_await call->gate_.async_wait(asio::as_tuple(asio::use_awaitable));
      const auto state = co_await this_coro::cancellation_state;
      if (!call->ended_ && !call->cancelled_ && state.cancelled() != asio::cancellation_type::none) Cancel(*call);
    }
  }
  co_await this_coro::throw_if_cancelled(throws);
  if (tracker->observer && timeout)
    tracker->observer(method, std::chrono::steady_clock::now() - began, call->status_.ok());
  if (call->status_.ok()) co_return Ok();
  co_return FromGrpc(method, call->status_, call->cancelled_);
}

Task<void> GrpcBridge::CancelAndDrain() {
  const std::shared_ptr<Tracker> tracker = tracker_;
  tracker->closed = true;
  for (const auto& call : tracker->calls) Cancel(*call);
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  while (!tracker->calls.empty()) {
    co_await tracker->drained.async_wait(
        asio::bind_cancellation_slot(asio::cancellation_slot(), asio::as_tuple(asio::use_awaitable)));
  }
  co_await this_coro::throw_if_cancelled(throws);
}

}  // namespace daemonsetd::cri

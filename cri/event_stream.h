// GetContainerEvents as one call of the bridge. One message at a time: the next is read when the loop has handled the
// last, so a slow loop holds the runtime back instead of filling memory.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "cri.grpc.pb.h"
#include "cri/grpc_bridge.h"

namespace daemonsetd::cri {

class EventStream final : public Call,
                          public grpc::ClientReadReactor<::runtime::v1::ContainerEventResponse>,
                          public std::enable_shared_from_this<EventStream> {
 public:
  using EventHandler = std::function<void(const ::runtime::v1::ContainerEventResponse&)>;

  EventStream(const async::Executor& executor, EventHandler on_event)
      : Call(executor), executor_(executor), on_event_(std::move(on_event)) {}

  void Start(::runtime::v1::RuntimeService::StubInterface::async_interface& service, GrpcBridge::Finish finish);
  // On the loop: no event is delivered any more.
  void Stop() { on_event_ = nullptr; }

 private:
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void Abandon() override;
  void Handle();

  // True while a message waits for the loop, and so nothing is being read. Whoever takes it down to false goes on: the
  // loop by reading the next message, or whoever abandons the stream by letting it end.
  std::atomic<bool> waits_for_loop_ = false;
  std::atomic<bool> abandoned_ = false;

  async::Executor executor_;
  EventHandler on_event_;
  GrpcBridge::Finish finish_;
  std::shared_ptr<EventStream> self_;  // until OnDone: gRPC calls us by a bare pointer
  ::runtime::v1::GetEventsRequest request_;
  ::runtime::v1::ContainerEventResponse event_;
};

}  // namespace daemonsetd::cri

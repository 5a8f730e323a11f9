#include "cri/event_stream.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace daemonsetd::cri {

void EventStream::Start(::runtime::v1::RuntimeService::StubInterface::async_interface& service,
                        GrpcBridge::Finish finish) {
  finish_ = std::move(finish);
  self_ = shared_from_this();
  service.GetContainerEvents(&context(), &request_, this);
  // Reads are started from the loop, outside of gRPC's reactions: the hold keeps OnDone away until the last one.
  AddHold();
  StartRead(&event_);
  StartCall();
}

void EventStream::OnReadDone(bool ok) {
  if (!ok) {
    RemoveHold();
    return;
  }
  waits_for_loop_ = true;
  if (abandoned_) {
    if (waits_for_loop_.exchange(false)) RemoveHold();
    return;
  }
  boost::asio::post(executor_, [stream = shared_from_this()] { stream->Handle(); });
}

void EventStream::Handle() {
  if (!waits_for_loop_) return;
  if (on_event_) on_event_(event_);
  if (!waits_for_loop_.exchange(false)) return;
  event_.Clear();
  StartRead(&event_);
}

void EventStream::Abandon() {
  on_event_ = nullptr;
  abandoned_ = true;
  if (waits_for_loop_.exchange(false)) RemoveHold();
}

void EventStream::OnDone(const grpc::Status& status) {
  // The bridge's function holds the call; once it has run, the loop may destroy it at any moment.
  GrpcBridge::Finish finish = std::move(finish_);
  self_.reset();
  finish(status);
}

}  // namespace daemonsetd::cri

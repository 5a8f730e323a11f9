// A mailbox for one value: a newer one replaces an older one that nobody took. One reader. Everything on the loop
// thread.
#pragma once

#include <optional>
#include <utility>

#include "agent/async/wake.h"

namespace daemonsetd::async {

template <class T>
class Mailbox {
 public:
  explicit Mailbox(Executor executor) : wake_(std::move(executor)) {}

  void Put(T value) {
    slot_ = std::move(value);
    wake_.Notify();
  }

  // Wakes the reader without a value: something else that it looks at has changed.
  void Notify() { wake_.Notify(); }

  // The newest value, if one came before `deadline` and before a bare Notify().
  // Throws operation_aborted when the calling coroutine is cancelled; the value then stays.
  Task<std::optional<T>> TakeUntil(Timeline& timeline, std::optional<MonoTime> deadline) {
    co_await wake_.WaitUntil(timeline, deadline);
    co_return std::exchange(slot_, std::nullopt);
  }

  bool empty() const { return !slot_.has_value(); }

 private:
  Wake wake_;
  std::optional<T> slot_;
};

}  // namespace daemonsetd::async

// The coroutine type of the agent: single-threaded, on the one io_context.
// Rules (CONTRIBUTING.md, "Coroutines"): named functions, parameters by value, no capturing lambda and no aggregate
// temporary inside an expression with co_await, cancellation emitted on the loop only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

namespace daemonsetd {

template <class T = void>
using Task = boost::asio::awaitable<T>;

namespace async {
using Executor = boost::asio::any_io_executor;

// `co_await async::kDeafToCancellation;` From here to its end the task (the coroutine, its callers and what they await)
// no longer hears of cancellation: for the clean-up that must run to its end. Without it every co_await in a cancelled
// task throws operation_aborted, `co_await scope.Join()` included.
inline const auto kDeafToCancellation =
    boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
}  // namespace async

}  // namespace daemonsetd

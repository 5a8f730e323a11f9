// The coroutine type of the agent: single-threaded, on the one io_context.
// Rules (CONTRIBUTING.md, "Coroutines"): named functions, parameters by value, no capturing lambda and no aggregate
// temporary inside an expression with co_await, cancellation emitted on the loop only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace daemonsetd {

template <class T = void>
using Task = boost::asio::awaitable<T>;

namespace async {
using Executor = boost::asio::any_io_executor;
}  // namespace async

}  // namespace daemonsetd

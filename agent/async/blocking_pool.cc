#include "agent/async/blocking_pool.h"

#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace daemonsetd::async {
namespace {

using Token = boost::asio::use_awaitable_t<>;

// Hands `function` to the pool; its answer is posted to the executor of the waiting coroutine. No cancellation slot is
// connected: a system call under way cannot be taken back.
struct Start {
  template <class Handler>
  void operator()(Handler handler, Executor pool, std::function<Status()> function) const {
    const auto loop = boost::asio::get_associated_executor(handler);
    boost::asio::post(pool, [handler = std::move(handler), work = boost::asio::make_work_guard(loop),
                             function = std::move(function)]() mutable {
      Status answer = function();
      boost::asio::post(work.get_executor(), [handler = std::move(handler), answer = std::move(answer)]() mutable {
        std::move(handler)(std::move(answer));
      });
    });
  }
};

Task<Status> RunOnLoop(std::function<Status()> function) {
  co_await boost::asio::post(boost::asio::use_awaitable);
  co_return function();
}

Task<Status> RunOn(Executor pool, std::function<Status()> function) {
  return boost::asio::async_initiate<const Token, void(Status)>(Start(), boost::asio::use_awaitable, std::move(pool),
                                                                std::move(function));
}

}  // namespace

BlockingPool::BlockingPool(int threads) {
  if (threads > 0) pool_.emplace(static_cast<std::size_t>(threads));
}

BlockingPool::~BlockingPool() {
  if (pool_) pool_->join();
}

Task<Status> BlockingPool::Run(std::function<Status()> function) {
  if (!pool_) return RunOnLoop(std::move(function));
  return RunOn(pool_->get_executor(), std::move(function));
}

}  // namespace daemonsetd::async

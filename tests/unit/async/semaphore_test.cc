#include "agent/async/semaphore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop.h"

#include <boost/asio/post.hpp>

namespace daemonsetd::async {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::TestLoop;

class SemaphoreTest : public ::testing::Test {
 protected:
  Task<void> Work(std::string name, int priority) {
    const Semaphore::Permit permit = co_await semaphore_.Acquire(priority);
    order_.push_back(name);
    ++running_;
    most_ = std::max(most_, running_);
    co_await loop_.timeline().SleepFor(seconds(1));
    --running_;
  }

  TestLoop loop_;
  Semaphore semaphore_{loop_.executor(), 2};
  std::vector<std::string> order_;
  int running_ = 0;
  int most_ = 0;
};

TEST_F(SemaphoreTest, ServesByPriorityThenFirstComeFirstServed) {
  std::vector<std::shared_ptr<testing::Started<void>>> tasks;
  for (const char* name : {"a", "b", "c", "d"}) tasks.push_back(loop_.Start(Work(name, 0)));
  tasks.push_back(loop_.Start(Work("urgent", 10)));
  tasks.push_back(loop_.Start(Work("urgent too", 10)));
  EXPECT_EQ(semaphore_.waiting(), 4);
  loop_.Advance(seconds(10));
  EXPECT_THAT(order_, ElementsAre("a", "b", "urgent", "urgent too", "c", "d"));
  EXPECT_EQ(most_, 2);
  EXPECT_EQ(semaphore_.free(), 2);
}

TEST_F(SemaphoreTest, ACancelledWaiterLeavesTheQueue) {
  auto a = loop_.Start(Work("a", 0));
  auto b = loop_.Start(Work("b", 0));
  auto c = loop_.Start(Work("c", 0));
  auto d = loop_.Start(Work("d", 0));
  loop_.Cancel(c);
  EXPECT_TRUE(c->threw());
  loop_.Advance(seconds(10));
  EXPECT_THAT(order_, ElementsAre("a", "b", "d"));
  EXPECT_EQ(semaphore_.free(), 2);
}

TEST_F(SemaphoreTest, APlaceGrantedToAWaiterThatIsCancelledInTheSameTurnIsHandedOn) {
  Semaphore one(loop_.executor(), 1);
  auto holder = loop_.Start(one.Acquire());
  auto first = loop_.Start(one.Acquire());
  auto second = loop_.Start(one.Acquire());
  boost::asio::post(loop_.context(), [&] {
    first->cancel.emit(boost::asio::cancellation_type::terminal);
    holder->value.reset();
  });
  loop_.Settle();
  EXPECT_TRUE(first->threw());
  EXPECT_TRUE(second->done());
  second->value.reset();
  EXPECT_EQ(one.free(), 1);
}

TEST_F(SemaphoreTest, APermitMayOutliveTheSemaphore) {
  auto semaphore = std::make_unique<Semaphore>(loop_.executor(), 1);
  auto permit = loop_.Start(semaphore->Acquire());
  semaphore.reset();
  permit->value.reset();
}

}  // namespace
}  // namespace daemonsetd::async

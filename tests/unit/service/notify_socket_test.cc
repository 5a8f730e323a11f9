#include "agent/service/notify_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/service/manager_socket.h"

namespace daemonsetd::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ManagerSocket;

TEST(NotifySocket, ReachesAPathAndAnAbstractName) {
  for (const auto kind : {ManagerSocket::Kind::kPath, ManagerSocket::Kind::kAbstract}) {
    ManagerSocket manager(kind);
    const auto socket = NotifySocket::Open(manager.address());
    ASSERT_TRUE(socket);
    EXPECT_TRUE(socket->connected());
    EXPECT_TRUE(socket->Send("READY=1\nSTATUS=x"));
    EXPECT_TRUE(socket->Send("WATCHDOG=1"));
    EXPECT_THAT(manager.Read(), ElementsAre("READY=1\nSTATUS=x", "WATCHDOG=1"));
  }
}

TEST(NotifySocket, WithoutAnAddressSendingIsNoError) {
  const auto socket = NotifySocket::Open("");
  ASSERT_TRUE(socket);
  EXPECT_FALSE(socket->connected());
  EXPECT_TRUE(socket->Send("READY=1"));
}

TEST(NotifySocket, RefusesWhatIsNoAddress) {
  for (const std::string& address : {std::string("run/notify"), std::string("@"), std::string("/"),
                                     std::string("vsock:2:1234"), "/" + std::string(107, 'a')}) {
    const auto socket = NotifySocket::Open(address);
    ASSERT_FALSE(socket) << address;
    EXPECT_THAT(socket.error().message(), HasSubstr("NOTIFY_SOCKET"));
  }
  EXPECT_TRUE(NotifySocket::Open("/" + std::string(106, 'a')));
}

TEST(NotifySocket, SaysWhenNobodyListensAndReachesTheNextWhoDoes) {
  ManagerSocket manager;
  const auto socket = NotifySocket::Open(manager.address());
  ASSERT_TRUE(socket);
  manager.Close();
  EXPECT_EQ(socket->Send("WATCHDOG=1").error().kind(), ErrorKind::kRetry);
  manager.Listen();
  EXPECT_TRUE(socket->Send("READY=1"));
  EXPECT_THAT(manager.Read(), ElementsAre("READY=1"));
}

TEST(NotifySocket, AFullQueueDoesNotBlock) {
  ManagerSocket manager;
  const auto socket = NotifySocket::Open(manager.address());
  ASSERT_TRUE(socket);
  Status sent = Ok();
  for (int i = 0; i < 100'000 && sent; ++i) sent = socket->Send("STATUS=" + std::to_string(i));
  EXPECT_EQ(sent.error().kind(), ErrorKind::kRetry);
}

}  // namespace
}  // namespace daemonsetd::service

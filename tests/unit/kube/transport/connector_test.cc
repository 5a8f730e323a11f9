#include "agent/kube/transport/connector.h"

#include "tests/unit/kube/transport/full_listener.h"
#include "tests/unit/kube/transport/transport_fixture.h"

namespace daemonsetd::kube {
namespace {

// Names have the addresses that a test gives them.
class ConnectorTest : public TransportTest {
 protected:
  ConnectorTest()
      : connector_(loop_.executor(), loop_.timeline(), pool_, [this](const std::string&) { return addresses_; }) {
    ServeAnswer(testing::Answer(200));
  }
  ~ConnectorTest() override { loop_.Run(connector_.Close(), Clock::kStands); }

  void Addresses(const std::vector<std::string>& texts) {
    std::vector<boost::asio::ip::address> addresses;
    for (const std::string& text : texts) addresses.push_back(boost::asio::ip::make_address(text));
    addresses_ = addresses;
  }
  auto Start(Nanoseconds time = Seconds(10)) {
    auto access = std::make_shared<Access>();
    access->server = {.tls = false, .host = "api.example", .port = static_cast<std::uint16_t>(server_->port())};
    std::shared_ptr<const Access> shared = access;
    return loop_.Start(connector_.Connect(shared, In(time)));
  }

  Result<std::vector<boost::asio::ip::address>> addresses_ = Error(ErrorKind::kRetry, "not set");
  Connector connector_;
};

TEST_F(ConnectorTest, GivesAnAddressThatDoesNotAnswerItsShareOfTheTime) {
  const testing::FullListener silent("127.0.0.2", server_->port());
  Addresses({"127.0.0.2", "127.0.0.3", "127.0.0.1"});
  const auto connecting = Start(Seconds(9));
  loop_.Advance(Milliseconds(2999));
  EXPECT_FALSE(connecting->done());
  EXPECT_EQ(server_->connections(), 0);
  loop_.Advance(Milliseconds(1));
  WaitUntil([&] { return connecting->done(); });
  ASSERT_TRUE(*connecting->value) << connecting->value->error().message();
  WaitUntil([&] { return server_->connections() == 1; });
}

// AW-01: the neighbour may be behind what this one told us.
TEST_F(ConnectorTest, StaysWithTheAddressThatAnswered) {
  Addresses({"127.0.0.2", "127.0.0.1"});
  const auto first = Start();
  WaitUntil([&] { return first->done(); });
  ASSERT_TRUE(*first->value);
  const testing::FullListener silent("127.0.0.2", server_->port());
  const auto second = Start();
  WaitUntil([&] { return second->done(); });
  EXPECT_TRUE(*second->value) << "though 127.0.0.2 is silent and the clock stands";
}

TEST_F(ConnectorTest, TellsOfEachAddress) {
  server_->StopListening();
  Addresses({"127.0.0.2", "127.0.0.1"});
  const auto connecting = Start();
  WaitUntil([&] { return connecting->done(); });
  EXPECT_THAT(*connecting->value,
              FailsWith(ErrorKind::kRetry, "cannot connect to " + Url("http", "api.example") +
                                               ": 127.0.0.2: connection refused; 127.0.0.1: connection refused"));
}

TEST_F(ConnectorTest, TellsThatANameIsNotKnown) {
  addresses_ = Error(ErrorKind::kRetry, "the name can't be looked up: Name or service not known");
  const auto connecting = Start();
  WaitUntil([&] { return connecting->done(); });
  EXPECT_THAT(*connecting->value,
              FailsWith(ErrorKind::kRetry, "cannot connect to " + Url("http", "api.example") +
                                               ": the name can't be looked up: Name or service not known"));
}

}  // namespace
}  // namespace daemonsetd::kube

#include "agent/pods/service_links.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace daemonsetd::pods {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

corev1::Service Parse(const std::string& text) {
  corev1::Service service;
  if (!google::protobuf::TextFormat::ParseFromString(text, &service)) throw std::runtime_error("wrong service");
  return service;
}

TEST(ServiceVariables, AreThoseOfTheKubelet) {
  EXPECT_THAT(ServiceVariables({Parse(R"(metadata { name: "my-db" } spec { clusterIP: "10.0.0.9"
                  ports { port: 5432 name: "sql" } ports { port: 53 protocol: "UDP" name: "dns-udp" } })")}),
              ElementsAre(Pair("MY_DB_PORT", "tcp://10.0.0.9:5432"), Pair("MY_DB_PORT_53_UDP", "udp://10.0.0.9:53"),
                          Pair("MY_DB_PORT_53_UDP_ADDR", "10.0.0.9"), Pair("MY_DB_PORT_53_UDP_PORT", "53"),
                          Pair("MY_DB_PORT_53_UDP_PROTO", "udp"), Pair("MY_DB_PORT_5432_TCP", "tcp://10.0.0.9:5432"),
                          Pair("MY_DB_PORT_5432_TCP_ADDR", "10.0.0.9"), Pair("MY_DB_PORT_5432_TCP_PORT", "5432"),
                          Pair("MY_DB_PORT_5432_TCP_PROTO", "tcp"), Pair("MY_DB_SERVICE_HOST", "10.0.0.9"),
                          Pair("MY_DB_SERVICE_PORT", "5432"), Pair("MY_DB_SERVICE_PORT_DNS_UDP", "53"),
                          Pair("MY_DB_SERVICE_PORT_SQL", "5432")));
}

TEST(ServiceVariables, PutBracketsAroundAnIpv6Address) {
  EXPECT_THAT(ServiceVariables({Parse(R"(metadata { name: "a" } spec { clusterIP: "fd00::1" ports { port: 80 } })")}),
              AllOf(Contains(Pair("A_SERVICE_HOST", "fd00::1")), Contains(Pair("A_PORT", "tcp://[fd00::1]:80"))));
}

TEST(ServiceVariables, LeaveOutServicesWithoutAnAddress) {
  EXPECT_THAT(ServiceVariables({Parse(R"(metadata { name: "a" } spec { clusterIP: "None" ports { port: 80 } })"),
                                Parse(R"(metadata { name: "b" } spec { externalName: "x.example" })")}),
              IsEmpty());
  EXPECT_THAT(ServiceVariables({Parse(R"(metadata { name: "a" } spec { clusterIP: "10.0.0.1" })")}),
              ElementsAre(Pair("A_SERVICE_HOST", "10.0.0.1")));
}

TEST(ServiceVariables, TakeTheLaterOfTwoServicesOfOneName) {
  EXPECT_THAT(ServiceVariables({Parse(R"(metadata { name: "a" } spec { clusterIP: "10.0.0.1" ports { port: 1 } })"),
                                Parse(R"(metadata { name: "a" } spec { clusterIP: "10.0.0.2" })")}),
              ElementsAre(Pair("A_SERVICE_HOST", "10.0.0.2")));
}

}  // namespace
}  // namespace daemonsetd::pods

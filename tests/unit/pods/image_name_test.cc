#include "agent/pods/image_name.h"

#include <gtest/gtest.h>

namespace daemonsetd::pods {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ParseImageName, GivesTheNameThatMeansTheSameEverywhere) {
  const auto canonical = [](const std::string& name) {
    const Result<ImageName> parsed = ParseImageName(name);
    return parsed ? parsed->Canonical() : parsed.error().message();
  };
  EXPECT_EQ(canonical("busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(canonical("calico/node:v3"), "docker.io/calico/node:v3");
  EXPECT_EQ(canonical("index.docker.io/busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(canonical("registry.k8s.io/pause:3.10"), "registry.k8s.io/pause:3.10");
  EXPECT_EQ(canonical("localhost/a__b.c--d"), "localhost/a__b.c--d:latest");
  EXPECT_EQ(canonical("Host/x"), "Host/x:latest");
  EXPECT_EQ(canonical("10.0.0.1:5000/x/y"), "10.0.0.1:5000/x/y:latest");
  EXPECT_EQ(canonical("[fd00::1]:5000/x:T_1.2-3"), "[fd00::1]:5000/x:T_1.2-3");
  EXPECT_EQ(canonical("busybox@" + kDigest), "docker.io/library/busybox@" + kDigest);
  EXPECT_EQ(canonical("busybox:1@" + kDigest), "docker.io/library/busybox@" + kDigest);
}

TEST(ParseImageName, RefusesWhatNoRegistryTakes) {
  for (const std::string& name : {std::string(),
                                  std::string("/"),
                                  std::string("a/"),
                                  std::string("/a"),
                                  std::string("a//b"),
                                  std::string("A"),
                                  std::string("a b"),
                                  std::string("a:"),
                                  std::string("a:b:c"),
                                  std::string("a:-x"),
                                  std::string("a@"),
                                  std::string("a@sha256:12"),
                                  std::string("a@:" + std::string(64, 'a')),
                                  std::string("a..b"),
                                  std::string("a___b"),
                                  std::string("-a"),
                                  std::string("a-"),
                                  std::string("host.:5000/x"),
                                  std::string("host:port/x"),
                                  std::string("[::1/x"),
                                  std::string("[]/x"),
                                  std::string("../../etc/passwd"),
                                  std::string(64, 'a'),
                                  std::string(300, 'x'),
                                  std::string(5000, 'x'),
                                  std::string("a\0b", 3),
                                  "a:" + std::string(129, 't')}) {
    EXPECT_FALSE(ParseImageName(name)) << name;
  }
}

}  // namespace
}  // namespace daemonsetd::pods

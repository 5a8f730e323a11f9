#include "agent/identity/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "agent/identity/cluster_info.h"
#include "tests/unit/identity/authority.h"

namespace daemonsetd::identity {
namespace {

using testing::Authority;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Hours = std::chrono::hours;
using testing::SigningRequestWith;

constexpr char kUser[] = "daemonsetd:node:edge-17";

std::string RequestFor(const std::string& user, const std::vector<std::string>& groups) {
  return NewSigningRequest(NewKey().value(), user, groups).value();
}

TEST(Certificate, WhatIsAskedForCanBeRead) {
  const auto facts = ReadSigningRequest(RequestFor(kUser, {"daemonsetd:nodes", "daemonsetd:coordinators"}));
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_EQ(facts->user, kUser);
  EXPECT_THAT(facts->groups, ElementsAre("daemonsetd:nodes", "daemonsetd:coordinators"));
  EXPECT_TRUE(facts->plain);
  EXPECT_TRUE(facts->strong_key);
  EXPECT_TRUE(facts->signed_by_key);
}

TEST(Certificate, ANodeMayHaveALongName) {
  const std::string user = "daemonsetd:node:" + std::string(253, 'a');
  EXPECT_EQ(ReadSigningRequest(RequestFor(user, {"daemonsetd:nodes"}))->user, user);
}

TEST(Certificate, AnIssuedOneAndItsKey) {
  const Authority authority;
  const std::string key = NewKey().value();
  const std::string request = NewSigningRequest(key, kUser, {"daemonsetd:nodes"}).value();
  const WallTime now{Seconds(1'700'000'000)};
  const std::string issued = authority.Sign(request, now - Hours(1), now + Hours(2));
  const auto facts = ReadCertificate(issued);
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_EQ(facts->user, kUser);
  EXPECT_THAT(facts->groups, ElementsAre("daemonsetd:nodes"));
  EXPECT_EQ(facts->not_before, now - Hours(1));
  EXPECT_EQ(facts->not_after, now + Hours(2));
  EXPECT_TRUE(CheckKey(issued, key));
  EXPECT_FALSE(CheckKey(issued, NewKey().value()));
  EXPECT_TRUE(CheckKey(issued + key, issued + key)) << "both in one file";
}

TEST(Certificate, OnesAreChosenByTheHashOfTheirKey) {
  const Authority authority;
  const WallTime now{Seconds(1'700'000'000)};
  const std::string key = NewKey().value();
  const std::string ours =
      authority.Sign(NewSigningRequest(key, kUser, {"daemonsetd:nodes"}).value(), now, now + Hours(1));
  const std::string other = authority.Sign(RequestFor(kUser, {"daemonsetd:nodes"}), now, now + Hours(1));
  const std::string digest = testing::DigestOfKey(key);
  EXPECT_EQ(CertificatesOfKey(other + "words between\n" + ours + other, digest).value(), ours);
  EXPECT_EQ(CertificatesOfKey(other, digest).value(), "");
  EXPECT_EQ(CertificatesOfKey("", digest).value(), "");
  EXPECT_EQ(CertificatesOfKey(ours.substr(0, 100), digest).value(), "");
  EXPECT_FALSE(CertificatesOfKey(std::string(kMaximumPem + 1, 'a'), digest));
}

TEST(Certificate, AHashOfAKeyIsRead) {
  const std::string digits = "00ff" + std::string(58, '1') + "aB";
  EXPECT_EQ(ParseKeyHash("sha256:" + digits).value(), std::string("\x00\xff", 2) + std::string(29, '\x11') + "\xab");
  for (const std::string& text : {std::string(), digits, "sha1:" + digits, "sha256:" + digits.substr(2),
                                  "sha256:" + digits + "00", "sha256:g" + digits.substr(1)}) {
    EXPECT_FALSE(ParseKeyHash(text)) << text;
  }
}

TEST(Certificate, KeysAreNeverTheSame) { EXPECT_NE(NewKey().value(), NewKey().value()); }

struct Hostile {
  const char* name;
  testing::RequestParts parts;
};

// Each is a well-formed request that the approver must see through.
const Hostile kHostile[] = {
    {"an alternative name", {.alternative_name = "DNS:kubernetes.default"}},
    {"another part of the subject", {.extra_field = "OU"}},
    {"a second name", {.extra_field = "CN"}},
};

TEST(Certificate, MoreThanNamesAndGroupsIsNotPlain) {
  for (const Hostile& hostile : kHostile) {
    const auto facts = ReadSigningRequest(SigningRequestWith(hostile.parts));
    ASSERT_TRUE(facts) << hostile.name;
    EXPECT_FALSE(facts->plain) << hostile.name;
  }
  EXPECT_TRUE(ReadSigningRequest(SigningRequestWith({}))->plain);
}

TEST(Certificate, WeakKeysAreToldApart) {
  EXPECT_FALSE(ReadSigningRequest(SigningRequestWith({.rsa_bits = 1024}))->strong_key);
  EXPECT_TRUE(ReadSigningRequest(SigningRequestWith({.rsa_bits = 2048}))->strong_key);
}

TEST(Certificate, ARequestForSomebodyElsesKeyIsSeen) {
  const auto facts = ReadSigningRequest(SigningRequestWith({.foreign_signature = true}));
  ASSERT_TRUE(facts);
  EXPECT_FALSE(facts->signed_by_key);
}

TEST(Certificate, WhatIsNoneIsRefused) {
  const std::string request = RequestFor(kUser, {"daemonsetd:nodes"});
  for (const std::string& text :
       {std::string(), std::string("x"), NewKey().value(), request.substr(0, 100), std::string(kMaximumPem + 1, 'a')}) {
    EXPECT_FALSE(ReadSigningRequest(text));
    EXPECT_FALSE(ReadCertificate(text));
  }
  EXPECT_THAT(ReadCertificate(request).error().message(), HasSubstr("no certificate"));
}

// Bytes turned at random: refused or read, never a crash (the sanitizers look on).
TEST(Certificate, BrokenRequestsDoNoHarm) {
  const std::string request = RequestFor(kUser, {"daemonsetd:nodes"});
  std::mt19937 random(17);
  for (int i = 0; i < 2000; ++i) {
    std::string broken = request;
    for (int changes = 0; changes < 3; ++changes) broken[random() % broken.size()] = "AZaz09+/=\n-"[random() % 11];
    const auto facts = ReadSigningRequest(broken);
    if (facts && facts->signed_by_key) EXPECT_EQ(facts->user, kUser);
  }
}

}  // namespace
}  // namespace daemonsetd::identity

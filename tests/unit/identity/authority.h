// A certificate authority, and signing requests of people who mean harm, made while a test runs.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "agent/base/time_point.h"

namespace daemonsetd::testing {

class Authority {
 public:
  Authority();
  // The certificate, in PEM form, for the subject and key of `request`.
  std::string Sign(const std::string& request, WallTime from, WallTime until) const;

 private:
  std::shared_ptr<EVP_PKEY> key_;
};

// SHA-256 of the public key that belongs to `key`, as SubjectPublicKeyInfo, raw.
std::string DigestOfKey(const std::string& key);

struct RequestParts {
  const char* alternative_name = nullptr;  // "DNS:a"
  const char* extra_field = nullptr;       // of the subject: "OU"
  int rsa_bits = 0;                        // 0: EC P-256
  bool foreign_signature = false;
};
// The request of an agent in PEM form, but for these.
std::string SigningRequestWith(const RequestParts& parts);

}  // namespace daemonsetd::testing

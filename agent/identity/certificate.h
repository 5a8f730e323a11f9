// Keys, certificates and signing requests as PEM text. The private key of a node is made here and leaves the node
// never. Whatever comes in is hostile: bounded, and read without asking anybody for a passphrase.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/decide/certificate_approval.h"
#include "agent/decide/certificate_rotation.h"

namespace daemonsetd::identity {

inline constexpr std::size_t kMaximumPem = std::size_t{64} << 10;

// A new EC key on P-256.
Result<std::string> NewKey();
// A PKCS #10 request for `user` in `groups`, signed by `key`.
Result<std::string> NewSigningRequest(const std::string& key, const std::string& user,
                                      const std::vector<std::string>& groups);

// The first certificate in `pem`. kInvalid with a reason that fits behind a file's name: "holds no certificate".
Result<decide::CertificateFacts> ReadCertificate(const std::string& pem);
// Those certificates in `pem`, likewise as PEM, whose public key (its SubjectPublicKeyInfo) has this SHA-256, raw;
// empty for none. kInvalid: `pem` is too large.
Result<std::string> CertificatesOfKey(const std::string& pem, const std::string& key_digest);
// kInvalid when `key` is not the one that the first certificate was made for.
Status CheckKey(const std::string& certificate, const std::string& key);

// kInvalid when it is no signing request at all; what it asks for is the decision's business.
Result<decide::SigningRequestFacts> ReadSigningRequest(const std::string& pem);

}  // namespace daemonsetd::identity

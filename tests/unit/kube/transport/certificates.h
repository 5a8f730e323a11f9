// Certificates made while a test runs, so that no key is ever kept in a file of the repository.
#pragma once

#include <memory>
#include <string>

namespace daemonsetd::testing {

struct IssuedCertificate {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

struct CertificateRequest {
  std::string common_name;
  std::string names;        // subjectAltName as OpenSSL writes it: "DNS:localhost,IP:127.0.0.1"; empty for none
  long valid_from = -3600;  // seconds from now
  long valid_until = 3600;
};

class Authority {
 public:
  explicit Authority(const std::string& common_name);
  ~Authority();

  IssuedCertificate Issue(const CertificateRequest& request) const;
  std::string certificate() const;  // PEM

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// `key` (PEM) again, protected by a passphrase.
std::string Encrypted(const std::string& key);

}  // namespace daemonsetd::testing

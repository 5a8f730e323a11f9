// What OpenSSL must know to talk to an API server. Certificates and keys come as PEM text; nothing here is logged.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/base/result.h"

// OpenSSL's SSL_CTX and SSL, so that its headers stay out of ours.
struct ssl_ctx_st;
struct ssl_st;

namespace daemonsetd::kube {

using TlsContext = std::shared_ptr<ssl_ctx_st>;

// TLS 1.2 or later with verification of the server; no authority is trusted yet.
TlsContext NewTlsContext();

// Each once per context. kDenied with the reason, in words that fit behind the field's name: "holds no certificate".
Status TrustAuthorities(const TlsContext& context, const std::string& pem);
Status TrustSystemAuthorities(const TlsContext& context);
// The client's certificate, followed by those that lead to its authority.
Status UseCertificate(const TlsContext& context, const std::string& pem);
// After UseCertificate: a key that does not belong to it is refused.
Status UseKey(const TlsContext& context, const std::string& pem);

// One connection: its SSL object and what its handshake found out about the server's certificate.
class TlsSession {
 public:
  // `server_name`: the DNS name or IP address that the certificate must bear.
  TlsSession(const TlsContext& context, std::string server_name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // The SSL object, owned by the caller from here on; the session must outlive it.
  ssl_st* Release();

  // After a failed handshake: why the server's certificate was not accepted; nothing when that was not the reason.
  std::optional<Error> CertificateProblem() const;

  struct Findings {
    int code = 0;  // X509_V_ERR_...; 0 (X509_V_OK): nothing found
    std::string names;
    std::string not_before;
    std::string not_after;
  };

 private:
  std::string server_name_;
  Findings findings_;
  ssl_st* ssl_;
};

// True for an alert by which the server refuses our certificate; `code` is OpenSSL's packed error.
bool RefusesOurCertificate(unsigned long code);

// True for OpenSSL's "wrong version number" and its kind: the answer is no TLS at all.
bool IsNoTls(unsigned long code);

// SHA-256 of `text`, raw: to see that a secret changed without keeping it.
std::string Sha256(const std::string& text);

}  // namespace daemonsetd::kube

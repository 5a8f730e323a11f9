#include "agent/kube/transport/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "agent/kube/transport/openssl.h"
#include "agent/model/names.h"

namespace daemonsetd::kube {
namespace {

constexpr int kNamesShown = 8;
constexpr int kMaximumCertificates = 10'000;

using openssl::Bio;
using openssl::Certificate;
using openssl::Key;
using openssl::LastReason;
using openssl::Reader;
using Names = std::unique_ptr<GENERAL_NAMES, openssl::Freer<GENERAL_NAMES_free>>;

Error Refused(std::string message) { return Error(ErrorKind::kDenied, std::move(message)); }

// Never asks anybody: OpenSSL would prompt on the terminal.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// Null at the end of the text and for what is broken; OpenSSL's queue tells which.
Certificate NextCertificate(BIO* bio) {
  bool asked = false;
  return Certificate(PEM_read_bio_X509(bio, nullptr, NoPassphrase, &asked));
}

Status CheckEnd() {
  const unsigned long code = ERR_peek_last_error();
  if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
    ERR_clear_error();
    return Ok();
  }
  return Refused(fmt::format("holds a broken certificate ({}); write it again", LastReason()));
}

std::string DateOf(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable time";
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string NameText(const GENERAL_NAME& name) {
  if (name.type == GEN_IPADD) {
    const int size = ASN1_STRING_length(name.d.iPAddress);
    if (size != 4 && size != 16) return "";
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name.d.iPAddress), text, sizeof text);
    return text;
  }
  if (name.type != GEN_DNS) return "";
  std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name.d.dNSName)),
                   static_cast<std::size_t>(ASN1_STRING_length(name.d.dNSName)));
  text.resize(std::min<std::size_t>(text.size(), 253));
  for (char& c : text) {
    if (c < '!' || c > '~') c = '?';  // the peer's text, on its way to a log
  }
  return text;
}

std::string NamesOf(X509* certificate) {
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string text;
  int shown = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string name = NameText(*sk_GENERAL_NAME_value(names.get(), i));
    if (name.empty()) continue;
    if (shown++ == kNamesShown) return text + ", ...";
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

int FindingsIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int Verified(int fine, X509_STORE_CTX* store) {
  if (fine == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* findings = static_cast<TlsSession::Findings*>(SSL_get_ex_data(ssl, FindingsIndex()));
  findings->code = X509_STORE_CTX_get_error(store);
  if (X509* certificate = X509_STORE_CTX_get_current_cert(store); certificate != nullptr) {
    findings->names = NamesOf(certificate);
    findings->not_before = DateOf(X509_get0_notBefore(certificate));
    findings->not_after = DateOf(X509_get0_notAfter(certificate));
  }
  return 0;
}

}  // namespace

TlsContext NewTlsContext() {
  TlsContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!context) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, Verified);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // A sub-authority in the file is an anchor by itself, as for every other client of Kubernetes.
  X509_STORE_set_flags(SSL_CTX_get_cert_store(context.get()), X509_V_FLAG_PARTIAL_CHAIN);
  static constexpr unsigned char kProtocols[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(context.get(), kProtocols, sizeof kProtocols - 1);
  return context;
}

Status TrustAuthorities(const TlsContext& context, const std::string& pem) {
  const Bio bio = Reader(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(context.get());
  int count = 0;
  for (Certificate certificate; (certificate = NextCertificate(bio.get())); ++count) {
    if (count == kMaximumCertificates) return Refused("holds too many certificates");
    if (X509_STORE_add_cert(store, certificate.get()) != 1) return Refused("can't be used: " + LastReason());
  }
  DAEMONSETD_RETURN_IF_ERROR(CheckEnd());
  if (count == 0) return Refused("holds no certificate; write the authority's certificate in PEM form");
  return Ok();
}

Status TrustSystemAuthorities(const TlsContext& context) {
  if (SSL_CTX_set_default_verify_paths(context.get()) == 1) return Ok();
  return Refused("is not set, and the authorities that this system trusts can't be read: " + LastReason());
}

Status UseCertificate(const TlsContext& context, const std::string& pem) {
  const Bio bio = Reader(pem);
  const Certificate own = NextCertificate(bio.get());
  if (!own) {
    DAEMONSETD_RETURN_IF_ERROR(CheckEnd());
    return Refused("holds no certificate; write the client's certificate in PEM form");
  }
  if (SSL_CTX_use_certificate(context.get(), own.get()) != 1) return Refused("can't be used: " + LastReason());
  int count = 0;
  for (Certificate certificate; (certificate = NextCertificate(bio.get())); ++count) {
    if (count == kMaximumCertificates) return Refused("holds too many certificates");
    if (SSL_CTX_add1_chain_cert(context.get(), certificate.get()) != 1) {
      return Refused("can't be used: " + LastReason());
    }
  }
  return CheckEnd();
}

Status UseKey(const TlsContext& context, const std::string& pem) {
  const Bio bio = Reader(pem);
  bool asked = false;
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked));
  if (!key) {
    const std::string reason = LastReason();
    if (asked) return Refused("is protected by a passphrase, which nobody is there to type; write it without one");
    return Refused(fmt::format("holds no private key ({}); write it in PEM form", reason));
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 || SSL_CTX_check_private_key(context.get()) != 1) {
    ERR_clear_error();
    return Refused("does not belong to client-certificate; write the two that were made together");
  }
  return Ok();
}

TlsSession::TlsSession(const TlsContext& context, std::string server_name)
    : server_name_(std::move(server_name)), ssl_(SSL_new(context.get())) {
  if (ssl_ == nullptr) throw std::bad_alloc();
  SSL_set_ex_data(ssl_, FindingsIndex(), &findings_);
  if (model::IsIpAddress(server_name_)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), server_name_.c_str());  // and no SNI, which is for names
  } else {
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set1_host(ssl_, server_name_.c_str());
    SSL_set_tlsext_host_name(ssl_, server_name_.c_str());
  }
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

ssl_st* TlsSession::Release() { return std::exchange(ssl_, nullptr); }

std::optional<Error> TlsSession::CertificateProblem() const {
  switch (findings_.code) {
    case X509_V_OK: return std::nullopt;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return Refused(
          fmt::format("the server's certificate is not for {}{}; write one of its names in tls-server-name, "
                      "if this is the right server",
                      server_name_, findings_.names.empty() ? "" : " but for " + findings_.names));
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Refused(fmt::format("the server's certificate expired at {}; renew it there, or set this node's clock",
                                 findings_.not_after));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Refused(
          fmt::format("the server's certificate is not valid before {}; set this node's clock", findings_.not_before));
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return Refused(
          "the server's certificate is signed by an authority that certificate-authority does not hold; "
          "write that authority there, if this is the right server");
    default:
      return Refused(
          fmt::format("the server's certificate is not accepted: {}", X509_verify_cert_error_string(findings_.code)));
  }
}

bool RefusesOurCertificate(unsigned long code) {
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return false;
  switch (ERR_GET_REASON(code)) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

bool IsNoTls(unsigned long code) {
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return false;
  return ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER || ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST ||
         ERR_GET_REASON(code) == SSL_R_PACKET_LENGTH_TOO_LONG;
}

std::string Sha256(const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
  return std::string(reinterpret_cast<const char*>(digest), size);
}

}  // namespace daemonsetd::kube

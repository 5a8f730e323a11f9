#include "agent/identity/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/kube/transport/openssl.h"
#include "agent/kube/transport/tls.h"

namespace daemonsetd::identity {
namespace {

constexpr int kLeastRsaBits = 2048;
constexpr int kMostRsaBits = 8192;
constexpr int kMostNames = 16;  // entries of a subject
constexpr std::size_t kMostNameBytes = 512;

using kube::openssl::Bio;
using kube::openssl::Certificate;
using kube::openssl::Key;
using kube::openssl::LastReason;
using kube::openssl::Reader;
using Request = std::unique_ptr<X509_REQ, kube::openssl::Freer<X509_REQ_free>>;

Error Invalid(std::string message) { return Error(ErrorKind::kInvalid, std::move(message)); }

Error Failed(std::string_view what) {
  return Error(ErrorKind::kFatal, fmt::format("{}: OpenSSL says: {}", what, LastReason()));
}

Bio Writer() {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio) throw std::bad_alloc();
  return bio;
}

std::string Written(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

int NoPassphrase(char*, int, int, void*) { return -1; }

Status CheckSize(const std::string& pem) {
  if (pem.size() > kMaximumPem) return Invalid(fmt::format("is larger than {} bytes", kMaximumPem));
  return Ok();
}

Result<Certificate> FirstCertificate(const std::string& pem) {
  DAEMONSETD_RETURN_IF_ERROR(CheckSize(pem));
  const Bio bio = Reader(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!certificate) return Invalid("holds no certificate");
  return certificate;
}

Result<Key> ReadKey(const std::string& pem) {
  DAEMONSETD_RETURN_IF_ERROR(CheckSize(pem));
  const Bio bio = Reader(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!key) return Invalid("holds no private key");
  return key;
}

// Seconds since 1970 that no nanoseconds can hold come out as the nearest.
std::optional<WallTime> TimeOf(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const auto day = std::chrono::year(parts.tm_year + 1900) /
                   std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)) /
                   std::chrono::day(static_cast<unsigned>(parts.tm_mday));
  constexpr std::chrono::year kFirst{1970};
  constexpr std::chrono::year kLast{2200};
  if (day.year() < kFirst) return WallTime{};
  if (day.year() > kLast) return WallTime{std::chrono::sys_days(kLast / 1 / 1)};
  return WallTime{std::chrono::sys_days(day)} + std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
         Seconds(parts.tm_sec);
}

struct Subject {
  std::string user;
  std::vector<std::string> groups;
  bool plain = true;  // one common name, and organizations
};

Subject ReadSubject(const X509_NAME* name) {
  Subject subject;
  const int count = X509_NAME_entry_count(name);
  if (count > kMostNames) subject.plain = false;
  int users = 0;
  for (int i = 0; i < count && i < kMostNames; ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) {
      ERR_clear_error();
      subject.plain = false;
      continue;
    }
    std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    if (text.size() > kMostNameBytes) {
      subject.plain = false;
    } else if (kind == NID_commonName) {
      ++users;
      subject.user = std::move(text);
    } else if (kind == NID_organizationName) {
      subject.groups.push_back(std::move(text));
    } else {
      subject.plain = false;
    }
  }
  if (users != 1) {
    subject.user.clear();
    subject.plain = false;
  }
  return subject;
}

bool IsStrong(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return true;
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(key);
    return bits >= kLeastRsaBits && bits <= kMostRsaBits;
  }
  if (EVP_PKEY_is_a(key, "EC") != 1) return false;
  std::array<char, 64> group{};
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1) return false;
  const std::string_view curve = group.data();
  return curve == SN_X9_62_prime256v1 || curve == "P-256" || curve == SN_secp384r1 || curve == SN_secp521r1;
}

// UTF-8 as it is: with MBSTRING_UTF8 OpenSSL would hold a common name to 64 characters, which names of nodes exceed.
bool AddEntry(X509_NAME* name, const char* field, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, field, V_ASN1_UTF8STRING, reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

}  // namespace

Result<std::string> NewKey() {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return Failed("cannot make a key");
  const Bio bio = Writer();
  if (PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("cannot write the key");
  }
  return Written(bio);
}

Result<std::string> NewSigningRequest(const std::string& key, const std::string& user,
                                      const std::vector<std::string>& groups) {
  const Result<Key> pair = ReadKey(key);
  if (!pair) return pair.error();
  const Request request(X509_REQ_new());
  if (!request) throw std::bad_alloc();
  X509_NAME* name = X509_REQ_get_subject_name(request.get());
  bool named = true;
  for (const std::string& group : groups) named = named && AddEntry(name, "O", group);
  if (!named || !AddEntry(name, "CN", user)) return Failed("cannot write the names of the request");
  if (X509_REQ_set_pubkey(request.get(), pair->get()) != 1 ||
      X509_REQ_sign(request.get(), pair->get(), EVP_sha256()) == 0) {
    return Failed("cannot sign the request");
  }
  const Bio bio = Writer();
  if (PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) return Failed("cannot write the request");
  return Written(bio);
}

Result<decide::CertificateFacts> ReadCertificate(const std::string& pem) {
  const Result<Certificate> certificate = FirstCertificate(pem);
  if (!certificate) return certificate.error();
  const auto from = TimeOf(X509_get0_notBefore(certificate->get()));
  const auto to = TimeOf(X509_get0_notAfter(certificate->get()));
  if (!from || !to) return Invalid("holds a certificate whose times cannot be read");
  Subject subject = ReadSubject(X509_get_subject_name(certificate->get()));
  return decide::CertificateFacts{
      .user = std::move(subject.user), .groups = std::move(subject.groups), .not_before = *from, .not_after = *to};
}

Result<std::string> CertificatesOfKey(const std::string& pem, const std::string& key_digest) {
  DAEMONSETD_RETURN_IF_ERROR(CheckSize(pem));
  const Bio in = Reader(pem);
  const Bio out = Writer();
  while (const Certificate certificate{PEM_read_bio_X509(in.get(), nullptr, NoPassphrase, nullptr)}) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
    if (size <= 0) continue;
    const std::string key(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    if (kube::Sha256(key) == key_digest && PEM_write_bio_X509(out.get(), certificate.get()) != 1) {
      return Failed("cannot write the certificate");
    }
  }
  ERR_clear_error();
  return Written(out);
}

Status CheckKey(const std::string& certificate, const std::string& key) {
  const Result<Certificate> own = FirstCertificate(certificate);
  if (!own) return own.error();
  const Result<Key> pair = ReadKey(key);
  if (!pair) return pair.error();
  const bool belongs = X509_check_private_key(own->get(), pair->get()) == 1;
  ERR_clear_error();
  if (!belongs) return Invalid("the certificate is not that of this key");
  return Ok();
}

Result<decide::SigningRequestFacts> ReadSigningRequest(const std::string& pem) {
  DAEMONSETD_RETURN_IF_ERROR(CheckSize(pem));
  const Bio bio = Reader(pem);
  const Request request(PEM_read_bio_X509_REQ(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!request) return Invalid("holds no signing request");
  Subject subject = ReadSubject(X509_REQ_get_subject_name(request.get()));
  decide::SigningRequestFacts facts;
  facts.user = std::move(subject.user);
  facts.groups = std::move(subject.groups);
  // Extensions, alternative names among them, are an attribute.
  facts.plain = subject.plain && X509_REQ_get_attr_count(request.get()) == 0;
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  facts.strong_key = key != nullptr && IsStrong(key);
  // Only of such keys: to check a signature of a huge one would be work that others give us.
  facts.signed_by_key = facts.strong_key && X509_REQ_verify(request.get(), key) == 1;
  ERR_clear_error();
  return facts;
}

}  // namespace daemonsetd::identity

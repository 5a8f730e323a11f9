#include "tests/unit/identity/authority.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace daemonsetd::testing {
namespace {

void Check(bool fine, const char* what) {
  if (!fine) throw std::runtime_error(std::string("OpenSSL cannot ") + what);
}

std::shared_ptr<EVP_PKEY> MakeKey(int rsa_bits = 0) {
  EVP_PKEY* key = rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(rsa_bits)) : EVP_EC_gen("P-256");
  Check(key != nullptr, "make a key");
  return {key, EVP_PKEY_free};
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

void AddName(X509_NAME* name, const char* field, const std::string& text) {
  Check(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.c_str()), -1,
                                   -1, 0) == 1,
        "add a name");
}

time_t SecondsOf(WallTime time) { return std::chrono::duration_cast<Seconds>(time.time_since_epoch()).count(); }

}  // namespace

Authority::Authority() : key_(MakeKey()) {}

std::string Authority::Sign(const std::string& request, WallTime from, WallTime until) const {
  const std::shared_ptr<BIO> in(BIO_new_mem_buf(request.data(), static_cast<int>(request.size())), BIO_free_all);
  const std::shared_ptr<X509_REQ> asked(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr), X509_REQ_free);
  Check(asked != nullptr, "read the request");
  const std::shared_ptr<X509> certificate(X509_new(), X509_free);
  Check(X509_set_subject_name(certificate.get(), X509_REQ_get_subject_name(asked.get())) == 1, "set the subject");
  AddName(X509_get_issuer_name(certificate.get()), "CN", "authority");
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), SecondsOf(from));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), SecondsOf(until));
  Check(X509_set_pubkey(certificate.get(), X509_REQ_get0_pubkey(asked.get())) == 1, "set the key");
  Check(X509_sign(certificate.get(), key_.get(), EVP_sha256()) != 0, "sign");
  const std::shared_ptr<BIO> out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509(out.get(), certificate.get());
  return Text(out.get());
}

std::string DigestOfKey(const std::string& key) {
  const std::shared_ptr<BIO> in(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())), BIO_free_all);
  const std::shared_ptr<EVP_PKEY> pair(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  Check(pair != nullptr, "read the key");
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(pair.get(), &der);
  Check(size > 0, "write the public key");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  const bool made = EVP_Digest(der, static_cast<std::size_t>(size), digest, &length, EVP_sha256(), nullptr) == 1;
  OPENSSL_free(der);
  Check(made, "digest");
  return {reinterpret_cast<const char*>(digest), length};
}

std::string SigningRequestWith(const RequestParts& parts) {
  const std::shared_ptr<EVP_PKEY> key = MakeKey(parts.rsa_bits);
  const std::shared_ptr<X509_REQ> request(X509_REQ_new(), X509_REQ_free);
  X509_NAME* name = X509_REQ_get_subject_name(request.get());
  AddName(name, "O", "daemonsetd:nodes");
  AddName(name, "CN", "daemonsetd:node:edge-17");
  if (parts.extra_field != nullptr) AddName(name, parts.extra_field, "more");
  if (parts.alternative_name != nullptr) {
    STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(extensions,
                           X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, parts.alternative_name));
    Check(X509_REQ_add_extensions(request.get(), extensions) == 1, "add an extension");
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
  Check(X509_REQ_set_pubkey(request.get(), key.get()) == 1, "set the key");
  const std::shared_ptr<EVP_PKEY> signer = parts.foreign_signature ? MakeKey() : key;
  Check(X509_REQ_sign(request.get(), signer.get(), EVP_sha256()) != 0, "sign");
  const std::shared_ptr<BIO> out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509_REQ(out.get(), request.get());
  return Text(out.get());
}

}  // namespace daemonsetd::testing

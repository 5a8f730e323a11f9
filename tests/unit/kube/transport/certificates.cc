#include "tests/unit/kube/transport/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace daemonsetd::testing {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

void Check(bool fine) {
  if (!fine) throw std::runtime_error("OpenSSL can't make a certificate for this test");
}

Key NewKey() {
  Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  Check(key != nullptr);
  return key;
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  Check(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate NewCertificate(const std::string& common_name, EVP_PKEY* key, long from, long until) {
  static long serial = 1;
  Certificate certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  return certificate;
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string Pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509(bio.get(), certificate);
  return TextOf(bio.get());
}

std::string Pem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return TextOf(bio.get());
}

}  // namespace

struct Authority::Impl {
  Key key{NewKey()};
  Certificate certificate{nullptr, X509_free};
};

Authority::Authority(const std::string& common_name) : impl_(std::make_unique<Impl>()) {
  impl_->certificate = NewCertificate(common_name, impl_->key.get(), -7200, 7200);
  X509_set_issuer_name(impl_->certificate.get(), X509_get_subject_name(impl_->certificate.get()));
  AddExtension(impl_->certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  Check(X509_sign(impl_->certificate.get(), impl_->key.get(), EVP_sha256()) != 0);
}

Authority::~Authority() = default;

IssuedCertificate Authority::Issue(const CertificateRequest& request) const {
  const Key key = NewKey();
  const Certificate certificate =
      NewCertificate(request.common_name, key.get(), request.valid_from, request.valid_until);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(impl_->certificate.get()));
  if (!request.names.empty()) AddExtension(certificate.get(), NID_subject_alt_name, request.names);
  Check(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) != 0);
  return {.certificate = Pem(certificate.get()), .key = Pem(key.get())};
}

std::string Authority::certificate() const { return Pem(impl_->certificate.get()); }

std::string Encrypted(const std::string& key) {
  const Bio in(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())), BIO_free_all);
  const Key read(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  Check(read != nullptr);
  const Bio out(BIO_new(BIO_s_mem()), BIO_free_all);
  unsigned char passphrase[] = "secret";
  PEM_write_bio_PrivateKey(out.get(), read.get(), EVP_aes_128_cbc(), passphrase, 6, nullptr, nullptr);
  return TextOf(out.get());
}

}  // namespace daemonsetd::testing

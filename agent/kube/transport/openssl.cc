#include "agent/kube/transport/openssl.h"

#include <openssl/err.h>

#include <new>

namespace daemonsetd::kube::openssl {

std::string LastReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "no reason given" : reason;
}

Bio Reader(const std::string& pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

}  // namespace daemonsetd::kube::openssl

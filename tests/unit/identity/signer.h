// The part of an API server that makes certificates, for tests: it keeps CertificateSigningRequests, and signs those
// that are approved.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/identity/signing_request.h"
#include "agent/kube/typed_resources.h"
#include "tests/unit/identity/authority.h"

namespace daemonsetd::testing {

class Signer final : public kube::HttpTransport {
 public:
  explicit Signer(async::Timeline& timeline) : timeline_(timeline) {}

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override;
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest, MonoTime) override {
    co_return Error(ErrorKind::kUnsupported, "no watches here");
  }

  // A request as the server has it after somebody made it.
  identity::SigningRequestObject& Put(const std::string& name, const std::string& request);

  Authority authority;
  bool approves = true;  // by itself, what is created
  Nanoseconds lifetime = std::chrono::hours(10);
  Nanoseconds skew{};                          // of its clock against ours
  std::function<std::optional<Error>()> fail;  // instead of an answer
  std::map<std::string, identity::SigningRequestObject> requests;
  std::map<std::string, kube::coordinationv1::Lease> leases;
  std::vector<std::string> nodes;
  std::vector<std::string> calls;  // "POST /apis/..."

 private:
  void SignApproved();

  async::Timeline& timeline_;
};

}  // namespace daemonsetd::testing

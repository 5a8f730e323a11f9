// One key, and the CertificateSigningRequest that is to make a certificate of it: made, followed, and what comes out
// checked. Everything on the loop thread; clients must outlive the calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/kube/client.h"
#include "kubernetes/certificates_v1.pb.h"

namespace daemonsetd {
namespace certificatesv1 = ::k8s::io::api::certificates::v1;
}  // namespace daemonsetd

namespace daemonsetd::kube {

inline constexpr Resource kCertificateSigningRequests{"certificates.k8s.io", "v1", "certificatesigningrequests",
                                                      "CertificateSigningRequest", false};
template <>
struct ResourceOf<::k8s::io::api::certificates::v1::CertificateSigningRequest> {
  static constexpr Resource kValue = kCertificateSigningRequests;
};

}  // namespace daemonsetd::kube

namespace daemonsetd::identity {

using SigningRequestObject = certificatesv1::CertificateSigningRequest;

// Empty, or why nobody need look at it any more: "Approved", "Denied", "Failed".
std::string DecisionOn(const SigningRequestObject& object);
// Marks it as approved and tells the server. kConflict: read it again.
Task<Status> Approve(kube::Client* client, SigningRequestObject object, std::string reason, std::string message);

// What is asked for.
struct WantedIdentity {
  std::string node_name;
  std::vector<std::string> groups;
  std::optional<Seconds> lifetime;  // unset: the signer's choice
};

struct IssuedCertificate {
  std::string certificate;  // PEM, with what leads to its authority
  std::string key;          // PEM
  WallTime not_after{};
};

class SigningRequest {
 public:
  // Makes the key.
  static Result<SigningRequest> Make(WantedIdentity wanted);

  // Of the object: made from the request itself, so that a repeated Submit finds its own.
  const std::string& name() const { return name_; }

  Task<Status> Submit(kube::Client* client);
  // With the rights of `client`.
  Task<Status> ApproveIt(kube::Client* client);

  enum class State { kPending, kApproved, kIssued };
  // Asks how far it is. kDenied: a person refused it, or the server refuses us; kInvalid: the signer failed; kAbsent:
  // it was removed. `certificate()` is set with kIssued.
  Task<Result<State>> Look(kube::Client* client);

  // The certificate with its key, once it is found to be what was asked for and valid at `now`.
  Result<IssuedCertificate> Take(WallTime now) const;

 private:
  SigningRequest() = default;

  WantedIdentity wanted_;
  std::string user_;
  std::string key_;
  std::string request_;
  std::string name_;
  std::string certificate_;
};

}  // namespace daemonsetd::identity

#include "agent/identity/signing_request.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/decide/node_identity.h"
#include "agent/identity/certificate.h"

namespace daemonsetd::identity {
namespace {

constexpr std::size_t kMaximumName = 253;
constexpr int kSuffix = 10;
constexpr int kTries = 3;

const certificatesv1::CertificateSigningRequestCondition* Find(const SigningRequestObject& object,
                                                               std::string_view type) {
  const auto& conditions = object.status().conditions();
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [type](const auto& condition) { return condition.type() == type; });
  return found == conditions.end() ? nullptr : &*found;
}

std::string WordsOf(const certificatesv1::CertificateSigningRequestCondition& condition) {
  if (condition.message().empty()) return condition.reason();
  return condition.reason().empty() ? condition.message()
                                    : fmt::format("{}: {}", condition.reason(), condition.message());
}

}  // namespace

std::string DecisionOn(const SigningRequestObject& object) {
  for (const char* type : {"Denied", "Failed", "Approved"}) {
    if (Find(object, type) != nullptr) return type;
  }
  return object.status().certificate().empty() ? "" : "Approved";
}

Task<Status> Approve(kube::Client* client, SigningRequestObject object, std::string reason, std::string message) {
  certificatesv1::CertificateSigningRequestCondition& condition = *object.mutable_status()->add_conditions();
  condition.set_type("Approved");
  condition.set_status("True");
  condition.set_reason(reason);
  condition.set_message(message);
  const auto answer = co_await client->UpdateApproval(std::move(object));
  if (!answer) co_return answer.error();
  co_return Ok();
}

Result<SigningRequest> SigningRequest::Make(WantedIdentity wanted) {
  SigningRequest made;
  made.user_ = decide::UserOfNode(wanted.node_name);
  Result<std::string> key = NewKey();
  if (!key) return key.error();
  Result<std::string> request = NewSigningRequest(*key, made.user_, wanted.groups);
  if (!request) return request.error();
  made.key_ = std::move(*key);
  made.request_ = std::move(*request);
  const std::string suffix = "-" + SafeSuffix(made.request_, kSuffix);
  made.name_ = fmt::format("daemonsetd-{}", wanted.node_name).substr(0, kMaximumName - suffix.size());
  while (made.name_.ends_with('.') || made.name_.ends_with('-')) made.name_.pop_back();
  made.name_ += suffix;
  made.wanted_ = std::move(wanted);
  return made;
}

Task<Status> SigningRequest::Submit(kube::Client* client) {
  SigningRequestObject object;
  object.mutable_metadata()->set_name(name_);
  object.mutable_spec()->set_request(request_);
  object.mutable_spec()->set_signername(std::string(decide::kClientSigner));
  for (const std::string_view usage : decide::kClientUsages) object.mutable_spec()->add_usages(std::string(usage));
  if (wanted_.lifetime)
    object.mutable_spec()->set_expirationseconds(static_cast<std::int32_t>(wanted_.lifetime->count()));
  const auto answer = co_await client->Create(std::move(object));
  // The name is made from the key: what is there already came from a try whose answer was lost.
  if (!answer && answer.error().kind() != ErrorKind::kExists) co_return answer.error();
  co_return Ok();
}

Task<Status> SigningRequest::ApproveIt(kube::Client* client) {
  Status done = Ok();
  for (int i = 0; i < kTries; ++i) {
    auto object = co_await client->Get<SigningRequestObject>({"", name_});
    if (!object) co_return object.error();
    if (!DecisionOn(*object).empty()) co_return Ok();
    done = co_await Approve(client, std::move(*object), "DaemonsetctlJoin", "approved by who ran daemonsetctl join");
    if (done || done.error().kind() != ErrorKind::kConflict) break;
  }
  co_return done;
}

Task<Result<SigningRequest::State>> SigningRequest::Look(kube::Client* client) {
  const auto object = co_await client->Get<SigningRequestObject>({"", name_});
  if (!object) co_return object.error();
  if (const auto* denied = Find(*object, "Denied"); denied != nullptr) {
    co_return Error(ErrorKind::kDenied, fmt::format("the request {} was denied: {}", name_, WordsOf(*denied)));
  }
  if (const auto* failed = Find(*object, "Failed"); failed != nullptr) {
    co_return Error(ErrorKind::kInvalid,
                    fmt::format("the request {} failed at the signer: {}", name_, WordsOf(*failed)));
  }
  if (!object->status().certificate().empty()) {
    certificate_ = object->status().certificate();
    co_return State::kIssued;
  }
  co_return Find(*object, "Approved") != nullptr ? State::kApproved : State::kPending;
}

Result<IssuedCertificate> SigningRequest::Take(WallTime now) const {
  const Result<decide::CertificateFacts> facts = ReadCertificate(certificate_);
  if (!facts) return facts.error().WithContext("what was issued");
  DAEMONSETD_RETURN_IF_ERROR(CheckKey(certificate_, key_));
  DAEMONSETD_RETURN_IF_ERROR(decide::CheckIssued(*facts, user_, wanted_.groups, now));
  std::string certificate = certificate_;
  if (!certificate.ends_with('\n')) certificate += '\n';
  return IssuedCertificate{.certificate = std::move(certificate), .key = key_, .not_after = facts->not_after};
}

}  // namespace daemonsetd::identity

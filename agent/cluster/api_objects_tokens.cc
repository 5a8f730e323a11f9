// The tokens of ApiObjects.
#include <fmt/format.h>

#include "agent/cluster/api_objects.h"
#include "agent/cluster/api_objects_answers.h"
#include "agent/cluster/token_records.h"

namespace daemonsetd::cluster {
namespace {

using pods::Token;
using pods::TokenRequest;

// Far above what the pods of one node hold.
constexpr std::size_t kMaximumTokens = 2000;

// The server says the same 404 of the account and of the pod that the token is to be bound to.
Error Absent(const TokenRequest& request, const Error& error) {
  if (error.message().find(fmt::format("pods \"{}\" not found", request.pod_name)) == std::string::npos) {
    return NotFound(kube::kServiceAccounts, request.service_account);
  }
  return Error(
      ErrorKind::kAbsent,
      fmt::format("pod \"{}\" not found at the API server, so that no token can be bound to it", request.pod_name));
}

}  // namespace

Task<Result<Token>> ApiObjects::RequestToken(TokenRequest request, Nanoseconds timeout) {
  if (!reachable_()) co_return KeptToken(request);
  const kube::CallOptions options{.timeout = timeout};
  kube::NamespacedName account(request.name_space, request.service_account);
  kube::authenticationv1::TokenRequest message = MessageOf(request);
  const Result<kube::authenticationv1::TokenRequest> answer =
      co_await client_.CreateToken(std::move(account), std::move(message), options);
  if (answer) {
    // By the server's count of seconds, not by its clock, which may disagree with the node's (VO-09).
    const Seconds granted(answer->spec().expirationseconds());
    Token token{.value = answer->status().token(),
                .lifetime = granted > Seconds::zero() ? granted : request.expiration,
                .issued = timeline_.Read().wall};
    KeepToken(request, token);
    co_return token;
  }
  const Error& error = answer.error();
  if (error.kind() == ErrorKind::kAbsent) {
    tokens_.erase(request);
    cache_.Remove<kube::authenticationv1::TokenRequest>(request.name_space, RecordNameOf(request));
    co_return Absent(request, error);
  }
  if (!reachable_() && pods::IsUnknown(error)) co_return KeptToken(request);
  co_return WithMissingRight(error, "create", "serviceaccounts/token", request.name_space);
}

Result<Token> ApiObjects::KeptToken(const TokenRequest& request) const {
  const Now now = timeline_.Read();
  if (const auto kept = tokens_.find(request); kept != tokens_.end()) {
    const Token& token = kept->second.token;
    if (!pods::IsExpired(kept->second, now) || IsValidByItsOwnWord(token, now.wall)) return token;
  } else if (const auto record =
                 cache_.Find<kube::authenticationv1::TokenRequest>(request.name_space, RecordNameOf(request))) {
    Token token = TokenOf(*record->object, record->seen_at);  // of an earlier life
    if (IsStillValid(token, now.wall)) return token;
  }
  return Error(ErrorKind::kRetry, fmt::format("no valid token of serviceaccount \"{}\" is here, and the API server "
                                              "cannot be reached now",
                                              request.service_account));
}

void ApiObjects::KeepToken(const TokenRequest& request, const Token& token) {
  const Now now = timeline_.Read();
  std::erase_if(tokens_, [&](const auto& entry) { return pods::IsExpired(entry.second, now); });
  if (tokens_.size() >= kMaximumTokens) tokens_.clear();
  tokens_.insert_or_assign(request, pods::HeldToken{.token = token, .obtained = now});
  cache_.Put(RecordOf(request, token), token.issued);
}

// A token is bound to its pod, and is worth nothing without it.
void ApiObjects::KeepTokensOf(const std::set<kube::NamespacedName>& pods) {
  using Record = kube::authenticationv1::TokenRequest;
  const WallTime now = timeline_.Read().wall;
  for (const kube::NamespacedName& name : cache_.Names<Record>()) {
    const auto record = cache_.Find<Record>(name.ns, name.name);
    const bool wanted = record && pods.contains({name.ns, record->object->spec().boundobjectref().name()}) &&
                        IsStillValid(TokenOf(*record->object, record->seen_at), now);
    if (!wanted) cache_.Remove<Record>(name.ns, name.name);
  }
}

}  // namespace daemonsetd::cluster

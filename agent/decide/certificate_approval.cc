#include "agent/decide/certificate_approval.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace daemonsetd::decide {
namespace {

bool Holds(const std::vector<std::string>& groups, std::string_view group) {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

bool IsExactly(const std::vector<std::string>& words, const std::set<std::string_view>& wanted) {
  return words.size() == wanted.size() && std::set<std::string_view>(words.begin(), words.end()) == wanted;
}

// Why it is not the certificate of a node, whoever asks; empty: it is.
std::string Refusal(const CertificateAsk& ask) {
  const SigningRequestFacts& request = ask.request;
  if (ask.signer != kClientSigner) return "it is for another signer";
  if (!IsExactly(ask.usages, {std::begin(kClientUsages), std::end(kClientUsages)})) {
    return "its usages are not exactly client auth and digital signature";
  }
  if (!request.signed_by_key) return "it is not signed by its own key";
  if (!request.plain) return "it asks for more than a common name and organizations";
  if (!request.strong_key) return "its key is of no kind that is accepted";
  if (NodeOfUser(request.user).empty()) return "its common name is not that of a node's agent";
  if (!IsExactly(request.groups, {kNodesGroup}) && !IsExactly(request.groups, {kNodesGroup, kCoordinatorsGroup})) {
    return "its organizations are not exactly those of an agent";
  }
  return {};
}

}  // namespace

Approval DecideApproval(const CertificateAsk& ask, ApproverMode mode) {
  Approval approval;
  const auto leave = [&approval](std::string reason) {
    approval.reason = std::move(reason);
    return approval;
  };
  if (mode == ApproverMode::kOff) return leave("nothing is approved here");
  if (std::string refusal = Refusal(ask); !refusal.empty()) return leave(std::move(refusal));
  approval.node = NodeOfUser(ask.request.user);
  const bool coordinates = Holds(ask.request.groups, kCoordinatorsGroup);
  if (ask.requester == ask.request.user) {
    if (!Holds(ask.requester_groups, kNodesGroup)) return leave("who asks is no agent");
    if (coordinates && !Holds(ask.requester_groups, kCoordinatorsGroup)) {
      return leave("who asks may not coordinate so far");
    }
    approval.answer = Approval::Answer::kApprove;
    return approval;
  }
  if (!Holds(ask.requester_groups, kBootstrapGroup)) return leave("who asks is another than the one whom it is for");
  // An agent is no bootstrap token, whatever groups somebody gave it besides: it renews its own and nothing else.
  if (Holds(ask.requester_groups, kNodesGroup)) return leave("an agent asks for another node");
  if (mode != ApproverMode::kAll) return leave("certificateApprover approves renewals only");
  if (coordinates && !Holds(ask.requester_groups, kBootstrapCoordinatorsGroup)) {
    return leave("this bootstrap token may not ask for a node that coordinates");
  }
  approval.answer = Approval::Answer::kApproveIfDead;
  return approval;
}

}  // namespace daemonsetd::decide

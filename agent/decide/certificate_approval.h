// May the approver sign off a CertificateSigningRequest? Whoever may approve for the signer of API server clients could
// make any identity, so this is the fence: what is not exactly the certificate of a node is left to a person. Pure;
// every field is hostile input.
#pragma once

#include <string>
#include <vector>

#include "agent/decide/node_identity.h"

namespace daemonsetd::decide {

// What stands in the PKCS #10 request.
struct SigningRequestFacts {
  std::string user;                 // the one common name; empty when there is none, or more than one
  std::vector<std::string> groups;  // organizations, as often as they stand there
  bool plain = false;               // the subject has nothing else, and no extension or attribute is asked for
  bool strong_key = false;          // EC P-256, P-384 or P-521, Ed25519, or RSA of at least 2048 bits
  bool signed_by_key = false;       // its signature is that of its own key
};

// And around it, as the server vouches for it.
struct CertificateAsk {
  std::string requester;
  std::vector<std::string> requester_groups;
  std::string signer;
  std::vector<std::string> usages;
  SigningRequestFacts request;
};

enum class ApproverMode { kOff, kRenewals, kAll };

struct Approval {
  enum class Answer {
    kLeave,          // `reason` says why
    kApprove,        // an agent renews its own
    kApproveIfDead,  // a bootstrap token asks for `node`, which nobody alive may hold
  };
  Answer answer = Answer::kLeave;
  std::string node;
  std::string reason;
};

Approval DecideApproval(const CertificateAsk& ask, ApproverMode mode);

}  // namespace daemonsetd::decide

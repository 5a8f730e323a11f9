// When the client certificate of this node is to be replaced, and by whose right. Pure: the dice come in.
//
// The wall clock decides, for certificates speak in it. A clock that is wrong by hours makes a certificate look expired
// or not yet valid; what follows is tried at a walking pace (the caller's back-off), and says what the clock says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::decide {

struct CertificateFacts {
  std::string user;                 // the subject's common name
  std::vector<std::string> groups;  // and its organizations
  WallTime not_before{};
  WallTime not_after{};
};

struct RotationInput {
  // What the kubeconfig names; unset: there is none that can be read, and `reason` says why.
  std::optional<CertificateFacts> certificate;
  std::string reason;
  std::string user;            // who this agent has to be
  bool managed = false;        // the file is ours to replace
  bool has_bootstrap = false;  // there is a bootstrap kubeconfig
  double dice = 0;             // in [0, 1), drawn once for each certificate
  WallTime now{};
};

struct RotationStep {
  enum class Action {
    kWait,       // look again after `look_again`
    kRenew,      // ask for a new one with the present one
    kBootstrap,  // ask for one with the bootstrap kubeconfig
  };
  Action action = Action::kWait;
  Nanoseconds look_again{};
  std::string problem;  // what a person must act upon; may be set with any action
};

// Between 70 and 90 % of its lifetime, so that the nodes of a cluster do not all come at once.
WallTime RenewalTime(const CertificateFacts& certificate, double dice);

RotationStep StepRotation(const RotationInput& input);

// Is a certificate that was issued what was asked for, and of use now? kInvalid with the reason.
Status CheckIssued(const CertificateFacts& issued, const std::string& user, const std::vector<std::string>& groups,
                   WallTime now);

}  // namespace daemonsetd::decide

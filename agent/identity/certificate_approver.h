// Approves what the agents ask for, where an administrator lets this one (agent/decide/certificate_approval.h says what
// exactly): kube-controller-manager approves for kubelets alone. Looks about once a minute; several may run side by
// side. Everything on the loop thread.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "agent/async/timeline.h"
#include "agent/base/trouble.h"
#include "agent/decide/certificate_approval.h"
#include "agent/identity/signing_request.h"

namespace daemonsetd::identity {

class CertificateApprover {
 public:
  // The references must outlive it. `random` gives numbers in [0, 1). `on_change` is called on the loop when problem()
  // may have changed. `mode` is not kOff.
  CertificateApprover(async::Timeline& timeline, kube::Client& client, std::function<double()> random,
                      decide::ApproverMode mode, std::function<void()> on_change);

  // Until cancelled.
  Task<void> Run();

  // Why requests are not looked at; empty while they are.
  std::string problem() const;

 private:
  Task<Status> LookOnce();
  Task<Status> Consider(SigningRequestObject object, std::set<std::string>* seen);
  // Nobody alive holds the Node. An error: it could not be found out.
  Task<Result<bool>> IsDead(std::string node);

  async::Timeline& timeline_;
  kube::Client& client_;
  const std::function<double()> random_;
  const decide::ApproverMode mode_;
  const std::function<void()> on_change_;
  std::set<std::string> left_;  // UIDs of those that were left to a person, told once
  Trouble trouble_;
};

}  // namespace daemonsetd::identity

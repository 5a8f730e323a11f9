// Keeps the client certificate of this node valid: asks for a new one in time (agent/decide/certificate_rotation.h),
// goes back to the bootstrap kubeconfig when it has run out, and moves the link when the new one is there and checked.
// Nothing else changes: who uses the kubeconfig sees the new file by itself, and until then goes on with the old one. A
// certificate that is not `daemonsetctl join`'s, or ours, is only looked at. Everything on the loop thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/async/blocking_calls.h"
#include "agent/async/wake.h"
#include "agent/base/backoff.h"
#include "agent/base/trouble.h"
#include "agent/decide/certificate_rotation.h"
#include "agent/identity/api_session.h"
#include "agent/identity/signing_request.h"

namespace daemonsetd::identity {

struct CertificateManagerSettings {
  std::string node_name;
  std::string kubeconfig;
  std::string bootstrap_kubeconfig;  // empty: none
  std::string state_directory;
};

class CertificateManager {
 public:
  // The references must outlive it; `client` is the agent's own. `random` gives numbers in [0, 1). `on_look` is called
  // on the loop after each look, whatever came of it, and when problem() changed.
  CertificateManager(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                     kube::Client& client, std::function<double()> random, CertificateManagerSettings settings,
                     std::function<void()> on_look);

  // Until cancelled.
  Task<void> Run();
  // Files may have changed: look now.
  void Notify() { wake_.Notify(); }

  // What a person must act upon; empty while all is well.
  const std::string& problem() const { return problem_; }
  // Of the certificate in use, ours or not; unset while none can be read.
  std::optional<WallTime> expires() const;
  // Tries to replace it that failed, since the start.
  int errors() const { return errors_; }

 private:
  // What the files say.
  struct Found {
    std::optional<decide::CertificateFacts> certificate;
    std::string reason;
    bool managed = false;
    bool has_kubeconfig = false;
    bool has_bootstrap = false;
  };

  static Found LookAtFiles(const CertificateManagerSettings& settings);
  // For who joined by itself, out of the bootstrap kubeconfig.
  static Status WriteKubeconfig(const CertificateManagerSettings& settings);
  Task<Found> Look();
  Task<void> Follow();
  Task<void> Replace(decide::RotationStep step);
  Task<Status> Obtain(bool bootstrap);
  // Until it is issued. A request that nobody decides upon is followed as long as it is of use.
  Task<Result<IssuedCertificate>> AskFor(bool bootstrap);
  // The one that did not reach the server the last time, or a new one.
  Status PrepareRequest(bool bootstrap);
  kube::Client& ClientFor(bool bootstrap);
  void Tell(std::string problem);

  async::Executor executor_;
  async::Timeline& timeline_;
  async::BlockingPool& pool_;
  kube::Client& client_;
  const std::function<double()> random_;
  const CertificateManagerSettings settings_;
  const std::function<void()> on_look_;
  async::BlockingCalls calls_;
  async::Wake wake_;
  std::unique_ptr<ApiSession> bootstrap_;  // made at the first need
  std::optional<SigningRequest> request_;  // that a server may get to see, or has seen
  bool request_is_bootstrap_ = false;
  Found found_;
  double dice_ = 0;
  std::optional<WallTime> dice_for_;  // the end of the certificate that they were thrown for
  Backoff backoff_;
  MonoTime earliest_{};  // of the next try after one that succeeded
  std::string problem_;
  int errors_ = 0;
};

}  // namespace daemonsetd::identity

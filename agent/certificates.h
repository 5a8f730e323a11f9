// What of the client certificates is this agent's business: its own is kept valid, and where an administrator wants
// that, those of others are approved; with their metrics.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/config/config.h"
#include "agent/identity/certificate_approver.h"
#include "agent/identity/certificate_manager.h"
#include "agent/local/metrics.h"

namespace daemonsetd {

class Certificates {
 public:
  // The references must outlive it; `client` is the agent's own. `on_change` is called on the loop when Problem()
  // changed.
  Certificates(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool, kube::Client& client,
               local::Registry& registry, const config::Message& config, std::function<void()> on_change);

  // Until cancelled.
  Task<void> Run();
  // SIGHUP: files may have changed.
  void Notify();

  // What a person must act upon; empty while all is well.
  std::string Problem() const;

 private:
  void Looked();

  async::Executor executor_;
  async::Timeline& timeline_;
  const std::function<void()> on_change_;
  local::Gauge& ttl_;
  local::Counter& errors_;
  std::unique_ptr<identity::CertificateManager> manager_;    // null when rotation is off
  std::unique_ptr<identity::CertificateApprover> approver_;  // null when it approves none
  std::string told_;
};

}  // namespace daemonsetd

#include "agent/certificates.h"

#include <limits>
#include <utility>

#include "agent/async/system_random.h"
#include "agent/async/task_scope.h"

namespace daemonsetd {

// The names are a kubelet's, whose alerts and dashboards look for them.
Certificates::Certificates(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                           kube::Client& client, local::Registry& registry, const config::Message& config,
                           std::function<void()> on_change)
    : executor_(std::move(executor)),
      timeline_(timeline),
      on_change_(std::move(on_change)),
      ttl_(registry
               .AddGauges("daemonsetd_certificate_manager_client_ttl_seconds",
                          "Time until the client certificate expires; negative once it has, +Inf while there is none.")
               .With({})),
      errors_(registry
                  .AddCounters("daemonsetd_certificate_manager_client_expiration_renew_errors",
                               "Tries to replace the client certificate that failed.")
                  .With({})) {
  ttl_.Set(std::numeric_limits<double>::infinity());
  if (config.certificaterotation()) {
    identity::CertificateManagerSettings settings{.node_name = config.nodename(),
                                                  .kubeconfig = config.kubeconfig(),
                                                  .bootstrap_kubeconfig = config.bootstrapkubeconfig(),
                                                  .state_directory = config.statedirectory()};
    manager_ = std::make_unique<identity::CertificateManager>(executor_, timeline, pool, client, async::SystemRandom(),
                                                              std::move(settings), [this] { Looked(); });
  }
  if (config.certificateapprover() != "none") {
    approver_ = std::make_unique<identity::CertificateApprover>(
        timeline, client, async::SystemRandom(),
        config.certificateapprover() == "all" ? decide::ApproverMode::kAll : decide::ApproverMode::kRenewals,
        on_change_);
  }
}

Task<void> Certificates::Run() {
  async::TaskScope scope(executor_);
  if (manager_) scope.Spawn("certificate manager", manager_->Run());
  if (approver_) scope.Spawn("certificate approver", approver_->Run());
  co_await scope.HoldUntilCancelled();
}

void Certificates::Notify() {
  if (manager_) manager_->Notify();
}

void Certificates::Looked() {
  const std::optional<WallTime> expires = manager_->expires();
  ttl_.Set(expires ? std::chrono::duration<double>(*expires - timeline_.Read().wall).count()
                   : std::numeric_limits<double>::infinity());
  errors_.Add(manager_->errors() - errors_.value());
  if (std::exchange(told_, manager_->problem()) != manager_->problem()) on_change_();
}

std::string Certificates::Problem() const {
  if (manager_ && !manager_->problem().empty()) return manager_->problem();
  return approver_ ? approver_->problem() : std::string();
}

}  // namespace daemonsetd

#include "agent/identity/certificate_manager.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/async/task_scope.h"
#include "agent/base/log.h"
#include "agent/base/trouble.h"
#include "agent/decide/node_identity.h"
#include "agent/identity/certificate.h"
#include "agent/identity/certificate_files.h"
#include "agent/identity/kubeconfig_file.h"
#include "agent/kube/transport/files.h"

namespace daemonsetd::identity {
namespace {

constexpr BackoffLimits kRetries{.initial = std::chrono::seconds(2), .maximum = std::chrono::minutes(5)};
// Between two looks at a request: a signer takes a second, a person takes long.
constexpr BackoffLimits kLooks{.initial = std::chrono::seconds(1), .maximum = std::chrono::seconds(30)};
// However short the lifetimes are that the signer gives: no more often than that.
constexpr Nanoseconds kBetweenRenewals = std::chrono::minutes(1);
// From then on it is told that somebody has to approve.
constexpr Nanoseconds kPatience = std::chrono::seconds(10);

bool Exists(const std::string& path) {
  struct stat status{};
  return !path.empty() && ::stat(path.c_str(), &status) == 0;
}

// `kubeconfig` is named in errors where the text stands in it.
Result<decide::CertificateFacts> ReadCertificateOf(const kube::PemSource& source, const std::string& kubeconfig) {
  const Result<std::string> pem =
      source.file.empty() ? Result<std::string>(source.text) : kube::ReadSmallFile(source.file, kMaximumPem);
  Result<decide::CertificateFacts> facts = pem ? ReadCertificate(*pem) : pem.error();
  if (!facts) return facts.error().WithContext(source.file.empty() ? kubeconfig : source.file);
  return facts;
}

}  // namespace

CertificateManager::CertificateManager(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                                       kube::Client& client, std::function<double()> random,
                                       CertificateManagerSettings settings, std::function<void()> on_look)
    : executor_(executor),
      timeline_(timeline),
      pool_(pool),
      client_(client),
      random_(std::move(random)),
      settings_(std::move(settings)),
      on_look_(std::move(on_look)),
      calls_(executor, pool),
      wake_(executor),
      backoff_(kRetries) {}

std::optional<WallTime> CertificateManager::expires() const {
  if (!found_.certificate) return std::nullopt;
  return found_.certificate->not_after;
}

Task<void> CertificateManager::Run() {
  async::TaskScope scope(executor_);
  scope.Spawn("client certificate", Follow());
  co_await scope.HoldUntilCancelled();
  if (bootstrap_) co_await bootstrap_->Close();
  co_await calls_.Close();
}

CertificateManager::Found CertificateManager::LookAtFiles(const CertificateManagerSettings& settings) {
  Found found;
  found.has_bootstrap = Exists(settings.bootstrap_kubeconfig);
  const std::string current = CurrentCertificatePath(settings.state_directory);
  found.has_kubeconfig = Exists(settings.kubeconfig);
  if (!found.has_kubeconfig) {
    // Joins as soon as there is a bootstrap kubeconfig.
    found.managed = true;
    Result<decide::CertificateFacts> facts = ReadCertificateOf({.file = current, .text = ""}, current);
    if (facts) {
      found.certificate = std::move(*facts);
    } else {
      found.reason = fmt::format("{} does not exist", settings.kubeconfig);
    }
    return found;
  }
  const Result<kube::Kubeconfig> kubeconfig = ReadKubeconfig(settings.kubeconfig);
  if (!kubeconfig) {
    found.reason = kubeconfig.error().message();
    return found;
  }
  const kube::PemSource& source = kubeconfig->client_certificate;
  found.managed = source.file == current && kubeconfig->client_key.file == current;
  if (!source.given()) {
    found.reason = "the kubeconfig names none";
    return found;
  }
  Result<decide::CertificateFacts> facts = ReadCertificateOf(source, settings.kubeconfig);
  if (facts) {
    found.certificate = std::move(*facts);
  } else {
    found.reason = facts.error().message();
  }
  return found;
}

Status CertificateManager::WriteKubeconfig(const CertificateManagerSettings& settings) {
  const Result<kube::Kubeconfig> bootstrap = ReadKubeconfig(settings.bootstrap_kubeconfig);
  if (!bootstrap) return bootstrap.error();
  const Result<ClusterAccess> cluster = ReadClusterAccess(*bootstrap);
  if (!cluster) return cluster.error();
  return WritePrivateFile(settings.kubeconfig,
                          KubeconfigWithFile(*cluster, CurrentCertificatePath(settings.state_directory)));
}

void CertificateManager::Tell(std::string problem) {
  if (problem != problem_) {
    if (problem.empty()) {
      log::Info("the client certificate is in order again", {});
    } else {
      log::Warning("the client certificate needs attention", {{"err", problem}});
    }
    problem_ = std::move(problem);
  }
  on_look_();
}

Task<CertificateManager::Found> CertificateManager::Look() {
  std::function<Found()> look = [settings = settings_] { return LookAtFiles(settings); };
  co_return co_await calls_.Run(std::move(look));
}

Task<void> CertificateManager::Follow() {
  for (;;) {
    found_ = co_await Look();
    const std::optional<WallTime> end = expires();
    if (end != dice_for_ || !end) {
      dice_ = random_();
      dice_for_ = end;
    }
    decide::RotationInput input;
    input.certificate = found_.certificate;
    input.reason = found_.reason;
    input.user = decide::UserOfNode(settings_.node_name);
    input.managed = found_.managed;
    input.has_bootstrap = found_.has_bootstrap;
    input.dice = dice_;
    input.now = timeline_.Read().wall;
    // A kubeconfig with a token has no certificate, and none is missed.
    const bool none_wanted = !found_.managed && !found_.certificate;
    decide::RotationStep step = decide::StepRotation(input);
    if (none_wanted) step.problem.clear();
    if (step.action != decide::RotationStep::Action::kWait) {
      co_await Replace(std::move(step));
      continue;
    }
    if (!found_.has_kubeconfig && found_.certificate && step.problem.empty()) {
      std::function<Status()> write = [settings = settings_] { return WriteKubeconfig(settings); };
      const Status written = co_await calls_.Run(std::move(write));
      if (written) continue;
      step.problem = fmt::format("there is a certificate, but {}", written.error().message());
    }
    Tell(step.problem);
    co_await wake_.WaitUntil(timeline_, timeline_.mono() + step.look_again);
  }
}

Task<void> CertificateManager::Replace(decide::RotationStep step) {
  const bool bootstrap = step.action == decide::RotationStep::Action::kBootstrap;
  // What is known of the tries before stays told until one succeeds.
  if (!problem_.starts_with(step.problem)) Tell(step.problem);
  if (timeline_.mono() < earliest_) {
    co_await wake_.WaitUntil(timeline_, earliest_);
    co_return;
  }
  const Status done = co_await Obtain(bootstrap);
  if (done) {
    backoff_.Reset();
    earliest_ = timeline_.mono() + kBetweenRenewals;
    co_return;
  }
  if (done.error().kind() == ErrorKind::kConflict) co_return;  // somebody else was quicker
  ++errors_;
  const MonoTime again = backoff_.Fail(timeline_.mono());
  const std::string text = bootstrap ? step.problem
                                     : fmt::format("the client certificate ends at {} and is not renewed yet",
                                                   FormatRfc3339(expires().value_or(WallTime{})));
  Tell(fmt::format("{}: {}", text, done.error().message()));
  co_await wake_.WaitUntil(timeline_, timeline_.mono() + Jittered(again - timeline_.mono(), random_()));
}

kube::Client& CertificateManager::ClientFor(bool bootstrap) {
  if (!bootstrap) return client_;
  if (!bootstrap_) {
    bootstrap_ = std::make_unique<ApiSession>(executor_, timeline_, pool_, settings_.bootstrap_kubeconfig);
  }
  return bootstrap_->client();
}

Task<Status> CertificateManager::Obtain(bool bootstrap) {
  const Result<IssuedCertificate> issued = co_await AskFor(bootstrap);
  if (!issued) {
    // One that a server may have seen is followed: the administrator who approves it must not do so for nothing.
    if (!IsPassing(issued.error())) request_.reset();
    co_return issued.error();
  }
  request_.reset();
  const WallTime now = timeline_.Read().wall;
  std::function<Status()> install = [directory = settings_.state_directory, issued = *issued, now]() -> Status {
    const Result<std::string> path = StoreCertificate(directory, issued.certificate, issued.key, now);
    return path ? Ok() : Status(path.error());
  };
  const Status installed = co_await calls_.Run(std::move(install));
  if (!installed) co_return installed.error();
  log::Info("a new client certificate is in use", {{"until", FormatRfc3339(issued->not_after)}});
  co_return Ok();
}

Status CertificateManager::PrepareRequest(bool bootstrap) {
  if (request_ && request_is_bootstrap_ == bootstrap) return Ok();
  WantedIdentity wanted{.node_name = settings_.node_name,
                        .groups = found_.certificate ? found_.certificate->groups : decide::GroupsOfNode(false)};
  Result<SigningRequest> request = SigningRequest::Make(std::move(wanted));
  if (!request) return request.error();
  request_.emplace(std::move(*request));
  request_is_bootstrap_ = bootstrap;
  return Ok();
}

Task<Result<IssuedCertificate>> CertificateManager::AskFor(bool bootstrap) {
  DAEMONSETD_CO_RETURN_IF_ERROR(PrepareRequest(bootstrap));
  kube::Client& client = ClientFor(bootstrap);
  const Status submitted = co_await request_->Submit(&client);
  if (!submitted) {
    co_return submitted.error().WithContext(
        fmt::format("with {}", bootstrap ? settings_.bootstrap_kubeconfig : settings_.kubeconfig));
  }
  log::Info("a client certificate is asked for",
            {{"with", bootstrap ? "the bootstrap kubeconfig" : "the present one"}, {"request", request_->name()}});
  const MonoTime asked = timeline_.mono();
  Backoff looks(kLooks);
  for (;;) {
    const auto state = co_await request_->Look(&client);
    if (!state && !IsPassing(state.error())) co_return state.error();
    const Now now = timeline_.Read();
    if (state && *state == SigningRequest::State::kIssued) co_return request_->Take(now.wall);
    if (state && now.mono - asked >= kPatience) {
      const char* waits = *state == SigningRequest::State::kPending
                              ? "waits for approval; as an administrator run: kubectl certificate approve"
                              : "is approved and waits for the signer (kube-controller-manager):";
      Tell(fmt::format("the request for a new client certificate {} {}", waits, request_->name()));
    }
    // What was valid when it was asked for may have run out meanwhile: another way then.
    if (!bootstrap && expires() && now.wall >= *expires()) {
      co_return Error(ErrorKind::kTimeout, fmt::format("the request {} was not answered in time", request_->name()));
    }
    const Nanoseconds wait = looks.Fail(now.mono) - now.mono;
    co_await wake_.WaitUntil(timeline_, now.mono + Jittered(wait, random_()));
    const Found meanwhile = co_await Look();
    if (meanwhile.certificate && (!found_.certificate || meanwhile.certificate->not_after != *expires())) {
      co_return Error(ErrorKind::kConflict, "there is another certificate meanwhile");
    }
  }
}

}  // namespace daemonsetd::identity

#include "agent/decide/certificate_rotation.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace daemonsetd::decide {
namespace {

// Somebody may replace the file, and the clock may be set.
constexpr Nanoseconds kLookEvery = std::chrono::minutes(1);

RotationStep Replace(const RotationInput& input, const std::string& why) {
  RotationStep step{.look_again = kLookEvery};
  if (!input.managed) {
    step.problem =
        fmt::format("{}; who made it has to replace it, for the agent renews only what daemonsetctl join made", why);
  } else if (input.has_bootstrap) {
    step.action = RotationStep::Action::kBootstrap;
    step.problem = fmt::format("{}; a new one is asked for with the bootstrap kubeconfig", why);
  } else {
    step.problem =
        fmt::format("{}, and there is no bootstrap kubeconfig; run daemonsetctl join --force on this node", why);
  }
  return step;
}

}  // namespace

WallTime RenewalTime(const CertificateFacts& certificate, double dice) {
  const Nanoseconds lifetime = std::max(Nanoseconds(0), certificate.not_after - certificate.not_before);
  const auto spread = std::chrono::duration_cast<Nanoseconds>(lifetime / 5 * std::clamp(dice, 0.0, 1.0));
  return certificate.not_before + lifetime / 10 * 7 + spread;
}

RotationStep StepRotation(const RotationInput& input) {
  if (!input.certificate) return Replace(input, fmt::format("there is no client certificate: {}", input.reason));
  const CertificateFacts& certificate = *input.certificate;
  if (input.now >= certificate.not_after) {
    return Replace(input, fmt::format("by this node's clock the client certificate expired at {}",
                                      FormatRfc3339(certificate.not_after)));
  }
  RotationStep step{.look_again = kLookEvery};
  if (input.now < certificate.not_before) {
    step.problem =
        fmt::format("by this node's clock the client certificate is not valid yet, not before {}; set the clock",
                    FormatRfc3339(certificate.not_before));
    return step;
  }
  if (!input.managed) return step;
  if (certificate.user != input.user) {
    step.problem = fmt::format(
        "the client certificate is that of {}, and this agent should be {}; set nodeName back, or run daemonsetctl "
        "join "
        "--force",
        certificate.user, input.user);
    return step;
  }
  const WallTime due = RenewalTime(certificate, input.dice);
  if (input.now >= due) {
    step.action = RotationStep::Action::kRenew;
  } else {
    step.look_again = std::min<Nanoseconds>(kLookEvery, due - input.now);
  }
  return step;
}

Status CheckIssued(const CertificateFacts& issued, const std::string& user, const std::vector<std::string>& groups,
                   WallTime now) {
  const std::set<std::string> wanted(groups.begin(), groups.end());
  const std::set<std::string> got(issued.groups.begin(), issued.groups.end());
  if (issued.user != user || got != wanted) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("the certificate that was issued is for {} with the groups {}, not for "
                             "{} with {}; the cluster's signer changes what it signs",
                             issued.user, fmt::join(got, ", "), user, fmt::join(wanted, ", ")));
  }
  if (now < issued.not_before || now >= issued.not_after) {
    return Error(
        ErrorKind::kInvalid,
        fmt::format("by this node's clock the certificate that was issued, from {} to {}, is not valid now; set "
                    "the clock",
                    FormatRfc3339(issued.not_before), FormatRfc3339(issued.not_after)));
  }
  return Ok();
}

}  // namespace daemonsetd::decide

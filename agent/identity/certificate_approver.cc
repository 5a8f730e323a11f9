#include "agent/identity/certificate_approver.h"

#include <utility>

#include <fmt/format.h>

#include "agent/base/backoff.h"
#include "agent/base/log.h"
#include "agent/decide/node_lease.h"
#include "agent/identity/certificate.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::identity {
namespace {

constexpr Nanoseconds kFirstLook = std::chrono::seconds(2);
constexpr Nanoseconds kBetweenLooks = std::chrono::minutes(1);
constexpr char kTrouble[] = "requests for certificates cannot be approved";
constexpr int kPageSize = 100;
constexpr int kMostPages = 50;  // what is beyond comes when those before are decided upon

decide::CertificateAsk AskOf(const SigningRequestObject& object, decide::SigningRequestFacts request) {
  decide::CertificateAsk ask;
  ask.requester = object.spec().username();
  ask.requester_groups.assign(object.spec().groups().begin(), object.spec().groups().end());
  ask.signer = object.spec().signername();
  ask.usages.assign(object.spec().usages().begin(), object.spec().usages().end());
  ask.request = std::move(request);
  return ask;
}

}  // namespace

CertificateApprover::CertificateApprover(async::Timeline& timeline, kube::Client& client,
                                         std::function<double()> random, decide::ApproverMode mode,
                                         std::function<void()> on_change)
    : timeline_(timeline),
      client_(client),
      random_(std::move(random)),
      mode_(mode),
      on_change_(std::move(on_change)),
      trouble_(kTrouble, "requests for certificates are approved again") {}

std::string CertificateApprover::problem() const {
  if (trouble_.problem().empty()) return {};
  return fmt::format("{} (packaging/kubernetes/50-approver.yaml grants the rights): {}", kTrouble, trouble_.problem());
}

Task<void> CertificateApprover::Run() {
  Nanoseconds wait = kFirstLook;
  for (;;) {
    co_await timeline_.SleepFor(Jittered(wait, random_()));
    wait = kBetweenLooks;
    const std::string before = problem();
    const Status looked = co_await LookOnce();
    if (looked) {
      trouble_.End();
    } else {
      trouble_.Tell(looked.error());
    }
    if (problem() != before) on_change_();
  }
}

Task<Status> CertificateApprover::LookOnce() {
  kube::ListOptions list;
  list.field_selector = fmt::format("spec.signerName={}", decide::kClientSigner);
  list.limit = kPageSize;
  std::set<std::string> seen;
  Status all = Ok();
  for (int i = 0; i < kMostPages; ++i) {
    auto page = co_await client_.List<SigningRequestObject>("", list);
    if (!page) co_return page.error();
    for (SigningRequestObject& object : page->items) {
      Status considered = co_await Consider(std::move(object), &seen);
      if (!considered && all) all = std::move(considered);
    }
    if (page->continue_token.empty()) break;
    list.continue_token = page->continue_token;
  }
  std::erase_if(left_, [&seen](const std::string& uid) { return !seen.contains(uid); });
  co_return all;
}

Task<Status> CertificateApprover::Consider(SigningRequestObject object, std::set<std::string>* seen) {
  if (!DecisionOn(object).empty()) co_return Ok();
  const std::string uid = object.metadata().uid();
  const std::string name = object.metadata().name();
  seen->insert(uid);
  if (left_.contains(uid)) co_return Ok();  // nothing in it changes
  Result<decide::SigningRequestFacts> request = ReadSigningRequest(object.spec().request());
  decide::Approval approval;
  if (request) {
    approval = decide::DecideApproval(AskOf(object, std::move(*request)), mode_);
  } else {
    approval.reason = request.error().message();
  }
  using Answer = decide::Approval::Answer;
  if (approval.answer == Answer::kLeave) {
    left_.insert(uid);
    log::Info("a request for a certificate is left to an administrator",
              {{"request", name}, {"by", object.spec().username()}, {"reason", approval.reason}});
    co_return Ok();
  }
  if (approval.answer == Answer::kApproveIfDead) {
    const Result<bool> dead = co_await IsDead(approval.node);
    if (!dead) co_return dead.error();
    if (!*dead) co_return Ok();  // looked at again: its Lease may run out
  }
  const bool renewal = approval.answer == Answer::kApprove;
  const Status approved =
      co_await Approve(&client_, std::move(object), renewal ? "DaemonsetdRenewal" : "DaemonsetdBootstrap",
                       renewal ? "the agent of the node renews its certificate"
                               : "a bootstrap token asks for a node that nobody alive holds");
  if (!approved) co_return IsStale(approved.error()) ? Ok() : approved;
  log::Info("a request for a certificate is approved", {{"request", name}, {"node", approval.node}});
  co_return Ok();
}

Task<Result<bool>> CertificateApprover::IsDead(std::string node) {
  const auto lease = co_await client_.Get<kube::coordinationv1::Lease>({decide::kNodeLeaseNamespace, node});
  if (!lease) {
    if (lease.error().kind() != ErrorKind::kAbsent) co_return lease.error();
    // A kubelet that makes no Lease reports by its Node alone: that one is for a person.
    const auto found = co_await client_.Get<corev1::Node>({"", node});
    if (!found && found.error().kind() != ErrorKind::kAbsent) co_return found.error();
    co_return !found;
  }
  decide::LeaseSight sight;
  co_return decide::NoteLease(*lease, sight, timeline_.Read());
}

}  // namespace daemonsetd::identity

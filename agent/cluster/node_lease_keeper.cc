#include "agent/cluster/node_lease_keeper.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/base/backoff.h"
#include "agent/base/log.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::cluster {
namespace {

using coordinationv1::Lease;

constexpr BackoffLimits kClaimBackoff{.initial = decide::kLeaseRetryInitial, .maximum = decide::kLeaseRetryMaximum};

}  // namespace

NodeLeaseKeeper::NodeLeaseKeeper(const async::Executor& executor, async::Timeline& timeline, kube::Client& client,
                                 NodeLeaseSettings settings, ReadNode node, std::function<void()> on_change)
    : timeline_(timeline),
      client_(client),
      settings_(std::move(settings)),
      holder_(decide::LeaseHolder(settings_.node_name, settings_.machine_id)),
      node_(std::move(node)),
      on_change_(std::move(on_change)),
      wake_(executor),
      trouble_("the Node's Lease cannot be written; others take this node for dead when it runs out",
               "the Node's Lease is written again") {}

Task<void> NodeLeaseKeeper::Run() {
  for (;;) {
    co_await Claim();
    co_await Renew();
  }
}

void NodeLeaseKeeper::NodeChanged() {
  if (!std::exchange(node_known_, true) || (held_ && NeedsOwner())) wake_.Notify();
}

kube::CallOptions NodeLeaseKeeper::Options() const {
  return {.priority = kube::RequestPriority::kLease,
          .timeout = std::min(settings_.call_timeout, Nanoseconds(settings_.duration) / 4)};
}

std::string NodeLeaseKeeper::NodeUid() const {
  const corev1::Node* node = node_();
  return node != nullptr ? node->metadata().uid() : std::string();
}

bool NodeLeaseKeeper::NeedsOwner() const {
  const std::string uid = NodeUid();
  return !uid.empty() && uid != owner_uid_;
}

Task<Status> NodeLeaseKeeper::Read() {
  Result<Lease> answer = co_await client_.Get<Lease>({decide::kNodeLeaseNamespace, settings_.node_name}, Options());
  if (!answer && answer.error().kind() != ErrorKind::kAbsent) co_return answer.error();
  lease_.reset();
  if (answer) lease_ = std::move(*answer);
  co_return Ok();
}

Task<Status> NodeLeaseKeeper::Write() {
  owner_uid_ = NodeUid();
  decide::LeaseWrite write =
      decide::RenewLease(settings_.node_name, owner_uid_, holder_, settings_.duration, lease(), timeline_.Read().wall);
  const bool create = write.kind == decide::LeaseWrite::Kind::kCreate;
  Task<Result<Lease>> call =
      create ? client_.Create(std::move(write.lease), Options()) : client_.Update(std::move(write.lease), Options());
  Result<Lease> answer = co_await std::move(call);
  if (!answer) co_return answer.error();
  answer->mutable_metadata()->clear_managedfields();  // the server keeps them
  lease_ = std::move(*answer);
  renewed_at_ = timeline_.mono();
  co_return Ok();
}

Task<void> NodeLeaseKeeper::Claim() {
  memory_ = {};
  Backoff backoff(kClaimBackoff);
  while (!held_) {
    if (!node_known_) {
      co_await wake_.Wait();
      continue;
    }
    const Result<MonoTime> again = co_await TryClaim();
    if (again) backoff.Reset();
    Note(again ? Ok() : Status(again.error()));
    const MonoTime next = again ? *again : backoff.Fail(timeline_.mono());
    if (!held_) co_await timeline_.SleepUntil(next);
  }
}

Task<Result<MonoTime>> NodeLeaseKeeper::TryClaim() {
  DAEMONSETD_CO_RETURN_IF_ERROR(co_await Read());
  const decide::NodeClaim claim = decide::ClaimNode(node_(), lease(), settings_.node_name, holder_,
                                                    settings_.machine_id, timeline_.Read(), memory_);
  using Answer = decide::NodeClaim::Answer;
  if (claim.answer != Answer::kOurs && claim.answer != Answer::kTakeOver) {
    Refuse(claim);
    co_return claim.look_again;
  }
  // What we held before needs no proof. Else the write decides between two that come at the same moment.
  if (!IsOurs()) DAEMONSETD_CO_RETURN_IF_ERROR(co_await Write());
  if (claim.answer == Answer::kTakeOver) log::Info("this agent takes the Node over", {{"reason", claim.message}});
  Hold();
  co_return timeline_.mono();
}

void NodeLeaseKeeper::Refuse(const decide::NodeClaim& claim) {
  if (claim.message == refusal_) return;
  refusal_ = claim.message;
  if (claim.answer == decide::NodeClaim::Answer::kRefused) {
    log::Error("this agent may not use its node name, so it writes nothing to the API server", {{"err", refusal_}});
  } else {
    log::Info("this agent does not use its node name yet", {{"reason", refusal_}});
  }
  on_change_();
}

void NodeLeaseKeeper::Hold() {
  held_ = true;
  refusal_.clear();
  log::Info("this agent holds the Node's Lease", {{"node", settings_.node_name}, {"holder", holder_}});
  on_change_();
}

void NodeLeaseKeeper::Lose() {
  held_ = false;
  refusal_ = fmt::format(
      "{} has taken the Lease of the Node {}; stop it, or give this machine another nodeName in the "
      "configuration",
      lease_->spec().holderidentity(), settings_.node_name);
  log::Error("this agent has lost its node name, so it writes nothing to the API server", {{"err", refusal_}});
  on_change_();
}

Task<void> NodeLeaseKeeper::Renew() {
  MonoTime last_try = timeline_.mono();
  int failures = 0;
  while (held_) {
    const MonoTime due = decide::NextRenewal(renewed_at_, last_try, failures, settings_.duration);
    const bool early = failures == 0 && NeedsOwner();
    if (timeline_.mono() < due && !early) {
      co_await wake_.WaitUntil(timeline_, due);
      continue;
    }
    last_try = timeline_.mono();
    const Status renewed = co_await RenewOnce();
    failures = renewed ? 0 : failures + 1;
    Note(renewed);
  }
}

Task<Status> NodeLeaseKeeper::RenewOnce() {
  Status written = co_await Write();
  if (written || !IsStale(written.error())) co_return written;
  DAEMONSETD_CO_RETURN_IF_ERROR(co_await Read());
  if (lease_ && !lease_->spec().holderidentity().empty() && !IsOurs()) {
    Lose();
    co_return Ok();
  }
  co_return co_await Write();
}

void NodeLeaseKeeper::Note(const Status& status) {
  const std::string before = trouble_.problem();
  if (status) {
    trouble_.End();
  } else {
    trouble_.Tell(status.error());
  }
  if (trouble_.problem() != before) on_change_();
}

}  // namespace daemonsetd::cluster

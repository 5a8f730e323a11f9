#include "agent/rollout/coordinator.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::rollout {

using decide::CoordinatorRole;

Coordinator::Coordinator(async::Executor executor, async::Timeline& timeline, kube::Client& client,
                         std::function<double()> random, CoordinatorSettings settings, DaemonSets daemon_sets,
                         Tell tell, std::function<void()> on_change)
    : executor_(executor),
      timeline_(timeline),
      client_(client),
      random_(std::move(random)),
      settings_(std::move(settings)),
      daemon_sets_(std::move(daemon_sets)),
      tell_(std::move(tell)),
      on_change_(std::move(on_change)),
      wake_(executor),
      tenure_scope_(executor) {
  for (int shard = 0; shard < settings_.shards; ++shard) {
    ElectionSettings election{.node_name = settings_.node_name, .shard = shard, .shards = settings_.shards};
    elections_.push_back(std::make_unique<Election>(executor, timeline, client, random_, std::move(election), [this] {
      Notify();  // the tenure too: more DaemonSets may be ours
      on_change_();
    }));
  }
}

Task<void> Coordinator::Run() {
  async::TaskScope scope(executor_);
  for (const auto& election : elections_) scope.Spawn("election", election->Run());
  scope.Spawn("coordinator", Follow());
  co_await scope.HoldUntilCancelled();
  tenure_scope_.Cancel();
  co_await tenure_scope_.Join();
  for (const auto& election : elections_) co_await election->Release();
}

void Coordinator::Notify() {
  if (tenure_) tenure_->Notify();
  wake_.Notify();
}

// Begins and ends tenures.
Task<void> Coordinator::Follow() {
  for (;;) {
    if (HoldsAny() && !tenure_) {
      tenure_ = std::make_unique<Tenure>(executor_, timeline_, client_, random_, settings_.tenure, Ports());
      tenure_scope_.Spawn("tenure", tenure_->Run());
      unobserved_.clear();
    } else if (!HoldsAny() && tenure_) {
      tenure_scope_.Cancel();
      co_await tenure_scope_.Join();
      tenure_.reset();
      continue;
    }
    co_await wake_.WaitUntil(timeline_, NoteUnobserved());
  }
}

bool Coordinator::HoldsAny() const {
  return std::any_of(elections_.begin(), elections_.end(), [](const auto& election) { return election->holds(); });
}

const Election& Coordinator::ElectionOf(const std::string& daemon_set_uid) const {
  return *elections_[static_cast<std::size_t>(decide::ShardOf(daemon_set_uid, settings_.shards))];
}

TenurePorts Coordinator::Ports() {
  return {.daemon_sets = daemon_sets_,
          .holds_until = [this](const std::string& uid) -> std::optional<MonoTime> {
            const Election& election = ElectionOf(uid);
            if (!election.holds()) return std::nullopt;
            return election.holds_until();
          },
          .tell = tell_,
          .dead_nodes =
              [this](const std::vector<std::string>& names) {
                for (const auto& election : elections_) election->SetDeadNodes(names);
              },
          .standbys =
              [this] {
                std::vector<std::string> all;
                for (const auto& election : elections_) {
                  for (std::string& name : election->standbys()) all.push_back(std::move(name));
                }
                return all;
              },
          .counters = &counters_};
}

// A coordinator observes a generation within a second or two. Where that does not happen, those who stand by may be
// gone too.
std::optional<MonoTime> Coordinator::NoteUnobserved() {
  std::optional<MonoTime> next;
  const auto known = daemon_sets_();
  if (!known || settings_.shards <= 0) return next;
  const MonoTime now = timeline_.mono();
  std::map<std::string, MonoTime> unobserved;
  for (const auto& object : *known) {
    const std::string& uid = object->metadata().uid();
    if (object->metadata().has_deletiontimestamp() || ElectionOf(uid).holds()) continue;
    if (object->status().observedgeneration() >= object->metadata().generation()) continue;
    const auto before = unobserved_.find(uid);
    const MonoTime since = before != unobserved_.end() ? before->second : now;
    unobserved[uid] = since;
    MonoTime look = since + decide::kUnobservedPatience;
    if (look <= now) {
      elections_[static_cast<std::size_t>(decide::ShardOf(uid, settings_.shards))]->Hurry();
      unobserved[uid] = now;
      look = now + decide::kUnobservedPatience;
    }
    next = next ? std::min(*next, look) : look;
  }
  unobserved_ = std::move(unobserved);
  return next;
}

Coordinator::Roles Coordinator::roles() const {
  Roles roles;
  for (const auto& election : elections_) {
    roles.holds += election->holds() ? 1 : 0;
    roles.stands_by += election->role() == CoordinatorRole::kStandby ? 1 : 0;
  }
  return roles;
}

std::string Coordinator::StatusText() const {
  std::string text;
  for (const auto& election : elections_) {
    std::string one;
    switch (election->role()) {
      case CoordinatorRole::kHolder: one = "coordinates"; break;
      case CoordinatorRole::kStandby: one = fmt::format("stands by for {}", election->holder()); break;
      case CoordinatorRole::kBystander:
        if (!election->permitted()) {
          one = "not permitted here";
        } else if (!election->holder().empty() && election->holder() != settings_.node_name) {
          one = fmt::format("{} coordinates", election->holder());
        }
        break;
    }
    if (one.empty()) continue;
    if (!text.empty()) text += ", ";
    text += settings_.shards > 1 ? fmt::format("shard {}: {}", &election - elections_.data(), one) : one;
  }
  return text;
}

std::string Coordinator::Problem() const {
  for (const auto& election : elections_) {
    if (!election->problem().empty()) return election->problem();
  }
  return tenure_ ? tenure_->problem() : std::string();
}

}  // namespace daemonsetd::rollout

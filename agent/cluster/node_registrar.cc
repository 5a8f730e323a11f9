#include "agent/cluster/node_registrar.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/kube/resource_version.h"

namespace daemonsetd::cluster {
namespace {

NodeLeaseSettings LeaseSettingsOf(const NodeRegistrarSettings& settings) {
  return {.node_name = settings.node_name,
          .machine_id = settings.machine_id,
          .duration = settings.lease_duration,
          .call_timeout = settings.call_timeout};
}

// Images come one after the other, and a status shows all that came meanwhile.
constexpr Nanoseconds kBeforeImages = std::chrono::seconds(1);
constexpr Nanoseconds kBetweenImages = std::chrono::seconds(5);

using Conditions = std::vector<corev1::NodeCondition>;

bool SameButTimes(const corev1::NodeCondition& a, const corev1::NodeCondition& b) {
  return a.type() == b.type() && a.status() == b.status() && a.reason() == b.reason() && a.message() == b.message();
}

bool SameButTimes(const Conditions& a, const Conditions& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& one, const auto& other) { return SameButTimes(one, other); });
}

// The types and their order are always the same, but that there are none at first.
void TellChanges(const Conditions& before, const Conditions& after) {
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i < before.size() ? SameButTimes(before[i], after[i]) : after[i].type() != "Ready") continue;
    log::Info("a condition of the Node changed", {{"type", after[i].type()},
                                                  {"status", after[i].status()},
                                                  {"reason", after[i].reason()},
                                                  {"message", after[i].message()}});
  }
}

}  // namespace

NodeRegistrar::NodeRegistrar(async::Executor executor, async::Timeline& timeline, kube::Client& client,
                             cri::Runtime& runtime, cri::Runtime& image_service, node::PressureMonitor& pressure,
                             NodeRegistrarSettings settings, MakeDesired desired, std::function<double()> random,
                             std::function<void()> on_change)
    : timeline_(timeline),
      client_(client),
      settings_(std::move(settings)),
      desired_(std::move(desired)),
      random_(std::move(random)),
      on_change_(std::move(on_change)),
      health_(timeline, runtime, image_service, pressure, {.call_timeout = settings_.runtime_timeout},
              [this] { Looked(); }),
      lease_(
          executor, timeline, client, LeaseSettingsOf(settings_), [this] { return current_.get(); },
          [this] { LeaseChanged(); }),
      wake_(executor),
      scope_(executor),
      reading_("the Node cannot be read", "the Node is read again"),
      status_("the Node's status cannot be written", "the Node's status is written again"),
      metadata_("the Node's labels cannot be written", "the Node's labels are written again"),
      taints_("the Node's taints cannot be written", "the Node's taints are written again") {}

Task<void> NodeRegistrar::Run() {
  kube::ReflectorSettings watch{.field_selector = "metadata.name=" + settings_.node_name};
  if (base_) watch.newest = base_->metadata().resourceversion();
  kube::ReflectorHandlers handlers{.on_change = [this](const kube::NamespacedName&) { Watched(); },
                                   .on_complete = [this] { Watched(); },
                                   .on_state = [this] { Tell(); }};
  reflector_.emplace(client_, timeline_, random_, std::move(watch), std::move(handlers));
  scope_.Spawn("node watch", reflector_->Run());
  if (settings_.register_node) {
    scope_.Spawn("node health", health_.Run());
    scope_.Spawn("node lease", lease_.Run());
  }
  std::exception_ptr stopped;
  try {
    for (;;) {
      next_look_ = settings_.register_node ? health_.NextChange() : std::nullopt;
      if (RefreshConditions()) Publish();
      if (MayWrite() && co_await WriteNext()) continue;
      co_await wake_.WaitUntil(timeline_, next_look_);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  scope_.Cancel();
  co_await scope_.Join();
  std::rethrow_exception(stopped);
}

void NodeRegistrar::UseCached(corev1::Node node) {
  memory_.uid = node.metadata().uid();
  health_.Remember(node.status());
  base_ = std::make_shared<const corev1::Node>(std::move(node));
  RefreshConditions();
  Publish();
}

const std::string& NodeRegistrar::uid() const { return claimed() && current_ ? current_->metadata().uid() : none_; }

bool NodeRegistrar::lease_held() const {
  return lease_.held() && lease_.renewed_at() && timeline_.mono() - *lease_.renewed_at() < settings_.lease_duration;
}

void NodeRegistrar::DesiredChanged() {
  Publish();
  wake_.Notify();
}

void NodeRegistrar::ImagesChanged(std::set<std::string> preferred) {
  preferred_images_ = std::move(preferred);
  if (images_due_) return;
  images_due_ = timeline_.mono() + kBeforeImages;
  if (memory_.status_written) images_due_ = std::max(*images_due_, *memory_.status_written + kBetweenImages);
  wake_.Notify();
}

void NodeRegistrar::ShuttingDown(bool shutting_down) {
  health_.ShuttingDown(shutting_down);
  Looked();
}

kube::CallOptions NodeRegistrar::Options() const {
  return {.priority = kube::RequestPriority::kUrgent, .timeout = settings_.call_timeout};
}

// What was observed.

// The watch brought another Node, none, or its first word.
void NodeRegistrar::Watched() {
  const NodePtr found = reflector_->Find({"", settings_.node_name});
  // By its number an answer from before would be newer than all that the server says now.
  if (reflector_->change_source() == kube::ReflectorCore::ChangeSource::kOlderList) ahead_ = false;
  if (found) {
    if (current_ && kube::SameVersion(found->metadata(), current_->metadata())) {
      current_ = found;  // the same content, held once
      ahead_ = false;
    } else if (!ahead_ || !kube::IsOlder(found->metadata().resourceversion(), current_->metadata().resourceversion())) {
      Accept(found, false);
    }
  } else if (current_ && (!ahead_ || !kube::IsOlder(reflector_->newest(), current_->metadata().resourceversion()))) {
    log::Warning("somebody deleted the Node", {{"node", settings_.node_name}});
    Accept(nullptr, false);
  } else if (!current_) {
    Tell();  // there is none, and now that is known
  }
  if (observed()) lease_.NodeChanged();
  wake_.Notify();
}

void NodeRegistrar::Accept(NodePtr node, bool ahead) {
  current_ = std::move(node);
  ahead_ = ahead && current_;
  if (current_) {
    health_.Remember(current_->status());
    base_ = current_;
  } else if (!settings_.register_node) {
    base_ = nullptr;
  }
  RefreshConditions();
  Publish();
  lease_.NodeChanged();
}

void NodeRegistrar::Looked() {
  const bool changed = RefreshConditions();
  if (changed) Publish();
  if (changed || !memory_.status_written) wake_.Notify();
}

void NodeRegistrar::LeaseChanged() {
  Publish();
  wake_.Notify();
}

// The server's conditions, but for those that changed here since.
corev1::NodeStatus NodeRegistrar::LastKnownConditions() const {
  corev1::NodeStatus known;
  if (base_) *known.mutable_conditions() = base_->status().conditions();
  for (corev1::NodeCondition& condition : *known.mutable_conditions()) {
    for (const corev1::NodeCondition& ours : conditions_) {
      const bool later = ours.lasttransitiontime().seconds() > condition.lasttransitiontime().seconds();
      if (ours.type() == condition.type() && later) condition = ours;
    }
  }
  return known;
}

bool NodeRegistrar::RefreshConditions() {
  // Without the last Node an unproven readiness would count as news, newer than the Ready that the server has (ST-08).
  if (!settings_.register_node || (!base_ && !observed())) return false;
  std::vector<corev1::NodeCondition> conditions = health_.Conditions(LastKnownConditions());
  if (SameButTimes(conditions, conditions_)) return false;
  TellChanges(conditions_, conditions);
  conditions_ = std::move(conditions);
  return true;
}

void NodeRegistrar::Publish() {
  view_ = base_;
  const bool ours = settings_.register_node && lease_.refusal().empty();
  if (base_ && ours) {
    const MonoTime now = timeline_.mono();
    decide::NodeWrites writes =
        decide::RegisterNode(Desired(conditions_, std::nullopt), base_.get(), settings_.agent_version, now,
                             {.uid = base_->metadata().uid(), .status_written = now});
    corev1::Node ahead = *base_;
    // Until the server answers, which may refuse them, the labels that the configuration names by now.
    if (writes.update && !observed()) *ahead.mutable_metadata() = std::move(*writes.update->mutable_metadata());
    if (writes.status) *ahead.mutable_status() = std::move(*writes.status->mutable_status());
    view_ = std::make_shared<const corev1::Node>(std::move(ahead));
  }
  Tell();
}

void NodeRegistrar::Tell() {
  problem_ = Problem();
  on_change_();
}

std::string NodeRegistrar::Problem() const {
  if (!lease_.refusal().empty()) return lease_.refusal();
  if (!observed()) return reflector_ ? reflector_->last_error() : std::string();
  if (!settings_.register_node && !current_) {
    return fmt::format("the server has no Node {}, and registerNode is false: create it, or set registerNode: true",
                       settings_.node_name);
  }
  for (const std::string& problem :
       {status_.problem(), lease_.problem(), reading_.problem(), metadata_.problem(), taints_.problem()}) {
    if (!problem.empty()) return problem;
  }
  return {};
}

// What is written.

void NodeRegistrar::LookAt(std::optional<MonoTime> when) {
  if (when) next_look_ = std::min(next_look_.value_or(*when), *when);
}

bool NodeRegistrar::IsDue(const Attempt& attempt) {
  const std::optional<MonoTime> due = attempt.Due(timeline_.mono());
  LookAt(due);
  return !due;
}

corev1::Node NodeRegistrar::Desired(const std::vector<corev1::NodeCondition>& conditions,
                                    const std::optional<Images>& images) const {
  corev1::Node desired = desired_(conditions);
  if (images) {
    *desired.mutable_status()->mutable_images() = *images;
  } else if (base_) {
    *desired.mutable_status()->mutable_images() = base_->status().images();
  }
  return desired;
}

decide::NodeWrites NodeRegistrar::Decide(const std::optional<Images>& images) const {
  const corev1::Node desired = Desired(health_.Conditions(LastKnownConditions()), images);
  return decide::RegisterNode(desired, current_.get(), settings_.agent_version, timeline_.mono(), memory_);
}

Task<bool> NodeRegistrar::WriteNext() {
  if (read_again_) {
    if (!IsDue(reading_)) co_return false;
    co_await ReadAgain();
    co_return true;
  }
  decide::NodeWrites writes = Decide(std::nullopt);
  LookAt(writes.look_again);
  if (writes.update && IsDue(metadata_)) {
    co_await WriteMetadata(std::move(*writes.update));
    co_return true;
  }
  const bool images_due = images_due_ && *images_due_ <= timeline_.mono();
  if (!images_due) LookAt(images_due_);
  if ((writes.create || writes.status || images_due) && IsDue(status_)) {
    co_await WriteStatus();
    co_return true;
  }
  if (!current_) co_return false;
  decide::TaintDecision taints = decide::DecideTaints(*current_, timeline_.Read(), taint_memory_);
  LookAt(taints.look_again);
  if (taints.taints && IsDue(taints_)) {
    co_await WriteTaints(std::move(*taints.taints));
    co_return true;
  }
  co_return false;
}

Task<void> NodeRegistrar::ReadAgain() {
  Result<corev1::Node> answer = co_await client_.Get<corev1::Node>({"", settings_.node_name}, Options());
  if (!answer && answer.error().kind() != ErrorKind::kAbsent) {
    reading_.Failed(answer.error(), timeline_.mono(), random_());
    Tell();
    co_return;
  }
  read_again_ = false;
  reading_.Succeeded(timeline_.mono());
  if (!answer) {
    Accept(nullptr, false);
    co_return;
  }
  answer->mutable_metadata()->clear_managedfields();
  Accept(std::make_shared<const corev1::Node>(std::move(*answer)), true);
}

Task<void> NodeRegistrar::WriteStatus() {
  const bool images_awaited = std::exchange(images_due_, std::nullopt).has_value();
  const std::optional<Images> images = co_await health_.ListImages(preferred_images_);
  if (!images && images_awaited && !images_due_) images_due_ = timeline_.mono() + kBetweenImages;
  // Time passed, so decide anew.
  decide::NodeWrites writes = Decide(images);
  if (!writes.create && !writes.status) co_return;
  if (!MayWrite()) co_return;  // somebody took the name meanwhile
  const bool create = writes.create.has_value();
  Task<Result<corev1::Node>> call = create ? client_.Create(std::move(*writes.create), Options())
                                           : client_.UpdateStatus(std::move(*writes.status), Options());
  Result<corev1::Node> answer = co_await std::move(call);
  if (answer) {
    if (create) log::Info("the Node is registered", {{"node", settings_.node_name}, {"reason", writes.reason}});
    log::Debug("the Node's status is written", {{"reason", writes.reason}});
    memory_.status_written = timeline_.mono();
    memory_.uid = answer->metadata().uid();
  } else if (images_awaited && !images_due_) {
    images_due_ = timeline_.mono();  // with the next try, which has a back-off
  }
  Ended(std::move(answer), status_);
}

Task<void> NodeRegistrar::WriteMetadata(corev1::Node node) {
  Result<corev1::Node> answer = co_await client_.Update(std::move(node), Options());
  Ended(std::move(answer), metadata_);
}

Task<void> NodeRegistrar::WriteTaints(std::vector<corev1::Taint> taints) {
  corev1::Node node = *current_;
  node.mutable_spec()->clear_taints();
  std::vector<std::string> keys;
  for (corev1::Taint& taint : taints) {
    keys.push_back(fmt::format("{}:{}", taint.key(), taint.effect()));
    *node.mutable_spec()->add_taints() = std::move(taint);
  }
  log::Info("the Node's taints are made to follow its conditions",
            {{"taints", fmt::format("{}", fmt::join(keys, ","))}});
  Result<corev1::Node> answer = co_await client_.Update(std::move(node), Options());
  Ended(std::move(answer), taints_);
}

void NodeRegistrar::Ended(Result<corev1::Node> answer, Attempt& attempt) {
  const MonoTime now = timeline_.mono();
  if (!answer) {
    read_again_ = IsStale(answer.error());
    attempt.Failed(answer.error(), now, random_());
    Tell();
    return;
  }
  attempt.Succeeded(now);
  answer->mutable_metadata()->clear_managedfields();  // the server keeps its own
  // A watch that is as far as this answer has shown what became of it: a later write, or a deletion.
  const auto order = kube::CompareResourceVersions(reflector_->newest(), answer->metadata().resourceversion());
  if (order && *order >= 0) {
    Tell();
  } else {
    Accept(std::make_shared<const corev1::Node>(std::move(*answer)), true);
  }
}

}  // namespace daemonsetd::cluster

#include "agent/rollout/tenure.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/decide/conditions.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"

namespace daemonsetd::rollout {
namespace {

using decide::EventType;

constexpr Nanoseconds kWriteTimeout = std::chrono::seconds(10);
// A watch shows what has changed long before; else it is looked at again.
constexpr Nanoseconds kShownWithin = std::chrono::seconds(5);
// Every node watches every DaemonSet as a whole, so a write of its status costs nodes × its size; so much of that a
// second is spent on one DaemonSet (design.md section 6).
constexpr double kStatusBytesPerSecond = 4e6;
constexpr Nanoseconds kStatusIntervalAtLeast = std::chrono::seconds(1);

Error NotOurs() { return {ErrorKind::kCancelled, "another agent may coordinate by now"}; }

std::string TextOf(const google::protobuf::RepeatedPtrField<appsv1::DaemonSetCondition>& conditions) {
  appsv1::DaemonSetStatus status;
  *status.mutable_conditions() = conditions;
  return status.SerializeAsString();
}

std::string ReasonOf(const appsv1::DaemonSetStatus& status, std::string_view type) {
  const auto* condition = decide::FindCondition(status, type);
  return condition != nullptr ? condition->reason() : std::string();
}

// What somebody may be waiting for is written at once.
bool IsUrgent(const appsv1::DaemonSetStatus& before, const appsv1::DaemonSetStatus& after) {
  return before.observedgeneration() != after.observedgeneration() ||
         ReasonOf(before, decide::kProgressingCondition) != ReasonOf(after, decide::kProgressingCondition);
}

}  // namespace

Tenure::Tenure(async::Executor executor, async::Timeline& timeline, kube::Client& client,
               std::function<double()> random, TenureSettings settings, TenurePorts ports)
    : timeline_(timeline),
      settings_(settings),
      ports_(std::move(ports)),
      wake_(executor),
      view_(executor, timeline, client, std::move(random), [this] { wake_.Notify(); }),
      writes_(client),
      scope_(executor) {}

Task<void> Tenure::Run() {
  scope_.Spawn("cluster view", view_.Run());
  scope_.Spawn("coordinate", Coordinate());
  co_await scope_.HoldUntilCancelled();
}

std::string Tenure::problem() const { return view_.problem(); }

Task<void> Tenure::Coordinate() {
  for (;;) {
    std::optional<MonoTime> next;
    if (view_.complete() && view_.live()) {
      TakeSets();
      TellDeadNodes();
      next = StartDue();
    }
    co_await wake_.WaitUntil(timeline_, next);
  }
}

void Tenure::TakeSets() {
  const auto known = ports_.daemon_sets();
  if (!known) return;
  const ClusterView::Changes changes = view_.TakeChanges();
  std::map<std::string, SetPtr> present;
  for (const auto& object : *known) {
    const std::string& uid = object->metadata().uid();
    const auto before = sets_.find(uid);
    // Where a call is under way it ends first, so that no two ever work on one DaemonSet.
    if (!ports_.holds_until(uid) && (before == sets_.end() || !before->second->busy)) continue;
    const SetPtr set = before != sets_.end() ? before->second : std::make_shared<RolloutSet>();
    set->Take(object, view_, settings_.image_wait, timeline_.Read());
    if (changes.all || changes.daemon_sets.contains(uid)) set->dirty = true;
    if (changes.namespaces.contains(object->metadata().namespace_())) set->dirty = set->revisions_dirty = true;
    present[uid] = set;
  }
  sets_ = std::move(present);
}

void Tenure::TellDeadNodes() {
  std::vector<std::string> dead;
  for (const auto& [name, node] : view_.nodes()) {
    if (node.dead_since) dead.push_back(name);
  }
  for (const std::string& name : ports_.standbys()) {
    if (!view_.nodes().contains(name)) dead.push_back(name);  // its Node is gone
  }
  if (dead == dead_nodes_) return;
  dead_nodes_ = std::move(dead);
  ports_.dead_nodes(dead_nodes_);
}

std::optional<MonoTime> Tenure::StartDue() {
  const MonoTime now = timeline_.mono();
  std::optional<MonoTime> next;
  for (const auto& [uid, set] : sets_) {
    if (set->busy || set->metadata().has_deletiontimestamp() || !ports_.holds_until(uid)) continue;
    const bool is_due = set->dirty || (set->look_at && *set->look_at <= now);
    if (is_due && !set->failures.Waiting(now)) {
      set->busy = true;
      set->dirty = false;
      set->look_at.reset();
      scope_.Spawn(fmt::format("coordinate {}", set->metadata().name()), Work(set));
      continue;
    }
    const std::optional<MonoTime> at = is_due ? set->failures.due() : set->look_at;
    if (at) next = next ? std::min(*next, *at) : *at;
  }
  return next;
}

std::optional<Nanoseconds> Tenure::TimeFor(const RolloutSet& set) const {
  const auto until = ports_.holds_until(set.metadata().uid());
  const MonoTime now = timeline_.mono();
  if (!until || *until <= now) return std::nullopt;
  return std::min(kWriteTimeout, *until - now);
}

Task<void> Tenure::Work(SetPtr set) {
  Status status = co_await AskWhatWasDone(set);
  if (status) status = co_await KeepRevisions(set);
  if (status) status = co_await TakeSteps(set);
  // Whatever became of the rest: the status says where things stand (ST-02).
  const bool ours = status || status.error().kind() != ErrorKind::kCancelled;
  if (ours) {
    const Status written = co_await WriteStatus(set);
    if (status) status = written;
  }
  set->busy = false;
  if (status) {
    set->failures.Reset();
  } else {
    set->dirty = true;
    set->failures.Fail(timeline_.mono());
    const bool expected = status.error().kind() == ErrorKind::kConflict || status.error().kind() == ErrorKind::kAbsent;
    if (!expected && ours) {
      if (ports_.counters) ++ports_.counters->failures;
      log::Warning("a DaemonSet is not coordinated; trying again",
                   {{"daemonSet", kube::ToString(kube::NameOf(set->metadata()))}, {"err", status.error().message()}});
    }
  }
  wake_.Notify();
}

// ---- Revisions

Task<Status> Tenure::KeepRevisions(SetPtr set) {
  if (!set->revisions_dirty) co_return Ok();
  set->revisions_dirty = false;
  const decide::RevisionPlan plan = set->PlanRevisions(view_);
  for (decide::RevisionAction action : plan.actions) {
    log::Info("revision",
              {{"daemonSet", kube::ToString(kube::NameOf(set->metadata()))}, {"action", decide::Describe(action)}});
    const Status status = co_await Carry(set, std::move(action));
    // What is gone, or has changed, is planned anew by what the watch brings.
    if (status || status.error().kind() == ErrorKind::kAbsent) continue;
    set->revisions_dirty = true;
    co_return status;
  }
  co_return Ok();
}

Task<Status> Tenure::Carry(SetPtr set, decide::RevisionAction action) {
  auto time = TimeFor(*set);
  if (!time) co_return NotOurs();
  if (auto* create = std::get_if<decide::revision::Create>(&action)) {
    co_return co_await Create(set, std::move(create->object));
  }
  if (auto* update = std::get_if<decide::revision::Update>(&action)) {
    if (update->adopts) {
      kube::NamespacedName name = kube::NameOf(set->metadata());
      const auto live = co_await writes_.Read(std::move(name), *time);
      if (!live) co_return live.error();
      if (live->metadata().uid() != set->metadata().uid() || live->metadata().has_deletiontimestamp()) {
        co_return Error(ErrorKind::kConflict, "the DaemonSet that would adopt a revision is going");
      }
      time = TimeFor(*set);
      if (!time) co_return NotOurs();
    }
    co_return co_await writes_.UpdateRevision(std::move(update->object), *time);
  }
  if (const auto* deletion = std::get_if<decide::revision::Delete>(&action)) {
    kube::NamespacedName name(set->metadata().namespace_(), deletion->name);
    co_return co_await writes_.DeleteRevision(std::move(name), deletion->uid, *time);
  }
  const auto& label = std::get<decide::revision::LabelPod>(action);
  const auto& pods = view_.PodsOf(set->metadata().uid());
  const auto pod = pods.find(label.pod_id);
  if (pod == pods.end()) co_return Ok();
  corev1::Pod object = *pod->second.pod;
  co_return co_await writes_.LabelPod(std::move(object), label.hash, *time);
}

// A name that is taken by other content is a collision: collisionCount in the status makes the next try another name.
Task<Status> Tenure::Create(SetPtr set, appsv1::ControllerRevision revision) {
  auto time = TimeFor(*set);
  if (!time) co_return NotOurs();
  const kube::NamespacedName name = kube::NameOf(revision.metadata());
  const kube::NamespacedName owner = kube::NameOf(set->metadata());
  auto filled = co_await writes_.WithData(std::move(revision), owner, *time);
  if (!filled) co_return filled.error();
  time = TimeFor(*set);
  if (!time) co_return NotOurs();
  const Status made = co_await writes_.CreateRevision(std::move(*filled), *time);
  if (made || made.error().kind() != ErrorKind::kExists) co_return made;
  time = TimeFor(*set);
  if (!time) co_return NotOurs();
  const auto existing = co_await writes_.ReadRevision(name, *time);
  if (!existing) co_return existing.error();
  if (decide::JudgeCollision(*set->object(), set->template_hash(), *existing) == decide::RevisionCollision::kOurs) {
    co_return Ok();
  }
  // A live read, so that a stale copy does not raise it twice (RO-10).
  time = TimeFor(*set);
  if (!time) co_return NotOurs();
  const auto live = co_await writes_.Read(owner, *time);
  if (!live) co_return live.error();
  if (live->status().collisioncount() != set->object()->status().collisioncount()) {
    co_return Error(ErrorKind::kConflict, "the collision was noted already");
  }
  appsv1::DaemonSetStatus status = live->status();
  status.set_collisioncount(status.collisioncount() + 1);
  const Status noted = co_await PutStatus(set, std::move(status));
  if (!noted) co_return noted;
  co_return Error(ErrorKind::kConflict, fmt::format("the name {} is taken by another revision", name.name));
}

// ---- The rollout

Task<Status> Tenure::AskWhatWasDone(SetPtr set) {
  Status status = Ok();
  for (const auto& pod : set->TakeUnsure()) {
    const auto time = TimeFor(*set);
    corev1::Pod object = *pod;
    Result<std::optional<corev1::Pod>> live = NotOurs();
    if (time) live = co_await writes_.ReadUnlessGoing(std::move(object), *time);
    if (!live) {
      set->MaybeTaken(pod);
      status = live.error();
    } else if (!*live) {
      set->Deleted(pod->metadata().uid());
    } else if (decide::ValueOf((*live)->metadata().annotations(), decide::kSurgeAnnotation) == set->template_hash()) {
      set->AskedForSurge(pod->metadata().uid());
    }
  }
  co_return status;
}

Task<Status> Tenure::TakeSteps(SetPtr set) {
  RolloutSet::Sight sight = set->Look(view_, timeline_.Read());
  const decide::RolloutPlan plan = decide::PlanRollout(sight.input);
  if (plan.steps.empty()) co_return Ok();
  auto time = TimeFor(*set);
  if (!time) co_return NotOurs();
  // The pods may be newer than our copy of the DaemonSet: what runs the newest template would look like an old pod.
  kube::NamespacedName name = kube::NameOf(set->metadata());
  const auto live = co_await writes_.Read(std::move(name), *time);
  if (!live) co_return live.error();
  if (live->metadata().uid() != set->metadata().uid() ||
      live->metadata().generation() != set->metadata().generation() || live->metadata().has_deletiontimestamp()) {
    co_return Error(ErrorKind::kConflict, "the DaemonSet has changed; its watch will show it");
  }
  for (const decide::RolloutStep& step : plan.steps) {
    // Planned for a template that the user has replaced meanwhile.
    if (set->metadata().generation() != live->metadata().generation()) co_return Ok();
    decide::RolloutStep taken = step;
    const auto pod = sight.pods.at(step.pod_id);
    const Status status = co_await TakeStep(set, std::move(taken), pod);
    if (!status) co_return status;
  }
  co_return Ok();
}

Task<Status> Tenure::TakeStep(SetPtr set, decide::RolloutStep step, std::shared_ptr<const corev1::Pod> pod) {
  const auto time = TimeFor(*set);
  if (!time) co_return NotOurs();
  corev1::Pod object = *pod;
  Status status = Ok();
  if (step.kind == decide::RolloutStep::Kind::kSurge) {
    status = co_await writes_.AskForSurge(std::move(object), set->template_hash(), *time);
    if (status) set->AskedForSurge(step.pod_id);
  } else {
    status = co_await writes_.DeletePod(std::move(object), *time);
    if (status) {
      set->Deleted(step.pod_id);
      ports_.tell(*set->object(), EventType::kNormal, "SuccessfulDelete",
                  fmt::format("Deleted pod: {}", pod->metadata().name()));
    }
  }
  if (!status) {
    // Whatever the error: it may have been done all the same, or by somebody else, which the watch does not show yet.
    set->MaybeTaken(pod);
    // The pod has changed, or is gone: the others may still go.
    const ErrorKind kind = status.error().kind();
    if (kind != ErrorKind::kConflict && kind != ErrorKind::kAbsent) co_return status;
    set->look_at = timeline_.mono() + kShownWithin;
    co_return Ok();
  }
  if (ports_.counters) ++ports_.counters->steps;
  log::Info("rollout step", {{"daemonSet", kube::ToString(kube::NameOf(set->metadata()))},
                             {"node", step.node},
                             {"pod", kube::ToString(kube::NameOf(pod->metadata()))},
                             {"reason", step.reason}});
  co_return Ok();
}

// ---- The status

Nanoseconds Tenure::StatusInterval(const RolloutSet& set) const {
  const double bytes = static_cast<double>(view_.nodes().size()) * static_cast<double>(set.object()->ByteSizeLong());
  const auto wait =
      std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(bytes / kStatusBytesPerSecond));
  return std::max(kStatusIntervalAtLeast, wait);
}

Task<Status> Tenure::WriteStatus(SetPtr set) {
  const Now now = timeline_.Read();
  const RolloutSet::Sight sight = set->Look(view_, now);
  const appsv1::DaemonSet& daemon_set = *set->object();
  const decide::RolloutPlan plan = decide::PlanRollout(sight.input);
  const auto deadline = decide::NoteProgress(set->progress, daemon_set.metadata().generation(), plan.progress,
                                             settings_.progress_deadline, now.mono);
  const bool deadline_passed = deadline && *deadline <= now.mono;
  appsv1::DaemonSetStatus status = decide::ComputeDaemonSetStatus(daemon_set.metadata().generation(),
                                                                  RolloutSet::Counts(sight.input), daemon_set.status());
  *status.mutable_conditions() = decide::RolloutConditions(daemon_set, plan.progress, deadline_passed, now.wall);

  const auto note = [&](MonoTime at) { set->look_at = std::min(set->look_at.value_or(at), at); };
  if (sight.next_available) note(*sight.next_available);
  if (deadline && !deadline_passed) note(*deadline);
  if (sight.input.wait_for_images && plan.progress.images_awaited) note(now.mono + kStatusIntervalAtLeast);

  if (!decide::DaemonSetStatusDiffers(status, daemon_set.status()) &&
      TextOf(status.conditions()) == TextOf(daemon_set.status().conditions())) {
    co_return Ok();
  }
  if (set->status_written_at && !IsUrgent(daemon_set.status(), status)) {
    const MonoTime due = *set->status_written_at + StatusInterval(*set);
    if (due > now.mono) {
      note(due);
      co_return Ok();
    }
  }
  const appsv1::DaemonSetStatus before = daemon_set.status();
  const Status written = co_await PutStatus(set, std::move(status));
  if (written) TellTrouble(*set->object(), before);
  co_return written;
}

Task<Status> Tenure::PutStatus(SetPtr set, appsv1::DaemonSetStatus status) {
  const auto time = TimeFor(*set);
  if (!time) co_return NotOurs();
  appsv1::DaemonSet object = *set->object();
  *object.mutable_status() = std::move(status);
  const MonoTime sent = timeline_.mono();
  const auto written = co_await writes_.WriteStatus(std::move(object), *time);
  if (!written) co_return written.error();
  set->status_written_at = sent;
  set->Wrote(*written);
  co_return Ok();
}

// Once, by whoever wrote it into the status: what a person has to act upon.
void Tenure::TellTrouble(const appsv1::DaemonSet& daemon_set, const appsv1::DaemonSetStatus& before) {
  const auto* condition = decide::FindCondition(daemon_set.status(), decide::kProgressingCondition);
  if (condition == nullptr || condition->status() == "True") return;
  if (ReasonOf(before, decide::kProgressingCondition) == condition->reason()) return;
  ports_.tell(daemon_set, EventType::kWarning, condition->reason(), condition->message());
}

}  // namespace daemonsetd::rollout

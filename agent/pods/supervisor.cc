#include "agent/pods/supervisor.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/base/log.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/decide/runtime_class.h"
#include "agent/pods/daemon_set_events.h"
#include "agent/pods/restart.h"
#include "agent/pods/sequences.h"

namespace daemonsetd::pods {
namespace {

using decide::KnownPod;
using decide::NameOf;
using decide::Workload;

// A wait between two attempts to fetch the images of a new template; the puller has a back-off of its own per image.
constexpr BackoffLimits kPullRetry{.initial = std::chrono::seconds(5), .maximum = std::chrono::minutes(5)};

const char* KindName(Workload::Kind kind) { return kind == Workload::Kind::kDaemonSet ? "DaemonSet" : "Pod"; }

std::string HashOf(const corev1::Pod& pod) {
  corev1::PodTemplateSpec as_template;
  *as_template.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  *as_template.mutable_metadata()->mutable_annotations() = pod.metadata().annotations();
  *as_template.mutable_spec() = pod.spec();
  return decide::TemplateHash(as_template);
}

PodIdentity IdentityOf(const Workload& workload, std::uint32_t sequence) {
  return {.owner_kind = KindName(workload.kind),
          .owner_name = workload.name,
          .owner_uid = workload.uid,
          .template_hash = workload.template_hash,
          .restart_hash = workload.restart_hash,
          .hash_version = decide::kSpecHashVersion,
          .sequence = sequence};
}

Hosted FromDaemonSet(const DaemonSetSource& source) {
  Hosted hosted = MakeHosted(source.object, source.file);
  hosted.workload.placement_spec = source.object.spec().template_().spec();
  return hosted;
}

Hosted FromPod(const PodSource& source) {
  Hosted hosted;
  hosted.source = source.file;
  hosted.workload.kind = Workload::Kind::kPod;
  hosted.workload.uid = source.object.metadata().uid();
  hosted.workload.namespace_ = source.object.metadata().namespace_();
  hosted.workload.name = source.object.metadata().name();
  hosted.workload.template_hash = HashOf(source.object);
  hosted.workload.placement_spec = source.object.spec();
  hosted.workload.next_pod = source.object;
  // A changed file is another pod, under another UID, so that old and new are never taken for each other (LC-06).
  hosted.workload.next_pod.mutable_metadata()->set_uid(
      DerivedUid(hosted.workload.uid + "/" + hosted.workload.template_hash));
  return hosted;
}

}  // namespace

Supervisor::Supervisor(PodServices& services, PodWorkers& workers, std::function<void()> on_change)
    : services_(services),
      workers_(workers),
      on_change_(std::move(on_change)),
      wake_(services.executor),
      pulls_scope_(services.executor) {}

Task<void> Supervisor::Run() {
  std::exception_ptr stopped;
  try {
    for (;;) {
      // Before the runtime was read completely, a running pod would be taken for a missing one.
      if (services_.view.synced()) Reconcile();
      co_await wake_.WaitUntil(services_.timeline, look_again_);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  pulls_scope_.Cancel();
  co_await pulls_scope_.Join();
  std::rethrow_exception(stopped);
}

void Supervisor::SetSources(const std::vector<DaemonSetSource>& daemon_sets, const std::vector<PodSource>& pods,
                            bool complete) {
  std::map<std::string, Hosted*> known;
  for (Hosted& hosted : workloads_) known[hosted.workload.uid] = &hosted;
  std::vector<Hosted> workloads;
  for (const DaemonSetSource& daemon_set : daemon_sets) workloads.push_back(FromDaemonSet(daemon_set));
  for (const PodSource& pod : pods) {
    workloads.push_back(FromPod(pod));
    decide::SetOverhead(*workloads.back().workload.next_pod.mutable_spec(), services_.settings.runtime_classes);
  }
  for (Hosted& hosted : workloads) {
    const auto before = known.find(hosted.workload.uid);
    if (before == known.end()) {
      hosted.first_seen = services_.timeline.Read().wall;
    } else {
      hosted.first_seen = before->second->first_seen;
      hosted.decision = before->second->decision;  // until the next plan; what it refused has been told
    }
  }
  workloads_ = std::move(workloads);
  complete_ = complete_ || complete;
  wake_.Notify();
  on_change_();
}

corev1::Pod Supervisor::MakePod(const Hosted& hosted, std::uint32_t sequence) const {
  if (hosted.workload.kind == Workload::Kind::kPod) return hosted.workload.next_pod;
  corev1::Pod pod = decide::MakeDaemonPod(hosted.daemon_set, services_.node().metadata().name(), sequence);
  decide::SetOverhead(*pod.mutable_spec(), services_.settings.runtime_classes);
  return pod;
}

void Supervisor::RefreshNextPod(Hosted& hosted) {
  Workload& workload = hosted.workload;
  if (workload.kind != Workload::Kind::kDaemonSet) return;
  const std::uint32_t sequence = NextSequence(services_.records, workload.uid);
  if (workload.next_pod.has_metadata() && workload.next_sequence == sequence) return;
  workload.next_sequence = sequence;
  workload.next_pod = MakePod(hosted, sequence);
}

// A pod that neither has a worker nor is in the runtime is gone: nobody else removes what an earlier process left.
void Supervisor::ForgetRecords() {
  if (!complete_) return;
  for (const std::string& uid : services_.records.PodUids()) {
    if (workers_.all().contains(uid) || services_.view.Find(uid) != nullptr) continue;
    if (!services_.records.FindPod(uid)->from_api_server()) services_.records.RemovePod(uid);
  }
}

// The evidence of an eviction outlives the agent: its record begins a worker that has nothing left to do.
void Supervisor::RestoreEvicted() {
  for (const std::string& uid : services_.records.PodUids()) {
    const checkpointv1::PodRecord& record = *services_.records.FindPod(uid);
    const bool here = workers_.Find(uid) != nullptr || services_.view.Find(uid) != nullptr;
    if (here || record.from_api_server() || record.end_reason().empty()) continue;
    for (const Hosted& hosted : workloads_) {
      const Workload& workload = hosted.workload;
      const std::uint32_t next = NextSequence(services_.records, workload.uid);
      if (workload.uid != record.owner_uid() || workload.kind != Workload::Kind::kDaemonSet || next == 0) continue;
      corev1::Pod pod = MakePod(hosted, next - 1);
      if (pod.metadata().uid() != uid) break;
      workers_.Start(IdentityOf(workload, next - 1), std::move(pod));
      break;
    }
  }
}

void Supervisor::JudgeEvicted() {
  look_again_.reset();
  std::map<std::string, std::vector<decide::FailedPod>> failed;
  std::set<std::string> healthy;
  for (const auto& [uid, worker] : workers_.all()) {
    if (worker->identity().from_api_server) continue;
    const std::string& owner = worker->identity().owner_uid;
    if (!worker->terminating() && decide::IsReady(worker->pod().status())) healthy.insert(owner);
    if (!worker->evicted() || !workers_.HasEnded(uid)) continue;
    const corev1::PodStatus& status = worker->pod().status();
    failed[owner].push_back({.uid = uid,
                             .created_at = worker->start_time(),
                             .message = fmt::format("{}: {}", status.reason(), status.message())});
  }
  std::set<std::string> owners;
  for (const Hosted& hosted : workloads_) {
    const std::string& owner = hosted.workload.uid;
    owners.insert(owner);
    if (!failed.contains(owner) && !evicted_.contains(owner)) continue;
    Evicted& evicted = evicted_[owner];
    evicted.verdict = decide::JudgeFailedPods(hosted.workload.template_hash, failed[owner], healthy.contains(owner),
                                              services_.timeline.mono(), evicted.memory);
    for (const std::string& uid : evicted.verdict.remove) Replace(uid, "a newer failed pod is the evidence");
    if (const auto when = evicted.verdict.look_again) look_again_ = std::min(look_again_.value_or(*when), *when);
  }
  if (!complete_) return;
  std::erase_if(evicted_, [&owners](const auto& entry) { return !owners.contains(entry.first); });
  for (const auto& [owner, pods] : failed) {
    if (owners.contains(owner)) continue;
    for (const decide::FailedPod& pod : pods) Replace(pod.uid, "no manifest asks for it any more");
  }
}

// The evidence goes when another pod really takes its place: while the node is under pressure that may take long.
void Supervisor::ReplaceEvicted(const std::string& owner_uid) {
  std::vector<std::string> uids;
  for (const auto& [uid, worker] : workers_.all()) {
    if (!worker->identity().from_api_server && worker->identity().owner_uid == owner_uid) uids.push_back(uid);
  }
  for (const std::string& uid : uids) Replace(uid, "it failed, and its replacement is due");
}

bool Supervisor::MayBeReplaced(const std::string& uid, const PodWorker& worker) const {
  const auto evicted = evicted_.find(worker.identity().owner_uid);
  return worker.evicted() && workers_.HasEnded(uid) && evicted != evicted_.end() && evicted->second.verdict.replace;
}

// Nothing of it is left but what tells of its end.
void Supervisor::Replace(const std::string& uid, const std::string& reason) {
  const PodWorker* worker = workers_.Find(uid);
  if (worker == nullptr || !workers_.HasEnded(uid)) return;
  TellDeletion(services_.events, *worker, worker->terminal_phase(), services_.node().metadata().name(), reason);
  workers_.Forget(uid);
}

std::vector<KnownPod> Supervisor::KnownPods() {
  std::vector<KnownPod> known;
  for (const auto& [uid, worker] : workers_.all()) {
    const PodIdentity& identity = worker->identity();
    if (!identity.from_api_server && MayBeReplaced(uid, *worker)) continue;
    known.push_back({.uid = uid,
                     .owner_uid = identity.owner_uid,
                     .template_hash = identity.template_hash,
                     .restart_hash = identity.restart_hash,
                     .hash_version = identity.hash_version,
                     .sequence = identity.sequence,
                     .created_at = worker->pod().status().starttime().seconds() * 1'000'000'000,
                     .has_worker = true,
                     .elsewhere = identity.from_api_server,
                     .terminating = worker->terminating(),
                     .terminal = worker->terminal() || worker->finished(),
                     .healthy = decide::IsReady(worker->pod().status()),
                     .pod = &worker->pod()});
  }
  for (const auto& [uid, observed] : services_.view.pods()) {
    if (workers_.all().contains(uid)) continue;
    KnownPod pod{.uid = uid, .healthy = observed.all_running()};
    if (const auto identity = ReadIdentity(observed)) {
      pod.owner_uid = identity->owner_uid;
      pod.template_hash = identity->template_hash;
      pod.restart_hash = identity->restart_hash;
      pod.hash_version = identity->hash_version;
      pod.sequence = identity->sequence;
      pod.elsewhere = identity->from_api_server;
    }
    if (const auto* sandbox = observed.newest_sandbox()) pod.created_at = sandbox->created_at();
    // A running pod keeps what it holds, though its worker is only made by this plan. What an older template gave it is
    // not known any more; the present one is the best guess.
    for (const Hosted& hosted : workloads_) {
      if (!pod.elsewhere && hosted.workload.uid == pod.owner_uid) pod.pod = &hosted.workload.next_pod;
    }
    known.push_back(std::move(pod));
  }
  return known;
}

void Supervisor::Reconcile() {
  for (const auto& [uid, observed] : services_.view.pods()) {
    const auto identity = ReadIdentity(observed);
    if (identity && identity->owner_kind == KindName(Workload::Kind::kDaemonSet)) {
      RaiseSequence(services_.records, {.uid = identity->owner_uid, .from_api_server = identity->from_api_server},
                    identity->sequence + 1);
    }
  }
  std::vector<const Workload*> workloads;
  workloads.reserve(workloads_.size());
  for (Hosted& hosted : workloads_) {
    RefreshNextPod(hosted);
    const auto pulled = pulled_.find(hosted.workload.uid);
    hosted.workload.images_present = pulled != pulled_.end() && pulled->second == hosted.workload.template_hash;
    workloads.push_back(&hosted.workload);
  }
  RestoreEvicted();
  JudgeEvicted();
  const std::vector<KnownPod> known = KnownPods();
  decide::NodePlan plan = decide::PlanNode(services_.node(), workloads, known, complete_);

  const std::string& node_name = services_.node().metadata().name();
  for (std::size_t i = 0; i < workloads_.size(); ++i) {
    TellVerdict(workloads_[i], plan.decisions[i].placement, node_name);
  }
  for (const auto& stop : plan.stops) Stop(stop.uid, stop.reason);
  for (const auto& adopt : plan.adoptions) {
    const Hosted& hosted = workloads_[adopt.workload];
    const decide::ObservedPod* observed = services_.view.Find(adopt.uid);
    if (!observed) continue;
    corev1::Pod pod = MakePod(hosted, adopt.sequence);
    if (pod.metadata().uid() != adopt.uid) {
      // The node's name or the way of naming changed since: the pod cannot be told from another one any more.
      Stop(adopt.uid, "its identity does not follow from its DaemonSet any more");
      continue;
    }
    auto identity = ReadIdentity(*observed);
    if (!identity) continue;
    log::Info(
        "adopted pod",
        {{"pod", NameOf(pod)}, {"uid", adopt.uid}, {"daemonSet", DaemonSetOf(hosted)}, {"source", hosted.source}});
    // A hash of another version says nothing, so the pod counts as made from the template of now; a later change of the
    // template is noticed again.
    identity->template_hash = hosted.workload.template_hash;
    identity->hash_version = decide::kSpecHashVersion;
    workers_.Start(std::move(*identity), std::move(pod));
  }
  for (const auto& start : plan.starts) {
    const Hosted& hosted = workloads_[start.workload];
    const Workload& workload = hosted.workload;
    ReplaceEvicted(workload.uid);
    log::Info("starting pod", {{"pod", NameOf(workload.next_pod)},
                               {"uid", workload.next_pod.metadata().uid()},
                               {"daemonSet", DaemonSetOf(hosted)},
                               {"source", hosted.source}});
    plan.decisions[start.workload].pod_uid = workload.next_pod.metadata().uid();
    if (workload.kind == Workload::Kind::kDaemonSet) {
      RaiseSequence(services_.records, {.uid = workload.uid, .namespace_ = workload.namespace_, .name = workload.name},
                    workload.next_sequence + 1);
      TellCreation(services_.events, workloads_[start.workload].daemon_set, workload.next_pod.metadata().name());
    }
    workers_.Start(IdentityOf(workload, workload.next_sequence), workload.next_pod);
  }
  for (const auto& update : plan.updates) {
    const Hosted& hosted = workloads_[update.workload];
    PodWorker& worker = *workers_.all().at(update.uid);
    worker.Update(MakePod(hosted, worker.identity().sequence), hosted.workload.template_hash);
  }
  for (const std::size_t index : plan.pulls) Pull(index);
  for (std::size_t i = 0; i < workloads_.size(); ++i) {
    const auto evicted = evicted_.find(workloads_[i].workload.uid);
    if (evicted != evicted_.end() && !evicted->second.verdict.waiting_for.empty()) {
      plan.decisions[i].waiting_for = evicted->second.verdict.waiting_for;
    }
    TellRefusal(services_.events, *services_.observer, workloads_[i], plan.decisions[i], node_name);
    workloads_[i].decision = std::move(plan.decisions[i]);
  }
  ForgetRecords();
  on_change_();
}

void Supervisor::Stop(const std::string& uid, const std::string& reason) {
  PodWorker* worker = workers_.FindOrTakeOver(uid);
  if (worker == nullptr) return;
  if (!worker->terminating()) {
    const std::string phase = worker->terminal() ? worker->pod().status().phase() : std::string();
    TellDeletion(services_.events, *worker, phase, services_.node().metadata().name(), reason);
  }
  worker->Terminate(Seconds(worker->pod().spec().terminationgraceperiodseconds()), reason);
}

Result<std::vector<std::string>> Supervisor::RestartDaemonSet(const std::string& object_namespace,
                                                              const std::string& name) {
  std::vector<const Hosted*> hosted;
  for (const Hosted& one : workloads_) hosted.push_back(&one);
  const auto stopping = DaemonSetToRestart(workers_, hosted, object_namespace, name);
  if (!stopping) return stopping.error();
  std::vector<std::string> names;
  for (const PodWorker* worker : *stopping) {
    names.push_back(worker->pod().metadata().name());
    Stop(worker->pod().metadata().uid(), kRestartReason);
  }
  return names;
}

Result<std::vector<std::string>> Supervisor::RestartPod(const std::string& object_namespace, const std::string& name) {
  const auto worker = PodToRestart(workers_, /*from_api_server=*/false, object_namespace, name);
  if (!worker) return worker.error();
  Stop((*worker)->pod().metadata().uid(), kRestartReason);
  return std::vector<std::string>{name};
}

void Supervisor::Pull(std::size_t index) {
  const Workload& workload = workloads_[index].workload;
  std::string& under_way = pulls_[workload.uid];
  if (under_way == workload.template_hash) return;
  under_way = workload.template_hash;
  pulls_scope_.Spawn("images of " + NameOf(workload),
                     PullImages(workload.uid, workload.next_pod.spec(), workload.template_hash));
}

Task<void> Supervisor::PullImages(std::string uid, corev1::PodSpec spec, std::string template_hash) {
  std::vector<corev1::Container> containers(spec.initcontainers().begin(), spec.initcontainers().end());
  containers.insert(containers.end(), spec.containers().begin(), spec.containers().end());
  Backoff backoff(kPullRetry);
  for (std::size_t i = 0; i < containers.size();) {
    if (pulls_[uid] != template_hash) co_return;  // a newer template took its place
    PullRequest request;
    request.image = containers[i].image();
    request.policy = containers[i].imagepullpolicy();
    const PullOutcome outcome = co_await services_.images.Ensure(std::move(request));
    if (outcome.status) {
      ++i;
      continue;
    }
    for (Hosted& hosted : workloads_) {
      if (hosted.workload.uid == uid) hosted.image_error = outcome.reason + ": " + outcome.status.error().message();
    }
    on_change_();
    co_await services_.timeline.SleepUntil(backoff.Fail(services_.timeline.mono()));
  }
  for (Hosted& hosted : workloads_) {
    if (hosted.workload.uid == uid) hosted.image_error.clear();
  }
  pulled_[uid] = template_hash;
  wake_.Notify();
}

}  // namespace daemonsetd::pods

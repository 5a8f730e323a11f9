#include "agent/pods/supervisor.h"

#include <algorithm>

#include "agent/base/digest.h"
#include "agent/base/log.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/pod_status.h"

namespace daemonsetd::pods {
namespace {

using decide::KnownPod;
using decide::Workload;

// A wait between two attempts to fetch the images of a new template; the puller has a back-off of its own per image.
constexpr BackoffLimits kPullRetry{.initial = std::chrono::seconds(5), .maximum = std::chrono::minutes(5)};

std::string NameOf(const Workload& workload) { return workload.namespace_ + "/" + workload.name; }

const char* KindName(Workload::Kind kind) { return kind == Workload::Kind::kDaemonSet ? "DaemonSet" : "Pod"; }

std::string HashOf(const corev1::Pod& pod) {
  corev1::PodTemplateSpec as_template;
  *as_template.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  *as_template.mutable_metadata()->mutable_annotations() = pod.metadata().annotations();
  *as_template.mutable_spec() = pod.spec();
  return decide::TemplateHash(as_template);
}

Supervisor::Hosted FromDaemonSet(const DaemonSetSource& source) {
  Supervisor::Hosted hosted;
  hosted.file = source.file;
  hosted.daemon_set = source.object;
  hosted.workload.kind = Workload::Kind::kDaemonSet;
  hosted.workload.uid = source.object.metadata().uid();
  hosted.workload.namespace_ = source.object.metadata().namespace_();
  hosted.workload.name = source.object.metadata().name();
  hosted.workload.template_hash = decide::TemplateHash(source.object.spec().template_());
  hosted.workload.restart_hash = decide::RestartHash(source.object.spec().template_());
  hosted.workload.placement_spec = source.object.spec().template_().spec();
  hosted.workload.on_delete = source.object.spec().updatestrategy().type() == "OnDelete";
  return hosted;
}

Supervisor::Hosted FromPod(const PodSource& source) {
  Supervisor::Hosted hosted;
  hosted.file = source.file;
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

bool AllRunning(const decide::ObservedPod& observed) {
  return !observed.containers.empty() &&
         std::all_of(observed.containers.begin(), observed.containers.end(),
                     [](const auto& container) { return container.status.state() == cri::v1::CONTAINER_RUNNING; });
}

}  // namespace

Supervisor::Supervisor(PodServices& services, std::function<void()> on_change)
    : services_(services),
      on_change_(std::move(on_change)),
      wake_(services.executor),
      workers_scope_(services.executor),
      pulls_scope_(services.executor) {}

Task<void> Supervisor::Run() {
  std::exception_ptr stopped;
  try {
    for (;;) {
      // Before the runtime was read completely, a running pod would be taken for a missing one.
      if (services_.view.synced()) Reconcile();
      co_await wake_.WaitUntil(services_.timeline, std::nullopt);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  pulls_scope_.Cancel();
  workers_scope_.Cancel();
  co_await pulls_scope_.Join();
  co_await workers_scope_.Join();
  std::rethrow_exception(stopped);
}

void Supervisor::SetSources(const std::vector<DaemonSetSource>& daemon_sets, const std::vector<PodSource>& pods,
                            bool complete) {
  std::map<std::string, WallTime> first_seen;
  for (const Hosted& hosted : workloads_) first_seen[hosted.workload.uid] = hosted.first_seen;
  std::vector<Hosted> workloads;
  for (const DaemonSetSource& daemon_set : daemon_sets) workloads.push_back(FromDaemonSet(daemon_set));
  for (const PodSource& pod : pods) workloads.push_back(FromPod(pod));
  for (Hosted& hosted : workloads) {
    const auto seen = first_seen.find(hosted.workload.uid);
    hosted.first_seen = seen == first_seen.end() ? services_.timeline.Read().wall : seen->second;
  }
  workloads_ = std::move(workloads);
  complete_ = complete_ || complete;
  wake_.Notify();
  on_change_();
}

void Supervisor::NodeChanged() { wake_.Notify(); }

void Supervisor::RuntimeChanged(const std::string& pod_uid) {
  const auto worker = workers_.find(pod_uid);
  if (worker != workers_.end()) {
    worker->second->Notify();
  } else {
    wake_.Notify();
  }
}

corev1::Pod Supervisor::MakePod(const Hosted& hosted, std::uint32_t sequence) const {
  if (hosted.workload.kind == Workload::Kind::kPod) return hosted.workload.next_pod;
  return decide::MakeDaemonPod(hosted.daemon_set, services_.node().metadata().name(), sequence);
}

void Supervisor::RefreshNextPod(Hosted& hosted) {
  Workload& workload = hosted.workload;
  if (workload.kind != Workload::Kind::kDaemonSet) return;
  const std::uint32_t sequence = next_sequence_[workload.uid];
  if (workload.next_pod.has_metadata() && workload.next_sequence == sequence) return;
  workload.next_sequence = sequence;
  workload.next_pod = MakePod(hosted, sequence);
}

std::vector<KnownPod> Supervisor::KnownPods() {
  std::vector<KnownPod> known;
  for (const auto& [uid, worker] : workers_) {
    const PodIdentity& identity = worker->identity();
    known.push_back({.uid = uid,
                     .owner_uid = identity.owner_uid,
                     .template_hash = identity.template_hash,
                     .restart_hash = identity.restart_hash,
                     .hash_version = identity.hash_version,
                     .sequence = identity.sequence,
                     .created_at = worker->pod().status().starttime().seconds() * 1'000'000'000,
                     .has_worker = true,
                     .terminating = worker->terminating(),
                     .terminal = worker->terminal(),
                     .healthy = decide::IsReady(worker->pod().status()),
                     .pod = &worker->pod()});
  }
  for (const auto& [uid, observed] : services_.view.pods()) {
    if (workers_.contains(uid)) continue;
    KnownPod pod{.uid = uid, .healthy = AllRunning(observed)};
    if (const auto identity = ReadIdentity(observed)) {
      pod.owner_uid = identity->owner_uid;
      pod.template_hash = identity->template_hash;
      pod.restart_hash = identity->restart_hash;
      pod.hash_version = identity->hash_version;
      pod.sequence = identity->sequence;
    }
    if (const auto* sandbox = observed.newest_sandbox()) pod.created_at = sandbox->created_at();
    // A running pod keeps what it holds, though its worker is only made by this plan.
    for (const Hosted& hosted : workloads_) {
      const Workload& workload = hosted.workload;
      if (workload.uid == pod.owner_uid && workload.template_hash == pod.template_hash) pod.pod = &workload.next_pod;
    }
    known.push_back(std::move(pod));
  }
  return known;
}

void Supervisor::Reconcile() {
  for (const auto& [uid, observed] : services_.view.pods()) {
    if (const auto identity = ReadIdentity(observed)) {
      std::uint32_t& next = next_sequence_[identity->owner_uid];
      next = std::max(next, identity->sequence + 1);
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
  const std::vector<KnownPod> known = KnownPods();
  decide::NodePlan plan = decide::PlanNode(services_.node(), workloads, known, complete_);

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
    log::Info("adopted pod", {{"pod", pod.metadata().namespace_() + "/" + pod.metadata().name()}, {"uid", adopt.uid}});
    auto identity = ReadIdentity(*observed);
    if (!identity) continue;
    // A hash of another version says nothing, so the pod counts as made from the template of now; a later change of the
    // template is noticed again.
    identity->template_hash = hosted.workload.template_hash;
    identity->hash_version = decide::kSpecHashVersion;
    StartWorker(std::move(*identity), std::move(pod));
  }
  for (const auto& start : plan.starts) {
    const Workload& workload = workloads_[start.workload].workload;
    log::Info("starting pod", {{"workload", NameOf(workload)}, {"pod", workload.next_pod.metadata().name()}});
    PodIdentity identity{.owner_kind = KindName(workload.kind),
                         .owner_name = workload.name,
                         .owner_uid = workload.uid,
                         .template_hash = workload.template_hash,
                         .restart_hash = workload.restart_hash,
                         .hash_version = decide::kSpecHashVersion,
                         .sequence = workload.next_sequence};
    ++next_sequence_[workload.uid];
    plan.decisions[start.workload].pod_uid = workload.next_pod.metadata().uid();
    StartWorker(std::move(identity), workload.next_pod);
  }
  for (const auto& update : plan.updates) {
    const Hosted& hosted = workloads_[update.workload];
    PodWorker& worker = *workers_.at(update.uid);
    worker.Update(MakePod(hosted, worker.identity().sequence), hosted.workload.template_hash);
  }
  for (const std::size_t index : plan.pulls) Pull(index);
  for (std::size_t i = 0; i < workloads_.size(); ++i) workloads_[i].decision = std::move(plan.decisions[i]);
  on_change_();
}

void Supervisor::StartWorker(PodIdentity identity, corev1::Pod pod) {
  const std::string uid = pod.metadata().uid();
  auto worker = std::make_unique<PodWorker>(services_, std::move(identity), std::move(pod), [this] {
    wake_.Notify();  // readiness decides about updates, an end frees room
    on_change_();
  });
  workers_.emplace(uid, std::move(worker));
  workers_scope_.Spawn("pod " + uid, RunWorker(uid));
}

Task<void> Supervisor::RunWorker(std::string uid) {
  PodWorker& worker = *workers_.at(uid);
  co_await worker.Run();
  log::Info("pod is gone",
            {{"pod", worker.pod().metadata().namespace_() + "/" + worker.pod().metadata().name()}, {"uid", uid}});
  workers_.erase(uid);
  wake_.Notify();
}

void Supervisor::Stop(const std::string& uid, const std::string& reason) {
  auto worker = workers_.find(uid);
  if (worker == workers_.end()) {
    const decide::ObservedPod* observed = services_.view.Find(uid);
    if (!observed) return;
    StartWorker(ReadIdentity(*observed).value_or(PodIdentity{}), PodFromRuntime(*observed));
    worker = workers_.find(uid);
  }
  worker->second->Terminate(Seconds(worker->second->pod().spec().terminationgraceperiodseconds()), reason);
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

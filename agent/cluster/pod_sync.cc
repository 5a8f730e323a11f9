#include "agent/cluster/pod_sync.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/cluster/local_pods.h"
#include "agent/decide/api_time.h"
#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/mirror_pod.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/rollout.h"
#include "agent/decide/status_diff.h"
#include "agent/model/defaulting.h"
#include "agent/pods/daemon_set_events.h"
#include "agent/pods/pod_identity.h"
#include "agent/pods/restart.h"
#include "agent/pods/sequences.h"

namespace daemonsetd::cluster {
namespace {

using decide::Knowledge;
using decide::LocalPod;
using decide::NameOf;
using pods::EventType;
using pods::Hosted;
using pods::PodIdentity;
using pods::PodWorker;

constexpr char kSource[] = "API server";
// A label that comes back so soon has cost no pod its life.
constexpr Nanoseconds kFlicker = std::chrono::seconds(1);
constexpr Nanoseconds kShortLook = std::chrono::milliseconds(2);
constexpr Nanoseconds kMostRest = std::chrono::milliseconds(500);

// Who this object's pod belongs to, in the words of its sandbox.
PodIdentity IdentityOf(const corev1::Pod& object) {
  PodIdentity identity{.owner_kind = "Pod",
                       .owner_name = object.metadata().name(),
                       .owner_uid = object.metadata().uid(),
                       .template_hash = decide::ValueOf(object.metadata().labels(), decide::kRevisionHashLabel),
                       .hash_version = decide::kSpecHashVersion,
                       .from_api_server = true,
                       .object_uid = object.metadata().uid()};
  if (const std::string owner = decide::DaemonSetOf(object); !owner.empty()) {
    identity.owner_kind = "DaemonSet";
    identity.owner_name = decide::ControllerOf(object.metadata())->name();
    identity.owner_uid = owner;
  }
  const std::string sequence = decide::ValueOf(object.metadata().annotations(), decide::kSequenceAnnotation);
  std::from_chars(sequence.data(), sequence.data() + sequence.size(), identity.sequence);
  return identity;
}

// "namespace/name"; empty where no DaemonSet owns the pod.
std::string DaemonSetOf(const PodIdentity& identity, const corev1::Pod& pod) {
  return identity.daemon_set_uid().empty() ? "" : pod.metadata().namespace_() + "/" + identity.owner_name;
}

std::set<std::string> ImagesOfTemplate(const appsv1::DaemonSet& daemon_set) {
  return CanonicalNames(ImagesOf(daemon_set.spec().template_().spec()));
}

}  // namespace

// A pod that may start: of an object, or one of a set that the server does not know yet.
struct PodSync::Wish {
  corev1::Pod pod;
  PodIdentity identity;
  Set* set = nullptr;  // null: no DaemonSet of ours
  bool made_elsewhere = false;
};

PodSync::PodSync(pods::PodServices& services, pods::PodWorkers& workers, ServerView& server, kube::Client& client,
                 std::function<NodeState()> node, PodSyncSettings settings, std::function<void()> on_change)
    : services_(services),
      workers_(workers),
      server_(server),
      node_(std::move(node)),
      settings_(std::move(settings)),
      on_change_(std::move(on_change)),
      writes_(client, server, services.records, settings_.node_name),
      queue_(services.executor, services.timeline, [this] { wake_.Notify(); }),
      prefetch_(services, [this] { wake_.Notify(); }),
      wake_(services.executor) {}

Task<void> PodSync::Run() {
  std::exception_ptr stopped;
  try {
    for (;;) {
      const MonoTime begin = services_.timeline.mono();
      Reconcile();
      // As long as it took, the loop is for others: on a busy machine the watches would lag behind, one look an event.
      if (const Nanoseconds took = services_.timeline.mono() - begin; took > kShortLook) {
        co_await services_.timeline.SleepFor(std::min(took, kMostRest));
      }
      std::optional<MonoTime> next = look_again_;
      if (const auto retry = queue_.NextTry(); retry && (!next || *retry < *next)) next = retry;
      co_await wake_.WaitUntil(services_.timeline, next);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  co_await queue_.Close();
  co_await prefetch_.Close();
  std::rethrow_exception(stopped);
}

void PodSync::Reconcile() {
  look_again_.reset();
  const NodeState node = node_();
  if (node.refused || !services_.view.synced()) return;
  Round round = Look(node);
  JudgeFailures(round);
  const decide::MergePlan plan = decide::MergePods(round.input);
  admissions_.clear();
  TimeVerdicts(round, plan);
  TellVerdicts(round, plan);
  Carry(round, plan);
  FetchImages(round, plan);
  TellDecisions(round, plan);
  ForgetOldSets(round);
  on_change_();
}

PodSync::Round PodSync::Look(const NodeState& node) {
  Round round;
  decide::MergeInput& input = round.input;
  const auto as_known = [&node](Knowledge known) {
    // Until the name is ours, what the server says may be meant for somebody else.
    return known == Knowledge::kComplete && !node.claimed ? Knowledge::kWaiting : known;
  };
  input.source = settings_.source;
  input.node = node.node;
  input.node_name = settings_.node_name;
  input.node_uid = node.uid;
  input.daemon_sets = as_known(server_.daemon_sets_known());
  input.objects = as_known(server_.pods_known());
  input.runtime_listed = true;
  input.manifests_complete = manifests_complete_;
  input.server_reachable = node.claimed && server_.reachable();
  const Now now = services_.timeline.Read();
  input.now = now.wall;
  TakeSets(server_.DaemonSets());
  for (auto& [uid, set] : sets_) {
    round.sets.push_back(&set);
    input.sets.push_back({.daemon_set = set.object.get(),
                          .template_hash = set.hosted.workload.template_hash,
                          .may_stop = set.unwanted_since && *set.unwanted_since + kFlicker <= now.mono});
  }
  for (const ServerView::PodPtr& pod : server_.Pods()) {
    round.by_uid[pod->metadata().uid()] = pod;
    input.pods.push_back(pod.get());
  }
  FollowLabels(round);
  input.local = LocalPods(services_, workers_, server_);
  NoteReadiness(now, input.local);
  return round;
}

// Nobody tells when a pod has been ready for long enough (RO-04).
void PodSync::NoteReadiness(const Now& now, std::vector<LocalPod>& local) {
  for (LocalPod& pod : local) {
    const auto set = sets_.find(pod.owner_uid);
    if (set == sets_.end() || !pod.has_worker) continue;
    std::optional<decide::ReadySight>& sight = ready_[pod.uid];
    decide::NoteReady(*pod.status, now, std::nullopt, sight);
    const auto available = decide::AvailableAt(sight, set->second.object->spec().minreadyseconds());
    pod.available = available && *available <= now.mono;
    if (available && !pod.available) LookAgainAt(*available);
  }
  std::erase_if(ready_, [this](const auto& entry) { return !workers_.all().contains(entry.first); });
}

void PodSync::LookAgainAt(MonoTime when) { look_again_ = std::min(look_again_.value_or(when), when); }

void PodSync::TakeSets(const std::vector<ServerView::DaemonSetPtr>& objects) {
  std::set<std::string> present;
  for (const ServerView::DaemonSetPtr& object : objects) {
    const std::string& uid = object->metadata().uid();
    present.insert(uid);
    const auto known = sets_.find(uid);
    if (known == sets_.end()) {
      Set& set = sets_.emplace(uid, Set{.object = object, .hosted = pods::MakeHosted(*object, kSource)}).first->second;
      set.hosted.first_seen = services_.timeline.Read().wall;
      set.images = ImagesOfTemplate(*object);
    } else if (known->second.object != object) {
      Hosted hosted = pods::MakeHosted(*object, kSource);
      hosted.first_seen = known->second.hosted.first_seen;
      hosted.decision = std::move(known->second.hosted.decision);
      known->second.object = object;
      known->second.hosted = std::move(hosted);
      known->second.images = ImagesOfTemplate(*object);
    }
  }
  std::erase_if(sets_, [&](const auto& entry) { return !present.contains(entry.first); });
}

// How long a set waits before another pod takes a failed one's place.
void PodSync::JudgeFailures(Round& round) {
  std::map<std::string, std::vector<decide::FailedPod>> failed;
  std::set<std::string> healthy;
  for (const auto& [uid, pod] : round.by_uid) {
    if (pod->status().phase() != "Failed") continue;
    std::string message = pod->status().reason();
    if (!pod->status().message().empty()) message += (message.empty() ? "" : ": ") + pod->status().message();
    failed[decide::DaemonSetOf(*pod)].push_back({.uid = pod->metadata().uid(),
                                                 .created_at = decide::FromApiTime(pod->metadata().creationtimestamp()),
                                                 .message = std::move(message)});
  }
  for (const LocalPod& local : round.input.local) {
    if (local.ready && !local.stopping) healthy.insert(local.owner_uid);
    if (local.terminal_phase != "Failed" || round.by_uid.contains(local.object_uid)) continue;
    failed[local.owner_uid].push_back({.uid = local.uid, .created_at = local.created_at});
  }
  for (std::size_t i = 0; i < round.sets.size(); ++i) {
    Set& set = *round.sets[i];
    const std::string& uid = set.hosted.workload.uid;
    set.verdict = decide::JudgeFailedPods(set.hosted.workload.template_hash, failed[uid], healthy.contains(uid),
                                          services_.timeline.mono(), set.failed);
    round.input.sets[i].replace_failed = set.verdict.replace;
    if (set.verdict.look_again) LookAgainAt(*set.verdict.look_again);
    for (const std::string& old : set.verdict.remove) {
      const auto object = round.by_uid.find(old);
      if (object == round.by_uid.end() || decide::IsTerminating(*object->second)) continue;
      AskForDeletion({.namespace_ = object->second->metadata().namespace_(),
                      .name = object->second->metadata().name(),
                      .uid = old,
                      .reason = "a newer failed pod is the evidence"});
    }
  }
}

void PodSync::FollowLabels(const Round& round) {
  for (const auto& [uid, worker] : workers_.all()) {
    if (!worker->identity().from_api_server) continue;
    const auto object = round.by_uid.find(worker->identity().object_uid);
    if (object == round.by_uid.end() || followed_[uid] == object->second) continue;
    followed_[uid] = object->second;
    worker->SetLabels(*object->second);
  }
  std::erase_if(followed_, [this](const auto& entry) { return !workers_.all().contains(entry.first); });
}

void PodSync::Carry(const Round& round, const decide::MergePlan& plan) {
  namespace merge = decide::merge;
  std::vector<Wish> wishes;
  for (const decide::MergeAction& action : plan.actions) {
    if (!std::holds_alternative<merge::WriteStatus>(action)) log::Debug(decide::Describe(action));
    if (const auto* adopt = std::get_if<merge::AdoptPod>(&action)) {
      Adopt(round, *adopt);
    } else if (const auto* release = std::get_if<merge::ReleasePod>(&action)) {
      PodWorker* worker = workers_.Find(release->uid);
      if (worker != nullptr) worker->SetOwner("Pod", worker->pod().metadata().name(), release->uid);
    } else if (const auto* claim = std::get_if<merge::ClaimObject>(&action)) {
      AskForOwner(round, claim->object_uid, round.sets[claim->set], "");
    } else if (const auto* give = std::get_if<merge::ReleaseObject>(&action)) {
      AskForOwner(round, give->object_uid, nullptr, give->owner_uid);
    } else if (const auto* relabel = std::get_if<merge::RelabelObject>(&action)) {
      AskFor(round, *relabel);
    } else if (const auto* stop = std::get_if<merge::StopPod>(&action)) {
      if (PodWorker* worker = workers_.FindOrTakeOver(stop->uid)) worker->Terminate(stop->grace, stop->reason);
    } else if (const auto* deletion = std::get_if<merge::DeleteObject>(&action)) {
      AskForDeletion(*deletion);
    } else if (const auto* create = std::get_if<merge::CreateObject>(&action)) {
      AskFor(round, *create);
    } else if (const auto* mirror = std::get_if<merge::CreateMirror>(&action)) {
      AskFor(round, *mirror);
    } else if (const auto* start = std::get_if<merge::StartPod>(&action)) {
      const corev1::Pod& object = *round.by_uid.at(start->object_uid);
      const auto set = sets_.find(decide::DaemonSetOf(object));
      wishes.push_back({.pod = object,
                        .identity = IdentityOf(object),
                        .set = set == sets_.end() ? nullptr : &set->second,
                        .made_elsewhere = start->made_elsewhere});
    } else if (const auto* provisional = std::get_if<merge::StartProvisional>(&action)) {
      Set& set = *round.sets[provisional->set];
      if (!provisional->local_uid.empty()) {
        GoOnWith(set, provisional->local_uid);
        continue;
      }
      Wish wish{.pod = NextPod(set), .set = &set};
      model::SetDefaults(wish.pod);
      wish.identity = IdentityOf(wish.pod);
      wish.identity.object_uid.clear();
      wishes.push_back(std::move(wish));
    } else if (const auto* status = std::get_if<merge::WriteStatus>(&action)) {
      AskFor(round, *status);
    } else if (const auto* forget = std::get_if<merge::ForgetPod>(&action)) {
      workers_.Forget(forget->uid);
    }
  }
  Start(round, std::move(wishes));
}

// ---- Starts

std::vector<decide::PreemptionCandidate> PodSync::HoldingRoom() const {
  std::vector<decide::PreemptionCandidate> holding;
  for (const auto& [uid, worker] : workers_.all()) {
    if (worker->terminal() || workers_.HasEnded(uid)) continue;
    holding.push_back({.pod = &worker->pod(),
                       .is_static = !worker->identity().from_api_server,
                       .terminating = worker->terminating()});
  }
  return holding;
}

void PodSync::Start(const Round& round, std::vector<Wish> wishes) {
  if (wishes.empty()) return;
  if (round.input.node == nullptr) return;  // waited for: a Node that is not known has room for nothing
  std::vector<const corev1::Pod*> pods;
  for (Wish& wish : wishes) {
    decide::SetOverhead(*wish.pod.mutable_spec(), services_.settings.runtime_classes);
    pods.push_back(&wish.pod);
  }
  const std::vector<decide::StartAnswer> answers = decide::GiveRoom(*round.input.node, pods, HoldingRoom());
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    if (wishes[i].set != nullptr) admissions_[wishes[i].set->hosted.workload.uid] = answers[i].admission;
    if (answers[i].admission.admitted) {
      StartWorker(round, wishes[i]);
    } else {
      Refuse(round, wishes[i], answers[i]);
    }
  }
}

void PodSync::StartWorker(const Round& round, const Wish& wish) {
  const metav1::ObjectMeta& metadata = wish.pod.metadata();
  log::Info("starting pod", {{"pod", NameOf(wish.pod)},
                             {"uid", metadata.uid()},
                             {"daemonSet", DaemonSetOf(wish.identity, wish.pod)},
                             {"source", kSource}});
  if (!round.by_uid.contains(metadata.uid()) && wish.set != nullptr) {
    const decide::Workload& workload = wish.set->hosted.workload;
    pods::RaiseSequence(
        services_.records,
        {.uid = workload.uid, .namespace_ = workload.namespace_, .name = workload.name, .from_api_server = true},
        wish.identity.sequence + 1);
    pods::TellCreation(services_.events, wish.set->hosted.daemon_set, metadata.name());
  }
  if (wish.made_elsewhere) TellAdoption(wish.pod);
  refusals_.erase(metadata.uid());
  workers_.Start(wish.identity, wish.pod);
}

void PodSync::Refuse(const Round& round, const Wish& wish, const decide::StartAnswer& answer) {
  const std::string& message = answer.admission.message;
  MakeRoom(answer, wish.pod);
  const auto object = round.by_uid.find(wish.pod.metadata().uid());
  if (object == round.by_uid.end()) return;
  std::string& told = refusals_[object->first];
  if (told != message) {
    told = message;
    if (wish.set == nullptr) {  // else TellDecisions tells it
      services_.observer->AdmissionRefused(answer.admission.reason);
      log::Warning("no room for a pod on this node", {{"pod", NameOf(wish.pod)},
                                                      {"node", settings_.node_name},
                                                      {"reason", answer.admission.reason},
                                                      {"err", message}});
    }
    services_.events.Record(decide::ReferenceTo(*object->second), EventType::kWarning, "FailedScheduling", message);
  }
  if (!round.input.server_reachable) return;
  const corev1::PodStatus status = decide::UnschedulableStatus(*object->second, message, round.input.now);
  if (auto write = decide::PodStatusToWrite(*object->second, status)) {
    AskFor(round, decide::merge::WriteStatus{object->first, std::move(*write)});
  }
}

void PodSync::MakeRoom(const decide::StartAnswer& answer, const corev1::Pod& important) {
  for (const std::string& uid : answer.victims) {
    PodWorker* victim = workers_.Find(uid);
    if (victim == nullptr || victim->terminating()) continue;
    const std::string reason = fmt::format("it makes room for {}, which is more important", NameOf(important));
    services_.events.Record(decide::ReferenceTo(victim->pod()), EventType::kNormal, "Preempted",
                            "Preempted by pod " + NameOf(important) + " on node " + settings_.node_name);
    Stop(*victim, reason);
  }
}

// The end of a pod begins at the server, if it can be asked: it notes the deletion, and the node follows.
void PodSync::Stop(PodWorker& worker, const std::string& reason) {
  const std::string& object_uid = worker.identity().object_uid;
  const metav1::ObjectMeta& metadata = worker.pod().metadata();
  if (!object_uid.empty() && node_().claimed && server_.reachable()) {
    AskForDeletion({.namespace_ = metadata.namespace_(), .name = metadata.name(), .uid = object_uid, .reason = reason});
    return;
  }
  worker.Terminate(Seconds(worker.pod().spec().terminationgraceperiodseconds()), reason);
}

void PodSync::Adopt(const Round& round, const decide::merge::AdoptPod& adopt) {
  const corev1::Pod& object = *round.by_uid.at(adopt.object_uid);
  PodIdentity identity = IdentityOf(object);
  PodWorker* worker = workers_.Find(adopt.uid);
  if (worker == nullptr) {
    const decide::ObservedPod* observed = services_.view.Find(adopt.uid);
    if (observed == nullptr) return;
    // What its containers were made from is what the sandbox says, not what the object's labels say by now.
    if (const auto written = pods::ReadIdentity(*observed)) {
      identity.template_hash = written->template_hash;
      identity.restart_hash = written->restart_hash;
      identity.hash_version = written->hash_version;
      identity.sequence = written->sequence;
    }
    corev1::Pod pod = object;  // its status too: what did not change keeps its transition times
    pod.mutable_metadata()->set_uid(adopt.uid);
    pod.mutable_metadata()->clear_deletiontimestamp();
    decide::SetOverhead(*pod.mutable_spec(), services_.settings.runtime_classes);
    log::Info(
        "adopted pod",
        {{"pod", NameOf(pod)}, {"uid", adopt.uid}, {"daemonSet", DaemonSetOf(identity, pod)}, {"source", kSource}});
    worker = &workers_.Start(std::move(identity), std::move(pod));
  } else {
    worker->SetObject(adopt.object_uid);
    worker->SetOwner(identity.owner_kind, identity.owner_name, identity.owner_uid);
  }
  if (adopt.made_elsewhere) TellAdoption(object);
}

void PodSync::GoOnWith(const Set& set, const std::string& provisional_uid) {
  const decide::ObservedPod* observed = services_.view.Find(provisional_uid);
  std::optional<PodIdentity> identity = observed ? pods::ReadIdentity(*observed) : std::nullopt;
  if (!identity) return;
  identity->object_uid.clear();
  corev1::Pod pod = MakePod(set, identity->sequence);
  pod.mutable_metadata()->set_uid(provisional_uid);
  model::SetDefaults(pod);
  decide::SetOverhead(*pod.mutable_spec(), services_.settings.runtime_classes);
  log::Info("adopted pod", {{"pod", NameOf(pod)},
                            {"uid", provisional_uid},
                            {"daemonSet", DaemonSetOf(*identity, pod)},
                            {"source", "checkpoint"}});
  workers_.Start(std::move(*identity), std::move(pod));
}

// Elsewhere than with `local`, others make all of them.
void PodSync::TellAdoption(const corev1::Pod& object) {
  if (settings_.source != decide::PodSource::kLocal) return;
  services_.events.Record(decide::ReferenceTo(object), EventType::kNormal, "Adopted",
                          "This pod was not made by daemonsetd, which runs it now");
}

// ---- Images

void PodSync::FetchImages(const Round& round, const decide::MergePlan& plan) {
  std::set<std::string> wanted, named;
  for (std::size_t i = 0; i < round.sets.size(); ++i) {
    const Set& set = *round.sets[i];
    const decide::Workload& workload = set.hosted.workload;
    if (plan.placements[i].should_run) named.insert(set.images.begin(), set.images.end());
    if (plan.outdated[i].empty()) continue;
    wanted.insert(workload.uid);
    if (prefetch_.Knows(workload.uid, workload.template_hash)) continue;
    const auto object = round.by_uid.find(plan.outdated[i]);
    const PodWorker* worker = workers_.Find(plan.outdated[i]);
    if (object == round.by_uid.end() && worker == nullptr) continue;  // a worker comes first
    prefetch_.Begin({.set_uid = workload.uid,
                     .template_hash = workload.template_hash,
                     .pod = NextPod(set),
                     .predecessor = object != round.by_uid.end() ? *object->second : worker->pod()});
  }
  prefetch_.KeepOnly(wanted);
  const bool changed = named != named_images_ || prefetch_.completed() != fetched_templates_;
  if (!changed || round.input.node == nullptr) return;
  fetched_templates_ = prefetch_.completed();
  named_images_ = std::move(named);
  settings_.on_images(named_images_);
}

// What an old pod of the set waits for; empty when there is none, or when it goes already.
std::string PodSync::AwaitedByOldPod(const Set& set, const std::string& outdated) const {
  if (outdated.empty()) return {};
  const decide::Workload& workload = set.hosted.workload;
  if (workload.on_delete) return "updateStrategy OnDelete: the old template runs until its pod is deleted";
  if (std::string conflict = decide::SurgeConflict(*set.object); !conflict.empty()) return conflict;
  if (!prefetch_.IsComplete(workload.uid)) return "the images of the new template; the old pod runs on meanwhile";
  return "its turn in the rolling update; the old pod runs on meanwhile";
}

// ---- What it tells

void PodSync::TimeVerdicts(const Round& round, const decide::MergePlan& plan) {
  const MonoTime now = services_.timeline.mono();
  const bool judged = round.input.node != nullptr && round.input.daemon_sets != Knowledge::kWaiting;
  for (std::size_t i = 0; i < round.sets.size(); ++i) {
    std::optional<MonoTime>& since = round.sets[i]->unwanted_since;
    if (!judged || plan.placements[i].should_keep_running) {
      since.reset();
      continue;
    }
    if (!since) since = now;
    if (const MonoTime settled = *since + kFlicker; settled > now) LookAgainAt(settled);
  }
}

void PodSync::ForgetOldSets(const Round& round) {
  if (settings_.source != decide::PodSource::kLocal || !complete()) return;
  std::set<std::string> staying;
  for (const LocalPod& local : round.input.local) staying.insert(local.owner_uid);
  for (const auto& [uid, set] : sets_) staying.insert(uid);
  pods::ForgetSequences(services_.records, [&staying](const std::string& uid) { return staying.contains(uid); });
}

std::vector<const Hosted*> PodSync::Workloads() const {
  std::vector<const Hosted*> workloads;
  workloads.reserve(sets_.size());
  for (const auto& [uid, set] : sets_) workloads.push_back(&set.hosted);
  return workloads;
}

bool PodSync::complete() const {
  return manifests_complete_ && services_.view.synced() && server_.daemon_sets_known() == Knowledge::kComplete &&
         server_.pods_known() == Knowledge::kComplete;
}

std::vector<std::shared_ptr<const corev1::Pod>> PodSync::HostedPods() const {
  std::vector<std::shared_ptr<const corev1::Pod>> hosted = server_.Pods();
  for (const auto& [uid, worker] : workers_.all()) hosted.push_back(std::make_shared<const corev1::Pod>(worker->pod()));
  for (const auto& [uid, set] : sets_) {
    const decide::Placement& placement = set.hosted.decision.placement;
    if (!placement.should_run && !placement.should_keep_running) continue;
    corev1::Pod pod;
    pod.mutable_metadata()->set_namespace_(set.hosted.workload.namespace_);
    *pod.mutable_spec() = set.object->spec().template_().spec();
    hosted.push_back(std::make_shared<const corev1::Pod>(std::move(pod)));
  }
  return hosted;
}

Result<std::vector<std::string>> PodSync::RestartDaemonSet(const std::string& name_space, const std::string& name) {
  const auto stopping = pods::DaemonSetToRestart(workers_, Workloads(), name_space, name);
  if (!stopping) return stopping.error();
  std::vector<std::string> names;
  for (PodWorker* worker : *stopping) {
    names.push_back(worker->pod().metadata().name());
    Stop(*worker, pods::kRestartReason);
  }
  return names;
}

Result<std::vector<std::string>> PodSync::RestartPod(const std::string& name_space, const std::string& name) {
  const auto worker = pods::PodToRestart(workers_, /*from_api_server=*/true, name_space, name);
  if (!worker) return worker.error();
  Stop(**worker, pods::kRestartReason);
  return std::vector<std::string>{name};
}

}  // namespace daemonsetd::cluster

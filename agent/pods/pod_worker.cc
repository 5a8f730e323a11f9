#include "agent/pods/pod_worker.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "agent/base/log.h"
#include "agent/decide/crash_loop.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_status.h"
#include "agent/pods/pod_record.h"
#include "agent/pods/termination_message.h"

namespace daemonsetd::pods {
namespace {

using decide::NameOf;

constexpr std::string_view kStartKey = "start ";  // of decide::OperationKey, before the container's name

const std::string* ContainerOf(const decide::Action& action) {
  if (const auto* start = std::get_if<decide::StartContainer>(&action)) return &start->name;
  if (const auto* created = std::get_if<decide::StartCreatedContainer>(&action)) return &created->name;
  return nullptr;
}

// As the kubelet's metrics tell the work on a pod apart.
std::string_view KindOf(const decide::Action& action) {
  if (IsStart(action)) return "create";
  return std::holds_alternative<decide::UpdateResources>(action) ? "update" : "terminate";
}

// Images have a back-off of their own. Soon after a pull failed, a start finds it and says so (ImagePullBackOff); the
// next one comes when it ends, and pulls.
Backoff UntilNextPull(const Outcome& outcome, MonoTime now) {
  const Nanoseconds wait =
      outcome.reason == "ImagePullBackOff" ? *outcome.next_pull - now : decide::kOperationBackoff.initial;
  Backoff backoff({.initial = wait, .maximum = wait});
  backoff.Fail(now);
  return backoff;
}

}  // namespace

PodWorker::PodWorker(PodServices& services, PodIdentity identity, corev1::Pod pod, std::function<void()> on_change)
    : services_(services),
      identity_(std::move(identity)),
      pod_(std::move(pod)),
      on_change_(std::move(on_change)),
      events_(services.events, pod_),
      operations_(
          services, identity_, pod_, events_,
          [this](const std::string& container, const std::string& id) { Created(container, id); },
          [this] { ObjectsChanged(); }),
      probes_(services, pod_, memory_, [this] { wake_.Notify(); }),
      wake_(services.executor),
      starts_(services.executor),
      others_(services.executor),
      began_(services.timeline.mono()) {
  facts_.start_time = services.timeline.Read().wall;
  if (const auto* record = services.records.FindPod(pod_.metadata().uid())) {
    RestoreMemory(*record, memory_);
    if (identity_.object_uid.empty()) identity_.object_uid = record->object_uid();
    if (record->start_time() != 0) facts_.start_time = WallTime(Nanoseconds(record->start_time()));
  }
  // An earlier life evicted it: what is left of it goes.
  if (memory_.end) intent_ = {.terminate = true, .kill_at = began_, .reason = memory_.end->message};
  for (const std::string& problem : decide::CrashLoopOf(pod_, services.limits.crash_loop).problems) {
    events_.InvalidAnnotation(problem + "; the node's crashLoopBackOff holds");
  }
  // From the first moment that somebody can ask: an adopted pod was never "not ready" in between.
  const decide::ObservedPod* found = services_.view.Find(pod_.metadata().uid());
  *pod_.mutable_status() = StatusNow(found ? *found : decide::ObservedPod());
}

Task<void> PodWorker::Run() {
  others_.Spawn("fresh volumes of " + NameOf(pod_), operations_.objects().KeepFresh());
  std::exception_ptr stopped;
  try {
    while (!finished_) {
      const decide::ObservedPod* found = services_.view.Find(pod_.metadata().uid());
      const decide::ObservedPod observed = found ? *found : decide::ObservedPod();
      const MonoTime now = services_.timeline.mono();
      decide::Remember(pod_, observed, now, services_.limits, memory_);
      // A sandbox that is stopped on purpose did not die.
      if (intent_.rest == decide::PodIntent::Rest::kStop) memory_.live_sandbox_id.clear();
      decide::PodPlan plan = decide::PlanPod(pod_, intent_, observed, memory_, now);
      intent_.spare_disk = false;
      const bool news = waiting_for_ != plan.waiting_for;
      waiting_for_ = plan.waiting_for;
      LinkLogs(observed);
      ReadLastWords(observed);
      for (decide::Action& action : plan.actions) Launch(std::move(action));
      probes_.Sync(observed, Stops());
      finished_ = plan.finished;
      at_rest_ = plan.at_rest;
      KeepRecord(observed);
      PublishStatus(observed, news);
      if (!finished_) co_await wake_.WaitUntil(services_.timeline, plan.wake_at);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  starts_.Cancel();
  others_.Cancel();
  co_await probes_.Stop();
  co_await starts_.Join();
  co_await others_.Join();
  if (stopped) std::rethrow_exception(stopped);
}

void PodWorker::Terminate(Seconds grace, std::string reason) {
  const Now now = services_.timeline.Read();
  const MonoTime kill_at = now.mono + grace;
  intent_.rest = decide::PodIntent::Rest::kNone;
  if (intent_.terminate && kill_at >= intent_.kill_at) return;
  if (!intent_.terminate) {
    log::Info("stopping pod", {{"pod", NameOf(pod_)}, {"grace", FormatDuration(grace)}, {"reason", reason}});
    intent_.reason = std::move(reason);
  }
  intent_.terminate = true;
  intent_.kill_at = kill_at;
  pod_.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(
      std::chrono::floor<Seconds>(now.wall + grace).time_since_epoch().count());
  pod_.mutable_metadata()->set_deletiongraceperiodseconds(grace.count());
  starts_.Cancel();
  wake_.Notify();
}

void PodWorker::Evict(Seconds grace, decide::PodEnd end) {
  if (intent_.terminate || terminal()) return;
  memory_.terminal_phase = "Failed";
  intent_ = {.terminate = true, .kill_at = services_.timeline.mono() + grace, .reason = end.message};
  memory_.end = std::move(end);
  starts_.Cancel();
  wake_.Notify();
}

void PodWorker::SpareDisk() {
  intent_.spare_disk = true;
  wake_.Notify();
}

void PodWorker::StartNothing(std::string reason) {
  if (intent_.terminate || intent_.rest != decide::PodIntent::Rest::kNone) return;
  intent_.rest = decide::PodIntent::Rest::kNothingStarts;
  intent_.reason = std::move(reason);
  wake_.Notify();
}

void PodWorker::Rest(Seconds grace) {
  if (intent_.terminate) return;
  log::Info("stopping pod until the machine is back",
            {{"pod", NameOf(pod_)}, {"grace", FormatDuration(grace)}, {"reason", intent_.reason}});
  intent_.rest = decide::PodIntent::Rest::kStop;
  intent_.kill_at = services_.timeline.mono() + grace;
  starts_.Cancel();
  wake_.Notify();
}

void PodWorker::GoOn() {
  if (intent_.terminate || intent_.rest == decide::PodIntent::Rest::kNone) return;
  intent_ = {};
  at_rest_ = false;
  wake_.Notify();
}

bool PodWorker::Stops() const { return intent_.terminate || intent_.rest == decide::PodIntent::Rest::kStop; }

std::string PodWorker::waiting_for() const {
  for (const auto& [key, operation] : memory_.in_flight) {
    if (!key.starts_with(kStartKey)) continue;
    const std::string container = key.substr(kStartKey.size());
    if (const auto pull = services_.images.WaitingFor(RequesterName(pod_, container))) {
      return "container " + container + ": " + Describe(*pull, services_.timeline.Read());
    }
  }
  const bool makes_sandbox = memory_.in_flight.contains(decide::OperationKey(decide::CreateSandbox{}));
  if (makes_sandbox && !services_.knows_runtime()) return "the container runtime to say what it can do";
  if (makes_sandbox && !pod_.spec().hostnetwork() && !services_.network.problem().empty()) {
    return "network: " + services_.network.problem();
  }
  return waiting_for_;
}

void PodWorker::Update(const corev1::Pod& pod, std::string template_hash) {
  log::Info("new resources for a running pod", {{"pod", NameOf(pod_)}, {"template", template_hash}});
  *pod_.mutable_spec() = pod.spec();
  *pod_.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  identity_.template_hash = std::move(template_hash);
  operations_.objects().PodChanged();
  wake_.Notify();
}

void PodWorker::SetOwner(std::string kind, std::string name, std::string uid) {
  identity_.owner_kind = std::move(kind);
  identity_.owner_name = std::move(name);
  identity_.owner_uid = std::move(uid);
  wake_.Notify();
}

void PodWorker::SetObject(std::string object_uid) {
  identity_.object_uid = std::move(object_uid);
  wake_.Notify();
}

void PodWorker::SetLabels(const corev1::Pod& object) {
  metav1::ObjectMeta& metadata = *pod_.mutable_metadata();
  if (metadata.generation() != object.metadata().generation()) {
    metadata.set_generation(object.metadata().generation());
    wake_.Notify();
  }
  const auto same = [](const auto& a, const auto& b) {
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&b](const auto& entry) {
             const auto found = b.find(entry.first);
             return found != b.end() && found->second == entry.second;
           });
  };
  if (same(metadata.labels(), object.metadata().labels()) &&
      same(metadata.annotations(), object.metadata().annotations())) {
    return;
  }
  *metadata.mutable_labels() = object.metadata().labels();
  *metadata.mutable_annotations() = object.metadata().annotations();
  operations_.objects().PodChanged();
  wake_.Notify();
}

void PodWorker::Launch(decide::Action action) {
  std::string key = decide::OperationKey(action);
  decide::InFlight in_flight{.since = services_.timeline.mono(), .kill_at = std::nullopt};
  if (const auto* stop = std::get_if<decide::StopContainer>(&action)) {
    in_flight.kill_at = in_flight.since + stop->grace;
    if (memory_.in_flight.contains(key) && operations_.HurryStop(stop->container_id, *in_flight.kill_at)) {
      memory_.in_flight[key].kill_at = in_flight.kill_at;
      return;
    }
    if (!memory_.in_flight.contains(key)) events_.Killing(*stop);
  }
  memory_.in_flight[key] = in_flight;
  const int generation = ++generations_[key];
  log::Debug(decide::ToString(action), {{"pod", NameOf(pod_)}});
  async::TaskScope& scope = IsStart(action) ? starts_ : others_;
  std::string name = NameOf(pod_) + " " + key;
  // An operation that is cancelled before its first step ends without Perform having run, so the end is noted here.
  std::function<void()> on_end = [this, key, generation] {
    if (generations_[key] != generation) return;
    memory_.in_flight.erase(key);
    wake_.Notify();
  };
  scope.Spawn(std::move(name), Perform(std::move(action), std::move(key), generation), std::move(on_end));
}

Task<void> PodWorker::Perform(decide::Action action, std::string key, int generation) {
  const std::uint64_t changes = operations_.objects().changes();
  const MonoTime since = services_.timeline.mono();
  const Outcome outcome = co_await operations_.Execute(action);
  services_.observer->WorkerOperation(KindOf(action), services_.timeline.mono() - since);
  TellStart(action, outcome);
  Ended(action, key, generation, outcome);
  // It may have failed for want of what has come meanwhile.
  if (!outcome.status && operations_.objects().changes() != changes) ObjectsChanged();
}

void PodWorker::TellStart(const decide::Action& action, const Outcome& outcome) {
  // Given up since the pod stops, or nobody's failure.
  if (!outcome.status && (outcome.unknown || outcome.status.error().kind() == ErrorKind::kCancelled)) return;
  if (const auto* create = std::get_if<decide::CreateSandbox>(&action)) {
    if (outcome.status && create->attempt == 0) started_here_ = true;
    services_.observer->PodStarted(outcome.status.has_value());
  }
  const std::string* container = ContainerOf(action);
  if (container == nullptr) return;
  const auto& inits = pod_.spec().initcontainers();
  const bool init = std::any_of(inits.begin(), inits.end(), [&](const auto& one) { return one.name() == *container; });
  const auto* start = std::get_if<decide::StartContainer>(&action);
  services_.observer->ContainerStarted(init ? "init_container" : "container", outcome.status ? "" : outcome.reason,
                                       start != nullptr && start->attempt > 0);
}

void PodWorker::TellRuns(const decide::ObservedPod& observed) {
  const Nanoseconds whole = services_.timeline.mono() - began_;
  Nanoseconds others = operations_.pulled_for();
  for (const decide::ObservedContainer& container : observed.containers) {
    if (container.status.state() != cri::v1::CONTAINER_EXITED) continue;
    for (const corev1::Container& init : pod_.spec().initcontainers()) {
      if (init.name() != container.status.metadata().name()) continue;
      others += Nanoseconds(container.status.finished_at() - container.status.started_at());
    }
  }
  services_.observer->PodRuns(whole, std::max(whole - others, Nanoseconds::zero()));
}

// What waits after a failure, and could have failed for want of an object, is tried at once.
void PodWorker::ObjectsChanged() {
  std::erase_if(memory_.failures, [](const auto& failure) {
    return failure.first == decide::OperationKey(decide::SetUpPod{}) ||
           failure.first == decide::OperationKey(decide::CreateSandbox{}) || failure.first.starts_with(kStartKey);
  });
  wake_.Notify();
}

void PodWorker::Ended(const decide::Action& action, const std::string& key, int generation, const Outcome& outcome) {
  if (generations_[key] != generation) return;
  const MonoTime now = services_.timeline.mono();
  if (const auto* hook = std::get_if<decide::RunPostStart>(&action)) return HookEnded(*hook, outcome);
  const std::string* container = ContainerOf(action);
  if (outcome.status) {
    memory_.failures.erase(key);
    if (container) memory_.containers[*container].waiting.reset();
    if (const auto* update = std::get_if<decide::UpdateResources>(&action)) {
      memory_.instances[update->container_id].resources = update->resources;
    }
    if (std::holds_alternative<decide::SetUpPod>(action)) memory_.set_up = true;
    if (std::holds_alternative<decide::TearDownPod>(action)) memory_.torn_down = true;
    if (std::holds_alternative<decide::SetUpPod>(action) || std::holds_alternative<decide::CreateSandbox>(action)) {
      memory_.sandbox_waiting.reset();
    }
    return;
  }
  const Error error = outcome.status.error();
  if (error.kind() == ErrorKind::kCancelled && Stops()) return;
  if (outcome.next_pull && *outcome.next_pull > now) {
    memory_.failures.insert_or_assign(key, UntilNextPull(outcome, now));
  } else {
    memory_.failures.try_emplace(key, decide::kOperationBackoff).first->second.Fail(now);
  }
  if (!outcome.unknown) events_.Failed(action, outcome.reason, error);
  log::Warning("operation failed; trying again after a back-off",
               {{"pod", NameOf(pod_)},
                {"operation", decide::ToString(action)},
                {"reason", outcome.reason},
                {"retryIn", FormatDuration(memory_.failures.at(key).delay())},
                {"err", error.message()}});
  decide::WaitingReason waiting{outcome.reason, error.message()};
  if (container) {
    decide::ContainerMemory& remembered = memory_.containers[*container];
    remembered.waiting = std::move(waiting);
    // The name of this attempt is held by a call that we no longer wait for (LC-09): leave it alone if no list shows
    // it.
    const auto* start = std::get_if<decide::StartContainer>(&action);
    if (start && error.kind() == ErrorKind::kExists) remembered.lowest_attempt = start->attempt + 1;
    // The runtime ended in the middle of the first start and keeps half of its process.
    const auto* created = std::get_if<decide::StartCreatedContainer>(&action);
    if (created && error.kind() == ErrorKind::kExists) memory_.instances[created->container_id].unstartable = true;
  } else if (std::holds_alternative<decide::SetUpPod>(action)) {
    memory_.sandbox_waiting = std::move(waiting);
  } else if (const auto* create = std::get_if<decide::CreateSandbox>(&action)) {
    memory_.sandbox_waiting = std::move(waiting);
    if (error.kind() == ErrorKind::kExists) memory_.lowest_sandbox_attempt = create->attempt + 1;  // LC-10
  }
}

void PodWorker::Created(const std::string& container, const std::string& container_id) {
  decide::InstanceMemory& instance = memory_.instances[container_id];
  instance.created_here = true;
  const corev1::Container* spec = decide::FindContainer(pod_, container);
  instance.post_start_pending = spec && spec->lifecycle().has_poststart();
}

void PodWorker::HookEnded(const decide::RunPostStart& hook, const Outcome& outcome) {
  const auto instance = memory_.instances.find(hook.container_id);
  if (instance == memory_.instances.end() || Stops()) return;
  if (outcome.status) {
    instance->second.post_start_pending = false;
    return;
  }
  // Stays pending: a container whose hook failed never counts as started.
  instance->second.kill = decide::ContainerKill{.grace = Seconds(pod_.spec().terminationgraceperiodseconds()),
                                                .message = "Container " + hook.name + " failed its postStart hook"};
}

void PodWorker::ReadLastWords(const decide::ObservedPod& observed) {
  for (const decide::ObservedContainer& container : observed.containers) {
    if (container.status.state() != cri::v1::CONTAINER_EXITED) continue;
    decide::InstanceMemory& instance = memory_.instances[container.status.id()];
    if (instance.last_words) continue;
    instance.last_words = container.status.message();  // until the file is read
    others_.Spawn("last words of " + container.status.metadata().name(), ReadLastWord(container.status));
  }
}

Task<void> PodWorker::ReadLastWord(cri::v1::ContainerStatus status) {
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!paths) co_return;
  const std::string id = status.id();
  auto text = std::make_shared<std::string>();
  const std::string image = status.image_ref();
  auto early = std::make_shared<std::string>();
  std::function<Status()> read = [text, early, paths = *paths, status = std::move(status)] {
    *text = TerminationMessage(paths, status);
    *early = WordsOfEarlyEnd(paths, status);
    return Ok();
  };
  const Status done = co_await services_.blocking.Run(std::move(read));
  if (done && !early->empty()) services_.images.NoteFailedStart(image, *early);
  const auto instance = memory_.instances.find(id);
  if (!done || text->empty() || instance == memory_.instances.end()) co_return;
  instance->second.last_words = *text;
  wake_.Notify();
}

void PodWorker::KeepRecord(const decide::ObservedPod& observed) {
  if (finished_) return;  // the supervisor forgets it
  const checkpointv1::PodRecord* known = services_.records.FindPod(pod_.metadata().uid());
  checkpointv1::PodRecord record = known ? *known : checkpointv1::PodRecord();
  record.set_start_time(facts_.start_time.time_since_epoch().count());
  UpdateRecord(pod_, identity_, memory_, observed, record);
  if (known && google::protobuf::util::MessageDifferencer::Equals(*known, record)) return;
  services_.records.Put(std::move(record));
}

// Links belong to the state, not to the start: a crash between start and link is repaired here (LG-06).
void PodWorker::LinkLogs(const decide::ObservedPod& observed) {
  if (intent_.terminate) return;
  for (const decide::ObservedContainer& container : observed.containers) {
    const auto& status = container.status;
    const bool has_log = status.state() == cri::v1::CONTAINER_RUNNING || status.state() == cri::v1::CONTAINER_EXITED;
    if (!has_log || linked_.contains(status.id())) continue;
    if (const Status linked = operations_.LinkLog(status); !linked) {
      log::Warning("no log link", {{"pod", NameOf(pod_)}, {"err", linked.error().message()}});
    }
    linked_.insert(status.id());
  }
}

corev1::PodStatus PodWorker::StatusNow(const decide::ObservedPod& observed) {
  facts_.host_ips = services_.host_ips();
  if (const auto* sandbox = observed.newest_sandbox(); sandbox && sandbox->metadata().attempt() == 0) {
    facts_.start_time = WallTime(Nanoseconds(sandbox->created_at()));
  }
  corev1::PodStatus status =
      decide::ComputePodStatus(pod_, observed, memory_, pod_.status(), facts_, services_.timeline.Read());
  LimitTerminationMessages(pod_.spec(), status);
  return status;
}

void PodWorker::PublishStatus(const decide::ObservedPod& observed, bool news) {
  corev1::PodStatus status = StatusNow(observed);
  news |= finished_ || !google::protobuf::util::MessageDifferencer::Equals(status, pod_.status());
  if (!news) return;
  events_.BackOff(pod_.status(), status);
  if (started_here_ && status.phase() == "Running") {
    started_here_ = false;  // told
    TellRuns(observed);
  }
  *pod_.mutable_status() = std::move(status);
  on_change_();
}

}  // namespace daemonsetd::pods

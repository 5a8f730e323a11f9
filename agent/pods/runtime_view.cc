#include "agent/pods/runtime_view.h"

#include <algorithm>

#include <boost/asio/this_coro.hpp>

#include "agent/base/log.h"
#include "agent/decide/labels.h"

namespace daemonsetd::pods {
namespace {

using cri::v1::CONTAINER_RUNNING;

constexpr int kCallsOfAList = 2;  // sandboxes, then containers
constexpr Nanoseconds kActiveFor = std::chrono::seconds(10);
// Events come in bursts: one list serves all that arrive within this time.
constexpr Nanoseconds kEventSettle = std::chrono::milliseconds(20);
// A runtime without events says so at once. One that has them may have nothing to tell for days, so a stream that stays
// open for this long is believed.
constexpr Nanoseconds kStreamTrial = std::chrono::seconds(3);

// CREATED < RUNNING < EXITED; UNKNOWN may come and go.
bool GoesBack(int from, int to) {
  if (from == cri::v1::CONTAINER_UNKNOWN || to == cri::v1::CONTAINER_UNKNOWN) return false;
  return to < from;
}

// A list tells that an object exists and whose it is; the details come with its inspection. Until then a sandbox or
// container that is seen for the first time must not be taken for missing, nor an exit for one with code 0.
cri::v1::PodSandboxStatus Preliminary(const cri::v1::PodSandbox& sandbox) {
  cri::v1::PodSandboxStatus status;
  status.set_id(sandbox.id());
  *status.mutable_metadata() = sandbox.metadata();
  status.set_state(sandbox.state());
  status.set_created_at(sandbox.created_at());
  *status.mutable_labels() = sandbox.labels();
  *status.mutable_annotations() = sandbox.annotations();
  status.set_runtime_handler(sandbox.runtime_handler());
  return status;
}

cri::v1::ContainerStatus Preliminary(const cri::v1::Container& container) {
  cri::v1::ContainerStatus status;
  status.set_id(container.id());
  *status.mutable_metadata() = container.metadata();
  status.set_state(container.state() == cri::v1::CONTAINER_CREATED ? container.state() : CONTAINER_RUNNING);
  status.set_created_at(container.created_at());
  status.set_started_at(container.created_at());
  *status.mutable_image() = container.image();
  status.set_image_ref(container.image_ref());
  *status.mutable_labels() = container.labels();
  *status.mutable_annotations() = container.annotations();
  return status;
}

template <class Filter>
Filter OurObjects() {
  Filter filter;
  (*filter.mutable_label_selector())[decide::kManagedByLabel] = "true";
  return filter;
}

}  // namespace

RuntimeView::RuntimeView(cri::Runtime& runtime, async::Timeline& timeline, async::Executor executor,
                         RuntimeViewSettings settings, ChangeHandler on_change, ListHandler on_list)
    : runtime_(runtime),
      timeline_(timeline),
      settings_(settings),
      on_change_(std::move(on_change)),
      on_list_(std::move(on_list)),
      wake_(executor),
      scope_(executor) {}

const decide::ObservedPod* RuntimeView::Find(const std::string& pod_uid) const {
  const auto pod = pods_.find(pod_uid);
  return pod == pods_.end() ? nullptr : &pod->second;
}

void RuntimeView::Hurry() {
  hurry_ = true;
  active_until_ = timeline_.mono() + kActiveFor;
  MakeUrgent();
}

void RuntimeView::MakeUrgent() {
  if (!urgent_since_) urgent_since_ = timeline_.mono();
  wake_.Notify();
}

bool RuntimeView::StillUrgent() {
  std::erase_if(news_, [this](const Event& event) { return Knows(event); });
  return hurry_ || !news_.empty();
}

MonoTime RuntimeView::NextList() const {
  // A wake-up only shortens the wait; while the runtime fails, the back-off is kept.
  if (list_backoff_.due()) return *list_backoff_.due();
  if (urgent_since_) return *urgent_since_ + kEventSettle;
  if (inspection_failed_) return listed_at_ + settings_.active_poll;
  if (has_events_) return listed_at_ + settings_.safety_poll;
  return listed_at_ + (timeline_.mono() < active_until_ ? settings_.active_poll : settings_.idle_poll);
}

std::optional<MonoTime> RuntimeView::due() const {
  if (list_ends_by_) return list_ends_by_;
  return listed_at_ == MonoTime{} ? std::nullopt : std::optional(NextList());
}

Task<void> RuntimeView::AwaitNextList() {
  for (;;) {
    const MonoTime due = NextList();
    if (timeline_.mono() < due) {
      co_await wake_.WaitUntil(timeline_, due);
    } else if (urgent_since_ && !list_backoff_.due() && !StillUrgent()) {
      urgent_since_.reset();  // our own calls told the same meanwhile
    } else {
      co_return;
    }
  }
}

Task<void> RuntimeView::Run() {
  std::exception_ptr stopped;
  try {
    scope_.Spawn("runtime events", FollowEvents());
    for (;;) {
      hurry_ = false;
      inspection_failed_ = false;
      urgent_since_.reset();
      news_.clear();
      const std::optional<MonoTime> before = std::exchange(list_asked_at_, timeline_.mono());
      list_ends_by_ = timeline_.mono() + kCallsOfAList * settings_.call_timeout;
      const daemonsetd::Status listed = co_await Relist();
      list_ends_by_.reset();
      if (on_list_)
        on_list_(timeline_.mono() - *list_asked_at_, before ? std::optional(*list_asked_at_ - *before) : std::nullopt);
      NoteOutcome(listed);
      co_await AwaitNextList();
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await async::kDeafToCancellation;
  scope_.Cancel();
  co_await scope_.Join();
  std::rethrow_exception(stopped);
}

void RuntimeView::NoteOutcome(const daemonsetd::Status& listed) {
  listed_at_ = timeline_.mono();
  const std::string error = listed ? "" : listed.error().message();
  const bool news = error != last_error_;
  if (listed) {
    list_backoff_.Reset();
    if (news) log::Info("the container runtime answers again");
  } else {
    list_backoff_.Fail(listed_at_);
    if (last_error_.empty()) log::Warning("the container runtime does not answer", {{"err", error}});
  }
  last_error_ = error;
  if (news) Changed("");
}

Task<void> RuntimeView::FollowEvents() {
  Backoff backoff(BackoffLimits{.initial = std::chrono::milliseconds(200), .maximum = std::chrono::seconds(10)});
  bool told = false;
  for (;;) {
    const MonoTime began = timeline_.mono();
    trusted_from_ = began + kStreamTrial;
    cri::Runtime::EventHandler on_event = [this](const cri::v1::ContainerEventResponse& event) { Heard(event); };
    const daemonsetd::Status ended = co_await runtime_.ContainerEvents(std::move(on_event));
    trusted_from_.reset();
    has_events_ = false;
    if (ended.has_error() && ended.error().kind() == ErrorKind::kUnsupported) {
      if (!told) log::Info("the container runtime has no events; polling instead");
      told = true;
      co_await timeline_.SleepFor(settings_.safety_poll);  // it may be upgraded under us
      continue;
    }
    Hurry();  // what happened between two streams is found by a list (LC-13)
    if (timeline_.mono() - began > std::chrono::seconds(30)) backoff.Reset();
    co_await timeline_.SleepUntil(backoff.Fail(timeline_.mono()));
  }
}

void RuntimeView::Heard(const cri::v1::ContainerEventResponse& message) {
  Event event{.id = message.container_id(), .type = message.container_event_type()};
  if (!has_events_ && trusted_from_) {
    trusted_from_ = std::min(*trusted_from_, timeline_.mono());
    Hurry();
    return;
  }
  const auto& pod = message.pod_sandbox_status();
  event.foreign = !pod.id().empty() && decide::ValueOf(pod.labels(), decide::kManagedByLabel) != "true";
  if (Knows(event)) return;
  news_.push_back(std::move(event));
  MakeUrgent();
}

bool RuntimeView::Knows(const Event& event) const {
  const auto found = records_.find(event.id);
  if (found == records_.end()) return event.foreign || event.type == cri::v1::CONTAINER_DELETED_EVENT;
  const Record& record = found->second;
  switch (event.type) {
    case cri::v1::CONTAINER_CREATED_EVENT: return true;
    case cri::v1::CONTAINER_STARTED_EVENT:
      return record.is_sandbox || record.state == CONTAINER_RUNNING || record.state == cri::v1::CONTAINER_EXITED;
    case cri::v1::CONTAINER_STOPPED_EVENT:
      return record.is_sandbox ? record.state == cri::v1::SANDBOX_NOTREADY : record.state == cri::v1::CONTAINER_EXITED;
    default: return false;  // deleted, and what later versions may tell
  }
}

Task<Status> RuntimeView::Relist() {
  const MonoTime asked_at = timeline_.mono();
  auto sandboxes = co_await runtime_.ListPodSandbox(OurObjects<cri::v1::PodSandboxFilter>(), settings_.call_timeout);
  if (!sandboxes) co_return sandboxes.error();
  auto containers = co_await runtime_.ListContainers(OurObjects<cri::v1::ContainerFilter>(), settings_.call_timeout);
  if (!containers) co_return containers.error();

  std::set<std::string> listed;
  std::map<std::string, std::vector<std::string>> stale;  // by pod: IDs to inspect
  for (const auto& sandbox : sandboxes->items()) {
    listed.insert(sandbox.id());
    Record& record = records_[sandbox.id()];
    record.is_sandbox = true;
    record.pod_uid = sandbox.metadata().uid();
    if (record.state < 0) Put(Preliminary(sandbox));
    if (record.state != sandbox.state()) stale[record.pod_uid].push_back(sandbox.id());
  }
  for (const auto& container : containers->containers()) {
    listed.insert(container.id());
    Record& record = records_[container.id()];
    record.pod_uid = decide::ValueOf(container.labels(), decide::kPodUidLabel);
    record.sandbox_id = container.pod_sandbox_id();
    if (record.state < 0) Put(Preliminary(container), record.sandbox_id);
    const bool late = record.state >= 0 && GoesBack(record.state, container.state());
    if (record.state != container.state() && !late) stale[record.pod_uid].push_back(container.id());
  }

  std::vector<std::string> vanished;
  for (const auto& [id, record] : records_) {
    // An object made after this list was asked for may be missing from it.
    if (!listed.contains(id) && record.inspected_at < asked_at) vanished.push_back(id);
  }
  for (const std::string& id : vanished) Drop(id);

  for (auto& [pod_uid, ids] : stale) {
    if (inspecting_.contains(pod_uid)) {  // its record does not move on, so the next list finds it again
      inspect_again_.insert(pod_uid);
      continue;
    }
    inspecting_.insert(pod_uid);
    std::string name = "inspect pod " + pod_uid;
    scope_.Spawn(std::move(name), InspectPod(pod_uid, std::move(ids)));
  }
  last_list_ = timeline_.mono();
  if (!has_events_ && trusted_from_ && asked_at >= *trusted_from_) {
    has_events_ = true;
    log::Info("the container runtime sends events; polling rarely");
    Changed("");
  }
  NoteSynced();
  co_return Ok();
}

Task<void> RuntimeView::InspectPod(std::string pod_uid, std::vector<std::string> ids) {
  bool complete = true;
  for (const std::string& id : ids) {
    const auto record = records_.find(id);
    if (record == records_.end()) continue;
    daemonsetd::Status done = Ok();
    if (record->second.is_sandbox) {
      done = co_await InspectSandbox(id);
    } else {
      done = co_await InspectContainer(id, record->second.sandbox_id);
    }
    if (!done) {
      complete = false;
      log::Warning("inspection failed; trying again",
                   {{"podUID", pod_uid}, {"id", id}, {"err", done.error().message()}});
    }
  }
  inspecting_.erase(pod_uid);
  if (inspect_again_.erase(pod_uid) > 0) Hurry();  // it changed during the inspection, which no event tells again
  if (!complete) {
    active_until_ = timeline_.mono() + kActiveFor;
    inspection_failed_ = true;
    wake_.Notify();
  }
  NoteSynced();
}

void RuntimeView::NoteSynced() {
  if (synced_ || !last_list_ || !inspecting_.empty()) return;
  synced_ = true;
  Changed("");
}

Task<Status> RuntimeView::InspectSandbox(std::string sandbox_id) {
  const MonoTime asked_at = timeline_.mono();
  auto answer = co_await runtime_.PodSandboxStatus(sandbox_id, false, settings_.call_timeout);
  if (answer) {
    Store(answer->status(), asked_at);
  } else if (answer.error().kind() == ErrorKind::kAbsent) {
    Drop(sandbox_id);
  } else {
    co_return answer.error();
  }
  co_return Ok();
}

Task<Status> RuntimeView::InspectContainer(std::string container_id, std::string sandbox_id) {
  const MonoTime asked_at = timeline_.mono();
  auto answer = co_await runtime_.ContainerStatus(container_id, false, settings_.call_timeout);
  if (answer) {
    Store(answer->status(), sandbox_id, asked_at);
  } else if (answer.error().kind() == ErrorKind::kAbsent) {
    Drop(container_id);
  } else {
    co_return answer.error();
  }
  co_return Ok();
}

void RuntimeView::Store(const cri::v1::PodSandboxStatus& status, MonoTime asked_at) {
  Record& record = records_[status.id()];
  if (record.state > status.state()) return;  // READY never comes back
  record.is_sandbox = true;
  record.pod_uid = status.metadata().uid();
  record.state = status.state();
  record.inspected_at = asked_at;
  Put(status);
  Changed(record.pod_uid);
}

void RuntimeView::Put(const cri::v1::PodSandboxStatus& status) {
  auto& sandboxes = pods_[status.metadata().uid()].sandboxes;
  const auto same = std::find_if(sandboxes.begin(), sandboxes.end(),
                                 [&](const cri::v1::PodSandboxStatus& other) { return other.id() == status.id(); });
  if (same != sandboxes.end()) {
    *same = status;
  } else {
    sandboxes.push_back(status);
    std::sort(sandboxes.begin(), sandboxes.end(), [](const auto& a, const auto& b) {
      return a.metadata().attempt() != b.metadata().attempt() ? a.metadata().attempt() > b.metadata().attempt()
                                                              : a.created_at() > b.created_at();
    });
  }
}

void RuntimeView::Store(const cri::v1::ContainerStatus& status, const std::string& sandbox_id, MonoTime asked_at) {
  Record& record = records_[status.id()];
  if (record.state >= 0 && GoesBack(record.state, status.state())) return;
  record.pod_uid = decide::ValueOf(status.labels(), decide::kPodUidLabel);
  record.sandbox_id = sandbox_id;
  record.state = status.state();
  record.inspected_at = asked_at;
  Put(status, sandbox_id);
  Changed(record.pod_uid);
}

void RuntimeView::Put(const cri::v1::ContainerStatus& status, const std::string& sandbox_id) {
  auto& containers = pods_[decide::ValueOf(status.labels(), decide::kPodUidLabel)].containers;
  const auto same = std::find_if(containers.begin(), containers.end(), [&](const decide::ObservedContainer& other) {
    return other.status.id() == status.id();
  });
  if (same != containers.end()) {
    same->status = status;
    same->sandbox_id = sandbox_id;
  } else {
    containers.push_back({sandbox_id, status});
    std::sort(containers.begin(), containers.end(),
              [](const decide::ObservedContainer& a, const decide::ObservedContainer& b) {
                return a.status.created_at() > b.status.created_at();
              });
  }
}

void RuntimeView::Drop(const std::string& id) {
  const auto record = records_.find(id);
  if (record == records_.end()) return;
  const std::string pod_uid = record->second.pod_uid;
  records_.erase(record);
  const auto pod = pods_.find(pod_uid);
  if (pod != pods_.end()) {
    std::erase_if(pod->second.sandboxes, [&](const cri::v1::PodSandboxStatus& sandbox) { return sandbox.id() == id; });
    std::erase_if(pod->second.containers,
                  [&](const decide::ObservedContainer& container) { return container.status.id() == id; });
    if (pod->second.sandboxes.empty() && pod->second.containers.empty()) pods_.erase(pod);
  }
  Changed(pod_uid);
}

void RuntimeView::Changed(const std::string& pod_uid) {
  active_until_ = timeline_.mono() + kActiveFor;
  on_change_(pod_uid);
}

}  // namespace daemonsetd::pods

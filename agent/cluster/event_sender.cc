#include "agent/cluster/event_sender.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/kube/typed_resources.h"
#include "agent/model/codec.h"

namespace daemonsetd::cluster {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// client-go's spam filter (tools/record/events_cache.go): so many writes about one object, and then one every so often.
constexpr int kObjectBurst = 25;
constexpr Nanoseconds kObjectInterval = minutes(5);
// An Event that counts up is written at most so often.
constexpr Nanoseconds kCoalesce = seconds(5);
constexpr std::size_t kMostWaiting = 200;
constexpr BackoffLimits kClosedNamespace{.initial = seconds(30), .maximum = minutes(10), .reset_after = minutes(30)};

constexpr kube::CallOptions kCall{.priority = kube::RequestPriority::kEvents};
constexpr BackoffLimits kAfterFailure{.initial = seconds(1), .maximum = minutes(1)};
constexpr Nanoseconds kUnreachableLook = seconds(5);
constexpr Nanoseconds kSpread = seconds(5);
constexpr Nanoseconds kTellAgain = hours(1);
constexpr int kMostNames = 4;
constexpr std::size_t kMaxName = 253;  // a DNS subdomain

std::string ObjectKey(const corev1::ObjectReference& about) {
  return fmt::format("{}/{}/{}/{}", about.kind(), about.namespace_(), about.name(), about.uid());
}

// A name in the log is the object's and a moment, so another agent, or this one before its clock was set back, may have
// taken it.
std::string OtherName(const std::string& name, int number) {
  const std::string suffix = fmt::format("-{}", number);
  return name.substr(0, kMaxName - suffix.size()) + suffix;
}

std::string PatchOf(const corev1::Event& event) {
  corev1::Event changed;
  changed.set_count(event.count());
  changed.set_message(event.message());
  *changed.mutable_lasttimestamp() = event.lasttimestamp();
  return model::EncodeJson(changed);
}

}  // namespace

void EventBacklog::Look(const std::vector<std::shared_ptr<const decide::LoggedEvent>>& recent, MonoTime now) {
  ++looks_;
  waiting_.clear();
  for (const auto& logged : recent) {
    SentEvent& event = events_[logged->event.metadata().name()];
    if (event.name.empty()) event.name = logged->event.metadata().name();
    event.logged = logged;
    event.seen_in = looks_;
    if (event.waits()) waiting_.push_back(&event);
  }
  for (auto it = events_.begin(); it != events_.end();) {
    if (it->second.seen_in == looks_) {
      ++it;
      continue;
    }
    if (it->second.waits()) ++given_up_;
    it = events_.erase(it);
  }
  if (waiting_.size() > kMostWaiting) {
    const auto kept = waiting_.end() - kMostWaiting;
    for (auto it = waiting_.begin(); it != kept; ++it) {
      (*it)->settled = (*it)->logged->change;
      ++given_up_;
    }
    waiting_.erase(waiting_.begin(), kept);
  }
  std::erase_if(spent_, [now](const auto& object) { return object.second <= now; });
  std::erase_if(closed_, [now](const auto& ns) { return *ns.second.due() + kClosedNamespace.reset_after <= now; });
}

// Unset: now.
std::optional<MonoTime> EventBacklog::NotBefore(const SentEvent& event, MonoTime now) const {
  MonoTime when = event.not_before;
  const corev1::Event& logged = event.logged->event;
  if (const auto ns = closed_.find(logged.metadata().namespace_()); ns != closed_.end()) {
    when = std::max(when, *ns->second.due());
  }
  if (const auto object = spent_.find(ObjectKey(logged.involvedobject())); object != spent_.end()) {
    when = std::max(when, object->second - kObjectInterval * (kObjectBurst - 1));
  }
  if (when <= now) return std::nullopt;
  return when;
}

EventBacklog::Turn EventBacklog::Next(MonoTime now) {
  Turn turn;
  for (SentEvent* event : waiting_) {
    if (!event->waits()) continue;
    const std::optional<MonoTime> when = NotBefore(*event, now);
    if (!when) return {.event = event};
    turn.next = turn.next ? std::min(*turn.next, *when) : *when;
  }
  return turn;
}

void EventBacklog::Spend(const SentEvent& event, MonoTime now) {
  MonoTime& until = spent_[ObjectKey(event.logged->event.involvedobject())];
  until = std::max(until, now) + kObjectInterval;
}

void EventBacklog::Written(SentEvent& event, MonoTime now) {
  ++written_;
  event.settled = event.logged->change;
  event.exists = true;
  event.not_before = now + kCoalesce;
  closed_.erase(event.logged->event.metadata().namespace_());
  Spend(event, now);
}

void EventBacklog::GiveUp(SentEvent& event, MonoTime now) {
  ++given_up_;
  event.settled = event.logged->change;
  event.not_before = now + kCoalesce;
  Spend(event, now);
}

void EventBacklog::CloseNamespace(const std::string& ns, MonoTime now) {
  closed_.try_emplace(ns, kClosedNamespace).first->second.Fail(now);
}

EventSender::EventSender(const async::Executor& executor, async::Timeline& timeline, kube::Client& client,
                         pods::EventLog& log, std::function<bool()> reachable, std::function<double()> random)
    : timeline_(timeline),
      client_(client),
      log_(log),
      reachable_(std::move(reachable)),
      random_(std::move(random)),
      wake_(executor),
      backoff_(kAfterFailure),
      failing_("Events cannot be sent to the API server", "Events are sent to the API server again") {}

Task<void> EventSender::Run() {
  for (;;) {
    const std::optional<MonoTime> next = co_await Step();
    if (!next) {
      co_await wake_.Wait();
    } else if (*next > timeline_.mono()) {
      co_await wake_.WaitUntil(timeline_, *next);
    }
  }
}

Task<std::optional<MonoTime>> EventSender::Step() {
  const MonoTime now = timeline_.mono();
  backlog_.Look(log_.Recent(), now);
  const EventBacklog::Turn turn = backlog_.Next(now);
  if (turn.event == nullptr) co_return turn.next;
  if (!reachable_()) {
    was_unreachable_ = true;
    co_return now + kUnreachableLook;
  }
  if (std::exchange(was_unreachable_, false)) PutOff(kSpread);
  if (not_before_ > now) co_return not_before_;

  SentEvent& event = *turn.event;
  const Status written = co_await Write(&event);
  if (written) {
    backlog_.Written(event, timeline_.mono());
    backoff_.Reset();
    failing_.End();
  } else {
    Answered(event, written.error());
  }
  co_return now;
}

Task<Status> EventSender::Write(const SentEvent* event) {
  const corev1::Event& logged = event->logged->event;
  if (event->exists) {
    kube::NamespacedName name(logged.metadata().namespace_(), event->name);
    const Result<corev1::Event> answer =
        co_await client_.Patch<corev1::Event>(std::move(name), kube::PatchType::kMerge, PatchOf(logged), kCall);
    if (!answer) co_return answer.error();
    co_return Ok();
  }
  corev1::Event made = logged;
  made.mutable_metadata()->set_name(event->name);
  const Result<corev1::Event> answer = co_await client_.Create(std::move(made), kCall);
  if (!answer) co_return answer.error();
  co_return Ok();
}

void EventSender::Answered(SentEvent& event, const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kAbsent:
      // The server keeps Events for an hour or so. Where none can be made either, the namespace is missing.
      if (!std::exchange(event.exists, false)) return Refused(event, error);
      return;
    case ErrorKind::kExists:
      if (event.exists) return Failed(event, error);
      if (std::exchange(event.maybe_made, false)) {
        event.exists = true;
      } else if (++event.other_names < kMostNames) {
        event.name = OtherName(event.logged->event.metadata().name(), event.other_names);
      } else {
        Refused(event, error);
      }
      return;
    case ErrorKind::kDenied:
    case ErrorKind::kInvalid: return Refused(event, error);
    default: return Failed(event, error);
  }
}

void EventSender::Refused(SentEvent& event, const Error& error) {
  const MonoTime now = timeline_.mono();
  backlog_.GiveUp(event, now);
  if (error.kind() == ErrorKind::kDenied || error.kind() == ErrorKind::kAbsent) {
    backlog_.CloseNamespace(event.logged->event.metadata().namespace_(), now);
  }
  const auto [told, fresh] = told_refusals_.try_emplace(error.kind(), now);
  if (!fresh && now < told->second + kTellAgain) return;
  told->second = now;
  log::Warning("the API server refuses Events of this node; they show in daemonsetctl events only",
               {{"reason", event.logged->event.reason()}, {"err", error.message()}});
}

void EventSender::Failed(SentEvent& event, const Error& error) {
  if (!event.exists) event.maybe_made = true;
  failing_.Tell(error);
  backoff_.Fail(timeline_.mono());
  PutOff(backoff_.delay());
}

void EventSender::PutOff(Nanoseconds about) { not_before_ = timeline_.mono() + Jittered(about, random_()); }

}  // namespace daemonsetd::cluster

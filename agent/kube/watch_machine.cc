#include "agent/kube/watch_machine.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "agent/base/backoff.h"
#include "agent/kube/resource_version.h"

namespace daemonsetd::kube {
namespace {

constexpr int kBadAnswers = 3;    // then the position is given up
constexpr int kLostLists = 2;     // then pages are given up
constexpr int kEndlessLists = 2;  // then watch lists are given up

Nanoseconds Times(Nanoseconds duration, double factor) {
  return Nanoseconds(static_cast<std::int64_t>(static_cast<double>(duration.count()) * factor));
}

// One step. Functions named after inputs fill `step_`; each ends by setting `then`.
class Machine {
 public:
  Machine(WatchState state, const WatchRules& rules, MonoTime now, double random)
      : step_{.state = std::move(state), .then = WaitUntil{now}}, rules_(rules), now_(now), random_(random) {}

  void Take(const TimeCame&);
  void Take(const WatchOpened&);
  void Take(const WatchRefused& refused);
  void Take(const PageCame& page);
  void Take(const PageRefused& refused);
  void Take(const FrameCame& frame);
  void Take(const StreamEnded&);
  void Take(const StreamBroke& broke);

  WatchStep Finish() && { return std::move(step_); }

 private:
  WatchState& state() { return step_.state; }
  void Expect(bool possible, std::string_view input);
  Error Found(ErrorKind kind, std::string_view text) {
    return Error(kind, fmt::format("{}: {}", state().subject, text));
  }
  void Note(std::string text) { step_.note = std::move(text); }

  void Connect();
  void Open();
  void AskForPage();
  void ReadOn();
  void TakeObject(const FrameCame& frame);
  void TakeBookmark(const FrameCame& frame);
  void Complete(const std::string& version);
  bool Accepts(const std::string& version);
  void WentBack(const std::string& version, std::string_view what);
  void TurnToPages(const Error& error);
  void Relist() { state().position.clear(); }
  void CloseStream();
  void Fail(const Error& error, Nanoseconds at_least = Nanoseconds::zero(), Nanoseconds more = Nanoseconds::zero());
  void FailOf(const ApiError& error);
  void Recovered();
  Nanoseconds RelistSpread() { return Times(rules_.relist_spread, random_); }

  WatchStep step_;
  const WatchRules& rules_;
  const MonoTime now_;
  const double random_;
};

void Machine::Expect(bool possible, std::string_view input) {
  if (!possible) throw std::logic_error(fmt::format("list and watch: {} in phase {}", input, int(state().phase)));
}

// The next attempt: a resumed watch if there is a position, else a list.
void Machine::Connect() {
  WatchState& s = state();
  if (s.pages_until && now_ >= *s.pages_until) s.pages_until.reset();
  s.initial_events = s.position.empty() && !s.confirming && !s.pages_until;
  if (!s.position.empty() || s.initial_events) return Open();
  s.phase = WatchPhase::kListing;
  s.pages = 0;
  s.objects = 0;
  s.list_version.clear();
  s.continue_token.clear();
  AskForPage();
}

void Machine::Open() {
  WatchState& s = state();
  s.phase = WatchPhase::kOpening;
  s.objects = 0;
  OpenWatch open;
  open.options.watch = true;
  open.options.allow_watch_bookmarks = true;
  // 95 % to 105 %, so that nodes that began together do not come back together (AW-04).
  const Nanoseconds timeout = Times(rules_.server_timeout, 0.95 + random_ / 10);
  open.options.timeout_seconds = std::chrono::duration_cast<Seconds>(timeout);
  s.leave_at = now_ + timeout + rules_.client_margin;
  if (s.initial_events) {
    open.options.send_initial_events = true;
    open.options.resource_version_match = "NotOlderThan";
    open.options.resource_version = s.newest;
  } else {
    open.options.resource_version = s.position;
  }
  step_.then = std::move(open);
}

// Pages have no resourceVersion: the server then answers from a consistent read, never from a cache that lags.
void Machine::AskForPage() {
  GetPage page;
  page.options.limit = state().lost_lists >= kLostLists ? 0 : rules_.page_size;
  page.options.continue_token = state().continue_token;
  step_.then = std::move(page);
}

void Machine::ReadOn() {
  MonoTime deadline = state().leave_at;
  if (state().phase == WatchPhase::kCollecting) deadline = std::min(deadline, now_ + rules_.collect_silence);
  step_.then = ReadFrame{deadline};
}

void Machine::Recovered() {
  state().live = true;
  state().last_error.reset();
}

void Machine::CloseStream() {
  WatchState& s = state();
  if (!s.open) return;
  s.open = false;
  const Nanoseconds lived = now_ - s.opened_at;
  if (lived >= rules_.healthy) {
    s.failures = 0;
    s.failing_since.reset();
  }
  if (s.heard) {
    s.deaf_for = Nanoseconds::zero();
  } else if (!s.initial_events) {
    s.deaf_for += lived;
  }
  if (s.deaf_for < rules_.deaf) return;
  s.deaf_for = Nanoseconds::zero();
  Relist();
}

void Machine::Fail(const Error& error, Nanoseconds at_least, Nanoseconds more) {
  CloseStream();
  WatchState& s = state();
  s.phase = WatchPhase::kWaiting;
  s.live = false;
  s.last_error = error;
  if (!s.failing_since) s.failing_since = now_;
  Nanoseconds wait = rules_.backoff_initial;
  for (int i = 0; i < s.failures && wait < rules_.backoff_maximum; ++i) wait *= 2;
  ++s.failures;
  wait = Jittered(std::min(wait, rules_.backoff_maximum), random_);
  step_.then = WaitUntil{now_ + std::max(wait, at_least) + more};
}

// A refusal, or an ERROR within the stream (AW-03): the same status means the same.
void Machine::FailOf(const ApiError& error) {
  WatchState& s = state();
  if (error.error.kind() == ErrorKind::kGone) {
    Relist();
    return Fail(error.error, Nanoseconds::zero(), RelistSpread());
  }
  if (error.version_too_large) {
    Relist();
    s.confirming = !s.newest.empty();
    Note("the server does not know what it told before; asking it again before believing it");
    return Fail(error.error);
  }
  const bool may_be_the_position = error.code == 500 || error.error.kind() == ErrorKind::kInvalid;
  if (may_be_the_position && ++s.bad_answers >= kBadAnswers) {
    s.bad_answers = 0;
    Relist();
  }
  Fail(error.error, std::min(Nanoseconds(error.retry_after.value_or(Seconds(0))), rules_.longest_retry_after));
}

void Machine::TurnToPages(const Error& error) {
  CloseStream();
  WatchState& s = state();
  s.phase = WatchPhase::kWaiting;
  s.endless_lists = 0;
  s.pages_until = now_ + rules_.pages_for;
  Note(fmt::format("the server has no watch lists; listing by pages: {}", error.message()));
  step_.then = WaitUntil{now_ + rules_.fallback_wait};
}

void Machine::Take(const TimeCame&) {
  Expect(state().phase == WatchPhase::kWaiting, "the end of a wait");
  Connect();
}

void Machine::Take(const WatchOpened&) {
  WatchState& s = state();
  Expect(s.phase == WatchPhase::kOpening, "an open watch");
  s.open = true;
  s.heard = false;
  s.opened_at = now_;
  s.phase = s.initial_events ? WatchPhase::kCollecting : WatchPhase::kStreaming;
  if (!s.initial_events) Recovered();
  ReadOn();
}

void Machine::Take(const WatchRefused& refused) {
  Expect(state().phase == WatchPhase::kOpening, "a refused watch");
  const ErrorKind kind = refused.error.error.kind();
  const bool refused_as_such =
      refused.error.code != 0 && (kind == ErrorKind::kInvalid || kind == ErrorKind::kUnsupported);
  if (refused_as_such && state().initial_events) return TurnToPages(refused.error.error);
  FailOf(refused.error);
}

void Machine::Take(const PageRefused& refused) {
  Expect(state().phase == WatchPhase::kListing, "a refused page");
  if (refused.error.error.kind() == ErrorKind::kGone && state().pages > 0) ++state().lost_lists;
  FailOf(refused.error);
}

void Machine::Take(const PageCame& page) {
  WatchState& s = state();
  Expect(s.phase == WatchPhase::kListing, "a page");
  // All pages are of one moment; should a server change its mind, the first one misses nothing.
  if (s.pages == 0) s.list_version = page.resource_version;
  ++s.pages;
  s.objects += page.objects;
  if (s.list_version.empty()) return Fail(Found(ErrorKind::kInvalid, "the list has no resourceVersion"));
  const bool endless =
      !page.continue_token.empty() && (page.continue_token == s.continue_token || s.pages >= rules_.maximum_pages);
  if (endless || s.objects > rules_.maximum_objects) {
    return Fail(Found(ErrorKind::kInvalid, fmt::format("the list does not end after {} objects", s.objects)));
  }
  s.continue_token = page.continue_token;
  if (s.continue_token.empty()) return Complete(std::string(s.list_version));
  step_.objects = ObjectAction::kCollect;
  AskForPage();
}

bool Machine::Accepts(const std::string& version) {
  WatchState& s = state();
  if (s.newest.empty()) return true;
  if (!CompareResourceVersions(version, s.newest)) {
    if (version != s.newest) {
      Note(fmt::format("resourceVersions {} and {} have no order; the newer answer is believed", s.newest, version));
    }
    return true;
  }
  if (!IsOlder(version, s.newest)) return true;
  if (s.suspect.empty() || IsOlder(version, s.suspect)) return false;
  Note(
      fmt::format("the server went back from resourceVersion {} to {}, as after a restored backup, and says so twice; "
                  "following it",
                  s.newest, version));
  return true;
}

// D3, AW-01, OF-11: not obeyed, but asked again.
void Machine::WentBack(const std::string& version, std::string_view what) {
  WatchState& s = state();
  Relist();
  s.confirming = true;
  Fail(Found(ErrorKind::kRetry,
             fmt::format("{} has resourceVersion {}, which is older than {} that was seen before; the server is asked "
                         "again before this is believed",
                         what, version, s.newest)));
}

void Machine::Complete(const std::string& version) {
  WatchState& s = state();
  if (!Accepts(version)) {
    if (s.phase == WatchPhase::kListing) s.suspect = version;
    return WentBack(version, "the list");
  }
  s.position = version;
  s.newest = version;
  s.synced = true;
  s.confirming = false;
  s.suspect.clear();
  s.lost_lists = 0;
  s.endless_lists = 0;
  s.bad_answers = 0;
  s.deaf_for = Nanoseconds::zero();
  step_.objects = ObjectAction::kTakeOver;
  Recovered();
  if (s.phase == WatchPhase::kListing) {
    s.initial_events = false;
    return Open();
  }
  s.phase = WatchPhase::kStreaming;
  ReadOn();
}

void Machine::Take(const FrameCame& frame) {
  WatchState& s = state();
  Expect(s.phase == WatchPhase::kCollecting || s.phase == WatchPhase::kStreaming, "a frame");
  if (frame.type == FrameType::kError) return FailOf(frame.error);
  s.heard = true;
  if (frame.type == FrameType::kBookmark) return TakeBookmark(frame);
  TakeObject(frame);
}

void Machine::TakeObject(const FrameCame& frame) {
  WatchState& s = state();
  if (s.phase == WatchPhase::kCollecting) {
    // Objects of the initial events are as old as they are; their versions say nothing about the stream.
    if (++s.objects > rules_.maximum_objects) {
      return Fail(Found(ErrorKind::kInvalid, fmt::format("the list does not end after {} objects", s.objects)));
    }
    step_.objects = ObjectAction::kCollect;
    return ReadOn();
  }
  if (frame.resource_version.empty()) return Fail(Found(ErrorKind::kInvalid, "a change has no resourceVersion"));
  if (IsOlder(frame.resource_version, s.position)) return WentBack(frame.resource_version, "a change");
  s.position = frame.resource_version;
  s.newest = frame.resource_version;
  s.bad_answers = 0;
  step_.objects = ObjectAction::kApply;
  ReadOn();
}

void Machine::TakeBookmark(const FrameCame& frame) {
  WatchState& s = state();
  if (frame.resource_version.empty()) return Fail(Found(ErrorKind::kInvalid, "a bookmark has no resourceVersion"));
  if (s.phase == WatchPhase::kCollecting) {
    if (frame.initial_events_end) return Complete(frame.resource_version);
    return ReadOn();
  }
  if (IsOlder(frame.resource_version, s.position)) return WentBack(frame.resource_version, "a bookmark");
  s.position = frame.resource_version;
  s.newest = frame.resource_version;
  s.bad_answers = 0;
  ReadOn();
}

void Machine::Take(const StreamEnded&) {
  WatchState& s = state();
  Expect(s.open, "the end of a stream");
  const Nanoseconds lived = now_ - s.opened_at;
  if (s.phase == WatchPhase::kCollecting) {
    const Error error = Found(ErrorKind::kRetry, "the stream ended before the list was complete");
    if (++s.endless_lists >= kEndlessLists) return TurnToPages(error);
    return Fail(error);
  }
  if (lived < rules_.healthy) {
    return Fail(Found(ErrorKind::kRetry, fmt::format("the server ended the watch after {}", FormatDuration(lived))));
  }
  CloseStream();
  // At the time that we asked for: go on at once. Before it, the server stops, and it ended all watches together.
  if (now_ + rules_.client_margin * 2 >= s.leave_at) return Connect();
  s.phase = WatchPhase::kWaiting;
  step_.then = WaitUntil{now_ + Times(rules_.reopen_spread, random_)};
}

void Machine::Take(const StreamBroke& broke) {
  WatchState& s = state();
  Expect(s.open, "a broken stream");
  const bool silent = broke.error.kind() == ErrorKind::kTimeout;
  if (s.phase == WatchPhase::kCollecting && silent) return TurnToPages(broke.error);
  if (broke.error.kind() == ErrorKind::kInvalid && ++s.bad_answers >= kBadAnswers) {
    s.bad_answers = 0;
    Relist();
  }
  Fail(broke.error);
}

}  // namespace

WatchStep BeginWatch(std::string subject, std::string newest, MonoTime now) {
  WatchState state;
  state.subject = std::move(subject);
  state.newest = std::move(newest);
  return WatchStep{.state = std::move(state), .then = WaitUntil{now}};
}

WatchStep StepWatch(WatchState state, const WatchInput& input, const WatchRules& rules, MonoTime now, double random) {
  Machine machine(std::move(state), rules, now, random);
  std::visit([&](const auto& what) { machine.Take(what); }, input);
  return std::move(machine).Finish();
}

}  // namespace daemonsetd::kube

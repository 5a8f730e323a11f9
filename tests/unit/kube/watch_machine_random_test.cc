// Random schedules of server changes and faults: whatever comes, the content is one that the server had, never goes
// back in time by itself, and is the server's once all is quiet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include <fmt/format.h>

#include "agent/kube/resource_version.h"
#include "agent/kube/watch_machine.h"

namespace daemonsetd::kube {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

using Content = std::map<int, std::uint64_t>;  // object → resourceVersion

ApiError Refusal(int code, ErrorKind kind) {
  return {.error = Error(kind, fmt::format("HTTP {}", code)), .code = code};
}

// A server, the machine and who carries it out, without a network between them.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    states_.push_back({{version_, {}}});
    watch_lists_ = Chance(0.7);
  }

  void RunTroubled(int steps) {
    for (int i = 0; i < steps && !Failed(); ++i) {
      if (Chance(0.5)) Change();
      if (Chance(0.03)) Compact();
      if (Chance(0.01)) Restore();
      Step();
    }
  }

  // No faults any more: how many steps until the content is the server's, and the machine waits for news.
  int RunQuiet(int limit) {
    troubled_ = false;
    for (int i = 0; i < limit && !Failed(); ++i) {
      if (Settled()) return i;
      Step();
    }
    ADD_FAILURE() << "the content is not the server's after " << limit << " steps of quiet";
    return limit;
  }

  static bool Failed() { return ::testing::Test::HasFailure(); }

 private:
  struct Frame {
    FrameCame came;
    int object = 0;
  };

  bool Chance(double probability) { return Uniform() < probability; }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  bool Fault(double probability) { return troubled_ && Chance(probability); }

  // The server.
  void Change() {
    // A restored server that overtakes what its client had seen, before the client came back, cannot be told from one
    // that was never restored. That is why a restore of etcd can raise the revision.
    if (restored_) return;
    ++version_;
    const int object = Pick(6);
    Frame frame{.object = object};
    frame.came.resource_version = std::to_string(version_);
    if (content_.contains(object) && Chance(0.4)) {
      frame.came.type = FrameType::kDeleted;
      content_.erase(object);
    } else {
      frame.came.type = content_.contains(object) ? FrameType::kModified : FrameType::kAdded;
      content_[object] = version_;
    }
    states_.back()[version_] = content_;
    history_.emplace_back(version_, frame);
    if (open_ && version_ > from_) frames_.push_back(frame);
  }
  void Compact() {
    history_.clear();
    compacted_ = version_;
  }
  void Restore() {
    if (state().newest.empty() || restored_) return;
    const auto& states = states_.back();
    auto to = states.begin();
    std::advance(to, Pick(static_cast<int>(states.size())));
    version_ = to->first;
    content_ = to->second;
    std::map<std::uint64_t, Content> again(states.begin(), std::next(to));
    states_.push_back(std::move(again));
    history_.clear();
    compacted_ = version_;
    restored_ = true;
    cut_ = true;
    lost_token_ = true;
  }

  // The machine and who carries it out.
  const WatchState& state() const { return step_.state; }
  bool Settled() const {
    return state().phase == WatchPhase::kStreaming && open_ && frames_.empty() && !deaf_ && live_ == content_ &&
           state().position == std::to_string(version_);
  }

  void Step() {
    bool failed = false;
    const WatchThen then = step_.then;
    const WatchInput input = std::visit([&](const auto& what) { return Perform(what, failed); }, then);
    const WatchState before = state();
    step_ = StepWatch(step_.state, input, rules_, now_, Uniform());
    Carry(before);
    Check(before, failed);
  }

  WatchInput Perform(const WaitUntil& wait, bool&) {
    now_ = std::max(now_, wait.when);
    return TimeCame{};
  }

  WatchInput Perform(const OpenWatch& open, bool& failed) {
    fresh_.clear();
    frames_.clear();
    open_ = false;
    deaf_ = false;
    failed = true;
    now_ += seconds(Pick(2));
    if (Fault(0.1)) return WatchRefused{{.error = Error(ErrorKind::kRetry, "connection refused")}};
    if (Fault(0.05)) return WatchRefused{Refusal(429, ErrorKind::kRetry)};
    if (Fault(0.05)) return WatchRefused{Refusal(500, ErrorKind::kRetry)};
    if (Fault(0.02)) return WatchRefused{Refusal(403, ErrorKind::kDenied)};
    const std::string& text = open.options.resource_version;
    const std::uint64_t asked = text.empty() ? 0 : std::stoull(text);
    if (open.options.send_initial_events) {
      if (!watch_lists_) return WatchRefused{Refusal(422, ErrorKind::kInvalid)};
      OpenInitialEvents(asked, failed);
      if (failed) return WatchRefused{TooLarge()};
    } else if (asked < compacted_) {
      if (Chance(0.5)) return WatchRefused{Refusal(410, ErrorKind::kGone)};
      frames_.push_back(ErrorFrame(410, ErrorKind::kGone));
    } else if (asked > version_) {
      if (Chance(0.5)) return WatchRefused{TooLarge()};
      deaf_ = true;  // the server waits for a future that is long away
    } else {
      for (const auto& [version, frame] : history_) {
        if (version > asked) frames_.push_back(frame);
      }
    }
    failed = false;
    open_ = true;
    cut_ = false;
    from_ = deaf_ ? kNever : version_;
    ends_at_ = now_ + open.options.timeout_seconds;
    return WatchOpened{};
  }

  void OpenInitialEvents(std::uint64_t asked, bool& failed) {
    // A replica that lags and does not care for what was asked.
    const auto& states = states_.back();
    auto from = std::prev(states.end());
    if (Fault(0.2)) from = std::next(states.begin(), Pick(static_cast<int>(states.size())));
    failed = asked > version_ && Chance(0.7);
    if (failed) return;
    for (const auto& [object, version] : from->second) {
      Frame frame{.came = {.type = FrameType::kAdded, .resource_version = std::to_string(version)}, .object = object};
      frames_.push_back(frame);
    }
    Frame end;
    end.came = {
        .type = FrameType::kBookmark, .resource_version = std::to_string(from->first), .initial_events_end = true};
    frames_.push_back(end);
    // What lies between an old state and the history is missing: such a stream ends after its list.
    if (from->first < compacted_) frames_.push_back(ErrorFrame(410, ErrorKind::kGone));
    for (const auto& [version, frame] : history_) {
      if (version > from->first) frames_.push_back(frame);
    }
  }

  WatchInput Perform(const GetPage& page, bool& failed) {
    failed = true;
    now_ += seconds(Pick(2));
    open_ = false;
    if (page.options.continue_token.empty()) {
      fresh_.clear();
      listed_ = content_;
      lost_token_ = false;
      listed_version_ = version_;
    }
    if (Fault(0.1)) return PageRefused{{.error = Error(ErrorKind::kTimeout, "no answer")}};
    if (Fault(0.1)) return PageRefused{Refusal(500, ErrorKind::kRetry)};
    if (!page.options.continue_token.empty() && (lost_token_ || Fault(0.2)))
      return PageRefused{Refusal(410, ErrorKind::kGone)};
    failed = false;
    PageCame came{.resource_version = std::to_string(listed_version_)};
    const std::size_t limit = page.options.limit == 0 ? listed_.size() : 2;
    arrived_.clear();
    while (!listed_.empty() && arrived_.size() < limit) {
      auto node = listed_.extract(listed_.begin());
      arrived_.push_back({.came = {.type = FrameType::kAdded, .resource_version = std::to_string(node.mapped())},
                          .object = node.key()});
    }
    came.objects = static_cast<int>(arrived_.size());
    if (!listed_.empty()) came.continue_token = std::to_string(listed_.begin()->first);
    return came;
  }

  WatchInput Perform(const ReadFrame& read, bool& failed) {
    failed = true;
    arrived_.clear();
    if (cut_ || Fault(0.05)) return StreamBroke{Error(ErrorKind::kRetry, "reset")};
    if (Fault(0.02)) return StreamBroke{Error(ErrorKind::kInvalid, "garbage")};
    if (Fault(0.02)) return ErrorFrame(410, ErrorKind::kGone).came;
    if (Fault(0.02)) return ErrorFrame(500, ErrorKind::kRetry).came;
    if (Fault(0.03) && state().phase == WatchPhase::kStreaming && std::stoull(state().position) > 1) {
      Frame old{.object = Pick(6)};
      old.came = {.type = Chance(0.5) ? FrameType::kModified : FrameType::kDeleted,
                  .resource_version = std::to_string(1 + Pick(static_cast<int>(std::stoull(state().position) - 1)))};
      arrived_.push_back(old);
      return old.came;
    }
    if (Fault(0.03)) {
      failed = now_ - state().opened_at < rules_.healthy || state().phase == WatchPhase::kCollecting;
      return StreamEnded{};
    }
    failed = false;
    if (!frames_.empty()) {
      arrived_.push_back(frames_.front());
      frames_.pop_front();
      failed = arrived_.back().came.type == FrameType::kError;
      return arrived_.back().came;
    }
    if (!deaf_ && Chance(0.5)) {
      now_ += seconds(Pick(60));
      return FrameCame{.type = FrameType::kBookmark, .resource_version = std::to_string(version_)};
    }
    if (Fault(0.2)) {  // it forgets to end
      failed = true;
      now_ = std::max(now_, read.deadline);
      return StreamBroke{Error(ErrorKind::kTimeout, "nothing came")};
    }
    now_ = std::max(now_, ends_at_);
    return StreamEnded{};
  }

  static Frame ErrorFrame(int code, ErrorKind kind) {
    Frame frame;
    frame.came = {.type = FrameType::kError, .error = Refusal(code, kind)};
    return frame;
  }
  static ApiError TooLarge() {
    ApiError error = Refusal(504, ErrorKind::kTimeout);
    error.version_too_large = true;
    return error;
  }

  void Carry(const WatchState& before) {
    const auto put = [this](Content& content) {
      for (const Frame& frame : arrived_) {
        if (frame.came.type == FrameType::kBookmark) continue;
        content.erase(frame.object);
        if (frame.came.type != FrameType::kDeleted) content[frame.object] = std::stoull(frame.came.resource_version);
      }
    };
    if (step_.objects == ObjectAction::kCollect) put(fresh_);
    if (step_.objects == ObjectAction::kApply) {
      EXPECT_TRUE(before.synced);
      put(live_);
    }
    if (step_.objects == ObjectAction::kTakeOver) {
      put(fresh_);
      live_ = std::exchange(fresh_, {});
    }
    arrived_.clear();
    if (!std::holds_alternative<ReadFrame>(step_.then)) open_ = false;
  }

  void Check(const WatchState& before, bool failed) {
    if (failed) {
      ASSERT_TRUE(std::holds_alternative<WaitUntil>(step_.then)) << "no wait after a failure";
      ASSERT_GT(std::get<WaitUntil>(step_.then).when, now_);
    }
    if (IsOlder(state().newest, before.newest)) {
      ASSERT_TRUE(restored_) << before.newest << " → " << state().newest << " without a restore";
    }
    const bool lists = state().phase == WatchPhase::kListing;
    if (restored_ && !cut_ && !lists && std::stoull(state().newest) <= version_) restored_ = false;
    if (!state().synced) {
      ASSERT_TRUE(live_.empty()) << "something was told before a complete list";
      return;
    }
    if (state().position.empty()) return;
    const std::uint64_t position = std::stoull(state().position);
    bool known = false;
    for (const auto& states : states_) {
      const auto found = states.find(position);
      known = known || (found != states.end() && found->second == live_);
    }
    ASSERT_TRUE(known) << "at " << position << " the server never had this content";
  }

  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  std::mt19937_64 random_;
  const WatchRules rules_;
  MonoTime now_{hours(1)};
  bool troubled_ = true;
  bool watch_lists_ = true;

  std::uint64_t version_ = 1;
  Content content_;
  std::vector<std::map<std::uint64_t, Content>> states_;  // by epoch: what the server held at each resourceVersion
  std::vector<std::pair<std::uint64_t, Frame>> history_;
  std::uint64_t compacted_ = 0;
  bool restored_ = false;    // and the client has not followed yet
  bool lost_token_ = false;  // the list under way cannot go on

  bool open_ = false;
  bool cut_ = false;
  bool deaf_ = false;
  std::uint64_t from_ = 0;
  MonoTime ends_at_;
  std::deque<Frame> frames_;
  Content listed_;
  std::uint64_t listed_version_ = 0;

  WatchStep step_ = BeginWatch("watch pods", "", now_);
  std::vector<Frame> arrived_;
  Content fresh_;
  Content live_;
};

TEST(WatchMachineRandomTest, TheContentIsOneThatTheServerHadAndInTheEndItsOwn) {  // AW-01, AW-03, AW-04, OF-11
  for (std::uint64_t seed = 0; seed < 2000 && !World::Failed(); ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.RunTroubled(50);
    world.RunQuiet(200);
  }
}

// A server that answers everything at once and always wrongly.
WatchInput WorstAnswer(const WatchThen& then, const WatchState& state, std::mt19937_64& random) {
  const auto pick = [&random](int below) { return std::uniform_int_distribution<int>(0, below - 1)(random); };
  if (std::holds_alternative<WaitUntil>(then)) return TimeCame{};
  if (std::holds_alternative<OpenWatch>(then)) {
    switch (pick(5)) {
      case 0: return WatchRefused{Refusal(410, ErrorKind::kGone)};
      case 1: return WatchRefused{Refusal(422, ErrorKind::kInvalid)};
      case 2: return WatchRefused{Refusal(500, ErrorKind::kRetry)};
      default: return WatchOpened{};
    }
  }
  if (std::holds_alternative<GetPage>(then)) {
    switch (pick(4)) {
      case 0: return PageRefused{Refusal(410, ErrorKind::kGone)};
      case 1: return PageCame{.resource_version = "", .objects = 1};
      case 2: return PageCame{.resource_version = std::to_string(pick(100)), .continue_token = "x", .objects = 1};
      default: return PageCame{.resource_version = std::to_string(pick(100)), .objects = 1};
    }
  }
  switch (pick(6)) {
    case 0: return StreamEnded{};
    case 1: return StreamBroke{Error(ErrorKind::kInvalid, "garbage")};
    case 2: return FrameCame{.type = FrameType::kError, .error = Refusal(410, ErrorKind::kGone)};
    case 3:
      return FrameCame{.type = FrameType::kBookmark,
                       .resource_version = std::to_string(pick(100)),
                       .initial_events_end = state.phase == WatchPhase::kCollecting};
    case 4: return FrameCame{.type = FrameType::kModified, .resource_version = std::to_string(pick(100))};
    default: return StreamBroke{Error(ErrorKind::kTimeout, "nothing came")};
  }
}

TEST(WatchMachineRandomTest, NoServerMakesItHurry) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const MonoTime begin{hours(1)};
    MonoTime now = begin;
    WatchStep step = BeginWatch("watch pods", "", now);
    int connections = 0;
    for (int i = 0; i < 1000; ++i) {
      if (const auto* wait = std::get_if<WaitUntil>(&step.then)) now = std::max(now, wait->when);
      const bool page = std::holds_alternative<GetPage>(step.then);
      if (page || std::holds_alternative<OpenWatch>(step.then)) ++connections;
      const WatchInput input = WorstAnswer(step.then, step.state, random);
      step = StepWatch(step.state, input, WatchRules{}, now, std::uniform_real_distribution<double>(0, 1)(random));
    }
    // Past the first few failures each wait is 15 s at least; after it come a page or two and a watch.
    EXPECT_LE(connections, 40 + (now - begin) / seconds(4));
  }
}

// AW-05: a server that was away comes back without its history, and every node has to list.
TEST(WatchMachineRandomTest, ManyNodesDoNotListAtOnce) {
  constexpr int kNodes = 200;
  const MonoTime down{hours(1)};
  for (const Nanoseconds outage : {Nanoseconds(milliseconds(100)), Nanoseconds(seconds(10)), Nanoseconds(minutes(5))}) {
    SCOPED_TRACE(FormatDuration(outage));
    std::mt19937_64 random(1);
    const auto fraction = [&random] { return std::uniform_real_distribution<double>(0, 1)(random); };
    std::map<Nanoseconds, int> lists;  // in each second after the server is back
    for (int node = 0; node < kNodes; ++node) {
      WatchStep step = BeginWatch("watch pods", "", down - minutes(2));
      MonoTime now = down - minutes(2);
      const auto take = [&](const WatchInput& input) {
        step = StepWatch(step.state, input, WatchRules{}, now, fraction());
      };
      take(TimeCame{});
      take(WatchOpened{});
      take(FrameCame{.type = FrameType::kBookmark, .resource_version = "10", .initial_events_end = true});
      now = down;
      take(StreamEnded{});
      for (;;) {
        now = std::get<WaitUntil>(step.then).when;
        take(TimeCame{});
        const auto* open = std::get_if<OpenWatch>(&step.then);
        if (now < down + outage) {
          const ApiError refused{.error = Error(ErrorKind::kRetry, "connection refused")};
          take(open != nullptr ? WatchInput(WatchRefused{refused}) : WatchInput(PageRefused{refused}));
          continue;
        }
        if (open == nullptr || open->options.send_initial_events) {
          ++lists[std::chrono::floor<seconds>(now - down - outage)];
          break;
        }
        take(WatchRefused{Refusal(410, ErrorKind::kGone)});
      }
    }
    int all = 0;
    for (const auto& [second, count] : lists) {
      EXPECT_LE(count, kNodes / 3) << FormatDuration(second) << " after the server is back";
      all += count;
    }
    EXPECT_EQ(all, kNodes);
  }
}

}  // namespace
}  // namespace daemonsetd::kube

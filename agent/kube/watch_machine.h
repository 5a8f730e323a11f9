// List and watch of one collection as a pure step: (state, what happened, now, a random number) → (state, what to do).
// Who carries the steps out: agent/kube/reflector.h. Rules: design.md sections 6 and 13 (D3), KEP-3157 (watch lists),
// KEP-5504 (order of resourceVersions).
//
//   waiting ─► opening ─► collecting (the content comes first) ─► streaming ─► …
//          └─► listing, page by page ─► opening ──────────────────►┘
//
// - What is collected replaces the old content only when it is complete: an interrupted list changes nothing.
// - Every failure is followed by a wait that grows, and a stream that ends right after it opened is a failure.
// - Data older than what was seen is not obeyed before two lists that the server read afresh agree on it.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/error.h"
#include "agent/base/time_point.h"
#include "agent/kube/api_error.h"
#include "agent/kube/codec.h"
#include "agent/kube/resource.h"

namespace daemonsetd::kube {

// The bookmark with this annotation, "true", ends the initial events.
inline constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";

struct WatchRules {
  Nanoseconds server_timeout = std::chrono::seconds(290);  // asked of the server, give or take 5 %
  Nanoseconds client_margin = std::chrono::seconds(15);    // after which a server that forgot to end is left
  // A watch list that tells nothing for so long is no watch list.
  Nanoseconds collect_silence = std::chrono::seconds(30);
  // A stream that lived for so long was no failure; the back-off begins anew.
  Nanoseconds healthy = std::chrono::seconds(30);
  // Open, and not even a bookmark (they come every minute): the server may not know our resourceVersion. List again.
  Nanoseconds deaf = std::chrono::minutes(4);
  Nanoseconds backoff_initial = std::chrono::milliseconds(800);
  Nanoseconds backoff_maximum = std::chrono::seconds(30);  // waits are 0.5 to 1.5 times that
  Nanoseconds longest_retry_after = std::chrono::minutes(2);
  Nanoseconds relist_spread = std::chrono::seconds(5);         // many nodes lose the history at the same moment
  Nanoseconds reopen_spread = std::chrono::seconds(1);         // and a server that stops ends all watches at once
  Nanoseconds fallback_wait = std::chrono::milliseconds(200);  // before pages, once watch lists were refused
  Nanoseconds pages_for = std::chrono::hours(1);               // then watch lists are tried again
  int page_size = 500;
  int maximum_pages = 200;
  int maximum_objects = 100'000;
};

// What happened. The objects themselves stay with whoever runs the machine.
struct TimeCame {};
struct WatchOpened {};
struct WatchRefused {
  ApiError error;
};
struct PageCame {
  std::string resource_version;
  std::string continue_token;
  int objects = 0;
};
struct PageRefused {
  ApiError error;
};
struct FrameCame {
  FrameType type;
  std::string resource_version;     // of the object; of what was seen, for a bookmark
  bool initial_events_end = false;  // of a bookmark
  ApiError error;                   // of kError
};
struct StreamEnded {};  // regularly
struct StreamBroke {
  Error error;
};
using WatchInput =
    std::variant<TimeCame, WatchOpened, WatchRefused, PageCame, PageRefused, FrameCame, StreamEnded, StreamBroke>;

// What to do with the objects of the frame or page that came, before `then`.
enum class ObjectAction {
  kNothing,
  kCollect,   // into the new content; a DELETED takes out
  kApply,     // to the present content, and tell
  kTakeOver,  // the new content, with this page's objects, becomes the present one: tell the differences
};

// The one thing to do next. Whatever is open is closed first, but by ReadFrame. WatchOpen and the first page begin with
// an empty new content.
struct WaitUntil {
  MonoTime when;
};
struct OpenWatch {
  ListOptions options;
};
struct GetPage {
  ListOptions options;
};
struct ReadFrame {
  MonoTime deadline;
};
using WatchThen = std::variant<WaitUntil, OpenWatch, GetPage, ReadFrame>;

enum class WatchPhase { kWaiting, kOpening, kCollecting, kStreaming, kListing };

struct WatchState {
  std::string subject;  // begins the errors that the machine itself finds: "watch pods"
  WatchPhase phase = WatchPhase::kWaiting;
  bool synced = false;                    // a complete content was taken over once
  bool live = false;                      // the content is, as far as anybody knows, the server's
  std::string position;                   // resourceVersion up to which everything is known; empty: a list is needed
  std::string newest;                     // the newest one that was ever seen here
  std::optional<Error> last_error;        // of the latest failure; none while all is well
  std::optional<MonoTime> failing_since;  // when the present trouble began

  // Of the list or stream under way.
  bool initial_events = false;  // asked for
  MonoTime opened_at;
  MonoTime leave_at;  // the client's limit
  bool open = false;
  bool heard = false;  // a frame came since it opened
  int objects = 0;     // collected
  int pages = 0;
  std::string list_version;
  std::string continue_token;

  int failures = 0;       // in a row
  int bad_answers = 0;    // failures in a row that the present position itself may cause
  int lost_lists = 0;     // in a row, by tokens that expired under way: then everything is asked for at once
  int endless_lists = 0;  // watch lists in a row that ended regularly without being complete
  Nanoseconds deaf_for = Nanoseconds::zero();  // open without a frame
  std::optional<MonoTime> pages_until;         // the server refused watch lists
  bool confirming = false;  // something was older than `newest`: the next list is read afresh, by pages
  std::string suspect;      // the older resourceVersion that such a list had; a second one must agree
};

struct WatchStep {
  WatchState state;
  ObjectAction objects = ObjectAction::kNothing;
  WatchThen then;
  // Worth a line in the log: a decision that is not obvious. Empty otherwise.
  std::string note;
};

// The first step. `newest` as far as an earlier life knew it, or empty.
WatchStep BeginWatch(std::string subject, std::string newest, MonoTime now);

// `random` is in [0, 1). An input that cannot come in this state is a broken invariant: throws std::logic_error.
WatchStep StepWatch(WatchState state, const WatchInput& input, const WatchRules& rules, MonoTime now, double random);

}  // namespace daemonsetd::kube

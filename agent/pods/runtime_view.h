// What containerd says, kept current. Relisting is the truth; events only wake it (design.md section 3), and only those
// that tell what our own calls did not. While events come, lists are rare.
// - A pod whose inspection fails keeps its old record and is inspected again; other pods are not held up (LC-12).
// - Records move forward only: an answer that comes late never takes a state back.
// - Only objects with our label are seen; foreign ones do not exist for the agent.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/backoff.h"
#include "agent/decide/observed.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

struct RuntimeViewSettings {
  Nanoseconds active_poll = std::chrono::milliseconds(500);  // for a while after something changed, without events
  Nanoseconds idle_poll = std::chrono::seconds(2);           // without events
  Nanoseconds safety_poll = std::chrono::minutes(5);         // with events: finds what an event missed
  Nanoseconds call_timeout = std::chrono::seconds(10);       // of a list or an inspection
};

class RuntimeView {
 public:
  // Called on the loop with the UID of each pod whose record changed, and with "" when a list failed or recovered.
  using ChangeHandler = std::function<void(const std::string& pod_uid)>;

  // Called on the loop after each list: how long it took, and since the one before was asked for, if there was one.
  using ListHandler = std::function<void(Nanoseconds took, std::optional<Nanoseconds> interval)>;

  RuntimeView(cri::Runtime& runtime, async::Timeline& timeline, async::Executor executor, RuntimeViewSettings settings,
              ChangeHandler on_change, ListHandler on_list = nullptr);

  // Relists and follows events until cancelled.
  Task<void> Run();

  // False until the first complete list was inspected: nothing may start or stop before.
  bool synced() const { return synced_; }
  // Null when the runtime has nothing of that pod.
  const decide::ObservedPod* Find(const std::string& pod_uid) const;
  const std::map<std::string, decide::ObservedPod>& pods() const { return pods_; }

  // Reads these from the runtime now, so that the caller's next plan sees what it did. kAbsent removes the record.
  Task<Status> InspectSandbox(std::string sandbox_id);
  Task<Status> InspectContainer(std::string container_id, std::string sandbox_id);
  // Relists as soon as possible: after an operation whose outcome is not known.
  void Hurry();

  // True while an open stream of events is relied on and polling is rare.
  bool has_events() const { return has_events_; }
  // The runtime was read completely, and its last list succeeded.
  bool connected() const { return synced_ && last_error_.empty(); }
  // Empty while the runtime answers.
  const std::string& last_error() const { return last_error_; }
  std::optional<MonoTime> last_list() const { return last_list_; }
  // By when the list under way must have ended, or the next must have begun; unset before the first.
  std::optional<MonoTime> due() const;

 private:
  struct Record {
    std::string pod_uid;
    int state = -1;           // as last listed and inspected
    MonoTime inspected_at{};  // when the inspection was asked for
    bool is_sandbox = false;
    std::string sandbox_id;  // of a container
  };

  struct Event {
    std::string id;  // of a container or sandbox
    cri::v1::ContainerEventType type;
    bool foreign = false;  // its pod does not carry our label
  };

  Task<void> FollowEvents();
  void Heard(const cri::v1::ContainerEventResponse& message);
  // True when a list could tell nothing more than the records.
  bool Knows(const Event& event) const;
  Task<void> AwaitNextList();
  MonoTime NextList() const;
  void MakeUrgent();
  bool StillUrgent();
  void NoteOutcome(const daemonsetd::Status& listed);
  void NoteSynced();
  Task<Status> Relist();
  Task<void> InspectPod(std::string pod_uid, std::vector<std::string> ids);
  void Store(const cri::v1::PodSandboxStatus& status, MonoTime asked_at);
  void Store(const cri::v1::ContainerStatus& status, const std::string& sandbox_id, MonoTime asked_at);
  void Put(const cri::v1::PodSandboxStatus& status);
  void Put(const cri::v1::ContainerStatus& status, const std::string& sandbox_id);
  void Drop(const std::string& id);
  void Changed(const std::string& pod_uid);

  cri::Runtime& runtime_;
  async::Timeline& timeline_;
  const RuntimeViewSettings settings_;
  ChangeHandler on_change_;
  ListHandler on_list_;
  async::Wake wake_;
  async::TaskScope scope_;
  std::map<std::string, decide::ObservedPod> pods_;
  std::map<std::string, Record> records_;  // by sandbox or container ID
  std::set<std::string> inspecting_;       // pods with an inspection under way
  std::set<std::string> inspect_again_;    // of these, pods that changed meanwhile
  std::vector<Event> news_;                // since the last list was asked for
  Backoff list_backoff_{BackoffLimits{.initial = std::chrono::milliseconds(100), .maximum = std::chrono::seconds(5)}};
  std::optional<MonoTime> last_list_;
  std::optional<MonoTime> list_asked_at_;
  MonoTime listed_at_{};                  // end of the last list, answered or not
  std::optional<MonoTime> list_ends_by_;  // of the list under way
  MonoTime active_until_{};
  std::optional<MonoTime> urgent_since_;  // what came first that asks for a list
  std::optional<MonoTime> trusted_from_;  // of the open stream: a list asked for later may be the last for long
  bool hurry_ = false;
  bool inspection_failed_ = false;
  bool synced_ = false;
  bool has_events_ = false;
  std::string last_error_;
};

}  // namespace daemonsetd::pods

// Sends this node's Events (agent/pods/event_log.h) to the API server, as core/v1 Events in the namespace of the object
// that they are about. Level based: what counts is the newest state of an Event, and states in between may go unsent.
// Everything on the loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/backoff.h"
#include "agent/cluster/node_trouble.h"
#include "agent/kube/client.h"
#include "agent/pods/event_log.h"

namespace daemonsetd::cluster {

// One Event of the log, and what the API server has of it.
struct SentEvent {
  std::shared_ptr<const decide::LoggedEvent> logged;
  std::uint64_t settled = 0;  // the newest change that was written, or given up
  std::string name;           // at the server
  int other_names = 0;        // that were tried because somebody else had the one before
  bool exists = false;        // by the last answer
  bool maybe_made = false;    // a create got no answer
  MonoTime not_before{};
  std::uint64_t seen_in = 0;  // the last Look() that found it in the log

  bool waits() const { return logged->change > settled; }
};

// Which Event is to be written when. Bounded by what the log holds. No I/O: the caller passes the moment in.
class EventBacklog {
 public:
  // The log as it is now, newest last. What has left it is forgotten; of what waits, only the newest is kept.
  void Look(const std::vector<std::shared_ptr<const decide::LoggedEvent>>& recent, MonoTime now);

  struct Turn {
    SentEvent* event = nullptr;    // to be written now; lives until the next Look()
    std::optional<MonoTime> next;  // without one: when one may be written; unset: none waits
  };
  Turn Next(MonoTime now);

  // Of the state that Turn::event had.
  void Written(SentEvent& event, MonoTime now);
  void GiveUp(SentEvent& event, MonoTime now);
  // The server takes no Event in this namespace now: it is being deleted or gone, or the agent may not.
  void CloseNamespace(const std::string& ns, MonoTime now);

  std::uint64_t written() const { return written_; }
  std::uint64_t given_up() const { return given_up_; }

 private:
  std::optional<MonoTime> NotBefore(const SentEvent& event, MonoTime now) const;
  void Spend(const SentEvent& event, MonoTime now);

  std::map<std::string, SentEvent> events_;  // by their name in the log, which is unique there
  std::vector<SentEvent*> waiting_;          // oldest change first
  std::map<std::string, MonoTime> spent_;    // by object: when it has its whole allowance again
  std::map<std::string, Backoff> closed_;    // by namespace
  std::uint64_t looks_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t given_up_ = 0;
};

class EventSender {
 public:
  // The references must outlive it. `reachable`: whether the API server answers at present; nothing is tried while it
  // does not. `random` gives numbers in [0, 1): many nodes lose and find the server at the same moment.
  EventSender(const async::Executor& executor, async::Timeline& timeline, kube::Client& client, pods::EventLog& log,
              std::function<bool()> reachable, std::function<double()> random);

  // Sends until cancelled.
  Task<void> Run();
  // After each Record() of the log. When the server becomes reachable it is noticed within seconds, or at once by this.
  void Notify() { wake_.Notify(); }

  // Writes that succeeded, and states of Events that were given up, since the start.
  std::uint64_t sent() const { return backlog_.written(); }
  std::uint64_t dropped() const { return backlog_.given_up(); }

 private:
  // When to look again although nobody notifies; unset: only then.
  Task<std::optional<MonoTime>> Step();
  Task<Status> Write(const SentEvent* event);
  void Answered(SentEvent& event, const Error& error);
  void Refused(SentEvent& event, const Error& error);
  void Failed(SentEvent& event, const Error& error);
  void PutOff(Nanoseconds about);

  async::Timeline& timeline_;
  kube::Client& client_;
  pods::EventLog& log_;
  const std::function<bool()> reachable_;
  const std::function<double()> random_;
  async::Wake wake_;
  EventBacklog backlog_;
  bool was_unreachable_ = false;
  Backoff backoff_;
  MonoTime not_before_{};
  Trouble failing_;
  std::map<ErrorKind, MonoTime> told_refusals_;
};

}  // namespace daemonsetd::cluster

// Which Event a happening becomes: a repeated one counts up, similar ones are combined, and neither one noisy object
// nor many can fill the memory. In the spirit of client-go's tools/record/events_cache.go; here nothing is thrown away
// for its rate, that is the sender's matter. No clock: the caller passes the moment in.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

enum class EventType { kNormal, kWarning };

struct EventLimits {
  std::size_t events = 1000;           // kept at all; the one that was quiet longest goes first
  std::size_t events_per_object = 50;  // of these, so that a noisy object does not push out the others
  std::size_t similar_messages = 10;   // of one object, type and reason, before they are combined
  Nanoseconds similar_within = std::chrono::minutes(10);  // between two of them
  std::size_t message_bytes = 1024;                       // what the API server takes (events.k8s.io/v1 note)
};

// Immutable: a change makes a new one, so that a reader keeps what it has.
struct LoggedEvent {
  std::uint64_t change = 0;  // number of the change that made it so; rises
  corev1::Event event;       // as an API server takes it
};

class EventRing {
 public:
  // `component` and `host` become the source of every event.
  EventRing(std::string component, std::string host, EventLimits limits = {});

  // The message must hold no secret: the caller's duty. Bytes that are not UTF-8 are replaced, a long end is cut.
  void Add(const corev1::ObjectReference& about, EventType type, const std::string& reason, const std::string& message,
           const Now& now);

  // By their last change, newest last.
  std::vector<std::shared_ptr<const LoggedEvent>> Recent() const;
  // Number of the last change; 0 before the first.
  std::uint64_t change() const { return change_; }

 private:
  // One object, type and reason.
  struct Group {
    std::set<std::string> messages;  // that have an event of their own
    MonoTime last{};
    std::size_t events = 0;
  };
  struct Entry {
    std::string key;
    std::string group;
    std::string object;
    std::shared_ptr<const LoggedEvent> logged;
  };
  using Entries = std::list<Entry>;

  corev1::Event Make(const corev1::ObjectReference& about, EventType type, const std::string& reason, WallTime now);
  void Drop(Entries::iterator entry);

  const std::string component_;
  const std::string host_;
  const EventLimits limits_;
  Entries entries_;  // newest last
  std::map<std::string, Entries::iterator> by_key_;
  std::map<std::string, Group> groups_;
  std::map<std::string, std::size_t> per_object_;
  std::uint64_t change_ = 0;
  std::int64_t last_name_ = 0;
};

// What an event is about.
corev1::ObjectReference ReferenceTo(const corev1::Pod& pod);
corev1::ObjectReference ReferenceTo(const appsv1::DaemonSet& daemon_set);
// With its name as UID, as the kubelet refers to its node: what looks for a node's Events looks for that.
corev1::ObjectReference ReferenceTo(const corev1::Node& node);
// With the kubelet's fieldPath, "spec.containers{name}" or "spec.initContainers{name}"; the pod itself when it has no
// such container.
corev1::ObjectReference ReferenceToContainer(const corev1::Pod& pod, const std::string& container);

}  // namespace daemonsetd::decide

// This node's Kubernetes Events, in memory: what `daemonsetctl events` shows and what an API server will be sent.
// The rules of aggregation are those of agent/decide/event_aggregation.h. Everything on the loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/decide/event_aggregation.h"

namespace daemonsetd::pods {

using decide::EventType;

class EventLog {
 public:
  // `on_change`, if any, is called on the loop after each Record.
  EventLog(async::Timeline& timeline, std::string node_name, std::function<void()> on_change = nullptr,
           decide::EventLimits limits = {});
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // `about`: decide::ReferenceTo(pod), ReferenceToContainer(pod, name) or ReferenceTo(daemon_set).
  // The message must hold no secret, token or env value.
  void Record(const corev1::ObjectReference& about, EventType type, const std::string& reason,
              const std::string& message);

  // Newest last. A stream goes on after the `change` that it has seen last.
  std::vector<std::shared_ptr<const decide::LoggedEvent>> Recent() const { return ring_.Recent(); }
  std::uint64_t change() const { return ring_.change(); }

 private:
  async::Timeline& timeline_;
  std::function<void()> on_change_;
  decide::EventRing ring_;
};

}  // namespace daemonsetd::pods

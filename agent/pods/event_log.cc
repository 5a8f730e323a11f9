#include "agent/pods/event_log.h"

#include <utility>

namespace daemonsetd::pods {
namespace {

constexpr char kComponent[] = "daemonsetd";

}  // namespace

EventLog::EventLog(async::Timeline& timeline, std::string node_name, std::function<void()> on_change,
                   decide::EventLimits limits)
    : timeline_(timeline), on_change_(std::move(on_change)), ring_(kComponent, std::move(node_name), limits) {}

void EventLog::Record(const corev1::ObjectReference& about, EventType type, const std::string& reason,
                      const std::string& message) {
  ring_.Add(about, type, reason, message, timeline_.Read());
  if (on_change_) on_change_();
}

}  // namespace daemonsetd::pods

// What `describe` and `explain` print. Pure. Each ends with what the object waits for; its events follow (events.h).
#pragma once

#include <string>

#include "agent/base/time_point.h"
#include "agent/local/status_json.h"

namespace daemonsetd::ctl {

std::string Describe(const statusv1::DaemonSetStatus& daemon_set, WallTime now);
std::string Describe(const statusv1::PodSummary& pod, WallTime now);
std::string Describe(const statusv1::NodeStatus& node, WallTime now);

std::string ExplainText(const statusv1::Explanation& explanation);

}  // namespace daemonsetd::ctl

// How Events are shown. Pure.
#pragma once

#include <string>

#include "agent/base/time_point.h"
#include "agent/ctl/table.h"
#include "agent/local/status_json.h"

namespace daemonsetd::ctl {

// The columns of `kubectl events`.
Table EventTable(bool with_namespace);
void AddRow(Table& table, bool with_namespace, const statusv1::EventSummary& event, WallTime now);

// The last section of a description, as `kubectl describe` prints it.
std::string DescribeEvents(const statusv1::EventList& events, WallTime now);

}  // namespace daemonsetd::ctl

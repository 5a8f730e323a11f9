// What `get` prints. Pure: `now` turns moments into ages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time_point.h"
#include "agent/ctl/table.h"
#include "agent/local/status_json.h"

namespace daemonsetd::ctl {

struct TableStyle {
  bool wide = false;
  bool with_namespace = false;  // -A
};

Table DaemonSetTable(TableStyle style);
void AddRow(Table& table, TableStyle style, const statusv1::DaemonSetStatus& daemon_set, WallTime now);

Table PodTable(TableStyle style);
void AddRow(Table& table, TableStyle style, const statusv1::PodSummary& pod, WallTime now);

Table NodeTable(TableStyle style);
void AddRow(Table& table, TableStyle style, const statusv1::NodeStatus& node, WallTime now);

std::string StatusText(const statusv1::Status& status, WallTime now);

// "5d3h"; "<unknown>" for an empty or unreadable moment.
std::string Age(const std::string& moment, WallTime now);
std::string OrNone(const std::string& text);

}  // namespace daemonsetd::ctl

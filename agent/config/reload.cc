#include "agent/config/reload.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/config/reference.h"

namespace daemonsetd::config {
namespace {

bool IsScalar(Form form) {
  switch (form) {
    case Form::kLabels:
    case Form::kTaints:
    case Form::kAddresses:
    case Form::kResources:
    case Form::kRuntimeClasses:
    case Form::kSysctls:
    case Form::kImages:
    case Form::kThresholds:
    case Form::kGracePeriods:
    case Form::kReserved: return false;
    default: return true;
  }
}

std::string Describe(const ChangedKey& change) {
  if (change.before.empty() && change.after.empty()) return change.key;
  return fmt::format("{} \"{}\" -> \"{}\"", change.key, change.before, change.after);
}

}  // namespace

bool ReloadReport::NeedsRestart() const {
  return std::any_of(changes.begin(), changes.end(), [](const ChangedKey& change) { return !change.takes_effect; });
}

std::string ReloadReport::Text() const {
  if (changes.empty()) return "nothing changed";
  std::string now;
  std::string later;
  for (const ChangedKey& change : changes) {
    std::string& list = change.takes_effect ? now : later;
    list += fmt::format("{}{}", list.empty() ? "" : ", ", Describe(change));
  }
  if (now.empty()) return "restart needed for " + later;
  return later.empty() ? now : fmt::format("{}; restart needed for {}", now, later);
}

ReloadReport Reload(const Config& running, const Config& loaded) {
  ReloadReport report;
  for (const Key& key : Reference()) {
    if (SameValue(running.message, loaded.message, key.path)) continue;
    ChangedKey change{.key = std::string(key.path), .takes_effect = key.change == Change::kReloadable};
    if (IsScalar(key.form)) {
      change.before = ScalarText(running.message, key.path);
      change.after = ScalarText(loaded.message, key.path);
    }
    report.changes.push_back(std::move(change));
  }
  return report;
}

Config ApplyReload(const Config& running, const Config& loaded) {
  Config next = running;
  for (const Key& key : Reference()) {
    if (key.change == Change::kReloadable) CopyKey(loaded.message, next.message, key.path);
  }
  // Of the durations, these are the reloadable ones; reload_test compares them with the table.
  next.durations.container_log_monitor_interval = loaded.durations.container_log_monitor_interval;
  next.durations.file_check_frequency = loaded.durations.file_check_frequency;
  next.durations.crash_loop_back_off = loaded.durations.crash_loop_back_off;
  next.files = loaded.files;
  return next;
}

}  // namespace daemonsetd::config

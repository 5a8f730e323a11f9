#include "agent/decide/log_rotation.h"

#include <algorithm>
#include <charconv>
#include <climits>
#include <map>

#include <fmt/format.h>

namespace daemonsetd::decide {
namespace {

using Kind = LogFileName::Kind;

constexpr std::string_view kLive = ".log";
constexpr std::string_view kCompressed = ".gz";
constexpr std::string_view kTemporary = ".tmp";

// `digits` decimal digits off the front, and no more.
std::optional<int> TakeNumber(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool Take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

// "20261125-101500", "20261125-101500.250".
std::optional<LogStamp> TakeStamp(std::string_view& text) {
  const auto year = TakeNumber(text, 4);
  const auto month = TakeNumber(text, 2);
  const auto day = TakeNumber(text, 2);
  if (!year || !month || !day || !Take(text, '-')) return std::nullopt;
  const auto hour = TakeNumber(text, 2);
  const auto minute = TakeNumber(text, 2);
  const auto second = TakeNumber(text, 2);
  if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok()) return std::nullopt;
  LogStamp stamp = std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
                   std::chrono::seconds(*second);
  if (text.size() >= 4 && text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
    text.remove_prefix(1);
    const auto fraction = TakeNumber(text, 3);
    if (!fraction || *fraction == 0) return std::nullopt;  // ToString would write another name
    stamp += Milliseconds(*fraction);
  }
  return stamp;
}

std::string FormatStamp(LogStamp stamp) {
  const auto second = std::chrono::floor<Seconds>(stamp);
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(second - day);
  std::string text = fmt::format("{:04}{:02}{:02}-{:02}{:02}{:02}", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 time.hours().count(), time.minutes().count(), time.seconds().count());
  if (const auto fraction = (stamp - second).count(); fraction != 0) text += fmt::format(".{:03}", fraction);
  return text;
}

std::string TemporaryOf(const std::string& name) { return name + std::string(kTemporary); }

// After every stamp that is there: the order of the names is the order of the lines, whatever the clock does.
LogStamp NewStamp(std::optional<LogStamp> newest, WallTime now) {
  const LogStamp second = std::chrono::floor<Seconds>(now);
  if (!newest || second > *newest) return second;
  return std::max(LogStamp(std::chrono::floor<Milliseconds>(now)), *newest + Milliseconds(1));
}

// One log as it is now, in whatever form; there are two while its compression is being finished.
struct Entry {
  std::vector<LogFileName> forms;
  std::int64_t size = 0;
};
// By attempt and time, the live file last.
using Entries = std::map<std::pair<int, LogStamp>, Entry>;

class Planner {
 public:
  Planner(const LogDirectory& directory, const LogLimits& limits, WallTime now)
      : directory_(directory), limits_(limits), now_(now) {}

  LogPlan Run() {
    for (const LogFile& file : directory_.files) {
      const auto name = ParseLogFileName(file.name);
      if (!name || IsTooNew(name->attempt)) continue;
      if (name->kind == Kind::kTemporary) {
        if (file.name != TemporaryOf(directory_.compressing)) plan_.steps.push_back(RemoveLog{file.name});
        continue;
      }
      Entry& entry = entries_[{name->attempt, name->stamp}];
      entry.forms.push_back(*name);
      entry.size = file.size;
    }
    FinishCompressions();
    RepairLiveFiles();
    SetAsideWhatIsFull();
    RemoveExcess();
    for (LogStep& step : last_) plan_.steps.push_back(std::move(step));
    ChooseForCompression();
    return std::move(plan_);
  }

 private:
  bool IsTooNew(int attempt) const { return directory_.recorded.empty() || attempt > *directory_.recorded.rbegin(); }

  // The compressed form has its name only once it is complete.
  void FinishCompressions() {
    for (auto& [key, entry] : entries_) {
      if (entry.forms.size() < 2) continue;
      for (const LogFileName& form : entry.forms) {
        if (form.kind == Kind::kSetAside) plan_.steps.push_back(RemoveLog{ToString(form)});
      }
      std::erase_if(entry.forms, [](const LogFileName& form) { return form.kind == Kind::kSetAside; });
    }
  }

  std::optional<LogStamp> NewestStamp(int attempt) const {
    std::optional<LogStamp> newest;
    for (const auto& [key, entry] : entries_) {
      if (key.first == attempt && key.second != LogStamp::max()) newest = key.second;
    }
    return newest;
  }

  // A crash, or a runtime that was away, between setting aside and opening anew.
  void RepairLiveFiles() {
    for (const int attempt : directory_.recorded) {
      const std::pair live(attempt, LogStamp::max());
      if (entries_.contains(live)) continue;
      const std::string name = ToString(LogFileName{.attempt = attempt});
      if (directory_.running == attempt) {
        last_.push_back(ReopenLog{name});
        entries_[live].forms.push_back({.attempt = attempt});
        continue;
      }
      // It ended, so nobody makes the file: links, the previous log and termination messages need it.
      const auto newest = NewestStamp(attempt);
      if (!newest) continue;
      const auto found = entries_.find({attempt, *newest});
      if (found->second.forms.front().kind != Kind::kSetAside) continue;
      plan_.steps.push_back(RenameLog{ToString(found->second.forms.front()), name});
      entries_[live] = {.forms = {{.attempt = attempt}}, .size = found->second.size};
      entries_.erase(found);
    }
  }

  void SetAsideWhatIsFull() {
    if (!directory_.running) return;
    const auto live = entries_.find({*directory_.running, LogStamp::max()});
    if (live == entries_.end() || live->second.size <= limits_.max_size) return;
    const std::string name = ToString(live->second.forms.front());
    const LogFileName aside{.attempt = *directory_.running,
                            .stamp = NewStamp(NewestStamp(*directory_.running), now_),
                            .kind = Kind::kSetAside};
    last_.push_back(RenameLog{name, ToString(aside)});
    last_.push_back(ReopenLog{name});
    entries_[{aside.attempt, aside.stamp}] = {.forms = {aside}, .size = live->second.size};
    live->second.size = 0;
  }

  // The live file of a container that the runtime knows goes with its record; the newest that was set aside stays,
  // because the runtime may still write its last lines there.
  bool MayGo(int attempt, LogStamp stamp) const {
    if (stamp == LogStamp::max()) return !directory_.recorded.contains(attempt);
    return directory_.running != attempt || NewestStamp(attempt) != stamp;
  }

  void RemoveExcess() {
    auto excess = static_cast<int>(entries_.size()) - limits_.max_files;
    for (auto entry = entries_.begin(); entry != entries_.end() && excess > 0;) {
      if (!MayGo(entry->first.first, entry->first.second)) {
        ++entry;
        continue;
      }
      for (const LogFileName& form : entry->second.forms) plan_.steps.push_back(RemoveLog{ToString(form)});
      entry = entries_.erase(entry);
      --excess;
    }
  }

  void ChooseForCompression() {
    for (const auto& [key, entry] : entries_) {
      if (key.second == LogStamp::max() || !MayGo(key.first, key.second)) continue;
      if (entry.forms.front().kind != Kind::kSetAside) continue;
      if (std::string name = ToString(entry.forms.front()); name != directory_.compressing) {
        plan_.compress.push_back(std::move(name));
      }
    }
  }

  const LogDirectory& directory_;
  const LogLimits& limits_;
  const WallTime now_;
  Entries entries_;
  LogPlan plan_;
  std::vector<LogStep> last_;  // after what frees space
};

}  // namespace

std::optional<LogFileName> ParseLogFileName(std::string_view name) {
  LogFileName parsed;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), parsed.attempt);
  const auto digits = static_cast<std::size_t>(end - name.data());
  if (error != std::errc() || parsed.attempt < 0 || parsed.attempt == INT_MAX) return std::nullopt;
  if (name[0] == '0' && digits > 1) return std::nullopt;
  name.remove_prefix(digits);
  if (!name.starts_with(kLive)) return std::nullopt;
  name.remove_prefix(kLive.size());
  if (name.empty()) return parsed;
  if (!Take(name, '.')) return std::nullopt;
  const auto stamp = TakeStamp(name);
  if (!stamp) return std::nullopt;
  parsed.stamp = *stamp;
  if (name.empty()) {
    parsed.kind = Kind::kSetAside;
  } else if (name == kCompressed) {
    parsed.kind = Kind::kCompressed;
  } else if (name == kTemporary) {
    parsed.kind = Kind::kTemporary;
  } else {
    return std::nullopt;
  }
  return parsed;
}

std::string ToString(const LogFileName& name) {
  std::string text = fmt::format("{}{}", name.attempt, kLive);
  if (name.kind == Kind::kLive) return text;
  text += '.' + FormatStamp(name.stamp);
  if (name.kind == Kind::kCompressed) text += kCompressed;
  if (name.kind == Kind::kTemporary) text += kTemporary;
  return text;
}

std::string ToString(const LogStep& step) {
  struct Text {
    std::string operator()(const RemoveLog& one) const { return "remove " + one.name; }
    std::string operator()(const RenameLog& one) const { return fmt::format("rename {} to {}", one.from, one.to); }
    std::string operator()(const ReopenLog& one) const { return "reopen " + one.name; }
    std::string operator()(const CompressLog& one) const { return fmt::format("compress {} to {}", one.from, one.to); }
  };
  return std::visit(Text{}, step);
}

LogPlan PlanLogRotation(const LogDirectory& directory, const LogLimits& limits, WallTime now) {
  return Planner(directory, limits, now).Run();
}

std::vector<LogStep> CompressionSteps(const std::string& name) {
  const std::string temporary = TemporaryOf(name);
  return {CompressLog{name, temporary}, RenameLog{temporary, name + std::string(kCompressed)}, RemoveLog{name}};
}

std::optional<std::string> FreeForCompression(const std::vector<LogFile>& files, const std::string& name) {
  const auto wanted = ParseLogFileName(name);
  if (!wanted) return std::nullopt;
  std::optional<LogFileName> oldest;
  for (const LogFile& file : files) {
    const auto parsed = ParseLogFileName(file.name);
    if (!parsed || (parsed->kind != Kind::kSetAside && parsed->kind != Kind::kCompressed)) continue;
    if (std::pair(parsed->attempt, parsed->stamp) >= std::pair(wanted->attempt, wanted->stamp)) continue;
    if (!oldest || *parsed < *oldest) oldest = parsed;
  }
  if (!oldest) return std::nullopt;
  return ToString(*oldest);
}

Nanoseconds NextLogLook(std::int64_t before, std::int64_t size, Nanoseconds elapsed, std::int64_t max_size,
                        Nanoseconds shortest, Nanoseconds longest) {
  if (size <= before || elapsed <= Nanoseconds::zero()) return longest;
  if (size >= max_size) return std::min(shortest, longest);
  const double bytes_a_nanosecond = static_cast<double>(size - before) / static_cast<double>(elapsed.count());
  const double until_full = static_cast<double>(max_size - size) / bytes_a_nanosecond;
  if (until_full >= static_cast<double>(longest.count())) return longest;
  return std::min(longest, std::max(shortest, Nanoseconds(static_cast<std::int64_t>(until_full))));
}

}  // namespace daemonsetd::decide

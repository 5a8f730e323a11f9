#include "agent/local/cri_log.h"

#include <utility>

#include "agent/local/rfc3339.h"

namespace daemonsetd::local {

std::optional<LogRecord> ParseLogRecord(std::string_view line) {
  LogRecord record;
  const auto take_word = [&line]() -> std::string_view {
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return {};
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(space + 1);
    return word;
  };
  record.time = take_word();
  // Cheap test first: the time is parsed in full only when it is compared.
  if (record.time.size() < 20 || record.time[4] != '-' || record.time[10] != 'T') return std::nullopt;
  record.stream = take_word();
  if (record.stream != "stdout" && record.stream != "stderr") return std::nullopt;
  // Tags are separated by ':'; the first is P or F. The runtime may leave the text away together with its space.
  const auto space = line.find(' ');
  std::string_view tags = line.substr(0, space);
  record.text = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  tags = tags.substr(0, tags.find(':'));
  if (tags != "P" && tags != "F") return std::nullopt;
  record.partial = tags == "P";
  return record;
}

std::string LogJoiner::Feed(std::string_view bytes) {
  std::string out;
  for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    if (rest_.empty()) {
      AddRecord(bytes.substr(0, end), out);
    } else {
      rest_.append(bytes.substr(0, end));
      AddRecord(std::exchange(rest_, {}), out);
    }
    bytes.remove_prefix(end + 1);
  }
  rest_.append(bytes);
  if (rest_.size() > kMaximumLine) AddRecord(std::exchange(rest_, {}), out);
  return out;
}

std::string LogJoiner::Flush() {
  std::string out;
  if (!rest_.empty()) AddRecord(std::exchange(rest_, {}), out);
  for (const auto& [stream, pending] : std::exchange(pending_, {})) Emit(pending.time, pending.text, out);
  return out;
}

void LogJoiner::AddRecord(std::string_view line, std::string& out) {
  const std::optional<LogRecord> record = ParseLogRecord(line);
  if (!record) {
    out.append(line).push_back('\n');
    return;
  }
  const auto found = pending_.find(record->stream);
  if (!record->partial && found == pending_.end()) {
    Emit(record->time, record->text, out);
    return;
  }
  Pending& pending = found != pending_.end() ? found->second : pending_[std::string(record->stream)];
  if (found == pending_.end()) pending.time = record->time;
  pending.text.append(record->text);
  if (record->partial && pending.text.size() < kMaximumLine) return;
  Emit(pending.time, pending.text, out);
  pending_.erase(pending_.find(record->stream));
}

void LogJoiner::Emit(std::string_view time, std::string_view text, std::string& out) const {
  if (format_.not_before) {
    const std::optional<WallTime> moment = ParseRfc3339(time);
    if (moment && *moment < *format_.not_before) return;
  }
  if (format_.timestamps) out.append(time).push_back(' ');
  out.append(text).push_back('\n');
}

}  // namespace daemonsetd::local

#include "agent/pods/termination_message.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "agent/base/time_point.h"
#include "agent/base/utf8.h"
#include "agent/decide/labels.h"
#include "agent/pods/files.h"

namespace daemonsetd::pods {

namespace v1 = ::runtime::v1;

namespace {

constexpr Nanoseconds kMoment = std::chrono::seconds(5);
constexpr char kFallbackToLogs[] = "FallbackToLogsOnError";
// 80 lines of which only 2048 bytes count, each with time, stream and tag before it; and one long line.
constexpr std::size_t kLogWindow = std::size_t{64} * 1024;

// The last `limit` bytes. kAbsent when there is no file. The container writes it, so it may be of any size; a link or a
// pipe in its place is not followed and not waited for.
Result<std::string> ReadEnd(const std::string& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return SystemError("open " + path, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return SystemError("look at " + path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error(ErrorKind::kInvalid, fmt::format("{} is {}", path, FileTypeName(status.st_mode)));
  }
  std::string content(std::min<std::size_t>(limit, static_cast<std::size_t>(status.st_size)), '\0');
  off_t offset = status.st_size - static_cast<off_t>(content.size());
  std::size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t count = ::pread(file.get(), content.data() + filled, content.size() - filled, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read " + path, errno);
    if (count == 0) break;  // shortened meanwhile
    filled += static_cast<std::size_t>(count);
    offset += count;
  }
  content.resize(filled);
  return content;
}

// A character that was cut at the front would show as garbage.
std::string_view WithoutCutCharacter(std::string_view text) {
  for (int i = 0; i < 3 && !text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80; ++i) {
    text.remove_prefix(1);
  }
  return text;
}

// The host's side of the mount that the container saw at `path`. Only files that the agent made for this container
// count: a volume mounted there would let a pod show any file of the node.
std::string MessageFile(const PodPaths& paths, const v1::ContainerStatus& status, const std::string& path) {
  const Result<std::string> directory = paths.ContainerDirectory(status.metadata().name());
  if (!directory) return "";
  std::string found;
  for (const v1::Mount& mount : status.mounts()) {
    if (mount.container_path() == path && mount.host_path().starts_with(*directory + "/")) found = mount.host_path();
  }
  return found;
}

// "2026-01-02T03:04:05.678901234Z stdout F text": what the container wrote, with its line break when the line is full.
std::string TextOfLogLine(std::string_view line) {
  std::string_view rest = line;
  std::string_view tag;
  for (int field = 0; field < 3; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return std::string(line) + "\n";  // not the runtime's format: shown as it is
    tag = rest.substr(0, space);
    rest.remove_prefix(space + 1);
  }
  return tag.starts_with('P') ? std::string(rest) : std::string(rest) + "\n";
}

std::string EndOfLog(const std::string& path) {
  const Result<std::string> window = ReadEnd(path, kLogWindow);
  if (!window) return fmt::format("Error on reading termination message from logs: {}", window.error().message());
  std::string_view text = *window;
  // Whole lines only, unless one line is longer than all that was read.
  if (window->size() == kLogWindow) {
    if (const std::size_t end = text.find('\n'); end + 1 < text.size()) text.remove_prefix(end + 1);
  }
  std::vector<std::string_view> lines;
  while (!text.empty() && lines.size() < kMaxLinesFromLog) {
    const std::string_view body = text.back() == '\n' ? text.substr(0, text.size() - 1) : text;
    const std::size_t before = body.rfind('\n');
    const std::size_t start = before == std::string_view::npos ? 0 : before + 1;
    lines.push_back(body.substr(start));
    text = text.substr(0, start);
  }
  std::string message;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) message += TextOfLogLine(*line);
  if (message.size() > kMaxMessageFromLog) message.erase(0, message.size() - kMaxMessageFromLog);
  return message;
}

std::string LastWord(const PodPaths& paths, const v1::ContainerStatus& status) {
  const std::string path = decide::ValueOf(status.annotations(), decide::kTerminationMessagePathAnnotation);
  if (const std::string file = path.empty() ? "" : MessageFile(paths, status, path); !file.empty()) {
    const Result<std::string> content = ReadEnd(file, kMaxTerminationMessage);
    if (!content && content.error().kind() != ErrorKind::kAbsent) {
      return fmt::format("Error on reading termination log {}: {}", file, content.error().message());
    }
    if (content && !content->empty()) return *content;
  }
  if (decide::ValueOf(status.annotations(), decide::kTerminationMessagePolicyAnnotation) != kFallbackToLogs ||
      status.exit_code() == 0) {
    return "";
  }
  const Result<std::string> log = paths.LogPath(status.metadata().name(), status.metadata().attempt());
  return log ? EndOfLog(*log) : "";
}

void Limit(corev1::ContainerState& state, std::size_t bytes) {
  if (!state.has_terminated() || state.terminated().message().size() <= bytes) return;
  state.mutable_terminated()->set_message(std::string(CutUtf8(state.terminated().message(), bytes)));
}

}  // namespace

std::string TerminationMessage(const PodPaths& paths, const v1::ContainerStatus& status) {
  if (status.state() != v1::CONTAINER_EXITED) return status.message();
  const std::string last_word = LastWord(paths, status);
  std::string message = status.message();
  if (!message.empty() && !last_word.empty()) message += ": ";
  message += WithoutCutCharacter(last_word);
  return std::string(CutUtf8(ValidUtf8(message), kMaxTerminationMessage));
}

std::string WordsOfEarlyEnd(const PodPaths& paths, const v1::ContainerStatus& status) {
  const Nanoseconds lived(status.finished_at() - status.started_at());
  if (status.exit_code() == 0 || lived > kMoment) return "";
  const Result<std::string> log = paths.LogPath(status.metadata().name(), status.metadata().attempt());
  return log ? EndOfLog(*log) : "";
}

void LimitTerminationMessages(const corev1::PodSpec& spec, corev1::PodStatus& status) {
  const int containers = spec.containers_size() + spec.initcontainers_size() + spec.ephemeralcontainers_size();
  const std::size_t share = kMaxTerminationMessages / static_cast<std::size_t>(std::max(containers, 1));
  for (auto* statuses : {status.mutable_containerstatuses(), status.mutable_initcontainerstatuses(),
                         status.mutable_ephemeralcontainerstatuses()}) {
    for (corev1::ContainerStatus& container : *statuses) {
      if (container.has_state()) Limit(*container.mutable_state(), share);
      if (container.has_laststate()) Limit(*container.mutable_laststate(), share);
    }
  }
}

}  // namespace daemonsetd::pods

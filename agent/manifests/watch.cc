#include "agent/manifests/watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace daemonsetd::manifests {
namespace {

constexpr std::uint32_t kDirectoryEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_MODIFY |
                                           IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t kParentEvents = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

std::optional<WatchEvent::Kind> KindOf(std::uint32_t mask) {
  if ((mask & IN_CLOSE_WRITE) != 0) return WatchEvent::Kind::kClosed;
  if ((mask & IN_MOVED_TO) != 0) return WatchEvent::Kind::kMovedIn;
  if ((mask & IN_MODIFY) != 0) return WatchEvent::Kind::kModified;
  if ((mask & IN_CREATE) != 0) return WatchEvent::Kind::kCreated;
  if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) return WatchEvent::Kind::kGone;
  if ((mask & IN_ATTRIB) != 0) return WatchEvent::Kind::kTouched;
  return std::nullopt;
}

}  // namespace

Watch::Watch(const async::Executor& executor, std::string directory)
    : directory_(std::move(directory)), descriptor_(executor) {
  const std::size_t slash = directory_.rfind('/');
  parent_ = slash == 0 || slash == std::string::npos ? "/" : directory_.substr(0, slash);
  base_name_ = slash == std::string::npos ? directory_ : directory_.substr(slash + 1);
}

Status Watch::Open() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return Error(ErrorKind::kRetry, fmt::format("inotify: {}", std::strerror(errno)));
  descriptor_.assign(fd);
  return Ok();
}

void Watch::Arm() {
  if (!descriptor_.is_open()) return;
  const int fd = descriptor_.native_handle();
  // The same inode gives the same watch again; a directory that was replaced gives a new one.
  const int now = ::inotify_add_watch(fd, directory_.c_str(), kDirectoryEvents);
  if (directory_watch_ >= 0 && directory_watch_ != now) ::inotify_rm_watch(fd, directory_watch_);
  directory_watch_ = now;
  const int parent = ::inotify_add_watch(fd, parent_.c_str(), kParentEvents);
  if (parent_watch_ >= 0 && parent_watch_ != parent) ::inotify_rm_watch(fd, parent_watch_);
  parent_watch_ = parent;
}

Task<std::vector<WatchEvent>> Watch::Next() {
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  std::vector<WatchEvent> events;
  while (events.empty()) {
    const auto target = boost::asio::buffer(buffer);
    const std::size_t size = co_await descriptor_.async_read_some(target, boost::asio::use_awaitable);
    events = Parse(buffer.data(), size);
  }
  co_return events;
}

std::vector<WatchEvent> Watch::Parse(const char* data, std::size_t size) {
  std::vector<WatchEvent> events;
  std::size_t at = 0;
  while (at + sizeof(inotify_event) <= size) {
    inotify_event event;
    std::memcpy(&event, data + at, sizeof(event));
    const char* name_data = data + at + sizeof(event);
    at += sizeof(event) + event.len;
    if (at > size) break;
    const std::string name(name_data, ::strnlen(name_data, event.len));
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      events.push_back({.kind = WatchEvent::Kind::kOverflow});
    } else if (event.wd == directory_watch_ && name.empty()) {
      if ((event.mask & IN_IGNORED) != 0) directory_watch_ = -1;
      events.push_back({.kind = WatchEvent::Kind::kDirectory});
    } else if (event.wd == directory_watch_) {
      if (const auto kind = KindOf(event.mask)) events.push_back({.kind = *kind, .name = name});
    } else if (event.wd == parent_watch_ && (name == base_name_ || name.empty())) {
      if ((event.mask & IN_IGNORED) != 0) parent_watch_ = -1;
      events.push_back({.kind = WatchEvent::Kind::kDirectory});
    }
  }
  return events;
}

}  // namespace daemonsetd::manifests

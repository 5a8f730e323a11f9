#include "agent/local/socket_file.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "agent/async/descriptor.h"
#include "agent/base/log.h"

namespace daemonsetd::local {
namespace {

using async::Descriptor;

constexpr mode_t kMode = 0660;

Error SystemError(const std::string& path, const char* action, int code) {
  return Error(ErrorKind::kFatal, fmt::format("cannot {} {}: {}", action, path, std::strerror(code)));
}

// Clears the way: nothing there, or a socket that nobody listens on.
Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat facts{};
  if (lstat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return Ok();
    return SystemError(path, "look at", errno);
  }
  if (!S_ISSOCK(facts.st_mode)) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("{} exists and is not a socket; remove it or choose another socket path", path));
  }
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return SystemError(path, "probe", errno);
  // EAGAIN: the listener's queue is full, so there is one.
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return Error(ErrorKind::kExists,
                 fmt::format("another process listens on {}; stop it (systemctl status daemonsetd) or choose another "
                             "socket path",
                             path));
  }
  if (errno != ECONNREFUSED && errno != ENOENT) return SystemError(path, "probe", errno);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError(path, "remove the stale socket", errno);
  return Ok();
}

void GiveToGroup(const std::string& path, const std::string& group) {
  if (group.empty()) return;
  std::vector<char> buffer(16 * 1024);
  struct group entry{};
  struct group* found = nullptr;
  if (getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    log::Warning("the socket's group does not exist, so only root may use it: create the group or configure another",
                 {{"socket", path}, {"group", group}});
    return;
  }
  if (chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) {
    log::Warning("cannot give the socket to its group, so only root may use it",
                 {{"socket", path}, {"group", group}, {"err", std::strerror(errno)}});
  }
}

}  // namespace

Result<int> ListenOn(const std::string& path, const std::string& group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof address.sun_path) {
    return Error(ErrorKind::kInvalid, fmt::format("socket path \"{}\" must be absolute and shorter than {} bytes", path,
                                                  sizeof address.sun_path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());

  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(parent, error);
  if (error)
    return Error(ErrorKind::kFatal, fmt::format("cannot make directory {}: {}", parent.string(), error.message()));

  DAEMONSETD_RETURN_IF_ERROR(RemoveStale(path, address));

  Descriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (listener.get() < 0) return SystemError(path, "make a socket for", errno);
  // bind gives the file the mode that the unbound socket has, less the umask, so there is no moment with a wider one.
  if (fchmod(listener.get(), kMode) != 0) return SystemError(path, "set the mode of", errno);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return SystemError(path, "listen on", errno);
  }
  GiveToGroup(path, group);
  // After the owner, because the umask may have taken the group's bits away.
  if (chmod(path.c_str(), kMode) != 0) return SystemError(path, "set the mode of", errno);
  if (listen(listener.get(), SOMAXCONN) != 0) return SystemError(path, "listen on", errno);
  return listener.Release();
}

Result<SocketIdentity> IdentityOf(const std::string& path) {
  struct stat facts{};
  if (lstat(path.c_str(), &facts) != 0) return SystemError(path, "look at", errno);
  return SocketIdentity{facts.st_dev, facts.st_ino};
}

void RemoveIfSame(const std::string& path, const SocketIdentity& identity) {
  const auto present = IdentityOf(path);
  if (present && present->device == identity.device && present->inode == identity.inode) unlink(path.c_str());
}

}  // namespace daemonsetd::local

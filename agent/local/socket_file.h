// The listening end of a Unix socket as a file: directory, stale file, mode and owner.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace daemonsetd::local {

// A bound and listening, non-blocking socket; the caller owns the descriptor. The file is 0660 from its first moment
// on. kExists: somebody listens there already. kInvalid: the path is too long or is no socket. kFatal: anything else.
Result<int> ListenOn(const std::string& path, const std::string& group);

// Tells the file that we made from one that a successor put in its place.
struct SocketIdentity {
  unsigned long long device = 0;
  unsigned long long inode = 0;
};
Result<SocketIdentity> IdentityOf(const std::string& path);
void RemoveIfSame(const std::string& path, const SocketIdentity& identity);

}  // namespace daemonsetd::local

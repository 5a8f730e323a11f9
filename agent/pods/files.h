// Small file operations with errors that name the path and what to do. All block: call them on the blocking pool.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/async/descriptor.h"
#include "agent/base/result.h"

namespace daemonsetd::pods {

using async::Descriptor;

// "mkdir /a/b: Permission denied", with the kind that fits errno.
Error SystemError(std::string_view what, int error_number);

// Makes the directory and its missing parents. One that exists keeps its mode; what is made gets `mode`, umask aside.
Status MakeDirectories(const std::string& path, mode_t mode);

// The content, which must not be longer than `limit`.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t limit);

// What a symbolic link holds; unset when it is none or cannot be read.
std::optional<std::string> ReadLink(const std::string& path);

// Names in a directory without "." and ".."; none when it does not exist.
Result<std::vector<std::string>> ListDirectory(const std::string& path);

// Writes beside the target and renames, so that nobody ever reads half a file. Does nothing when the content is there.
// Several may do so at once. A crash may leave a file PATH.new.*, which goes with its directory.
Status WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode);

// What a path is, in words for errors: "a directory", "a regular file", "a socket".
std::string_view FileTypeName(mode_t mode);

}  // namespace daemonsetd::pods

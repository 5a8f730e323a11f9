// The client certificate on the node, laid out as a kubelet's: STATE/pki/client-DATE.pem holds certificate and key, and
// the link client-current.pem names the one in use. All of it blocks.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::identity {

// STATE/pki/client-current.pem.
std::string CurrentCertificatePath(const std::string& state_directory);

// Makes `directory` (0700, its parents 0755) unless it is there.
Status MakePrivateDirectory(const std::string& directory);

// Beside the target, then renamed: nobody ever reads half of it. Mode 0600. What it says survives a loss of power.
Status WritePrivateFile(const std::string& path, std::string_view text);

// Stores certificate and key and moves the link; answers the new file's path. The one that was in use before stays,
// older ones go.
Result<std::string> StoreCertificate(const std::string& state_directory, std::string_view certificate,
                                     std::string_view key, WallTime now);

}  // namespace daemonsetd::identity

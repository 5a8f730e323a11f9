// What this build is, for the daemon and daemonsetctl alike.
#pragma once

#include <string_view>

namespace daemonsetd {

struct VersionFacts {
  std::string_view version;     // "0.1.0"
  std::string_view git_commit;  // "95b7282a51c0", with "-dirty" when the tree was changed; "unknown" without git
  std::string_view build_date;  // RFC 3339 from SOURCE_DATE_EPOCH, else empty: builds stay reproducible
  std::string_view compiler;    // "clang 19.1.4"
  std::string_view platform;    // "linux/amd64"
};

const VersionFacts& BuildVersion();

}  // namespace daemonsetd

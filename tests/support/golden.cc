#include "tests/support/golden.h"

#include <cstdlib>
#include <fstream>
#include <optional>

#include "tests/support/test_data.h"

namespace daemonsetd::testing {

::testing::AssertionResult MatchesGolden(std::string_view golden_file, const std::string& actual) {
  const std::string path = SourcePath(golden_file);
  const std::optional<std::string> expected = ReadFile(path);
  if (expected && *expected == actual) return ::testing::AssertionSuccess();

  const char* accept = std::getenv("DAEMONSETD_ACCEPT_GOLDEN");
  if (accept != nullptr && std::string_view(accept) == "1") {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << actual;
    if (!file.flush()) return ::testing::AssertionFailure() << "cannot write " << path;
    return ::testing::AssertionFailure() << "rewrote " << path << "; read the change, then run the test without "
                                         << "DAEMONSETD_ACCEPT_GOLDEN";
  }
  if (!expected) {
    return ::testing::AssertionFailure() << path << " is missing; DAEMONSETD_ACCEPT_GOLDEN=1 writes it with:\n"
                                         << actual;
  }
  return ::testing::AssertionFailure() << path << " differs\n--- expected\n" << *expected << "--- actual\n" << actual;
}

}  // namespace daemonsetd::testing

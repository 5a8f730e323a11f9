// Golden files: the exact text that a test expects, kept beside its input.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace daemonsetd::testing {

// Compares `actual` with the file (relative to the source root). With DAEMONSETD_ACCEPT_GOLDEN=1 in the environment a
// file that differs is rewritten, and the test still fails: accepting an answer is not passing the test.
::testing::AssertionResult MatchesGolden(std::string_view golden_file, const std::string& actual);

}  // namespace daemonsetd::testing

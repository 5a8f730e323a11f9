// Files that tests read. Paths are relative to the source root, wherever the test is started.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace daemonsetd::testing {

// The absolute path of a file or folder of the source tree: SourcePath("tests/unit/model/testdata/x.json").
std::string SourcePath(std::string_view relative);

// The whole file, or nothing when it can't be read.
std::optional<std::string> ReadFile(const std::string& path);
// Throws when the file can't be read: a test without its data must not pass.
std::string ReadTestData(std::string_view relative);
// The file's lines without empty ones: the form of our .jsonl vectors.
std::vector<std::string> ReadTestDataLines(std::string_view relative);

}  // namespace daemonsetd::testing

#include "tests/support/test_data.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace daemonsetd::testing {

std::string SourcePath(std::string_view relative) { return DAEMONSETD_SOURCE_ROOT "/" + std::string(relative); }

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

std::string ReadTestData(std::string_view relative) {
  std::optional<std::string> content = ReadFile(SourcePath(relative));
  if (!content) throw std::runtime_error("cannot read " + SourcePath(relative));
  return std::move(*content);
}

std::vector<std::string> ReadTestDataLines(std::string_view relative) {
  std::istringstream content(ReadTestData(relative));
  std::vector<std::string> lines;
  for (std::string line; std::getline(content, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace daemonsetd::testing

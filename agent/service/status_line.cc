#include "agent/service/status_line.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/utf8.h"

namespace daemonsetd::service {
namespace {

constexpr std::size_t kMaximumLine = 400;

bool IsControl(unsigned char c) { return c < 0x20 || c == 0x7f; }

}  // namespace

std::string StatusLine(const StatusFacts& facts) {
  std::string line = fmt::format("{}/{} pods ready; ", facts.pods_ready, facts.pods_desired);
  if (facts.runtime_connected) {
    line += "container runtime connected";
  } else if (facts.runtime_error.empty()) {
    line += "container runtime not asked yet";
  } else {
    line += "container runtime not reachable: " + facts.runtime_error;
  }
  if (!facts.api_server.empty()) line += "; API server " + facts.api_server;
  if (facts.warnings > 0) {
    line += fmt::format("; {} {}, see daemonsetctl get status", facts.warnings,
                        facts.warnings == 1 ? "warning" : "warnings");
  }
  return line;
}

std::string OneLine(std::string_view text) {
  std::string line = ValidUtf8(text);
  std::replace_if(line.begin(), line.end(), [](char c) { return IsControl(static_cast<unsigned char>(c)); }, ' ');
  if (line.size() > kMaximumLine) line = std::string(CutUtf8(line, kMaximumLine)) + "…";
  return line;
}

}  // namespace daemonsetd::service

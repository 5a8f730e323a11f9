#include "agent/pods/probes/probe_result.h"

namespace daemonsetd::pods {
namespace {

constexpr std::string_view kEllipsis = "…";

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the well-formed UTF-8 character at the beginning of `text`; 0 when there is none.
std::size_t CharacterSize(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  std::size_t size = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) size = 2;
  if (lead >= 0xE0 && lead <= 0xEF) size = 3;
  if (lead >= 0xF0 && lead <= 0xF4) size = 4;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool outside = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : size;
}

ProbeResult Make(ProbeVerdict verdict, std::string_view output) {
  return ProbeResult{.verdict = verdict, .output = OneLine(output)};
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const std::size_t size = CharacterSize(text);
    const auto lead = static_cast<unsigned char>(text.front());
    // A protobuf text field takes UTF-8 only, and a terminal obeys control characters (C1 ones are two bytes long).
    const bool control = size <= 1 && (size == 0 || lead < 0x20 || lead == 0x7F);
    const bool control1 = size == 2 && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    const std::string_view piece = control || control1 ? " " : text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
    if (piece == " " && (line.empty() || line.back() == ' ')) continue;
    if (line.size() + piece.size() > kMaximumOutput - kEllipsis.size()) {
      line += kEllipsis;
      return line;
    }
    line += piece;
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

ProbeResult ProbeSuccess(std::string_view output) { return Make(ProbeVerdict::kSuccess, output); }
ProbeResult ProbeFailure(std::string_view output) { return Make(ProbeVerdict::kFailure, output); }
ProbeResult ProbeUnknown(std::string_view output) { return Make(ProbeVerdict::kUnknown, output); }

}  // namespace daemonsetd::pods

// What one run of a probe or hook answers.
#pragma once

#include <string>
#include <string_view>

namespace daemonsetd::pods {

enum class ProbeVerdict {
  kSuccess,
  kFailure,
  kUnknown,  // the probe itself could not be run: not a result
};

struct ProbeResult {
  ProbeVerdict verdict = ProbeVerdict::kUnknown;
  // One short printable line for Events and logs. It never holds a header's value.
  std::string output;
  bool warning = false;  // a success that a person should hear of: a redirect that was not followed
  // exec only: the call was given up and the command may still run in the container; the next one may run beside it.
  bool abandoned = false;
};

// Bytes of ProbeResult::output. Upstream cuts at 10 KiB, but an Event's message at 1 KiB.
constexpr std::size_t kMaximumOutput = 1000;

ProbeResult ProbeSuccess(std::string_view output);
ProbeResult ProbeFailure(std::string_view output);
ProbeResult ProbeUnknown(std::string_view output);

// `text` on one line, cut at kMaximumOutput between two characters, without what is not printable or not UTF-8.
std::string OneLine(std::string_view text);

}  // namespace daemonsetd::pods

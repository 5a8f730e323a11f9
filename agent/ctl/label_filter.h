// The text of -l: "app=agent,tier!=db,disk,!gpu,zone in (a,b),arch notin (arm64)".
#pragma once

#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::ctl {

// kInvalid with the part that is wrong. An empty text selects everything.
Result<metav1::LabelSelector> ParseLabelFilter(std::string_view text);

}  // namespace daemonsetd::ctl

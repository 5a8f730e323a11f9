// Who is told of the calls to a runtime.
#pragma once

#include <functional>
#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::cri {

// Called on the loop after each call has ended; streams are not calls in this sense.
using CallObserver = std::function<void(std::string_view method, Nanoseconds took, bool succeeded)>;

}  // namespace daemonsetd::cri

// Dice of the system's, for spreading what many nodes would do at one moment; nothing secret rests on them.
#pragma once

#include <functional>

namespace daemonsetd::async {

// Numbers in [0, 1), seeded from the system.
std::function<double()> SystemRandom();

}  // namespace daemonsetd::async

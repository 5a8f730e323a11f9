#include "agent/async/system_random.h"

#include <memory>
#include <random>

namespace daemonsetd::async {

std::function<double()> SystemRandom() {
  auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
  return [engine] { return std::uniform_real_distribution<double>(0, 1)(*engine); };
}

}  // namespace daemonsetd::async

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "agent/ctl/cli.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const char* socket = std::getenv("DAEMONSETD_SOCKET");
  return daemonsetd::ctl::Run(arguments, {.out = std::cout,
                                          .err = std::cerr,
                                          .now = std::chrono::system_clock::now,
                                          .default_socket = socket != nullptr ? socket : ""});
}

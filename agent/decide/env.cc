#include "agent/decide/env.h"

namespace daemonsetd::decide {

std::string Expand(std::string_view input, const VariableLookup& lookup) {
  std::string out;
  out.reserve(input.size());
  std::size_t at = 0;
  while (at < input.size()) {
    const std::size_t dollar = input.find('$', at);
    if (dollar == std::string_view::npos || dollar + 1 == input.size()) break;
    out.append(input.substr(at, dollar - at));
    at = dollar + 2;

    const char next = input[dollar + 1];
    if (next == '$') {
      out.push_back('$');
      continue;
    }
    const std::size_t closer = next == '(' ? input.find(')', at) : std::string_view::npos;
    if (closer == std::string_view::npos) {
      out.append(input.substr(dollar, 2));
      continue;
    }
    const std::string_view reference = input.substr(dollar, closer + 1 - dollar);
    const std::optional<std::string> value = lookup(input.substr(at, closer - at));
    out.append(value ? std::string_view(*value) : reference);
    at = closer + 1;
  }
  if (at < input.size()) out.append(input.substr(at));
  return out;
}

}  // namespace daemonsetd::decide

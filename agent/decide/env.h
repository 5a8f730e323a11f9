// $(VAR) expansion in command, args and env values (third_party/forked/golang/expansion).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace daemonsetd::decide {

using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

// `$(NAME)` is replaced when the lookup knows NAME and stays as it is otherwise; `$$` is a literal `$`.
std::string Expand(std::string_view input, const VariableLookup& lookup);

}  // namespace daemonsetd::decide

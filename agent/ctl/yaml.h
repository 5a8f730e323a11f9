// JSON as YAML, for -o yaml: the same names in the same order.
#pragma once

#include <string>
#include <string_view>

namespace daemonsetd::ctl {

// `json` must be well formed; it comes from our own printer. Block style, texts quoted wherever YAML would read them as
// something else.
std::string JsonToYaml(std::string_view json);

}  // namespace daemonsetd::ctl

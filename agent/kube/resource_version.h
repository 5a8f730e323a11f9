// The order of resourceVersions. Rules: KEP-5504, decimal numbers of any length without leading zeros.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace daemonsetd::kube {

// Nothing when one of them is no such number: an API server on other storage than etcd. Then no order is known.
std::optional<std::strong_ordering> CompareResourceVersions(std::string_view left, std::string_view right);

// True only when it is known that `left` came before `right`.
bool IsOlder(std::string_view left, std::string_view right);

}  // namespace daemonsetd::kube

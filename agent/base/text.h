// Looks at text. Pure.
#pragma once

#include <string_view>
#include <vector>

namespace daemonsetd {

// What stands between separators, empty parts too; nothing behind a separator at the very end.
std::vector<std::string_view> SplitText(std::string_view text, char separator);

}  // namespace daemonsetd

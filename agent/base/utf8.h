// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace daemonsetd {

// Length in bytes of the sequence that starts at `at`, which is inside the text; 0 when it is broken.
std::size_t Utf8Length(std::string_view text, std::size_t at);

// `text` with U+FFFD for each byte that belongs to no sequence: what protobuf and JSON take as a string.
std::string ValidUtf8(std::string_view text);

// The longest beginning of a valid text that has at most `bytes` bytes and ends between two characters.
std::string_view CutUtf8(std::string_view text, std::size_t bytes);

}  // namespace daemonsetd

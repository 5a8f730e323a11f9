// Reading and writing a configuration message by key path ("logging.level").
#pragma once

#include <string>
#include <string_view>

#include "config.pb.h"

namespace daemonsetd::config {

using Message = v1alpha1::DaemonsetdConfiguration;

// True when the key was written, with whatever value. Lists and maps: not empty.
bool IsSet(const Message& message, std::string_view path);
// The value of a scalar key as YAML would write it; "" when unset. Not for lists and maps.
std::string ScalarText(const Message& message, std::string_view path);
// Sets a scalar key of the table; `text` must suit its type (the table's own defaults and the flags do).
void SetScalar(Message& message, std::string_view path, std::string_view text);
// Replaces one key, of any type, by that of `from`.
void CopyKey(const Message& from, Message& to, std::string_view path);
bool SameValue(const Message& a, const Message& b, std::string_view path);

}  // namespace daemonsetd::config

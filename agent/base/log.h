// The logging façade: one line per decision, a constant message and key="value" pairs. Text is klog's form, which every
// collector of Kubernetes logs can read; JSON has the keys of Kubernetes' --logging-format=json, and the level.
// Names of keys: pod and daemonSet are "namespace/name", node is a name, err says what failed.
// Levels: Error a person must act; Warning degraded but going on; Info a decision; Debug what led to it.
// Never pass a secret, a token or an env value: there is no level at which they may be printed.
#pragma once

#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

// One without a value is left out of the line.
struct Field {
  template <class T>
  Field(std::string_view field_key, const T& field_value) : key(field_key) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      value = std::string(std::string_view(field_value));
    } else {
      value = fmt::to_string(field_value);
    }
  }
  std::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

// "debug", "info", "warning" or "error"; anything else is info.
Level LevelFrom(std::string_view name);

// Start-up only. Lines go to standard error; with `journald`, each carries the "<N>" priority prefix.
void Configure(Level level, Format format, bool journald);
void SetLevel(Level level);

// `where` is the caller.
using Where = std::source_location;
void Debug(std::string_view message, Fields fields = {}, const Where& where = Where::current());
void Info(std::string_view message, Fields fields = {}, const Where& where = Where::current());
void Warning(std::string_view message, Fields fields = {}, const Where& where = Where::current());
void Error(std::string_view message, Fields fields = {}, const Where& where = Where::current());

}  // namespace daemonsetd::log

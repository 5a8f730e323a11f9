// The logging façade: one line per decision, a constant message and key="value" pairs.
// Levels: Error a person must act; Warning degraded but going on; Info a decision; Debug what led to it.
// Never pass a secret, a token or an env value: there is no level at which they may be printed.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

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

void Debug(std::string_view message, Fields fields = {});
void Info(std::string_view message, Fields fields = {});
void Warning(std::string_view message, Fields fields = {});
void Error(std::string_view message, Fields fields = {});

}  // namespace daemonsetd::log

#include "agent/base/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace daemonsetd::log {
namespace {

Format g_format = Format::kText;

// spdlog owns the time stamp, the severity and the sink; the line's text is made here.
std::shared_ptr<spdlog::logger> Make(Format format, bool journald) {
  auto logger = std::make_shared<spdlog::logger>("daemonsetd", std::make_shared<spdlog::sinks::stderr_sink_st>());
  if (format == Format::kJson) {
    logger->set_pattern(R"({"ts":%E%e,"level":"%l",%v})", spdlog::pattern_time_type::utc);  // seconds, milliseconds
  } else if (journald) {
    logger->set_pattern("%v");  // journald adds time and unit itself
  } else {
    logger->set_pattern("%L%m%d %H:%M:%S.%f %7P %v", spdlog::pattern_time_type::utc);
  }
  logger->flush_on(spdlog::level::warn);
  return logger;
}

std::shared_ptr<spdlog::logger> g_logger = Make(Format::kText, false);
bool g_journald = false;

void AppendQuoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarning: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

int JournaldPriority(Level level) {
  switch (level) {
    case Level::kDebug: return 7;
    case Level::kInfo: return 6;
    case Level::kWarning: return 4;
    case Level::kError: return 3;
  }
  return 6;
}

// "supervisor.cc:218".
std::string CallerOf(const Where& where) {
  const std::string_view file = where.file_name();
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), where.line());
}

void Write(Level level, std::string_view message, Fields fields, const Where& where) {
  const auto spdlog_level = ToSpdlog(level);
  if (!g_logger->should_log(spdlog_level)) return;
  std::string line;
  if (g_format == Format::kJson) {
    line = fmt::format("\"caller\":\"{}\",", CallerOf(where));
    // Kubernetes' verbosity, which errors do not have.
    if (level != Level::kError) line += fmt::format("\"v\":{},", level == Level::kDebug ? 4 : 0);
    line += "\"msg\":";
    AppendQuoted(line, message);
    for (const Field& field : fields) {
      if (field.value.empty()) continue;
      line.push_back(',');
      AppendQuoted(line, field.key);
      line.push_back(':');
      AppendQuoted(line, field.value);
    }
  } else {
    line = g_journald ? fmt::format("<{}>", JournaldPriority(level)) : CallerOf(where) + "] ";
    AppendQuoted(line, message);
    for (const Field& field : fields) {
      if (field.value.empty()) continue;
      line += fmt::format(" {}=", field.key);
      AppendQuoted(line, field.value);
    }
  }
  g_logger->log(spdlog_level, fmt::string_view("{}"), line);
}

}  // namespace

Level LevelFrom(std::string_view name) {
  if (name == "debug") return Level::kDebug;
  if (name == "warning") return Level::kWarning;
  if (name == "error") return Level::kError;
  return Level::kInfo;
}

void Configure(Level level, Format format, bool journald) {
  g_format = format;
  g_journald = journald && format == Format::kText;
  g_logger = Make(format, g_journald);
  g_logger->set_level(ToSpdlog(level));
}

void SetLevel(Level level) { g_logger->set_level(ToSpdlog(level)); }

void Debug(std::string_view message, Fields fields, const Where& where) {
  Write(Level::kDebug, message, fields, where);
}
void Info(std::string_view message, Fields fields, const Where& where) { Write(Level::kInfo, message, fields, where); }
void Warning(std::string_view message, Fields fields, const Where& where) {
  Write(Level::kWarning, message, fields, where);
}
void Error(std::string_view message, Fields fields, const Where& where) {
  Write(Level::kError, message, fields, where);
}

}  // namespace daemonsetd::log

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
    logger->set_pattern(R"({"ts":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v})", spdlog::pattern_time_type::utc);
  } else if (journald) {
    logger->set_pattern("%v");  // journald adds time and unit itself
  } else {
    logger->set_pattern("%L%m%d %H:%M:%S.%f %v", spdlog::pattern_time_type::utc);
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

void Write(Level level, std::string_view message, Fields fields) {
  const auto spdlog_level = ToSpdlog(level);
  if (!g_logger->should_log(spdlog_level)) return;
  std::string line;
  if (g_format == Format::kJson) {
    line = "\"msg\":";
    AppendQuoted(line, message);
    for (const Field& field : fields) {
      line.push_back(',');
      AppendQuoted(line, field.key);
      line.push_back(':');
      AppendQuoted(line, field.value);
    }
  } else {
    if (g_journald) line = fmt::format("<{}>", JournaldPriority(level));
    AppendQuoted(line, message);
    for (const Field& field : fields) {
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

void Debug(std::string_view message, Fields fields) { Write(Level::kDebug, message, fields); }
void Info(std::string_view message, Fields fields) { Write(Level::kInfo, message, fields); }
void Warning(std::string_view message, Fields fields) { Write(Level::kWarning, message, fields); }
void Error(std::string_view message, Fields fields) { Write(Level::kError, message, fields); }

}  // namespace daemonsetd::log

#include "agent/local/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace daemonsetd::local {
namespace {

// In help texts only backslash and line end are escaped; in label values the quote as well.
std::string Escape(std::string_view text, bool quote) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '"' && quote) {
      escaped += "\\\"";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// 0 when `text` is not a number.
double ToNumber(std::string_view text) {
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

void MetricsText::Family(std::string_view name, std::string_view type, std::string_view help) {
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, Escape(help, false), name, type);
}

void MetricsText::Sample(std::string_view name, const Labels& labels, double value) {
  text_ += name;
  char separator = '{';
  for (const auto& [key, label_value] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", separator, key, Escape(label_value, true));
    separator = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_ += fmt::format(" {}\n", Number(value));
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), buckets_(bounds_.size() + 1) {}

void Histogram::Observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++buckets_[static_cast<std::size_t>(bucket)];
  ++count_;
  sum_ += value;
}

std::vector<double> LatencyBounds() { return {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}; }

void Registry::CheckName(const std::string& name) {
  if (!name.starts_with("daemonsetd_") && !name.starts_with("rest_client_")) {
    throw std::logic_error("metric " + name + " lacks the prefix daemonsetd_");
  }
  if (!names_.insert(name).second) throw std::logic_error("metric " + name + " is registered twice");
}

Family<Counter>& Registry::AddCounters(std::string name, std::string help) {
  CheckName(name);
  return counters_.emplace_back(std::move(name), std::move(help), [] { return Counter(); });
}

Family<Gauge>& Registry::AddGauges(std::string name, std::string help) {
  CheckName(name);
  return gauges_.emplace_back(std::move(name), std::move(help), [] { return Gauge(); });
}

Family<Histogram>& Registry::AddHistograms(std::string name, std::string help, std::vector<double> bounds) {
  CheckName(name);
  return histograms_.emplace_back(std::move(name), std::move(help),
                                  [bounds = std::move(bounds)] { return Histogram(bounds); });
}

std::string Registry::Render() const {
  MetricsText text;
  for (const Family<Counter>& family : counters_) {
    text.Family(family.name(), "counter", family.help());
    for (const auto& [labels, counter] : family.metrics()) text.Sample(family.name(), labels, counter.value());
  }
  for (const Family<Gauge>& family : gauges_) {
    text.Family(family.name(), "gauge", family.help());
    for (const auto& [labels, gauge] : family.metrics()) text.Sample(family.name(), labels, gauge.value());
  }
  for (const Family<Histogram>& family : histograms_) {
    text.Family(family.name(), "histogram", family.help());
    for (const auto& [labels, histogram] : family.metrics()) {
      std::uint64_t cumulated = 0;
      for (std::size_t i = 0; i < histogram.buckets().size(); ++i) {
        cumulated += histogram.buckets()[i];
        Labels with_bound = labels;
        with_bound.emplace_back("le", i < histogram.bounds().size() ? Number(histogram.bounds()[i]) : "+Inf");
        text.Sample(family.name() + "_bucket", with_bound, static_cast<double>(cumulated));
      }
      text.Sample(family.name() + "_sum", labels, histogram.sum());
      text.Sample(family.name() + "_count", labels, static_cast<double>(histogram.count()));
    }
  }
  for (const Collect& collect : collectors_) collect(text);
  return text.Take();
}

std::string ToOpenMetrics(std::string_view text) {
  static constexpr std::string_view kTotal = "_total";
  std::string converted;
  converted.reserve(text.size() + 8);
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    // "# TYPE name type" and "# HELP name words".
    const auto name_end = line.starts_with("# ") ? line.find(' ', 7) : std::string_view::npos;
    const std::string_view name = line.substr(0, name_end);
    const std::string_view rest = name_end == std::string_view::npos ? std::string_view() : line.substr(name_end);
    if (!rest.empty() && name.ends_with(kTotal)) {
      converted += name.substr(0, name.size() - kTotal.size());
      converted += rest;
    } else if (rest == " counter") {  // a name that was taken over as it is
      converted += name;
      converted += " unknown";
    } else {
      converted += line;
    }
    converted += '\n';
  }
  return converted + "# EOF\n";
}

std::string RenderProcessMetrics(const std::string& proc) {
  MetricsText text;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const std::filesystem::path self = std::filesystem::path(proc) / "self";

  const std::string stat = ReadText(self / "stat");
  // The command's name, field 2, may hold spaces and parentheses: count from the last one (proc(5)).
  if (const auto end = stat.rfind(')'); end != std::string::npos) {
    std::istringstream fields(stat.substr(end + 1));
    const std::vector<std::string> values(std::istream_iterator<std::string>(fields), {});
    const auto value = [&values](std::size_t field_number) { return ToNumber(values[field_number - 3]); };
    if (values.size() > 21 && ticks > 0) {
      text.Family("process_cpu_seconds_total", "counter", "User and system CPU time spent in seconds.");
      text.Sample("process_cpu_seconds_total", {}, (value(14) + value(15)) / ticks);
      text.Family("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.");
      text.Sample("process_virtual_memory_bytes", {}, value(23));
      text.Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
      text.Sample("process_resident_memory_bytes", {}, value(24) * static_cast<double>(sysconf(_SC_PAGESIZE)));

      std::istringstream lines(ReadText(std::filesystem::path(proc) / "stat"));
      for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("btime ")) continue;
        text.Family("process_start_time_seconds", "gauge",
                    "Start time of the process since the Unix epoch in seconds.");
        text.Sample("process_start_time_seconds", {}, ToNumber(std::string_view(line).substr(6)) + value(22) / ticks);
        break;
      }
    }
  }

  std::error_code error;
  std::filesystem::directory_iterator descriptors(self / "fd", error);
  if (!error) {
    const auto count = std::distance(descriptors, std::filesystem::directory_iterator());
    text.Family("process_open_fds", "gauge", "Number of open file descriptors.");
    text.Sample("process_open_fds", {}, static_cast<double>(count));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    text.Family("process_max_fds", "gauge", "Maximum number of open file descriptors.");
    text.Sample("process_max_fds", {}, static_cast<double>(limit.rlim_cur));
  }
  return text.Take();
}

}  // namespace daemonsetd::local

// Counters, gauges and histograms in Prometheus' text format (version 0.0.4). No global: the agent owns one Registry
// and hands out references to its metrics, which live as long as it does. Everything on the loop thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/time_point.h"

namespace daemonsetd::local {

// Names and values. Values must come from small fixed sets or from the objects of this node, never from callers.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Writes the format itself. A family's samples follow its Family() call.
class MetricsText {
 public:
  void Family(std::string_view name, std::string_view type, std::string_view help);
  void Sample(std::string_view name, const Labels& labels, double value);
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

class Counter {
 public:
  void Add(double amount = 1) { value_ += amount; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

class Gauge {
 public:
  void Set(double value) { value_ = value; }
  void Add(double amount) { value_ += amount; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

class Histogram {
 public:
  // `bounds`: upper bounds of the buckets, rising; +Inf is added.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  void Observe(Nanoseconds time) { Observe(std::chrono::duration<double>(time).count()); }

  const std::vector<double>& bounds() const { return bounds_; }
  // Per bucket, not cumulated; one more than bounds() for +Inf.
  const std::vector<std::uint64_t>& buckets() const { return buckets_; }
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

// The metrics of one name, told apart by their labels.
template <class Metric>
class Family {
 public:
  using Make = std::function<Metric()>;
  Family(std::string name, std::string help, Make make)
      : name_(std::move(name)), help_(std::move(help)), make_(std::move(make)) {}

  // The metric with these labels, made at the first call. The reference stays valid.
  Metric& With(const Labels& labels) {
    const auto found = metrics_.find(labels);
    return found != metrics_.end() ? found->second : metrics_.emplace(labels, make_()).first->second;
  }

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::map<Labels, Metric>& metrics() const { return metrics_; }

 private:
  std::string name_;
  std::string help_;
  Make make_;
  std::map<Labels, Metric> metrics_;
};

// 5 ms to 60 s, for calls to the runtime and for requests.
std::vector<double> LatencyBounds();

// `text` is what this file writes. In OpenMetrics a counter's family is named without the "_total" of its samples, and
// what lacks that is no counter.
std::string ToOpenMetrics(std::string_view text);

class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // `name` starts with "daemonsetd_", or "rest_client_" as with every client of an API server, and is added once;
  // anything else is a broken invariant and throws.
  Family<Counter>& AddCounters(std::string name, std::string help);
  Family<Gauge>& AddGauges(std::string name, std::string help);
  Family<Histogram>& AddHistograms(std::string name, std::string help, std::vector<double> bounds);

  // Called at each Render, for values that somebody else keeps; writes families of its own, the same each time.
  using Collect = std::function<void(MetricsText&)>;
  void AddCollector(Collect collect) { collectors_.push_back(std::move(collect)); }

  std::string Render() const;

 private:
  void CheckName(const std::string& name);

  std::set<std::string> names_;
  std::deque<Family<Counter>> counters_;  // deque: references stay valid
  std::deque<Family<Gauge>> gauges_;
  std::deque<Family<Histogram>> histograms_;
  std::vector<Collect> collectors_;
};

// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds,
// process_max_fds, process_start_time_seconds. What cannot be read is left out.
std::string RenderProcessMetrics(const std::string& proc = "/proc");

}  // namespace daemonsetd::local

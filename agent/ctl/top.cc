#include <algorithm>

#include <fmt/format.h>

#include "agent/ctl/commands.h"
#include "agent/ctl/table.h"
#include "agent/ctl/yaml.h"
#include "agent/local/status_json.h"
#include "agent/model/quantity.h"

namespace daemonsetd::ctl {
namespace {

constexpr char kUnknown[] = "<unknown>";

// What containers use together. A part that is not known makes the whole unknown: half a sum misleads.
struct Sum {
  model::Quantity cpu;
  model::Quantity memory;
  bool cpu_known = true;
  bool memory_known = true;

  void Add(const statusv1::ContainerUsage& usage) {
    const auto add = [](const std::string& text, model::Quantity& to, bool& known) {
      const auto quantity = model::Quantity::Parse(text);
      if (quantity) to += *quantity;
      known = known && quantity;
    };
    add(usage.cpu(), cpu, cpu_known);
    add(usage.memory(), memory, memory_known);
  }
  std::string Cpu() const { return cpu_known ? fmt::format("{}m", cpu.MilliValue()) : kUnknown; }
  std::string Memory() const { return memory_known ? fmt::format("{}Mi", memory.Value() / (1 << 20)) : kUnknown; }
};

std::string Percent(bool known, double part, const std::string& whole_text, double (*read)(const model::Quantity&)) {
  const auto whole = model::Quantity::Parse(whole_text);
  const double denominator = whole ? read(*whole) : 0;
  return known && denominator > 0 ? fmt::format("{}%", static_cast<long long>(100 * part / denominator)) : kUnknown;
}

double Milli(const model::Quantity& quantity) { return static_cast<double>(quantity.MilliValue()); }
double Bytes(const model::Quantity& quantity) { return static_cast<double>(quantity.Value()); }

int TopPods(const Context& context, const TopCommand& command, const statusv1::UsageList& usage) {
  std::vector<std::string> heads = {"NAME", "CPU(cores)", "MEMORY(bytes)"};
  if (command.containers) heads = {"POD", "NAME", "CPU(cores)", "MEMORY(bytes)"};
  if (command.all_namespaces) heads.insert(heads.begin(), "NAMESPACE");
  Table table(std::move(heads));
  for (const statusv1::PodUsage& pod : usage.items()) {
    Sum sum;
    for (const statusv1::ContainerUsage& container : pod.containers()) {
      sum.Add(container);
      if (!command.containers) continue;
      Sum one;
      one.Add(container);
      std::vector<std::string> cells = {pod.name(), container.name(), one.Cpu(), one.Memory()};
      if (command.all_namespaces) cells.insert(cells.begin(), pod.namespace_());
      table.Add(std::move(cells));
    }
    if (command.containers) continue;
    std::vector<std::string> cells = {pod.name(), sum.Cpu(), sum.Memory()};
    if (command.all_namespaces) cells.insert(cells.begin(), pod.namespace_());
    table.Add(std::move(cells));
  }
  if (table.empty()) {
    context.surroundings.err << (command.all_namespaces
                                     ? std::string("No resources found\n")
                                     : fmt::format("No resources found in {} namespace.\n", command.object_namespace));
    return kExitOk;
  }
  context.surroundings.out << table.Render(command.heads);
  return kExitOk;
}

int TopNode(const Context& context, const TopCommand& command, const statusv1::UsageList& usage) {
  const Result<std::string> body = context.client.Get("/v1/node");
  if (!body) return Report(context, body.error());
  statusv1::NodeStatus node;
  if (const Status parsed = local::FromJson(*body, node); !parsed) return Report(context, parsed.error());
  if (!command.name.empty() && command.name != node.name())
    return ReportMissing(context, Kind::kNode, "", command.name);
  Sum sum;
  for (const statusv1::PodUsage& pod : usage.items()) {
    for (const statusv1::ContainerUsage& container : pod.containers()) sum.Add(container);
  }
  const auto allocatable = [&node](const char* resource) {
    const auto found = node.allocatable().find(resource);
    return found == node.allocatable().end() ? std::string() : found->second;
  };
  Table table({"NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"});
  table.Add({node.name(), sum.Cpu(), Percent(sum.cpu_known, Milli(sum.cpu), allocatable("cpu"), Milli), sum.Memory(),
             Percent(sum.memory_known, Bytes(sum.memory), allocatable("memory"), Bytes)});
  context.surroundings.out << table.Render(command.heads);
  return kExitOk;
}

}  // namespace

int Top(const Context& context, const TopCommand& command) {
  const Result<std::string> body = context.client.Get("/v1/usage");
  if (!body) return Report(context, body.error());
  statusv1::UsageList all;
  if (const Status parsed = local::FromJson(*body, all); !parsed) return Report(context, parsed.error());
  statusv1::UsageList chosen;
  chosen.set_window(all.window());
  const bool node = command.kind == Kind::kNode;
  for (const statusv1::PodUsage& pod : all.items()) {
    const bool wanted = (command.all_namespaces || pod.namespace_() == command.object_namespace) &&
                        (command.name.empty() || pod.name() == command.name);
    if (node || wanted) *chosen.add_items() = pod;
  }
  if (!node && !command.name.empty() && chosen.items().empty()) {
    return ReportMissing(context, Kind::kPods, command.object_namespace, command.name);
  }
  if (command.output == Output::kJson || command.output == Output::kYaml) {
    context.surroundings.out << Serialise(chosen, command.output);
    return kExitOk;
  }
  return node ? TopNode(context, command, chosen) : TopPods(context, command, chosen);
}

}  // namespace daemonsetd::ctl

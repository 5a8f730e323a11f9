// The table of keys as people read it.
#include <fmt/format.h>

#include "agent/config/reference.h"

namespace daemonsetd::config {
namespace {

constexpr std::size_t kWidth = 100;

std::string Wrapped(std::string_view text, std::string_view indent) {
  std::string out;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) out += fmt::format("{}# {}\n", indent, line);
    line.clear();
  };
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    if (line.size() + word.size() + 3 > kWidth) flush();
    if (!line.empty()) line += ' ';
    line += word;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  flush();
  return out;
}

std::string_view DefaultOf(const Key& key) { return key.default_text.empty() ? key.default_words : key.default_text; }

// What a person writes for it.
std::string TypeOf(const Key& key) {
  switch (key.form) {
    case Form::kNodeName: return "DNS-1123 subdomain";
    case Form::kLabels: return "map of label to value";
    case Form::kTaints: return "list of taints";
    case Form::kAddresses: return "list of IP addresses";
    case Form::kResources: return "map of resource to quantity";
    case Form::kReserved: return "map of cpu, memory and ephemeral-storage to quantity";
    case Form::kCount: return "whole number";
    case Form::kPath: return "absolute path";
    case Form::kOptionalPath: return "absolute path or \"\"";
    case Form::kSocketPath: return "absolute path of a socket";
    case Form::kEndpoint: return "unix:///PATH";
    case Form::kListenAddress: return "IP:PORT or \"\"";
    case Form::kDuration: return "duration";
    case Form::kSize: return "quantity of bytes";
    case Form::kChoice: return fmt::format("one of: {}", key.choices);
    case Form::kGroup: return "name of a group or \"\"";
    case Form::kDomain: return "DNS domain";
    case Form::kSysctls: return "list of sysctls";
    case Form::kImages: return "list of images";
    case Form::kRuntimeClasses: return "list of RuntimeClasses";
    case Form::kThresholds: return "map of signal to quantity or percentage";
    case Form::kGracePeriods: return "map of signal to duration";
    case Form::kFlag: return "true or false";
  }
  return {};
}

std::string WordsOf(const Key& key) {
  std::string words = fmt::format("{} Default: {}.", key.doc, DefaultOf(key));
  if (key.form == Form::kCount || key.form == Form::kDuration || key.form == Form::kSize)
    words += fmt::format(" From {} to {}.", key.least, key.most);
  words += key.change == Change::kReloadable ? " Reloadable." : " Restart.";
  return words;
}

}  // namespace

std::string DocumentedDefaults() {
  std::string out = fmt::format(
      "# Configuration of daemonsetd. A key that is commented out has the value shown, or is an example where the\n"
      "# default is not a value. Files in config.d/*.conf are merged over this one, in the order of their names.\n"
      "# \"Reloadable\": takes effect on `systemctl reload daemonsetd`. \"Restart\": at the next start of the agent,\n"
      "# which touches no running container. Check a change with `daemonsetd --check-config`.\n"
      "apiVersion: {}\n"
      "kind: {}\n",
      kApiVersion, kKind);
  std::string_view group;
  for (const Key& key : Reference()) {
    const std::size_t dot = key.path.find('.');
    const bool nested = dot != std::string_view::npos;
    const std::string_view parent = nested ? key.path.substr(0, dot) : std::string_view();
    if (!nested || parent != group) out += '\n';
    if (nested && parent != group) out += fmt::format("#{}:\n", parent);
    group = parent;
    const std::string_view name = nested ? key.path.substr(dot + 1) : key.path;
    const std::string_view value = key.default_text.empty() ? key.sample : key.default_text;
    out += Wrapped(WordsOf(key), nested ? "#  " : "");
    out += fmt::format("#{}{}: {}\n", nested ? "  " : "", name, value);
  }
  return out;
}

std::string ReferenceTable() {
  std::string out;
  for (const Key& key : Reference()) {
    out += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n", key.path, TypeOf(key), DefaultOf(key), key.least, key.most,
                       key.change == Change::kReloadable ? "reloadable" : "restart", key.doc);
  }
  return out;
}

}  // namespace daemonsetd::config

// Every configuration key in one table: form, default, limits, documentation, and what a change needs.
// Validation, defaults, the reload report and the documented default file are all made from it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace daemonsetd::config {

enum class Form {
  kNodeName,        // DNS-1123 subdomain
  kLabels,          // map of label key to label value
  kTaints,          // list of taints
  kAddresses,       // list of IP addresses
  kResources,       // map of resource name to quantity
  kReserved,        // the same, cpu, memory and ephemeral-storage only
  kCount,           // whole number within limits
  kPath,            // absolute path
  kOptionalPath,    // the same, or ""
  kSocketPath,      // absolute path that fits a Unix socket address
  kEndpoint,        // unix:///path
  kListenAddress,   // IP address and port, or ""
  kDuration,        // Go duration within limits
  kSize,            // quantity of bytes within limits
  kChoice,          // one of a few words
  kGroup,           // name of a user group, or ""
  kDomain,          // DNS domain
  kSysctls,         // list of sysctl names and beginnings of names
  kImages,          // list of image names and beginnings of names
  kRuntimeClasses,  // list of RuntimeClasses
  kThresholds,      // map of eviction signal to quantity or percentage
  kGracePeriods,    // map of eviction signal to duration
  kFlag,            // true or false
};

enum class Change { kReloadable, kRestart };

struct Key {
  std::string_view path;  // "maxPods", "logging.level"
  Form form;
  std::string_view default_text;   // YAML scalar; empty when the default is not one
  std::string_view default_words;  // says the default when default_text is empty
  Change change;
  std::string_view least, most;  // kCount, kDuration, kSize: inclusive limits
  std::string_view choices;      // kChoice: separated by spaces
  std::string_view sample;       // YAML value for the documented file when default_text is empty
  std::string_view doc;          // the comment of proto/config.proto
};

inline constexpr std::string_view kApiVersion = "daemonsetd.dev/v1alpha1";
inline constexpr std::string_view kKind = "DaemonsetdConfiguration";

// In the order of the documentation. A key is listed by its innermost name; "crashLoopBackOff" itself is not.
std::span<const Key> Reference();
// Null for an unknown path.
const Key* FindKey(std::string_view path);

// The default configuration file: every key commented out, with its documentation.
std::string DocumentedDefaults();

// The table for those who render it, one key a line with tabs between: path, type, default, least, most, "reloadable"
// or "restart", documentation.
std::string ReferenceTable();

}  // namespace daemonsetd::config

#include "agent/config/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "agent/base/duration.h"
#include "agent/config/reference.h"
#include "agent/decide/eviction_signals.h"
#include "agent/decide/sysctls.h"
#include "agent/model/names.h"
#include "agent/model/quantity.h"

namespace daemonsetd::config {
namespace {

constexpr std::size_t kSocketAddressLimit = 107;  // sockaddr_un.sun_path less the terminating zero
constexpr std::size_t kNodeLabelsLimit = 1000;
constexpr std::string_view kUnixScheme = "unix://";

class Checker {
 public:
  explicit Checker(const Message& message) : message_(message) {}

  std::vector<Problem> Run() {
    for (const Key& key : Reference()) Check(key);
    CheckAcrossKeys();
    return std::move(problems_);
  }

 private:
  void Add(std::string key, std::string text, std::string_view other = {}) {
    problems_.push_back({.key = std::move(key), .message = std::move(text), .other = std::string(other)});
  }

  void Check(const Key& key) {
    switch (key.form) {
      case Form::kNodeName: return CheckNodeName();
      case Form::kLabels: return CheckLabels();
      case Form::kTaints: return CheckTaints();
      case Form::kAddresses: return CheckAddresses(key);
      case Form::kResources: return CheckResources(key, message_.nodeallocatable());
      case Form::kReserved:
        return CheckResources(key, key.path == "systemReserved" ? message_.systemreserved() : message_.kubereserved());
      case Form::kCount: return CheckCount(key);
      case Form::kOptionalPath:
        if (ScalarText(message_, key.path).empty()) return;
        return CheckPath(key);
      case Form::kPath:
      case Form::kSocketPath: return CheckPath(key);
      case Form::kEndpoint: return CheckEndpoint(key);
      case Form::kListenAddress: return CheckListenAddress(key);
      case Form::kDuration: return CheckDuration(key);
      case Form::kSize: return CheckSize(key);
      case Form::kChoice: return CheckChoice(key);
      case Form::kGroup: return CheckGroup(key);
      case Form::kDomain: return CheckDomain(key);
      case Form::kSysctls: return CheckSysctls();
      case Form::kImages: return CheckImages();
      case Form::kRuntimeClasses: return CheckRuntimeClasses();
      case Form::kThresholds: return CheckThresholds(key);
      case Form::kGracePeriods: return CheckGracePeriods();
      case Form::kFlag: return;
    }
  }

  void CheckNodeName() {
    const std::string& name = message_.nodename();
    if (name.empty()) {
      return Add("nodeName", "the host name is empty; set nodeName, for example \"node-1\"");
    }
    if (const std::string reason = model::CheckDns1123Subdomain(name); !reason.empty()) {
      return Add("nodeName", fmt::format("\"{}\" is not a node name: {}", name, reason));
    }
    const bool has_own_label = message_.nodelabels().contains("kubernetes.io/hostname");
    if (const std::string reason = model::CheckLabelValue(name); !reason.empty() && !has_own_label) {
      Add("nodeName", fmt::format("\"{}\" does not fit the label kubernetes.io/hostname: {}; use a shorter name, or "
                                  "set that label in nodeLabels",
                                  name, reason));
    }
  }

  void CheckLabels() {
    const auto& labels = message_.nodelabels();
    if (labels.size() > kNodeLabelsLimit) {
      return Add("nodeLabels", fmt::format("{} labels; at most {} are allowed", labels.size(), kNodeLabelsLimit));
    }
    for (const auto& [key, value] : labels) {
      const std::string path = fmt::format("nodeLabels[{}]", key);
      if (const std::string reason = model::CheckQualifiedName(key); !reason.empty()) {
        Add(path, fmt::format("\"{}\" is not a label key: {}", key, reason));
      }
      if (const std::string reason = model::CheckLabelValue(value); !reason.empty()) {
        Add(path, fmt::format("\"{}\" is not a label value: {}", value, reason));
      }
    }
  }

  void CheckTaints() {
    std::set<std::pair<std::string, std::string>> seen;
    for (int i = 0; i < message_.nodetaints_size(); ++i) {
      const auto& taint = message_.nodetaints(i);
      const std::string path = fmt::format("nodeTaints[{}]", i);
      if (taint.key().empty()) {
        Add(path, "the taint has no key; write for example {key: dedicated, value: infra, effect: NoSchedule}");
      } else if (const std::string reason = model::CheckQualifiedName(taint.key()); !reason.empty()) {
        Add(path + ".key", fmt::format("\"{}\" is not a taint key: {}", taint.key(), reason));
      }
      if (const std::string reason = model::CheckLabelValue(taint.value()); !reason.empty()) {
        Add(path + ".value", fmt::format("\"{}\" is not a taint value: {}", taint.value(), reason));
      }
      const std::string& effect = taint.effect();
      if (effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute") {
        Add(path + ".effect",
            fmt::format("\"{}\" is not an effect; write NoSchedule, PreferNoSchedule or NoExecute", effect));
      }
      if (!seen.insert({taint.key(), effect}).second) {
        Add(path, fmt::format("a second taint {}:{}; key and effect together must be unique, so remove one",
                              taint.key(), effect));
      }
    }
  }

  void CheckAddresses(const Key& key) {
    const auto& addresses = key.path == "nodeIPs" ? message_.nodeips() : message_.clusterdns();
    std::set<std::string> seen;
    int families[2] = {0, 0};
    for (int i = 0; i < addresses.size(); ++i) {
      const std::string path = fmt::format("{}[{}]", key.path, i);
      if (!model::IsIpAddress(addresses[i])) {
        Add(path,
            fmt::format("\"{}\" is not an IP address; write for example 192.0.2.10 or 2001:db8::10", addresses[i]));
        continue;
      }
      if (!seen.insert(addresses[i]).second) Add(path, fmt::format("\"{}\" is listed twice; remove one", addresses[i]));
      ++families[addresses[i].find(':') == std::string::npos ? 0 : 1];
    }
    if (key.path == "nodeIPs" && (families[0] > 1 || families[1] > 1)) {
      Add("nodeIPs", "at most one IPv4 and one IPv6 address; keep the ones that pods and peers reach the node by");
    }
    if (key.path == "clusterDNS" && addresses.size() > 3) {
      Add("clusterDNS", fmt::format("{} name servers; resolvers read at most 3, so remove some", addresses.size()));
    }
  }

  template <class ResourceMap>
  void CheckResources(const Key& key, const ResourceMap& resources) {
    for (const auto& [name, amount] : resources) {
      const std::string path = fmt::format("{}[{}]", key.path, name);
      if (key.form == Form::kReserved && name != "cpu" && name != "memory" && name != "ephemeral-storage") {
        Add(path, fmt::format("\"{}\" can't be reserved; cpu, memory and ephemeral-storage can", name));
      } else if (const std::string reason = model::CheckQualifiedName(name); !reason.empty()) {
        Add(path, fmt::format("\"{}\" is not a resource name: {}", name, reason));
      }
      CheckQuantity(path, amount.string());
    }
  }

  void CheckQuantity(const std::string& path, const std::string& text) {
    const Result<model::Quantity> quantity = model::Quantity::Parse(text);
    if (!quantity) {
      Add(path, fmt::format("{}; write for example 500m, 2, 200Mi or 1Gi", quantity.error().message()));
    } else if (quantity->Sign() < 0) {
      Add(path, fmt::format("\"{}\" is negative; write 0 or more", text));
    }
  }

  void CheckSysctls() {
    for (int i = 0; i < message_.allowedunsafesysctls_size(); ++i) {
      const std::string& pattern = message_.allowedunsafesysctls(i);
      if (const std::string reason = decide::CheckSysctlPattern(pattern); !reason.empty()) {
        Add(fmt::format("allowedUnsafeSysctls[{}]", i), fmt::format("\"{}\" can't be allowed: {}", pattern, reason));
      }
    }
  }

  void CheckImages() {
    for (int i = 0; i < message_.pinnedimages_size(); ++i) {
      const std::string& name = message_.pinnedimages(i);
      const std::size_t star = name.find('*');
      if (name.empty() || name.find_first_of(" \t\n") != std::string::npos ||
          (star != std::string::npos && (star == 0 || star + 1 != name.size()))) {
        Add(fmt::format("pinnedImages[{}]", i),
            fmt::format("\"{}\" is not an image; write a name, or a beginning with \"*\" at its end, for example "
                        "quay.io/team/agent:*",
                        name));
      }
    }
  }

  void CheckRuntimeClasses() {
    std::set<std::string> seen;
    for (int i = 0; i < message_.runtimeclasses_size(); ++i) {
      const auto& runtime_class = message_.runtimeclasses(i);
      const std::string path = fmt::format("runtimeClasses[{}]", i);
      if (const std::string reason = model::CheckDns1123Subdomain(runtime_class.name()); !reason.empty()) {
        Add(path + ".name", fmt::format("\"{}\" is not the name of a RuntimeClass: {}", runtime_class.name(), reason));
      } else if (!seen.insert(runtime_class.name()).second) {
        Add(path + ".name", fmt::format("\"{}\" is listed twice; remove one", runtime_class.name()));
      }
      if (const std::string reason = model::CheckDns1123Label(runtime_class.handler()); !reason.empty()) {
        Add(path + ".handler", fmt::format("\"{}\" is not the name of a handler: {}", runtime_class.handler(), reason));
      }
      for (const auto& [name, amount] : runtime_class.overhead()) {
        CheckQuantity(fmt::format("{}.overhead[{}]", path, name), amount.string());
      }
    }
  }

  bool CheckSignal(const std::string& path, const std::string& name) {
    if (decide::FindEvictionSignal(name)) return true;
    std::string known;
    for (const decide::EvictionSignalName& signal : decide::kEvictionSignals) {
      known += fmt::format("{}{}", known.empty() ? "" : ", ", signal.name);
    }
    Add(path, fmt::format("\"{}\" is not a signal; the signals are {}", name, known));
    return false;
  }

  void CheckThresholds(const Key& key) {
    const auto& thresholds = key.path == "evictionHard"   ? message_.evictionhard()
                             : key.path == "evictionSoft" ? message_.evictionsoft()
                                                          : message_.evictionminimumreclaim();
    for (const auto& [name, text] : thresholds) {
      const std::string path = fmt::format("{}[{}]", key.path, name);
      if (!CheckSignal(path, name)) continue;
      const auto threshold = decide::ParseEvictionThreshold(text);
      if (!threshold) Add(path, threshold.error().message());
    }
  }

  // What is soft without a period would be hard, and a period without a threshold waits for nothing.
  void CheckGracePeriods() {
    const auto& periods = message_.evictionsoftgraceperiod();
    for (const auto& [name, text] : periods) {
      const std::string path = fmt::format("evictionSoftGracePeriod[{}]", name);
      if (!CheckSignal(path, name)) continue;
      const Result<Nanoseconds> period = ParseDuration(text);
      if (!period) {
        Add(path, period.error().message());
      } else if (*period < Nanoseconds(0)) {
        Add(path, fmt::format("{} is negative; write for example 1m30s", text));
      }
      if (!message_.evictionsoft().contains(name)) {
        Add(path, fmt::format("there is no evictionSoft[{0}] that it could be for; add it, for example {{{0}: 15%}}, "
                              "or remove this",
                              name));
      }
    }
    for (const auto& [name, text] : message_.evictionsoft()) {
      if (periods.contains(name) || !decide::FindEvictionSignal(name)) continue;
      const std::string path = fmt::format("evictionSoft[{}]", name);
      Add(path, fmt::format("it has no evictionSoftGracePeriod; add evictionSoftGracePeriod: {{{}: 1m30s}}", name));
    }
  }

  static std::int64_t Number(std::string_view text) {
    std::int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
  }

  void CheckCount(const Key& key) {
    const std::int64_t value = Number(ScalarText(message_, key.path));
    if (value < Number(key.least) || value > Number(key.most)) {
      Add(std::string(key.path), fmt::format("{} is out of range; write {} to {}", value, key.least, key.most));
    }
  }

  void CheckDuration(const Key& key) {
    const Result<Nanoseconds> value = ParseDuration(ScalarText(message_, key.path));
    if (!value) return Add(std::string(key.path), value.error().message());
    if (*value < ParseDuration(key.least).value() || *value > ParseDuration(key.most).value()) {
      Add(std::string(key.path),
          fmt::format("{} is out of range; write {} to {}", ScalarText(message_, key.path), key.least, key.most));
    }
  }

  void CheckSize(const Key& key) {
    const std::string text = ScalarText(message_, key.path);
    const Result<model::Quantity> value = model::Quantity::Parse(text);
    if (!value) {
      return Add(std::string(key.path),
                 fmt::format("{}; write for example {}", value.error().message(), key.default_text));
    }
    if (value->Compare(model::Quantity::Parse(key.least).value()) < 0 ||
        value->Compare(model::Quantity::Parse(key.most).value()) > 0) {
      Add(std::string(key.path), fmt::format("{} is out of range; write {} to {}", text, key.least, key.most));
    }
  }

  void CheckAbsolutePath(std::string_view key, const std::string& path, const std::string& shown, std::size_t limit) {
    if (path.empty() || path[0] != '/') {
      return Add(std::string(key), fmt::format("\"{}\" is not an absolute path; begin it with \"/\"", shown));
    }
    if (path.find('\0') != std::string::npos || path.find('\n') != std::string::npos) {
      return Add(std::string(key), "the path has a zero byte or a line break in it; remove it");
    }
    if (("/" + path + "/").find("/../") != std::string::npos) {
      return Add(std::string(key), fmt::format("\"{}\" has \"..\" in it; write the path without", shown));
    }
    if (path.size() > limit) {
      Add(std::string(key), fmt::format("the path has {} bytes; at most {} fit", path.size(), limit));
    }
  }

  void CheckPath(const Key& key) {
    const std::string path = ScalarText(message_, key.path);
    CheckAbsolutePath(key.path, path, path, key.form == Form::kSocketPath ? kSocketAddressLimit : 1024);
  }

  void CheckEndpoint(const Key& key) {
    const std::string endpoint = ScalarText(message_, key.path);
    if (key.path == "imageServiceEndpoint" && endpoint == message_.runtimeendpoint()) return;  // told once
    if (endpoint.starts_with(kUnixScheme)) {
      return CheckAbsolutePath(key.path, endpoint.substr(kUnixScheme.size()), endpoint, kSocketAddressLimit);
    }
    if (endpoint.starts_with('/')) {
      return Add(std::string(key.path), fmt::format("\"{0}\" has no scheme; write \"unix://{0}\"", endpoint));
    }
    Add(std::string(key.path),
        fmt::format("\"{}\" is not a socket of the runtime; write \"unix://\" and its absolute path, for example "
                    "\"unix:///run/containerd/containerd.sock\"",
                    endpoint));
  }

  void CheckListenAddress(const Key& key) {
    const std::string text = ScalarText(message_, key.path);
    if (text.empty() || model::ParseAddressPort(text)) return;
    Add(std::string(key.path),
        fmt::format("\"{}\" is not an IP address and a port; write for example 127.0.0.1:10249 or \"[::1]:10249\"",
                    text));
  }

  void CheckChoice(const Key& key) {
    const std::string value = ScalarText(message_, key.path);
    std::string listed;
    std::string_view rest = key.choices;
    while (!rest.empty()) {
      const std::string_view choice = rest.substr(0, rest.find(' '));
      if (choice == value) return;
      rest.remove_prefix(std::min(rest.size(), choice.size() + 1));
      listed += fmt::format("{}{}", listed.empty() ? "" : rest.empty() ? " or " : ", ", choice);
    }
    Add(std::string(key.path), fmt::format("\"{}\" is not known; write {}", value, listed));
  }

  void CheckGroup(const Key& key) {
    const std::string group = ScalarText(message_, key.path);
    const bool fits = std::all_of(group.begin(), group.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
             c == '.' || c == '$';
    });
    if (!fits || group.size() > 32 || group.starts_with('-')) {
      Add(std::string(key.path),
          fmt::format("\"{}\" is not the name of a group; write one from /etc/group, or \"\" for root alone", group));
    }
  }

  void CheckDomain(const Key& key) {
    const std::string domain = ScalarText(message_, key.path);
    if (const std::string reason = model::CheckDns1123Subdomain(domain); !reason.empty()) {
      Add(std::string(key.path), fmt::format("\"{}\" is not a DNS domain: {}", domain, reason));
    }
  }

  void CheckOrder(std::string_view smaller, std::string_view larger) {
    const Result<Nanoseconds> low = ParseDuration(ScalarText(message_, smaller));
    const Result<Nanoseconds> high = ParseDuration(ScalarText(message_, larger));
    if (low && high && *low > *high) {
      Add(std::string(larger),
          fmt::format("{} is shorter than {} ({}); write at least that", ScalarText(message_, larger), smaller,
                      ScalarText(message_, smaller)),
          smaller);
    }
  }

  // The other keys about the API server have a use only with it, but say nothing wrong without it.
  void CheckApiServerKeys() {
    const std::string& source = message_.podsource();
    if ((source == "bound" || source == "bound-all") && message_.kubeconfig().empty()) {
      Add("podSource", fmt::format("\"{}\" takes pods from the API server; set kubeconfig, or write local", source),
          "kubeconfig");
    }
    const Result<Nanoseconds> lease = ParseDuration(message_.nodeleaseduration());
    if (lease && *lease % std::chrono::seconds(1) != Nanoseconds(0)) {
      Add("nodeLeaseDuration",
          fmt::format("{} is not a whole number of seconds; a Lease counts those, so write for example 40s",
                      message_.nodeleaseduration()));
    }
  }

  void CheckAcrossKeys() {
    CheckApiServerKeys();
    CheckOrder("crashLoopBackOff.initial", "crashLoopBackOff.max");
    CheckOrder("runtimePollInterval", "runtimeIdlePollInterval");
    CheckOrder("shutdownGracePeriodCriticalPods", "shutdownGracePeriod");
    if (message_.imagegclowthresholdpercent() >= message_.imagegchighthresholdpercent()) {
      Add("imageGCLowThresholdPercent",
          fmt::format("{} is not less than imageGCHighThresholdPercent ({}); images would be removed for nothing",
                      message_.imagegclowthresholdpercent(), message_.imagegchighthresholdpercent()),
          "imageGCHighThresholdPercent");
    }
    if (message_.podpidslimit() == 0) {
      Add("podPidsLimit", "without any process no pod can run; write -1 for no limit, or for example 1024");
    }
    if (message_.usernamespacefirstid() % 65536 != 0) {
      Add("userNamespaceFirstID",
          fmt::format("{} is not a multiple of 65536; write for example {}", message_.usernamespacefirstid(),
                      message_.usernamespacefirstid() / 65536 * 65536 + 65536));
    }
    std::map<std::string, std::string_view> owner;
    for (const std::string_view key :
         {"manifestDirectory", "podRoot", "stateDirectory", "logDirectory", "containerLogDirectory"}) {
      const auto [other, fresh] = owner.emplace(ScalarText(message_, key), key);
      if (!fresh) {
        Add(std::string(key),
            fmt::format("\"{}\" is also {}; each needs a directory of its own", other->first, other->second),
            other->second);
      }
    }
  }

  const Message& message_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> Validate(const Message& message) { return Checker(message).Run(); }

}  // namespace daemonsetd::config

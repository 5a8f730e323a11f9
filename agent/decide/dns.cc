#include "agent/decide/dns.h"

#include <algorithm>
#include <sstream>

namespace daemonsetd::decide {
namespace {

using ::runtime::v1::DNSConfig;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

// The resolver reads no more than these; what is beyond would be cut without a word further down.
constexpr int kMaxServers = 3;
constexpr int kMaxSearches = 32;
constexpr std::size_t kMaxSearchText = 2048;
constexpr std::size_t kMaxSearch = 253;  // glibc 2.28 aborts at more than 255

void AddUnique(Texts& texts, const std::string& text) {
  if (std::find(texts.begin(), texts.end(), text) == texts.end()) *texts.Add() = text;
}

// "ndots:5" has the name "ndots"; a later option of the same name replaces the earlier one.
void SetOption(DNSConfig& config, const std::string& option) {
  const std::string name = option.substr(0, option.find(':'));
  for (std::string& present : *config.mutable_options()) {
    if (present.substr(0, present.find(':')) == name) {
      present = option;
      return;
    }
  }
  config.add_options(option);
}

DNSConfig ClusterDns(const corev1::Pod& pod, const NodeDns& node) {
  DNSConfig config;
  for (const std::string& server : node.cluster_servers) AddUnique(*config.mutable_servers(), server);
  if (!node.cluster_domain.empty()) {
    config.add_searches(pod.metadata().namespace_() + ".svc." + node.cluster_domain);
    config.add_searches("svc." + node.cluster_domain);
    config.add_searches(node.cluster_domain);
  }
  for (const std::string& search : node.host.searches()) AddUnique(*config.mutable_searches(), search);
  config.add_options("ndots:5");
  return config;
}

// What the pod asks for, before the limits.
DNSConfig Wanted(const corev1::Pod& pod, const NodeDns& node) {
  const corev1::PodSpec& spec = pod.spec();
  const bool cluster = !node.cluster_servers.empty() &&
                       (spec.dnspolicy() == "ClusterFirstWithHostNet" ||
                        (spec.dnspolicy() != "Default" && spec.dnspolicy() != "None" && !spec.hostnetwork()));
  DNSConfig config;
  if (cluster) {
    config = ClusterDns(pod, node);
  } else if (spec.dnspolicy() != "None") {
    config = node.host;
  }
  for (const std::string& server : spec.dnsconfig().nameservers()) AddUnique(*config.mutable_servers(), server);
  for (const std::string& search : spec.dnsconfig().searches()) AddUnique(*config.mutable_searches(), search);
  for (const corev1::PodDNSConfigOption& option : spec.dnsconfig().options()) {
    SetOption(config, option.has_value() ? option.name() + ":" + option.value() : option.name());
  }
  return config;
}

Texts LimitedSearches(const Texts& wanted) {
  Texts kept;
  std::size_t length = 0;
  for (int i = 0; i < std::min(wanted.size(), kMaxSearches); ++i) {
    if (wanted[i].size() > kMaxSearch) continue;
    length += wanted[i].size() + (kept.empty() ? 0 : 1);
    if (length > kMaxSearchText) break;
    *kept.Add() = wanted[i];
  }
  return kept;
}

DNSConfig Limited(DNSConfig config) {
  while (config.servers_size() > kMaxServers) config.mutable_servers()->RemoveLast();
  *config.mutable_searches() = LimitedSearches(config.searches());
  return config;
}

std::string Join(const Texts& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : " ") + text;
  return joined;
}

}  // namespace

DNSConfig ParseResolvConf(std::string_view text) {
  DNSConfig config;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword;
    if (!(words >> keyword)) continue;
    std::string word;
    if (keyword == "nameserver" && words >> word) AddUnique(*config.mutable_servers(), word);  // the rest is a comment
    if (keyword == "search") config.clear_searches();
    while (words >> word) {
      // With and without the dot at the end it is the same domain.
      if (keyword == "search" && word != "." && word.ends_with('.')) word.pop_back();
      if (keyword == "search") AddUnique(*config.mutable_searches(), word);
      if (keyword == "options") SetOption(config, word);
    }
  }
  return config;
}

DNSConfig PodDns(const corev1::Pod& pod, const NodeDns& node) { return Limited(Wanted(pod, node)); }

std::vector<std::string> PodDnsWarnings(const corev1::Pod& pod, const NodeDns& node) {
  const DNSConfig wanted = Wanted(pod, node);
  const DNSConfig applied = Limited(wanted);
  std::vector<std::string> warnings;
  if (applied.servers_size() != wanted.servers_size()) {
    warnings.push_back(
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver "
        "line is: " +
        Join(applied.servers()));
  }
  if (applied.searches_size() != wanted.searches_size()) {
    warnings.push_back(
        "Search Line limits were exceeded, some search paths have been omitted, the applied search "
        "line is: " +
        Join(applied.searches()));
  }
  return warnings;
}

}  // namespace daemonsetd::decide

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

void Limit(DNSConfig& config) {
  while (config.servers_size() > kMaxServers) config.mutable_servers()->RemoveLast();
  while (config.searches_size() > kMaxSearches) config.mutable_searches()->RemoveLast();
  std::size_t length = 0;
  int kept = 0;
  for (const std::string& search : config.searches()) {
    length += search.size() + (kept == 0 ? 0 : 1);
    if (length > kMaxSearchText) break;
    ++kept;
  }
  while (config.searches_size() > kept) config.mutable_searches()->RemoveLast();
}

}  // namespace

DNSConfig ParseResolvConf(std::string_view text) {
  DNSConfig config;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword;
    if (!(words >> keyword)) continue;
    if (keyword == "search") config.clear_searches();
    for (std::string word; words >> word;) {
      if (keyword == "nameserver") AddUnique(*config.mutable_servers(), word);
      if (keyword == "search") AddUnique(*config.mutable_searches(), word);
      if (keyword == "options") SetOption(config, word);
    }
  }
  return config;
}

DNSConfig PodDns(const corev1::Pod& pod, const NodeDns& node) {
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
  Limit(config);
  return config;
}

}  // namespace daemonsetd::decide

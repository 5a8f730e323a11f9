#include "agent/pods/service_links.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& character : upper) character = static_cast<char>(std::toupper(static_cast<unsigned char>(character)));
  return upper;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& character : lower) character = static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
  return lower;
}

// "my-service" → "MY_SERVICE".
std::string VariableName(std::string_view name) {
  std::string variable = Upper(name);
  std::replace(variable.begin(), variable.end(), '-', '_');
  return variable;
}

bool HasClusterIp(const corev1::Service& service) {
  return !service.spec().clusterip().empty() && service.spec().clusterip() != "None";
}

void AddService(const corev1::Service& service, std::map<std::string, std::string>& variables) {
  const std::string prefix = VariableName(service.metadata().name());
  const std::string& address = service.spec().clusterip();
  const bool is_v6 = address.find(':') != std::string::npos;
  variables[prefix + "_SERVICE_HOST"] = address;
  bool first = true;
  for (const corev1::ServicePort& port : service.spec().ports()) {
    const std::string number = fmt::to_string(port.port());
    const std::string protocol = port.protocol().empty() ? "TCP" : port.protocol();
    const std::string url =
        fmt::format(fmt::runtime(is_v6 ? "{}://[{}]:{}" : "{}://{}:{}"), Lower(protocol), address, number);
    if (first) {
      variables[prefix + "_SERVICE_PORT"] = number;
      variables[prefix + "_PORT"] = url;
    }
    first = false;
    if (!port.name().empty()) variables[prefix + "_SERVICE_PORT_" + VariableName(port.name())] = number;
    const std::string link = fmt::format("{}_PORT_{}_{}", prefix, number, Upper(protocol));
    variables[link] = url;
    variables[link + "_PROTO"] = Lower(protocol);
    variables[link + "_PORT"] = number;
    variables[link + "_ADDR"] = address;
  }
}

}  // namespace

std::map<std::string, std::string> ServiceVariables(const std::vector<corev1::Service>& services) {
  std::map<std::string, const corev1::Service*> by_name;
  for (const corev1::Service& service : services) {
    if (HasClusterIp(service)) by_name[service.metadata().name()] = &service;
  }
  std::map<std::string, std::string> variables;
  for (const auto& [name, service] : by_name) AddService(*service, variables);
  return variables;
}

}  // namespace daemonsetd::pods

// Syntax of names, keys and values: what Kubernetes accepts, and how it explains a refusal
// (apimachinery/pkg/util/validation). Every predicate returns "" when `text` is fine, else the reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daemonsetd::model {

std::string CheckDns1123Label(std::string_view text);      // at most 63 characters
std::string CheckDns1123Subdomain(std::string_view text);  // at most 253 characters
// Like a subdomain, but '_' may stand where '-' may ("_srv._tcp.example").
std::string CheckDns1123SubdomainWithUnderscore(std::string_view text);
// "[prefix/]name": label keys, annotation keys, resource names, condition types.
std::string CheckQualifiedName(std::string_view text);
std::string CheckLabelValue(std::string_view text);
// "example.com/path" where both halves are required: finalizers of third parties, signer names.
std::string CheckDomainPrefixedPath(std::string_view text);
// IANA_SVC_NAME: the name of a container port. Joins several reasons with ", ".
std::string CheckPortName(std::string_view text);
// Any printable ASCII except '=' (the relaxed rule, the default since 1.32).
std::string CheckEnvVarName(std::string_view text);
// Key of a ConfigMap or Secret.
std::string CheckConfigMapKey(std::string_view text);
std::string CheckHttpHeaderName(std::string_view text);
// IPv4 without leading zeros, or IPv6.
bool IsIpAddress(std::string_view text);

// "10.9.8.7:9100", "[::]:9100": an IP address and a port other than 0. Unset for anything else.
struct AddressPort {
  std::string address;  // without brackets
  std::uint16_t port = 0;
};
std::optional<AddressPort> ParseAddressPort(std::string_view text);
std::string CheckIpAddress(std::string_view text);
bool IsPortNumber(std::int64_t number);  // 1-65535
// A percentage such as "25%". Anything else is refused.
bool IsPercent(std::string_view text);

// What an unset imagePullPolicy depends on: the tag is "latest", or there is neither tag nor digest. False for text
// that is not an image reference.
bool ImageTagIsLatest(std::string_view image);

}  // namespace daemonsetd::model

// Digests and the short texts made from them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace daemonsetd {

// FNV-1a, 64 bits. For hashes that must stay equal across versions of the agent.
std::uint64_t Fnv1a64(std::string_view data);

// `length` characters of Kubernetes' safe alphabet (no vowels, no look-alikes), derived from `data` alone.
std::string SafeSuffix(std::string_view data, int length);

// A UUID (version 8 layout: vendor defined) derived from `data` alone, so that a repeated start finds its own pods.
std::string DerivedUid(std::string_view data);

// crictl's short form of an ID: its first 13 characters.
std::string ShortId(std::string_view id);

}  // namespace daemonsetd

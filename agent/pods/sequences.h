// The sequence numbers of a DaemonSet's pods on this node, in the checkpoint: each is used once, so that no two pods
// share a name or a UID.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "agent/pods/records.h"

namespace daemonsetd::pods {

// Of the next pod: what the checkpoint and earlier pods leave free.
std::uint32_t NextSequence(const Records& records, const std::string& owner_uid);

struct SequenceOwner {
  std::string uid;
  std::string namespace_, name;  // for people who look at the record; empty when they are not known
  bool from_api_server = false;  // a manifest's UID comes back with the manifest, and must find its number
};

// The next number is at least this one.
void RaiseSequence(Records& records, const SequenceOwner& owner, std::uint32_t at_least);

// Of the API server's DaemonSets that are gone; `stays` says which are not, or have a pod here still.
void ForgetSequences(Records& records, const std::function<bool(const std::string& owner_uid)>& stays);

}  // namespace daemonsetd::pods

// The sequence numbers of a DaemonSet's pods on this node, in the checkpoint: each is used once, so that no two pods
// share a name or a UID.
#pragma once

#include <cstdint>
#include <string>

#include "agent/pods/records.h"

namespace daemonsetd::pods {

// Of the next pod: what the checkpoint and earlier pods leave free.
std::uint32_t NextSequence(const Records& records, const std::string& owner_uid);

// The next number is at least this one. `name_space` and `name` of the owner, for people who look at the record; empty
// when they are not known.
void RaiseSequence(Records& records, const std::string& owner_uid, const std::string& name_space,
                   const std::string& name, std::uint32_t at_least);

}  // namespace daemonsetd::pods

#include "agent/pods/sequences.h"

namespace daemonsetd::pods {

std::uint32_t NextSequence(const Records& records, const std::string& owner_uid) {
  const checkpointv1::WorkloadRecord* record = records.FindWorkload(owner_uid);
  return record ? record->next_sequence() : 0;
}

void RaiseSequence(Records& records, const std::string& owner_uid, const std::string& name_space,
                   const std::string& name, std::uint32_t at_least) {
  if (owner_uid.empty() || NextSequence(records, owner_uid) >= at_least) return;
  const checkpointv1::WorkloadRecord* known = records.FindWorkload(owner_uid);
  checkpointv1::WorkloadRecord record = known ? *known : checkpointv1::WorkloadRecord();
  record.set_owner_uid(owner_uid);
  record.set_next_sequence(at_least);
  if (!name.empty()) {
    record.set_namespace_(name_space);
    record.set_name(name);
  }
  records.Put(std::move(record));
}

}  // namespace daemonsetd::pods

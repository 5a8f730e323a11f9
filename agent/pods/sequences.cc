#include "agent/pods/sequences.h"

namespace daemonsetd::pods {

std::uint32_t NextSequence(const Records& records, const std::string& owner_uid) {
  const checkpointv1::WorkloadRecord* record = records.FindWorkload(owner_uid);
  return record ? record->next_sequence() : 0;
}

void RaiseSequence(Records& records, const SequenceOwner& owner, std::uint32_t at_least) {
  if (owner.uid.empty() || NextSequence(records, owner.uid) >= at_least) return;
  const checkpointv1::WorkloadRecord* known = records.FindWorkload(owner.uid);
  checkpointv1::WorkloadRecord record = known ? *known : checkpointv1::WorkloadRecord();
  record.set_owner_uid(owner.uid);
  record.set_from_api_server(owner.from_api_server);
  record.set_next_sequence(at_least);
  if (!owner.name.empty()) {
    record.set_namespace_(owner.namespace_);
    record.set_name(owner.name);
  }
  records.Put(std::move(record));
}

void ForgetSequences(Records& records, const std::function<bool(const std::string& owner_uid)>& stays) {
  for (const std::string& uid : records.WorkloadUids()) {
    if (records.FindWorkload(uid)->from_api_server() && !stays(uid)) records.RemoveWorkload(uid);
  }
}

}  // namespace daemonsetd::pods

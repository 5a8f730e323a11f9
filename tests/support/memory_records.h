// The checkpoint's port without a disk. It outlives the engine under test, as the disk outlives the agent.
#pragma once

#include <map>
#include <utility>

#include "agent/pods/records.h"

namespace daemonsetd::testing {

class MemoryRecords final : public pods::Records {
 public:
  const checkpointv1::PodRecord* FindPod(const std::string& uid) const override { return Find(pods, uid); }
  const checkpointv1::WorkloadRecord* FindWorkload(const std::string& owner_uid) const override {
    return Find(workloads, owner_uid);
  }
  std::vector<std::string> PodUids() const override { return UidsOf(pods); }
  std::vector<std::string> WorkloadUids() const override { return UidsOf(workloads); }
  void Put(checkpointv1::PodRecord record) override {
    ++puts;
    std::string uid = record.uid();
    pods[uid] = std::move(record);
  }
  void Put(checkpointv1::WorkloadRecord record) override {
    ++puts;
    std::string uid = record.owner_uid();
    workloads[uid] = std::move(record);
  }
  void RemovePod(const std::string& uid) override { pods.erase(uid); }
  void RemoveWorkload(const std::string& owner_uid) override { workloads.erase(owner_uid); }

  std::map<std::string, checkpointv1::PodRecord> pods;
  std::map<std::string, checkpointv1::WorkloadRecord> workloads;
  int puts = 0;

 private:
  template <class Record>
  static std::vector<std::string> UidsOf(const std::map<std::string, Record>& records) {
    std::vector<std::string> uids;
    for (const auto& [uid, record] : records) uids.push_back(uid);
    return uids;
  }
  template <class Record>
  static const Record* Find(const std::map<std::string, Record>& records, const std::string& uid) {
    const auto found = records.find(uid);
    return found == records.end() ? nullptr : &found->second;
  }
};

}  // namespace daemonsetd::testing

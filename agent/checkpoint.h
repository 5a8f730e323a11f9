// The pod engine's ports to the checkpoint, over its store.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/pods/garbage/image_records.h"
#include "agent/pods/records.h"
#include "agent/store/store.h"

namespace daemonsetd {

class Checkpoint final : public pods::Records {
 public:
  // `store` must outlive this.
  explicit Checkpoint(store::Store& store) : store_(store) {}

  const checkpointv1::PodRecord* FindPod(const std::string& uid) const override { return store_.FindPod(uid); }
  const checkpointv1::WorkloadRecord* FindWorkload(const std::string& owner_uid) const override {
    return store_.FindWorkload(owner_uid);
  }
  std::vector<std::string> PodUids() const override {
    std::vector<std::string> uids;
    for (const auto& [uid, record] : store_.pods()) uids.push_back(uid);
    return uids;
  }
  std::vector<std::string> WorkloadUids() const override {
    std::vector<std::string> uids;
    for (const auto& [uid, record] : store_.workloads()) uids.push_back(uid);
    return uids;
  }
  void Put(checkpointv1::PodRecord record) override { store_.Put(std::move(record)); }
  void Put(checkpointv1::WorkloadRecord record) override { store_.Put(std::move(record)); }
  void RemovePod(const std::string& uid) override { store_.RemovePod(uid); }
  void RemoveWorkload(const std::string& owner_uid) override { store_.RemoveWorkload(owner_uid); }

 private:
  store::Store& store_;
};

class ImageCheckpoint final : public pods::ImageRecords {
 public:
  // `store` must outlive this.
  explicit ImageCheckpoint(store::Store& store) : store_(store) {}

  const checkpointv1::ImageRecord* Find(const std::string& id) const override { return store_.FindImage(id); }
  std::vector<std::string> Ids() const override {
    std::vector<std::string> ids;
    for (const auto& [id, record] : store_.images()) ids.push_back(id);
    return ids;
  }
  void Put(checkpointv1::ImageRecord record) override { store_.Put(std::move(record)); }
  void Remove(const std::string& id) override { store_.RemoveImage(id); }

 private:
  store::Store& store_;
};

}  // namespace daemonsetd

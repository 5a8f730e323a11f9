// The port to what is remembered of images, without a disk.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/pods/garbage/image_records.h"

namespace daemonsetd::pods {

class MemoryImageRecords final : public ImageRecords {
 public:
  const checkpoint::v1::ImageRecord* Find(const std::string& id) const override {
    const auto found = records.find(id);
    return found == records.end() ? nullptr : &found->second;
  }
  std::vector<std::string> Ids() const override {
    std::vector<std::string> ids;
    for (const auto& [id, record] : records) ids.push_back(id);
    return ids;
  }
  void Put(checkpoint::v1::ImageRecord record) override {
    ++puts;
    records[record.id()] = std::move(record);
  }
  void Remove(const std::string& id) override { records.erase(id); }

  std::map<std::string, checkpoint::v1::ImageRecord> records;
  int puts = 0;
};

}  // namespace daemonsetd::pods

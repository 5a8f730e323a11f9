// The port to what is remembered of images across restarts (ImageRecord of proto/checkpoint.proto). Implemented by the
// composition root over the checkpoint's store; by tests in memory.
#pragma once

#include <string>
#include <vector>

#include "checkpoint.pb.h"

namespace daemonsetd::pods {

class ImageRecords {
 public:
  virtual ~ImageRecords() = default;

  // Null when there is none. Valid until it is put again or removed.
  virtual const checkpoint::v1::ImageRecord* Find(const std::string& id) const = 0;
  virtual std::vector<std::string> Ids() const = 0;
  // Written in the background; they neither block nor fail.
  virtual void Put(checkpoint::v1::ImageRecord record) = 0;
  virtual void Remove(const std::string& id) = 0;
};

}  // namespace daemonsetd::pods

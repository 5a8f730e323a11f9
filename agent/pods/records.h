// The port to what survives the agent's process (proto/checkpoint.proto). Implemented by the composition root over the
// checkpoint's store; by tests in memory.
#pragma once

#include <string>
#include <vector>

#include "checkpoint.pb.h"

namespace daemonsetd {
namespace checkpointv1 = ::daemonsetd::checkpoint::v1;
}  // namespace daemonsetd

namespace daemonsetd::pods {

class Records {
 public:
  virtual ~Records() = default;

  // As last put, or as an earlier process left it; null when there is none. Valid until it is put again or removed.
  virtual const checkpointv1::PodRecord* FindPod(const std::string& uid) const = 0;
  virtual const checkpointv1::WorkloadRecord* FindWorkload(const std::string& owner_uid) const = 0;
  virtual std::vector<std::string> PodUids() const = 0;
  virtual std::vector<std::string> WorkloadUids() const = 0;

  // Written in the background, the newest value only; they neither block nor fail. Change the record that was found and
  // put it back, so that fields which this version does not know stay.
  virtual void Put(checkpointv1::PodRecord record) = 0;
  virtual void Put(checkpointv1::WorkloadRecord record) = 0;
  virtual void RemovePod(const std::string& uid) = 0;
  virtual void RemoveWorkload(const std::string& owner_uid) = 0;
};

}  // namespace daemonsetd::pods

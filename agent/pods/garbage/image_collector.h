// Keeps the images' file system from filling up: between two thresholds, the images that were not used for longest go.
// Which ones may is decide/image_garbage.h; none goes before it is known what this node needs. Everything on the loop
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/trouble.h"
#include "agent/decide/image_garbage.h"
#include "agent/pods/event_log.h"
#include "agent/pods/garbage/image_records.h"
#include "agent/pods/images.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

struct ImageCollectorSettings {
  decide::ImageThresholds thresholds;
  std::vector<std::string> pinned;               // decide::ImagesToKeep::patterns
  Nanoseconds period = std::chrono::minutes(1);  // between two looks
  Nanoseconds call_timeout = std::chrono::minutes(2);
};

class ImageCollector {
 public:
  // How much room the file system at this path has. Blocks.
  using ReadSpace = std::function<Result<decide::ImageSpace>(const std::string& path)>;
  static Result<decide::ImageSpace> ReadSpaceOf(const std::string& path);

  struct Ports {
    async::Executor executor;
    async::Timeline& timeline;
    async::BlockingPool& blocking;
    cri::Runtime& runtime;        // containers, and what it says of itself
    cri::Runtime& image_service;  // images; may be the same
    ImagePuller& images;
    EventLog& events;
    ImageRecords& records;
    // The images that pods of this node need, under the runtime's names; unset: not known yet.
    std::function<std::optional<std::set<std::string>>()> wanted;
    std::function<corev1::ObjectReference()> node;  // whom Events are about
    std::function<void(const std::string& reason)> on_collected = [](const std::string&) {};
    ReadSpace read_space = ReadSpaceOf;
  };

  ImageCollector(Ports ports, ImageCollectorSettings settings);

  // Looks until cancelled.
  Task<void> Run();

  // Removes every image that nothing needs, as the kubelet does before it evicts pods for want of disk. Answers how
  // many bytes their sizes add up to.
  Task<Result<std::uint64_t>> RemoveAllUnused();

 private:
  struct Sight {
    std::vector<decide::ImageOnNode> images;
    std::set<std::string> used;  // by containers; IDs and names
  };

  Task<Status> Look();
  Task<Result<Sight>> See();
  Task<Result<decide::ImageSpace>> FindSpace();
  Task<Result<decide::ImagesToKeep>> Keep(std::set<std::string> used);
  Task<Result<std::set<std::string>>> PauseImages();
  Task<void> Free(std::uint64_t wanted, std::vector<decide::ImageOnNode> candidates);
  Task<bool> Remove(decide::ImageOnNode image);
  void Remember(Sight& sight);
  void TellShortage(std::uint64_t wanted, std::uint64_t found);
  void TellFailure(const Status& looked);

  Ports ports_;
  const ImageCollectorSettings settings_;
  async::Wake wake_;
  std::string mount_point_;  // of the images' file system; empty: not known yet
  bool remembered_ = false;  // a look has written down what was there at the start
  int failures_ = 0;         // looks in a row
  std::optional<MonoTime> shortage_told_;
  Trouble trouble_;
};

}  // namespace daemonsetd::pods

// Images whose layers a loss of power damaged (GC-07): recognised by the first starts after a boot that fail, and taken
// away once, so that they are fetched whole. Only what can be fetched again goes, and never an image that something
// runs on. The decision is decide/damaged_image.h. Everything on the loop thread.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "agent/async/timeline.h"
#include "agent/pods/garbage/image_records.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

class DamagedImages {
 public:
  // `uptime`: since the machine came up.
  DamagedImages(cri::Runtime& runtime, cri::Runtime& image_service, async::Timeline& timeline, ImageRecords& records,
                std::function<Nanoseconds()> uptime, Nanoseconds call_timeout);

  // A start of a container of this image, under any of its names, failed so.
  void NoteFailedStart(const std::string& image, std::string_view error);
  bool Suspects(const cri::v1::Image& image) const;

  // The image and what is left of our containers that used it. False: it stays as it is, for something runs on it, or
  // containers of others use it.
  Task<bool> TakeAway(cri::v1::Image image);

 private:
  cri::Runtime& runtime_;
  cri::Runtime& image_service_;
  async::Timeline& timeline_;
  ImageRecords& records_;
  std::function<Nanoseconds()> uptime_;
  const Nanoseconds call_timeout_;
  std::set<std::string> suspects_;  // IDs and names
};

// Since the machine came up, suspended or not; zero where it can't be read.
Nanoseconds ReadUptime();

}  // namespace daemonsetd::pods

// The directory of static manifests: DaemonSet and Pod files, read at start and on every inotify event.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/blocking_pool.h"
#include "agent/async/task.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/model/codec.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::manifests {

// One object with the file that it came from. Defaulted and validated; namespace filled in; UID derived from kind,
// namespace and name, so that a restart finds the same pods.
struct StaticDaemonSet {
  std::string file;
  appsv1::DaemonSet object;
};
struct StaticPod {
  std::string file;
  corev1::Pod object;  // spec.nodeName set, name suffixed with the node's name as the kubelet does
};

// A complete picture of the directory. A file that does not parse keeps its last good objects here.
struct Snapshot {
  std::vector<StaticDaemonSet> daemon_sets;
  std::vector<StaticPod> pods;
  std::vector<model::DecodeError> errors;  // of the files as they are now, all at once
  bool complete = false;                   // false until the directory was read once: delete nothing before
};

class Watch;
class Picture;
struct KnownFile;
struct ScanResult;
struct WatchEvent;

struct SourceOptions {
  std::string directory;  // absolute
  std::string node_name;
  // A look at the directory without an event, for file systems that send none. Zero: never.
  Nanoseconds poll_interval = std::chrono::seconds(20);
  // A file that vanished is believed gone this long after; other events that announce no complete file wait as long.
  Nanoseconds settle = Milliseconds(100);
  // A file that a writer keeps open is left alone until this long after its last write.
  Nanoseconds open_write_limit = std::chrono::seconds(2);
};

// Watches the directory, and tells `on_change` on the loop each time current() became another. A missing, unreadable or
// half-written source never removes an object. Everything on the loop thread, except reading and decoding of changed
// files, which runs on the pool: a file may be 3 MiB and lie on a slow file system.
class ManifestSource {
 public:
  ManifestSource(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool, SourceOptions options,
                 std::function<void()> on_change);
  ~ManifestSource();

  // Once; until cancelled.
  Task<void> Run();

  const Snapshot& current() const { return current_; }
  void set_poll_interval(Nanoseconds interval);

 private:
  struct Writing {
    MonoTime last;
    bool only_created;  // no write seen yet: may be a link, which nobody will close
  };

  Task<void> Follow();
  Task<void> Watching();
  Task<void> Look();
  void Note(const WatchEvent& event);
  void Absorb(ScanResult result);
  void RemoveVanished(const std::vector<std::string>& present);
  void Publish();
  MonoTime now() const { return timeline_.mono(); }
  std::optional<MonoTime> NextLook() const;
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }

  async::Executor executor_;
  async::Timeline& timeline_;
  async::BlockingPool& pool_;
  SourceOptions options_;
  std::function<void()> on_change_;

  std::unique_ptr<Watch> watch_;
  std::unique_ptr<Picture> picture_;
  std::map<std::string, KnownFile> known_;  // by base name, as read last
  std::optional<model::DecodeError> directory_error_;
  Snapshot current_;
  bool complete_ = false;
  bool watching_ = false;

  // What the events since the last look ask for.
  async::Wake wake_;
  bool look_now_ = true;
  bool force_all_ = false;
  std::optional<MonoTime> look_at_;
  std::set<std::string> forced_;
  std::map<std::string, Writing> writing_;
  std::map<std::string, MonoTime> vanished_;
  MonoTime last_look_;
};

}  // namespace daemonsetd::manifests

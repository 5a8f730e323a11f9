// One object that pods watch: who is told of its changes, and the watch at the API server that serves all of them.
// Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/cluster/object_cache.h"
#include "agent/kube/reflector.h"
#include "agent/kube/typed_resources.h"
#include "agent/pods/object_source.h"

namespace daemonsetd::cluster {

// The subscribers of one key.
class WatchedKey {
 public:
  // How long a key stays watched after the last subscriber left: a pod that is replaced comes back for it.
  static constexpr Nanoseconds kGrace = std::chrono::seconds(30);

  WatchedKey(async::Executor executor, async::Timeline& timeline, pods::ObjectKey key);
  virtual ~WatchedKey() = default;
  WatchedKey(const WatchedKey&) = delete;
  WatchedKey& operator=(const WatchedKey&) = delete;

  const pods::ObjectKey& key() const { return key_; }
  kube::NamespacedName name() const { return {key_.name_space, key_.name}; }

  int Subscribe(std::function<void()> on_change);
  void Unsubscribe(int id);
  // Nobody has been subscribed for as long as the grace.
  bool abandoned() const { return abandoned_at_ && timeline_.mono() >= *abandoned_at_; }

  // Subscribers are told on a later turn of the loop, by Pause.
  void Changed();
  // Looks again at what Pause's caller waits for.
  void Notify() { wake_.Notify(); }
  void ReachabilityChanged(bool reachable);

  // For the one who keeps the key: tells what there is to tell, then waits until notified, abandoned or `until`.
  Task<void> Pause(std::optional<MonoTime> until);

  // For those who ask: until something about the object is told, or `deadline`.
  Task<void> WaitForNews(MonoTime deadline);

 protected:
  void NotifyAskers();
  async::Executor executor_;
  async::Timeline& timeline_;

 private:
  void Tell();

  const pods::ObjectKey key_;
  std::map<int, std::function<void()>> subscribers_;
  int next_id_ = 0;
  std::optional<MonoTime> abandoned_at_;
  bool changed_ = false;
  async::Wake wake_;
  std::set<async::Wake*> askers_;
};

// A ConfigMap or Secret, from a watch on it alone. What the server says goes to the checkpoint.
template <class T>
class WatchedObject final : public WatchedKey {
 public:
  struct Source {
    kube::Client& client;
    ObjectCache& cache;
    std::function<double()> random;
    std::function<bool()> reachable;
  };
  // What the server said, and when. `object` null: that it does not exist.
  struct Known {
    std::shared_ptr<const T> object;
    WallTime seen_at;
  };

  WatchedObject(async::Executor executor, async::Timeline& timeline, pods::ObjectKey key, Source source)
      : WatchedKey(std::move(executor), timeline, std::move(key)), source_(std::move(source)) {}

  // Watches while the server is reachable, until abandoned or cancelled. An immutable object is not watched any more
  // once it came.
  Task<void> Run();

  // The server's present state is known, without asking.
  bool live() const { return final_ || (reflector_ && reflector_->synced() && reflector_->live()); }
  // The watch has trouble that others' requests may not have (no right to watch, a broken connection).
  bool failing() const { return !live() && reflector_ && !reflector_->last_error().empty(); }
  // The newest that was said; of now while live.
  std::optional<Known> known() const;
  // The answer to another's request.
  void Learn(std::shared_ptr<const T> object);
  // Somebody was told something else than known(): the first news is a change for them.
  void AnsweredOtherwise() { answered_otherwise_ = true; }

 private:
  Task<void> WatchNow();
  void Look();
  void Confirm();

  Source source_;
  std::optional<Known> known_;
  std::optional<kube::Reflector<T>> reflector_;
  std::string newest_;  // resourceVersion that an earlier watch had reached
  bool answered_otherwise_ = false;
  bool was_live_ = false;
  bool final_ = false;
};

extern template class WatchedObject<corev1::ConfigMap>;
extern template class WatchedObject<corev1::Secret>;

}  // namespace daemonsetd::cluster

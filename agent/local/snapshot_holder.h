// The newest snapshot and who waits for the next. Everything on the loop thread.
#pragma once

#include <list>
#include <memory>

#include "agent/async/task.h"
#include "agent/async/wake.h"
#include "agent/local/snapshot.h"

namespace daemonsetd::local {

class SnapshotHolder {
 public:
  // `current()` is an empty snapshot until the first Publish.
  explicit SnapshotHolder(async::Executor executor);
  // Subscriptions must be gone.
  ~SnapshotHolder();
  SnapshotHolder(const SnapshotHolder&) = delete;
  SnapshotHolder& operator=(const SnapshotHolder&) = delete;

  // Replaces the snapshot and wakes the subscribers. Never null.
  void Publish(std::shared_ptr<const Snapshot> snapshot);

  std::shared_ptr<const Snapshot> current() const { return current_; }

  // One reader's wake-ups: several Publish between two waits count as one. Must not outlive the holder.
  class Subscription {
   public:
    explicit Subscription(SnapshotHolder& holder);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    async::Wake& wake() { return wake_; }

   private:
    SnapshotHolder& holder_;
    async::Wake wake_;
  };

  std::size_t subscribers() const { return subscribers_.size(); }

 private:
  async::Executor executor_;
  std::shared_ptr<const Snapshot> current_;
  std::list<Subscription*> subscribers_;
};

}  // namespace daemonsetd::local

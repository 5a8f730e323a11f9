// The newest snapshot and who waits for the next. Built when somebody asks: changes come in bursts, readers seldom.
// Everything on the loop thread.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "agent/async/task.h"
#include "agent/async/wake.h"
#include "agent/local/snapshot.h"

namespace daemonsetd::local {

class SnapshotHolder {
 public:
  using Build = std::function<std::shared_ptr<const Snapshot>()>;  // never null

  SnapshotHolder(async::Executor executor, Build build);
  // Subscriptions must be gone.
  ~SnapshotHolder();
  SnapshotHolder(const SnapshotHolder&) = delete;
  SnapshotHolder& operator=(const SnapshotHolder&) = delete;

  // What a snapshot tells has changed: the next reader gets a new one.
  void MarkStale() { current_ = nullptr; }
  // Wakes the subscribers.
  void Notify();

  std::shared_ptr<const Snapshot> current();

  // One reader's wake-ups: several Notify between two waits count as one. Must not outlive the holder.
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
  Build build_;
  std::shared_ptr<const Snapshot> current_;
  std::list<Subscription*> subscribers_;
};

}  // namespace daemonsetd::local

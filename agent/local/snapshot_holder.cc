#include "agent/local/snapshot_holder.h"

#include <cassert>
#include <utility>

namespace daemonsetd::local {

SnapshotHolder::SnapshotHolder(async::Executor executor)
    : executor_(std::move(executor)), current_(std::make_shared<const Snapshot>()) {}

SnapshotHolder::~SnapshotHolder() { assert(subscribers_.empty()); }

void SnapshotHolder::Publish(std::shared_ptr<const Snapshot> snapshot) {
  assert(snapshot != nullptr);
  current_ = std::move(snapshot);
  for (Subscription* subscriber : subscribers_) subscriber->wake().Notify();
}

SnapshotHolder::Subscription::Subscription(SnapshotHolder& holder) : holder_(holder), wake_(holder.executor_) {
  holder_.subscribers_.push_back(this);
}

SnapshotHolder::Subscription::~Subscription() { holder_.subscribers_.remove(this); }

}  // namespace daemonsetd::local

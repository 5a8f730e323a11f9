#include "agent/local/snapshot_holder.h"

#include <cassert>
#include <utility>

namespace daemonsetd::local {

SnapshotHolder::SnapshotHolder(async::Executor executor, Build build)
    : executor_(std::move(executor)), build_(std::move(build)) {}

SnapshotHolder::~SnapshotHolder() { assert(subscribers_.empty()); }

std::shared_ptr<const Snapshot> SnapshotHolder::current() {
  if (!current_) current_ = build_();
  assert(current_ != nullptr);
  return current_;
}

void SnapshotHolder::Notify() {
  for (Subscription* subscriber : subscribers_) subscriber->wake().Notify();
}

SnapshotHolder::Subscription::Subscription(SnapshotHolder& holder) : holder_(holder), wake_(holder.executor_) {
  holder_.subscribers_.push_back(this);
}

SnapshotHolder::Subscription::~Subscription() { holder_.subscribers_.remove(this); }

}  // namespace daemonsetd::local

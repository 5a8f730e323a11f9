#include "agent/kube/transport/idle_connections.h"

#include <utility>

namespace daemonsetd::kube {
namespace {

constexpr std::size_t kMaximumKept = 4;
constexpr Nanoseconds kMaximumIdle = Seconds(90);

}  // namespace

IdleConnections::IdleConnections(async::Executor executor, async::Timeline& timeline)
    : executor_(std::move(executor)), timeline_(timeline) {}

void IdleConnections::Put(std::unique_ptr<HttpConnection> connection) {
  if (connection->generation != generation_ || !connection->Reusable()) return;
  connection->idle_since = timeline_.mono();
  kept_.push_back(std::move(connection));
  if (kept_.size() > kMaximumKept) kept_.erase(kept_.begin());
  if (!alarm_) Arm();
}

std::unique_ptr<HttpConnection> IdleConnections::Take() {
  while (!kept_.empty()) {
    std::unique_ptr<HttpConnection> connection = std::move(kept_.back());
    kept_.pop_back();
    if (connection->Reusable()) return connection;
  }
  return nullptr;
}

void IdleConnections::Keep(std::uint64_t generation) {
  generation_ = generation;
  std::erase_if(kept_, [&](const auto& connection) { return connection->generation != generation; });
}

void IdleConnections::Clear() {
  kept_.clear();
  alarm_.reset();
}

void IdleConnections::Arm() {
  alarm_ = timeline_.SetAlarm(executor_, kept_.front()->idle_since + kMaximumIdle, [this] { CloseOld(); });
}

void IdleConnections::CloseOld() {
  // One alarm at a time and never taken back: it looks again when the connection that it was set for was used since.
  std::erase_if(kept_,
                [&](const auto& connection) { return connection->idle_since + kMaximumIdle <= timeline_.mono(); });
  alarm_.reset();
  if (!kept_.empty()) Arm();
}

}  // namespace daemonsetd::kube

#include "agent/pods/pod_workers.h"

#include "agent/base/log.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::pods {

PodWorkers::PodWorkers(PodServices& services, std::function<void()> on_change)
    : services_(services), on_change_(std::move(on_change)), scope_(services.executor) {}

Task<void> PodWorkers::Close() {
  scope_.Cancel();
  co_await scope_.Join();
}

PodWorker& PodWorkers::Start(PodIdentity identity, corev1::Pod pod) {
  const std::string uid = pod.metadata().uid();
  auto worker = std::make_unique<PodWorker>(services_, std::move(identity), std::move(pod), [this] { on_change_(); });
  PodWorker& started = *worker;
  ended_.erase(uid);
  workers_[uid] = std::move(worker);
  if (!nothing_starts_.empty()) started.StartNothing(nothing_starts_);
  scope_.Spawn("pod " + uid, RunWorker(uid));
  return started;
}

void PodWorkers::StartNothing(std::string reason) {
  nothing_starts_ = std::move(reason);
  for (const auto& [uid, worker] : workers_) worker->StartNothing(nothing_starts_);
}

void PodWorkers::GoOn() {
  nothing_starts_.clear();
  for (const auto& [uid, worker] : workers_) worker->GoOn();
}

PodWorker* PodWorkers::FindOrTakeOver(const std::string& uid) {
  if (PodWorker* worker = Find(uid)) return worker;
  const decide::ObservedPod* observed = services_.view.Find(uid);
  if (observed == nullptr) return nullptr;
  services_.observer->OrphanFound();
  return &Start(ReadIdentity(*observed).value_or(PodIdentity{}), PodFromRuntime(*observed));
}

PodWorker* PodWorkers::Find(const std::string& uid) const {
  const auto worker = workers_.find(uid);
  return worker == workers_.end() ? nullptr : worker->second.get();
}

void PodWorkers::Forget(const std::string& uid) {
  services_.records.RemovePod(uid);
  if (ended_.erase(uid) != 0) workers_.erase(uid);
}

bool PodWorkers::RuntimeChanged(const std::string& uid) {
  PodWorker* worker = Find(uid);
  if (worker == nullptr || HasEnded(uid)) return false;
  worker->Notify();
  return true;
}

Task<void> PodWorkers::RunWorker(std::string uid) {
  PodWorker& worker = *workers_.at(uid);
  co_await worker.Run();
  ended_.insert(uid);
  log::Info("pod is gone", {{"pod", decide::NameOf(worker.pod())}, {"uid", uid}});
  // A static pod comes back under this UID, and begins anew. An evicted one is the evidence of why it went.
  if (!worker.identity().from_api_server && !worker.evicted()) Forget(uid);
  on_change_();
}

}  // namespace daemonsetd::pods

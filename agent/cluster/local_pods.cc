#include "agent/cluster/local_pods.h"

#include <utility>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/pod_status.h"
#include "agent/pods/pod_identity.h"
#include "agent/pods/pod_record.h"

namespace daemonsetd::cluster {
namespace {

using decide::LocalPod;

// Empty when it was written under another version of the hash, and says nothing.
std::string HashOf(const pods::PodIdentity& identity) {
  return identity.hash_version == decide::kSpecHashVersion ? identity.template_hash : std::string();
}

LocalPod OfWorker(const pods::PodWorkers& workers, const pods::PodWorker& worker, const Now& now) {
  const corev1::Pod& pod = worker.pod();
  const pods::PodIdentity& identity = worker.identity();
  LocalPod local{.uid = pod.metadata().uid(),
                 .object_uid = identity.object_uid,
                 .namespace_ = pod.metadata().namespace_(),
                 .name = pod.metadata().name(),
                 .owner_uid = identity.daemon_set_uid(),
                 .template_hash = HashOf(identity),
                 .pod = &pod,
                 .status = &pod.status(),
                 .created_at = worker.start_time(),
                 .is_static = !identity.from_api_server,
                 .has_worker = true,
                 .stopping = worker.terminating() && !(worker.terminal() && workers.HasEnded(pod.metadata().uid())),
                 .ended = workers.HasEnded(pod.metadata().uid()),
                 .ready = decide::IsReady(pod.status())};
  if (worker.kill_at()) local.kill_at = now.wall + (*worker.kill_at() - now.mono);
  local.terminal_phase = worker.terminal_phase();
  return local;
}

// What the checkpoint knows better: whose it is by now, and what it stands for.
void TakeFromRecord(const checkpointv1::PodRecord& record, LocalPod& local) {
  local.object_uid = record.object_uid();
  local.owner_uid = record.owner_uid() == local.uid ? std::string() : record.owner_uid();
  local.terminal_phase = record.terminal_phase();
  local.end = pods::EndOf(record);
}

LocalPod OfRuntime(const std::string& uid, const decide::ObservedPod& observed, const pods::PodIdentity& identity,
                   const checkpointv1::PodRecord* record) {
  const corev1::Pod pod = pods::PodFromRuntime(observed);
  LocalPod local{.uid = uid,
                 .object_uid = uid,
                 .namespace_ = pod.metadata().namespace_(),
                 .name = pod.metadata().name(),
                 .owner_uid = identity.daemon_set_uid(),
                 .template_hash = HashOf(identity),
                 .is_static = !identity.from_api_server};
  const auto* sandbox = observed.newest_sandbox();
  if (sandbox != nullptr) local.created_at = WallTime(Nanoseconds(sandbox->created_at()));
  local.asleep = sandbox == nullptr || sandbox->state() != ::runtime::v1::SANDBOX_READY;
  local.ready = observed.all_running();
  if (record != nullptr && !local.is_static) TakeFromRecord(*record, local);
  return local;
}

// Nothing of it runs: it ended, or its start had only begun.
LocalPod OfRecord(const checkpointv1::PodRecord& record) {
  LocalPod local{.uid = record.uid(),
                 .namespace_ = record.namespace_(),
                 .name = record.name(),
                 .created_at = WallTime(Nanoseconds(record.start_time())),
                 .ended = true};
  TakeFromRecord(record, local);
  return local;
}

}  // namespace

std::vector<LocalPod> LocalPods(const pods::PodServices& services, const pods::PodWorkers& workers,
                                const ServerView& server) {
  std::vector<LocalPod> locals;
  const Now now = services.timeline.Read();
  for (const auto& [uid, worker] : workers.all()) locals.push_back(OfWorker(workers, *worker, now));
  for (const auto& [uid, observed] : services.view.pods()) {
    if (workers.all().contains(uid)) continue;
    // Without our annotations it is nobody's, and the manifests' supervisor stops it.
    if (const auto identity = pods::ReadIdentity(observed)) {
      locals.push_back(OfRuntime(uid, observed, *identity, services.records.FindPod(uid)));
    }
  }
  for (const std::string& uid : services.records.PodUids()) {
    const checkpointv1::PodRecord& record = *services.records.FindPod(uid);
    const bool here = workers.all().contains(uid) || services.view.Find(uid) != nullptr;
    if (!here && record.from_api_server()) locals.push_back(OfRecord(record));
  }
  for (LocalPod& local : locals) local.loss = server.LossOf(local.object_uid);
  return locals;
}

}  // namespace daemonsetd::cluster

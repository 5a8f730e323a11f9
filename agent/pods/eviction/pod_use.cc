#include "agent/pods/eviction/pod_use.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/decide/container_usage.h"
#include "agent/decide/pod_object.h"
#include "agent/decide/pod_spec.h"
#include "agent/pods/eviction/tree_use.h"
#include "agent/pods/files.h"
#include "agent/pods/paths.h"
#include "agent/pods/probes/leftover_processes.h"

namespace daemonsetd::pods {
namespace {

constexpr std::size_t kProcFileLimit = 16 << 10;

struct FilesOfPod {
  std::map<std::string, decide::DiskUse> logs;        // by container
  std::map<std::string, decide::DiskUse> empty_dirs;  // by volume
  bool complete = true;
};
struct FilesToMeasure {
  PodPaths paths;
  std::vector<std::string> containers;
  std::vector<std::string> empty_dirs;
};

Result<FilesOfPod> MeasureFilesOf(const FilesToMeasure& what) {
  FilesOfPod files;
  const auto measure = [&files](const Result<std::string>& path, const std::string& name, auto& into) {
    if (!path) return;
    if (const auto use = MeasureTree(*path)) {
      into[name] = *use;
    } else {
      files.complete = false;
    }
  };
  for (const std::string& name : what.containers) measure(what.paths.ContainerLogDirectory(name), name, files.logs);
  for (const std::string& name : what.empty_dirs) measure(what.paths.EmptyDir(name), name, files.empty_dirs);
  return files;
}

decide::DiskUse Sum(const std::map<std::string, decide::DiskUse>& parts) {
  decide::DiskUse sum;
  for (const auto& [name, use] : parts) sum += use;
  return sum;
}

// By container ID, the tasks in the control groups that carry it.
Result<std::map<std::string, std::uint64_t>> CountTasks(const std::string& proc, const std::vector<std::string>& ids) {
  const auto entries = ListDirectory(proc);
  if (!entries) return entries.error();
  std::map<std::string, std::uint64_t> tasks;
  for (const std::string& pid : *entries) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto cgroup = ReadSmallFile(proc + "/" + pid + "/cgroup", kProcFileLimit);
    if (!cgroup) continue;  // it has ended
    const auto id = std::find_if(ids.begin(), ids.end(),
                                 [&cgroup](const std::string& one) { return cgroup->find(one) != std::string::npos; });
    if (id == ids.end()) continue;
    const auto stat = ReadSmallFile(proc + "/" + pid + "/stat", kProcFileLimit);
    const auto process = stat ? ParseProcessStat(*stat) : std::nullopt;
    tasks[*id] += process ? std::max<std::uint64_t>(process->threads, 1) : 1;
  }
  return tasks;
}

}  // namespace

PodUseMeter::PodUseMeter(PodServices& services, std::string proc)
    : services_(services),
      proc_(std::move(proc)),
      trouble_("the container runtime does not tell what containers use, so no pod is evicted for it",
               "the container runtime tells what containers use again") {}

Task<std::map<std::string, decide::PodUse>> PodUseMeter::Measure(std::vector<corev1::Pod> pods, UseWanted wanted) {
  std::map<std::string, decide::PodUse> uses;
  for (const corev1::Pod& pod : pods) uses[pod.metadata().uid()];
  if (wanted.memory || wanted.disk) co_await AskRuntime(&uses);
  if (wanted.disk) {
    for (const corev1::Pod& pod : pods) co_await MeasureFiles(&pod, &uses[pod.metadata().uid()]);
  }
  if (wanted.processes) co_await CountProcesses(&uses);
  co_return uses;
}

Task<void> PodUseMeter::AskRuntime(std::map<std::string, decide::PodUse>* uses) {
  const auto answer = co_await services_.runtime.ListContainerStats(decide::OurContainers(),
                                                                    services_.settings.runtime_request_timeout);
  if (!answer) {
    trouble_.Tell(answer.error());
    co_return;
  }
  trouble_.End();
  std::map<std::string, const cri::v1::ContainerStats*> by_id;
  for (const cri::v1::ContainerStats& stats : answer->stats()) by_id[stats.attributes().id()] = &stats;
  for (auto& [uid, use] : *uses) {
    const decide::ObservedPod* observed = services_.view.Find(uid);
    if (observed == nullptr) continue;
    std::uint64_t memory = 0;
    decide::DiskUse root;
    bool all_memory = true;
    bool all_roots = true;
    for (const decide::ObservedContainer& container : observed->containers) {
      if (container.status.state() != cri::v1::CONTAINER_RUNNING) continue;
      decide::ContainerUse one{.name = container.status.metadata().name()};
      const auto stats = by_id.find(container.status.id());
      if (stats != by_id.end()) {
        if (stats->second->memory().has_working_set_bytes()) {
          one.memory = stats->second->memory().working_set_bytes().value();
        }
        // Without a moment it was not measured yet.
        const cri::v1::FilesystemUsage& layer = stats->second->writable_layer();
        if (layer.timestamp() > 0 && layer.has_used_bytes()) {
          one.root = decide::DiskUse{.bytes = layer.used_bytes().value(), .inodes = layer.inodes_used().value()};
        }
      }
      all_memory &= one.memory.has_value();
      all_roots &= one.root.has_value();
      memory += one.memory.value_or(0);
      root += one.root.value_or(decide::DiskUse{});
      use.containers.push_back(std::move(one));
    }
    if (all_memory) use.memory = memory;
    if (all_roots) use.root = root;
  }
}

Task<void> PodUseMeter::MeasureFiles(const corev1::Pod* pod, decide::PodUse* use) {
  const auto paths = PodPaths::For(services_.directories, *pod);
  if (!paths) co_return;
  FilesToMeasure what{.paths = *paths};
  for (const auto* list : {&pod->spec().initcontainers(), &pod->spec().containers()}) {
    for (const corev1::Container& container : *list) what.containers.push_back(container.name());
  }
  for (const corev1::Volume& volume : pod->spec().volumes()) {
    if (decide::IsEmptyDirOnDisk(volume)) what.empty_dirs.push_back(volume.name());
  }
  std::function<Result<FilesOfPod>()> measure = [what = std::move(what)] { return MeasureFilesOf(what); };
  const auto files = co_await services_.blocking.Compute(std::move(measure));
  if (!files) co_return;
  for (decide::ContainerUse& container : use->containers) {
    const auto logs = files->logs.find(container.name);
    if (logs != files->logs.end()) container.logs = logs->second;
  }
  use->empty_dirs = files->empty_dirs;
  if (!files->complete) co_return;
  use->logs = Sum(files->logs);
  use->volumes = Sum(files->empty_dirs);
}

Task<void> PodUseMeter::CountProcesses(std::map<std::string, decide::PodUse>* uses) {
  std::map<std::string, std::string> pod_of;
  std::vector<std::string> ids;
  for (const auto& [uid, use] : *uses) {
    const decide::ObservedPod* observed = services_.view.Find(uid);
    if (observed == nullptr) continue;
    for (const decide::ObservedContainer& container : observed->containers) {
      if (container.status.state() != cri::v1::CONTAINER_RUNNING) continue;
      pod_of[container.status.id()] = uid;
      ids.push_back(container.status.id());
    }
  }
  std::function<Result<std::map<std::string, std::uint64_t>>()> count = [proc = proc_, ids = std::move(ids)] {
    return CountTasks(proc, ids);
  };
  const auto tasks = co_await services_.blocking.Compute(std::move(count));
  if (!tasks) co_return;
  for (const auto& [id, number] : *tasks) {
    std::optional<std::uint64_t>& processes = (*uses)[pod_of[id]].processes;
    processes = processes.value_or(0) + number;
  }
}

}  // namespace daemonsetd::pods

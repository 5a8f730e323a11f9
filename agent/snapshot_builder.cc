#include "agent/snapshot_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/base/version.h"
#include "agent/decide/pod_plan.h"
#include "agent/decide/pod_status.h"
#include "agent/decide/resources.h"

namespace daemonsetd {
namespace {

using decide::Placement;
using decide::Workload;
using pods::Hosted;
using pods::PodWorker;
using pods::PodWorkers;

std::string TimeText(const metav1::Time& time) {
  return time.seconds() == 0 ? std::string() : FormatRfc3339(WallTime(Seconds(time.seconds())));
}

std::string BlockerName(Placement::Blocker blocker) {
  switch (blocker) {
    case Placement::Blocker::kNone: return "";
    case Placement::Blocker::kNodeName: return "NodeName";
    case Placement::Blocker::kNodeSelector: return "NodeSelector";
    case Placement::Blocker::kNodeAffinity: return "NodeAffinity";
    case Placement::Blocker::kTaint: return "Taint";
  }
  return "";
}

std::string JoinLabels(const google::protobuf::Map<std::string, std::string>& labels) {
  const std::set<std::pair<std::string, std::string>> sorted(labels.begin(), labels.end());
  std::string text;
  for (const auto& [key, value] : sorted) text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

std::string SelectorText(const metav1::LabelSelector& selector) {
  std::string text = JoinLabels(selector.matchlabels());
  for (const auto& expression : selector.matchexpressions()) {
    std::string values = fmt::format("{}", fmt::join(expression.values(), ","));
    if (!text.empty()) text += ",";
    if (expression.operator_() == "Exists") {
      text += expression.key();
    } else if (expression.operator_() == "DoesNotExist") {
      text += "!" + expression.key();
    } else {
      text += fmt::format("{} {} ({})", expression.key(), expression.operator_() == "In" ? "in" : "notin", values);
    }
  }
  return text;
}

template <class Condition>
void FillCondition(const Condition& from, statusv1::Condition& to) {
  to.set_type(from.type());
  to.set_status(from.status());
  to.set_reason(from.reason());
  to.set_message(from.message());
  to.set_last_transition_time(TimeText(from.lasttransitiontime()));
}

template <class Owner>
void AddConditions(const corev1::PodStatus& status, Owner& owner) {
  for (const corev1::PodCondition& condition : status.conditions()) FillCondition(condition, *owner.add_conditions());
}

void FillTermination(const corev1::ContainerStateTerminated& from, statusv1::ContainerTermination& to) {
  to.set_reason(from.reason());
  to.set_message(from.message());
  to.set_exit_code(from.exitcode());
  to.set_started_at(TimeText(from.startedat()));
  to.set_finished_at(TimeText(from.finishedat()));
  to.set_container_id(from.containerid());
}

void FillContainer(const corev1::ContainerStatus& from, bool init, bool sidecar, statusv1::ContainerSummary& to) {
  to.set_name(from.name());
  to.set_image(from.image());
  to.set_image_id(from.imageid());
  const auto scheme = from.containerid().find("://");
  to.set_container_id(scheme == std::string::npos ? from.containerid() : from.containerid().substr(scheme + 3));
  to.set_ready(from.ready());
  to.set_restart_count(from.restartcount());
  to.set_init(init);
  to.set_sidecar(sidecar);
  if (from.state().has_running()) {
    to.set_state("Running");
    to.set_started_at(TimeText(from.state().running().startedat()));
  } else if (from.state().has_terminated()) {
    const auto& terminated = from.state().terminated();
    to.set_state("Terminated");
    to.set_reason(terminated.reason());
    to.set_message(terminated.message());
    to.set_exit_code(terminated.exitcode());
    to.set_started_at(TimeText(terminated.startedat()));
    to.set_finished_at(TimeText(terminated.finishedat()));
  } else {
    to.set_state("Waiting");
    to.set_reason(from.state().waiting().reason());
    to.set_message(from.state().waiting().message());
  }
  if (from.laststate().has_terminated()) FillTermination(from.laststate().terminated(), *to.mutable_last_termination());
}

statusv1::PodSummary Summarize(const PodWorker& worker, const pods::RuntimeView& view) {
  const corev1::Pod& pod = worker.pod();
  const corev1::PodStatus& status = pod.status();
  statusv1::PodSummary summary;
  summary.set_namespace_(pod.metadata().namespace_());
  summary.set_name(pod.metadata().name());
  summary.set_uid(pod.metadata().uid());
  summary.set_owner_kind(worker.identity().owner_kind);
  summary.set_owner_name(worker.identity().owner_name);
  summary.set_phase(status.phase());
  summary.set_status(decide::StatusWord(pod));
  summary.set_creation_timestamp(TimeText(status.starttime()));
  summary.set_start_time(TimeText(status.starttime()));
  summary.set_deletion_timestamp(TimeText(pod.metadata().deletiontimestamp()));
  summary.set_pod_ip(status.podip());
  for (const auto& ip : status.podips()) summary.add_pod_ips(ip.ip());
  summary.set_node_name(pod.spec().nodename());
  summary.set_qos_class(status.qosclass());
  summary.set_host_network(pod.spec().hostnetwork());
  summary.set_template_hash(worker.identity().template_hash);
  *summary.mutable_labels() = pod.metadata().labels();
  *summary.mutable_annotations() = pod.metadata().annotations();
  summary.set_message(worker.terminating() ? fmt::format("{}: {}", worker.evicted() ? "evicted" : "stopping",
                                                         worker.termination_reason())
                                           : worker.waiting_for());
  if (const auto* observed = view.Find(pod.metadata().uid()); observed && observed->newest_sandbox()) {
    summary.set_sandbox_id(observed->newest_sandbox()->id());
  }
  int total = status.containerstatuses_size();
  int ready = 0;
  int restarts = 0;
  std::int64_t last_restart = 0;
  for (int i = 0; i < status.initcontainerstatuses_size(); ++i) {
    const bool sidecar = i < pod.spec().initcontainers_size() && decide::IsSidecar(pod.spec().initcontainers(i));
    FillContainer(status.initcontainerstatuses(i), true, sidecar, *summary.add_containers());
    restarts += status.initcontainerstatuses(i).restartcount();
    if (!sidecar) continue;  // as kubectl counts its READY column
    ++total;
    ready += status.initcontainerstatuses(i).ready() ? 1 : 0;
  }
  for (const corev1::ContainerStatus& container : status.containerstatuses()) {
    FillContainer(container, false, false, *summary.add_containers());
    ready += container.ready() ? 1 : 0;
    restarts += container.restartcount();
    last_restart = std::max(last_restart, container.laststate().terminated().finishedat().seconds());
  }
  summary.set_ready_containers(ready);
  summary.set_containers_total(total);
  summary.set_restarts(restarts);
  if (last_restart != 0) summary.set_last_restart_time(FormatRfc3339(WallTime(Seconds(last_restart))));
  AddConditions(status, summary);
  return summary;
}

// The one sentence that stands between now and available.
std::string WaitsFor(const Hosted& hosted, const PodWorker* worker) {
  std::string text = hosted.decision.waiting_for;
  if (text.empty() && worker) text = worker->waiting_for();
  if (!hosted.image_error.empty()) text += (text.empty() ? "" : "; ") + hosted.image_error;
  return text;
}

const PodWorker* WorkerOf(const PodWorkers& workers, const Hosted& hosted) {
  return workers.Find(hosted.decision.pod_uid);
}

void FillVerdict(const Hosted& hosted, statusv1::DaemonSetStatus& status) {
  const Placement& placement = hosted.decision.placement;
  status.mutable_verdict()->set_should_run(placement.should_run);
  status.mutable_verdict()->set_should_keep_running(placement.should_keep_running);
  status.mutable_verdict()->set_blocker(BlockerName(placement.blocker));
  status.mutable_verdict()->set_reason(placement.reason);
  const decide::Admission& admission = hosted.decision.admission;
  if (admission.admitted || !admission.reason.empty()) {
    status.mutable_admission()->set_admitted(admission.admitted);
    status.mutable_admission()->set_reason(admission.reason);
    status.mutable_admission()->set_message(admission.message);
  }
}

statusv1::DaemonSetStatus DescribeDaemonSet(const PodWorkers& workers, const Hosted& hosted) {
  const appsv1::DaemonSet& object = hosted.daemon_set;
  statusv1::DaemonSetStatus status;
  status.set_namespace_(hosted.workload.namespace_);
  status.set_name(hosted.workload.name);
  status.set_uid(hosted.workload.uid);
  status.set_source(hosted.source);
  status.set_creation_timestamp(FormatRfc3339(hosted.first_seen));
  status.set_desired(hosted.decision.placement.should_run ? 1 : 0);
  status.set_node_selector(JoinLabels(object.spec().template_().spec().nodeselector()));
  status.set_selector(SelectorText(object.spec().selector()));
  status.set_template_hash(hosted.workload.template_hash);
  status.set_update_strategy(object.spec().updatestrategy().type());
  *status.mutable_labels() = object.metadata().labels();
  *status.mutable_annotations() = object.metadata().annotations();
  for (const auto& container : object.spec().template_().spec().initcontainers()) {
    auto* image = status.add_containers();
    image->set_name(container.name());
    image->set_image(container.image());
    image->set_init(true);
  }
  for (const auto& container : object.spec().template_().spec().containers()) {
    auto* image = status.add_containers();
    image->set_name(container.name());
    image->set_image(container.image());
  }
  for (const appsv1::DaemonSetCondition& condition : object.status().conditions()) {
    FillCondition(condition, *status.add_cluster_conditions());
  }
  FillVerdict(hosted, status);
  const PodWorker* worker = WorkerOf(workers, hosted);
  status.set_waits_for(WaitsFor(hosted, worker));
  if (!worker) return status;
  const bool ready = decide::IsReady(worker->pod().status());
  status.set_pod_name(worker->pod().metadata().name());
  status.set_current(1);
  status.set_ready(ready ? 1 : 0);
  status.set_available(ready ? 1 : 0);
  status.set_up_to_date(worker->identity().template_hash == hosted.workload.template_hash ? 1 : 0);
  AddConditions(worker->pod().status(), status);
  return status;
}

using Check = statusv1::Check;

void AddCheck(statusv1::Explanation& explanation, const char* name, Check::Outcome outcome, std::string detail) {
  Check* check = explanation.add_checks();
  check->set_name(name);
  check->set_outcome(outcome);
  check->set_detail(std::move(detail));
}

void ExplainPlacement(const Placement& placement, statusv1::Explanation& explanation) {
  static constexpr std::pair<Placement::Blocker, const char*> kOrder[] = {
      {Placement::Blocker::kNodeName, "nodeName"},
      {Placement::Blocker::kNodeSelector, "nodeSelector"},
      {Placement::Blocker::kNodeAffinity, "nodeAffinity"},
      {Placement::Blocker::kTaint, "taints"},
  };
  bool failed = false;
  for (const auto& [blocker, name] : kOrder) {
    const bool here = placement.blocker == blocker;
    AddCheck(explanation, name,
             here     ? Check::FAILED
             : failed ? Check::SKIPPED
                      : Check::PASSED,
             here ? placement.reason : "");
    failed |= here;
  }
}

void ExplainAdmission(const decide::WorkloadDecision& decision, bool has_pod, statusv1::Explanation& explanation) {
  const decide::Admission& admission = decision.admission;
  const bool ports = admission.reason == "NodePorts";
  const bool asked = !admission.reason.empty() || admission.admitted;
  const std::string running = has_pod ? "a pod is here already; a running pod is not judged again" : "";
  const auto outcome = [&](bool fails) { return !asked ? Check::SKIPPED : fails ? Check::FAILED : Check::PASSED; };
  const bool refused = asked && !admission.admitted;
  AddCheck(explanation, "resources", outcome(refused && !ports), refused && !ports ? admission.message : running);
  AddCheck(explanation, "hostPorts", outcome(refused && ports), refused && ports ? admission.message : running);
}

statusv1::Explanation Explain(const PodWorkers& workers, const Hosted& hosted, const corev1::Node& node) {
  statusv1::Explanation explanation;
  explanation.set_namespace_(hosted.workload.namespace_);
  explanation.set_name(hosted.workload.name);
  explanation.set_node_name(node.metadata().name());
  AddCheck(explanation, "manifest", Check::PASSED, hosted.source);
  const decide::WorkloadDecision& decision = hosted.decision;
  const PodWorker* worker = WorkerOf(workers, hosted);
  ExplainPlacement(decision.placement, explanation);
  ExplainAdmission(decision, worker != nullptr, explanation);
  if (!hosted.image_error.empty()) {
    AddCheck(explanation, "image", Check::FAILED, hosted.image_error);
  }
  const bool ready = worker && decide::IsReady(worker->pod().status());
  AddCheck(explanation, "running",
           !worker ? Check::SKIPPED
           : ready ? Check::PASSED
                   : Check::FAILED,
           worker ? fmt::format("pod {} is {}", worker->pod().metadata().name(), decide::StatusWord(worker->pod()))
                  : std::string());
  explanation.set_waits_for(WaitsFor(hosted, worker));
  explanation.set_verdict(std::string(decide::VerdictOf(decision.placement)));
  return explanation;
}

void FillNode(const corev1::Node& node, const PodWorkers& workers, statusv1::NodeStatus& status) {
  status.set_name(node.metadata().name());
  *status.mutable_labels() = node.metadata().labels();
  *status.mutable_annotations() = node.metadata().annotations();
  status.set_unschedulable(node.spec().unschedulable());
  status.set_creation_timestamp(TimeText(node.metadata().creationtimestamp()));
  for (const corev1::Taint& taint : node.spec().taints()) {
    auto* copy = status.add_taints();
    copy->set_key(taint.key());
    copy->set_value(taint.value());
    copy->set_effect(taint.effect());
  }
  for (const auto& [name, quantity] : node.status().capacity()) (*status.mutable_capacity())[name] = quantity.string();
  for (const auto& [name, quantity] : node.status().allocatable()) {
    (*status.mutable_allocatable())[name] = quantity.string();
  }
  decide::ResourceList requested;
  std::int64_t pods = 0;
  for (const auto& [uid, worker] : workers.all()) {
    if (worker->terminal()) continue;
    ++pods;
    for (const auto& [name, quantity] : decide::PodRequests(worker->pod().spec())) requested[name] += quantity;
  }
  for (const auto& [name, quantity] : requested) (*status.mutable_requested())[name] = quantity.Canonical();
  (*status.mutable_requested())["pods"] = std::to_string(pods);
  for (const corev1::NodeAddress& address : node.status().addresses()) {
    auto* copy = status.add_addresses();
    copy->set_type(address.type());
    copy->set_address(address.address());
  }
  const corev1::NodeSystemInfo& info = node.status().nodeinfo();
  auto& facts = *status.mutable_node_info();
  facts["machineID"] = info.machineid();
  facts["bootID"] = info.bootid();
  facts["kernelVersion"] = info.kernelversion();
  facts["osImage"] = info.osimage();
  facts["containerRuntimeVersion"] = info.containerruntimeversion();
  facts["operatingSystem"] = info.operatingsystem();
  facts["architecture"] = info.architecture();
  for (const corev1::NodeCondition& condition : node.status().conditions()) {
    FillCondition(condition, *status.add_conditions());
  }
}

std::vector<std::string> Warnings(const AgentFacts& facts) {
  std::vector<std::string> warnings = facts.warnings;
  warnings.insert(warnings.end(), facts.warnings_of_start.begin(), facts.warnings_of_start.end());
  for (const auto* problem : {&facts.mount_problem, &facts.checkpoint_problem, &facts.shutdown_problem,
                              &facts.api_server_problem, &facts.certificate_problem}) {
    if (!problem->empty()) warnings.push_back(*problem);
  }
  return warnings;
}

statusv1::Counts Count(const SnapshotSources& sources) {
  statusv1::Counts counts;
  for (const Hosted* hosted : sources.hosted) {
    const bool runs_here = hosted->decision.placement.should_run;
    if (runs_here) counts.set_pods_desired(counts.pods_desired() + 1);
    if (hosted->workload.kind != Workload::Kind::kDaemonSet) continue;
    counts.set_daemon_sets(counts.daemon_sets() + 1);
    if (runs_here) {
      counts.set_daemon_sets_hosted(counts.daemon_sets_hosted() + 1);
    } else {
      counts.set_daemon_sets_not_hosted(counts.daemon_sets_not_hosted() + 1);
    }
  }
  for (const auto& [uid, worker] : sources.workers.all()) {
    if (worker->pod().status().phase() == "Running") counts.set_pods_running(counts.pods_running() + 1);
    if (decide::IsReady(worker->pod().status())) counts.set_pods_ready(counts.pods_ready() + 1);
  }
  return counts;
}

void FillStatus(const SnapshotSources& sources, local::Snapshot& snapshot) {
  const auto& [workers, hosted_list, view, manifests, events, node, facts] = sources;
  statusv1::Status& status = snapshot.status;
  const VersionFacts& build = BuildVersion();
  status.mutable_version()->set_version(std::string(build.version));
  status.mutable_version()->set_git_commit(std::string(build.git_commit));
  status.mutable_version()->set_build_date(std::string(build.build_date));
  status.mutable_version()->set_compiler(std::string(build.compiler));
  status.mutable_version()->set_platform(std::string(build.platform));
  status.set_node_name(node.metadata().name());
  status.set_start_time(FormatRfc3339(facts.start_time));
  status.set_api_server(facts.api_server);
  status.set_coordinator(facts.coordinator);
  for (const std::string& warning : Warnings(facts)) status.add_warnings(warning);

  statusv1::RuntimeStatus& runtime = *status.mutable_runtime();
  const bool connected = view.last_list().has_value() && view.last_error().empty();
  runtime.set_name(facts.runtime_name);
  runtime.set_version(facts.runtime_version);
  runtime.set_endpoint(facts.runtime_endpoint);
  runtime.set_connected(connected);
  runtime.set_since(FormatRfc3339(facts.runtime_since));
  runtime.set_last_error(view.last_error());
  runtime.set_observation(view.has_events() ? "events" : "polling");

  statusv1::ManifestSource& source = *status.mutable_sources()->mutable_manifests();
  source.set_path(facts.manifest_directory);
  source.set_complete(manifests.complete);
  std::set<std::string> files;
  for (const auto& daemon_set : manifests.daemon_sets) files.insert(daemon_set.file);
  for (const auto& pod : manifests.pods) files.insert(pod.file);
  for (const model::DecodeError& error : manifests.errors) {
    files.insert(error.file);
    auto* copy = source.add_errors();
    copy->set_file(error.file);
    copy->set_line(error.line);
    copy->set_object(error.object);
    copy->set_field(error.field);
    copy->set_message(error.message);
    copy->set_text(model::ToString(error));
  }
  source.set_files(static_cast<std::int32_t>(files.size()));
  source.set_objects(static_cast<std::int32_t>(manifests.daemon_sets.size() + manifests.pods.size()));

  *status.mutable_counts() = Count(sources);
  snapshot.readiness.push_back({.name = "runtime",
                                .passed = connected && view.synced(),
                                .detail = connected ? "reading what runs" : view.last_error()});
  snapshot.readiness.push_back(
      {.name = "manifests",
       .passed = manifests.complete,
       .detail = "the directory " + facts.manifest_directory + " could not be read yet; does it exist?"});
  for (local::HealthCheck& check : snapshot.readiness) {
    if (check.passed) check.detail.clear();
  }
}

template <class Item>
bool ByName(const Item& a, const Item& b) {
  return a.namespace_() != b.namespace_() ? a.namespace_() < b.namespace_() : a.name() < b.name();
}

}  // namespace

std::shared_ptr<const local::Snapshot> BuildSnapshot(const SnapshotSources& sources) {
  auto snapshot = std::make_shared<local::Snapshot>();
  FillStatus(sources, *snapshot);
  snapshot->events = sources.events.Recent();
  for (const Hosted* hosted : sources.hosted) {
    if (hosted->workload.kind != Workload::Kind::kDaemonSet) continue;
    *snapshot->daemon_sets.add_items() = DescribeDaemonSet(sources.workers, *hosted);
    *snapshot->explanations.add_items() = Explain(sources.workers, *hosted, sources.node);
  }
  std::vector<const PodWorker*> workers;
  for (const auto& [uid, worker] : sources.workers.all()) workers.push_back(worker.get());
  std::sort(workers.begin(), workers.end(),
            [](const PodWorker* a, const PodWorker* b) { return ByName(a->pod().metadata(), b->pod().metadata()); });
  for (const PodWorker* worker : workers) {
    *snapshot->pods.add_items() = Summarize(*worker, sources.view);
    *snapshot->pod_list.add_items() = worker->pod();
  }
  std::sort(snapshot->daemon_sets.mutable_items()->begin(), snapshot->daemon_sets.mutable_items()->end(),
            ByName<statusv1::DaemonSetStatus>);
  std::sort(snapshot->explanations.mutable_items()->begin(), snapshot->explanations.mutable_items()->end(),
            ByName<statusv1::Explanation>);
  FillNode(sources.node, sources.workers, snapshot->node);
  return snapshot;
}

service::StatusFacts BuildStatusFacts(const SnapshotSources& sources) {
  const statusv1::Counts counts = Count(sources);
  return {.pods_ready = counts.pods_ready(),
          .pods_desired = counts.pods_desired(),
          .runtime_connected = sources.view.connected(),
          .runtime_error = sources.view.last_error(),
          .api_server = sources.facts.api_server,
          .warnings = static_cast<int>(Warnings(sources.facts).size())};
}

Result<local::LogSource> FindContainerLog(const PodWorkers& workers, const pods::RuntimeView& view,
                                          const pods::Directories& directories, const local::LogRequest& request) {
  const std::string name = request.pod_namespace + "/" + request.pod;
  for (const auto& [uid, worker] : workers.all()) {
    const corev1::Pod& pod = worker->pod();
    if (pod.metadata().namespace_() != request.pod_namespace || pod.metadata().name() != request.pod) continue;
    std::string container = request.container;
    if (container.empty()) {
      if (pod.spec().containers_size() != 1) {
        std::vector<std::string> names;
        for (const auto& one : pod.spec().containers()) names.push_back(one.name());
        return Error(ErrorKind::kInvalid,
                     fmt::format("pod {} has several containers, name one of [{}]", name, fmt::join(names, " ")));
      }
      container = pod.spec().containers(0).name();
    }
    const decide::ObservedPod* observed = view.Find(uid);
    std::vector<const decide::ObservedContainer*> instances;
    if (observed) {
      for (const auto& instance : observed->containers) {
        if (instance.status.metadata().name() == container) instances.push_back(&instance);
      }
    }
    const std::size_t index = request.previous ? 1 : 0;
    if (instances.size() <= index) {
      return Error(ErrorKind::kAbsent, fmt::format("container {} of pod {} has no {}log yet", container, name,
                                                   request.previous ? "previous " : ""));
    }
    const auto paths = pods::PodPaths::For(directories, pod);
    if (!paths) return paths.error();
    const auto path = paths->LogPath(container, instances[index]->status.metadata().attempt());
    if (!path) return path.error();
    const std::string id = instances[index]->status.id();
    const std::string pod_uid = uid;
    const pods::RuntimeView* records = &view;
    return local::LogSource{.path = *path, .finished = [records, pod_uid, id] {
                              const decide::ObservedPod* now = records->Find(pod_uid);
                              if (!now) return true;
                              for (const auto& instance : now->containers) {
                                if (instance.status.id() == id) {
                                  return instance.status.state() == cri::v1::CONTAINER_EXITED;
                                }
                              }
                              return true;
                            }};
  }
  return Error(ErrorKind::kAbsent, "no pod " + name + " on this node");
}

}  // namespace daemonsetd

#include "agent/pods/pod_operations.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/decide/critical_pod.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_spec.h"
#include "agent/decide/runtime_class.h"
#include "agent/decide/sysctls.h"
#include "agent/pods/cgroups/pod_cgroups.h"
#include "agent/pods/env.h"
#include "agent/pods/hosts_file.h"
#include "agent/pods/log_links.h"
#include "agent/pods/logs/log_files.h"
#include "agent/pods/probe_target.h"
#include "agent/pods/sandbox_dirs.h"
#include "cri/convert.h"

namespace daemonsetd::pods {
namespace {

// A postStart hook has no limit of its own in the API; a container whose hook takes longer is started anew.
constexpr Nanoseconds kPostStartLimit = std::chrono::minutes(10);
constexpr Nanoseconds kUntilRuntimeIsKnown = std::chrono::milliseconds(50);

Outcome Done() { return {.status = Ok(), .reason = {}}; }
Outcome Failed(Error error, std::string reason, bool unknown = false) {
  return {.status = std::move(error), .reason = std::move(reason), .unknown = unknown};
}

Outcome NotPulled(const PullOutcome& pull) {
  return {.status = pull.status, .reason = pull.reason, .next_pull = pull.retry_at};
}

// Everything a container start needs from the file system, made on a pool thread.
struct ContainerFiles {
  PodPaths paths;
  corev1::Pod pod;
  corev1::Container container;
  std::string token;
  std::vector<std::string> pod_ips;
  std::string hostname;
  std::string domain;

  Status operator()() const {
    DAEMONSETD_RETURN_IF_ERROR(MakeContainerFiles(paths, container, token));
    return WriteHostsFile(pod, paths.etc_hosts(), pod_ips, hostname, domain);
  }
};

}  // namespace

PodOperations::PodOperations(PodServices& services, const PodIdentity& identity, const corev1::Pod& pod,
                             PodEvents& events, CreatedHandler on_created, std::function<void()> on_objects_changed)
    : services_(services),
      identity_(identity),
      pod_(pod),
      on_created_(std::move(on_created)),
      events_(events),
      stops_(services, pod, events_),
      objects_(services, pod, events_, [this] { return Facts(); }, std::move(on_objects_changed)) {}

Task<Outcome> PodOperations::Execute(decide::Action action) {
  if (std::holds_alternative<decide::SetUpPod>(action)) co_return co_await SetUp();
  if (std::holds_alternative<decide::TearDownPod>(action)) co_return co_await TearDown();
  if (auto* create = std::get_if<decide::CreateSandbox>(&action)) co_return co_await Create(*create);
  if (auto* start = std::get_if<decide::StartContainer>(&action)) co_return co_await Start(std::move(*start));
  if (auto* created = std::get_if<decide::StartCreatedContainer>(&action)) {
    co_return co_await StartCreated(std::move(*created));
  }
  if (auto* update = std::get_if<decide::UpdateResources>(&action)) co_return co_await Update(std::move(*update));
  if (auto* hook = std::get_if<decide::RunPostStart>(&action)) co_return co_await RunHook(std::move(*hook));
  if (auto* stop = std::get_if<decide::StopContainer>(&action)) co_return co_await StopOne(std::move(*stop));
  if (auto* remove = std::get_if<decide::RemoveContainer>(&action)) co_return co_await Remove(std::move(*remove));
  if (auto* stop = std::get_if<decide::StopSandbox>(&action)) co_return co_await Stop(std::move(*stop));
  co_return co_await Remove(std::get<decide::RemoveSandbox>(std::move(action)));
}

Task<Outcome> PodOperations::SetUp() {
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!paths) co_return Failed(paths.error(), "FailedMount");
  std::function<Status()> make_directories = [paths = *paths, pod = pod_] { return MakePodDirectories(paths, pod); };
  const Status made = co_await services_.blocking.Run(std::move(make_directories));
  if (!made) co_return Failed(made.error(), "FailedMount");
  const ObjectStatus mounted = co_await objects_.SetUpVolumes();
  if (!mounted.status) co_return Failed(mounted.status.error(), "FailedMount", mounted.unknown);
  co_return Done();
}

Task<Outcome> PodOperations::Create(decide::CreateSandbox action) {
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!paths) co_return Failed(paths.error(), "FailedCreatePodSandBox");
  const Status allowed = decide::CheckSysctls(pod_.spec(), services_.settings.allowed_unsafe_sysctls);
  if (!allowed) co_return Failed(allowed.error(), "SysctlForbidden");
  const Result<decide::RuntimeClass> runtime_class = co_await objects_.FindRuntimeClass();
  if (!runtime_class) {
    co_return Failed(runtime_class.error(), "FailedCreatePodSandBox", IsUnknown(runtime_class.error()));
  }
  co_await AwaitRuntime();
  runtime_handler_ = runtime_class->handler;
  const Status ids = co_await FindUserNamespace();
  if (!ids) co_return Failed(ids.error(), "FailedCreatePodSandBox");
  cri::SandboxInputs inputs = InputsOf(*paths);
  inputs.attempt = action.attempt;
  if (const Status supported = cri::CheckSupported(pod_, inputs); !supported) {
    co_return Failed(supported.error(), "FailedCreatePodSandBox");
  }
  cri::v1::RunPodSandboxRequest request;
  const corev1::Pod pod = WithOverhead(*runtime_class);
  const bool has_group = services_.cgroups != nullptr && services_.cgroups->enabled();
  if (has_group) inputs.cgroup_parent = services_.cgroups->ParentOf(pod);
  *request.mutable_config() = cri::ToSandboxConfig(pod, inputs);
  request.set_runtime_handler(inputs.runtime_handler);
  WriteIdentity(identity_, *request.mutable_config());
  if (has_group) {
    (*request.mutable_config()->mutable_annotations())[decide::kCgroupParentAnnotation] = inputs.cgroup_parent;
  }

  for (const std::string& warning : decide::PodDnsWarnings(pod_, services_.settings.dns)) {
    events_.DnsConfigForming(warning);
  }
  if (!pod_.spec().hostnetwork()) {
    NetworkGate::Refused tell = [this](const std::string& message) { events_.NetworkNotReady(message); };
    co_await services_.network.Await(std::move(tell));
  }
  if (has_group) {
    const Status made = co_await services_.cgroups->Ensure(pod);
    if (!made) co_return Failed(made.error(), "FailedCreatePodContainer");
  }
  async::Semaphore::Permit permit = co_await services_.starts.Acquire(decide::PriorityOf(pod_.spec()));
  co_await async::kDeafToCancellation;
  auto created =
      co_await services_.runtime.RunPodSandbox(std::move(request), services_.settings.runtime_request_timeout);
  if (!created) {
    services_.view.Hurry();  // after a deadline it may be there all the same
    co_return Failed(created.error(), "FailedCreatePodSandBox");
  }
  const Status inspected = co_await services_.view.InspectSandbox(*created);
  if (!inspected) services_.view.Hurry();
  co_return Done();
}

Task<Outcome> PodOperations::Start(decide::StartContainer action) {
  const corev1::Container* spec = decide::FindContainer(pod_, action.name);
  if (!spec) co_return Failed(Error(ErrorKind::kFatal, "no container " + action.name + " in the pod"), "Internal");
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!paths) co_return Failed(paths.error(), "CreateContainerConfigError");

  const Status ids = co_await FindUserNamespace();
  if (!ids) co_return Failed(ids.error(), "CreateContainerConfigError");
  co_await AwaitRuntime();
  // A sandbox that is there has its handler, whatever became of the class since.
  const cri::v1::PodSandboxStatus* in = FindSandbox(action.sandbox_id);
  runtime_handler_ = in ? in->runtime_handler() : "";
  cri::v1::PodSandboxConfig sandbox = SandboxConfigOf(action.sandbox_id, *paths);
  const PullOutcome volumes = co_await PullVolumes(*spec, sandbox);
  if (!volumes.status) co_return NotPulled(volumes);
  const PullOutcome image = co_await PullImage(spec->image(), spec->imagepullpolicy(), spec->name(), sandbox);
  if (!image.status) co_return NotPulled(image);
  events_.Pulled(action.name, spec->image(), image);
  if (const Status user = cri::CheckRunAsNonRoot(pod_, *spec, image.image); !user) {
    co_return Failed(user.error(), "CreateContainerConfigError");
  }
  std::uint32_t attempt = action.attempt;
  if (const auto logs = paths->ContainerLogDirectory(action.name); logs && attempt == 0) {
    // The runtime has no record of this container, but its old logs may still be here (LG-08).
    attempt = static_cast<std::uint32_t>(std::max(0, NextAttemptFromLogs(*logs)));
  }

  const PodFacts facts = Facts();
  ContainerFiles files{.paths = *paths,
                       .pod = pod_,
                       .container = *spec,
                       .token = std::to_string(attempt),
                       .pod_ips = facts.pod_ips,
                       .hostname = cri::ShortHostname(pod_),
                       .domain = cri::PodDomain(pod_, services_.settings.cluster_domain)};
  std::function<Status()> make_files = std::move(files);
  const Status made = co_await services_.blocking.Run(std::move(make_files));
  if (!made) co_return Failed(made.error(), "CreateContainerConfigError");

  bool unknown = false;
  auto process = co_await MakeEnvironment(*spec, &unknown);
  if (!process) co_return Failed(process.error(), "CreateContainerConfigError", unknown);
  MountInputs mount_inputs;
  mount_inputs.images = volume_images_;
  mount_inputs.token = std::to_string(attempt);
  mount_inputs.envs = process->envs;
  mount_inputs.recursive_read_only = services_.features().Find(runtime_handler_).recursive_read_only;
  auto mounts = co_await services_.volumes.Mounts(pod_, *spec, std::move(mount_inputs));
  if (!mounts) co_return Failed(mounts.error(), "CreateContainerConfigError");

  cri::ContainerInputs inputs;
  inputs.image_ref = image.image_ref;
  if (image.image.has_uid()) inputs.image_uid = image.image.uid().value();
  inputs.image_username = image.image.username();
  for (EnvVariable& variable : process->envs) {
    inputs.envs.push_back({.name = std::move(variable.name), .value = std::move(variable.value)});
  }
  inputs.command = std::move(process->command);
  inputs.args = std::move(process->args);
  inputs.mounts = std::move(*mounts);
  inputs.user_namespace = user_namespace_;
  inputs.oom_kills_container = services_.settings.oom_kills_container;
  inputs.node_memory = services_.settings.node_memory;
  inputs.seccomp_root = services_.settings.seccomp_root;
  inputs.seccomp_default = services_.settings.seccomp_default;
  const auto log_path = paths->RelativeLogPath(action.name, attempt);
  if (!log_path) co_return Failed(log_path.error(), "CreateContainerConfigError");
  inputs.log_path = *log_path;

  cri::v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(action.sandbox_id);
  *request.mutable_config() = cri::ToContainerConfig(pod_, *spec, attempt, inputs);
  *request.mutable_sandbox_config() = std::move(sandbox);

  async::Semaphore::Permit permit = co_await services_.starts.Acquire(decide::PriorityOf(pod_.spec()));
  co_await async::kDeafToCancellation;
  auto created =
      co_await services_.runtime.CreateContainer(std::move(request), services_.settings.runtime_request_timeout);
  if (!created) {
    services_.images.NoteFailedStart(image.image_ref, created.error().message());
    services_.view.Hurry();
    co_return Failed(created.error(), "CreateContainerError");
  }
  events_.Created(action.name);
  on_created_(action.name, *created);
  const Status started =
      co_await services_.runtime.StartContainer(*created, services_.settings.runtime_request_timeout);
  co_await Refresh(*created, action.sandbox_id);
  if (!started) {
    services_.images.NoteFailedStart(image.image_ref, started.error().message());
    co_return Failed(started.error(), "RunContainerError");
  }
  events_.Started(action.name);
  co_return Done();
}

Task<Outcome> PodOperations::StartCreated(decide::StartCreatedContainer action) {
  async::Semaphore::Permit permit = co_await services_.starts.Acquire(decide::PriorityOf(pod_.spec()));
  co_await async::kDeafToCancellation;
  on_created_(action.name, action.container_id);
  const Status started =
      co_await services_.runtime.StartContainer(action.container_id, services_.settings.runtime_request_timeout);
  co_await Refresh(action.container_id, SandboxOf(action.container_id));
  if (!started) co_return Failed(started.error(), "RunContainerError");
  events_.Started(action.name);
  co_return Done();
}

Task<Outcome> PodOperations::Update(decide::UpdateResources action) {
  const corev1::Container* spec = decide::FindContainer(pod_, action.name);
  if (!spec) co_return Done();
  cri::v1::UpdateContainerResourcesRequest request;
  request.set_container_id(action.container_id);
  *request.mutable_linux() = cri::ToUpdatedResources(pod_, *spec, services_.settings.node_memory);
  const bool in_group = IsInGroup(SandboxOf(action.container_id));
  if (in_group) {
    const Status raised = co_await ChangeGroup(false);
    if (!raised) co_return Failed(raised.error(), "ResizeError");
  }
  ++updating_;
  const Status updated = co_await services_.runtime.UpdateContainerResources(
      std::move(request), services_.settings.runtime_request_timeout);
  --updating_;
  if (!updated) co_return Failed(updated.error(), "ResizeError");
  // The kernel lets no group have less than one in it, so the last container's change comes first.
  if (in_group && updating_ == 0) {
    const Status settled = co_await ChangeGroup(true);
    if (!settled) co_return Failed(settled.error(), "ResizeError");
  }
  events_.Resized(action.name, action.resources);
  co_return Done();
}

Task<Outcome> PodOperations::RunHook(decide::RunPostStart action) {
  const corev1::Container* spec = decide::FindContainer(pod_, action.name);
  if (!spec) co_return Done();
  ProbeTarget target = TargetOf(services_, pod_, *spec, action.container_id);
  const ProbeResult result =
      co_await services_.prober.RunHook(spec->lifecycle().poststart(), std::move(target), kPostStartLimit);
  if (result.verdict == ProbeVerdict::kSuccess) co_return Done();
  events_.HookFailed(action.name, "FailedPostStartHook", result.output);
  co_return Failed(Error(ErrorKind::kRetry, result.output), "PostStartHookError");
}

Task<Outcome> PodOperations::StopOne(decide::StopContainer action) {
  const Status stopped = co_await stops_.Stop(action);
  co_await Refresh(action.container_id, SandboxOf(action.container_id));
  if (!stopped) co_return Failed(stopped.error(), "FailedKillPod");
  co_return Done();
}

Task<Outcome> PodOperations::Remove(decide::RemoveContainer action) {
  const std::string sandbox_id = SandboxOf(action.container_id);
  std::vector<std::string> files = LogFilesOf(action.container_id);
  const Status removed =
      co_await services_.runtime.RemoveContainer(action.container_id, services_.settings.runtime_request_timeout);
  co_await Refresh(action.container_id, sandbox_id);
  if (!removed) co_return Failed(removed.error(), "FailedKillPod");
  co_await RemoveFiles(std::move(files));
  co_return Done();
}

Task<Outcome> PodOperations::Stop(decide::StopSandbox action) {
  const Status stopped =
      co_await services_.runtime.StopPodSandbox(action.sandbox_id, services_.settings.runtime_request_timeout);
  const Status inspected = co_await services_.view.InspectSandbox(action.sandbox_id);
  if (!inspected) services_.view.Hurry();
  if (!stopped) co_return Failed(stopped.error(), "FailedKillPod");
  co_return Done();
}

Task<Outcome> PodOperations::Remove(decide::RemoveSandbox action) {
  std::vector<std::pair<std::string, std::vector<std::string>>> containers;
  if (const decide::ObservedPod* observed = services_.view.Find(pod_.metadata().uid())) {
    for (const decide::ObservedContainer& container : observed->containers) {
      if (container.sandbox_id != action.sandbox_id) continue;
      containers.emplace_back(container.status.id(), LogFilesOf(container.status.id()));
    }
  }
  const Status removed =
      co_await services_.runtime.RemovePodSandbox(action.sandbox_id, services_.settings.runtime_request_timeout);
  const Status inspected = co_await services_.view.InspectSandbox(action.sandbox_id);
  if (!inspected) services_.view.Hurry();
  if (!removed) co_return Failed(removed.error(), "FailedKillPod");
  for (auto& [id, files] : containers) {
    co_await Refresh(id, action.sandbox_id);
    co_await RemoveFiles(std::move(files));
  }
  co_return Done();
}

Task<Outcome> PodOperations::TearDown() {
  co_await objects_.Close();
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!paths) co_return Failed(paths.error(), "FailedUnmount");
  // Before the volumes: what a killed shim left running in there holds them.
  if (services_.cgroups) {
    const Status gone = co_await services_.cgroups->Remove(pod_.metadata().uid());
    if (!gone) co_return Failed(gone.error(), "FailedKillPod");
  }
  // The pod's directory goes last: it tells a later agent that there is something to take down.
  std::function<Status()> remove_logs = [paths = *paths, directories = services_.directories]() -> Status {
    DAEMONSETD_RETURN_IF_ERROR(RemoveLogLinksTo(directories, paths.log_directory()));
    return RemovePodLogs(paths);
  };
  const Status removed = co_await services_.blocking.Run(std::move(remove_logs));
  if (!removed) co_return Failed(removed.error(), "FailedUnmount");
  const Status unmounted = co_await services_.volumes.TearDown(pod_.metadata().uid());
  if (!unmounted) co_return Failed(unmounted.error(), "FailedUnmount");
  co_return Done();
}

Status PodOperations::LinkLog(const cri::v1::ContainerStatus& container) {
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!paths) return paths.error();
  const auto link = paths->LogLink(container.metadata().name(), container.id());
  if (!link) return link.error();
  const auto target = paths->LogPath(container.metadata().name(), container.metadata().attempt());
  if (!target) return target.error();
  return EnsureLogLink({.link = *link, .target = *target});
}

PodFacts PodOperations::Facts() const {
  PodFacts facts;
  facts.object_uid = identity_.object_uid;
  facts.host_ips = services_.host_ips();
  if (const decide::ObservedPod* observed = services_.view.Find(pod_.metadata().uid())) {
    facts.pod_ips = observed->sandbox_ips();
  }
  for (const auto& [name, quantity] : services_.node().status().allocatable()) {
    facts.node_allocatable[name] = model::Quantity::From(quantity);
  }
  return facts;
}

Task<void> PodOperations::AwaitRuntime() {
  while (!services_.knows_runtime()) co_await services_.timeline.SleepFor(kUntilRuntimeIsKnown);
}

corev1::Pod PodOperations::WithOverhead(const decide::RuntimeClass& runtime_class) const {
  corev1::Pod pod = pod_;
  if (identity_.object_uid.empty()) decide::SetOverhead(*pod.mutable_spec(), runtime_class);
  return pod;
}

bool PodOperations::IsInGroup(const std::string& sandbox_id) const {
  const cri::v1::PodSandboxStatus* sandbox = FindSandbox(sandbox_id);
  if (!sandbox || !services_.cgroups || !services_.cgroups->enabled()) return false;
  return decide::ValueOf(sandbox->annotations(), decide::kCgroupParentAnnotation) == services_.cgroups->ParentOf(pod_);
}

Task<Status> PodOperations::ChangeGroup(bool containers_are_changed) {
  const Result<decide::RuntimeClass> runtime_class = co_await objects_.FindRuntimeClass();
  if (!runtime_class) co_return runtime_class.error();
  corev1::Pod pod = WithOverhead(*runtime_class);
  if (containers_are_changed) co_return co_await services_.cgroups->Settle(std::move(pod));
  co_return co_await services_.cgroups->MakeRoom(std::move(pod));
}

Task<Status> PodOperations::FindUserNamespace() {
  const auto ids =
      co_await UserNamespaceOf(&services_.blocking, services_.directories, pod_, services_.settings.user_namespace_ids);
  if (!ids) co_return ids.error();
  user_namespace_ = *ids;
  co_return Ok();
}

Task<Result<ProcessSpec>> PodOperations::MakeEnvironment(corev1::Container container, bool* unknown) {
  Result<EnvSources> sources = co_await objects_.SourcesOf(container);
  if (!sources) {
    *unknown = IsUnknown(sources.error());
    co_return sources.error().WithContext("container " + container.name());
  }
  Result<ProcessSpec> process = MakeProcess(pod_, container, Facts(), *sources);
  if (process) {
    for (const std::string& skipped : process->skipped) events_.InvalidEnvironment(skipped);
  }
  co_return process;
}

Task<PullOutcome> PodOperations::PullImage(std::string image, std::string policy, std::string container,
                                           cri::v1::PodSandboxConfig sandbox) {
  PullRequest pull;
  pull.find_auths = [this, image] { return objects_.PullCredentials(image); };
  pull.on_pull = [this, container, image] { events_.Pulling(container, image); };
  pull.image = std::move(image);
  pull.policy = std::move(policy);
  pull.priority = decide::PriorityOf(pod_.spec());
  pull.requester = RequesterName(pod_, container);
  pull.sandbox_config = std::move(sandbox);
  const MonoTime since = services_.timeline.mono();
  PullOutcome outcome = co_await services_.images.Ensure(std::move(pull));
  if (outcome.pulled) {
    const MonoTime now = services_.timeline.mono();
    pulled_for_ += now - std::max(since, pulled_until_);
    pulled_until_ = now;
  }
  if (outcome.status) objects_.PullSucceeded();
  co_return outcome;
}

Task<PullOutcome> PodOperations::PullVolumes(corev1::Container container, cri::v1::PodSandboxConfig sandbox) {
  volume_images_.clear();
  for (const corev1::Volume* volume : ImageVolumes(pod_.spec(), container)) {
    const corev1::ImageVolumeSource& source = volume->volumesource().image();
    PullOutcome outcome = co_await PullImage(source.reference(), source.pullpolicy(), container.name(), sandbox);
    if (!outcome.status) {
      outcome.status = outcome.status.error().WithContext("volume " + volume->name());
      co_return outcome;
    }
    cri::v1::ImageSpec& spec = volume_images_[volume->name()];
    spec.set_image(outcome.image_ref);
    spec.set_user_specified_image(source.reference());
    spec.set_runtime_handler(runtime_handler_);
  }
  co_return PullOutcome();
}

cri::SandboxInputs PodOperations::InputsOf(const PodPaths& paths) const {
  cri::SandboxInputs inputs;
  inputs.log_directory = paths.log_directory();
  inputs.dns_config = decide::PodDns(pod_, services_.settings.dns);
  inputs.cluster_domain = services_.settings.cluster_domain;
  inputs.cgroup_parent = services_.settings.cgroup_root;
  inputs.node_memory = services_.settings.node_memory;
  inputs.config_source = "file";
  inputs.features = services_.features();
  inputs.runtime_handler = runtime_handler_;
  inputs.user_namespace = user_namespace_;
  return inputs;
}

// CreateContainer wants the sandbox's configuration again; the runtime reads names and log directory from it.
cri::v1::PodSandboxConfig PodOperations::SandboxConfigOf(const std::string& sandbox_id, const PodPaths& paths) const {
  cri::SandboxInputs inputs = InputsOf(paths);
  if (const cri::v1::PodSandboxStatus* sandbox = FindSandbox(sandbox_id)) {
    inputs.attempt = sandbox->metadata().attempt();
    // One of an agent that knew no groups of pods has none, and so have its containers.
    const std::string parent = decide::ValueOf(sandbox->annotations(), decide::kCgroupParentAnnotation);
    if (!parent.empty()) inputs.cgroup_parent = parent;
  }
  cri::v1::PodSandboxConfig config = cri::ToSandboxConfig(pod_, inputs);
  WriteIdentity(identity_, config);
  return config;
}

const cri::v1::PodSandboxStatus* PodOperations::FindSandbox(const std::string& sandbox_id) const {
  const decide::ObservedPod* observed = services_.view.Find(pod_.metadata().uid());
  if (!observed) return nullptr;
  const auto found = std::find_if(observed->sandboxes.begin(), observed->sandboxes.end(),
                                  [&](const auto& sandbox) { return sandbox.id() == sandbox_id; });
  return found == observed->sandboxes.end() ? nullptr : &*found;
}

std::string PodOperations::SandboxOf(const std::string& container_id) const {
  if (const decide::ObservedPod* observed = services_.view.Find(pod_.metadata().uid())) {
    for (const decide::ObservedContainer& container : observed->containers) {
      if (container.status.id() == container_id) return container.sandbox_id;
    }
  }
  return {};
}

std::vector<std::string> PodOperations::LogFilesOf(const std::string& container_id) const {
  std::vector<std::string> files;
  const decide::ObservedPod* observed = services_.view.Find(pod_.metadata().uid());
  const auto paths = PodPaths::For(services_.directories, pod_);
  if (!observed || !paths) return files;
  for (const decide::ObservedContainer& container : observed->containers) {
    if (container.status.id() != container_id) continue;
    const std::string& name = container.status.metadata().name();
    if (const auto link = paths->LogLink(name, container_id)) files.push_back(*link);
    if (const auto log = paths->LogPath(name, container.status.metadata().attempt())) files.push_back(*log);
  }
  return files;
}

Task<void> PodOperations::RemoveFiles(std::vector<std::string> files) {
  std::function<Status()> remove = [files = std::move(files)]() -> Status {
    for (const std::string& file : files) DAEMONSETD_RETURN_IF_ERROR(RemoveLogFilesOf(file));
    return Ok();
  };
  if (const Status removed = co_await services_.blocking.Run(std::move(remove)); !removed) {
    log::Warning("log files of a removed container stay", {{"err", removed.error().message()}});
  }
}

Task<void> PodOperations::Refresh(std::string container_id, std::string sandbox_id) {
  const Status inspected = co_await services_.view.InspectContainer(std::move(container_id), std::move(sandbox_id));
  if (!inspected) services_.view.Hurry();
}

}  // namespace daemonsetd::pods

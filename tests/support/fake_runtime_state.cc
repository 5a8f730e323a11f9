// What happens to sandboxes and containers.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/support/fake_runtime_internal.h"

namespace daemonsetd::testing {
namespace {

constexpr int kKilled = 137;

std::string LogPath(const v1::PodSandboxConfig& sandbox, const v1::ContainerConfig& container) {
  if (sandbox.log_directory().empty() || container.log_path().empty()) return "";
  return sandbox.log_directory() + "/" + container.log_path();
}

}  // namespace

std::string FakeRuntime::NewId(char kind) {
  char text[16];
  std::snprintf(text, sizeof(text), "%06x", next_id_++);
  return text + std::string(58, kind);
}

std::int64_t FakeRuntime::WallNanoseconds() const { return timeline_.Read().wall.time_since_epoch().count(); }

FakeRuntime::Sandbox* FakeRuntime::FindSandbox(const std::string& id) {
  for (auto& sandbox : sandboxes_) {
    if (sandbox->status.id() == id) return sandbox.get();
  }
  return nullptr;
}

FakeRuntime::Container* FakeRuntime::Find(const std::string& id) {
  for (auto& container : containers_) {
    if (container->status.id() == id) return container.get();
  }
  return nullptr;
}

daemonsetd::Status FakeRuntime::AddSandbox(const std::string& id, const v1::RunPodSandboxRequest& request) {
  auto sandbox = std::make_unique<Sandbox>();
  sandbox->config = request.config();
  sandbox->runtime_handler = request.runtime_handler();
  v1::PodSandboxStatus& status = sandbox->status;
  status.set_id(id);
  *status.mutable_metadata() = request.config().metadata();
  status.set_state(v1::SANDBOX_READY);
  status.set_created_at(WallNanoseconds());
  *status.mutable_labels() = request.config().labels();
  *status.mutable_annotations() = request.config().annotations();
  status.set_runtime_handler(request.runtime_handler());
  const auto& namespaces = request.config().linux().security_context().namespace_options();
  *status.mutable_linux()->mutable_namespaces()->mutable_options() = namespaces;
  status.mutable_network();
  if (namespaces.network() != v1::NODE) {
    if (!network_ready_) {
      return CriError(ErrorKind::kRetry, "RunPodSandbox",
                      "failed to setup network for sandbox: cni plugin not initialized");
    }
    status.mutable_network()->set_ip("10.88.0." + std::to_string(next_id_ % 250 + 2));
  }
  for (auto& [name, holder] : reserved_names_) {
    if (holder == id) sandbox->name = name;
  }
  sandboxes_.push_back(std::move(sandbox));
  NoteLive();
  Emit(id, v1::CONTAINER_CREATED_EVENT);
  Emit(id, v1::CONTAINER_STARTED_EVENT);
  return Ok();
}

void FakeRuntime::StopSandbox(Sandbox& sandbox) {
  for (auto& container : containers_) {
    if (container->sandbox_id == sandbox.status.id()) Exit(*container, kKilled, "");
  }
  if (sandbox.status.state() == v1::SANDBOX_NOTREADY) return;
  sandbox.status.set_state(v1::SANDBOX_NOTREADY);
  Emit(sandbox.status.id(), v1::CONTAINER_STOPPED_EVENT);
}

void FakeRuntime::EraseSandbox(const std::string& id) {
  Sandbox* sandbox = FindSandbox(id);
  if (!sandbox) return;
  StopSandbox(*sandbox);
  std::vector<std::string> members;
  for (const auto& container : containers_) {
    if (container->sandbox_id == id) members.push_back(container->status.id());
  }
  for (const std::string& member : members) EraseContainer(member);
  Emit(id, v1::CONTAINER_DELETED_EVENT);
  reserved_names_.erase(sandbox->name);
  std::erase_if(sandboxes_, [&](const auto& each) { return each.get() == sandbox; });
}

daemonsetd::Status FakeRuntime::AddContainer(const std::string& id, const v1::CreateContainerRequest& request) {
  const Sandbox* sandbox = FindSandbox(request.pod_sandbox_id());
  if (!sandbox) {
    return CriError(ErrorKind::kAbsent, "CreateContainer",
                    "failed to find sandbox id \"" + request.pod_sandbox_id() + "\"");
  }
  if (sandbox->status.state() != v1::SANDBOX_READY) {
    return CriError(ErrorKind::kAbsent, "CreateContainer",
                    "failed to get sandbox container task: no running task found");
  }
  const std::string& image_name = request.config().image().image();
  auto image = std::find_if(images_.begin(), images_.end(), [&](const auto& entry) {
    return entry.first == image_name || entry.second.id() == image_name;
  });
  if (image == images_.end()) {
    return CriError(ErrorKind::kAbsent, "CreateContainer", "failed to resolve image \"" + image_name + "\": not found");
  }
  auto container = std::make_unique<Container>();
  container->sandbox_id = sandbox->status.id();
  container->pod_uid = sandbox->config.metadata().uid();
  auto behaviour = behaviours_.find(request.config().metadata().name());
  if (behaviour == behaviours_.end()) behaviour = behaviours_.find("");
  if (behaviour != behaviours_.end()) container->behaviour = behaviour->second;
  v1::ContainerStatus& status = container->status;
  status.set_id(id);
  *status.mutable_metadata() = request.config().metadata();
  status.set_state(v1::CONTAINER_CREATED);
  status.set_created_at(WallNanoseconds());
  *status.mutable_image() = request.config().image();
  status.set_image_ref(image->second.id());
  status.set_image_id(image->second.id());
  *status.mutable_labels() = request.config().labels();
  *status.mutable_annotations() = request.config().annotations();
  *status.mutable_mounts() = request.config().mounts();
  *status.mutable_resources()->mutable_linux() = request.config().linux().resources();
  status.set_log_path(LogPath(sandbox->config, request.config()));
  for (auto& [name, holder] : reserved_names_) {
    if (holder == id) container->name = name;
  }
  containers_.push_back(std::move(container));
  Emit(id, v1::CONTAINER_CREATED_EVENT);
  return Ok();
}

daemonsetd::Status FakeRuntime::Start(const std::string& id) {
  Container* container = Find(id);
  if (!container) return CriError(ErrorKind::kAbsent, "StartContainer", "an error occurred when try to find container");
  if (container->status.state() != v1::CONTAINER_CREATED) {
    return CriError(ErrorKind::kRetry, "StartContainer",
                    "container is in " + v1::ContainerState_Name(container->status.state()) + " state");
  }
  const Behaviour& behaviour = container->behaviour;
  container->status.set_started_at(WallNanoseconds());
  if (!behaviour.start_error.empty()) {
    container->status.set_state(v1::CONTAINER_EXITED);
    container->status.set_finished_at(WallNanoseconds());
    container->status.set_exit_code(128);
    container->status.set_reason("StartError");
    container->status.set_message(behaviour.start_error);
    return CriError(ErrorKind::kRetry, "StartContainer", behaviour.start_error);
  }
  container->status.set_state(v1::CONTAINER_RUNNING);
  NoteLive();
  if (writes_logs_) WriteLog(*container);
  Emit(id, v1::CONTAINER_STARTED_EVENT);
  if (behaviour.exits_after) {
    container->own_exit = timeline_.SetAlarm(executor_, timeline_.mono() + *behaviour.exits_after, [this, container] {
      Exit(*container, container->behaviour.exit_code, container->behaviour.oom_killed ? "OOMKilled" : "");
    });
  }
  return Ok();
}

void FakeRuntime::Terminate(Container& container, Seconds grace, Done done) {
  const auto state = container.status.state();
  if (state != v1::CONTAINER_RUNNING && state != v1::CONTAINER_UNKNOWN) {
    done(Ok());
    return;
  }
  container.stoppers.push_back(std::move(done));
  if (grace <= Seconds::zero()) {
    Exit(container, kKilled, "");
    return;
  }
  const MonoTime now = timeline_.mono();
  if (!container.behaviour.ignores_term && !container.term) {
    container.term = timeline_.SetAlarm(executor_, now + container.behaviour.stops_after, [this, &container] {
      Exit(container, container.behaviour.exit_code_on_term, "");
    });
  }
  container.kill = timeline_.SetAlarm(executor_, now + grace, [this, &container] { Exit(container, kKilled, ""); });
}

void FakeRuntime::Exit(Container& container, int exit_code, const std::string& reason) {
  const auto state = container.status.state();
  if (state != v1::CONTAINER_RUNNING && state != v1::CONTAINER_UNKNOWN) return;
  container.status.set_state(v1::CONTAINER_EXITED);
  container.status.set_exit_code(exit_code);
  container.status.set_finished_at(WallNanoseconds());
  container.status.set_reason(!reason.empty() ? reason : exit_code == 0 ? "Completed" : "Error");
  container.own_exit.reset();
  container.term.reset();
  container.kill.reset();
  Emit(container.status.id(), v1::CONTAINER_STOPPED_EVENT);
  for (Done& done : std::exchange(container.stoppers, {})) done(Ok());
}

void FakeRuntime::EraseContainer(const std::string& id) {
  Container* container = Find(id);
  if (!container) return;
  Exit(*container, kKilled, "");
  Emit(id, v1::CONTAINER_DELETED_EVENT);
  reserved_names_.erase(container->name);
  std::erase_if(containers_, [&](const auto& each) { return each.get() == container; });
}

std::ofstream FakeRuntime::OpenLog(const Container& container) {
  const std::filesystem::path path(container.status.log_path());
  std::filesystem::create_directories(path.parent_path());
  return std::ofstream(path, std::ios::app);
}

void FakeRuntime::WriteLog(const Container& container) const {
  if (container.status.log_path().empty()) return;
  std::ofstream log = OpenLog(container);
  std::string stamp = FormatRfc3339(timeline_.Read().wall);
  stamp.insert(stamp.size() - 1, ".000000001");
  for (const std::string& line : container.behaviour.output) log << stamp << " stdout F " << line << "\n";
}

void FakeRuntime::Emit(const std::string& id, v1::ContainerEventType type) {
  if (events_to_lose_ > 0) {
    --events_to_lose_;
    return;
  }
  v1::ContainerEventResponse event;
  event.set_container_id(id);
  event.set_container_event_type(type);
  event.set_created_at(WallNanoseconds());
  const Container* container = Find(id);
  const std::string sandbox_id = container ? container->sandbox_id : id;
  if (const Sandbox* sandbox = FindSandbox(sandbox_id)) {
    *event.mutable_pod_sandbox_status() = sandbox->status;
    for (const auto& member : containers_) {
      if (member->sandbox_id == sandbox_id) *event.add_containers_statuses() = member->status;
    }
  }
  for (EventStream* stream : streams_) {
    stream->queue.push_back(event);
    stream->wake.Notify();
  }
}

bool FakeRuntime::Matches(const Sandbox& sandbox, const v1::PodSandboxFilter& filter) const {
  if (!filter.id().empty() && sandbox.status.id().rfind(filter.id(), 0) != 0) return false;
  if (filter.has_state() && filter.state().state() != sandbox.status.state()) return false;
  return HasLabels(filter, sandbox.status.labels());
}

bool FakeRuntime::Matches(const Container& container, const v1::ContainerFilter& filter) const {
  if (!filter.id().empty() && container.status.id().rfind(filter.id(), 0) != 0) return false;
  if (filter.has_state() && filter.state().state() != container.status.state()) return false;
  if (!filter.pod_sandbox_id().empty() && container.sandbox_id.rfind(filter.pod_sandbox_id(), 0) != 0) return false;
  return HasLabels(filter, container.status.labels());
}

}  // namespace daemonsetd::testing

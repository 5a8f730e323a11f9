// The script, the faults, and what a test looks at.
#include "tests/support/fake_runtime.h"

#include <algorithm>

#include "tests/support/fake_runtime_internal.h"

namespace daemonsetd::testing {

FakeRuntime::FakeRuntime(async::Executor executor, async::Timeline& timeline)
    : executor_(std::move(executor)), timeline_(timeline) {}

FakeRuntime::~FakeRuntime() = default;

Error CriError(ErrorKind kind, const std::string& method, const std::string& text) {
  return Error(kind, "CRI " + method + ": " + text);
}

void FakeRuntime::SetBehaviour(const std::string& container_name, Behaviour behaviour) {
  behaviours_[container_name] = std::move(behaviour);
}

void FakeRuntime::AddImage(const std::string& name, std::uint64_t bytes) {
  v1::Image image;
  image.set_id("sha256:" + NewId('d'));
  image.add_repo_tags(name);
  image.add_repo_digests(name.substr(0, name.rfind(':')) + "@" + image.id());
  image.set_size(bytes);
  images_[name] = std::move(image);
}

void FakeRuntime::SetPull(const std::string& name, PullAnswer answer) { pulls_[name] = std::move(answer); }

void FakeRuntime::Inject(const std::string& method, Fault fault, int times) {
  faults_.push_back(Injected{.method = method, .fault = std::move(fault), .times = times});
}

Fault FakeRuntime::TakeFault(const std::string& method, const std::string& subject) {
  for (auto it = faults_.begin(); it != faults_.end(); ++it) {
    if (it->method != "*" && it->method != method) continue;
    if (!it->fault.subject.empty() && it->fault.subject != subject) continue;
    Fault fault = it->fault;
    if (--it->times == 0) faults_.erase(it);
    return fault;
  }
  return Fault{};
}

void FakeRuntime::EndEventStreams() {
  for (EventStream* stream : streams_) {
    stream->broken = true;
    stream->wake.Notify();
  }
}

void FakeRuntime::SetDown(bool down) {
  down_ = down;
  if (!down) return;
  EndEventStreams();
  FailOperations(Error(ErrorKind::kRetry, "CRI: the runtime went away"));
}

void FakeRuntime::Restart() {
  EndEventStreams();
  FailOperations(Error(ErrorKind::kRetry, "CRI: the runtime restarted"));
}

void FakeRuntime::Boot() {
  EndEventStreams();
  FailOperations(Error(ErrorKind::kRetry, "CRI: the machine rebooted"));
  for (auto& container : containers_) {
    container->own_exit.reset();
    container->term.reset();
    container->kill.reset();
    container->stoppers.clear();
    if (container->status.state() == v1::CONTAINER_CREATED || container->status.state() == v1::CONTAINER_EXITED) {
      continue;
    }
    container->status.set_state(v1::CONTAINER_EXITED);
    container->status.set_exit_code(255);
    container->status.set_reason("Unknown");
    container->status.set_finished_at(WallNanoseconds());
  }
  for (auto& sandbox : sandboxes_) sandbox->status.set_state(v1::SANDBOX_NOTREADY);
}

void FakeRuntime::ExitContainer(const std::string& container_id, int exit_code) {
  Container* container = Find(container_id);
  if (container) Exit(*container, exit_code, "");
}

void FakeRuntime::KillSandbox(const std::string& sandbox_id) {
  Sandbox* sandbox = FindSandbox(sandbox_id);
  if (sandbox) StopSandbox(*sandbox);
}

void FakeRuntime::SetContainerState(const std::string& container_id, v1::ContainerState state) {
  Container* container = Find(container_id);
  if (container) container->status.set_state(state);
}

int FakeRuntime::Count(const std::string& method) const {
  return static_cast<int>(
      std::count_if(calls_.begin(), calls_.end(), [&](const CallRecord& call) { return call.method == method; }));
}

std::vector<v1::PodSandboxStatus> FakeRuntime::Sandboxes() const {
  std::vector<v1::PodSandboxStatus> all;
  for (const auto& sandbox : sandboxes_) all.push_back(sandbox->status);
  return all;
}

std::vector<v1::ContainerStatus> FakeRuntime::Containers() const {
  std::vector<v1::ContainerStatus> all;
  for (const auto& container : containers_) all.push_back(container->status);
  return all;
}

std::string FakeRuntime::ContainerId(const std::string& pod_uid, const std::string& container_name) const {
  std::string newest;
  for (const auto& container : containers_) {
    if (container->pod_uid == pod_uid && container->status.metadata().name() == container_name) {
      newest = container->status.id();
    }
  }
  return newest;
}

const v1::ContainerStatus* FakeRuntime::FindContainer(const std::string& container_id) const {
  for (const auto& container : containers_) {
    if (container->status.id() == container_id) return &container->status;
  }
  return nullptr;
}

int FakeRuntime::LiveSandboxes(const std::string& pod_uid) const {
  return static_cast<int>(std::count_if(sandboxes_.begin(), sandboxes_.end(), [&](const auto& sandbox) {
    return sandbox->config.metadata().uid() == pod_uid && sandbox->status.state() == v1::SANDBOX_READY;
  }));
}

int FakeRuntime::MostLiveSandboxes(const std::string& pod_uid) const {
  auto found = most_live_.find(pod_uid);
  return found == most_live_.end() ? 0 : found->second;
}

int FakeRuntime::MostRunning(const std::string& pod_uid, const std::string& container_name) const {
  auto found = most_running_.find({pod_uid, container_name});
  return found == most_running_.end() ? 0 : found->second;
}

void FakeRuntime::NoteLive() {
  std::map<std::string, int> live;
  std::map<std::pair<std::string, std::string>, int> running;
  for (const auto& sandbox : sandboxes_) {
    if (sandbox->status.state() == v1::SANDBOX_READY) ++live[sandbox->config.metadata().uid()];
  }
  for (const auto& container : containers_) {
    // An UNKNOWN container may still run, so it counts.
    if (container->status.state() == v1::CONTAINER_RUNNING || container->status.state() == v1::CONTAINER_UNKNOWN) {
      ++running[{container->pod_uid, container->status.metadata().name()}];
    }
  }
  for (const auto& [key, count] : live) most_live_[key] = std::max(most_live_[key], count);
  for (const auto& [key, count] : running) most_running_[key] = std::max(most_running_[key], count);
}

}  // namespace daemonsetd::testing

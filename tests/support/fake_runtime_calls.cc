// The CRI calls.
#include <algorithm>
#include <utility>

#include "tests/support/fake_runtime_internal.h"

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::testing {
namespace {

template <class Request>
std::shared_ptr<const Request> Keep(Request request) {
  return std::make_shared<const Request>(std::move(request));
}

// A name that a Run or Create call under way or an object holds.
Error Reserved(const std::string& method, const std::string& name, const std::string& holder) {
  return CriError(ErrorKind::kExists, method,
                  "failed to reserve name \"" + name + "\": name \"" + name + "\" is reserved for \"" + holder + "\"");
}

// A container that works a tenth of the time, holds 4 MiB and has written 16 KiB.
void FillStats(const v1::ContainerStatus& status, std::int64_t now, v1::ContainerStats& stats) {
  auto* attributes = stats.mutable_attributes();
  attributes->set_id(status.id());
  *attributes->mutable_metadata() = status.metadata();
  *attributes->mutable_labels() = status.labels();
  stats.mutable_cpu()->set_timestamp(now);
  const auto runs_for = static_cast<std::uint64_t>(std::max<std::int64_t>(now - status.started_at(), 0));
  stats.mutable_cpu()->mutable_usage_core_nano_seconds()->set_value(runs_for / 10);
  stats.mutable_memory()->set_timestamp(now);
  stats.mutable_memory()->mutable_working_set_bytes()->set_value(4 << 20);
  stats.mutable_writable_layer()->set_timestamp(now);
  stats.mutable_writable_layer()->mutable_used_bytes()->set_value(16 << 10);
  stats.mutable_writable_layer()->mutable_inodes_used()->set_value(4);
}

std::string SandboxName(const v1::PodSandboxMetadata& metadata) {
  return metadata.name() + "_" + metadata.namespace_() + "_" + metadata.uid() + "_" +
         std::to_string(metadata.attempt());
}

}  // namespace

Task<daemonsetd::Status> FakeRuntime::Perform(std::string method, std::string subject,
                                              std::shared_ptr<const google::protobuf::Message> request,
                                              Nanoseconds timeout, Effect effect, std::function<void()> prepare) {
  auto operation = Begin(method, subject, std::move(request));
  if (down_) co_return CriError(ErrorKind::kRetry, method, "connection refused");
  const Fault& fault = operation->fault;
  if (fault.error && !fault.after_effect) {
    operation->effect = [error = *fault.error](const Done& done) { done(error); };
  } else {
    if (prepare) prepare();
    operation->effect = std::move(effect);
  }
  operations_.push_back(operation);
  if (!fault.hang) {
    operation->alarm = timeline_.SetAlarm(executor_, timeline_.mono() + fault.delay, [this, raw = operation.get()] {
      raw->effect([this, raw](daemonsetd::Status status) { End(*raw, std::move(status)); });
    });
  }
  const MonoTime deadline = timeline_.mono() + std::max<Nanoseconds>(timeout, Milliseconds(1));
  try {
    while (!operation->done) {
      if (!co_await operation->wake.WaitUntil(timeline_, deadline) && !operation->done) {
        co_return CriError(ErrorKind::kTimeout, method, "Deadline Exceeded");
      }
    }
  } catch (const boost::system::system_error& error) {
    if (error.code() != boost::asio::error::operation_aborted) throw;
    co_return CriError(ErrorKind::kCancelled, method, "CANCELLED");
  }
  co_return operation->result;
}

std::shared_ptr<FakeRuntime::Operation> FakeRuntime::Begin(const std::string& method, const std::string& subject,
                                                           std::shared_ptr<const google::protobuf::Message> request) {
  calls_.push_back(
      CallRecord{.method = method, .subject = subject, .at = timeline_.mono(), .request = std::move(request)});
  auto operation = std::make_shared<Operation>(executor_);
  operation->method = method;
  operation->fault = TakeFault(method, subject);
  return operation;
}

void FakeRuntime::End(Operation& operation, daemonsetd::Status status) {
  if (status && operation.fault.error) status = *operation.fault.error;
  operation.done = true;
  operation.result = std::move(status);
  operation.wake.Notify();
  std::erase_if(operations_, [&](const auto& each) { return each.get() == &operation; });
}

void FakeRuntime::FailOperations(const Error& error) {
  for (auto& operation : std::exchange(operations_, {})) {
    operation->alarm.reset();
    operation->done = true;
    operation->result = error;
    operation->wake.Notify();
  }
  for (auto& container : containers_) container->stoppers.clear();
  // A call that failed holds no name.
  std::erase_if(reserved_names_, [&](const auto& entry) { return !FindSandbox(entry.second) && !Find(entry.second); });
}

void FakeRuntime::ReleaseHung(const std::string& method) {
  auto hung = operations_;
  for (auto& operation : hung) {
    if (!operation->fault.hang || (!method.empty() && operation->method != method)) continue;
    Operation* raw = operation.get();
    raw->effect([this, raw](daemonsetd::Status status) { End(*raw, std::move(status)); });
  }
}

Task<Result<v1::VersionResponse>> FakeRuntime::Version(Nanoseconds timeout) {
  const auto status = co_await Perform("Version", "", nullptr, timeout, [](const Done& done) { done(Ok()); });
  if (!status) co_return status.error();
  v1::VersionResponse response;
  response.set_version("0.1.0");
  response.set_runtime_name("fake");
  response.set_runtime_version("1.0.0");
  response.set_runtime_api_version("v1");
  co_return response;
}

Task<Result<v1::StatusResponse>> FakeRuntime::Status(bool, Nanoseconds timeout) {
  const auto status = co_await Perform("Status", "", nullptr, timeout, [](const Done& done) { done(Ok()); });
  if (!status) co_return status.error();
  v1::StatusResponse response;
  auto* runtime = response.mutable_status()->add_conditions();
  runtime->set_type("RuntimeReady");
  runtime->set_status(runtime_ready_);
  auto* network = response.mutable_status()->add_conditions();
  network->set_type("NetworkReady");
  network->set_status(network_ready_);
  co_return response;
}

Task<Result<v1::RuntimeConfigResponse>> FakeRuntime::RuntimeConfig(Nanoseconds timeout) {
  const auto status = co_await Perform("RuntimeConfig", "", nullptr, timeout, [](const Done& done) { done(Ok()); });
  if (!status) co_return status.error();
  if (!cgroup_driver_) co_return CriError(ErrorKind::kUnsupported, "RuntimeConfig", "unknown method RuntimeConfig");
  v1::RuntimeConfigResponse response;
  response.mutable_linux()->set_cgroup_driver(*cgroup_driver_);
  co_return response;
}

Task<Result<std::string>> FakeRuntime::RunPodSandbox(v1::RunPodSandboxRequest request, Nanoseconds timeout) {
  const auto kept = Keep(std::move(request));
  const std::string id = NewId('a');
  const std::string name = SandboxName(kept->config().metadata());
  auto reserved = std::make_shared<std::optional<Error>>();
  std::function<void()> reserve = [this, reserved, id, name] {
    auto [holder, inserted] = reserved_names_.emplace(name, id);
    if (!inserted) *reserved = Reserved("RunPodSandbox", name, holder->second);
  };
  Effect run = [this, reserved, kept, id, name](const Done& done) {
    if (*reserved) return done(**reserved);
    daemonsetd::Status added = AddSandbox(id, *kept);
    if (!added) reserved_names_.erase(name);
    done(std::move(added));
  };
  const auto status = co_await Perform("RunPodSandbox", kept->config().metadata().name(), kept, timeout, std::move(run),
                                       std::move(reserve));
  if (!status) co_return status.error();
  co_return id;
}

Task<daemonsetd::Status> FakeRuntime::StopPodSandbox(std::string sandbox_id, Nanoseconds timeout) {
  return Perform("StopPodSandbox", sandbox_id, nullptr, timeout, [this, sandbox_id](const Done& done) {
    if (Sandbox* sandbox = FindSandbox(sandbox_id)) StopSandbox(*sandbox);
    done(Ok());
  });
}

Task<daemonsetd::Status> FakeRuntime::RemovePodSandbox(std::string sandbox_id, Nanoseconds timeout) {
  return Perform("RemovePodSandbox", sandbox_id, nullptr, timeout, [this, sandbox_id](const Done& done) {
    EraseSandbox(sandbox_id);
    done(Ok());
  });
}

Task<Result<v1::PodSandboxStatusResponse>> FakeRuntime::PodSandboxStatus(std::string sandbox_id, bool,
                                                                         Nanoseconds timeout) {
  auto response = std::make_shared<v1::PodSandboxStatusResponse>();
  Effect look = [this, response, sandbox_id](const Done& done) {
    const Sandbox* sandbox = FindSandbox(sandbox_id);
    if (!sandbox) {
      return done(
          CriError(ErrorKind::kAbsent, "PodSandboxStatus", "an error occurred when try to find sandbox: not found"));
    }
    *response->mutable_status() = sandbox->status;
    done(Ok());
  };
  const auto status = co_await Perform("PodSandboxStatus", sandbox_id, nullptr, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<Result<v1::ListPodSandboxResponse>> FakeRuntime::ListPodSandbox(v1::PodSandboxFilter filter, Nanoseconds timeout) {
  const auto kept = Keep(std::move(filter));
  auto response = std::make_shared<v1::ListPodSandboxResponse>();
  Effect look = [this, kept, response](const Done& done) {
    for (const auto& sandbox : sandboxes_) {
      if (!Matches(*sandbox, *kept)) continue;
      v1::PodSandbox* item = response->add_items();
      item->set_id(sandbox->status.id());
      *item->mutable_metadata() = sandbox->status.metadata();
      item->set_state(sandbox->status.state());
      item->set_created_at(sandbox->status.created_at());
      *item->mutable_labels() = sandbox->status.labels();
      *item->mutable_annotations() = sandbox->status.annotations();
      item->set_runtime_handler(sandbox->runtime_handler);
    }
    done(Ok());
  };
  const auto status = co_await Perform("ListPodSandbox", kept->id(), kept, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<Result<std::string>> FakeRuntime::CreateContainer(v1::CreateContainerRequest request, Nanoseconds timeout) {
  const auto kept = Keep(std::move(request));
  const std::string id = NewId('c');
  const auto& metadata = kept->config().metadata();
  const std::string name =
      metadata.name() + "_" + SandboxName(kept->sandbox_config().metadata()) + "_" + std::to_string(metadata.attempt());
  auto reserved = std::make_shared<std::optional<Error>>();
  std::function<void()> reserve = [this, reserved, id, name] {
    auto [holder, inserted] = reserved_names_.emplace(name, id);
    if (!inserted) *reserved = Reserved("CreateContainer", name, holder->second);
  };
  Effect create = [this, reserved, kept, id, name](const Done& done) {
    if (*reserved) return done(**reserved);
    daemonsetd::Status added = AddContainer(id, *kept);
    if (!added) reserved_names_.erase(name);
    done(std::move(added));
  };
  const auto status =
      co_await Perform("CreateContainer", metadata.name(), kept, timeout, std::move(create), std::move(reserve));
  if (!status) co_return status.error();
  co_return id;
}

Task<daemonsetd::Status> FakeRuntime::StartContainer(std::string container_id, Nanoseconds timeout) {
  return Perform("StartContainer", container_id, nullptr, timeout,
                 [this, container_id](const Done& done) { done(Start(container_id)); });
}

Task<daemonsetd::Status> FakeRuntime::StopContainer(std::string container_id, Seconds grace, Nanoseconds timeout) {
  v1::StopContainerRequest request;
  request.set_container_id(container_id);
  request.set_timeout(grace.count());
  return Perform("StopContainer", container_id, Keep(std::move(request)), timeout,
                 [this, container_id, grace](Done done) {
                   Container* container = Find(container_id);
                   if (!container) return done(Ok());
                   Terminate(*container, grace, std::move(done));
                 });
}

Task<daemonsetd::Status> FakeRuntime::RemoveContainer(std::string container_id, Nanoseconds timeout) {
  return Perform("RemoveContainer", container_id, nullptr, timeout, [this, container_id](const Done& done) {
    EraseContainer(container_id);
    done(Ok());
  });
}

Task<Result<v1::ListContainersResponse>> FakeRuntime::ListContainers(v1::ContainerFilter filter, Nanoseconds timeout) {
  const auto kept = Keep(std::move(filter));
  auto response = std::make_shared<v1::ListContainersResponse>();
  Effect look = [this, kept, response](const Done& done) {
    for (const auto& container : containers_) {
      if (!Matches(*container, *kept)) continue;
      v1::Container* item = response->add_containers();
      item->set_id(container->status.id());
      item->set_pod_sandbox_id(container->sandbox_id);
      *item->mutable_metadata() = container->status.metadata();
      *item->mutable_image() = container->status.image();
      item->set_image_ref(container->status.image_ref());
      item->set_state(container->status.state());
      item->set_created_at(container->status.created_at());
      *item->mutable_labels() = container->status.labels();
      *item->mutable_annotations() = container->status.annotations();
    }
    done(Ok());
  };
  const auto status = co_await Perform("ListContainers", kept->id(), kept, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<Result<v1::ContainerStatusResponse>> FakeRuntime::ContainerStatus(std::string container_id, bool,
                                                                       Nanoseconds timeout) {
  auto response = std::make_shared<v1::ContainerStatusResponse>();
  Effect look = [this, container_id, response](const Done& done) {
    const Container* container = Find(container_id);
    if (!container) {
      return done(
          CriError(ErrorKind::kAbsent, "ContainerStatus", "an error occurred when try to find container: not found"));
    }
    *response->mutable_status() = container->status;
    done(Ok());
  };
  const auto status = co_await Perform("ContainerStatus", container_id, nullptr, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<daemonsetd::Status> FakeRuntime::UpdateContainerResources(v1::UpdateContainerResourcesRequest request,
                                                               Nanoseconds timeout) {
  const auto kept = Keep(std::move(request));
  return Perform("UpdateContainerResources", kept->container_id(), kept, timeout, [this, kept](const Done& done) {
    Container* container = Find(kept->container_id());
    if (!container) {
      return done(CriError(ErrorKind::kAbsent, "UpdateContainerResources", "failed to find container: not found"));
    }
    *container->status.mutable_resources()->mutable_linux() = kept->linux();
    done(Ok());
  });
}

Task<daemonsetd::Status> FakeRuntime::ReopenContainerLog(std::string container_id, Nanoseconds timeout) {
  return Perform("ReopenContainerLog", container_id, nullptr, timeout, [this, container_id](const Done& done) {
    const Container* container = Find(container_id);
    if (!container) {
      return done(CriError(ErrorKind::kAbsent, "ReopenContainerLog",
                           "an error occurred when try to find container: not found"));
    }
    if (container->status.state() != v1::CONTAINER_RUNNING) {
      return done(CriError(ErrorKind::kRetry, "ReopenContainerLog", "container is not running"));
    }
    if (writes_logs_) OpenLog(*container);
    done(Ok());
  });
}

Task<Result<v1::ExecSyncResponse>> FakeRuntime::ExecSync(v1::ExecSyncRequest request, Nanoseconds timeout) {
  const auto kept = Keep(std::move(request));
  auto response = std::make_shared<v1::ExecSyncResponse>();
  // The command's own end; held here because it comes later than the effect that starts it.
  auto alarm = std::make_shared<std::unique_ptr<async::Timeline::Alarm>>();
  Effect exec = [this, kept, response, alarm](const Done& done) {
    const Container* container = Find(kept->container_id());
    if (!container) {
      return done(CriError(ErrorKind::kAbsent, "ExecSync", "failed to find container in store: not found"));
    }
    if (container->status.state() != v1::CONTAINER_RUNNING) {
      return done(CriError(ErrorKind::kRetry, "ExecSync",
                           "container is in " + v1::ContainerState_Name(container->status.state()) + " state"));
    }
    ExecAnswer answer;
    if (exec_) answer = exec_(*kept);
    const Nanoseconds limit = kept->timeout() > 0 ? Nanoseconds(Seconds(kept->timeout())) : Nanoseconds::max();
    const bool late = answer.takes > limit;
    *alarm =
        timeline_.SetAlarm(executor_, timeline_.mono() + std::min(answer.takes, limit), [response, answer, late, done] {
          if (late)
            return done(CriError(ErrorKind::kTimeout, "ExecSync", "timeout exceeded: context deadline exceeded"));
          response->set_exit_code(answer.exit_code);
          response->set_stdout(answer.standard_output);
          response->set_stderr(answer.standard_error);
          done(Ok());
        });
  };
  const auto status = co_await Perform("ExecSync", kept->container_id(), kept, timeout, std::move(exec));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<Result<v1::ListContainerStatsResponse>> FakeRuntime::ListContainerStats(v1::ContainerStatsFilter filter,
                                                                             Nanoseconds timeout) {
  const auto kept = Keep(std::move(filter));
  auto response = std::make_shared<v1::ListContainerStatsResponse>();
  Effect look = [this, kept, response](const Done& done) {
    for (const auto& container : containers_) {
      if (container->status.state() != v1::CONTAINER_RUNNING) continue;
      if (!kept->id().empty() && container->status.id() != kept->id()) continue;
      if (!kept->pod_sandbox_id().empty() && container->sandbox_id != kept->pod_sandbox_id()) continue;
      if (!HasLabels(*kept, container->status.labels())) continue;
      FillStats(container->status, WallNanoseconds(), *response->add_stats());
    }
    done(Ok());
  };
  const auto status = co_await Perform("ListContainerStats", kept->id(), kept, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<daemonsetd::Status> FakeRuntime::ContainerEvents(EventHandler on_event) {
  calls_.push_back(CallRecord{.method = "GetContainerEvents", .subject = "", .at = timeline_.mono(), .request = {}});
  if (down_) co_return CriError(ErrorKind::kRetry, "GetContainerEvents", "connection refused");
  if (!events_supported_) {
    co_return CriError(ErrorKind::kUnsupported, "GetContainerEvents", "unknown method GetContainerEvents");
  }
  EventStream stream(executor_);
  // Removed on every way out, also when the coroutine is thrown away.
  const auto place = streams_.insert(streams_.end(), &stream);
  const std::shared_ptr<void> leave(nullptr, [this, place](void*) { streams_.erase(place); });
  try {
    while (!stream.broken) {
      while (!stream.queue.empty()) {
        const v1::ContainerEventResponse event = std::move(stream.queue.front());
        stream.queue.pop_front();
        on_event(event);
      }
      if (!stream.broken) co_await stream.wake.Wait();
    }
  } catch (const boost::system::system_error& error) {
    if (error.code() != boost::asio::error::operation_aborted) throw;
    co_return CriError(ErrorKind::kCancelled, "GetContainerEvents", "CANCELLED");
  }
  co_return CriError(ErrorKind::kRetry, "GetContainerEvents", "the stream was broken");
}

}  // namespace daemonsetd::testing

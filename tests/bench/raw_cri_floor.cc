// The floor that the benchmark measures against: the same pods with nothing but the CRI calls that cannot be left out.
//
//   raw_cri_floor ENDPOINT IMAGE SCRIPT COUNT PARALLEL DIRECTORY
//
// Runs COUNT pods (RunPodSandbox, CreateContainer, StartContainer), at most PARALLEL at a time, on the host's network,
// each with one container that runs SCRIPT in a shell; then stops and removes them (StopContainer with one second of
// grace, StopPodSandbox, RemovePodSandbox) with the same parallelism. The requests ask for what a Kubernetes pod has:
// seccomp for the pause process, masked paths, a hosts file and a termination message file. Files are below DIRECTORY.
// Prints one JSON object with the times in seconds and the runtime's name and version.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "agent/decide/labels.h"
#include "agent/model/defaulting.h"
#include "cri.grpc.pb.h"
#include "cri/convert.h"

namespace {

namespace v1 = ::runtime::v1;
namespace corev1 = daemonsetd::corev1;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kCallTimeout{60};

struct Arguments {
  std::string endpoint;
  std::string image;
  std::string script;
  std::string directory;
  int count = 0;
  int parallel = 0;
};

template <class Request, class Response>
Response Call(v1::RuntimeService::Stub& stub,
              grpc::Status (v1::RuntimeService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) throw std::runtime_error(request.GetTypeName() + ": " + status.error_message());
  return response;
}

// The same for all pods, made before the clock starts.
corev1::Pod MakePod(const Arguments& arguments) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_spec()->set_hostnetwork(true);
  corev1::Container* container = pod.mutable_spec()->add_containers();
  container->set_name("main");
  container->set_image(arguments.image);
  for (const std::string& word : {std::string("sh"), std::string("-c"), arguments.script}) container->add_command(word);
  daemonsetd::model::SetDefaults(pod);
  return pod;
}

std::string MakeFile(const Arguments& arguments, const std::string& name) {
  std::filesystem::create_directories(arguments.directory);
  const std::string path = arguments.directory + "/" + name;
  if (!std::ofstream(path)) throw std::runtime_error("cannot write " + path);
  return path;
}

v1::Mount MountOf(const std::string& host_path, const std::string& container_path) {
  v1::Mount mount;
  mount.set_host_path(host_path);
  mount.set_container_path(container_path);
  return mount;
}

class Pods {
 public:
  Pods(v1::RuntimeService::Stub& stub, const Arguments& arguments)
      : stub_(stub), pod_(MakePod(arguments)), directory_(arguments.directory) {
    const corev1::Container& container = pod_.spec().containers(0);
    inputs_.image_ref = arguments.image;
    inputs_.command.assign(container.command().begin(), container.command().end());
    inputs_.mounts = {MountOf(MakeFile(arguments, "hosts"), "/etc/hosts"),
                      MountOf(MakeFile(arguments, "termination"), "/dev/termination-log")};
    inputs_.log_path = "main.log";
  }

  void Start(int index) {
    corev1::Pod pod = pod_;
    const std::string name = "floor-" + std::to_string(index);
    pod.mutable_metadata()->set_name(name);
    pod.mutable_metadata()->set_uid(name + "-" + std::to_string(getpid()));
    daemonsetd::cri::SandboxInputs sandbox;
    sandbox.log_directory = directory_ + "/" + name;
    v1::RunPodSandboxRequest run;
    *run.mutable_config() = daemonsetd::cri::ToSandboxConfig(pod, sandbox);
    // An agent that runs beside would take them for its own, and remove them.
    run.mutable_config()->mutable_labels()->erase(daemonsetd::decide::kManagedByLabel);
    const std::string sandbox_id = Call(stub_, &v1::RuntimeService::Stub::RunPodSandbox, run).pod_sandbox_id();

    v1::CreateContainerRequest create;
    create.set_pod_sandbox_id(sandbox_id);
    *create.mutable_sandbox_config() = run.config();
    *create.mutable_config() = daemonsetd::cri::ToContainerConfig(pod, pod.spec().containers(0), 0, inputs_);
    create.mutable_config()->mutable_labels()->erase(daemonsetd::decide::kManagedByLabel);
    const std::string container_id = Call(stub_, &v1::RuntimeService::Stub::CreateContainer, create).container_id();

    v1::StartContainerRequest start;
    start.set_container_id(container_id);
    Call(stub_, &v1::RuntimeService::Stub::StartContainer, start);
    const std::lock_guard lock(mutex_);
    made_[index] = {.sandbox = sandbox_id, .container = container_id};
  }

  void Remove(int index) {
    Made made;
    {
      const std::lock_guard lock(mutex_);
      made = made_.at(index);
    }
    v1::StopContainerRequest end;
    end.set_container_id(made.container);
    end.set_timeout(1);
    Call(stub_, &v1::RuntimeService::Stub::StopContainer, end);
    v1::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(made.sandbox);
    Call(stub_, &v1::RuntimeService::Stub::StopPodSandbox, stop);
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(made.sandbox);
    Call(stub_, &v1::RuntimeService::Stub::RemovePodSandbox, remove);
  }

 private:
  struct Made {
    std::string sandbox;
    std::string container;
  };

  v1::RuntimeService::Stub& stub_;
  const corev1::Pod pod_;
  const std::string directory_;
  daemonsetd::cri::ContainerInputs inputs_;
  std::mutex mutex_;
  std::map<int, Made> made_;
};

// Calls `work` for 0 … count-1 from `parallel` threads and answers how long all of it took.
double Timed(int count, int parallel, const std::function<void(int)>& work) {
  std::atomic<int> next = 0;
  std::atomic<bool> failed = false;
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(parallel));
  for (int i = 0; i < parallel; ++i) {
    threads.emplace_back([&] {
      for (int index = next++; index < count; index = next++) {
        try {
          work(index);
        } catch (const std::exception& error) {
          std::cerr << "raw_cri_floor: " << error.what() << "\n";
          failed = true;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  if (failed) throw std::runtime_error("not every call succeeded, so the times mean nothing");
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void Measure(const Arguments& arguments) {
  const auto stub =
      v1::RuntimeService::NewStub(grpc::CreateChannel(arguments.endpoint, grpc::InsecureChannelCredentials()));
  // Asked first, so that the connection is not part of the floor.
  const v1::VersionResponse version = Call(*stub, &v1::RuntimeService::Stub::Version, v1::VersionRequest());
  Pods pods(*stub, arguments);
  const double start = Timed(arguments.count, arguments.parallel, [&](int index) { pods.Start(index); });
  const double remove = Timed(arguments.count, arguments.parallel, [&](int index) { pods.Remove(index); });
  std::cout << "{\"runtime\": \"" << version.runtime_name() << " " << version.runtime_version()
            << "\", \"count\": " << arguments.count << ", \"parallel\": " << arguments.parallel
            << ", \"start_seconds\": " << start << ", \"remove_seconds\": " << remove << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::cerr << "usage: raw_cri_floor ENDPOINT IMAGE SCRIPT COUNT PARALLEL DIRECTORY\n";
    return 64;
  }
  Arguments arguments{argv[1], argv[2], argv[3], argv[6], std::atoi(argv[4]), std::atoi(argv[5])};
  if (arguments.count < 1 || arguments.parallel < 1) {
    std::cerr << "raw_cri_floor: COUNT and PARALLEL must be at least 1\n";
    return 64;
  }
  try {
    Measure(arguments);
  } catch (const std::exception& error) {
    std::cerr << "raw_cri_floor: " << error.what() << "\n";
    return 1;
  }
}

// The floor that the benchmark measures against: the same pods with nothing but the CRI calls that cannot be left out.
//
//   raw_cri_floor ENDPOINT IMAGE COUNT PARALLEL LOG_DIRECTORY
//
// Runs COUNT pods (RunPodSandbox, CreateContainer, StartContainer), at most PARALLEL at a time, on the host's network;
// then stops and removes them with the same parallelism. Prints one JSON object with the times in seconds and
// the runtime's name and version.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cri.grpc.pb.h"

namespace {

namespace v1 = ::runtime::v1;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kCallTimeout{60};

struct Arguments {
  std::string endpoint;
  std::string image;
  std::string log_directory;
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

v1::PodSandboxConfig Sandbox(const Arguments& arguments, int index) {
  const std::string name = "floor-" + std::to_string(index);
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid(name + "-" + std::to_string(getpid()));
  config.set_log_directory(arguments.log_directory + "/" + name);
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(v1::NODE);
  return config;
}

std::string Start(v1::RuntimeService::Stub& stub, const Arguments& arguments, int index) {
  v1::RunPodSandboxRequest run;
  *run.mutable_config() = Sandbox(arguments, index);
  const std::string sandbox = Call(stub, &v1::RuntimeService::Stub::RunPodSandbox, run).pod_sandbox_id();

  v1::CreateContainerRequest create;
  create.set_pod_sandbox_id(sandbox);
  *create.mutable_sandbox_config() = run.config();
  create.mutable_config()->mutable_metadata()->set_name("main");
  create.mutable_config()->mutable_image()->set_image(arguments.image);
  create.mutable_config()->add_command("sleep");
  create.mutable_config()->add_args("1000000");
  create.mutable_config()->set_log_path("main.log");
  const std::string container = Call(stub, &v1::RuntimeService::Stub::CreateContainer, create).container_id();

  v1::StartContainerRequest start;
  start.set_container_id(container);
  Call(stub, &v1::RuntimeService::Stub::StartContainer, start);
  return sandbox;
}

void Remove(v1::RuntimeService::Stub& stub, const std::string& sandbox) {
  v1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(sandbox);
  Call(stub, &v1::RuntimeService::Stub::StopPodSandbox, stop);
  v1::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(sandbox);
  Call(stub, &v1::RuntimeService::Stub::RemovePodSandbox, remove);
}

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
  std::vector<std::string> sandboxes(static_cast<size_t>(arguments.count));
  const auto at = [&](int index) -> std::string& { return sandboxes[static_cast<size_t>(index)]; };
  const double start =
      Timed(arguments.count, arguments.parallel, [&](int index) { at(index) = Start(*stub, arguments, index); });
  const double remove = Timed(arguments.count, arguments.parallel, [&](int index) { Remove(*stub, at(index)); });
  std::cout << "{\"runtime\": \"" << version.runtime_name() << " " << version.runtime_version()
            << "\", \"count\": " << arguments.count << ", \"parallel\": " << arguments.parallel
            << ", \"start_seconds\": " << start << ", \"remove_seconds\": " << remove << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: raw_cri_floor ENDPOINT IMAGE COUNT PARALLEL LOG_DIRECTORY\n";
    return 64;
  }
  Arguments arguments{argv[1], argv[2], argv[5], std::atoi(argv[3]), std::atoi(argv[4])};
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

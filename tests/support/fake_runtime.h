// A container runtime in memory that behaves as containerd does, on a timeline that the test moves: sandboxes and
// containers with states, names that stay reserved, grace periods, events, images; and faults on demand.
// It passes the same contract suite as the real one (tests/contract/).
#pragma once

#include <deque>
#include <fstream>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "cri/runtime.h"

namespace daemonsetd::testing {

namespace v1 = ::runtime::v1;

// How the process of a container behaves.
struct Behaviour {
  std::optional<Nanoseconds> exits_after;  // unset: runs until it is stopped
  int exit_code = 0;
  bool oom_killed = false;
  bool ignores_term = false;                      // only SIGKILL ends it
  Nanoseconds stops_after = Nanoseconds::zero();  // between SIGTERM and its exit
  int exit_code_on_term = 143;
  std::string start_error;          // not empty: StartContainer fails with it
  std::vector<std::string> output;  // lines on standard output, written to the log file at start
};

// What happens to a call instead of, or on top of, its normal course.
struct Fault {
  std::optional<Error> error;               // answered
  bool after_effect = false;                // the error comes although the call took effect
  Nanoseconds delay = Nanoseconds::zero();  // until the effect; names are reserved meanwhile
  bool hang = false;                        // no effect and no answer until ReleaseHung()
  std::string subject;                      // only calls on this ID, container name or image; empty: any

  static Fault Fail(Error error) { return Fault{.error = std::move(error)}; }
  static Fault FailAfterEffect(Error error) { return Fault{.error = std::move(error), .after_effect = true}; }
  static Fault Delay(Nanoseconds delay) { return Fault{.delay = delay}; }
  static Fault Hang() { return Fault{.hang = true}; }
  Fault On(std::string on_subject) && {
    subject = std::move(on_subject);
    return std::move(*this);
  }
};

struct ExecAnswer {
  int exit_code = 0;
  std::string standard_output = {};
  std::string standard_error = {};
  Nanoseconds takes = Nanoseconds::zero();
};

struct PullAnswer {
  std::optional<Error> error = std::nullopt;
  Nanoseconds takes = Nanoseconds::zero();
  bool hangs = false;
};

struct CallRecord {
  std::string method;
  std::string subject;  // sandbox or container ID; for Run and Create the pod's or container's name; the image's name
  MonoTime at;
  std::shared_ptr<const google::protobuf::Message> request;
};

class FakeRuntime final : public cri::Runtime {
 public:
  FakeRuntime(async::Executor executor, async::Timeline& timeline);
  ~FakeRuntime() override;

  // The script.
  // For containers of this name that are created later. "": all others.
  void SetBehaviour(const std::string& container_name, Behaviour behaviour);
  void SetExec(std::function<ExecAnswer(const v1::ExecSyncRequest&)> exec) { exec_ = std::move(exec); }
  void AddImage(const std::string& name, std::uint64_t bytes = 1 << 20);
  // Images that are neither present nor pullable fail as on a registry without them.
  void SetPull(const std::string& name, PullAnswer answer);
  void PinImage(const std::string& name) { images_.at(name).set_pinned(true); }
  void SetImageRoot(std::string path) { image_root_ = std::move(path); }
  void SetEventsSupported(bool supported) { events_supported_ = supported; }
  void SetCgroupDriver(std::optional<v1::CgroupDriver> driver) { cgroup_driver_ = driver; }
  void SetNetworkReady(bool ready) { network_ready_ = ready; }
  void SetRuntimeReady(bool ready) { runtime_ready_ = ready; }
  void SetWritesLogs(bool writes) { writes_logs_ = writes; }

  // Faults. The next `times` calls of `method` ("RunPodSandbox"; "*": any) that match; faults injected first go first.
  void Inject(const std::string& method, Fault fault, int times = 1);
  void ClearFaults() { faults_.clear(); }
  // Lets hung calls take effect, whether or not somebody still waits for them. "": all methods.
  void ReleaseHung(const std::string& method = "");
  void LoseEvents(int count) { events_to_lose_ += count; }
  // Ends the event streams, as a broken connection does.
  void EndEventStreams();
  // While down every call fails with kRetry and streams end.
  void SetDown(bool down);

  // What happens on the machine.
  // Containers go on; calls under way fail with kRetry and event streams end.
  void Restart();
  // Power off and on: every sandbox is NOTREADY, every container that ran is EXITED.
  void Boot();
  void ExitContainer(const std::string& container_id, int exit_code);
  // The sandbox's pause process dies, and with it the containers.
  void KillSandbox(const std::string& sandbox_id);
  void SetContainerState(const std::string& container_id, v1::ContainerState state);

  // What the test looks at.
  const std::vector<CallRecord>& calls() const { return calls_; }
  int Count(const std::string& method) const;
  void ClearCalls() { calls_.clear(); }
  std::vector<v1::PodSandboxStatus> Sandboxes() const;
  std::vector<v1::ContainerStatus> Containers() const;
  // The newest container of this name in any sandbox of the pod; empty when there is none.
  std::string ContainerId(const std::string& pod_uid, const std::string& container_name) const;
  const v1::ContainerStatus* FindContainer(const std::string& container_id) const;
  int LiveSandboxes(const std::string& pod_uid) const;
  // The most that ever were alive at one moment.
  int MostLiveSandboxes(const std::string& pod_uid) const;
  int MostRunning(const std::string& pod_uid, const std::string& container_name) const;
  std::size_t event_streams() const { return streams_.size(); }

  // cri::Runtime
  Task<Result<v1::VersionResponse>> Version(Nanoseconds timeout) override;
  Task<Result<v1::StatusResponse>> Status(bool verbose, Nanoseconds timeout) override;
  Task<Result<v1::RuntimeConfigResponse>> RuntimeConfig(Nanoseconds timeout) override;
  Task<Result<std::string>> RunPodSandbox(v1::RunPodSandboxRequest request, Nanoseconds timeout) override;
  Task<daemonsetd::Status> StopPodSandbox(std::string sandbox_id, Nanoseconds timeout) override;
  Task<daemonsetd::Status> RemovePodSandbox(std::string sandbox_id, Nanoseconds timeout) override;
  Task<Result<v1::PodSandboxStatusResponse>> PodSandboxStatus(std::string sandbox_id, bool verbose,
                                                              Nanoseconds timeout) override;
  Task<Result<v1::ListPodSandboxResponse>> ListPodSandbox(v1::PodSandboxFilter filter, Nanoseconds timeout) override;
  Task<Result<std::string>> CreateContainer(v1::CreateContainerRequest request, Nanoseconds timeout) override;
  Task<daemonsetd::Status> StartContainer(std::string container_id, Nanoseconds timeout) override;
  Task<daemonsetd::Status> StopContainer(std::string container_id, Seconds grace, Nanoseconds timeout) override;
  Task<daemonsetd::Status> RemoveContainer(std::string container_id, Nanoseconds timeout) override;
  Task<Result<v1::ListContainersResponse>> ListContainers(v1::ContainerFilter filter, Nanoseconds timeout) override;
  Task<Result<v1::ContainerStatusResponse>> ContainerStatus(std::string container_id, bool verbose,
                                                            Nanoseconds timeout) override;
  Task<daemonsetd::Status> UpdateContainerResources(v1::UpdateContainerResourcesRequest request,
                                                    Nanoseconds timeout) override;
  Task<daemonsetd::Status> ReopenContainerLog(std::string container_id, Nanoseconds timeout) override;
  Task<Result<v1::ExecSyncResponse>> ExecSync(v1::ExecSyncRequest request, Nanoseconds timeout) override;
  Task<Result<v1::ListContainerStatsResponse>> ListContainerStats(v1::ContainerStatsFilter filter,
                                                                  Nanoseconds timeout) override;
  Task<daemonsetd::Status> ContainerEvents(EventHandler on_event) override;
  Task<Result<v1::Image>> ImageStatus(v1::ImageSpec image, Nanoseconds timeout) override;
  Task<Result<std::string>> PullImage(v1::PullImageRequest request, Nanoseconds timeout) override;
  Task<Result<v1::ListImagesResponse>> ListImages(v1::ImageFilter filter, Nanoseconds timeout) override;
  Task<daemonsetd::Status> RemoveImage(v1::ImageSpec image, Nanoseconds timeout) override;
  Task<Result<v1::ImageFsInfoResponse>> ImageFsInfo(Nanoseconds timeout) override;

 private:
  struct Sandbox;
  struct Container;
  struct Operation;
  struct EventStream;
  using Done = std::function<void(daemonsetd::Status)>;
  // Does what a call does, now, and reports its end through Done, now or later.
  using Effect = std::function<void(Done)>;

  // Calls (fake_runtime_calls.cc): every call goes through Perform.
  Task<daemonsetd::Status> Perform(std::string method, std::string subject,
                                   std::shared_ptr<const google::protobuf::Message> request, Nanoseconds timeout,
                                   Effect effect, std::function<void()> prepare = nullptr);
  std::shared_ptr<Operation> Begin(const std::string& method, const std::string& subject,
                                   std::shared_ptr<const google::protobuf::Message> request);
  void End(Operation& operation, daemonsetd::Status status);
  void FailOperations(const Error& error);
  Fault TakeFault(const std::string& method, const std::string& subject);

  // State (fake_runtime_state.cc).
  daemonsetd::Status AddSandbox(const std::string& id, const v1::RunPodSandboxRequest& request);
  void StopSandbox(Sandbox& sandbox);
  void EraseSandbox(const std::string& id);
  daemonsetd::Status AddContainer(const std::string& id, const v1::CreateContainerRequest& request);
  daemonsetd::Status Start(const std::string& id);
  void Terminate(Container& container, Seconds grace, Done done);
  void Exit(Container& container, int exit_code, const std::string& reason);
  void EraseContainer(const std::string& id);
  // Makes the file where it is not there.
  static std::ofstream OpenLog(const Container& container);
  void WriteLog(const Container& container) const;
  void Emit(const std::string& id, v1::ContainerEventType type);
  void NoteLive();
  std::string NewId(char kind);
  Sandbox* FindSandbox(const std::string& id);
  Container* Find(const std::string& id);
  std::int64_t WallNanoseconds() const;
  bool Matches(const Sandbox& sandbox, const v1::PodSandboxFilter& filter) const;
  bool Matches(const Container& container, const v1::ContainerFilter& filter) const;

  async::Executor executor_;
  async::Timeline& timeline_;

  std::map<std::string, Behaviour> behaviours_;
  std::function<ExecAnswer(const v1::ExecSyncRequest&)> exec_;
  std::map<std::string, PullAnswer> pulls_;
  bool events_supported_ = true;
  std::optional<v1::CgroupDriver> cgroup_driver_;
  bool network_ready_ = true;
  bool runtime_ready_ = true;
  bool writes_logs_ = false;
  bool down_ = false;
  int events_to_lose_ = 0;
  struct Injected {
    std::string method;
    Fault fault;
    int times;
  };
  std::list<Injected> faults_;

  std::map<std::string, v1::Image> images_;  // by name
  std::string image_root_ = "/var/lib/containerd";
  std::list<std::unique_ptr<Sandbox>> sandboxes_;      // oldest first
  std::list<std::unique_ptr<Container>> containers_;   // oldest first
  std::map<std::string, std::string> reserved_names_;  // name → ID that holds it
  std::list<std::shared_ptr<Operation>> operations_;
  std::list<EventStream*> streams_;  // each lives in the frame of its ContainerEvents
  int next_id_ = 1;

  std::vector<CallRecord> calls_;
  std::map<std::string, int> most_live_;
  std::map<std::pair<std::string, std::string>, int> most_running_;
};

}  // namespace daemonsetd::testing

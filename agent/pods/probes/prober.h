// Runs one probe or hook once. When to run it, and what a row of results means, is somebody else's decision.
#pragma once

#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/probes/connect.h"
#include "agent/pods/probes/exec_command.h"
#include "agent/pods/probes/grpc_check.h"
#include "agent/pods/probes/http_get.h"
#include "agent/pods/probes/probe_result.h"
#include "agent/pods/probes/process_table.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

struct ProbeTarget {
  std::string container_id;
  std::string pod_ip;  // of network probes that name no host; for host network pods the node's
  std::string namespace_;
  std::string pod_name;
  corev1::Container container;  // for named ports
};

class Prober {
 public:
  // All must outlive the prober.
  Prober(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool, cri::Runtime& runtime,
         const ProcessTable& processes);

  // Both: no longer than `timeout` plus the moment that ending takes. kUnknown says why the handler could not be run.
  // Throws operation_aborted when the calling coroutine is cancelled; every connection is closed by then.
  Task<ProbeResult> Run(corev1::ProbeHandler handler, ProbeTarget target, Nanoseconds timeout);
  // As probes, but: a port that is not set is 80, and there is `sleep`. A timeout is a failure.
  Task<ProbeResult> RunHook(corev1::LifecycleHandler handler, ProbeTarget target, Nanoseconds timeout);

  // Waits for what nobody waits for any more. Required before destruction, after every Run has ended.
  Task<void> Close();

  const ExecCounters& exec_counters() const { return exec_.counters(); }

 private:
  Task<ProbeResult> Exec(corev1::ExecAction action, ProbeTarget target, Nanoseconds timeout);
  Task<ProbeResult> Get(corev1::HTTPGetAction action, ProbeTarget target, std::string user_agent, Nanoseconds timeout);
  Task<ProbeResult> Dial(corev1::TCPSocketAction action, ProbeTarget target, Nanoseconds timeout);
  Task<ProbeResult> Check(corev1::GRPCAction action, ProbeTarget target, Nanoseconds timeout);
  Task<ProbeResult> Sleep(corev1::SleepAction action, Nanoseconds timeout);

  async::Timeline& timeline_;
  NameLookup names_;
  ExecRunner exec_;
  HttpGetter http_;
  GrpcChecker grpc_;
};

// A probe's port: a number, the name of one of the container's ports, or a number in words. kInvalid names it.
Result<std::uint16_t> ResolvePort(const intstrv1::IntOrString& port, const corev1::Container& container);

}  // namespace daemonsetd::pods

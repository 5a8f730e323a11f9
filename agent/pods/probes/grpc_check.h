// One gRPC health check (grpc.health.v1.Health/Check) for a probe.
#pragma once

#include <cstdint>
#include <string>

#include "agent/async/timeline.h"
#include "agent/pods/probes/connect.h"
#include "agent/pods/probes/probe_result.h"
#include "cri/grpc_bridge.h"

namespace daemonsetd::pods {

struct GrpcCheck {
  std::string host;
  std::uint16_t port = 0;
  std::string service;  // empty: the server as a whole
};

class GrpcChecker {
 public:
  // Both references must outlive every Run. In gRPC 1.51 the last channel of a process must not be destroyed
  // (cri/grpc_bridge.h): somebody else, the runtime's client in the agent, keeps one for the life of the process.
  GrpcChecker(async::Executor executor, async::Timeline& timeline, NameLookup& names);

  // A connection of its own for each check, closed by a reset. Success: SERVING.
  // Throws operation_aborted when the calling coroutine is cancelled.
  Task<ProbeResult> Run(GrpcCheck check, Nanoseconds timeout);

  // Cancels what is under way and waits for it.
  Task<void> Close() { return bridge_.CancelAndDrain(); }

 private:
  struct Progress;
  Task<ProbeResult> Ask(GrpcCheck check, Nanoseconds timeout, std::shared_ptr<Progress> progress);

  async::Timeline& timeline_;
  NameLookup& names_;
  cri::GrpcBridge bridge_;
};

}  // namespace daemonsetd::pods

// The API client as the agent puts it together, for programs that run beside a real API server.
#pragma once

#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/async/system_timeline.h"
#include "agent/kube/request_limiter.h"
#include "agent/kube/transport/http_transport.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::testing {

struct ApiClient {
  ApiClient(async::Executor executor, std::string kubeconfig)
      : blocking(1),
        transport(executor, timeline, blocking, std::move(kubeconfig)),
        limiter(executor, timeline, kube::RequestLimits{}),
        client(transport, limiter, timeline) {}

  async::SystemTimeline timeline;
  async::BlockingPool blocking;
  kube::KubeconfigTransport transport;
  kube::RequestLimiter limiter;
  kube::Client client;
};

}  // namespace daemonsetd::testing

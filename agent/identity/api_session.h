// A client at the API server besides the agent's own: as who asks for a certificate, or tries a new one.
#pragma once

#include <string>
#include <utility>

#include "agent/kube/client.h"
#include "agent/kube/transport/http_transport.h"

namespace daemonsetd::identity {

class ApiSession {
 public:
  ApiSession(const async::Executor& executor, async::Timeline& timeline, async::BlockingPool& pool,
             std::string kubeconfig)
      : transport_(executor, timeline, pool, std::move(kubeconfig)),
        limiter_(executor, timeline, kube::RequestLimits{}),
        client_(transport_, limiter_, timeline) {}

  kube::Client& client() { return client_; }
  // Required before destruction, after the last request ended.
  Task<void> Close() { return transport_.Close(); }

 private:
  kube::KubeconfigTransport transport_;
  kube::RequestLimiter limiter_;
  kube::Client client_;
};

}  // namespace daemonsetd::identity

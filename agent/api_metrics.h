// The requests to the API server: client-go's rest_client_* as every Kubernetes component has them, and the watches.
#pragma once

#include "agent/kube/request_observer.h"
#include "agent/local/metrics.h"

namespace daemonsetd {

class ApiMetrics final : public kube::RequestObserver {
 public:
  // `registry` must outlive it.
  explicit ApiMetrics(local::Registry& registry);

  void Requested(std::string_view method, std::string_view host, int code, Nanoseconds took) override;
  void WatchRestarted(std::string_view resource) override;

 private:
  local::Family<local::Counter>& requests_;
  local::Family<local::Histogram>& durations_;
  local::Family<local::Counter>& restarts_;
};

}  // namespace daemonsetd

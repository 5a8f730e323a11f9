#include "agent/api_metrics.h"

#include <string>

namespace daemonsetd {

ApiMetrics::ApiMetrics(local::Registry& registry)
    : requests_(registry.AddCounters("rest_client_requests_total",
                                     "Requests to the API server, by status code, method and host.")),
      durations_(registry.AddHistograms("rest_client_request_duration_seconds",
                                        "How long requests to the API server took, of a watch until it opened.",
                                        {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60})),
      restarts_(registry.AddCounters("daemonsetd_watch_restarts_total",
                                     "Watches that were opened again; each ends by itself after some minutes.")) {}

void ApiMetrics::Requested(std::string_view method, std::string_view host, int code, Nanoseconds took) {
  const std::string code_text = code == 0 ? "<error>" : std::to_string(code);
  requests_.With({{"code", code_text}, {"host", std::string(host)}, {"method", std::string(method)}}).Add();
  durations_.With({{"host", std::string(host)}, {"verb", std::string(method)}}).Observe(took);
}

void ApiMetrics::WatchRestarted(std::string_view resource) {
  restarts_.With({{"resource", std::string(resource)}}).Add();
}

}  // namespace daemonsetd

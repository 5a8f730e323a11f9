// What the client did at the API server, told to whoever counts it. Every call is on the loop, and none may call back.
#pragma once

#include <string_view>

#include "agent/base/time_point.h"

namespace daemonsetd::kube {

class RequestObserver {
 public:
  RequestObserver() = default;
  virtual ~RequestObserver() = default;
  RequestObserver(const RequestObserver&) = delete;
  RequestObserver& operator=(const RequestObserver&) = delete;

  // A request was answered, or given up: `code` is the HTTP status, 0 without an answer; `took` is without the wait for
  // the limiter, and of a watch until it opened.
  virtual void Requested(std::string_view method, std::string_view host, int code, Nanoseconds took) = 0;
  // A watch that had been open once is opened anew. `resource`: "pods".
  virtual void WatchRestarted(std::string_view resource) = 0;
};

}  // namespace daemonsetd::kube

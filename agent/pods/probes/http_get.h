// One HTTP GET for a probe or hook, redirects included.
#pragma once

#include <memory>
#include <string>

#include "agent/async/timeline.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/probes/connect.h"
#include "agent/pods/probes/http_request.h"
#include "agent/pods/probes/probe_result.h"

namespace daemonsetd::pods {

struct HttpGet {
  HttpUrl url;
  HttpHeaders headers;
};

class HttpGetter {
 public:
  // Both must outlive every Run.
  HttpGetter(async::Timeline& timeline, NameLookup& names);
  ~HttpGetter();

  // A connection of its own for each request, closed by a reset (PB-08, PB-09). Success: a status from 200 to 399 and
  // at most the first 10 KiB of a whole body. Redirects are followed up to 10 times on the same host; one to another
  // host is a success with a warning and no request (PB-10). Certificates are not verified. Throws operation_aborted
  // when the calling coroutine is cancelled.
  Task<ProbeResult> Run(HttpGet get, Nanoseconds timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // keeps Beast and OpenSSL out of the agent's other translation units
};

}  // namespace daemonsetd::pods

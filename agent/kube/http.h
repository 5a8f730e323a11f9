// The HTTP port that the API client stands on: one request and its answer, or an answer that goes on (a watch).
// Everything on the loop thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/async/task.h"
#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::kube {

struct HttpRequest {
  std::string method;  // "GET", "POST", "PUT", "PATCH", "DELETE"
  std::string target;  // path and query, percent-encoded: "/api/v1/nodes?limit=500"
  std::string accept;
  std::string content_type;  // of `body`; empty without one
  std::string body;
};

struct HttpResponse {
  int status = 0;  // 100 to 599
  std::string content_type;
  std::optional<Seconds> retry_after;
  std::string body;
};

// The body of an answer that goes on. Destroying it closes its connection.
class HttpStream {
 public:
  virtual ~HttpStream() = default;

  // The next piece, never empty; an empty one is the regular end of the body. kTimeout when nothing came until
  // `deadline`: the stream is then of no further use. kRetry: the connection broke.
  virtual Task<Result<std::string>> Read(MonoTime deadline) = 0;
};

struct HttpStreamStart {
  HttpResponse response;               // with the whole body when the status is not 200
  std::unique_ptr<HttpStream> stream;  // null when the status is not 200
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;

  // Where requests go, as a Host header says it; empty: not known yet.
  virtual std::string host() const { return {}; }

  // Any status is an answer; errors are those of the way there. kTimeout: maybe done. kRetry: the connection could not
  // be made or broke before an answer. kDenied: the server's certificate was not accepted, or our own credentials
  // cannot be read. kInvalid: the answer is not HTTP, or larger than allowed.
  // Credentials (certificate, token) are added by the transport. Cancellation of the caller ends the request.
  virtual Task<Result<HttpResponse>> Send(HttpRequest request, MonoTime deadline) = 0;

  // As Send up to the header of the answer, on a connection of its own.
  virtual Task<Result<HttpStreamStart>> Open(HttpRequest request, MonoTime deadline) = 0;
};

}  // namespace daemonsetd::kube

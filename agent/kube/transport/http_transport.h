// The HTTP port to the API server that a kubeconfig names. Everything on the loop thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/kube/http.h"

namespace daemonsetd::kube {

class KubeconfigTransport final : public HttpTransport {
 public:
  // Nothing is read or connected before the first request. The references must outlive the transport and its streams.
  KubeconfigTransport(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                      std::string kubeconfig_path);
  ~KubeconfigTransport() override;

  // At most 4 at a time, the others wait for their turn within their deadline. A request that finds a kept connection
  // closed before any byte of an answer is sent again, once and on a new connection, if nothing of it was sent or its
  // method is idempotent (GET, HEAD, PUT, DELETE). Answers have at most 64 KiB of header and 64 MiB of body.
  // kDenied also when the server refuses our certificate in the TLS handshake.
  Task<Result<HttpResponse>> Send(HttpRequest request, MonoTime deadline) override;

  // The connection serves other requests once its answer was read to its regular end.
  Task<Result<HttpStreamStart>> Open(HttpRequest request, MonoTime deadline) override;

  // Closes kept connections and waits for what blocks. Required before destruction, after the last request ended.
  Task<void> Close();

  struct Counters {
    std::uint64_t connections = 0;  // made
    std::uint64_t requests = 0;     // sent
    std::uint64_t repeated = 0;     // of these, once more since a kept connection was closed
    std::size_t idle = 0;           // connections kept now
  };
  Counters counters() const;
  std::string host() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace daemonsetd::kube

// Connections that wait for the next request. Everything on the loop thread.
#pragma once

#include <memory>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/kube/transport/http_connection.h"

namespace daemonsetd::kube {

class IdleConnections {
 public:
  IdleConnections(async::Executor executor, async::Timeline& timeline);

  // Keeps `connection` if it can carry another request and belongs to the credentials in use, else closes it. The one
  // that waits longest goes when there are too many.
  void Put(std::unique_ptr<HttpConnection> connection);

  // The one that waited shortest, so that the spare ones run out; null when none is fit for use.
  std::unique_ptr<HttpConnection> Take();

  // Closes what was made with other credentials.
  void Keep(std::uint64_t generation);
  void Clear();

  std::size_t size() const { return kept_.size(); }

 private:
  void Arm();
  void CloseOld();

  async::Executor executor_;
  async::Timeline& timeline_;
  std::vector<std::unique_ptr<HttpConnection>> kept_;  // in the order of their idle_since
  std::uint64_t generation_ = 0;
  std::unique_ptr<async::Timeline::Alarm> alarm_;
};

}  // namespace daemonsetd::kube

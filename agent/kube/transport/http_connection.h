// One connection to the API server: HTTP/1.1, plain or in TLS. Everything on the loop thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/async/task.h"
#include "agent/async/timeline.h"
#include "agent/kube/http.h"
#include "agent/kube/transport/credentials.h"

#include <boost/asio/ip/address.hpp>

namespace daemonsetd::kube {

class HttpConnection {
 public:
  // Destroying a connection closes it. Not while a call runs: cancel, and wait for its end.
  virtual ~HttpConnection() = default;

  // Sends `request`, a whole HTTP/1.1 request, and reads the answer up to its body. kRetry: the connection broke.
  // kInvalid: the answer is not HTTP, or its header too large. kDenied: the server refuses our certificate. After any
  // error, and after cancellation, the connection is of no further use.
  virtual Task<Result<HttpResponse>> Start(std::string request) = 0;

  // The next piece of the body as soon as it is there, at most kPiece bytes; an empty one is the end.
  virtual Task<Result<std::string>> ReadPiece() = 0;

  // Of the request under way: true when bytes of an answer came.
  virtual bool answered() const = 0;
  // Of the request under way: true when the server may have got bytes of it.
  virtual bool sent() const = 0;
  // Bytes of the body that the header announces; 0 when it doesn't.
  virtual std::uint64_t announced() const = 0;
  // True when the last answer was read whole, and the server neither closed the connection nor said anything since.
  virtual bool Reusable() = 0;

  static constexpr std::size_t kPiece = std::size_t{8} << 10;

  std::uint64_t generation = 0;  // of the credentials that it was made with
  MonoTime idle_since;           // for who keeps it
};

// The rest of the answer under way. kInvalid when it is larger than `maximum` bytes.
Task<Result<std::string>> ReadBody(HttpConnection* connection, std::size_t maximum);

using ConnectionResult = Result<std::unique_ptr<HttpConnection>>;

// Connects to one address of the server, TLS handshake included. kRetry with the reason, kDenied when the server's
// certificate is not accepted or the server refuses ours. A half-open connection breaks after 40 s, busy or silent.
Task<ConnectionResult> ConnectTo(boost::asio::ip::address address, std::shared_ptr<const Access> access);

// The whole request; `request.target` goes behind the server's own path.
std::string RenderRequest(const HttpRequest& request, const Access& access);

}  // namespace daemonsetd::kube

// A scripted HTTP server on loopback, plain or in TLS: remembers what it saw and answers with given bytes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/async/task.h"
#include "tests/unit/kube/transport/certificates.h"

namespace daemonsetd::testing {

class ApiServer {
 public:
  struct Request {
    int connection = 0;  // from 0
    std::string head;    // as it came
    std::string body;
    std::string client_name;  // common name of the client's certificate
    std::string server_name;  // that the client asked for (SNI)
    std::string protocol;     // agreed on (ALPN)
  };
  struct Reply {
    std::string bytes;   // empty: none yet, see Push
    bool close = false;  // afterwards, without TLS's farewell
  };
  struct Tls {
    IssuedCertificate certificate;
    std::string client_authority = {};  // PEM; clients may show a certificate of it
    bool client_certificate_required = false;
  };
  using Script = std::function<Reply(const Request&)>;

  ApiServer(async::Executor executor, Script script);
  ApiServer(async::Executor executor, Script script, const Tls& tls);
  // Closes everything. Run the loop once more before it is destroyed (TestLoop::Settle).
  ~ApiServer();

  // No further connections; those that are open stay.
  void StopListening();
  // Writes to the connection with that number.
  void Push(int connection, const std::string& bytes);
  void Close(int connection);

  int port() const;
  bool listening() const;
  int connections() const;       // accepted so far
  int open_connections() const;  // not closed by either side
  const std::vector<Request>& requests() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A whole answer with its length. `more`: header lines, each with its end.
std::string Answer(int status, const std::string& body = "", const std::string& more = "");
std::string Chunk(const std::string& data);

}  // namespace daemonsetd::testing

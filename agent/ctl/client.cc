#include "agent/ctl/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "agent/async/descriptor.h"
#include "agent/local/status_json.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/optional/optional.hpp>

namespace daemonsetd::ctl {
namespace {

namespace http = boost::beast::http;
using async::Descriptor;

constexpr std::uint64_t kMaximumBody = 64ULL << 20;

Error Unreachable(const std::string& path, int code) {
  if (code == EACCES || code == EPERM) {
    return Error(ErrorKind::kDenied,
                 fmt::format("permission denied on {}: add yourself to group daemonsetd (usermod -aG daemonsetd $USER, "
                             "then log in again) or use sudo",
                             path));
  }
  if (code == ENOENT || code == ECONNREFUSED) {
    return Error(ErrorKind::kRetry, fmt::format("cannot reach the agent at {}: daemonsetd is not running or the socket "
                                                "path differs: systemctl status daemonsetd, or give --socket",
                                                path));
  }
  return Error(ErrorKind::kRetry,
               fmt::format("cannot reach the agent at {}: {}: systemctl status daemonsetd", path, std::strerror(code)));
}

Error TooSlow(const std::string& path, Nanoseconds timeout) {
  return Error(ErrorKind::kTimeout,
               fmt::format("the agent at {} did not answer within {}: systemctl status daemonsetd, "
                           "or give a longer --timeout",
                           path, FormatDuration(timeout)));
}

// Waits for `events`; false when the time is up. No timeout: for ever.
bool Await(int descriptor, short events, const Nanoseconds* timeout) {
  pollfd look{descriptor, events, 0};
  const int wait = timeout == nullptr ? -1 : static_cast<int>(std::chrono::ceil<Milliseconds>(*timeout).count());
  int ready;
  do {
    ready = poll(&look, 1, wait);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

Error Refused(int status, const std::string& body) {
  statusv1::ErrorAnswer answer;
  std::string message = fmt::format("the agent answered {}", status);
  if (local::FromJson(body, answer) && !answer.error().empty()) {
    message = answer.error();
    if (!answer.hint().empty()) message += ": " + answer.hint();
  }
  return Error(status == 404 ? ErrorKind::kAbsent : status == 400 ? ErrorKind::kInvalid : ErrorKind::kFatal, message);
}

}  // namespace

std::string MakeTarget(std::string_view path, const std::vector<std::pair<std::string, std::string>>& query) {
  std::string target(path);
  char separator = '?';
  for (const auto& [key, value] : query) {
    if (value.empty()) continue;
    target += separator + key + '=';
    separator = '&';
    for (const char c : value) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                         c == '.' || c == '_' || c == '~';
      target += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return target;
}

Result<std::string> Client::Get(const std::string& target) const { return Ask("GET", target, nullptr); }

Result<std::string> Client::Post(const std::string& target) const { return Ask("POST", target, nullptr); }

Status Client::Stream(const std::string& target, const OnData& on_data) const {
  const Result<std::string> body = Ask("GET", target, &on_data);
  if (!body) return body.error();
  return Ok();
}

Result<std::string> Client::Ask(std::string_view method, const std::string& target, const OnData* on_data) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof address.sun_path) {
    return Error(ErrorKind::kInvalid, fmt::format("socket path {} is longer than {} bytes: give another --socket",
                                                  socket_path_, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  const Descriptor connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connection.get() < 0) return Unreachable(socket_path_, errno);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Unreachable(socket_path_, errno);
  }

  std::string request =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: daemonsetctl\r\nConnection: close\r\n{}\r\n",
                  method, target, method == "GET" ? "" : "Content-Length: 0\r\n");
  std::string_view unsent = request;
  while (!unsent.empty()) {
    const ssize_t sent = send(connection.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      unsent.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EPIPE) {
      break;  // the agent has answered already, with a refusal
    } else if (errno != EAGAIN && errno != EINTR) {
      return Unreachable(socket_path_, errno);
    } else if (!Await(connection.get(), POLLOUT, &timeout_)) {
      return TooSlow(socket_path_, timeout_);
    }
  }

  http::response_parser<http::string_body> parser;
  parser.eager(true);
  if (on_data != nullptr) {
    parser.body_limit(boost::none);
  } else {
    parser.body_limit(kMaximumBody);
  }
  bool stopped = false;
  std::function<std::size_t(std::uint64_t, boost::beast::string_view, boost::beast::error_code&)> on_chunk =
      [&](std::uint64_t, boost::beast::string_view piece, boost::beast::error_code&) {
        if (!stopped) stopped = !(*on_data)(std::string_view(piece.data(), piece.size()));
        return piece.size();
      };
  if (on_data != nullptr) parser.on_chunk_body(on_chunk);

  std::string received;
  std::array<char, 16 * 1024> block;
  while (!parser.is_done() && !stopped) {
    const bool patient = on_data != nullptr && parser.is_header_done();
    if (!Await(connection.get(), POLLIN, patient ? nullptr : &timeout_)) return TooSlow(socket_path_, timeout_);
    const ssize_t got = recv(connection.get(), block.data(), block.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    boost::beast::error_code error;
    if (got <= 0) {
      if (got == 0 && parser.got_some()) parser.put_eof(error);
      if (got == 0 && !error && parser.is_done()) break;
      return Error(ErrorKind::kRetry, fmt::format("the agent at {} closed the connection in the middle of its answer: "
                                                  "journalctl -u daemonsetd, then try again",
                                                  socket_path_));
    }
    received.append(block.data(), static_cast<std::size_t>(got));
    while (!received.empty() && !parser.is_done()) {
      const std::size_t used = parser.put(boost::asio::const_buffer(received.data(), received.size()), error);
      received.erase(0, used);
      if (error == http::error::need_more) break;
      if (error) {
        return Error(ErrorKind::kFatal, fmt::format("what listens at {} is not daemonsetd ({}): give another --socket",
                                                    socket_path_, error.message()));
      }
      if (used == 0) break;
    }
  }
  const auto& answer = parser.get();
  const int status = static_cast<int>(answer.result_int());
  if (status != 200) return Refused(status, answer.body());
  return answer.body();
}

}  // namespace daemonsetd::ctl

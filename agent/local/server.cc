#include "agent/local/server.h"

#include <poll.h>

#include <algorithm>
#include <list>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "agent/async/task_scope.h"
#include "agent/base/log.h"
#include "agent/local/network_listener.h"
#include "agent/local/socket_file.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

namespace daemonsetd::local {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Protocol = asio::local::stream_protocol;
using Socket = asio::generic::stream_protocol::socket;  // of whatever kind
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::uint32_t kMaximumHead = 8 * 1024;
// How often a quiet stream looks whether its reader is still there.
constexpr Nanoseconds kHangUpInterval = Milliseconds(500);

// One accepted socket with a deadline: when it passes, the socket is closed and whatever waits on it ends.
class Connection {
 public:
  Connection(Socket socket, bool from_network, async::Timeline& timeline)
      : socket_(std::move(socket)), from_network_(from_network), timeline_(timeline) {}

  Socket& socket() { return socket_; }
  bool from_network() const { return from_network_; }

  void Arm(Nanoseconds timeout) {
    alarm_ = timeline_.SetAlarm(socket_.get_executor(), timeline_.mono() + timeout, [this] { Close(); });
  }
  void Disarm() { alarm_.reset(); }

  void Close() {
    boost::system::error_code ignored;  // closing twice is no error worth telling
    socket_.close(ignored);
  }

  // Gone in both directions: a reader that has only finished sending (nc, curl --no-keepalive) is still there.
  bool HungUp() {
    if (!socket_.is_open()) return true;
    pollfd look{socket_.native_handle(), 0, 0};
    return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
  }

 private:
  Socket socket_;
  const bool from_network_;
  async::Timeline& timeline_;
  std::unique_ptr<async::Timeline::Alarm> alarm_;
};

std::string_view ReasonPhrase(int status) {
  const auto phrase = http::obsolete_reason(static_cast<http::status>(status));
  return std::string_view(phrase.data(), phrase.size());
}

std::string RenderAnswer(const Answer& answer, bool keep_alive) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\nCache-Control: no-store\r\n",
      answer.status, ReasonPhrase(answer.status), answer.content_type, answer.body.size(),
      keep_alive ? "keep-alive" : "close");
  if (!answer.allow.empty()) head += fmt::format("Allow: {}\r\n", answer.allow);
  return head + "\r\n" + answer.body;
}

Answer AnswerToBadRead(const boost::system::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return ErrorAnswer(431, "the request's head is longer than 8 KiB", "send a shorter path and fewer headers");
  }
  if (error == http::error::body_limit || error == http::error::unexpected_body) {
    return ErrorAnswer(413, "the request has a body", "send GET requests without a body");
  }
  return ErrorAnswer(400, "the request is not HTTP/1.1: " + error.message(), "for example GET /v1/status");
}

Answer AnswerTo(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kAbsent:
      return ErrorAnswer(404, error.message(), "daemonsetctl get pods -A -o wide shows what there is");
    case ErrorKind::kInvalid: return ErrorAnswer(400, error.message(), "name the container with container=NAME");
    case ErrorKind::kConflict: return ErrorAnswer(409, error.message(), "daemonsetctl explain says why");
    case ErrorKind::kRetry: return ErrorAnswer(503, error.message(), "daemonsetctl get status shows the runtime");
    case ErrorKind::kTimeout: return ErrorAnswer(504, error.message(), "daemonsetctl get status shows the runtime");
    default: return ErrorAnswer(500, error.message(), "the agent's log says more: journalctl -u daemonsetd");
  }
}

}  // namespace

struct Server::Impl {
  Impl(async::Executor loop, async::Timeline& the_timeline, SnapshotHolder& holder, Registry& registry_in,
       async::BlockingPool& the_pool, Handlers the_handlers, ServerOptions server_options)
      : executor(loop),
        timeline(the_timeline),
        snapshots(holder),
        registry(registry_in),
        pool(the_pool),
        handlers(std::move(the_handlers)),
        options(std::move(server_options)),
        requests(registry.AddCounters("daemonsetd_http_requests_total", "Requests on the local socket.")),
        open_connections(registry.AddGauges("daemonsetd_http_connections", "Open connections on the local socket.")),
        acceptor(loop),
        scope(loop) {
    if (options.metrics_address.empty()) return;
    network.emplace(loop, the_timeline, options.metrics_address,
                    [this](Socket socket) { Accepted(std::move(socket), /*from_network=*/true); });
  }

  Task<void> Converse(std::shared_ptr<Connection> connection);
  Task<bool> ServeOne(std::shared_ptr<Connection> connection, std::string method, std::string target,
                      std::string accept, bool keep_alive, bool chunked);
  Task<bool> Write(std::shared_ptr<Connection> connection, std::string bytes);
  Task<bool> WritePiece(std::shared_ptr<Connection> connection, std::string bytes, bool chunked);
  Task<bool> BeginStream(std::shared_ptr<Connection> connection, std::string content_type, bool chunked);
  Task<void> Watch(std::shared_ptr<Connection> connection, WatchRoute route, bool chunked);
  Task<void> Logs(std::shared_ptr<Connection> connection, LogsRoute route, bool keep_alive, bool chunked);
  Task<Answer> MeasureUsage();
  Answer Restart(const RestartRequest& request) const;
  Task<void> Refuse(std::shared_ptr<Connection> connection);
  void Accepted(Socket socket, bool from_network);
  void Count(std::string_view target, int status) {
    requests.With({{"path", std::string(MetricPath(target))}, {"code", std::to_string(status)}}).Add();
  }

  async::Executor executor;
  async::Timeline& timeline;
  SnapshotHolder& snapshots;
  Registry& registry;
  async::BlockingPool& pool;
  Handlers handlers;
  ServerOptions options;
  Family<Counter>& requests;
  Family<Gauge>& open_connections;
  Protocol::acceptor acceptor;
  std::optional<NetworkListener> network;
  std::optional<SocketIdentity> socket_file;
  std::list<std::shared_ptr<Connection>> connections;
  async::TaskScope scope;
};

Server::Server(async::Executor executor, async::Timeline& timeline, SnapshotHolder& snapshots, Registry& registry,
               async::BlockingPool& pool, Handlers handlers, ServerOptions options)
    : impl_(std::make_unique<Impl>(std::move(executor), timeline, snapshots, registry, pool, std::move(handlers),
                                   std::move(options))) {}

Server::~Server() {
  if (impl_->socket_file) RemoveIfSame(impl_->options.socket_path, *impl_->socket_file);
}

std::size_t Server::connections() const { return impl_->connections.size(); }

Status Server::Open() {
  Result<int> descriptor = ListenOn(impl_->options.socket_path, impl_->options.group);
  if (!descriptor) return descriptor.error().WithContext("local socket");
  impl_->acceptor.assign(Protocol(), *descriptor);
  Result<SocketIdentity> identity = IdentityOf(impl_->options.socket_path);
  if (!identity) return identity.error().WithContext("local socket");
  impl_->socket_file = *identity;
  return Ok();
}

Task<void> Server::Serve() {
  Impl& impl = *impl_;
  if (impl.network) impl.scope.Spawn("metrics on the network", impl.network->Run());
  co_await asio::this_coro::throw_if_cancelled(false);
  while ((co_await asio::this_coro::cancellation_state).cancelled() == asio::cancellation_type::none) {
    auto [error, socket] = co_await impl.acceptor.async_accept(impl.executor, kTuple);
    if (!error) {
      impl.Accepted(std::move(socket), /*from_network=*/false);
    } else if (error != asio::error::operation_aborted && error != asio::error::connection_aborted) {
      // Mostly out of descriptors: those that are open get the time to end.
      log::Warning("cannot accept a connection on the local socket, trying again in a second",
                   {{"socket", impl.options.socket_path}, {"err", error.message()}});
      async::Wake never(impl.executor);
      try {
        co_await never.WaitUntil(impl.timeline, impl.timeline.mono() + Seconds(1));
      } catch (const boost::system::system_error&) {
        break;  // cancelled
      }
    }
  }
  boost::system::error_code ignored;  // nothing listens afterwards either way
  impl.acceptor.close(ignored);
  impl.scope.Cancel();
  for (const auto& connection : impl.connections) connection->Close();
  co_await impl.scope.Join();
}

void Server::Impl::Accepted(Socket socket, bool from_network) {
  auto connection = std::make_shared<Connection>(std::move(socket), from_network, timeline);
  // Apart: whoever comes from the network must not keep those out that are on the node.
  const auto open =
      static_cast<std::size_t>(std::count_if(connections.begin(), connections.end(), [from_network](const auto& other) {
        return other->from_network() == from_network;
      }));
  const std::size_t most = from_network ? options.max_network_connections : options.max_connections;
  // A few more may come in to be told no; beyond that they are closed without a word.
  const bool full = open >= most;
  if (full && open >= most + 16) return;
  connections.push_back(connection);
  open_connections.With({}).Set(static_cast<double>(connections.size()));
  scope.Spawn("local connection", full ? Refuse(connection) : Converse(connection), [this, connection] {
    connection->Disarm();
    connection->Close();
    connections.remove(connection);
    open_connections.With({}).Set(static_cast<double>(connections.size()));
  });
}

Task<void> Server::Impl::Refuse(std::shared_ptr<Connection> connection) {
  Count("", 503);
  Answer answer = ErrorAnswer(503, fmt::format("more than {} connections are open", options.max_connections),
                              "close idle connections, watches and log streams, then try again");
  std::string text = RenderAnswer(answer, false);
  co_await Write(connection, std::move(text));
}

Task<void> Server::Impl::Converse(std::shared_ptr<Connection> connection) {
  boost::beast::flat_buffer buffer(2 * kMaximumHead);
  while (true) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(kMaximumHead);
    parser.body_limit(0);
    connection->Arm(options.read_timeout);
    const auto [error, size] = co_await http::async_read(connection->socket(), buffer, parser, kTuple);
    connection->Disarm();
    if (error) {
      // Errors of the HTTP grammar are told; everything else means that nobody reads any more.
      if (error.category() != http::make_error_code(http::error::bad_method).category() ||
          error == http::error::end_of_stream || error == http::error::partial_message) {
        co_return;
      }
      Answer answer = AnswerToBadRead(error);
      Count("", answer.status);
      std::string text = RenderAnswer(answer, false);
      co_await Write(connection, std::move(text));
      co_return;
    }
    const auto& request = parser.get();
    std::string method(request.method_string().data(), request.method_string().size());
    std::string target(request.target().data(), request.target().size());
    const auto header = request[http::field::accept];
    std::string accept(header.data(), header.size());
    const bool keep_alive = request.keep_alive();
    const bool more = co_await ServeOne(connection, std::move(method), std::move(target), std::move(accept), keep_alive,
                                        request.version() >= 11);
    if (!more) co_return;
  }
}

// True when the connection may carry another request.
Task<bool> Server::Impl::ServeOne(std::shared_ptr<Connection> connection, std::string method, std::string target,
                                  std::string accept, bool keep_alive, bool chunked) {
  if (connection->from_network() && !IsPublic(target)) {
    Count(target, 404);
    Answer refusal = ErrorAnswer(404, "the network gets /metrics, /livez and /readyz alone",
                                 "daemonsetctl, or curl --unix-socket " + options.socket_path + ", on the node");
    std::string text = RenderAnswer(refusal, keep_alive);
    const bool written = co_await Write(connection, std::move(text));
    co_return written&& keep_alive;
  }
  const std::shared_ptr<const Snapshot> snapshot = snapshots.current();
  const std::function<std::string()> metrics_text = [this] { return registry.Render(); };
  const RouteSources sources{.snapshot = *snapshot,
                             .now = timeline.Read().wall,
                             .configz = handlers.configz,
                             .metrics_text = metrics_text,
                             .accept = accept,
                             .liveness = handlers.liveness ? handlers.liveness() : std::vector<HealthCheck>()};
  Route route = FindRoute(method, target, sources);
  if (const RestartRequest* restart = std::get_if<RestartRequest>(&route)) route = Restart(*restart);
  if (std::holds_alternative<UsageRoute>(route)) {
    Answer usage = co_await MeasureUsage();
    route = std::move(usage);
  }
  if (const Answer* answer = std::get_if<Answer>(&route)) {
    Count(target, answer->status);
    std::string text = RenderAnswer(*answer, keep_alive);
    const bool written = co_await Write(connection, std::move(text));
    co_return written&& keep_alive;
  }
  if (WatchRoute* watch = std::get_if<WatchRoute>(&route)) {
    Count(target, 200);
    co_await Watch(connection, std::move(*watch), chunked);
    co_return false;
  }
  Count(target, 200);
  co_await Logs(connection, std::get<LogsRoute>(std::move(route)), keep_alive, chunked);
  co_return false;
}

Answer Server::Impl::Restart(const RestartRequest& request) const {
  if (!handlers.restart) return ErrorAnswer(501, "this agent restarts nothing", "ask the agent that runs the pod");
  const Result<statusv1::RestartAnswer> done = handlers.restart(request);
  if (!done) return AnswerTo(done.error());
  return Answer{.body = ToJson(*done) + "\n"};
}

Task<Answer> Server::Impl::MeasureUsage() {
  if (!handlers.usage) co_return ErrorAnswer(501, "this agent measures nothing", "ask the agent that runs the pods");
  const Result<statusv1::UsageList> usage = co_await handlers.usage();
  if (!usage) co_return AnswerTo(usage.error());
  Answer answer;
  answer.body = ToJson(*usage) + "\n";
  co_return answer;
}

Task<bool> Server::Impl::Write(std::shared_ptr<Connection> connection, std::string bytes) {
  if (!connection->socket().is_open()) co_return false;
  connection->Arm(options.write_timeout);
  const auto [error, size] = co_await asio::async_write(connection->socket(), asio::buffer(bytes), kTuple);
  connection->Disarm();
  co_return !error;
}

Task<bool> Server::Impl::WritePiece(std::shared_ptr<Connection> connection, std::string bytes, bool chunked) {
  if (bytes.empty()) co_return true;  // an empty chunk would end the stream
  if (chunked) bytes = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  co_return co_await Write(connection, std::move(bytes));
}

Task<bool> Server::Impl::BeginStream(std::shared_ptr<Connection> connection, std::string content_type, bool chunked) {
  std::string head =
      fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nConnection: close\r\nCache-Control: no-store\r\n{}\r\n",
                  content_type, chunked ? "Transfer-Encoding: chunked\r\n" : "");
  co_return co_await Write(connection, std::move(head));
}

Task<void> Server::Impl::Watch(std::shared_ptr<Connection> connection, WatchRoute route, bool chunked) {
  SnapshotHolder::Subscription subscription(snapshots);
  bool alive = co_await BeginStream(connection, "application/json", chunked);
  Known known;
  // The snapshot is let go before each wait: a watcher must not keep an old one alive.
  while (alive) {
    std::string lines = RenderChanges(*snapshots.current(), route.resource, route.selection, known);
    alive = co_await WritePiece(connection, std::move(lines), chunked);
    bool changed = false;
    while (alive && !changed) {
      changed = co_await subscription.wake().WaitUntil(timeline, timeline.mono() + kHangUpInterval);
      alive = !connection->HungUp();
    }
  }
}

Task<void> Server::Impl::Logs(std::shared_ptr<Connection> connection, LogsRoute route, bool keep_alive, bool chunked) {
  std::optional<LogReader> reader;
  Result<LogSource> source = handlers.find_log
                                 ? handlers.find_log(route.request)
                                 : Result<LogSource>(Error(ErrorKind::kUnsupported, "this agent serves no logs"));
  Status opened = source ? Ok() : Status(source.error());
  if (source) {
    std::function<Status()> open = [&reader, path = source->path, options = route.options]() -> Status {
      Result<LogReader> result = LogReader::Open(path, options);
      if (!result) return result.error();
      reader.emplace(std::move(*result));
      return Ok();
    };
    opened = co_await pool.Run(std::move(open));
  }
  if (!opened) {
    std::string text = RenderAnswer(AnswerTo(opened.error()), keep_alive);
    co_await Write(connection, std::move(text));
    co_return;
  }
  bool alive = co_await BeginStream(connection, "text/plain; charset=utf-8", chunked);
  while (alive) {
    // Asked before the read: what is written before the end is then read for sure.
    const bool finished = !route.options.follow || (source->finished && source->finished());
    LogReader::Chunk chunk;
    std::function<Status()> read_some = [&reader, &chunk]() -> Status {
      Result<LogReader::Chunk> result = reader->Read();
      if (!result) return result.error();
      chunk = std::move(*result);
      return Ok();
    };
    const Status read = co_await pool.Run(std::move(read_some));
    if (!read) {
      log::Warning("a log stream ends early", {{"path", source->path}, {"err", read.error().message()}});
      connection->Close();  // without the last chunk, so that the reader knows
      co_return;
    }
    const bool at_end = chunk.at_end;
    const bool over = at_end && chunk.settled && finished;
    alive = co_await WritePiece(connection, std::move(chunk.text), chunked) && !connection->HungUp();
    if (!alive) co_return;
    if (over) {
      std::string rest = reader->Flush();
      alive = co_await WritePiece(connection, std::move(rest), chunked);
      if (alive && chunked) co_await Write(connection, "0\r\n\r\n");
      co_return;
    }
    if (at_end) co_await timeline.SleepUntil(timeline.mono() + options.follow_interval);
  }
}

}  // namespace daemonsetd::local

#include "agent/node/systemd_units.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>

#include "agent/node/system_bus.h"

namespace daemonsetd::node {
namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kBusError[] = "org.freedesktop.DBus.Error.";

// One connection for one operation: none is kept for days without a word on it.
class Connection {
 public:
  explicit Connection(Nanoseconds deadline) : end_(Clock::now() + deadline) {}
  ~Connection() {
    if (message_ != nullptr) library_.message_unref(message_);
    if (answer_ != nullptr) library_.message_unref(answer_);
    if (bus_ != nullptr) library_.close_unref(bus_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Status Open();
  // Before a call whose job is waited for: its end could come before the answer.
  Status WatchJobs();
  // "Method" of the manager; the message is filled by Append and sent by Call.
  Status Begin(const char* method);
  template <class... Arguments>
  void Append(const char* types, Arguments... arguments) {
    Note(library_.message_append(message_, types, arguments...));
  }
  void AppendProperties(const UnitProperties& properties, const std::vector<const char*>& flags = {});
  Status Call(const std::string& what);
  // The job that the last call answered.
  Status AwaitJob(const std::string& what);

 private:
  using Clock = std::chrono::steady_clock;

  void Note(int result) { result_ = std::min(result_, result); }
  std::uint64_t MicrosecondsLeft() const {
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(end_ - Clock::now());
    return left.count() > 0 ? static_cast<std::uint64_t>(left.count()) : 0;
  }
  static int OnJobRemoved(sd_bus_message* message, void* self, sd_bus_error* error);

  const Clock::time_point end_;
  SystemdLibrary library_{};
  sd_bus* bus_ = nullptr;
  sd_bus_message* message_ = nullptr;
  sd_bus_message* answer_ = nullptr;
  int result_ = 0;                                          // the worst while a message is filled
  std::vector<std::pair<std::string, std::string>> ended_;  // jobs, with how they ended
};

Error Failed(const std::string& what, const char* why) {
  return Error(ErrorKind::kRetry, "systemd: cannot " + what + ": " + why);
}

Error Failed(const std::string& what, int result) { return Failed(what, std::strerror(-result)); }

ErrorKind KindOf(std::string_view name) {
  if (name == "org.freedesktop.systemd1.UnitExists") return ErrorKind::kExists;
  if (name == "org.freedesktop.systemd1.NoSuchUnit") return ErrorKind::kAbsent;
  if (!name.starts_with(kBusError)) return ErrorKind::kRetry;
  name.remove_prefix(std::strlen(kBusError));
  return name == "AccessDenied" || name == "InteractiveAuthorizationRequired" ? ErrorKind::kDenied : ErrorKind::kRetry;
}

Status Connection::Open() {
  auto loaded = LoadSystemdLibrary();
  if (!loaded) return loaded.error();
  library_ = *loaded;
  const int result = library_.open_system(&bus_);
  if (result >= 0) return Ok();
  bus_ = nullptr;
  return Failed("be reached on the system bus", result);
}

Status Connection::WatchJobs() {
  const int result = library_.match_signal(bus_, nullptr, kService, kPath, kManager, "JobRemoved", OnJobRemoved, this);
  if (result < 0) return Failed("be watched", result);
  return Ok();
}

int Connection::OnJobRemoved(sd_bus_message* message, void* self, sd_bus_error*) {
  auto& connection = *static_cast<Connection*>(self);
  std::uint32_t number = 0;
  const char* job = nullptr;
  const char* unit = nullptr;
  const char* how = nullptr;
  const int result = connection.library_.message_read(message, "uoss", &number, &job, &unit, &how);
  if (result >= 0) connection.ended_.emplace_back(job, how);
  return result < 0 ? result : 0;
}

Status Connection::Begin(const char* method) {
  if (message_ != nullptr) library_.message_unref(message_);
  message_ = nullptr;
  result_ = library_.message_new_method_call(bus_, &message_, kService, kPath, kManager, method);
  if (result_ < 0) return Failed(std::string("be asked for ") + method, result_);
  return Ok();
}

void Connection::AppendProperties(const UnitProperties& properties, const std::vector<const char*>& flags) {
  Note(library_.message_open_container(message_, 'a', "(sv)"));
  for (const char* flag : flags) Append("(sv)", flag, "b", 1);
  for (const auto& [name, value] : properties) Append("(sv)", name.c_str(), "t", value);
  Note(library_.message_close_container(message_));
}

Status Connection::Call(const std::string& what) {
  if (result_ < 0) return Failed(what, result_);
  if (answer_ != nullptr) library_.message_unref(answer_);
  answer_ = nullptr;
  sd_bus_error error = SD_BUS_ERROR_NULL;
  const int result = library_.call(bus_, message_, std::max<std::uint64_t>(MicrosecondsLeft(), 1), &error, &answer_);
  Status done = Ok();
  if (result < 0) {
    const bool says = error.message != nullptr;
    const Error failed = says ? Failed(what, error.message) : Failed(what, result);
    done = error.name != nullptr ? Error(KindOf(error.name), failed.message()) : failed;
  }
  library_.error_free(&error);
  return done;
}

Status Connection::AwaitJob(const std::string& what) {
  const char* text = nullptr;
  const int read = library_.message_read(answer_, "o", &text);
  if (read < 0) return Failed(what, read);
  const std::string job = text;
  for (;;) {
    const auto found = std::find_if(ended_.begin(), ended_.end(), [&](const auto& one) { return one.first == job; });
    if (found != ended_.end()) {
      if (found->second == "done" || found->second == "skipped") return Ok();
      return Failed(what, ("the job ended with \"" + found->second + "\"").c_str());
    }
    const int processed = library_.process(bus_, nullptr);
    if (processed < 0) return Failed(what, processed);
    if (processed > 0) continue;
    const std::uint64_t left = MicrosecondsLeft();
    if (left == 0) return Failed(what, "the job has not ended in time");
    if (const int waited = library_.wait(bus_, left); waited < 0) return Failed(what, waited);
  }
}

}  // namespace

Status StartTransientSlice(const std::string& slice, const UnitProperties& properties, Nanoseconds deadline) {
  const std::string what = "start " + slice;
  Connection connection(deadline);
  DAEMONSETD_RETURN_IF_ERROR(connection.Open());
  DAEMONSETD_RETURN_IF_ERROR(connection.WatchJobs());
  DAEMONSETD_RETURN_IF_ERROR(connection.Begin("StartTransientUnit"));
  connection.Append("ss", slice.c_str(), "replace");
  // As a kubelet's: what is counted is enforced, and shown by systemd-cgtop.
  connection.AppendProperties(properties, {"CPUAccounting", "MemoryAccounting", "TasksAccounting"});
  connection.Append("a(sa(sv))", 0);
  DAEMONSETD_RETURN_IF_ERROR(connection.Call(what));
  return connection.AwaitJob(what);
}

Status SetUnitProperties(const std::string& unit, const UnitProperties& properties, Nanoseconds deadline) {
  Connection connection(deadline);
  DAEMONSETD_RETURN_IF_ERROR(connection.Open());
  DAEMONSETD_RETURN_IF_ERROR(connection.Begin("SetUnitProperties"));
  connection.Append("sb", unit.c_str(), 1);
  connection.AppendProperties(properties);
  return connection.Call("set properties of " + unit);
}

Status StopUnit(const std::string& unit, Nanoseconds deadline) {
  const std::string what = "stop " + unit;
  Connection connection(deadline);
  DAEMONSETD_RETURN_IF_ERROR(connection.Open());
  DAEMONSETD_RETURN_IF_ERROR(connection.WatchJobs());
  DAEMONSETD_RETURN_IF_ERROR(connection.Begin("StopUnit"));
  connection.Append("ss", unit.c_str(), "replace");
  const Status stopped = connection.Call(what);
  if (!stopped) {
    if (stopped.error().kind() == ErrorKind::kAbsent) return Ok();
    return stopped;
  }
  DAEMONSETD_RETURN_IF_ERROR(connection.AwaitJob(what));
  // Most have not failed, and are not loaded any more: there is nothing to forget then.
  DAEMONSETD_RETURN_IF_ERROR(connection.Begin("ResetFailedUnit"));
  connection.Append("s", unit.c_str());
  const Status reset = connection.Call("forget that " + unit + " failed");
  if (!reset && reset.error().kind() != ErrorKind::kAbsent) return reset;
  return Ok();
}

}  // namespace daemonsetd::node

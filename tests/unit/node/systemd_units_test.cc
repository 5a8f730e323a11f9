// What systemd's manager is told of slices, and what its answers mean: real libsystemd on both sides of a socket, of
// which the other stands for bus and manager.
#include "agent/node/systemd_units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace daemonsetd::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Nanoseconds kDeadline = std::chrono::seconds(20);
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";

// One manager for one test, on a thread of its own: it notes calls and answers as it is told to.
class Manager {
 public:
  Manager() {
    char name[] = "/tmp/daemonsetd-bus-XXXXXX";
    directory_ = ::mkdtemp(name);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ + "/bus";
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path).c_str(), 1);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Manager() {
    ends_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    std::filesystem::remove_all(directory_);
  }

  // Answers of a method from now on.
  void Refuse(const std::string& method, const std::string& error) { refused_[method] = error; }
  void EndJobsWith(const std::string& how) { how_ = how; }  // "": they do not end
  std::vector<std::string> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  void Serve() {
    for (;;) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket < 0) return;
      sd_bus* bus = nullptr;
      sd_id128_t id{};
      EXPECT_GE(sd_bus_new(&bus), 0);
      EXPECT_GE(sd_bus_set_fd(bus, socket, socket), 0);
      EXPECT_GE(sd_bus_set_server(bus, 1, id), 0);
      EXPECT_GE(sd_bus_add_filter(bus, nullptr, OnMessage, this), 0);
      EXPECT_GE(sd_bus_start(bus), 0);
      for (;;) {
        const int result = sd_bus_process(bus, nullptr);
        if (result < 0 || ends_) break;
        if (result == 0 && sd_bus_wait(bus, 50'000) < 0) break;
      }
      sd_bus_close_unref(bus);
    }
  }

  static int OnMessage(sd_bus_message* message, void* self, sd_bus_error*) {
    if (sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
    static_cast<Manager*>(self)->Answer(message);
    return 1;
  }

  void Answer(sd_bus_message* message) {
    const std::string method = sd_bus_message_get_member(message);
    if (method == "Hello") {
      sd_bus_reply_method_return(message, "s", ":1.1");
      return;
    }
    if (method == "AddMatch" || method == "RemoveMatch") {
      sd_bus_reply_method_return(message, "");
      return;
    }
    EXPECT_STREQ(sd_bus_message_get_interface(message), kManager);
    Note(method, message);
    if (const auto refused = refused_.find(method); refused != refused_.end()) {
      sd_bus_reply_method_errorf(message, refused->second.c_str(), "it says no");
      return;
    }
    if (method != "StartTransientUnit" && method != "StopUnit") {
      sd_bus_reply_method_return(message, "");
      return;
    }
    // The end of the job may come before the answer: then nobody waits for it yet.
    if (!how_.empty()) {
      sd_bus_message* signal = nullptr;
      EXPECT_GE(sd_bus_message_new_signal(sd_bus_message_get_bus(message), &signal, "/org/freedesktop/systemd1",
                                          kManager, "JobRemoved"),
                0);
      sd_bus_message_set_sender(signal, "org.freedesktop.systemd1");
      EXPECT_GE(sd_bus_message_append(signal, "uoss", 7, "/org/freedesktop/systemd1/job/7", "a.slice", how_.c_str()),
                0);
      EXPECT_GE(sd_bus_send(sd_bus_message_get_bus(message), signal, nullptr), 0);
      sd_bus_message_unref(signal);
    }
    sd_bus_reply_method_return(message, "o", "/org/freedesktop/systemd1/job/7");
  }

  // "Method unit mode Property=1 …".
  void Note(const std::string& method, sd_bus_message* message) {
    std::string call = method;
    const char* text = nullptr;
    EXPECT_GT(sd_bus_message_read(message, "s", &text), 0);
    call += std::string(" ") + text;
    if (method == "SetUnitProperties") {
      int at_runtime = 0;
      EXPECT_GT(sd_bus_message_read(message, "b", &at_runtime), 0);
      EXPECT_EQ(at_runtime, 1) << "a reboot forgets it, as the group";
    } else if (method != "ResetFailedUnit") {
      EXPECT_GT(sd_bus_message_read(message, "s", &text), 0);
      call += std::string(" ") + text;
    }
    if (sd_bus_message_enter_container(message, 'a', "(sv)") > 0) {
      while (sd_bus_message_enter_container(message, 'r', "sv") > 0) {
        const char* contents = nullptr;
        EXPECT_GT(sd_bus_message_read(message, "s", &text), 0);
        EXPECT_GT(sd_bus_message_peek_type(message, nullptr, &contents), 0);
        std::uint64_t number = 0;
        int flag = 0;
        if (std::string(contents) == "t") {
          EXPECT_GT(sd_bus_message_read(message, "v", "t", &number), 0);
        } else {
          EXPECT_GT(sd_bus_message_read(message, "v", "b", &flag), 0);
          number = static_cast<std::uint64_t>(flag);
        }
        call += std::string(" ") + text + "=" + std::to_string(number);
        sd_bus_message_exit_container(message);
      }
      sd_bus_message_exit_container(message);
    }
    const std::lock_guard lock(mutex_);
    calls_.push_back(call);
  }

  std::string directory_;
  int listener_ = -1;
  std::atomic<bool> ends_ = false;
  std::map<std::string, std::string> refused_;
  std::string how_ = "done";
  std::mutex mutex_;
  std::vector<std::string> calls_;
  std::thread thread_;
};

TEST(SystemdUnits, ASliceStartsWithItsPropertiesAndIsWaitedFor) {
  Manager manager;
  const Status started = StartTransientSlice("a.slice", {{"MemoryMax", 5}, {"CPUWeight", 39}}, kDeadline);
  ASSERT_TRUE(started) << started.error().message();
  EXPECT_THAT(manager.calls(), ElementsAre("StartTransientUnit a.slice replace CPUAccounting=1 MemoryAccounting=1 "
                                           "TasksAccounting=1 MemoryMax=5 CPUWeight=39"));
}

TEST(SystemdUnits, AJobThatFailsOrDoesNotEndIsAnError) {
  Manager manager;
  manager.EndJobsWith("failed");
  const Status failed = StartTransientSlice("a.slice", {}, kDeadline);
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().message(), HasSubstr("systemd: cannot start a.slice: the job ended with \"failed\""));
  manager.EndJobsWith("");
  const Status late = StartTransientSlice("a.slice", {}, std::chrono::milliseconds(200));
  ASSERT_FALSE(late.has_value());
  EXPECT_THAT(late.error().message(), HasSubstr("the job has not ended in time"));
}

TEST(SystemdUnits, WhatIsThereAlreadyIsToldApart) {
  Manager manager;
  manager.Refuse("StartTransientUnit", "org.freedesktop.systemd1.UnitExists");
  const Status started = StartTransientSlice("a.slice", {}, kDeadline);
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().kind(), ErrorKind::kExists);
  EXPECT_THAT(started.error().message(), HasSubstr("it says no"));
}

TEST(SystemdUnits, PropertiesAreSetUntilTheUnitStops) {
  Manager manager;
  ASSERT_TRUE(SetUnitProperties("a.slice", {{"TasksMax", UINT64_MAX}}, kDeadline));
  EXPECT_THAT(manager.calls(), ElementsAre("SetUnitProperties a.slice TasksMax=18446744073709551615"));
}

TEST(SystemdUnits, AUnitStopsAndItsFailureIsForgotten) {
  Manager manager;
  manager.Refuse("ResetFailedUnit", "org.freedesktop.systemd1.NoSuchUnit");  // it is not loaded any more
  ASSERT_TRUE(StopUnit("a.slice", kDeadline));
  EXPECT_THAT(manager.calls(), ElementsAre("StopUnit a.slice replace", "ResetFailedUnit a.slice"));
}

TEST(SystemdUnits, AUnitThatIsGoneHasStopped) {
  Manager manager;
  manager.Refuse("StopUnit", "org.freedesktop.systemd1.NoSuchUnit");
  EXPECT_TRUE(StopUnit("a.slice", kDeadline));
}

TEST(SystemdUnits, WithoutABusTheWordIsClear) {
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/at/all", 1);
  const Status stopped = StopUnit("a.slice", kDeadline);
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  ASSERT_FALSE(stopped.has_value());
  EXPECT_THAT(stopped.error().message(), HasSubstr("systemd: cannot be reached on the system bus"));
}

}  // namespace
}  // namespace daemonsetd::node

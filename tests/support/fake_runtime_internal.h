// What the fake runtime keeps; only for its own files.
#pragma once

#include <deque>

#include "tests/support/fake_runtime.h"

namespace daemonsetd::testing {

struct FakeRuntime::Sandbox {
  std::string name;  // as reserved
  v1::PodSandboxConfig config;
  v1::PodSandboxStatus status;
  std::string runtime_handler;
};

struct FakeRuntime::Container {
  std::string name;  // as reserved
  std::string sandbox_id;
  std::string pod_uid;
  Behaviour behaviour;
  v1::ContainerStatus status;
  std::unique_ptr<async::Timeline::Alarm> own_exit;
  std::unique_ptr<async::Timeline::Alarm> term;
  std::unique_ptr<async::Timeline::Alarm> kill;
  std::vector<Done> stoppers;  // StopContainer calls that wait for the exit
};

// A call under way. Goes on when its caller has given up.
struct FakeRuntime::Operation {
  explicit Operation(async::Executor executor) : wake(std::move(executor)) {}

  std::string method;
  Fault fault;
  Effect effect;
  bool done = false;
  daemonsetd::Status result = Ok();
  async::Wake wake;
  std::unique_ptr<async::Timeline::Alarm> alarm;
};

struct FakeRuntime::EventStream {
  explicit EventStream(async::Executor executor) : wake(std::move(executor)) {}

  std::deque<v1::ContainerEventResponse> queue;
  bool broken = false;
  async::Wake wake;
};

// "CRI <method>: <text>", as the real client words it.
Error CriError(ErrorKind kind, const std::string& method, const std::string& text);

template <class Filter, class Labels>
bool HasLabels(const Filter& filter, const Labels& labels) {
  for (const auto& [key, value] : filter.label_selector()) {
    auto found = labels.find(key);
    if (found == labels.end() || found->second != value) return false;
  }
  return true;
}

}  // namespace daemonsetd::testing

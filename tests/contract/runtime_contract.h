// What every cri::Runtime promises. Run it on each implementation:
//   runtime_contract_test --runtime=fake
//   runtime_contract_test --runtime=endpoint      below tests/support/with-containerd
// A real runtime that is asked for and not there is a failure. The names of the tests end with the runtime's.
#pragma once

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "agent/async/system_timeline.h"
#include "cri/runtime.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/loop.h"

namespace daemonsetd {

namespace v1 = ::runtime::v1;

constexpr auto kCallTimeout = std::chrono::minutes(1);

// The runtime under test.
struct Subject {
  std::string name;      // in the names of the tests: letters, digits and _
  std::string endpoint;  // empty: the fake
  std::string image = "docker.io/library/busybox:1";
};
inline void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }

// A container's process: a shell script for the real runtime and the same as a behaviour for the fake.
struct Program {
  std::string name;
  std::string script;
  testing::Behaviour behaviour;
};
Program Polite();
Program Stubborn();
Program Fails();
Program Succeeds();

class RuntimeContract : public ::testing::TestWithParam<Subject> {
 protected:
  void SetUp() override;
  void TearDown() override;

  bool real() const { return !GetParam().endpoint.empty(); }
  // Containerd's major and minor version; the fake behaves as the newest.
  std::pair<int, int> ContainerdVersion();
  testing::TestLoop::Clock clock() const {
    return real() ? testing::TestLoop::Clock::kStands : testing::TestLoop::Clock::kJumps;
  }
  async::Timeline& timeline() { return real() ? static_cast<async::Timeline&>(system_timeline_) : loop_.timeline(); }

  template <class T>
  T Run(Task<T> task) {
    return loop_.Run(std::move(task), clock());
  }
  void Pause(Nanoseconds duration) { Run(timeline().SleepFor(duration)); }
  // Asks `condition` again and again for some seconds; false if it never came true.
  template <class Condition>
  bool Eventually(Condition condition) {
    for (int i = 0; i < 200 && !condition(); ++i) Pause(std::chrono::milliseconds(50));
    return condition();
  }

  v1::PodSandboxConfig SandboxConfig(const std::string& name) const;
  Result<std::string> TryRunSandbox(const std::string& name);
  std::string RunSandbox(const std::string& name);
  v1::CreateContainerRequest ContainerRequest(const std::string& sandbox, const std::string& pod,
                                              const Program& program) const;
  std::string Create(const std::string& sandbox, const std::string& pod, const Program& program);
  std::string Create(v1::CreateContainerRequest request);
  std::string Start(const std::string& sandbox, const std::string& pod, const Program& program);
  void StartCreated(const std::string& container);
  v1::ContainerStatus StatusOf(const std::string& container);
  v1::ContainerStatus WaitForExit(const std::string& container);

  static constexpr char kTestLabel[] = "daemonsetd.dev/contract-test";

  testing::TestLoop loop_{std::chrono::minutes(2)};
  async::SystemTimeline system_timeline_;
  std::unique_ptr<cri::Runtime> runtime_;
  std::filesystem::path log_root_;
  std::string uid_;
};

}  // namespace daemonsetd

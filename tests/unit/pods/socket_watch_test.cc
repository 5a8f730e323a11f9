// VO-04: a pod that mounts the socket of a daemon that started again talks to nobody, and nobody says so.
#include "agent/pods/socket_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "agent/async/descriptor.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using async::Descriptor;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Descriptor Listen(const std::string& path) {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof(address.sun_path)));
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return socket;
}

using ReplacedSocketTest = TemporaryTree;

class SocketWatchTest : public PodEngineTest {
 protected:
  SocketWatchTest()
      : watch_(
            engine->services, engine->workers,
            [this](const std::string& space, const std::string& name) {
              return engine->supervisor.RestartPod(space, name);
            },
            minutes(1), [this] { ++changes_; },
            [this](const MountedSocket& socket) {
              asked_.push_back(socket);
              return replaced_at_ > socket.since;
            }),
        run_(loop.Start(watch_.Run())) {}
  ~SocketWatchTest() override { loop.Cancel(run_); }

  DaemonSetSource WithHostPath(const std::string& type) {
    DaemonSetSource set = MakeDaemonSet("a");
    corev1::PodSpec& spec = *set.object.mutable_spec()->mutable_template_()->mutable_spec();
    corev1::Volume* volume = spec.add_volumes();
    volume->set_name("runtime");
    volume->mutable_volumesource()->mutable_hostpath()->set_path(path_);
    volume->mutable_volumesource()->mutable_hostpath()->set_type(type);
    corev1::VolumeMount* mount = Main(set).add_volumemounts();
    mount->set_name("runtime");
    mount->set_mountpath("/var/run/runtime.sock");
    return set;
  }
  void Run(DaemonSetSource set) {
    daemon_sets = {std::move(set)};
    Apply();
    loop.Advance(seconds(5));
  }

  const std::string path_ = Path("daemon.sock");
  const Descriptor socket_ = Listen(path_);
  std::vector<MountedSocket> asked_;
  WallTime replaced_at_;  // a socket that is older than every container
  int changes_ = 0;
  SocketWatch watch_;
  std::shared_ptr<testing::Started<void>> run_;
};

TEST_F(SocketWatchTest, TellsOnceOfAContainerThatHoldsAnOldSocket) {
  Run(WithHostPath(""));
  const std::vector<std::string> before = RunningContainers();
  loop.Advance(minutes(3));
  EXPECT_THAT(asked_, Not(IsEmpty()));
  EXPECT_EQ(asked_.back().path, path_);
  EXPECT_EQ(asked_.back().container_id, before.at(0));
  EXPECT_THAT(EventReasons(), Not(Contains("StaleSocketMount")));

  replaced_at_ = loop.timeline().Read().wall;
  loop.Advance(minutes(5));
  EXPECT_THAT(EventReasons(), Contains("StaleSocketMount").Times(1));
  EXPECT_THAT(engine->events.Recent().back()->event.message(),
              HasSubstr("the host's socket " + path_ +
                        " was replaced; container main still holds the old one; mount its directory instead, or "
                        "restart the pod: daemonsetctl restart pod a-"));
  EXPECT_EQ(watch_.count(), 1);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(RunningContainers(), before) << "it was not asked to restart anything";
}

TEST_F(SocketWatchTest, LooksAtOnceWhenTold) {
  Run(WithHostPath("Socket"));
  replaced_at_ = loop.timeline().Read().wall;
  watch_.Notify();
  loop.Settle();
  EXPECT_EQ(watch_.count(), 1);
}

TEST_F(SocketWatchTest, RestartsAPodThatAsksForItAndOnlyOnce) {
  DaemonSetSource set = WithHostPath("Socket");
  (*set.object.mutable_spec()
        ->mutable_template_()
        ->mutable_metadata()
        ->mutable_annotations())["daemonsetd.dev/restart-on-replaced-socket"] = "true";
  Run(std::move(set));
  const std::vector<std::string> before = RunningContainers();
  replaced_at_ = loop.timeline().Read().wall;
  loop.Advance(minutes(10));
  const std::vector<std::string> after = RunningContainers();
  ASSERT_THAT(after, SizeIs(1));
  EXPECT_NE(after, before);
  EXPECT_THAT(EventReasons(), Contains("StaleSocketMount").Times(1));
  EXPECT_EQ(watch_.count(), 0) << "the new pod holds the new socket";
  EXPECT_EQ(runtime.Count("RunPodSandbox"), 2);
}

TEST_F(SocketWatchTest, OtherHostPathsAreNotLookedAt) {
  DaemonSetSource set = WithHostPath("DirectoryOrCreate");
  corev1::PodSpec& spec = *set.object.mutable_spec()->mutable_template_()->mutable_spec();
  spec.mutable_volumes(0)->mutable_volumesource()->mutable_hostpath()->set_path(Path("directory"));
  Run(std::move(set));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  loop.Advance(minutes(3));
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(ReplacedSocketTest, ASocketThatIsYoungerThanTheContainerWasReplaced) {
  MountedSocket mounted{.path = Path("daemon.sock")};
  const Descriptor first = Listen(mounted.path);
  mounted.since = std::chrono::system_clock::now();
  EXPECT_FALSE(IsReplaced(mounted));
  ASSERT_EQ(::unlink(mounted.path.c_str()), 0);
  EXPECT_FALSE(IsReplaced(mounted)) << "nothing can be said while the daemon is away";
  ::usleep(20'000);  // file systems take their times from a coarse clock
  const Descriptor second = Listen(mounted.path);
  EXPECT_TRUE(IsReplaced(mounted));
}

TEST_F(ReplacedSocketTest, OnlySocketsCount) {
  Write(Path("file"), "");
  EXPECT_FALSE(IsReplaced({.path = Path("file")}));
}

}  // namespace
}  // namespace daemonsetd::pods

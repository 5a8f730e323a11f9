// Objects that pods name, in the pod engine: what waits for them, what they fill, what follows when they change.
#include "agent/pods/pod_objects.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <filesystem>
#include <stdexcept>

#include "agent/base/log.h"
#include "agent/pods/volumes/mount_table.h"
#include "tests/unit/pods/fake_objects.h"
#include "tests/unit/pods/pod_engine.h"

namespace daemonsetd::pods {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class PodObjectsTest : public PodEngineTest {
 protected:
  PodObjectsTest() {
    objects = api;
    engine->services.objects = api;
  }
  // Takes the pods down, so that nothing stays mounted.
  ~PodObjectsTest() override {
    api->SetDelay(Nanoseconds::zero());
    daemon_sets.clear();
    Apply();
    loop.Advance(minutes(5));
    EXPECT_THAT(runtime.Sandboxes(), IsEmpty());
  }

  // A DaemonSet "a" whose container has `container` and whose pod has `spec` besides, in protobuf's text.
  void Run(const std::string& spec, const std::string& container) {
    DaemonSetSource set = MakeDaemonSet("a");
    auto& pod_spec = *set.object.mutable_spec()->mutable_template_()->mutable_spec();
    google::protobuf::TextFormat::Parser parser;
    corev1::PodSpec more_spec;
    corev1::Container more_container;
    if (!parser.ParseFromString(spec, &more_spec) || !parser.ParseFromString(container, &more_container)) {
      throw std::runtime_error("the test's pod is wrong");
    }
    pod_spec.MergeFrom(more_spec);
    pod_spec.mutable_containers(0)->MergeFrom(more_container);
    daemon_sets = {set};
    Apply();
    loop.Settle();
  }
  void RunWithVolume(const std::string& source, const std::string& spec = "") {
    Run(spec + R"( volumes { name: "v" volumeSource { )" + source + " } }",
        R"(volumeMounts { name: "v" mountPath: "/v" })");
  }
  const PodWorker& Worker() { return *engine->workers.all().begin()->second; }
  std::string VolumePath(const std::string& plugin) {
    return Path("kubelet/pods/" + Worker().pod().metadata().uid() + "/volumes/kubernetes.io~" + plugin + "/v");
  }
  std::vector<std::string> Messages(const std::string& reason) {
    std::vector<std::string> messages;
    for (const auto& logged : engine->events.Recent()) {
      if (logged->event.reason() == reason) messages.push_back(logged->event.message());
    }
    return messages;
  }
  // "NAME=value" of the newest container.
  std::vector<std::string> Environment() {
    std::vector<std::string> envs;
    for (const auto& call : runtime.calls()) {
      if (call.method != "CreateContainer") continue;
      envs.clear();
      for (const auto& env : static_cast<const cri::v1::CreateContainerRequest&>(*call.request).config().envs()) {
        envs.push_back(env.key() + "=" + env.value());
      }
    }
    return envs;
  }
  std::vector<std::string> PullUsers() {
    std::vector<std::string> users;
    for (const auto& call : runtime.calls()) {
      if (call.method != "PullImage") continue;
      users.push_back(static_cast<const cri::v1::PullImageRequest&>(*call.request).auth().username());
    }
    return users;
  }

  std::shared_ptr<FakeObjects> api = std::make_shared<FakeObjects>(loop.timeline());
};

constexpr char kSettings[] = R"(configMap { localObjectReference { name: "settings" } })";
constexpr char kToken[] =
    R"(projected { sources { serviceAccountToken { path: "token" audience: "vault" expirationSeconds: 3600 } } })";
constexpr char kAccount[] = R"(serviceAccountName: "agent" )";

TEST_F(PodObjectsTest, APodWaitsForAMissingConfigMapAndStartsByItselfWhenItComes) {
  RunWithVolume(kSettings);
  loop.Advance(minutes(10));  // by then the back-off is long
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(Messages("FailedMount"),
              Contains("MountVolume.SetUp failed for volume \"v\" : configmap \"settings\" not found"));
  EXPECT_THAT(Worker().waiting_for(), HasSubstr("configmap \"settings\" not found"));
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  loop.Advance(milliseconds(100));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(Read(VolumePath("configmap") + "/a.conf"), "1");
}

TEST_F(PodObjectsTest, AMissingKeyIsNamedAndWaitedFor) {
  api->SetConfigMap("settings", {});
  RunWithVolume(R"(configMap { localObjectReference { name: "settings" } items { key: "k" path: "p" } })");
  loop.Advance(seconds(1));
  EXPECT_THAT(Messages("FailedMount"), Contains("MountVolume.SetUp failed for volume \"v\" : configmap \"settings\" "
                                                "references non-existent config key: k"));
  api->SetConfigMap("settings", {{"k", "1"}});
  loop.Advance(milliseconds(100));
  EXPECT_EQ(Read(VolumePath("configmap") + "/p"), "1");
}

// VO-07
TEST_F(PodObjectsTest, ASlowServerMakesAPodLateAndNobodyComplains) {
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  api->SetDelay(seconds(3));
  RunWithVolume(kSettings);
  loop.Advance(seconds(2));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  loop.Advance(seconds(30));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(Messages("FailedMount"), IsEmpty());
}

// VO-07
TEST_F(PodObjectsTest, AServerThatCannotBeReachedIsNotAMissingObject) {
  api->SetDown(true);
  RunWithVolume(kSettings);
  loop.Advance(minutes(5));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(Messages("FailedMount"), IsEmpty());
  EXPECT_THAT(Worker().waiting_for(), HasSubstr("cannot be reached"));
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  api->SetDown(false);
  loop.Advance(milliseconds(100));
  EXPECT_THAT(RunningContainers(), SizeIs(1));

  api->SetDelay(minutes(1));  // longer than anybody waits
  Main(daemon_sets[0]).add_args("--changed");
  Apply();
  loop.Advance(minutes(5));
  EXPECT_THAT(Messages("FailedMount"), IsEmpty());
}

TEST_F(PodObjectsTest, AnOptionalObjectMayBeMissingAndIsSeenWhenItComes) {
  RunWithVolume(R"(configMap { localObjectReference { name: "settings" } optional: true })");
  loop.Advance(seconds(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(Messages("FailedMount"), IsEmpty());
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  loop.Advance(milliseconds(100));
  EXPECT_EQ(Read(VolumePath("configmap") + "/a.conf"), "1");
}

TEST_F(PodObjectsTest, FilesChangeUnderARunningContainer) {
  api->SetConfigMap("settings", {{"a.conf", "1"}, {"gone", "1"}});
  RunWithVolume(kSettings);
  loop.Advance(seconds(1));
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  api->SetConfigMap("settings", {{"a.conf", "2"}, {"come", "2"}});
  loop.Advance(milliseconds(100));
  const std::string path = VolumePath("configmap");
  EXPECT_EQ(Read(path + "/a.conf"), "2");
  EXPECT_EQ(Read(path + "/come"), "2");
  EXPECT_FALSE(Exists(path + "/gone"));
  EXPECT_EQ(RunningContainers(), before);

  const auto written = std::filesystem::read_symlink(path + "/..data");
  api->SetConfigMap("settings", {{"a.conf", "2"}, {"come", "2"}});
  loop.Advance(minutes(1));
  EXPECT_EQ(std::filesystem::read_symlink(path + "/..data"), written) << "the same content writes nothing";
}

TEST_F(PodObjectsTest, AnObjectThatIsRemovedUnderARunningContainerLeavesItsFiles) {
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  RunWithVolume(kSettings);
  loop.Advance(seconds(1));
  const auto before = RunningContainers();
  api->RemoveConfigMap("settings");
  loop.Advance(minutes(1));
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_EQ(Read(VolumePath("configmap") + "/a.conf"), "1");
  EXPECT_THAT(Messages("FailedMount"), Contains(HasSubstr("configmap \"settings\" not found")));
  api->SetConfigMap("settings", {{"a.conf", "2"}});
  loop.Advance(milliseconds(100));
  EXPECT_EQ(Read(VolumePath("configmap") + "/a.conf"), "2");
}

TEST_F(PodObjectsTest, NobodyIsToldOfChangesOnceThePodIsGone) {
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  RunWithVolume(kSettings);
  loop.Advance(seconds(1));
  EXPECT_EQ(api->watches(), 1u);
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(1));
  EXPECT_EQ(api->watches(), 0u);
  EXPECT_THAT(runtime.Sandboxes(), IsEmpty());
}

TEST_F(PodObjectsTest, TheEnvironmentWaitsForItsObjectsAndNeverChanges) {
  Run("",
      R"(env { name: "LEVEL" valueFrom { configMapKeyRef { localObjectReference { name: "settings" } key: "level" } } })");
  loop.Advance(minutes(5));
  EXPECT_THAT(RunningContainers(), IsEmpty());
  EXPECT_THAT(Messages("Failed"), Contains(HasSubstr("env LEVEL: configmap \"settings\" not found")));
  api->SetConfigMap("settings", {{"level", "debug"}});
  loop.Advance(milliseconds(100));
  const auto before = RunningContainers();
  ASSERT_THAT(before, SizeIs(1));
  EXPECT_THAT(Environment(), Contains("LEVEL=debug"));
  api->SetConfigMap("settings", {{"level", "info"}});
  loop.Advance(minutes(1));
  EXPECT_EQ(RunningContainers(), before);
  EXPECT_EQ(runtime.Count("CreateContainer"), 1);
  runtime.ExitContainer(before[0], 1);
  loop.Advance(minutes(1));
  EXPECT_THAT(Environment(), Contains("LEVEL=info")) << "a new container reads it anew";
}

// VO-07
TEST_F(PodObjectsTest, AnEnvironmentThatNobodyCanTellIsNotAFailure) {
  api->SetDown(true);
  Run(kAccount, "");
  loop.Advance(minutes(5));
  EXPECT_THAT(RunningContainers(), IsEmpty()) << "it would not know of the Services for all its life";
  EXPECT_THAT(Messages("Failed"), IsEmpty());
}

TEST_F(PodObjectsTest, KeysThatNameNoVariableAreToldOf) {
  api->SetConfigMap("settings", {{"a=b", "1"}, {"GOOD", "2"}});
  Run("", R"(envFrom { configMapRef { localObjectReference { name: "settings" } } })");
  loop.Advance(seconds(1));
  EXPECT_THAT(Environment(), ElementsAre("GOOD=2"));
  EXPECT_THAT(Messages("InvalidEnvironmentVariableNames"),
              Contains(HasSubstr("Keys [a=b] from the EnvFrom configMap")));
}

TEST_F(PodObjectsTest, ServicesOfItsNamespaceAreLinkedUnlessThePodSaysNo) {
  api->SetService("default", "kubernetes", "10.96.0.1", 443);
  api->SetService("default", "db", "10.96.0.2", 5432);
  api->SetService("other", "x", "10.96.0.3", 80);
  Run("", "");
  loop.Advance(seconds(1));
  EXPECT_THAT(Environment(), AllOf(Contains("KUBERNETES_SERVICE_HOST=10.96.0.1"), Contains("DB_SERVICE_PORT=5432"),
                                   Not(Contains(HasSubstr("X_SERVICE")))));
  Run("enableServiceLinks: false", "");
  loop.Advance(minutes(2));
  EXPECT_THAT(Environment(), AllOf(Contains("KUBERNETES_SERVICE_HOST=10.96.0.1"), Not(Contains(HasSubstr("DB_")))));
}

TEST_F(PodObjectsTest, SecretsAreKeptInMemory) {
  DAEMONSETD_NEEDS_ROOT();
  api->SetSecret("db", {{"password", "hidden"}});
  RunWithVolume(R"(secret { secretName: "db" defaultMode: 256 })", "securityContext { fsGroup: 2000 }");
  loop.Advance(seconds(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  const std::string path = VolumePath("secret");
  struct statfs status{};
  ASSERT_EQ(::statfs(path.c_str(), &status), 0);
  EXPECT_EQ(status.f_type, 0x01021994) << "tmpfs";
  EXPECT_EQ(Read(path + "/password"), "hidden");
  EXPECT_EQ(Mode(path + "/password"), 0440u);
  api->SetSecret("db", {{"password", "changed"}});
  loop.Advance(milliseconds(100));
  EXPECT_EQ(Read(path + "/password"), "changed");
  EXPECT_THAT(*MountsBeneath(root_), SizeIs(1));
  daemon_sets.clear();
  Apply();
  loop.Advance(minutes(1));
  EXPECT_FALSE(Exists(path));
  EXPECT_THAT(*MountsBeneath(root_), IsEmpty());
}

// VO-06, VO-10: a reboot without the API server.
TEST_F(PodObjectsTest, AfterARebootMemoryIsFilledFromTheCacheBeforeAnythingStarts) {
  DAEMONSETD_NEEDS_ROOT();
  api->SetSecret("db", {{"password", "hidden"}});
  RunWithVolume(R"(secret { secretName: "db" })");
  loop.Advance(seconds(1));
  const std::string path = VolumePath("secret");
  Stop();
  ASSERT_EQ(::umount2(path.c_str(), MNT_DETACH), 0);
  runtime.Boot();
  api->SetDown(true);
  Start();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), IsEmpty()) << "nobody knows the secret";
  Stop();
  api->SetDown(true, true);
  const WallTime since = loop.timeline().Read().wall;
  Start();
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_EQ(Read(path + "/password"), "hidden");
  EXPECT_EQ(Worker().objects_cached_since(), since);
  EXPECT_THAT(Messages("CachedObjects"), Contains(HasSubstr(FormatRfc3339(since))));
  api->SetDown(false);
  loop.Advance(minutes(1));
  EXPECT_EQ(Worker().objects_cached_since(), std::nullopt);
}

TEST_F(PodObjectsTest, ARestartWithoutTheServerGoesOnWithTheFilesThatAreThere) {
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  RunWithVolume(kSettings);
  loop.Advance(seconds(1));
  const auto before = RunningContainers();
  Stop();
  api->SetDown(true);
  Start();
  loop.Advance(seconds(5));
  EXPECT_EQ(RunningContainers(), before);
  runtime.ExitContainer(before[0], 1);
  loop.Advance(minutes(1));
  EXPECT_THAT(RunningContainers(), SizeIs(1)) << "it may be started again";
  EXPECT_THAT(Messages("FailedMount"), IsEmpty());
  api->SetConfigMap("settings", {{"a.conf", "2"}});
  api->SetDown(false);
  loop.Advance(milliseconds(100));
  EXPECT_EQ(Read(VolumePath("configmap") + "/a.conf"), "2");
}

TEST_F(PodObjectsTest, ATokenIsBoundToItsPodAndReplacedBeforeItRunsOut) {
  DAEMONSETD_NEEDS_ROOT();
  api->SetAccount("agent", {});
  api->SetTokenLifetime(minutes(10));  // whatever was asked for
  RunWithVolume(kToken, kAccount);
  loop.Advance(seconds(1));
  ASSERT_THAT(RunningContainers(), SizeIs(1));
  const auto before = RunningContainers();
  ASSERT_THAT(api->token_requests(), SizeIs(1));
  const TokenRequest& request = api->token_requests()[0];
  EXPECT_EQ(request.name_space, "default");
  EXPECT_EQ(request.service_account, "agent");
  EXPECT_EQ(request.audience, "vault");
  EXPECT_EQ(request.expiration, hours(1));
  EXPECT_EQ(request.pod_name, Worker().pod().metadata().name());
  EXPECT_EQ(request.pod_uid, Worker().pod().metadata().uid());
  const std::string file = VolumePath("projected") + "/token";
  EXPECT_EQ(Read(file), "token-1");
  loop.Advance(minutes(7));
  EXPECT_EQ(Read(file), "token-1");
  loop.Advance(seconds(90));
  EXPECT_EQ(Read(file), "token-2");
  loop.Advance(minutes(17));
  EXPECT_EQ(Read(file), "token-4");
  EXPECT_EQ(RunningContainers(), before);
}

// VO-09
TEST_F(PodObjectsTest, AClockThatJumpsBringsANewToken) {
  DAEMONSETD_NEEDS_ROOT();
  api->SetAccount("agent", {});
  RunWithVolume(kToken, kAccount);
  loop.Advance(seconds(1));
  const std::string file = VolumePath("projected") + "/token";
  for (const Nanoseconds jump : {Nanoseconds(-hours(2)), Nanoseconds(hours(2))}) {
    const std::size_t requests = api->token_requests().size();
    loop.timeline().JumpWall(jump);
    loop.Advance(PodTokens::kCheckPeriod);
    EXPECT_EQ(api->token_requests().size(), requests + 1);
    EXPECT_EQ(Read(file), "token-" + std::to_string(requests + 1));
    loop.Advance(minutes(10));
    EXPECT_EQ(api->token_requests().size(), requests + 1);
  }
}

TEST_F(PodObjectsTest, ATokenStaysWhileNoNewOneCanBeHad) {
  DAEMONSETD_NEEDS_ROOT();
  api->SetAccount("agent", {});
  api->SetTokenLifetime(minutes(10));
  RunWithVolume(kToken, kAccount);
  loop.Advance(seconds(1));
  const auto before = RunningContainers();
  const std::string file = VolumePath("projected") + "/token";
  api->SetDown(true);
  const int questions = api->questions();
  loop.Advance(minutes(20));
  EXPECT_EQ(Read(file), "token-1");
  EXPECT_LE(api->questions() - questions, 20) << "asked with a back-off";
  api->SetDown(false);
  loop.Advance(milliseconds(100));
  EXPECT_EQ(Read(file), "token-2");
  EXPECT_EQ(RunningContainers(), before);
}

TEST_F(PodObjectsTest, APodTriesItsPullSecretsAndThenNone) {
  const auto auths = [](const std::string& user) {
    return R"({"auths": {"docker.io": {"username": ")" + user + R"(", "password": "hidden"}}})";
  };
  api->SetSecret("one", {{".dockerconfigjson", auths("u1")}}, "kubernetes.io/dockerconfigjson");
  api->SetSecret("two", {{".dockercfg", R"({"docker.io": {"username": "u2", "password": "hidden"}})"}},
                 "kubernetes.io/dockercfg");
  api->SetSecret("broken", {{".dockerconfigjson", "hidden"}}, "kubernetes.io/dockerconfigjson");
  runtime.SetPull("docker.io/library/private:1", {.error = Error(ErrorKind::kDenied, "401 Unauthorized")});
  Run(R"(imagePullSecrets { name: "one" } imagePullSecrets { name: "two" } imagePullSecrets { name: "absent" }
         imagePullSecrets { name: "broken" })",
      R"(image: "docker.io/library/private:1")");
  loop.Advance(seconds(1));
  EXPECT_THAT(PullUsers(), ElementsAre("u1", "u2"));
  EXPECT_THAT(Messages("FailedToRetrieveImagePullSecret"),
              Contains("Unable to retrieve some image pull secrets (absent, broken); attempting to pull the image may "
                       "not succeed."));

  // GC-04: a repaired secret is tried at once, whatever the back-off.
  loop.Advance(minutes(10));
  runtime.ClearCalls();
  runtime.SetPull("docker.io/library/private:1", {});
  api->SetSecret("one", {{".dockerconfigjson", auths("a-new-one")}}, "kubernetes.io/dockerconfigjson");
  loop.Advance(seconds(1));
  EXPECT_THAT(PullUsers(), ElementsAre("a-new-one"));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  for (const auto& logged : engine->events.Recent()) EXPECT_THAT(logged->event.message(), Not(HasSubstr("hidden")));
}

TEST_F(PodObjectsTest, APodWithoutPullSecretsHasThoseOfItsAccount) {
  api->SetAccount("agent", {"one"});
  api->SetSecret("one", {{".dockerconfigjson", R"({"auths": {"docker.io": {"username": "u1", "password": "p"}}})"}},
                 "kubernetes.io/dockerconfigjson");
  runtime.SetPull("docker.io/library/private:1", {});
  Run(kAccount, R"(image: "docker.io/library/private:1")");
  loop.Advance(seconds(1));
  EXPECT_THAT(PullUsers(), ElementsAre("u1"));
  EXPECT_THAT(RunningContainers(), SizeIs(1));
}

// SE-04
TEST_F(PodObjectsTest, NothingSecretIsLoggedOrToldAtAnyLevel) {
  DAEMONSETD_NEEDS_ROOT();
  log::SetLevel(log::Level::kDebug);
  ::testing::internal::CaptureStderr();
  api->SetAccount("agent", {});
  api->SetTokenLifetime(minutes(10));
  api->SetSecret("db", {{"password", "hidden"}});
  Run(std::string(kAccount) + R"(volumes { name: "v" volumeSource { projected {
          sources { serviceAccountToken { path: "token" } } sources { secret { localObjectReference { name: "db" } } }
          sources { secret { localObjectReference { name: "late" } } } } } })",
      R"(volumeMounts { name: "v" mountPath: "/v" }
         env { name: "P" valueFrom { secretKeyRef { localObjectReference { name: "db" } key: "password" } } })");
  loop.Advance(minutes(1));
  api->SetSecret("late", {{"x", "hidden"}});
  loop.Advance(minutes(9));
  api->SetDown(true);
  loop.Advance(minutes(15));
  api->SetDown(false);
  loop.Advance(minutes(1));
  log::SetLevel(log::Level::kInfo);
  const std::string logged = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(RunningContainers(), SizeIs(1));
  EXPECT_THAT(logged, HasSubstr("no new token for a pod")) << "the test must see the log";
  for (const char* secret : {"hidden", "token-"}) {
    EXPECT_THAT(logged, Not(HasSubstr(secret)));
    for (const auto& event : engine->events.Recent()) EXPECT_THAT(event->event.message(), Not(HasSubstr(secret)));
  }
}

TEST_F(PodObjectsTest, WithoutAnApiServerThePodSaysWhatItLacks) {
  engine->services.objects = std::make_shared<NoObjects>();
  RunWithVolume(kSettings);
  loop.Advance(seconds(1));
  EXPECT_THAT(Messages("FailedMount"),
              Contains("MountVolume.SetUp failed for volume \"v\" : needs ConfigMap settings: no "
                       "API server is configured"));
}

TEST_F(PodObjectsTest, AnIdlePodAsksNothing) {
  api->SetConfigMap("settings", {{"a.conf", "1"}});
  RunWithVolume(kSettings);
  loop.Advance(seconds(1));
  const int questions = api->questions();
  loop.Advance(minutes(5));
  EXPECT_EQ(api->questions(), questions);
}

}  // namespace
}  // namespace daemonsetd::pods

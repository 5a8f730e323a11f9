#include "agent/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "agent/config/command_line.h"
#include "agent/config/reference.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_data.h"

namespace daemonsetd::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

const Surroundings kMachine{.host_name = "node-1"};

Layer Written(const std::string& file, const std::string& keys) {
  return {.file = file, .text = "apiVersion: daemonsetd.dev/v1alpha1\nkind: DaemonsetdConfiguration\n" + keys};
}

Config Built(const std::vector<Layer>& layers, const std::vector<Override>& overrides = {},
             const Surroundings& machine = kMachine) {
  LoadResult result = Build(layers, overrides, machine);
  if (!result.config) throw std::runtime_error(ErrorsText(result));
  return std::move(*result.config);
}

std::string ErrorsOf(const std::vector<Layer>& layers, const std::vector<Override>& overrides = {},
                     const Surroundings& machine = kMachine) {
  return ErrorsText(Build(layers, overrides, machine));
}

std::vector<std::string> BadConfigs() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing::SourcePath("tests/unit/config/testdata/bad"))) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class BadConfig : public ::testing::TestWithParam<std::string> {};

TEST_P(BadConfig, IsExplained) {
  const std::string base = "tests/unit/config/testdata/bad/" + GetParam();
  const Layer layer{.file = "config.yaml", .text = testing::ReadTestData(base + ".yaml")};
  const LoadResult result = Build({layer}, {}, kMachine);
  EXPECT_FALSE(result.config);
  EXPECT_TRUE(testing::MatchesGolden(base + ".golden", ErrorsText(result)));
}

INSTANTIATE_TEST_SUITE_P(All, BadConfig, ::testing::ValuesIn(BadConfigs()),
                         [](const auto& info) { return info.param; });

TEST(Config, WithoutAFileHasEveryDefault) {
  const Config config = Built({});
  const Message& message = config.message;
  EXPECT_EQ(message.nodename(), "node-1");
  EXPECT_EQ(message.maxpods(), 110);
  EXPECT_EQ(message.manifestdirectory(), "/etc/daemonsetd/manifests");
  EXPECT_EQ(message.runtimeendpoint(), "unix:///run/containerd/containerd.sock");
  EXPECT_EQ(message.imageserviceendpoint(), message.runtimeendpoint());
  EXPECT_EQ(message.podroot(), "/var/lib/kubelet");
  EXPECT_EQ(message.socketgroup(), "daemonsetd");
  EXPECT_EQ(message.logging().level(), "info");
  ASSERT_EQ(message.nodetaints_size(), 1);
  EXPECT_EQ(message.nodetaints(0).key(), "daemonsetd.dev/daemonsets-only");
  EXPECT_EQ(message.kubeconfig(), "");
  EXPECT_EQ(message.podsource(), "local");
  EXPECT_TRUE(message.registernode());
  EXPECT_TRUE(message.checkpointsecrets());
  EXPECT_EQ(config.durations.node_lease_duration, 40s);
  EXPECT_EQ(config.durations.api_server_start_wait, 5s);
  EXPECT_EQ(config.durations.file_check_frequency, 20s);
  EXPECT_EQ(config.durations.runtime_request_timeout, 2min);
  EXPECT_EQ(config.durations.image_pull_timeout, 1h);
  EXPECT_EQ(config.durations.image_pull_progress_timeout, 5min);
  EXPECT_EQ(config.durations.image_minimum_gc_age, 2min);
  EXPECT_EQ(config.durations.image_gc_period, 1min);
  EXPECT_EQ(message.imagegchighthresholdpercent(), 85);
  EXPECT_EQ(message.imagegclowthresholdpercent(), 80);
  EXPECT_THAT(message.evictionhard(),
              UnorderedElementsAre(Pair("memory.available", "100Mi"), Pair("nodefs.available", "10%"),
                                   Pair("nodefs.inodesFree", "5%"), Pair("imagefs.available", "15%"),
                                   Pair("imagefs.inodesFree", "5%")));
  EXPECT_EQ(config.durations.eviction_pressure_transition_period, 5min);
  EXPECT_EQ(message.evictionmaxpodgraceperiod(), 0);
  EXPECT_TRUE(message.cgroupsperqos());
  EXPECT_EQ(message.podpidslimit(), -1);
  EXPECT_EQ(config.durations.runtime_poll_interval, 200ms);
  EXPECT_EQ(config.durations.runtime_idle_poll_interval, 2s);
  EXPECT_EQ(config.durations.shutdown_timeout, 10s);
  EXPECT_EQ(config.durations.shutdown_grace_period, 30s);
  EXPECT_EQ(config.durations.shutdown_grace_period_critical_pods, 10s);
  EXPECT_EQ(config.durations.crash_loop_back_off.initial, 10s);
  EXPECT_EQ(config.durations.crash_loop_back_off.maximum, 5min);
  EXPECT_EQ(config.durations.crash_loop_back_off.reset_after, 10min);
}

TEST(Config, FlagsWinOverDropInsOverTheFileOverDefaults) {
  const std::vector<Layer> layers{Written("config.yaml", "maxPods: 1\nnodeName: a\npodRoot: /a\n"),
                                  Written("10-site.conf", "nodeName: b\npodRoot: /b\n")};
  const Message message = Built(layers, {{.flag = "--pod-root", .key = "podRoot", .value = "/c"}}).message;
  EXPECT_EQ(message.maxpods(), 1);
  EXPECT_EQ(message.nodename(), "b");
  EXPECT_EQ(message.podroot(), "/c");
}

TEST(Config, ObjectsAreMergedAndKeepWhatALaterFileDoesNotName) {
  const Message message = Built({Written("a", "nodeLabels: {u: a, v: a}\nlogging: {format: json}\n"),
                                 Written("b", "nodeLabels: {v: b, w: b}\nlogging: {level: debug}\n")})
                              .message;
  EXPECT_THAT(message.nodelabels(), UnorderedElementsAre(Pair("u", "a"), Pair("v", "b"), Pair("w", "b")));
  EXPECT_EQ(message.logging().format(), "json");
  EXPECT_EQ(message.logging().level(), "debug");
}

TEST(Config, ListsAreReplacedWhole) {
  const Message message =
      Built({Written("a", "clusterDNS: [10.0.0.1, 10.0.0.2]\n"), Written("b", "clusterDNS: [10.0.0.3]\n")}).message;
  EXPECT_THAT(message.clusterdns(), ElementsAre("10.0.0.3"));
}

TEST(Config, NullRemoves) {
  const Message message = Built({Written("a", "maxPods: 5\nnodeLabels: {u: a, v: a}\nclusterDNS: [10.0.0.1]\n"),
                                 Written("b", "maxPods: null\nnodeLabels: {u: null}\nclusterDNS: ~\n")})
                              .message;
  EXPECT_EQ(message.maxpods(), 110) << "the default applies again";
  EXPECT_THAT(message.nodelabels(), UnorderedElementsAre(Pair("v", "a")));
  EXPECT_THAT(message.clusterdns(), IsEmpty());
}

TEST(Config, LabelKeyThatYamlTakesForAFlagIsNotLost) {
  EXPECT_EQ(Built({Written("a", "nodeLabels: {y: b}\n")}).message.nodelabels_size(), 1);
}

TEST(Config, EmptyListOfTaintsMeansNoTaintAndNullTheDefaultOne) {
  EXPECT_EQ(Built({Written("a", "nodeTaints: []\n")}).message.nodetaints_size(), 0);
  EXPECT_EQ(Built({Written("a", "nodeTaints: []\n"), Written("b", "nodeTaints: null\n")}).message.nodetaints_size(), 1);
}

TEST(Config, SpareSlashesAreDropped) {
  EXPECT_EQ(Built({Written("a", "podRoot: //var/lib//kubelet/\n")}).message.podroot(), "/var/lib/kubelet");
}

TEST(Config, ResourcesMayBeNumbers) {
  EXPECT_EQ(
      Built({Written("a", "systemReserved: {cpu: 1, memory: 200Mi}\n")}).message.systemreserved().at("cpu").string(),
      "1");
}

TEST(Config, EnvironmentGivesTheEndpointWhereNoFileDoes) {
  const Surroundings machine{.host_name = "n", .runtime_endpoint = "unix:///run/x.sock"};
  const Message message = Built({}, {}, machine).message;
  EXPECT_EQ(message.runtimeendpoint(), "unix:///run/x.sock");
  EXPECT_EQ(message.imageserviceendpoint(), "unix:///run/x.sock");
  EXPECT_EQ(Built({Written("a", "runtimeEndpoint: unix:///run/y.sock\n")}, {}, machine).message.runtimeendpoint(),
            "unix:///run/y.sock");
}

TEST(Config, ErrorsNameTheFileThatWroteTheValue) {
  EXPECT_EQ(ErrorsOf({Written("config.yaml", "maxPods: 0\n"), Written("config.d/10-a.conf", "\nmaxPods: -1\n")}),
            "config.d/10-a.conf:4: maxPods: -1 is out of range; write 1 to 10000\n");
}

TEST(Config, ErrorsNameTheFlagTheVariableOrTheMachine) {
  EXPECT_THAT(ErrorsOf({}, {{.flag = "--log-level", .key = "logging.level", .value = "loud"}}),
              StartsWith("--log-level: logging.level: \"loud\" is not known"));
  EXPECT_THAT(
      ErrorsOf({}, {}, {.host_name = "n", .runtime_endpoint = "/run/x.sock"}),
      StartsWith("environment variable CONTAINER_RUNTIME_ENDPOINT: runtimeEndpoint: \"/run/x.sock\" has no scheme"));
  EXPECT_THAT(ErrorsOf({}, {}, {.host_name = "node_1"}), StartsWith("host name: nodeName: \"node_1\" is not"));
  EXPECT_THAT(ErrorsOf({}, {}, {.host_name = ""}), HasSubstr("set nodeName"));
}

TEST(Config, AllFilesErrorsShowAtOnceInTheirOrder) {
  const std::string errors =
      ErrorsOf({Written("config.yaml", "maxPod: 1\npodRoot: x\n"), Written("a.conf", "maxPods: 0\n")});
  EXPECT_THAT(errors, HasSubstr("config.yaml:3: "));
  EXPECT_THAT(errors, HasSubstr("config.yaml:4: podRoot"));
  EXPECT_THAT(errors, HasSubstr("a.conf:3: maxPods"));
  EXPECT_LT(errors.find("config.yaml:4"), errors.find("a.conf:3"));
}

TEST(Config, EffectiveConfigurationLoadsAgainAsItself) {
  const Config config = Built({Written("a",
                                       "nodeLabels: {x: a}\nnodeTaints: [{key: k, effect: NoExecute}]\n"
                                       "systemReserved: {cpu: 100m}\nclusterDNS: [10.0.0.1]\n")});
  const std::string json = EffectiveConfigJson(config.message);
  const Config again = Built({{.file = "effective.json", .text = json}});
  EXPECT_EQ(EffectiveConfigJson(again.message), json);
}

class ConfigFiles : public ::testing::Test {
 protected:
  ConfigFiles() { std::filesystem::create_directories(root_ + "/config.d"); }

  void Write(const std::string& name, const std::string& keys) {
    std::ofstream(root_ + "/" + name) << Written("", keys).text;
  }
  Sources Both() { return {.file = root_ + "/config.yaml", .directory = root_ + "/config.d"}; }

  const testing::TemporaryDirectory temporary_;
  const std::string root_ = temporary_.path().string();
};

TEST_F(ConfigFiles, DropInsAreReadInTheOrderOfTheirNames) {
  Write("config.yaml", "maxPods: 1\n");
  Write("config.d/20-b.conf", "maxPods: 3\n");
  Write("config.d/10-a.conf", "maxPods: 2\n");
  Write("config.d/30-c.yaml", "maxPods: 4\n");
  Write("config.d/.40-d.conf", "maxPods: 5\n");
  Write("config.d/50-e.conf~", "maxPods: 6\n");
  const LoadResult result = Load(Both(), kMachine);
  ASSERT_TRUE(result.config) << ErrorsText(result);
  EXPECT_EQ(result.config->message.maxpods(), 3);
  EXPECT_THAT(result.config->files,
              ElementsAre(root_ + "/config.yaml", root_ + "/config.d/10-a.conf", root_ + "/config.d/20-b.conf"));
}

TEST_F(ConfigFiles, DropInWithoutKindIsRefused) {
  Write("config.yaml", "");
  std::ofstream(root_ + "/config.d/10-a.conf") << "maxPods: 2\n";
  EXPECT_THAT(ErrorsText(Load(Both(), kMachine)), HasSubstr("10-a.conf:1: "));
}

TEST_F(ConfigFiles, NamedFileThatIsAbsentIsAnErrorAndTheDefaultOneIsNot) {
  EXPECT_THAT(ErrorsText(Load({.file = root_ + "/absent.yaml"}, kMachine)),
              HasSubstr("absent.yaml: can't be read: No such file"));
  EXPECT_THAT(ErrorsText(Load({.directory = root_ + "/absent.d"}, kMachine)), HasSubstr("absent.d: can't be listed"));
}

TEST_F(ConfigFiles, DirectoryFifoAndHugeFileAreRefused) {
  EXPECT_THAT(ErrorsText(Load({.file = root_, .directory = root_ + "/config.d"}, kMachine)),
              HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo((root_ + "/fifo").c_str(), 0600), 0);
  EXPECT_THAT(ErrorsText(Load({.file = root_ + "/fifo"}, kMachine)), HasSubstr("not a regular file"));
  std::ofstream(root_ + "/huge.yaml") << std::string(2 << 20, '#');
  EXPECT_THAT(ErrorsText(Load({.file = root_ + "/huge.yaml"}, kMachine)), HasSubstr("larger than 1 MiB"));
}

CommandLine Parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "daemonsetd");
  return ParseCommandLine(static_cast<int>(words.size()), words.data(), "0.1.0");
}

TEST(CommandLineTest, FlagsBecomeOverrides) {
  const CommandLine line = Parsed({"--config",
                                   "/c.yaml",
                                   "--config-dir=/c.d",
                                   "--node-name",
                                   "n",
                                   "--kubeconfig",
                                   "/k",
                                   "--manifest-directory",
                                   "/m",
                                   "--runtime-endpoint",
                                   "unix:///r",
                                   "--socket",
                                   "/s",
                                   "--pod-root",
                                   "/p",
                                   "--state-directory",
                                   "/t",
                                   "--log-directory",
                                   "/l",
                                   "--container-log-directory",
                                   "/cl",
                                   "--log-level",
                                   "debug",
                                   "--log-format",
                                   "json"});
  EXPECT_EQ(line.action, CommandLine::Action::kRun);
  EXPECT_EQ(line.sources.file, "/c.yaml");
  EXPECT_EQ(line.sources.directory, "/c.d");
  ASSERT_EQ(line.sources.overrides.size(), 11U);
  const Message message = Built({}, line.sources.overrides).message;
  EXPECT_EQ(message.nodename(), "n");
  EXPECT_EQ(message.kubeconfig(), "/k");
  EXPECT_EQ(message.manifestdirectory(), "/m");
  EXPECT_EQ(message.runtimeendpoint(), "unix:///r");
  EXPECT_EQ(message.socketpath(), "/s");
  EXPECT_EQ(message.podroot(), "/p");
  EXPECT_EQ(message.statedirectory(), "/t");
  EXPECT_EQ(message.logdirectory(), "/l");
  EXPECT_EQ(message.containerlogdirectory(), "/cl");
  EXPECT_EQ(message.logging().level(), "debug");
  EXPECT_EQ(message.logging().format(), "json");
}

TEST(CommandLineTest, HelpVersionAndDefaultsExitWithSuccess) {
  EXPECT_THAT(Parsed({"--help"}).text, HasSubstr("--manifest-directory DIR"));
  EXPECT_EQ(Parsed({"--help"}).exit_code, 0);
  EXPECT_EQ(Parsed({"--version"}).text, "daemonsetd 0.1.0\n");
  EXPECT_EQ(Parsed({"--print-default-config"}).text, DocumentedDefaults());
  EXPECT_EQ(Parsed({"--check-config"}).action, CommandLine::Action::kCheckConfig);
}

TEST(CommandLineTest, MistakesExitWithTwo) {
  for (const char* word : {"--max-pods=3", "extra", "--node-name"}) {
    const CommandLine line = Parsed({word});
    EXPECT_EQ(line.action, CommandLine::Action::kExit) << word;
    EXPECT_EQ(line.exit_code, 2) << word;
    EXPECT_THAT(line.text, HasSubstr("--help")) << word;
  }
}

TEST(CheckConfigTest, PrintsTheEffectiveConfigurationOrTheErrors) {
  const CheckReport good = CheckConfig(Build({}, {}, kMachine));
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_THAT(good.output, HasSubstr("\"maxPods\": 110"));
  EXPECT_THAT(good.output, HasSubstr("\"apiVersion\": \"daemonsetd.dev/v1alpha1\""));
  const CheckReport bad = CheckConfig(Build({Written("a", "maxPods: 0\n")}, {}, kMachine));
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.output, "");
  EXPECT_THAT(bad.errors, HasSubstr("maxPods"));
}

TEST(Build, TakesWhatConcernsTheApiServer) {
  const Config config = Built({Written("f",
                                       "kubeconfig: /etc//daemonsetd/kubeconfig\npodSource: bound\n"
                                       "registerNode: false\nnodeLeaseDuration: 1m\napiServerStartWait: 0s\n"
                                       "checkpointSecrets: false\n")});
  EXPECT_EQ(config.message.kubeconfig(), "/etc/daemonsetd/kubeconfig");
  EXPECT_EQ(config.message.podsource(), "bound");
  EXPECT_FALSE(config.message.registernode());
  EXPECT_FALSE(config.message.checkpointsecrets());
  EXPECT_EQ(config.durations.node_lease_duration, 1min);
  EXPECT_EQ(config.durations.api_server_start_wait, 0s);
  EXPECT_EQ(config.message.nodetaints_size(), 1) << "ordinary pods stay away";
}

TEST(Build, TakesWhatConcernsTheApiServerWithoutOneWhereItDoesNoHarm) {
  EXPECT_FALSE(Built({Written("f", "registerNode: true\nnodeLeaseDuration: 1m\n")}).message.has_kubeconfig());
}

TEST(Build, NodeThatRunsEveryPodBoundToItKeepsNoneAway) {
  const std::string source = "kubeconfig: /k\npodSource: bound-all\n";
  EXPECT_EQ(Built({Written("f", source)}).message.nodetaints_size(), 0);
  EXPECT_EQ(Built({Written("f", source + "nodeTaints: [{key: k, effect: NoSchedule}]\n")}).message.nodetaints(0).key(),
            "k");
}

TEST(Build, KeepsTheHardThresholdsThatNobodyNames) {
  const Config config = Built({Written("f",
                                       "evictionHard: {nodefs.available: 0%, pid.available: 2.5%}\n"
                                       "evictionSoft: {memory.available: 1Gi}\n"
                                       "evictionSoftGracePeriod: {memory.available: 1m30s}\n"
                                       "evictionMinimumReclaim: {imagefs.available: 1Gi}\n")});
  EXPECT_THAT(config.message.evictionhard(),
              UnorderedElementsAre(Pair("memory.available", "100Mi"), Pair("nodefs.available", "0%"),
                                   Pair("nodefs.inodesFree", "5%"), Pair("imagefs.available", "15%"),
                                   Pair("imagefs.inodesFree", "5%"), Pair("pid.available", "2.5%")));
}

TEST(Build, TakesWhatPodsGet) {
  const Config config = Built({Written("f",
                                       "imageCredentialsFile: /etc//daemonsetd/auth.json/\n"
                                       "allowedUnsafeSysctls: [\"net.core.*\"]\n"
                                       "runtimeClasses: [{name: kata, handler: kata-qemu, overhead: {cpu: 250m}}]\n")});
  EXPECT_EQ(config.message.imagecredentialsfile(), "/etc/daemonsetd/auth.json");
  EXPECT_THAT(config.message.allowedunsafesysctls(), ElementsAre("net.core.*"));
  EXPECT_EQ(config.message.runtimeclasses(0).handler(), "kata-qemu");
  EXPECT_EQ(config.message.runtimeclasses(0).overhead().at("cpu").string(), "250m");
  EXPECT_EQ(config.message.usernamespacefirstid(), 65536);

  const Config empty = Built({Written("f", "imageCredentialsFile: \"\"\n")});
  EXPECT_EQ(empty.message.imagecredentialsfile(), "");
}

}  // namespace
}  // namespace daemonsetd::config

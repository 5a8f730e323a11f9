#include "agent/ctl/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/support/golden.h"
#include "tests/unit/ctl/sample.h"
#include "tests/unit/local/server_fixture.h"

namespace daemonsetd::ctl {
namespace {

using ::testing::HasSubstr;

struct Ran {
  int code;
  std::string out;
  std::string err;
};

class CliTest : public ::testing::Test {
 protected:
  CliTest() : server_(SampleSnapshot(), {}) {}

  Ran RunAt(const std::string& socket, const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = ctl::Run(arguments, {.out = out, .err = err, .now = SampleNow, .default_socket = socket});
    return {code, out.str(), err.str()};
  }
  Ran RunHere(const std::vector<std::string>& arguments) { return RunAt(server_.socket_path, arguments); }

  // Standard output of a command that succeeds, against a file.
  void ExpectGolden(const std::string& file, const std::vector<std::string>& arguments) {
    const Ran ran = RunHere(arguments);
    EXPECT_EQ(ran.code, kExitOk) << ran.err;
    EXPECT_TRUE(testing::MatchesGolden("tests/unit/ctl/testdata/" + file, ran.out));
  }

  local::RunningServer server_;
};

TEST_F(CliTest, TablesMatch) {
  ExpectGolden("status.txt", {"get", "status"});
  ExpectGolden("daemonsets.txt", {"get", "ds", "-n", "kube-system"});
  ExpectGolden("daemonsets-all.txt", {"get", "daemonsets", "-A"});
  ExpectGolden("daemonsets-wide.txt", {"get", "ds", "-A", "-o", "wide"});
  ExpectGolden("pods.txt", {"get", "po", "-A"});
  ExpectGolden("pods-wide.txt", {"get", "pods", "-n", "kube-system", "-o", "wide"});
  ExpectGolden("node.txt", {"get", "node"});
  ExpectGolden("node-wide.txt", {"get", "no", "-o", "wide"});
}

TEST_F(CliTest, DescriptionsMatch) {
  ExpectGolden("describe-daemonset.txt", {"describe", "ds", "agent", "-n", "kube-system"});
  ExpectGolden("describe-daemonset-blocked.txt", {"describe", "daemonset", "gpu"});
  ExpectGolden("describe-pod.txt", {"describe", "pod", "agent-x7k2p", "-n", "kube-system"});
  ExpectGolden("describe-pod-waiting.txt", {"describe", "pod", "pod/web-node-1"});
  ExpectGolden("describe-node.txt", {"describe", "node"});
  ExpectGolden("explain.txt", {"explain", "gpu"});
}

TEST_F(CliTest, MachineFormsMatch) {
  ExpectGolden("daemonset.json", {"get", "ds", "agent", "-n", "kube-system", "-o", "json"});
  ExpectGolden("pods.yaml", {"get", "pods", "-A", "-o", "yaml"});
  ExpectGolden("names.txt", {"get", "ds", "-A", "-o", "name"});
  ExpectGolden("explain.yaml", {"explain", "daemonset", "gpu", "-o", "yaml"});
}

TEST_F(CliTest, TablesFitEightyColumns) {
  for (const char* kind : {"ds", "pods", "node"}) {
    std::istringstream lines(RunHere({"get", kind}).out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST_F(CliTest, EmptyListIsNoError) {
  const Ran ran = RunHere({"get", "pods", "-n", "empty"});
  EXPECT_EQ(ran.code, kExitOk);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "No resources found in empty namespace.\n");
}

TEST_F(CliTest, MissingObjectsExitThreeAndSayWhereTheyAre) {
  const Ran ran = RunHere({"describe", "ds", "agent"});
  EXPECT_EQ(ran.code, kExitNotFound);
  EXPECT_THAT(ran.err, HasSubstr("it exists in namespace kube-system: add -n"));
  EXPECT_EQ(RunHere({"get", "pod", "none"}).code, kExitNotFound);
  EXPECT_EQ(RunHere({"explain", "none"}).code, kExitNotFound);
  EXPECT_EQ(RunHere({"logs", "none"}).code, kExitNotFound);
}

TEST_F(CliTest, WrongUsageExitsTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"fly"},
                                             {"get"},
                                             {"get", "services"},
                                             {"get", "pods", "-o", "xml"},
                                             {"describe", "pod"},
                                             {"explain", "pod", "x"},
                                             {"logs"},
                                             {"logs", "x", "--since", "soon"},
                                             {"completion", "tcsh"}}) {
    EXPECT_EQ(RunHere(arguments).code, kExitUsage) << ::testing::PrintToString(arguments);
  }
  const Ran help = RunHere({"--help"});
  EXPECT_EQ(help.code, kExitOk);
  EXPECT_THAT(help.out, HasSubstr("4 the agent cannot be reached"));
  EXPECT_THAT(RunHere({"explain", "--help"}).out, HasSubstr("explain [OPTIONS] name...\n"));
}

TEST_F(CliTest, UnreachableAgentExitsFour) {
  const Ran ran = RunAt(server_.socket_path + ".none", {"get", "pods"});
  EXPECT_EQ(ran.code, kExitUnreachable);
  EXPECT_THAT(ran.err, HasSubstr("daemonsetd is not running or the socket path differs: systemctl status daemonsetd"));
}

TEST_F(CliTest, LogsPrintLines) {
  std::ofstream(server_.log_path) << "2026-11-25T00:18:32.5Z stdout F one\n2026-11-25T00:18:33.5Z stderr F two\n";
  EXPECT_EQ(RunHere({"logs", "agent-x7k2p", "-n", "kube-system"}).out, "one\ntwo\n");
  EXPECT_EQ(RunHere({"logs", "pod/agent-x7k2p", "--tail", "1", "--timestamps"}).out, "2026-11-25T00:18:33.5Z two\n");
}

TEST_F(CliTest, VersionTellsBothSides) {
  const Ran ran = RunHere({"version"});
  EXPECT_THAT(ran.out, HasSubstr("daemonsetctl   0.1.0 (commit "));
  EXPECT_THAT(ran.out, HasSubstr("daemonsetd     0.1.0 (commit 95b7282a51c0, clang 19.1.4, linux/amd64)"));
  EXPECT_THAT(RunHere({"version", "-o", "json"}).out, HasSubstr("\"agentVersion\":{"));
}

TEST_F(CliTest, CompletesVerbsResourcesAndNames) {
  EXPECT_EQ(RunHere({"__complete", "--", "de"}).out, "describe\n");
  EXPECT_EQ(RunHere({"__complete", "--", "get", "p"}).out, "pods\n");
  EXPECT_EQ(RunHere({"__complete", "--", "logs", "-n", "kube-system", ""}).out, "agent-x7k2p\n");
  EXPECT_EQ(RunHere({"__complete", "--", "get", "ds", "-n", "k"}).out, "kube-system\n");
  EXPECT_EQ(RunHere({"__complete", "--", "get", "pods", "--no"}).out, "--no-headers\n");
}

TEST_F(CliTest, EventsMatch) {
  ExpectGolden("events.txt", {"events", "-n", "kube-system"});
  ExpectGolden("events-all.txt", {"events", "-A"});
  ExpectGolden("events-for.yaml", {"events", "-n", "kube-system", "--for", "ds/agent", "-o", "yaml"});
  EXPECT_THAT(RunHere({"events", "-o", "name"}).out, ::testing::StartsWith("event/web-node-1."));
  EXPECT_EQ(RunHere({"events", "-n", "empty"}).err, "No events found in empty namespace.\n");
  EXPECT_EQ(RunHere({"events", "--for", "agent"}).code, kExitUsage);
}

// SE: what a program wrote must not reach the terminal's controls.
TEST_F(CliTest, AnEventIsOneLineWithoutControlCharacters) {
  const Ran ran = RunHere({"events", "-A"});
  EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
  EXPECT_THAT(ran.out, HasSubstr("Readiness probe failed: no answer [2J\n"));
}

TEST_F(CliTest, RestartPrintsWhatItRestarted) {
  EXPECT_EQ(RunHere({"restart", "daemonset/agent", "-n", "kube-system"}).out, "daemonset.apps/agent restarted\n");
  EXPECT_EQ(RunHere({"restart", "ds", "agent"}).out, "daemonset.apps/agent restarted\n");
  EXPECT_EQ(RunHere({"restart", "daemonset.apps/agent", "pod/agent"}).out,
            "daemonset.apps/agent restarted\npod/agent restarted\n");
}

TEST_F(CliTest, RestartSaysWhyNot) {
  const Ran missing = RunHere({"restart", "ds/none", "pod/agent"});
  EXPECT_EQ(missing.code, kExitNotFound);
  EXPECT_EQ(missing.out, "pod/agent restarted\n");
  EXPECT_THAT(missing.err, HasSubstr("daemonset \"none\" not found in namespace default"));
  const Ran nothing = RunHere({"restart", "ds/gpu"});
  EXPECT_EQ(nothing.code, kExitError);
  EXPECT_THAT(nothing.err, HasSubstr("DaemonSet default/gpu has no pod on this node"));
  EXPECT_EQ(RunHere({"restart", "node/node-1"}).code, kExitUsage);
  EXPECT_EQ(RunHere({"restart", "agent"}).code, kExitUsage);
  EXPECT_EQ(RunHere({"restart", "ds"}).code, kExitUsage);
}

TEST_F(CliTest, TopMatches) {
  ExpectGolden("top-pods.txt", {"top", "pods", "-A"});
  ExpectGolden("top-containers.txt", {"top", "pods", "-n", "kube-system", "--containers"});
  ExpectGolden("top-node.txt", {"top", "node"});
  EXPECT_EQ(RunHere({"top"}).out, RunHere({"top", "pods"}).out);
  EXPECT_THAT(RunHere({"top", "pod", "web-node-1", "-o", "json"}).out, HasSubstr("\"memory\": \"3Mi\""));
  EXPECT_EQ(RunHere({"top", "pods", "none"}).code, kExitNotFound);
  EXPECT_EQ(RunHere({"top", "status"}).code, kExitUsage);
}

TEST_F(CliTest, CompletesTheNewVerbs) {
  EXPECT_EQ(RunHere({"__complete", "--", "re"}).out, "restart\n");
  EXPECT_EQ(RunHere({"__complete", "--", "top", ""}).out, "pods\nnode\n");
  EXPECT_EQ(RunHere({"__complete", "--", "restart", "-n", "kube-system", ""}).out,
            "daemonset/agent\npod/agent-x7k2p\n");
  EXPECT_EQ(RunHere({"__complete", "--", "events", "--for", "daemonset/"}).out, "daemonset/gpu\n");
  EXPECT_EQ(RunHere({"__complete", "--", "events", "--fo"}).out, "--for\n");
  EXPECT_EQ(RunHere({"__complete", "--", "jo"}).out, "join\n");
  EXPECT_EQ(RunHere({"__complete", "--", "join", "--dr"}).out, "--dry-run\n");
  EXPECT_EQ(RunHere({"__complete", "--", "join", "--ca-"}).out, "--ca-file\n--ca-cert-hash\n");
  EXPECT_EQ(RunHere({"__complete", "--", "join", "--ca-file", ""}).out, "") << "the shell knows files";
}

TEST_F(CliTest, JoinSaysWhatIsMissing) {
  const Ran alone = RunHere({"join"});
  EXPECT_EQ(alone.code, kExitUsage);
  EXPECT_THAT(alone.err, HasSubstr("--kubeconfig FILE of an administrator"));
  EXPECT_THAT(RunHere({"join", "--server", "https://a", "--token", "t"}).err, HasSubstr("needs all of"));
  EXPECT_THAT(RunHere({"join", "--kubeconfig", "a", "--token", "t"}).err, HasSubstr("leave one of both out"));
  EXPECT_THAT(RunHere({"join", "--kubeconfig", "a", "--ca-cert-hash", "t"}).err, HasSubstr("leave one of both out"));
}

TEST_F(CliTest, BashReadsItsScript) {
  const std::string path = (server_.directory / "completion.bash").string();
  std::ofstream(path) << RunHere({"completion", "bash"}).out;
  EXPECT_EQ(std::system(("bash -n " + path).c_str()), 0);
}

}  // namespace
}  // namespace daemonsetd::ctl

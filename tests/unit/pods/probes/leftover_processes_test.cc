#include "agent/pods/probes/leftover_processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::pods {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = ExecFinding::Kind;
using Words = std::vector<std::string>;

constexpr pid_t kShim = 50;
constexpr pid_t kFirst = 100;
const Words kCommand = {"sh", "-c", "sleep 1000 & sleep 1000"};

Process Make(pid_t pid, pid_t parent, pid_t session, std::uint64_t start, Words command = {}) {
  return Process{.pid = pid, .parent = parent, .session = session, .start_ticks = start, .command = std::move(command)};
}

std::vector<Process> Container() {
  return {Make(kFirst, kShim, kFirst, 10, {"app"}), Make(101, kFirst, kFirst, 11, {"worker"})};
}
ExecSearch Search() { return {.container_pid = kFirst, .not_before = 500, .command = kCommand}; }
std::vector<pid_t> Pids(const std::vector<Process>& processes) {
  std::vector<pid_t> pids;
  for (const Process& process : processes) pids.push_back(process.pid);
  return pids;
}

TEST(LeftoverProcesses, ReadsAStatWhoseNameTriesToLookLikeFields) {
  const std::string rest = " 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 100 200\n";
  const auto process = ParseProcessStat("42 (a) R 1 1 1 ) S" + rest);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->pid, 42);
  EXPECT_EQ(process->parent, 7);
  EXPECT_EQ(process->session, 9);
  EXPECT_EQ(process->start_ticks, 12345U);
  EXPECT_FALSE(process->ended);
  EXPECT_TRUE(ParseProcessStat("42 (x) Z" + rest)->ended);
  for (const char* bad : {"", "42", "42 (x)", "42 (x) S 1 2", "x (x) S 1 1 1 1", ") ("})
    EXPECT_FALSE(ParseProcessStat(bad)) << bad;
}

TEST(LeftoverProcesses, ReadsACommandLineWithEmptyWords) {
  EXPECT_THAT(ParseCommandLine(std::string("sh\0-c\0\0", 7)), ElementsAre("sh", "-c", ""));
  EXPECT_THAT(ParseCommandLine(""), IsEmpty());
}

TEST(LeftoverProcesses, KnowsTheCgroupOfAContainerByItsId) {
  const std::string one = "12:memory:/k8s.io/abc\n7:pids:/pod1/abc/inner\n1:name=systemd:/pod1/abc\n";
  EXPECT_EQ(ContainerCgroup(one, "abc"), "7:pids:/pod1/abc");
  EXPECT_EQ(ContainerCgroup("0::/kubepods.slice/cri-containerd-abc.scope/init.scope\n", "abc"),
            "0::/kubepods.slice/cri-containerd-abc.scope");
  EXPECT_EQ(ContainerCgroup("0::/\n", "abc"), "");
  EXPECT_EQ(ContainerCgroup(one, ""), "");
  EXPECT_TRUE(InCgroup(one, "7:pids:/pod1/abc"));
  EXPECT_FALSE(InCgroup("7:pids:/pod1/abcd\n", "7:pids:/pod1/abc"));
  EXPECT_FALSE(InCgroup(one, ""));
}

TEST(LeftoverProcesses, AScriptRunsUnderItsInterpreter) {
  EXPECT_TRUE(LooksLike({"sh", "-c", "x"}, {"sh", "-c", "x"}));
  EXPECT_TRUE(LooksLike({"/bin/sh", "-e", "/usr/bin/check", "-q"}, {"check", "-q"}));
  EXPECT_FALSE(LooksLike({"sh", "-c", "y"}, {"sh", "-c", "x"}));
  EXPECT_FALSE(LooksLike({"sleep", "9"}, {"sh", "-c", "sleep 9"}));
  EXPECT_FALSE(LooksLike({"a", "b", "c", "check"}, {"check"}));
}

TEST(LeftoverProcesses, FindsTheSessionOfTheExecAndAllThatCameFromIt) {  // PB-07
  std::vector<Process> processes = Container();
  processes.push_back(Make(202, 201, 202, 520, {"daemon of the command"}));  // took a session of its own
  processes.push_back(Make(200, kShim, 200, 500, kCommand));
  processes.push_back(Make(201, 200, 200, 510, {"sleep", "1000"}));
  processes.push_back(Make(203, kFirst, 200, 515, {"orphan of the session"}));
  const ExecFinding finding = FindExec(processes, Search());
  ASSERT_EQ(finding.kind, Kind::kFound);
  EXPECT_EQ(finding.leader.pid, 200);
  EXPECT_THAT(Pids(LeftBehind(processes, finding.leader, kFirst, {})), ElementsAre(202, 200, 201, 203));
}

TEST(LeftoverProcesses, AfterTheLeaderIsGoneTheSessionAndWhatWasSeenRemain) {
  const Process leader = Make(200, kShim, 200, 500, kCommand);
  std::vector<Process> processes = Container();
  processes.push_back(Make(201, kFirst, 200, 510));
  processes.push_back(Make(202, kFirst, 202, 520));  // was a descendant when it was seen
  processes.push_back(Make(203, kFirst, 203, 530));  // a daemon of the container
  EXPECT_THAT(Pids(LeftBehind(processes, leader, kFirst, {Make(202, 201, 202, 520)})), ElementsAre(201, 202));
}

TEST(LeftoverProcesses, ANumberThatIsUsedAgainIsNotTheOldProcess) {
  const Process leader = Make(200, kShim, 200, 500, kCommand);
  std::vector<Process> processes = Container();
  processes.push_back(Make(200, kShim, 200, 900, {"another exec"}));
  processes.push_back(Make(201, 200, 200, 910));
  EXPECT_THAT(LeftBehind(processes, leader, kFirst, {Make(201, 200, 200, 510)}), IsEmpty());
}

TEST(LeftoverProcesses, ZombiesNeedNoKill) {
  Process zombie = Make(200, kShim, 200, 500);
  zombie.ended = true;
  std::vector<Process> processes = Container();
  processes.push_back(zombie);
  EXPECT_THAT(LeftBehind(processes, zombie, kFirst, {}), IsEmpty());
}

TEST(LeftoverProcesses, TwoAlikeAreAmbiguous) {
  std::vector<Process> processes = Container();
  processes.push_back(Make(200, kShim, 200, 500, kCommand));
  processes.push_back(Make(300, kShim, 300, 501, kCommand));
  EXPECT_EQ(FindExec(processes, Search()).kind, Kind::kAmbiguous);
}

// A shell becomes the last command of its script.
TEST(LeftoverProcesses, OneThatRunsSomethingElseIsOursWhenNothingElseCanBe) {  // PB-07
  std::vector<Process> processes = Container();
  processes.push_back(Make(200, kShim, 200, 500, {"sleep", "1000"}));
  processes.push_back(Make(201, 200, 200, 501, {"sleep", "1000"}));
  processes.push_back(Make(202, kFirst, kFirst, 600, {"a new worker of the container"}));
  ASSERT_EQ(FindExec(processes, Search()).kind, Kind::kFound);
  EXPECT_EQ(FindExec(processes, Search()).leader.pid, 200);
  // Ours may have ended and left this one.
  processes.push_back(Make(203, kFirst, 150, 502, {"orphan"}));
  EXPECT_EQ(FindExec(processes, Search()).kind, Kind::kAmbiguous);
  processes.back() = Make(203, kFirst, 203, 502, {"orphan in a session of its own"});
  EXPECT_EQ(FindExec(processes, Search()).kind, Kind::kAmbiguous);
}

TEST(LeftoverProcesses, APersonsCommandBesideOursIsNotHit) {
  std::vector<Process> processes = Container();
  processes.push_back(Make(200, kShim, 200, 500, {"bash"}));
  processes.push_back(Make(201, kShim, 201, 501, {"sleep", "1000"}));
  EXPECT_EQ(FindExec(processes, Search()).kind, Kind::kAmbiguous);
  processes.back().command = kCommand;
  ASSERT_EQ(FindExec(processes, Search()).kind, Kind::kFound);
  EXPECT_EQ(FindExec(processes, Search()).leader.pid, 201);
  processes.push_back(Make(202, kShim, 202, 502));  // has ended, so it may be anything
  EXPECT_EQ(FindExec(processes, Search()).kind, Kind::kAmbiguous);
}

TEST(LeftoverProcesses, OurOtherCallsAreKnown) {
  std::vector<Process> processes = Container();
  processes.push_back(Make(200, kShim, 200, 500, {"sleep", "1000"}));
  processes.push_back(Make(201, kShim, 201, 501, {"other", "probe"}));
  ExecSearch search = Search();
  search.other_commands = {{"other", "probe"}};
  ASSERT_EQ(FindExec(processes, search).kind, Kind::kFound);
  EXPECT_EQ(FindExec(processes, search).leader.pid, 200);
  // The same command in two probes: the one that is older than the second call is the first's.
  processes[2].command = processes[3].command = kCommand;
  search.other_commands = {kCommand};
  EXPECT_EQ(FindExec(processes, search).kind, Kind::kAmbiguous);
  search.next_call = 501;
  ASSERT_EQ(FindExec(processes, search).kind, Kind::kFound);
  EXPECT_EQ(FindExec(processes, search).leader.pid, 200);
}

TEST(LeftoverProcesses, OlderOnesChildrenAndOtherParentsAreNotTheExec) {
  std::vector<Process> processes = Container();
  processes.push_back(Make(200, kShim, 200, 499, kCommand));     // before our call
  processes.push_back(Make(201, kFirst, 201, 600, kCommand));    // the container's own
  processes.push_back(Make(202, kShim, kFirst, 600, kCommand));  // no leader
  EXPECT_EQ(FindExec(processes, Search()).kind, Kind::kNone);
}

TEST(LeftoverProcesses, WithoutTheContainersFirstProcessNothingIsSure) {
  EXPECT_EQ(FindExec({Make(200, kShim, 200, 500, kCommand)}, Search()).kind, Kind::kAmbiguous);
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/pods/probes/process_table.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_directory.h"

namespace daemonsetd::pods {
namespace {

// A /proc made of files.
class FakeProc {
 public:
  FakeProc() {
    std::ofstream(root_ / "uptime") << "1 1\n";
    std::filesystem::create_directory(root_ / "sys");
  }

  void Add(int pid, const std::string& cgroup, const std::string& command) {
    const auto directory = root_ / std::to_string(pid);
    std::filesystem::create_directory(directory);
    std::ofstream(directory / "cgroup") << cgroup;
    std::ofstream(directory / "cmdline") << command << '\0';
    std::ofstream(directory / "stat") << pid << " (x) S 50 " << pid << ' ' << pid
                                      << " 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0\n";
  }
  const std::filesystem::path& root() const { return root_; }

 private:
  const testing::TemporaryDirectory temporary_;
  const std::filesystem::path root_ = temporary_.path();
};

TEST(ProcessTable, ListsTheProcessesOfOneContainer) {
  FakeProc proc;
  proc.Add(100, "0::/pods/abc\n", "app");
  proc.Add(101, "0::/pods/abc/below\n", "child");
  proc.Add(102, "0::/pods/abcd\n", "another");
  proc.Add(103, "0::/\n", "host");
  std::filesystem::create_directory(proc.root() / "104");  // ended while we look
  const ProcessTable table(proc.root());
  const auto processes = table.OfContainer(100, "abc");
  ASSERT_TRUE(processes) << processes.error().message();
  std::vector<std::string> commands;
  for (const Process& process : *processes) {
    EXPECT_EQ(process.start_ticks, 77U);
    commands.insert(commands.end(), process.command.begin(), process.command.end());
  }
  EXPECT_THAT(commands, ::testing::UnorderedElementsAre("app", "child"));
}

TEST(ProcessTable, SaysWhyItCannot) {
  FakeProc proc;
  proc.Add(100, "0::/\n", "app");
  const ProcessTable table(proc.root());
  EXPECT_EQ(table.OfContainer(100, "abc").error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(table.OfContainer(99, "abc").error().kind(), ErrorKind::kAbsent);
}

TEST(ProcessTable, KillsExactlyTheProcessThatWasMeant) {  // PB-07
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    while (true) ::pause();
  }
  const ProcessTable table;
  std::ifstream file("/proc/" + std::to_string(child) + "/stat");
  const std::string stat((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Process process = ParseProcessStat(stat).value();
  EXPECT_LE(process.start_ticks, table.Ticks());
  EXPECT_EQ(process.parent, ::getpid());

  Process older = process;
  --older.start_ticks;  // one that had the number before
  EXPECT_TRUE(table.Kill(older));
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "the wrong process was killed";
  EXPECT_TRUE(table.Kill(process));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_TRUE(table.Kill(process)) << "what is gone needs no kill";
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/pods/log_links.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

const std::string kLiveId(64, 'a');
const std::string kGoneId(64, 'b');

class LogLinks : public TemporaryTree {
 protected:
  LogLink Link(const std::string& id, int attempt = 0) {
    return {.link = Path("log/containers/pod_ns_main-" + id + ".log"),
            .target = Path("log/pods/ns_pod_1/main/" + std::to_string(attempt) + ".log")};
  }
  std::string Target(const LogLink& link) { return std::filesystem::read_symlink(link.link).string(); }
};

// LG-06
TEST_F(LogLinks, AreMadeWhereTheyAreMissing) {
  ASSERT_TRUE(EnsureLogLink(Link(kLiveId)));
  EXPECT_EQ(Target(Link(kLiveId)), Link(kLiveId).target);
}

// LG-07
TEST_F(LogLinks, ReplaceAStaleLinkOrFile) {
  std::filesystem::create_directories(Path("log/containers"));
  std::filesystem::create_symlink("/nowhere", Link(kLiveId).link);
  ASSERT_TRUE(EnsureLogLink(Link(kLiveId, 4)));
  EXPECT_EQ(Target(Link(kLiveId)), Link(kLiveId, 4).target);
  Write(Link(kGoneId).link, "a file");
  ASSERT_TRUE(EnsureLogLink(Link(kGoneId)));
  EXPECT_EQ(Target(Link(kGoneId)), Link(kGoneId).target);
}

TEST_F(LogLinks, SayThatADirectoryIsInTheWayAndLeaveNothingBehind) {
  std::filesystem::create_directories(Link(kLiveId).link);
  EXPECT_FALSE(EnsureLogLink(Link(kLiveId)));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(Path("log/containers")), {}), 1);
}

TEST_F(LogLinks, ToLogsThatAreGoneAreRemovedAndOnlyThose) {
  const LogLink foreign{.link = Path("log/containers/other-" + kGoneId + ".log"), .target = "/var/lib/docker/x.log"};
  Write(Link(kLiveId).target, "x");
  const LogLink gone{.link = Link(kGoneId).link, .target = Path("log/pods/ns_pod_0/main/0.log")};
  for (const LogLink& link : {Link(kLiveId), gone, foreign}) ASSERT_TRUE(EnsureLogLink(link));
  std::filesystem::create_symlink("/nowhere", Path("log/containers/.daemonsetd-0123456789abcdef"));
  ASSERT_TRUE(RemoveDanglingLogLinks(directories()));
  EXPECT_FALSE(std::filesystem::is_symlink(gone.link));
  EXPECT_FALSE(std::filesystem::is_symlink(Path("log/containers/.daemonsetd-0123456789abcdef")));
  EXPECT_TRUE(std::filesystem::is_symlink(foreign.link));
  EXPECT_TRUE(Exists(Link(kLiveId).link));
  ASSERT_TRUE(RemoveLogLink(Link(kLiveId).link));
  ASSERT_TRUE(RemoveLogLink(Link(kLiveId).link));
}

// LG-08
TEST_F(LogLinks, TheNextAttemptComesAfterEveryLogFile) {
  EXPECT_EQ(NextAttemptFromLogs(Path("absent")), 0);
  Write(Path("main/readme.txt"), "");
  Write(Path("main/99x.log"), "");
  Write(Path("main/99999999999999999999.log"), "");
  EXPECT_EQ(NextAttemptFromLogs(Path("main")), 0);
  Write(Path("main/0.log"), "");
  Write(Path("main/4.log.20260102-030405.gz"), "");
  Write(Path("main/3.log"), "");
  EXPECT_EQ(NextAttemptFromLogs(Path("main")), 5);
}

}  // namespace
}  // namespace daemonsetd::pods

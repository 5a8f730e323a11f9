#include "agent/pods/user_namespaces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/volumes/volumes.h"
#include "tests/support/loop.h"
#include "tests/unit/pods/temporary_tree.h"

namespace daemonsetd::pods {
namespace {

using ::testing::HasSubstr;

class UserNamespaces : public TemporaryTree {
 protected:
  std::uint32_t First(const std::string& uid) { return TakeIds(directories(), uid, pool_).value().host_id; }
  const IdPool pool_{.first = 131072, .ranges = 3};
};

TEST_F(UserNamespaces, EveryPodHasARangeOfItsOwnAndKeepsIt) {
  EXPECT_EQ(TakeIds(directories(), "a", pool_).value().length, 65536u);
  EXPECT_EQ(First("a"), 131072u);
  EXPECT_EQ(First("b"), 131072u + 65536);
  EXPECT_EQ(First("c"), 131072u + 2 * 65536);
  EXPECT_EQ(First("b"), 131072u + 65536) << "after a restart of the agent, too";
  const auto full = TakeIds(directories(), "d", pool_);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::kRetry);
  EXPECT_THAT(full.error().message(), HasSubstr("all 3 ranges"));
}

TEST_F(UserNamespaces, ARangeIsFreeAfterTearDown) {
  for (const char* uid : {"a", "b", "c"}) First(uid);
  ASSERT_TRUE(TearDownVolumes(directories(), "b"));
  ASSERT_TRUE(TearDownVolumes(directories(), "b"));
  EXPECT_EQ(First("d"), 131072u + 65536);
  EXPECT_EQ(First("a"), 131072u);
}

TEST_F(UserNamespaces, OnlyPodsThatAskGetOne) {
  testing::TestLoop loop;
  async::BlockingPool blocking(0);
  corev1::Pod pod;
  pod.mutable_metadata()->set_uid("a");
  const auto ask = [&] {
    return loop.Run(UserNamespaceOf(&blocking, directories(), pod, pool_), testing::TestLoop::Clock::kStands).value();
  };
  EXPECT_FALSE(ask());
  pod.mutable_spec()->set_hostusers(true);
  EXPECT_FALSE(ask());
  EXPECT_FALSE(Exists(Path("kubelet/user-namespaces")));
  pod.mutable_spec()->set_hostusers(false);
  EXPECT_EQ(ask()->host_id, 131072u);
}

}  // namespace
}  // namespace daemonsetd::pods

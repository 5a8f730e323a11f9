#include "agent/decide/node_registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "agent/decide/node_claim.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;
using ::testing::HasSubstr;

const MonoTime kStart{std::chrono::hours(1)};

class RegisterNodeTest : public ::testing::Test {
 protected:
  RegisterNodeTest()
      : desired(FromYaml<corev1::Node>(R"(
metadata: {name: node-a, uid: derived, labels: {kubernetes.io/hostname: node-a, rack: r1}}
spec: {taints: [{key: daemonsetd.dev/daemonsets-only, effect: NoSchedule}]}
status:
  capacity: {cpu: "2", memory: 4Gi, pods: "110"}
  allocatable: {cpu: "2", memory: 4Gi, pods: "110"}
  conditions: [{type: Ready, status: "True", lastHeartbeatTime: "2026-01-01T00:00:00Z"}]
  addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: node-a}]
  nodeInfo: {machineID: m, kubeletVersion: v0.1.0}
)")) {
    memory.uid = "uid-1";
    memory.status_written = kStart;
    observed = *RegisterNode(desired, nullptr, "v0.1.0", kStart, {}).create;
    observed.mutable_metadata()->set_uid("uid-1");
    observed.mutable_metadata()->set_resourceversion("5");
  }
  NodeWrites Decide(Nanoseconds since = {}) {
    return RegisterNode(desired, &observed, "v0.1.0", kStart + since, memory);
  }

  corev1::Node desired, observed;
  RegistrationMemory memory;
};

TEST_F(RegisterNodeTest, CreatesAWholeNodeWithItsTaint) {
  const NodeWrites writes = RegisterNode(desired, nullptr, "v0.1.0", kStart, {});
  ASSERT_TRUE(writes.create);
  EXPECT_FALSE(writes.update || writes.status || writes.new_identity);
  EXPECT_FALSE(writes.create->metadata().has_uid());
  EXPECT_EQ(writes.create->spec().taints_size(), 1);
  EXPECT_EQ(writes.create->status().conditions_size(), 1);
  EXPECT_EQ(ValueOf(writes.create->metadata().annotations(), kManagedLabelsAnnotation), "kubernetes.io/hostname,rack");
  EXPECT_EQ(ValueOf(writes.create->metadata().annotations(), kAgentVersionAnnotation), "v0.1.0");
}

TEST_F(RegisterNodeTest, WritesNothingWhileNothingChangesAndTheStatusEveryFiveMinutes) {
  observed.mutable_status()->mutable_conditions(0)->mutable_lastheartbeattime()->set_seconds(1);
  NodeWrites writes = Decide(minutes(4));
  EXPECT_FALSE(writes.create || writes.update || writes.status);
  EXPECT_EQ(writes.look_again, kStart + minutes(5));
  writes = Decide(minutes(5));
  ASSERT_TRUE(writes.status);
  EXPECT_EQ(writes.reason, "the status is due");
}

TEST_F(RegisterNodeTest, WritesAChangedStatusAtOnce) {
  desired.mutable_status()->mutable_conditions(0)->set_status("False");
  const NodeWrites writes = Decide();
  ASSERT_TRUE(writes.status);
  EXPECT_EQ(writes.status->metadata().resourceversion(), "5");
  EXPECT_EQ(writes.status->status().conditions(0).status(), "False");
}

TEST_F(RegisterNodeTest, LeavesAloneWhatOthersWrote) {
  (*observed.mutable_metadata()->mutable_labels())["team"] = "storage";
  observed.mutable_spec()->clear_taints();
  observed.mutable_spec()->set_unschedulable(true);
  observed.mutable_status()->add_conditions()->set_type("NetworkUnavailable");
  (*observed.mutable_status()->mutable_capacity())["example.com/gpu"].set_string("1");
  observed.mutable_status()->add_addresses()->set_type("ExternalIP");
  EXPECT_FALSE(Decide().update || Decide().status);

  desired.mutable_status()->mutable_conditions(0)->set_status("False");
  (*desired.mutable_metadata()->mutable_labels())["rack"] = "r2";
  const NodeWrites writes = Decide();
  ASSERT_TRUE(writes.update && writes.status);
  EXPECT_EQ(ValueOf(writes.update->metadata().labels(), "team"), "storage");
  EXPECT_EQ(ValueOf(writes.update->metadata().labels(), "rack"), "r2");
  EXPECT_EQ(writes.update->spec().taints_size(), 0) << "the taint was taken away by an administrator";
  EXPECT_EQ(writes.status->status().conditions_size(), 2);
  EXPECT_TRUE(writes.status->status().capacity().contains("example.com/gpu"));
  EXPECT_EQ(writes.status->status().addresses_size(), 3);
}

TEST_F(RegisterNodeTest, TakesAwayALabelThatLeftTheConfigurationButNoOther) {
  (*observed.mutable_metadata()->mutable_labels())["zone"] = "z1";
  desired.mutable_metadata()->mutable_labels()->erase("rack");
  const NodeWrites writes = Decide();
  ASSERT_TRUE(writes.update);
  EXPECT_FALSE(writes.update->metadata().labels().contains("rack"));
  EXPECT_TRUE(writes.update->metadata().labels().contains("zone"));
  EXPECT_THAT(writes.reason, HasSubstr("rack"));
}

TEST_F(RegisterNodeTest, PutsItsOwnLabelsBack) {
  (*observed.mutable_metadata()->mutable_labels())["kubernetes.io/hostname"] = "other";
  ASSERT_TRUE(Decide().update);
  EXPECT_EQ(ValueOf(Decide().update->metadata().labels(), "kubernetes.io/hostname"), "node-a");
}

// PL-18
TEST_F(RegisterNodeTest, NoticesThatTheNodeIsAnotherOne) {
  EXPECT_FALSE(Decide().new_identity);
  observed.mutable_metadata()->set_uid("uid-2");
  EXPECT_TRUE(Decide().new_identity);
  EXPECT_TRUE(Decide().status);
  const NodeWrites writes = RegisterNode(desired, nullptr, "v0.1.0", kStart, memory);
  EXPECT_TRUE(writes.create && writes.new_identity);
  EXPECT_EQ(writes.reason, "somebody deleted the Node; it is made anew");
}

TEST_F(RegisterNodeTest, ReportsFiftyImagesAtMost) {
  for (int i = 0; i < 60; ++i) desired.mutable_status()->add_images()->add_names("x");
  ASSERT_TRUE(Decide().status);
  EXPECT_EQ(Decide().status->status().images_size(), kMostNodeImages);
}

}  // namespace
}  // namespace daemonsetd::decide

#include "agent/decide/event_aggregation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::SizeIs;
using ::testing::StartsWith;

class EventRingTest : public ::testing::Test {
 protected:
  explicit EventRingTest(EventLimits limits = {}) : ring("daemonsetd", "node-a", limits) {}

  void Add(const std::string& reason, const std::string& message, EventType type = EventType::kNormal) {
    ring.Add(about, type, reason, message, now);
  }
  void Pass(Nanoseconds duration) {
    now.mono += duration;
    now.wall += duration;
  }
  std::vector<corev1::Event> Events() const {
    std::vector<corev1::Event> events;
    for (const auto& logged : ring.Recent()) events.push_back(logged->event);
    return events;
  }
  std::vector<std::string> Messages() const {
    std::vector<std::string> messages;
    for (const auto& event : Events()) messages.push_back(event.message());
    return messages;
  }

  corev1::ObjectReference about = ReferenceTo(testing::MakePod({"main"}));
  Now now{.mono = MonoTime(std::chrono::hours(1)), .wall = WallTime(seconds(1767323045))};
  EventRing ring;
};

TEST_F(EventRingTest, AnEventIsReadyForAnApiServer) {
  Add("Pulled", "the image was there", EventType::kWarning);
  ASSERT_THAT(Events(), SizeIs(1));
  const corev1::Event event = Events()[0];
  EXPECT_THAT(event.metadata().name(), StartsWith("pod."));
  EXPECT_EQ(event.metadata().namespace_(), "default");
  EXPECT_EQ(event.involvedobject().kind(), "Pod");
  EXPECT_EQ(event.involvedobject().uid(), "uid");
  EXPECT_EQ(event.type(), "Warning");
  EXPECT_EQ(event.reason(), "Pulled");
  EXPECT_EQ(event.message(), "the image was there");
  EXPECT_EQ(event.source().component(), "daemonsetd");
  EXPECT_EQ(event.source().host(), "node-a");
  EXPECT_EQ(event.reportingcomponent(), "daemonsetd");
  EXPECT_EQ(event.reportinginstance(), "node-a");
  EXPECT_EQ(event.count(), 1);
  EXPECT_EQ(event.firsttimestamp().seconds(), 1767323045);
  EXPECT_EQ(event.lasttimestamp().seconds(), 1767323045);
}

TEST_F(EventRingTest, TheSameAgainCountsUpAndMovesToTheEnd) {
  Add("BackOff", "again");
  Add("Pulled", "pulled");
  const std::string name = Events()[0].metadata().name();
  Pass(minutes(5));
  Add("BackOff", "again");
  ASSERT_THAT(Messages(), ElementsAre("pulled", "again"));
  const corev1::Event event = Events()[1];
  EXPECT_EQ(event.count(), 2);
  EXPECT_EQ(event.lasttimestamp().seconds() - event.firsttimestamp().seconds(), 300);
  EXPECT_EQ(event.metadata().name(), name);
}

TEST_F(EventRingTest, AnotherTypeReasonContainerOrObjectIsAnotherEvent) {
  Add("A", "text");
  Add("B", "text");
  Add("A", "text", EventType::kWarning);
  about.set_fieldpath("spec.containers{main}");
  Add("A", "text");
  about.set_uid("another");
  Add("A", "text");
  EXPECT_THAT(Events(), SizeIs(5));
  std::set<std::string> names;
  for (const auto& event : Events()) names.insert(event.metadata().name());
  EXPECT_THAT(names, SizeIs(5));
}

// PF-01, the part of the node: changing texts do not become ever more events.
TEST_F(EventRingTest, TheEleventhMessageOfAKindIsCombinedWithTheFollowing) {
  for (int i = 0; i < 30; ++i) Add("Unhealthy", "probe " + std::to_string(i));
  ASSERT_THAT(Events(), SizeIs(11));
  EXPECT_EQ(Events().back().message(), "(combined from similar events): probe 29");
  EXPECT_EQ(Events().back().count(), 20);
  // A message that has an event of its own keeps it.
  Add("Unhealthy", "probe 3");
  EXPECT_THAT(Events(), SizeIs(11));
  EXPECT_EQ(Events().back().count(), 2);
}

TEST_F(EventRingTest, AfterAQuietWhileMessagesAreToldOneByOneAgain) {
  for (int i = 0; i < 11; ++i) Add("Unhealthy", "probe " + std::to_string(i));
  Pass(minutes(10));
  Add("Unhealthy", "within");
  EXPECT_THAT(Messages().back(), StartsWith("(combined"));
  Pass(minutes(10) + seconds(1));
  Add("Unhealthy", "after");
  EXPECT_EQ(Messages().back(), "after");
}

TEST_F(EventRingTest, TheChangeNumberRisesWithEveryChange) {
  EXPECT_EQ(ring.change(), 0U);
  Add("A", "one");
  Add("A", "two");
  Add("A", "one");
  EXPECT_EQ(ring.change(), 3U);
  const auto recent = ring.Recent();
  EXPECT_EQ(recent[0]->change, 2U);
  EXPECT_EQ(recent[1]->change, 3U);
}

// A reader keeps what it has been given.
TEST_F(EventRingTest, WhatWasHandedOutDoesNotChange) {
  Add("A", "one");
  const auto before = ring.Recent();
  Add("A", "one");
  EXPECT_EQ(before[0]->event.count(), 1);
}

TEST_F(EventRingTest, BytesThatAreNoTextAreReplaced) {
  Add("Unhealthy", "out\xff\xc0\xaf\xed\xa0\x80 grün");
  EXPECT_EQ(Messages()[0], "out\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd grün");
}

TEST_F(EventRingTest, ALongMessageIsCutBetweenTwoCharacters) {
  std::string text = "x";
  for (int i = 0; i < 1000; ++i) text += "ü";
  Add("A", text);
  EXPECT_THAT(Messages()[0], EndsWith("ü..."));
  EXPECT_THAT(Messages()[0], SizeIs(1024));
  for (int i = 0; i < 10; ++i) Add("A", std::to_string(i));
  Add("A", text + "!");
  EXPECT_THAT(Messages().back().size(), ::testing::Le(1024U));
}

TEST_F(EventRingTest, ANameFitsTheServersLimit) {
  about.set_name(std::string(229, 'a') + ".-" + std::string(20, 'b'));
  Add("A", "one");
  const std::string name = Events()[0].metadata().name();
  EXPECT_LE(name.size(), 253U);
  EXPECT_EQ(name.find("-."), std::string::npos);
  EXPECT_EQ(name.find(".."), std::string::npos);
}

TEST_F(EventRingTest, AnObjectWithoutNamespaceHasItsEventsInDefault) {
  about.clear_namespace_();
  Add("A", "one");
  EXPECT_EQ(Events()[0].metadata().namespace_(), "default");
}

class SmallRingTest : public EventRingTest {
 protected:
  SmallRingTest() : EventRingTest({.events = 6, .events_per_object = 3}) {}
};

TEST_F(SmallRingTest, TheQuietestEventGoesFirst) {
  for (int object = 0; object < 7; ++object) {
    about.set_uid(std::to_string(object));
    Add("A", std::to_string(object));
    about.set_uid("0");
    Add("A", "0");
  }
  EXPECT_THAT(Messages(), ElementsAre("2", "3", "4", "5", "6", "0"));
}

TEST_F(SmallRingTest, ANoisyObjectPushesOutOnlyItsOwn) {
  Add("A", "quiet");
  about.set_uid("noisy");
  for (int i = 0; i < 100; ++i) Add("R" + std::to_string(i), std::to_string(i));
  EXPECT_THAT(Messages(), ElementsAre("quiet", "97", "98", "99"));
}

TEST(EventReference, NamesTheContainerAsTheKubeletDoes) {
  const corev1::Pod pod = testing::MakePod({"main"}, {"prepare"});
  EXPECT_EQ(ReferenceToContainer(pod, "main").fieldpath(), "spec.containers{main}");
  EXPECT_EQ(ReferenceToContainer(pod, "prepare").fieldpath(), "spec.initContainers{prepare}");
  EXPECT_FALSE(ReferenceToContainer(pod, "other").has_fieldpath());
  EXPECT_EQ(ReferenceToContainer(pod, "main").apiversion(), "v1");
  appsv1::DaemonSet daemon_set;
  daemon_set.mutable_metadata()->set_name("agent");
  EXPECT_EQ(ReferenceTo(daemon_set).apiversion(), "apps/v1");
  EXPECT_EQ(ReferenceTo(daemon_set).kind(), "DaemonSet");
}

}  // namespace
}  // namespace daemonsetd::decide

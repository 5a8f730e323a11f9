#include "agent/pods/event_log.h"

#include <gtest/gtest.h>

#include "tests/support/fake_timeline.h"

namespace daemonsetd::pods {
namespace {

TEST(EventLog, StampsWithItsClockAndTellsOfEachChange) {
  testing::FakeTimeline timeline;
  int changes = 0;
  EventLog log(timeline, "node-a", [&changes] { ++changes; });
  corev1::ObjectReference about;
  about.set_kind("Pod");
  about.set_name("pod");
  log.Record(about, EventType::kNormal, "Started", "started");
  timeline.Advance(std::chrono::seconds(7));
  log.Record(about, EventType::kNormal, "Started", "started");
  EXPECT_EQ(changes, 2);
  ASSERT_EQ(log.Recent().size(), 1U);
  const corev1::Event& event = log.Recent()[0]->event;
  EXPECT_EQ(event.firsttimestamp().seconds(), 1767323045);
  EXPECT_EQ(event.lasttimestamp().seconds(), 1767323052);
  EXPECT_EQ(event.source().component(), "daemonsetd");
  EXPECT_EQ(event.source().host(), "node-a");
  EXPECT_EQ(log.change(), 2U);
}

}  // namespace
}  // namespace daemonsetd::pods

#include "agent/kube/reflector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "agent/kube/typed_resources.h"
#include "tests/support/fake_http_transport.h"
#include "tests/support/loop.h"

namespace daemonsetd::kube {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

corev1::ConfigMap MakeMap(const std::string& name, const std::string& value = "1") {
  corev1::ConfigMap map;
  map.mutable_metadata()->set_name(name);
  map.mutable_metadata()->set_namespace_("default");
  map.mutable_metadata()->add_managedfields()->set_manager("kubectl");
  (*map.mutable_data())["key"] = value;
  return map;
}

NamespacedName Name(const std::string& name) { return {"default", name}; }

class ReflectorTest : public ::testing::Test {
 protected:
  ~ReflectorTest() override {
    if (run) loop.Cancel(run);
  }

  void Start(ReflectorSettings settings = {}) {
    ReflectorHandlers handlers{.on_change = [this](const NamespacedName& name) { told.push_back(Describe(name)); },
                               .on_complete = [this] { told.push_back("complete"); },
                               .on_state = [this] { states.push_back(reflector->live() ? "live" : "stale"); }};
    reflector.emplace(client, loop.timeline(), [this] { return random; }, std::move(settings), std::move(handlers));
    run = loop.Start(reflector->Run());
  }
  std::string Describe(const NamespacedName& name) const {
    const auto map = reflector->Find(name);
    return name.name + (map ? "=" + map->data().at("key") : " gone");
  }
  std::vector<std::string> Content() const {
    std::vector<std::string> content;
    for (const auto& map : reflector->All()) content.push_back(map->metadata().name() + "=" + map->data().at("key"));
    return content;
  }
  std::vector<std::string> Told() { return std::exchange(told, {}); }
  std::map<std::string, std::string> LastQuery() const { return testing::QueryOf(server.requests().back()); }

  testing::TestLoop loop;
  testing::FakeHttpTransport server{loop.executor(), loop.timeline(), kConfigMaps};
  RequestLimiter limiter{loop.executor(), loop.timeline(), RequestLimits{}};
  Client client{server, limiter, loop.timeline()};
  double random = 0.5;
  std::optional<Reflector<corev1::ConfigMap>> reflector;
  std::shared_ptr<testing::Started<void>> run;
  std::vector<std::string> told;
  std::vector<std::string> states;
};

TEST_F(ReflectorTest, TellsTheContentThenEveryChange) {
  server.Put(MakeMap("a"));
  server.Put(MakeMap("b"));
  Start({.field_selector = "metadata.name!=x"});
  EXPECT_TRUE(reflector->synced());
  EXPECT_TRUE(reflector->live());
  EXPECT_THAT(Told(), ElementsAre("a=1", "b=1", "complete"));
  EXPECT_EQ(LastQuery()["fieldSelector"], "metadata.name!=x");
  server.Put(MakeMap("b", "2"));
  server.Put(MakeMap("c"));
  server.Remove(Name("a"));
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("b=2", "c=1", "a gone"));
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(ReflectorTest, AnEmptyCollectionIsSyncedToo) {
  Start();
  EXPECT_TRUE(reflector->synced());
  EXPECT_THAT(Told(), ElementsAre("complete"));
}

TEST_F(ReflectorTest, WhoWroteWhichFieldIsNotKept) {
  server.Put(MakeMap("a"));
  Start();
  EXPECT_EQ(reflector->Find(Name("a"))->metadata().managedfields_size(), 0);
}

TEST_F(ReflectorTest, FramesInSinglePiecesOfBytes) {
  server.CutPieces(1);
  server.Put(MakeMap("a"));
  Start();
  server.Put(MakeMap("b"));
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("a=1", "complete", "b=1"));
}

TEST_F(ReflectorTest, AServerWithoutWatchListsIsListedByPages) {
  server.RefuseWatchLists(true);
  for (int i = 0; i < 5; ++i) server.Put(MakeMap("m" + std::to_string(i)));
  ReflectorSettings settings;
  settings.rules.page_size = 2;
  Start(settings);
  EXPECT_FALSE(reflector->synced());
  loop.Advance(seconds(1));
  EXPECT_TRUE(reflector->synced());
  EXPECT_THAT(Content(), SizeIs(5));
  EXPECT_THAT(server.requests(), SizeIs(5)) << "the refusal, three pages, the watch";
  server.Put(MakeMap("m1", "2"));
  loop.Settle();
  EXPECT_EQ(Told().back(), "m1=2");
}

TEST_F(ReflectorTest, ABrokenConnectionIsResumedWhereItWas) {
  server.Put(MakeMap("a"));
  Start();
  Told();
  const std::string version = server.version();
  server.BreakStreams();
  server.Put(MakeMap("b"));
  loop.Settle();
  EXPECT_FALSE(reflector->live());
  EXPECT_TRUE(reflector->since());
  EXPECT_THAT(reflector->last_error(), HasSubstr("watch configmaps: connection reset"));
  EXPECT_THAT(Content(), ElementsAre("a=1"));
  loop.Advance(seconds(1));
  EXPECT_TRUE(reflector->live());
  EXPECT_THAT(reflector->last_error(), IsEmpty());
  EXPECT_FALSE(reflector->since());
  EXPECT_EQ(LastQuery()["resourceVersion"], version);
  EXPECT_THAT(Told(), ElementsAre("b=1")) << "and nothing that was known";
  EXPECT_THAT(states, ElementsAre("live", "stale", "live"));
}

TEST_F(ReflectorTest, AfterLostHistoryOneMergedChangeIsTold) {
  for (const bool in_stream : {false, true}) {  // AW-03
    SCOPED_TRACE(in_stream);
    server.GoneInStream(in_stream);
    for (const std::string name : {"a", "b", "c"}) server.Put(MakeMap(name, in_stream ? "i" : "o"));
    if (!reflector) Start();
    loop.Settle();
    Told();
    server.BreakStreams();
    server.Remove(Name("a"));
    server.Put(MakeMap("b", "2"));
    server.Put(MakeMap("d", in_stream ? "i" : "o"));
    server.Remove(Name("c"));
    server.Put(MakeMap("c", "again"));
    server.Compact();
    loop.Advance(seconds(30));
    EXPECT_THAT(Told(), UnorderedElementsAre("a gone", "b=2", "c=again", in_stream ? "d=i" : "d=o", "complete"));
  }
}

TEST_F(ReflectorTest, AnInterruptedListKeepsTheOldContent) {
  server.Put(MakeMap("a"));
  server.Put(MakeMap("b"));
  ReflectorSettings settings;
  settings.rules.page_size = 1;
  Start(settings);
  Told();
  server.RefuseWatchLists(true);
  server.ExpireTokens(true);
  server.BreakStreams();
  server.Remove(Name("a"));
  server.Put(MakeMap("c"));
  server.Compact();
  while (LastQuery()["continue"].empty()) loop.Advance(milliseconds(100));
  EXPECT_THAT(Content(), ElementsAre("a=1", "b=1"));
  EXPECT_THAT(Told(), IsEmpty());
  loop.Advance(minutes(2));  // tokens that never last are given up
  EXPECT_THAT(Content(), ElementsAre("b=1", "c=1"));
  EXPECT_THAT(Told(), ElementsAre("a gone", "c=1", "complete"));
}

TEST_F(ReflectorTest, AServerThatIsDownKeepsTheContentAndIsAskedEverMoreSeldom) {  // OF-04, OF-06
  server.Put(MakeMap("a"));
  Start();
  server.BreakStreams();
  for (int i = 0; i < 1000; ++i) server.FailNext(Error(ErrorKind::kRetry, "connection refused"));
  server.ForgetRequests();
  loop.Advance(hours(1));
  EXPECT_THAT(Content(), ElementsAre("a=1"));
  EXPECT_TRUE(reflector->synced());
  EXPECT_FALSE(reflector->live());
  EXPECT_LT(server.requests().size(), 130u);
  EXPECT_GT(server.requests().size(), 100u);
}

TEST_F(ReflectorTest, AReplicaThatLagsIsNotObeyed) {  // AW-01
  server.Put(MakeMap("a"));
  const auto old = server.Save();
  server.Remove(Name("a"));
  server.Put(MakeMap("b"));
  Start();
  Told();
  server.AnswerFrom(old, 1);
  server.BreakStreams();
  server.Put(MakeMap("c"));
  server.Compact();
  loop.Advance(seconds(6));
  EXPECT_THAT(Content(), ElementsAre("b=1")) << "the deleted one does not come back";
  EXPECT_THAT(reflector->last_error(), HasSubstr("older than"));
  loop.Advance(seconds(10));
  EXPECT_THAT(Content(), ElementsAre("b=1", "c=1"));
  EXPECT_THAT(Told(), ElementsAre("c=1", "complete"));
}

TEST_F(ReflectorTest, ARestoredServerIsFollowedOnceItInsists) {  // OF-11
  server.Put(MakeMap("a"));
  const auto backup = server.Save();
  server.Put(MakeMap("b"));
  server.Put(MakeMap("c"));
  Start();
  Told();
  server.Restore(backup);
  server.Compact();
  loop.Advance(minutes(1));
  EXPECT_THAT(Content(), SizeIs(3)) << "nothing is dropped on the first word";
  // The watch from the future hears nothing, not even a bookmark: then the list tells.
  loop.Advance(minutes(6));
  EXPECT_THAT(Content(), ElementsAre("a=1"));
  EXPECT_THAT(Told(), UnorderedElementsAre("b gone", "c gone", "complete"));
  server.Put(MakeMap("d"));
  loop.Settle();
  EXPECT_THAT(Told(), ElementsAre("d=1"));
}

TEST_F(ReflectorTest, AWatchThatFallsSilentIsLeft) {  // AW-04
  server.Put(MakeMap("a"));
  Start();
  server.Silence(true);
  server.Put(MakeMap("b"));
  loop.Advance(seconds(310));
  server.Silence(false);
  loop.Advance(seconds(10));
  EXPECT_THAT(Content(), ElementsAre("a=1", "b=1"));
}

TEST_F(ReflectorTest, AnIdleWatchCostsFewRequests) {
  Start();
  server.ForgetRequests();
  for (int i = 0; i < 60; ++i) {
    server.SendBookmarks();
    loop.Advance(minutes(1));
  }
  EXPECT_THAT(server.requests().size(), ::testing::AllOf(::testing::Ge(10u), ::testing::Le(14u)));
}

TEST_F(ReflectorTest, GarbageIsNoObjectAndNoHotLoop) {  // AW-03
  server.Put(MakeMap("a"));
  Start();
  server.ForgetRequests();
  server.SendToStreams(std::string("\0\0\0\x04junk", 8));
  loop.Settle();
  EXPECT_THAT(reflector->last_error(), HasSubstr("broken"));
  EXPECT_THAT(server.requests(), IsEmpty());
  corev1::ConfigMap nameless;
  nameless.mutable_metadata()->set_resourceversion("99");
  loop.Advance(seconds(1));
  server.SendToStreams(testing::FrameOf("ADDED", "v1", "ConfigMap", nameless));
  loop.Settle();
  EXPECT_THAT(reflector->last_error(), HasSubstr("lacks its name"));
  EXPECT_THAT(Content(), ElementsAre("a=1"));
}

TEST_F(ReflectorTest, CancellationClosesTheStream) {
  Start();
  EXPECT_EQ(server.open_streams(), 1);
  loop.Cancel(run);
  EXPECT_TRUE(run->threw());
  run.reset();
  reflector.reset();
  EXPECT_EQ(server.open_streams(), 0);
}

TEST_F(ReflectorTest, ThroughRandomTroubleTheContentEndsAsTheServers) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 generator(seed);
    const auto pick = [&generator](int below) { return std::uniform_int_distribution<int>(0, below - 1)(generator); };
    testing::FakeHttpTransport random_server(loop.executor(), loop.timeline(), kConfigMaps);
    RequestLimiter its_limiter(loop.executor(), loop.timeline(), RequestLimits{});
    Client its_client(random_server, its_limiter, loop.timeline());
    std::map<std::string, std::string> heard;
    ReflectorSettings settings;
    settings.rules.page_size = 2;
    std::optional<Reflector<corev1::ConfigMap>> copy;
    const auto hear = [&](const NamespacedName& name) {
      const auto map = copy->Find(name);
      heard.erase(name.name);
      if (map) heard[name.name] = map->data().at("key");
    };
    copy.emplace(
        its_client, loop.timeline(), [&pick] { return pick(1000) / 1000.0; }, settings,
        ReflectorHandlers{.on_change = hear});
    const auto running = loop.Start(copy->Run());
    std::map<std::string, std::string> truth;
    for (int i = 0; i < 60; ++i) {
      const std::string name = "m" + std::to_string(pick(5));
      switch (pick(12)) {
        case 0: random_server.BreakStreams(); break;
        case 1: random_server.EndStreams(); break;
        case 2: random_server.Compact(); break;
        case 3: random_server.FailNext(testing::StatusResponse(500, "InternalError", "no")); break;
        case 4: random_server.FailNext(Error(ErrorKind::kTimeout, "no answer")); break;
        case 5: random_server.RefuseWatchLists(pick(2) == 0); break;
        case 6: random_server.CutPieces(static_cast<std::size_t>(pick(20))); break;
        case 7: random_server.GoneInStream(pick(2) == 0); break;
        case 8:
          random_server.Remove(Name(name));
          truth.erase(name);
          break;
        default: truth[name] = std::to_string(i); random_server.Put(MakeMap(name, truth[name]));
      }
      loop.Advance(milliseconds(pick(3000)));
    }
    loop.Advance(minutes(30));
    EXPECT_EQ(heard, truth);
    EXPECT_TRUE(copy->live());
    loop.Cancel(running);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace daemonsetd::kube

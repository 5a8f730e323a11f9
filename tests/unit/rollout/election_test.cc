#include "agent/rollout/election.h"

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "agent/kube/codec.h"
#include "tests/support/fake_http_transport.h"
#include "tests/support/loop.h"

namespace daemonsetd::rollout {
namespace {

using coordinationv1::Lease;
using decide::CoordinatorRole;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr char kPath[] = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

// As for every object that is missing: details name it, which tells it from a missing path.
kube::HttpResponse Absent() {
  metav1::Status status;
  status.set_status("Failure");
  status.set_code(404);
  status.set_reason("NotFound");
  status.mutable_details()->set_name("daemonsetd-coordinator");
  return {.status = 404,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

kube::HttpResponse Forbidden() { return testing::StatusResponse(403, "Forbidden", "no such right"); }

// One Lease, writes that compare the resourceVersion, and faults on demand.
class LeaseServer {
 public:
  enum class Mishap { kFails, kDoneAnyway, kNeverAnswers };
  struct Injected {
    std::string method;
    Mishap mishap;
    std::variant<kube::HttpResponse, Error> answer;
    int times;
  };

  explicit LeaseServer(async::Timeline& timeline) : timeline_(timeline) {}

  // Of the next `times` requests.
  void Inject(std::string method, Mishap mishap, std::variant<kube::HttpResponse, Error> answer, int times = 1) {
    injected_.push_back({.method = std::move(method), .mishap = mishap, .answer = std::move(answer), .times = times});
  }
  void Store(Lease changed) {
    changed.mutable_metadata()->set_resourceversion(fmt::to_string(++version_));
    if (!lease) changed.mutable_metadata()->set_uid(fmt::format("uid-{}", version_));
    lease = std::move(changed);
  }

  Task<Result<kube::HttpResponse>> Answer(std::string from, kube::HttpRequest request, MonoTime deadline) {
    calls.push_back(fmt::format("{} {}", from, request.method));
    if (cut.contains(from)) {
      co_await timeline_.SleepUntil(deadline);
      co_return Error(ErrorKind::kTimeout, "no answer in time");
    }
    const auto found = std::find_if(injected_.begin(), injected_.end(),
                                    [&](const Injected& each) { return each.method == request.method; });
    if (found == injected_.end()) {
      kube::HttpResponse response = Serve(request);
      if (delay > Nanoseconds::zero()) co_await timeline_.SleepFor(delay);
      co_return response;
    }
    Injected injected = *found;
    if (--found->times == 0) injected_.erase(found);
    if (injected.mishap == Mishap::kDoneAnyway) Serve(request);
    if (injected.mishap != Mishap::kFails) co_await timeline_.SleepUntil(deadline);
    if (const auto* error = std::get_if<Error>(&injected.answer)) co_return *error;
    co_return std::get<kube::HttpResponse>(std::move(injected.answer));
  }

  std::optional<Lease> lease;
  std::vector<std::string> calls;  // "node-a PUT"
  std::set<std::string> cut;       // who gets no answer
  Nanoseconds delay{};

 private:
  kube::HttpResponse Serve(const kube::HttpRequest& request) {
    Lease sent;
    if (!request.body.empty() &&
        !kube::DecodeObject(request.body, kube::ApiVersion(kube::kLeases), kube::kLeases.kind, sent)) {
      return testing::StatusResponse(400, "BadRequest", "this is no Lease");
    }
    const std::string path = testing::PathOf(request);
    if (path != kPath + std::string(request.method == "POST" ? "" : "/daemonsetd-coordinator")) {
      return testing::StatusResponse(400, "BadRequest", path + " is not served here");
    }
    if (request.method == "POST") {
      if (lease) return testing::StatusResponse(409, "AlreadyExists", "the Lease exists");
      Store(std::move(sent));
    } else if (!lease) {
      return Absent();
    } else if (request.method == "PUT") {
      if (sent.metadata().resourceversion() != lease->metadata().resourceversion())
        return testing::StatusResponse(409, "Conflict", "the object has been modified");
      Store(std::move(sent));
    }
    return testing::ObjectResponse(kube::kLeases, *lease);
  }

  async::Timeline& timeline_;
  int version_ = 0;
  std::list<Injected> injected_;
};

using Mishap = LeaseServer::Mishap;

// A process of one node.
class Node final : public kube::HttpTransport {
 public:
  Node(testing::TestLoop& loop, LeaseServer& server, std::string name, double dice)
      : loop_(loop), server_(server), name_(std::move(name)), dice_(dice) {}
  ~Node() override { Kill(); }

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override {
    return server_.Answer(name_, std::move(request), deadline);
  }
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest, MonoTime) override {
    co_return Error(ErrorKind::kUnsupported, "no watch here");
  }

  void Start() { run_ = loop_.Start(election.Run()); }
  // Nothing is given up.
  void Kill() {
    if (!run_) return;
    loop_.Cancel(run_);
    EXPECT_TRUE(run_->done()) << "a cancelled election still runs";
    run_.reset();
  }

 private:
  testing::TestLoop& loop_;
  LeaseServer& server_;
  const std::string name_;
  const double dice_;
  kube::RequestLimiter limiter_{loop_.executor(), loop_.timeline(), kube::RequestLimits{}};
  kube::Client client_{*this, limiter_, loop_.timeline()};
  std::shared_ptr<testing::Started<void>> run_;

 public:
  std::vector<std::pair<MonoTime, CoordinatorRole>> changes;  // what on_change found
  Election election{loop_.executor(),
                    loop_.timeline(),
                    client_,
                    [this] { return dice_; },
                    ElectionSettings{.node_name = name_},
                    [this] { changes.emplace_back(loop_.timeline().mono(), election.role()); }};
};

class ElectionTest : public ::testing::Test {
 protected:
  // dice: it looks after three times as many seconds.
  Node& Add(const std::string& name, double dice = 0) {
    Node& node = *(nodes[name] = std::make_unique<Node>(loop, server, name, dice));
    node.Start();
    return node;
  }
  // a holds, b and c stand by, d does not.
  void AddFour() {
    for (const std::string name : {"node-a", "node-b", "node-c", "node-d"}) {
      Add(name);
      loop.Advance(seconds(0));
    }
    ASSERT_EQ(Holder(), "node-a");
    ASSERT_EQ(Standbys(), "node-b,node-c");
  }
  std::string Holder() const {
    std::string holders;
    for (const auto& [name, node] : nodes) {
      if (node->election.holds()) holders += name;
    }
    return holders;
  }
  std::string Standbys() const {
    return decide::ValueOf(server.lease->metadata().annotations(), decide::kStandbysAnnotation);
  }
  Election& At(const std::string& name) { return nodes.at(name)->election; }
  // Those that on_change found.
  std::vector<CoordinatorRole> RolesOf(const std::string& name) const {
    std::vector<CoordinatorRole> roles;
    for (const auto& [at, role] : nodes.at(name)->changes) roles.push_back(role);
    return roles;
  }
  // What was asked since the last time.
  std::vector<std::string> TakeCalls() { return std::exchange(server.calls, {}); }
  // Until somebody holds; in steps that are shorter than anything that counts.
  Nanoseconds TimeToAHolder() {
    const MonoTime begin = loop.timeline().mono();
    while (Holder().empty() && loop.timeline().mono() - begin < minutes(30)) loop.Advance(milliseconds(10));
    return loop.timeline().mono() - begin;
  }

  testing::TestLoop loop;
  LeaseServer server{loop.timeline()};
  std::map<std::string, std::unique_ptr<Node>> nodes;
};

TEST_F(ElectionTest, TheFirstHoldsTheNextTwoStandByAndTheOthersPayNothing) {
  AddFour();
  EXPECT_EQ(At("node-b").role(), CoordinatorRole::kStandby);
  EXPECT_EQ(At("node-d").role(), CoordinatorRole::kBystander);
  EXPECT_EQ(At("node-d").holder(), "node-a");
  EXPECT_THAT(At("node-d").standbys(), ElementsAre("node-b", "node-c"));
  EXPECT_THAT(nodes.at("node-a")->changes, SizeIs(1));
  EXPECT_THAT(nodes.at("node-d")->changes, IsEmpty());
  TakeCalls();
  loop.Advance(minutes(4));
  const std::vector<std::string> calls = TakeCalls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-a PUT"), 61) << "the first meets what the standbys wrote";
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-a GET"), 1);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-b GET"), 96);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-b PUT"), 0);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-d GET"), 0);
  EXPECT_EQ(Holder(), "node-a");
  EXPECT_THAT(nodes.at("node-a")->changes, SizeIs(1));
}

TEST_F(ElectionTest, TheFirstLookIsSpreadOverThreeSeconds) {
  Add("node-a", 0.5);
  loop.Advance(milliseconds(1499));
  EXPECT_THAT(server.calls, IsEmpty());
  loop.Advance(milliseconds(1));
  EXPECT_EQ(Holder(), "node-a");
}

TEST_F(ElectionTest, TheHoldCountsFromWhenTheWriteWasSent) {
  server.delay = seconds(2);
  const MonoTime begin = loop.timeline().mono();
  Node& node = Add("node-a");
  loop.Advance(seconds(4));
  EXPECT_EQ(Holder(), "node-a");
  EXPECT_EQ(node.election.holds_until(), begin + seconds(2) + seconds(7)) << "the read took the first two seconds";
}

TEST_F(ElectionTest, AStandbyTakesOverWithinFifteenSecondsOfTheHoldersDeath) {
  for (const Nanoseconds before : {milliseconds(0), milliseconds(1300), milliseconds(3999), milliseconds(4000)}) {
    SCOPED_TRACE(FormatDuration(before));
    nodes.clear();
    server.lease.reset();
    server.delay = milliseconds(200);
    for (const std::string name : {"node-a", "node-b", "node-c"}) {
      Add(name);
      loop.Advance(seconds(3));
    }
    loop.Advance(minutes(1) + before);
    ASSERT_EQ(Holder(), "node-a");
    const MonoTime died = loop.timeline().mono();
    nodes.erase("node-a");
    TimeToAHolder();
    EXPECT_LE(loop.timeline().mono() - died, seconds(15));
    EXPECT_THAT(Holder(), ::testing::AnyOf("node-b", "node-c"));
    EXPECT_EQ(server.lease->spec().leasetransitions(), 1);
  }
}

TEST_F(ElectionTest, AHolderThatIsCutOffStopsBeforeAnotherOneBeginsAndSaysSo) {
  AddFour();
  Node& holder = *nodes.at("node-a");
  loop.Advance(milliseconds(4100));
  const MonoTime until = holder.election.holds_until();
  server.cut = {"node-a"};
  loop.Advance(until - loop.timeline().mono() - milliseconds(1));
  EXPECT_EQ(Holder(), "node-a");
  EXPECT_EQ(holder.changes.back().second, CoordinatorRole::kHolder);
  loop.Advance(milliseconds(1));
  EXPECT_EQ(Holder(), "");
  EXPECT_EQ(holder.changes.back(), (std::pair(until, CoordinatorRole::kBystander))) << "at the very moment";
  EXPECT_GE(TimeToAHolder(), seconds(2));
  EXPECT_THAT(holder.election.problem(), HasSubstr("no answer in time"));
  const std::string next = Holder();

  server.cut.clear();
  loop.Advance(seconds(10));
  EXPECT_EQ(Holder(), next) << "who comes back does not take it away";
  EXPECT_THAT(holder.election.problem(), IsEmpty());
  EXPECT_EQ(holder.election.role(), CoordinatorRole::kStandby) << "it takes the place that became free";
}

TEST_F(ElectionTest, AProcessThatWasPausedFindsOutBeforeItActs) {
  AddFour();
  loop.Advance(seconds(5));
  // Time passes and nothing runs.
  nodes.at("node-b")->Kill();
  nodes.at("node-c")->Kill();
  loop.timeline().set_settle(nullptr);
  loop.timeline().Advance(seconds(20));
  EXPECT_FALSE(At("node-a").holds());
  EXPECT_EQ(At("node-a").role(), CoordinatorRole::kBystander);
  Lease taken = *server.lease;
  taken.mutable_spec()->set_holderidentity("node-z");
  server.Store(taken);
  loop.timeline().set_settle([this] { loop.Settle(); });
  TakeCalls();
  loop.Advance(seconds(1));
  EXPECT_EQ(Holder(), "");
  EXPECT_EQ(TakeCalls().front(), "node-a GET") << "it looks before it writes";
  EXPECT_EQ(server.lease->spec().holderidentity(), "node-z");
}

TEST_F(ElectionTest, AVirtualMachineThatWasPausedStopsAndLooksAgain) {
  AddFour();
  const std::size_t before = nodes.at("node-a")->changes.size();
  loop.timeline().JumpWall(minutes(1));
  EXPECT_EQ(Holder(), "") << "though its own clock stood still";
  loop.Advance(seconds(5));
  EXPECT_EQ(Holder(), "node-a");
  EXPECT_EQ(nodes.at("node-a")->changes.size(), before + 2)
      << "both are told, so that what was left out is made up for";
}

TEST_F(ElectionTest, ARestartedHolderGoesOnAtOnce) {
  AddFour();
  loop.Advance(seconds(5));
  nodes.erase("node-a");
  Add("node-a");
  loop.Advance(seconds(0));
  EXPECT_EQ(Holder(), "node-a");
  EXPECT_EQ(server.lease->spec().leasetransitions(), 0);
}

TEST_F(ElectionTest, AWriteWhoseAnswerWasLostIsNotTakenForDone) {
  server.Inject("POST", Mishap::kDoneAnyway, Error(ErrorKind::kTimeout, "no answer in time"));
  Add("node-a");
  loop.Advance(milliseconds(2600));
  EXPECT_EQ(server.lease->spec().holderidentity(), "node-a");
  EXPECT_EQ(Holder(), "");
  loop.Advance(seconds(5));
  EXPECT_EQ(Holder(), "node-a") << "it has read that it is its own, and written it once more";

  nodes.at("node-a")->changes.clear();
  server.Inject("PUT", Mishap::kDoneAnyway, Error(ErrorKind::kRetry, "connection reset by peer"));
  loop.Advance(minutes(1));
  EXPECT_EQ(Holder(), "node-a");
  EXPECT_THAT(RolesOf("node-a"), Each(CoordinatorRole::kHolder)) << "one lost answer does not end the hold";
  Add("node-b");
  server.Inject("PUT", Mishap::kDoneAnyway, Error(ErrorKind::kRetry, "connection reset by peer"));
  loop.Advance(seconds(0));
  EXPECT_EQ(Standbys(), "node-b");
  loop.Advance(seconds(9));
  EXPECT_EQ(At("node-b").role(), CoordinatorRole::kStandby);
}

TEST_F(ElectionTest, AReleasedLeaseIsTakenOverAtOnce) {
  AddFour();
  Node& holder = *nodes.at("node-a");
  loop.Advance(seconds(5));
  holder.Kill();
  EXPECT_EQ(Holder(), "node-a") << "the end of Run() gives nothing up";
  loop.Run(holder.election.Release());
  EXPECT_EQ(Holder(), "");
  EXPECT_EQ(holder.changes.back().second, CoordinatorRole::kBystander);
  EXPECT_EQ(server.lease->spec().holderidentity(), "");
  EXPECT_LE(TimeToAHolder(), milliseconds(2500));
  const std::string next = Holder();
  const std::string other = next == "node-b" ? "node-c" : "node-b";
  EXPECT_EQ(Standbys(), other);

  nodes.at(other)->Kill();
  loop.Run(At(other).Release());
  EXPECT_EQ(Standbys(), "");
  EXPECT_EQ(server.lease->spec().holderidentity(), next);
}

TEST_F(ElectionTest, WhoHasNothingReleasesNothing) {
  AddFour();
  nodes.at("node-d")->Kill();
  TakeCalls();
  loop.Run(At("node-d").Release());
  nodes.clear();
  EXPECT_THAT(TakeCalls(), IsEmpty());
}

TEST_F(ElectionTest, AReleaseMeetsConflictsAndAServerThatDoesNotAnswer) {
  AddFour();
  loop.Advance(seconds(5));
  Lease touched = *server.lease;
  (*touched.mutable_metadata()->mutable_labels())["team"] = "storage";
  server.Store(touched);
  nodes.at("node-a")->Kill();
  loop.Run(At("node-a").Release());
  EXPECT_EQ(server.lease->spec().holderidentity(), "");
  EXPECT_EQ(decide::ValueOf(server.lease->metadata().labels(), "team"), "storage");

  TimeToAHolder();
  const std::string next = Holder();
  nodes.at(next)->Kill();
  server.cut = {next};
  const MonoTime begin = loop.timeline().mono();
  loop.Run(At(next).Release());
  EXPECT_LE(loop.timeline().mono() - begin, seconds(2));
  EXPECT_FALSE(At(next).holds());
  EXPECT_EQ(nodes.at(next)->changes.back(), (std::pair(begin, CoordinatorRole::kBystander)))
      << "told before it is written";
  EXPECT_EQ(server.lease->spec().holderidentity(), next);
}

TEST_F(ElectionTest, AClaimThatWasCutShortIsGivenUpToo) {
  server.Inject("POST", Mishap::kDoneAnyway, Error(ErrorKind::kTimeout, "no answer in time"));
  Node& node = Add("node-a");
  loop.Advance(seconds(1));
  ASSERT_EQ(server.lease->spec().holderidentity(), "node-a");
  node.Kill();
  loop.Run(node.election.Release());
  EXPECT_EQ(server.lease->spec().holderidentity(), "");
}

TEST_F(ElectionTest, RunMayBeginAgainAfterARelease) {
  Node& node = Add("node-a");
  loop.Advance(seconds(5));
  node.Kill();
  loop.Run(node.election.Release());
  node.Start();
  loop.Advance(seconds(0));
  EXPECT_EQ(Holder(), "node-a");
}

TEST_F(ElectionTest, OfThoseThatComeAtOnceOneMakesTheLease) {
  server.delay = milliseconds(50);
  for (const std::string name : {"node-a", "node-b", "node-c", "node-d"}) Add(name);
  loop.Advance(seconds(20));
  EXPECT_THAT(Holder(), SizeIs(6));
  int standbys = 0;
  for (const auto& [name, node] : nodes) {
    standbys += node->election.role() == CoordinatorRole::kStandby ? 1 : 0;
    EXPECT_THAT(node->election.problem(), IsEmpty()) << "a conflict is no trouble";
  }
  EXPECT_EQ(standbys, 2);
}

TEST_F(ElectionTest, ADeadStandbysPlaceGoesToABystanderThatLooks) {
  AddFour();
  At("node-a").SetDeadNodes({"node-b"});
  nodes.erase("node-b");
  loop.Advance(seconds(5));
  EXPECT_EQ(Standbys(), "node-c");
  loop.Advance(minutes(6));
  EXPECT_EQ(Standbys(), "node-c,node-d");
  EXPECT_EQ(At("node-d").role(), CoordinatorRole::kStandby);
}

TEST_F(ElectionTest, HurryMakesABystanderFindADeadHolder) {
  AddFour();
  loop.Advance(seconds(30));
  for (const std::string name : {"node-a", "node-b", "node-c"}) nodes.erase(name);
  loop.Advance(seconds(30));
  EXPECT_THAT(Holder(), IsEmpty());
  At("node-d").Hurry();
  EXPECT_LE(TimeToAHolder(), seconds(25));
  EXPECT_EQ(Holder(), "node-d");
}

TEST_F(ElectionTest, HurryCostsTwoLooksAMinuteAtMostAndNothingForTheOthers) {
  AddFour();
  loop.Advance(seconds(20));
  TakeCalls();
  for (int i = 0; i < 30; ++i) {
    for (const auto& [name, node] : nodes) node->election.Hurry();
    loop.Advance(seconds(1));
  }
  std::vector<std::string> calls = TakeCalls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-d GET"), 2);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-b GET"), 12);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "node-a PUT"), 7);
  EXPECT_EQ(calls.size(), 2U + 12 + 12 + 7);
}

TEST_F(ElectionTest, WithoutTheRightsItIsQuiet) {
  server.Inject("GET", Mishap::kFails, Forbidden(), 1000);
  Node& node = Add("node-a");
  loop.Advance(hours(5));
  EXPECT_THAT(node.election.problem(), IsEmpty());
  EXPECT_FALSE(node.election.permitted());
  EXPECT_LE(server.calls.size(), 18U);
  TakeCalls();
  node.election.Hurry();
  loop.Advance(minutes(1));
  EXPECT_THAT(TakeCalls(), IsEmpty()) << "Hurry() does not make it look";
  EXPECT_THAT(node.changes, IsEmpty());
}

TEST_F(ElectionTest, RightsThatComeLaterAreFound) {
  server.Inject("POST", Mishap::kFails, Forbidden(), 2);
  Node& node = Add("node-a");
  loop.Advance(seconds(1));
  EXPECT_FALSE(node.election.permitted());
  loop.Advance(minutes(1));
  EXPECT_TRUE(node.election.permitted());
  EXPECT_EQ(Holder(), "node-a");
}

TEST_F(ElectionTest, AHolderWhoseRightsAreTakenAwayStopsInTime) {
  AddFour();
  loop.Advance(seconds(5));
  server.Inject("PUT", Mishap::kFails, Forbidden(), 4);  // more than a server that starts gives
  loop.Advance(seconds(5));
  EXPECT_TRUE(At("node-a").holds());
  loop.Advance(seconds(2));
  EXPECT_FALSE(At("node-a").holds());
  TimeToAHolder();
  EXPECT_NE(Holder(), "node-a");
}

TEST_F(ElectionTest, ARefusalInPassingEndsNoHold) {
  AddFour();
  loop.Advance(seconds(5));
  server.Inject("PUT", Mishap::kFails, Forbidden(), 3);
  loop.Advance(minutes(1));
  EXPECT_TRUE(At("node-a").holds());
}

TEST_F(ElectionTest, ANamespaceThatIsMissingIsTold) {
  server.Inject("POST", Mishap::kFails, Absent(), 1000);
  Node& node = Add("node-a");
  loop.Advance(minutes(30));
  EXPECT_THAT(node.election.problem(), HasSubstr("create leases"));
  EXPECT_LE(server.calls.size(), 150U);
}

TEST_F(ElectionTest, AServerThatUndoesWhatIsWrittenIsNotFloodedWithIt) {
  AddFour();
  nodes.clear();
  // Takes the annotation away, as an admission webhook does.
  server.lease->mutable_metadata()->clear_annotations();
  server.lease->mutable_spec()->set_holderidentity("node-z");
  server.Inject("PUT", Mishap::kFails, testing::ObjectResponse(kube::kLeases, *server.lease), 1000);
  TakeCalls();
  Add("node-b");
  loop.Advance(seconds(9));
  EXPECT_LE(server.calls.size(), 10U);
}

TEST_F(ElectionTest, CancelEndsItAtEveryMomentCleanly) {
  server.delay = milliseconds(300);
  for (int step = 0; step < 40; ++step) {
    SCOPED_TRACE(step);
    server.lease.reset();
    server.cut.clear();
    Add("node-a");
    Add("node-b");
    loop.Advance(milliseconds(150) * step);
    if (step % 3 == 0) server.cut = {"node-a"};
    nodes.at("node-a")->Kill();
    loop.Run(At("node-a").Release());
    if (step % 3 != 0 && server.lease) EXPECT_NE(server.lease->spec().holderidentity(), "node-a");
    nodes.clear();
    EXPECT_EQ(loop.timeline().alarms(), 0U);
  }
}

TEST_F(ElectionTest, FiftyAgentsHaveOneCoordinatorWhateverIsCutAndWhoeverDies) {
  std::mt19937 random(1);
  const auto pick = [&random](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  const auto name_of = [](int i) { return fmt::format("node-{}", i); };
  for (int i = 0; i < 50; ++i) Add(name_of(i), i / 50.0);
  int held = 0;
  constexpr int kSteps = 200;
  for (int step = 0; step < kSteps; ++step) {
    const std::string holder = Holder();
    const std::string name = !holder.empty() && pick(2) == 0 ? holder : name_of(pick(50));
    switch (pick(4)) {
      case 0: server.cut = {name}; break;
      case 1: server.cut.clear(); break;
      case 2: Add(name, pick(50) / 50.0); break;  // a new process
      default: server.delay = milliseconds(pick(1500)); break;
    }
    for (int i = 0; i < 10; ++i) {
      loop.Advance(milliseconds(pick(600)));
      int holders = 0;
      for (const auto& [each, node] : nodes) holders += node->election.holds() ? 1 : 0;
      ASSERT_LE(holders, 1);
      held += holders;
    }
  }
  EXPECT_GT(held, kSteps * 10 / 2);
}

}  // namespace
}  // namespace daemonsetd::rollout

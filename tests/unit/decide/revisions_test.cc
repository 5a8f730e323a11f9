#include "agent/decide/revisions.h"

#include <algorithm>
#include <limits>
#include <list>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/daemon_pod.h"
#include "agent/decide/labels.h"
#include "agent/model/codec.h"
#include "agent/model/defaulting.h"
#include "tests/support/message_equality.h"
#include "tests/unit/decide/vectors.h"

namespace daemonsetd::decide {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kMaxNumber = std::numeric_limits<std::int64_t>::max();

corev1::PodTemplateSpec Template(const std::string& image) {
  return FromYaml<corev1::PodTemplateSpec>(
      "{metadata: {labels: {app: log}}, spec: {containers: [{name: log, image: " + image + "}]}}");
}

std::string Hash(const std::string& image) { return TemplateHash(Template(image)); }

// As the server stores it: the template is defaulted.
std::string Data(corev1::PodTemplateSpec pod_template) {
  appsv1::DaemonSet set;
  *set.mutable_spec()->mutable_template_() = std::move(pod_template);
  model::SetDefaults(set);
  return *RevisionData(model::EncodeJson(set, "apps/v1", "DaemonSet"));
}

class RevisionsTest : public ::testing::Test {
 protected:
  RevisionsTest() {
    set = FromYaml<appsv1::DaemonSet>(R"(
metadata:
  name: log
  namespace: kube-system
  uid: set-uid
  annotations: {kubernetes.io/change-cause: version 2, kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec:
  selector: {matchLabels: {app: log}}
)");
    SetTemplate("b");
    input.daemon_set = &set;
  }

  void SetTemplate(const std::string& image) {
    *set.mutable_spec()->mutable_template_() = Template(image);
    input.template_hash = Hash(image);
  }

  static appsv1::ControllerRevision MakeRevision(const std::string& name, std::int64_t number, const std::string& image,
                                                 const std::string& hash) {
    appsv1::ControllerRevision revision;
    metav1::ObjectMeta& metadata = *revision.mutable_metadata();
    metadata.set_name(name);
    metadata.set_namespace_("kube-system");
    metadata.set_uid("uid of " + name);
    metadata.set_resourceversion("7");
    (*metadata.mutable_labels())["app"] = "log";
    if (!hash.empty()) (*metadata.mutable_labels())[kRevisionHashLabel] = hash;
    (*metadata.mutable_annotations())["kubernetes.io/change-cause"] = "cause of " + name;
    Own(revision, "set-uid");
    revision.mutable_data()->set_raw(Data(Template(image)));
    revision.set_revision(number);
    return revision;
  }
  static void Own(appsv1::ControllerRevision& revision, const std::string& uid) {
    metav1::OwnerReference& owner = *revision.mutable_metadata()->add_ownerreferences();
    owner.set_apiversion("apps/v1");
    owner.set_kind("DaemonSet");
    owner.set_name("log");
    owner.set_uid(uid);
    owner.set_controller(true);
    owner.set_blockownerdeletion(true);
  }
  appsv1::ControllerRevision& Add(const std::string& name, std::int64_t number, const std::string& image,
                                  const std::string& hash) {
    return revisions.emplace_back(MakeRevision(name, number, image, hash));
  }
  // Under our own hash.
  appsv1::ControllerRevision& Add(const std::string& name, std::int64_t number, const std::string& image) {
    return Add(name, number, image, Hash(image));
  }
  void AddPod(const std::string& id, const std::string& hash) { input.pods.push_back({id, hash}); }

  RevisionPlan Plan() {
    input.revisions.clear();
    for (const appsv1::ControllerRevision& revision : revisions) input.revisions.push_back(&revision);
    return PlanRevisions(input);
  }
  std::vector<std::string> Actions() {
    std::vector<std::string> texts;
    for (const RevisionAction& action : Plan().actions) texts.push_back(Describe(action));
    return texts;
  }
  appsv1::ControllerRevision OnlyUpdate(bool adopts = false) {
    const RevisionPlan plan = Plan();
    EXPECT_EQ(plan.actions.size(), 1u);
    const auto* update = plan.actions.empty() ? nullptr : std::get_if<revision::Update>(&plan.actions[0]);
    EXPECT_NE(update, nullptr);
    if (update == nullptr) return {};
    EXPECT_EQ(update->adopts, adopts);
    return update->object;
  }

  appsv1::DaemonSet set;
  std::list<appsv1::ControllerRevision> revisions;
  RevisionInput input;
};

TEST_F(RevisionsTest, CreatesTheFirstAsUpstreamDoes) {
  const RevisionPlan plan = Plan();
  ASSERT_EQ(plan.actions.size(), 1u);
  const appsv1::ControllerRevision& created = std::get<revision::Create>(plan.actions[0]).object;
  EXPECT_EQ(created.metadata().name(), "log-" + Hash("b"));
  EXPECT_EQ(created.metadata().namespace_(), "kube-system");
  EXPECT_EQ(created.revision(), 1);
  EXPECT_THAT(created.metadata().labels(),
              UnorderedElementsAre(Pair("app", "log"), Pair(kRevisionHashLabel, Hash("b"))));
  EXPECT_THAT(created.metadata().annotations(),
              UnorderedElementsAre(Pair("kubernetes.io/change-cause", "version 2"),
                                   Pair("kubectl.kubernetes.io/last-applied-configuration", "{}")));
  ASSERT_EQ(created.metadata().ownerreferences_size(), 1);
  EXPECT_EQ(created.metadata().ownerreferences(0).uid(), "set-uid");
  EXPECT_TRUE(created.metadata().ownerreferences(0).controller());
  EXPECT_EQ(plan.current, 1);
  EXPECT_EQ(plan.current_name, created.metadata().name());
}

TEST_F(RevisionsTest, NumbersANewOneAfterTheHighest) {
  Add("log-2", 7, "x");
  Add("log-1", 3, "a");
  EXPECT_THAT(Actions(), ElementsAre("create revision log-" + Hash("b") + " with number 8"));
}

TEST_F(RevisionsTest, LeavesTheCurrentOneAlone) {
  Add("log-1", 1, "a");
  Add("log-2", 2, "b");
  AddPod("old", Hash("a"));
  AddPod("new", Hash("b"));
  AddPod("strange", "unknown");
  AddPod("bare", "");
  const RevisionPlan plan = Plan();
  EXPECT_THAT(Actions(), IsEmpty());
  EXPECT_EQ(plan.current, 2);
  EXPECT_EQ(plan.current_name, "log-2");
}

// design.md section 4: neither defaults nor unknown fields nor the server's version make another template.
TEST_F(RevisionsTest, ComparesTemplatesByWhatTheyMean) {
  for (const char* data : {
           R"({"spec":{"template":{"$patch":"replace","metadata":{"creationTimestamp":null,"labels":{"app":"log"}},)"
           R"("spec":{"containers":[{"image":"b","name":"log","resources":{}}]}}}})",
           R"({"spec": {"template": {"spec": {"fromTheFuture": {"a": [1e3]}, "containers": [{"name": "log", )"
           R"("image": "b", "alsoNew": 1}], "dnsPolicy": "ClusterFirst"}, "metadata": {"labels": {"app": "log"}}, )"
           R"("$patch": "replace"}}})",
       }) {
    revisions.clear();
    Add("log-1", 1, "b").mutable_data()->set_raw(data);
    EXPECT_THAT(Actions(), IsEmpty()) << data;
  }
}

// RO-12
TEST_F(RevisionsTest, RaisesTheNumberOfAnOldTemplateThatIsCurrentAgain) {
  Add("log-a", 1, "a");
  Add("log-b", 2, "b");
  AddPod("stayed", Hash("a"));
  AddPod("updated", Hash("b"));
  SetTemplate("a");
  appsv1::ControllerRevision expected = revisions.front();
  expected.set_revision(3);
  EXPECT_TRUE(testing::SameMessage(expected, OnlyUpdate())) << "as upstream: the number only";
  EXPECT_EQ(Plan().current, 3);
  EXPECT_EQ(Plan().current_name, "log-a");

  revisions.front() = expected;
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(RevisionsTest, SurvivesNumbersAtTheEndOfTheirRange) {
  Add("log-a", kMaxNumber, "a");
  EXPECT_THAT(Actions(), ElementsAre("create revision log-" + Hash("b") + " with number 9223372036854775807"));
  Add("log-b", 1, "b");
  EXPECT_EQ(OnlyUpdate().revision(), kMaxNumber);
  revisions.back().set_revision(kMaxNumber);
  EXPECT_THAT(Actions(), IsEmpty());
  revisions.front().set_revision(std::numeric_limits<std::int64_t>::min());
  EXPECT_THAT(Actions(), IsEmpty());
  revisions.pop_back();
  EXPECT_THAT(Actions(), ElementsAre("create revision log-" + Hash("b") + " with number 1"));
}

// The built-in controller made it: under another hash. Its label goes last, for it is what tells whose pods they are.
TEST_F(RevisionsTest, TakesOverFromTheBuiltInController) {
  Add("log-8556bf97dd", 4, "b", "8556bf97dd");
  Add("log-c67588889", 3, "a", "c67588889");
  AddPod("one", "8556bf97dd");
  AddPod("two", Hash("b"));
  AddPod("old", "c67588889");
  EXPECT_THAT(Actions(), ElementsAre("label pod one with " + Hash("b")));
  EXPECT_EQ(Plan().current, 4);
  EXPECT_EQ(Plan().current_name, "log-8556bf97dd");

  input.pods[0].hash = Hash("b");
  appsv1::ControllerRevision expected = revisions.front();
  (*expected.mutable_metadata()->mutable_labels())[kRevisionHashLabel] = Hash("b");
  const appsv1::ControllerRevision updated = OnlyUpdate();
  EXPECT_TRUE(testing::SameMessage(expected, updated)) << "name, number and change-cause stay";

  revisions.front() = updated;
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(RevisionsTest, RaisesTheNumberWhilePodsAreRelabelled) {
  Add("log-1", 1, "b", "8556bf97dd");
  Add("log-2", 2, "a");
  AddPod("one", "8556bf97dd");
  EXPECT_THAT(Actions(),
              ElementsAre("label pod one with " + Hash("b"), "update revision log-1: its number 1 becomes 3"));
}

TEST_F(RevisionsTest, GivesOneWithoutAHashItsLabelWhenItIsCurrent) {
  Add("log-1", 1, "b", "");
  Add("log-0", 0, "a", "");
  AddPod("bare", "");
  EXPECT_EQ(ValueOf(OnlyUpdate().metadata().labels(), kRevisionHashLabel), Hash("b"));
}

// RO-11
TEST_F(RevisionsTest, RemovesDuplicatesOnceNoPodCarriesTheirHash) {
  Add("log-copy", 5, "b", "copied");
  Add("log-ours", 2, "b");
  Add("log-older-copy", 1, "b", "copied-before");
  Add("log-a", 3, "a");
  AddPod("one", "copied");
  AddPod("two", Hash("b"));
  EXPECT_THAT(Actions(),
              ElementsAre("label pod one with " + Hash("b"), "update revision log-ours: its number 2 becomes 4",
                          "delete revision log-older-copy: it holds the same template as log-ours"));

  input.pods[0].hash = Hash("b");
  std::next(revisions.begin())->set_revision(4);
  std::next(revisions.begin(), 2)->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);  // a finalizer
  const RevisionPlan plan = Plan();
  ASSERT_EQ(plan.actions.size(), 1u);
  EXPECT_EQ(std::get<revision::Delete>(plan.actions[0]).name, "log-copy");
  EXPECT_EQ(std::get<revision::Delete>(plan.actions[0]).uid, "uid of log-copy");
}

TEST_F(RevisionsTest, KeepsTheHighestNumberOfDuplicatesWithoutOurHash) {
  Add("log-1", 1, "b", "one");
  Add("log-3", 3, "b", "three");
  Add("log-2", 3, "b", "two");
  EXPECT_THAT(Actions(), ElementsAre(StartsWith("update revision log-2: its hash label \"two\" becomes"),
                                     StartsWith("delete revision log-3:"), StartsWith("delete revision log-1:")));
  revisions.back().mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_EQ(Plan().current_name, "log-3") << "one that goes is not kept while another stays";
}

// Which of both templates such a pod runs, nobody can tell: it is not said to run the present one.
TEST_F(RevisionsTest, TrustsNoHashThatBelongsToAnotherTemplateToo) {
  Add("log-a", 1, "a", "shared");
  Add("log-b", 2, "b", "shared");
  AddPod("one", "shared");
  EXPECT_EQ(ValueOf(OnlyUpdate().metadata().labels(), kRevisionHashLabel), Hash("b"));

  revisions.clear();
  Add("log-a", 1, "a", "8556bf97dd");
  Add("log-b", 2, "b", Hash("a"));
  AddPod("two", Hash("a"));
  EXPECT_EQ(ValueOf(OnlyUpdate().metadata().labels(), kRevisionHashLabel), Hash("b"));
}

TEST_F(RevisionsTest, AdoptsOrphansThatTheSelectorMatches) {
  appsv1::ControllerRevision& orphan = Add("log-1", 1, "b");
  orphan.mutable_metadata()->clear_ownerreferences();
  Own(orphan, "another");
  Own(orphan, "set-uid");
  orphan.mutable_metadata()->mutable_ownerreferences(0)->clear_controller();
  orphan.mutable_metadata()->mutable_ownerreferences(1)->clear_controller();
  const appsv1::ControllerRevision adopted = OnlyUpdate(/*adopts=*/true);
  ASSERT_EQ(adopted.metadata().ownerreferences_size(), 2);
  EXPECT_EQ(adopted.metadata().ownerreferences(0).uid(), "another");
  EXPECT_EQ(adopted.metadata().ownerreferences(1).uid(), "set-uid");
  EXPECT_TRUE(adopted.metadata().ownerreferences(1).controller());
  EXPECT_EQ(Plan().current_name, "log-1");

  orphan = adopted;
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(RevisionsTest, AdoptsWhatItWillDelete) {
  set.mutable_spec()->set_revisionhistorylimit(1);
  Add("log-b", 9, "b");
  Add("log-copy", 8, "b", "copied").mutable_metadata()->clear_ownerreferences();
  Add("log-a", 1, "a").mutable_metadata()->clear_ownerreferences();
  Add("log-c", 2, "c");
  EXPECT_THAT(Actions(), ElementsAre("update revision log-copy: its labels match the selector: adopt it",
                                     "update revision log-a: its labels match the selector: adopt it"));
  for (appsv1::ControllerRevision& revision : revisions) {
    if (revision.metadata().ownerreferences().empty()) Own(revision, "set-uid");
  }
  EXPECT_THAT(Actions(), ElementsAre("delete revision log-copy: it holds the same template as log-b",
                                     "delete revision log-a: revisionHistoryLimit is 1"));
}

TEST_F(RevisionsTest, ReleasesItsOwnWhoseLabelsNoLongerMatch) {
  Add("log-b", 2, "b");
  (*Add("log-a", 5, "a").mutable_metadata()->mutable_labels())["app"] = "other";
  EXPECT_THAT(Actions(), ElementsAre("update revision log-a: its labels no longer match the selector: release it"));
  EXPECT_THAT(OnlyUpdate().metadata().ownerreferences(), IsEmpty());
}

TEST_F(RevisionsTest, LeavesWhatIsNotItsOwnAlone) {
  Add("log-b", 2, "b");
  appsv1::ControllerRevision& foreign = Add("log-a", 9, "a");
  foreign.mutable_metadata()->mutable_ownerreferences(0)->set_uid("another");
  Add("log-copy", 8, "b", "copied").mutable_metadata()->mutable_ownerreferences(0)->set_uid("another");
  appsv1::ControllerRevision& stranger = Add("stranger", 9, "a");
  stranger.mutable_metadata()->clear_ownerreferences();
  (*stranger.mutable_metadata()->mutable_labels())["app"] = "other";
  appsv1::ControllerRevision& going = Add("going", 9, "a");
  going.mutable_metadata()->clear_ownerreferences();
  going.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  AddPod("one", "copied");
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(RevisionsTest, DoesNothingForASetThatGoesOrThatNoServerKeeps) {
  Add("log-a", 5, "a").mutable_metadata()->clear_ownerreferences();
  ASSERT_THAT(Actions(), Not(IsEmpty()));
  const appsv1::DaemonSet good = set;

  set.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_THAT(Actions(), IsEmpty());
  set = good;
  set.mutable_spec()->clear_selector();
  EXPECT_THAT(Actions(), IsEmpty());
  set = good;
  (*set.mutable_spec()->mutable_selector()->mutable_matchlabels())["tier"] = "missing in the template";
  EXPECT_THAT(Actions(), IsEmpty());
  set = good;
  set.mutable_spec()->mutable_selector()->add_matchexpressions()->set_operator_("Near");
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(RevisionsTest, KeepsTenOldOnesAndThoseThatPodsRun) {
  for (int i = 1; i <= 14; ++i) Add(fmt::format("log-{}", i), i, fmt::format("image-{}", i));
  Add("log-b", 20, "b");
  AddPod("one", Hash("image-1"));
  revisions.front().mutable_data()->set_raw("not JSON: protected by its label alone");
  (*std::next(revisions.begin())->mutable_metadata()->mutable_labels())[kRevisionHashLabel] = "8556bf97dd";
  AddPod("two", Hash("image-2"));  // relabelled while that one was current
  EXPECT_THAT(Actions(), ElementsAre("delete revision log-3: revisionHistoryLimit is 10",
                                     "delete revision log-4: revisionHistoryLimit is 10",
                                     "delete revision log-5: revisionHistoryLimit is 10",
                                     "delete revision log-6: revisionHistoryLimit is 10"));

  std::next(revisions.begin(), 2)->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  EXPECT_EQ(Actions().size(), 3u) << "one that goes by itself is none too many";

  set.mutable_spec()->set_revisionhistorylimit(0);
  EXPECT_EQ(Actions().size(), 11u);
  set.mutable_spec()->set_revisionhistorylimit(-3);
  EXPECT_EQ(Actions().size(), 11u);
  set.mutable_spec()->set_revisionhistorylimit(std::numeric_limits<std::int32_t>::max());
  EXPECT_THAT(Actions(), IsEmpty());
}

TEST_F(RevisionsTest, CountsOneWithBrokenDataAsOld) {
  Add("log-broken", 6, "b").mutable_data()->set_raw("{");
  Add("log-empty", 4, "b").clear_data();
  EXPECT_THAT(Actions(), ElementsAre("create revision log-" + Hash("b") + " with number 7"));
}

// RO-09
TEST_F(RevisionsTest, TakesAnotherNameAfterACollision) {
  set.mutable_status()->set_collisioncount(0);
  const std::string plain = Plan().current_name;
  EXPECT_EQ(plain, "log-" + Hash("b"));
  std::set<std::string> names = {plain};
  for (const int count : {1, 2, 3, std::numeric_limits<std::int32_t>::max()}) {
    set.mutable_status()->set_collisioncount(count);
    const RevisionPlan plan = Plan();
    EXPECT_TRUE(names.insert(plan.current_name).second) << plan.current_name;
    EXPECT_EQ(plan.current_name.size(), plain.size());
    const appsv1::ControllerRevision& created = std::get<revision::Create>(plan.actions.at(0)).object;
    EXPECT_EQ(created.metadata().name(), plan.current_name);
    EXPECT_EQ(ValueOf(created.metadata().labels(), kRevisionHashLabel), Hash("b")) << "restarts no pod";
  }
  set.mutable_status()->set_collisioncount(-1);
  EXPECT_EQ(Plan().current_name, plain);
}

TEST_F(RevisionsTest, CutsLongNames) {
  set.mutable_metadata()->set_name(std::string(253, 'x'));
  EXPECT_EQ(Plan().current_name, std::string(242, 'x') + "-" + Hash("b"));
  set.mutable_metadata()->set_name(std::string(241, 'x') + "." + std::string(11, 'y'));
  EXPECT_EQ(Plan().current_name, std::string(241, 'x') + "-" + Hash("b"));
}

// RO-09, RO-10
TEST_F(RevisionsTest, JudgesWhatHasTheNameAlready) {
  const std::string name = "log-" + Hash("b");
  const auto judge = [&](const appsv1::ControllerRevision& existing) {
    const bool ours = JudgeCollision(set, Hash("b"), existing) == RevisionCollision::kOurs;
    // What is said to be ours must end the creations, and nothing else does.
    revisions = {existing};
    const std::vector<RevisionAction> actions = Plan().actions;
    const bool creates = std::any_of(actions.begin(), actions.end(), [](const RevisionAction& action) {
      return std::holds_alternative<revision::Create>(action);
    });
    EXPECT_EQ(ours, !creates);
    return ours;
  };
  EXPECT_TRUE(judge(MakeRevision(name, 1, "b", Hash("b"))));
  EXPECT_TRUE(judge(MakeRevision(name, 1, "b", "other hash")));
  EXPECT_FALSE(judge(MakeRevision(name, 1, "a", Hash("b"))));

  appsv1::ControllerRevision existing = MakeRevision(name, 1, "b", Hash("b"));
  existing.mutable_metadata()->clear_ownerreferences();
  EXPECT_TRUE(judge(existing));
  Own(existing, "a DaemonSet of this name that is gone");
  EXPECT_FALSE(judge(existing));
  existing = MakeRevision(name, 1, "b", Hash("b"));
  (*existing.mutable_metadata()->mutable_labels())["app"] = "other";
  EXPECT_FALSE(judge(existing));
  existing = MakeRevision(name, 1, "b", Hash("b"));
  existing.mutable_data()->set_raw("[]");
  EXPECT_FALSE(judge(existing));
}

// ---- TemplateOf

TEST(TemplateOfRevision, ReadsWhatTheBuiltInControllerWrote) {
  const std::vector<Row> rows = ReadRows("revision_data.jsonl");
  ASSERT_EQ(rows.size(), 3u);
  for (const Row& row : rows) {
    appsv1::DaemonSet set;
    ASSERT_TRUE(model::DecodeObject(row.text("daemonSet"), set, /*strict=*/false));
    appsv1::ControllerRevision revision;
    revision.mutable_data()->set_raw(row.text("data"));
    const auto pod_template = TemplateOf(revision);
    ASSERT_TRUE(pod_template) << "line " << row.line << ": " << pod_template.error().message();
    EXPECT_EQ(TemplateHash(*pod_template), TemplateHash(set.spec().template_())) << "line " << row.line;
    EXPECT_FALSE(pod_template->spec().containers().empty());
  }
}

TEST(TemplateOfRevision, RefusesWhatIsNone) {
  const std::string deep = std::string(200, '[') + std::string(200, ']');
  const std::string long_text(4u << 20, ' ');
  const struct {
    std::string data, message;
  } cases[] = {
      {"", "is not one JSON object"},
      {"null", "is not one JSON object"},
      {"[1]", "is not one JSON object"},
      {"{} {}", "is not one JSON object"},
      {"{", "the JSON ends where"},
      {"spec: {template: {}}", "JSON syntax"},
      {"{\"spec\":{\"template\":" + deep + "}}", "nested more than 100 levels deep"},
      {long_text, "is longer than 3145728 bytes"},
      {"{}", "has no \"spec\""},
      {R"({"spec":1})", "\"spec\" is not an object"},
      {R"({"spec":{"template":null}})", "\"template\" is not an object"},
      {R"({"spec":{"template":{},"template":{}}})", "has \"template\" twice"},
      {R"({"spec":{"template":{}}})", "has no \"$patch\""},
      {R"({"spec":{"template":{"$patch":"merge"}}})", "\"$patch\" is not \"replace\""},
      {R"({"spec":{"template":{"$patch":["replace"]}}})", "\"$patch\" is not \"replace\""},
      {R"({"spec":{"template":{"$patch":"replace","spec":{"containers":7}}}})", "spec.template.spec.containers: "},
      {R"({"spec":{"template":{"$patch":"replace","spec":{"a":1,"a":1}}}})", "there twice"},
      {"{\"spec\":{\"template\":{\"$patch\":\"replace\",\"spec\":{\"nodeName\":\"\x01\"}}}}", "control character"},
  };
  for (const auto& c : cases) {
    appsv1::ControllerRevision revision;
    revision.mutable_metadata()->set_namespace_("kube-system");
    revision.mutable_metadata()->set_name("log-1");
    revision.mutable_data()->set_raw(c.data);
    const auto pod_template = TemplateOf(revision);
    ASSERT_FALSE(pod_template) << c.data;
    EXPECT_EQ(pod_template.error().kind(), ErrorKind::kInvalid);
    EXPECT_THAT(pod_template.error().message(),
                AllOf(StartsWith("ControllerRevision kube-system/log-1: data: "), HasSubstr(c.message)));
  }
}

// ---- RevisionData

TEST(RevisionDataOfSet, IsToTheByteWhatTheBuiltInControllerWrites) {
  const std::vector<Row> rows = ReadRows("revision_data.jsonl");
  ASSERT_EQ(rows.size(), 3u);
  for (const Row& row : rows) {
    const auto data = RevisionData(row.text("daemonSet"));
    ASSERT_TRUE(data) << data.error().message();
    EXPECT_EQ(*data, row.text("data")) << "line " << row.line;
  }
}

TEST(RevisionDataOfSet, KeepsWhatThisAgentDoesNotKnow) {
  const auto data = RevisionData(R"({"kind": "DaemonSet", "status": {}, "spec": {"x": 1, "template": {
    "$patch": "a user's", "z": [9007199254740993, 1e3, 0.10, -0, {"b": null, "a": true}], "spec": {}, "a": "\/\u00e4"}}})");
  ASSERT_TRUE(data) << data.error().message();
  EXPECT_EQ(*data, R"({"spec":{"template":{"$patch":"replace","a":"/ä","spec":{},)"
                   R"("z":[9007199254740993,1e3,0.10,-0,{"a":true,"b":null}]}}})");
}

TEST(RevisionDataOfSet, RefusesWhatIsNoDaemonSet) {
  for (const char* json : {"", "[]", "{}", R"({"spec":{}})", R"({"spec":{"template":[]}})", "{\"spec\"",
                           R"({"spec":{"template":{"a":[{"b":1,"b":2}]}}})"}) {
    const auto data = RevisionData(json);
    ASSERT_FALSE(data) << json;
    EXPECT_EQ(data.error().kind(), ErrorKind::kInvalid);
    EXPECT_THAT(data.error().message(), StartsWith("DaemonSet: "));
  }
}

}  // namespace
}  // namespace daemonsetd::decide

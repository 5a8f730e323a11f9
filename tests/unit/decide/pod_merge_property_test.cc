// A small world (an API server, a runtime, an agent's view of both) in which random things happen, and in which every
// plan is carried out. What has to hold whatever happens is asserted after each step.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <string>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::decide {
namespace {

constexpr unsigned kSeeds = 60;
constexpr int kSteps = 60;
constexpr int kRoundsToSettle = 15;

using Objects = std::map<std::string, corev1::Pod>;           // by UID
using DaemonSets = std::map<std::string, appsv1::DaemonSet>;  // by UID

struct Runtime {
  LocalPod facts;
  corev1::Pod pod;
  std::optional<std::string> noted_object_uid;  // on disk, where that is older than facts.object_uid
};

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {
    node_.mutable_metadata()->set_name("node-a");
    (*node_.mutable_metadata()->mutable_labels())["on"] = "yes";
    for (int i = 0; i < 3; ++i) AddSet();
    view_sets_ = sets_;
  }

  int Pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  // ---- What others do

  void Event() {
    switch (Pick(16)) {
      case 0: AddSet(); break;
      case 1:
        if (auto set = AnySet(); set != sets_.end()) sets_.erase(set);
        break;
      case 2: DeleteObject(/*force=*/false); break;
      case 3: DeleteObject(/*force=*/true); break;
      case 4: Orphan(); break;
      case 5: ToggleLabel(); break;
      case 6:
        if (auto set = AnySet(); set != sets_.end()) SetTemplate(set->second, Pick(3));
        break;
      case 7: reachable_ = !reachable_; break;
      case 8: Restart(); break;
      case 9: Reboot(); break;
      case 10: MadeByOthers(); break;
      case 11: Fail(); break;
      case 12: RollBack(); break;
      default: break;  // time passes
    }
    if (reachable_ && daemon_set_knowledge_ != Knowledge::kComplete && Pick(2) == 0) Listed(daemon_set_knowledge_);
    if (reachable_ && object_knowledge_ != Knowledge::kComplete && Pick(2) == 0) Listed(object_knowledge_);
    if (!reachable_ && Pick(2) == 0) StopWaiting();
    Observe();
  }

  void Calm() {
    reachable_ = true;
    daemon_set_knowledge_ = object_knowledge_ = Knowledge::kComplete;
    Observe();
  }

  // ---- The agent

  MergePlan Plan() {
    input_ = {};
    input_.node = &node_;
    input_.node_name = "node-a";
    input_.node_uid = "node-uid";
    input_.daemon_sets = daemon_set_knowledge_;
    input_.objects = object_knowledge_;
    input_.runtime_listed = true;
    input_.manifests_complete = true;
    input_.server_reachable = reachable_;
    input_.now = WallTime(Seconds(1'800'000'000 + clock_));
    for (const auto& [uid, set] : view_sets_) {
      input_.sets.push_back({.daemon_set = &set, .template_hash = HashOf(set), .replace_failed = true});
    }
    for (const auto& [uid, pod] : view_) input_.pods.push_back(&pod);
    for (Runtime& item : runtime_) {
      item.facts.pod = &item.pod;
      input_.local.push_back(item.facts);
    }
    return MergePods(input_);
  }

  void CheckPlan(const MergePlan& plan) {
    const bool complete = daemon_set_knowledge_ == Knowledge::kComplete && object_knowledge_ == Knowledge::kComplete;
    std::map<std::string, std::string> adoptions;  // by the pod's UID, the object's
    for (const MergeAction& action : plan.actions) {
      SCOPED_TRACE(Describe(action));
      if (const auto* deletion = std::get_if<merge::DeleteObject>(&action)) {
        EXPECT_TRUE(reachable_);
        const corev1::Pod& object = view_.at(deletion->uid);
        if (deletion->grace) {
          EXPECT_TRUE(IsTerminating(object)) << "final deletion that nobody asked for";
          EXPECT_FALSE(Runs(deletion->uid)) << "its containers are still here";
          EXPECT_NE(object_knowledge_, Knowledge::kRolledBack);
        } else {
          EXPECT_TRUE(complete) << "deletes while a source is incomplete";
        }
      } else if (const auto* stop = std::get_if<merge::StopPod>(&action)) {
        const auto adopted = adoptions.find(stop->uid);
        const std::string& object_uid =
            adopted == adoptions.end() ? Find(stop->uid)->facts.object_uid : adopted->second;
        const auto object = view_.find(object_uid);
        const bool asked = object != view_.end() && !IsLive(object->second);
        const bool lost = object == view_.end() && !object_uid.empty() && object_knowledge_ == Knowledge::kComplete;
        EXPECT_TRUE(complete || asked || lost) << "stops while a source is incomplete";
      } else if (const auto* adoption = std::get_if<merge::AdoptPod>(&action)) {
        adoptions[adoption->uid] = adoption->object_uid;
        const bool starts = Find(adoption->uid)->facts.asleep && IsLive(view_.at(adoption->object_uid));
        const bool waiting = object_knowledge_ == Knowledge::kWaiting || daemon_set_knowledge_ == Knowledge::kWaiting;
        EXPECT_FALSE(starts && waiting) << "starts before the server had its time";
      } else if (std::holds_alternative<merge::CreateObject>(action)) {
        EXPECT_TRUE(reachable_ && complete);
      } else if (std::holds_alternative<merge::StartProvisional>(action)) {
        EXPECT_FALSE(reachable_);
        EXPECT_NE(daemon_set_knowledge_, Knowledge::kWaiting);
        EXPECT_NE(object_knowledge_, Knowledge::kRolledBack);
      }
    }
  }

  void Apply(const MergePlan& plan) {
    for (const MergeAction& action : plan.actions) {
      std::visit([this](const auto& a) { Do(a); }, action);
      CheckOnePodEach();
    }
    ++clock_;
    for (Runtime& item : runtime_) {
      if (item.facts.stopping) item.facts.ended = true;
    }
    Observe();
  }

  void CheckOnePodEach() {
    std::map<std::string, int> live;
    for (const Runtime& item : runtime_) {
      if (!item.facts.ended && !item.facts.owner_uid.empty()) ++live[item.facts.owner_uid];
    }
    for (const auto& [owner, count] : live) EXPECT_LE(count, 1) << "pods of " << owner;
  }

  void CheckSettled() {
    for (const auto& [uid, set] : sets_) {
      int objects = 0, pods = 0;
      for (const auto& [object_uid, object] : objects_) objects += DaemonSetOf(object) == uid ? 1 : 0;
      for (const Runtime& item : runtime_) {
        if (item.facts.owner_uid != uid || item.facts.ended) continue;
        ++pods;
        EXPECT_TRUE(item.facts.has_worker && !item.facts.asleep) << "nobody looks after it";
        EXPECT_TRUE(objects_.contains(item.facts.object_uid)) << "runs without an object";
      }
      const int wanted = node_.metadata().labels().at("on") == "yes" ? 1 : 0;
      EXPECT_EQ(objects, wanted) << uid;
      EXPECT_EQ(pods, wanted) << uid;
    }
    for (const auto& [uid, object] : objects_) {
      const std::string owner = DaemonSetOf(object);
      EXPECT_TRUE(owner.empty() || sets_.contains(owner)) << "an object of a DaemonSet that is gone";
    }
  }

 private:
  static void SetTemplate(appsv1::DaemonSet& set, int version) { set.mutable_metadata()->set_generation(version + 1); }
  static std::string HashOf(const appsv1::DaemonSet& set) { return fmt::format("hash{}", set.metadata().generation()); }

  void AddSet() {
    const std::string uid = fmt::format("set-{}", ++numbers_);
    appsv1::DaemonSet& set = sets_[uid];
    set.mutable_metadata()->set_uid(uid);
    set.mutable_metadata()->set_name(uid);
    set.mutable_metadata()->set_namespace_("default");
    (*set.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = uid;
    (*set.mutable_spec()->mutable_template_()->mutable_spec()->mutable_nodeselector())["on"] = "yes";
    SetTemplate(set, 0);
  }
  DaemonSets::iterator AnySet() {
    return sets_.empty() ? sets_.end() : std::next(sets_.begin(), Pick(int(sets_.size())));
  }
  Objects::iterator AnyObject() {
    return objects_.empty() ? objects_.end() : std::next(objects_.begin(), Pick(int(objects_.size())));
  }
  Runtime* Find(const std::string& uid) {
    for (Runtime& item : runtime_) {
      if (item.facts.uid == uid) return &item;
    }
    return nullptr;
  }
  bool Runs(const std::string& object_uid) const {
    return std::any_of(runtime_.begin(), runtime_.end(),
                       [&](const Runtime& item) { return item.facts.object_uid == object_uid && !item.facts.ended; });
  }

  void Terminate(corev1::Pod& pod) {
    if (IsTerminating(pod)) return;
    *pod.mutable_metadata()->mutable_deletiontimestamp() = ToApiTime(WallTime(Seconds(1'800'000'030 + clock_)));
    pod.mutable_metadata()->set_deletiongraceperiodseconds(30);
  }
  void DeleteObject(bool force) {
    const auto object = AnyObject();
    if (object == objects_.end()) return;
    if (!force) return Terminate(object->second);
    const bool seen = reachable_ && object_knowledge_ == Knowledge::kComplete;
    for (Runtime& item : runtime_) {
      if (item.facts.object_uid == object->first) {
        item.facts.loss = seen ? ObjectLoss::kDeletionSeen : ObjectLoss::kWhileAway;
      }
    }
    objects_.erase(object);
  }
  void Orphan() {
    if (const auto object = AnyObject(); object != objects_.end()) {
      object->second.mutable_metadata()->clear_ownerreferences();
    }
  }
  void ToggleLabel() {
    std::string& on = (*node_.mutable_metadata()->mutable_labels())["on"];
    on = on == "yes" ? "no" : "yes";
  }
  void Restart() {
    for (Runtime& item : runtime_) {
      item.facts.has_worker = false;
      if (item.noted_object_uid && Pick(2) == 0) {  // killed before the last adoption was on disk
        item.facts.object_uid = *item.noted_object_uid;
        item.facts.loss = ObjectLoss::kWhileAway;
      }
      item.noted_object_uid.reset();
    }
    daemon_set_knowledge_ = object_knowledge_ = Knowledge::kWaiting;
    if (Pick(2) == 0 && !view_.empty()) view_.erase(view_.begin());  // part of a list
    if (Pick(2) == 0 && !view_sets_.empty()) view_sets_.erase(view_sets_.begin());
  }
  void Reboot() {
    Restart();
    for (Runtime& item : runtime_) {
      if (item.facts.ended) continue;
      item.facts.asleep = Pick(2) == 0;  // the runtime still knows of it
      item.facts.ended = !item.facts.asleep;
      item.facts.stopping = false;
    }
  }
  void MadeByOthers() {
    const auto set = AnySet();
    // The built-in controller makes one only where it sees none.
    if (set == sets_.end()) return;
    for (const auto& [uid, object] : objects_) {
      if (DaemonSetOf(object) == set->first) return;
    }
    NewObject(set->second, "foreign", /*ours=*/false);
  }
  void Fail() {
    if (const auto object = AnyObject(); object != objects_.end() && Pick(2) == 0) {
      object->second.mutable_status()->set_phase("Failed");  // said by others, as an eviction is
      return;
    }
    if (runtime_.empty()) return;
    Runtime& item = *std::next(runtime_.begin(), Pick(int(runtime_.size())));
    if (item.facts.stopping || item.facts.ended) return;
    item.facts.terminal_phase = "Failed";
    item.facts.ended = true;
    if (const auto object = objects_.find(item.facts.object_uid); object != objects_.end() && reachable_) {
      object->second.mutable_status()->set_phase("Failed");
    }
  }
  void RollBack() {
    if (!reachable_ || object_knowledge_ != Knowledge::kComplete) return;
    object_knowledge_ = Knowledge::kRolledBack;
    if (!view_.empty()) view_.erase(view_.begin());
  }
  static void Listed(Knowledge& knowledge) { knowledge = Knowledge::kComplete; }
  void StopWaiting() {
    for (Knowledge* knowledge : {&daemon_set_knowledge_, &object_knowledge_}) {
      if (*knowledge == Knowledge::kWaiting) *knowledge = Knowledge::kCached;
    }
  }
  void Observe() {
    if (reachable_ && daemon_set_knowledge_ == Knowledge::kComplete) view_sets_ = sets_;
    if (reachable_ && object_knowledge_ == Knowledge::kComplete) view_ = objects_;
  }

  corev1::Pod& NewObject(const appsv1::DaemonSet& set, const std::string& hash, bool ours) {
    const std::string uid = fmt::format("object-{}", ++numbers_);
    corev1::Pod& pod = objects_[uid];
    pod.mutable_metadata()->set_uid(uid);
    pod.mutable_metadata()->set_name(uid);
    pod.mutable_metadata()->set_namespace_("default");
    *pod.mutable_metadata()->mutable_creationtimestamp() = ToApiTime(WallTime(Seconds(1'800'000'000 + numbers_)));
    (*pod.mutable_metadata()->mutable_labels())["app"] = set.metadata().uid();
    (*pod.mutable_metadata()->mutable_labels())[kRevisionHashLabel] = hash;
    if (ours) (*pod.mutable_metadata()->mutable_annotations())[kSequenceAnnotation] = "1";
    SetOwner(set.metadata().uid(), pod);
    pod.mutable_spec()->set_nodename("node-a");
    pod.mutable_spec()->add_containers()->set_image(hash);
    return pod;
  }
  static void SetOwner(const std::string& uid, corev1::Pod& pod) {
    metav1::OwnerReference& owner = *pod.mutable_metadata()->add_ownerreferences();
    owner.set_kind("DaemonSet");
    owner.set_uid(uid);
    owner.set_controller(true);
  }

  void NewRuntime(const std::string& uid, const std::string& object_uid, const std::string& owner, corev1::Pod pod) {
    Runtime& item = runtime_.emplace_back();
    item.facts = {.uid = uid, .object_uid = object_uid, .namespace_ = "default", .name = uid, .owner_uid = owner};
    item.facts.template_hash = ValueOf(pod.metadata().labels(), kRevisionHashLabel);
    item.facts.created_at = WallTime(Seconds(1'800'000'000 + ++numbers_));
    item.facts.has_worker = true;
    item.facts.ready = true;
    item.pod = std::move(pod);
  }

  // ---- How actions are carried out

  void Do(const merge::AdoptPod& a) {
    LocalPod& local = Find(a.uid)->facts;
    if (!objects_.contains(local.object_uid)) Find(a.uid)->noted_object_uid = local.object_uid;
    local.object_uid = a.object_uid;
    local.owner_uid = DaemonSetOf(view_.at(a.object_uid));
    local.has_worker = true;
    local.asleep = false;
    local.loss = ObjectLoss::kWhileAway;
  }
  void Do(const merge::ReleasePod& a) { Find(a.uid)->facts.owner_uid.clear(); }
  void Do(const merge::ClaimObject& a) {
    if (const auto object = objects_.find(a.object_uid); object != objects_.end()) {
      SetOwner(input_.sets[a.set].daemon_set->metadata().uid(), object->second);
    }
  }
  void Do(const merge::ReleaseObject& a) {
    if (const auto object = objects_.find(a.object_uid); object != objects_.end()) {
      object->second.mutable_metadata()->clear_ownerreferences();
    }
  }
  void Do(const merge::RelabelObject& a) {
    (*objects_.at(a.object_uid).mutable_metadata()->mutable_labels())[kRevisionHashLabel] = a.template_hash;
  }
  void Do(const merge::StopPod& a) {
    LocalPod& local = Find(a.uid)->facts;
    local.has_worker = true;
    local.asleep = false;
    local.stopping = true;
    local.kill_at = input_.now + a.grace;
  }
  void Do(const merge::DeleteObject& a) {
    const auto object = objects_.find(a.uid);
    if (object == objects_.end()) return;
    if (a.grace) {
      objects_.erase(object);
    } else {
      Terminate(object->second);
    }
  }
  void Do(const merge::CreateObject& a) {
    const appsv1::DaemonSet& set = *input_.sets[a.set].daemon_set;
    if (a.local_uid.empty()) {
      NewObject(set, HashOf(set), /*ours=*/true);
      return;
    }
    const LocalPod& local = Find(a.local_uid)->facts;
    for (const auto& [uid, object] : objects_) {
      if (object.metadata().name() == local.name) return;  // as a server answers: it exists already
    }
    NewObject(set, local.template_hash, /*ours=*/true).mutable_metadata()->set_name(local.name);
  }
  void Do(const merge::CreateMirror&) { FAIL() << "there are no static pods here"; }
  void Do(const merge::StartPod& a) {
    const corev1::Pod& object = view_.at(a.object_uid);
    runtime_.remove_if([&](const Runtime& item) { return item.facts.object_uid == a.object_uid; });
    NewRuntime(a.object_uid, a.object_uid, DaemonSetOf(object), object);
  }
  void Do(const merge::StartProvisional& a) {
    if (!a.local_uid.empty()) {
      Find(a.local_uid)->facts.has_worker = true;
      Find(a.local_uid)->facts.asleep = false;
      return;
    }
    const appsv1::DaemonSet& set = *input_.sets[a.set].daemon_set;
    corev1::Pod pod;
    (*pod.mutable_metadata()->mutable_labels())[kRevisionHashLabel] = HashOf(set);
    NewRuntime(fmt::format("provisional-{}", ++numbers_), "", set.metadata().uid(), pod);
  }
  void Do(const merge::WriteStatus&) { FAIL() << "nothing is reported here"; }
  void Do(const merge::ForgetPod& a) {
    EXPECT_TRUE(Find(a.uid)->facts.ended);
    runtime_.remove_if([&](const Runtime& item) { return item.facts.uid == a.uid; });
  }

  std::mt19937 random_;
  corev1::Node node_;
  DaemonSets sets_, view_sets_;
  Objects objects_, view_;
  std::list<Runtime> runtime_;
  Knowledge daemon_set_knowledge_ = Knowledge::kComplete, object_knowledge_ = Knowledge::kComplete;
  bool reachable_ = true;
  int numbers_ = 0;
  int clock_ = 0;
  MergeInput input_;
};

// OF-04, OF-08, OF-13, OF-14, AW-01, ST-01 (the node's part)
TEST(PodMergeProperty, HoldsItsPromisesWhateverHappens) {
  // --gtest_random_seed=N tries others.
  const auto first = static_cast<unsigned>(GTEST_FLAG_GET(random_seed)) * kSeeds;
  for (unsigned seed = first; seed < first + kSeeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    World world(seed);
    for (int step = 0; step < kSteps; ++step) {
      SCOPED_TRACE(fmt::format("step {}", step));
      world.Event();
      const MergePlan plan = world.Plan();
      world.CheckPlan(plan);
      world.Apply(plan);
      if (::testing::Test::HasFailure()) return;
    }
    world.Calm();
    std::string last = "never planned";
    for (int round = 0; round < kRoundsToSettle && !last.empty(); ++round) {
      const MergePlan plan = world.Plan();
      world.CheckPlan(plan);
      last.clear();
      for (const MergeAction& action : plan.actions) last += Describe(action) + "\n";
      world.Apply(plan);
    }
    EXPECT_EQ(last, "") << "still something to do after " << kRoundsToSettle << " rounds";
    world.CheckSettled();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace daemonsetd::decide

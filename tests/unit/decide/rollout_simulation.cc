#include "tests/unit/decide/rollout_simulation.h"

#include <algorithm>

#include "agent/decide/daemonset_status.h"
#include "tests/unit/decide/rollout_simulated_cluster.h"
#include "tests/unit/decide/rollout_simulated_coordinator.h"

namespace daemonsetd::decide {
namespace {

class Simulation {
 public:
  Simulation(unsigned seed, const SimulationOptions& options) : options_(options), cluster_(seed, options.tracing) {}

  SimulationResult Run() {
    SetUp();
    while (cluster_.now < faults_end_ && result_.failure.empty()) {
      Chaos();
      OneSecond();
    }
    EndFaults();
    const Second limit = cluster_.now + Patience();
    std::string unsettled = "nothing was looked at";
    while (cluster_.now < limit && !unsettled.empty() && result_.failure.empty()) {
      OneSecond();
      if (cluster_.now % 5 == 0) unsettled = Unsettled();
    }
    Check(unsettled.empty(), "it does not settle: {}", unsettled);
    const int steps = result_.deletions + result_.surges;
    const std::size_t changes = cluster_.pod_history.size();
    for (int i = 0; i < 30; ++i) OneSecond();
    Check(steps == result_.deletions + result_.surges, "there are steps after all has settled");
    Check(changes == cluster_.pod_history.size(), "pods change after all has settled");
    CheckStatus();
    CheckProgress();
    result_.seconds = cluster_.now;
    result_.nodes = static_cast<int>(cluster_.nodes.size());
    result_.templates = static_cast<int>(cluster_.templates.size());
    result_.trace = std::move(cluster_.trace);
    return std::move(result_);
  }

 private:
  template <class... Args>
  void Check(bool holds, fmt::format_string<Args...> format, Args&&... args) {
    if (holds || !result_.failure.empty()) return;
    result_.failure = fmt::format("after {} s: ", cluster_.now) + fmt::format(format, std::forward<Args>(args)...);
    cluster_.Say("FAILED: {}", result_.failure);
  }

  int Pick(int below) { return cluster_.Pick(below); }
  bool Chance(int percent) { return cluster_.Chance(percent); }
  int AnyNode() { return Pick(static_cast<int>(cluster_.nodes.size())); }

  // ---- The schedule

  void SetUp() {
    int nodes = 2 + Pick(8);
    if (Chance(4)) nodes = 20 + Pick(60);
    if (options_.nodes > 0) nodes = options_.nodes;
    only_rollouts_ = Chance(35);
    fault_percent_ = only_rollouts_ ? 0 : 2 + Pick(12);
    faults_end_ = 60 + Pick(240);
    bad_in_a_row_ = Chance(30) ? 3 : 0;
    NewTemplate(/*bad=*/false);
    cluster_.Put(AnyStrategy(SetSpec{}));
    taken_.assign(static_cast<std::size_t>(nodes), false);
    surging_.assign(static_cast<std::size_t>(nodes), false);
    for (int i = 0; i < nodes; ++i) cluster_.AddNode();
    template_changes_ = 1 + Pick(4) + bad_in_a_row_;
    next_template_at_ = 1 + Pick(20);
    NewCoordinator();
    const SetSpec& set = cluster_.set();
    cluster_.Say("{} nodes, {} at most, surge {}, ready for {} s{}{}", nodes, set.max_unavailable.number,
                 set.max_surge.number, set.min_ready, set.on_delete ? ", OnDelete" : "",
                 only_rollouts_ ? ", nothing but rollouts" : "");
  }

  SetSpec AnyStrategy(SetSpec spec) {
    spec.on_delete = Chance(6);
    spec.max_unavailable = spec.max_surge = Budget{};
    Budget& budget = Chance(30) ? spec.max_surge : spec.max_unavailable;
    budget = Chance(70) ? Budget{1 + Pick(3), false} : Budget{5 + Pick(60), true};
    spec.min_ready = Chance(50) ? 0 : 1 + Pick(15);
    return spec;
  }

  int NewTemplate(bool bad) {
    SimulatedTemplate& made = cluster_.templates.emplace_back();
    made.start = 1 + Pick(6);
    const bool everywhere = Chance(70);
    for (int node = 0; bad && node < 400; ++node) {
      if (everywhere || Chance(40)) made.bad_on.insert(node);
    }
    return static_cast<int>(cluster_.templates.size()) - 1;
  }

  void ChangeTemplate() {
    if (template_changes_ == 0 || cluster_.now < next_template_at_) return;
    --template_changes_;
    next_template_at_ = cluster_.now + (bad_in_a_row_ > 0 ? 2 + Pick(40) : 5 + Pick(80));
    const bool undo = bad_in_a_row_ == 0 && Chance(20);
    const bool bad = bad_in_a_row_ > 0 || Chance(30);
    if (bad_in_a_row_ > 0) --bad_in_a_row_;
    SetSpec spec = cluster_.set();
    spec.template_id = undo ? Pick(static_cast<int>(cluster_.templates.size())) : NewTemplate(bad);
    if (spec.template_id == cluster_.set().template_id) return;
    spec.template_since = cluster_.now;
    cluster_.Say("template {}, bad on {} nodes", spec.template_id,
                 cluster_.templates[static_cast<std::size_t>(spec.template_id)].bad_on.size());
    cluster_.Put(spec);
    std::fill(surging_.begin(), surging_.end(), false);  // that was for another template
  }

  void Chaos() {
    ChangeTemplate();
    MoveCoordinators();
    if (!Chance(fault_percent_)) return;
    const int node = AnyNode();
    NodeRecord record = At(cluster_.records, node);
    SimulatedPods& pods = At(cluster_.pods, node);
    switch (Pick(12)) {
      case 0: cluster_.TakeDown(node, /*machine=*/true, Chance(30) ? kNever : 5 + Pick(120)); return;
      case 1: cluster_.TakeDown(node, /*machine=*/true, 5 + Pick(120)); return;
      case 2: cluster_.TakeDown(node, /*machine=*/false, 1 + Pick(80)); return;
      case 3:
        record.should_run = !record.should_run;
        record.keeps = Chance(50);
        cluster_.Say("n{} {} run a pod", node, record.should_run ? "should" : "should not");
        cluster_.Put(node, record);
        return;
      case 4:
        record.exists = !record.exists;
        record.dead_since.reset();
        cluster_.Say("n{} {}", node, record.exists ? "joins" : "leaves");
        cluster_.Put(node, record);
        while (!pods.empty()) cluster_.Remove(node, pods.begin()->first);
        cluster_.nodes[static_cast<std::size_t>(node)].pods.clear();
        cluster_.nodes[static_cast<std::size_t>(node)].local.clear();
        return;
      case 5: {
        SetSpec spec = AnyStrategy(cluster_.set());
        cluster_.Say("strategy: {} at most, surge {}{}", spec.max_unavailable.number, spec.max_surge.number,
                     spec.on_delete ? ", OnDelete" : "");
        cluster_.Put(spec);
        return;
      }
      default: break;
    }
    if (pods.empty()) return;
    SimulatedPod pod = pods.begin()->second;
    switch (Pick(4)) {
      case 0:
        pod.terminating = true;
        cluster_.Say("somebody deletes pod {} of n{}", pod.id, node);
        cluster_.Put(pod);
        return;
      case 1:
        cluster_.Say("somebody makes short work of pod {} of n{}", pod.id, node);
        cluster_.Remove(node, pod.id);
        return;
      case 2:
        if (pod.terminating || !At(cluster_.nodes, node).Works()) return;
        pod.failed_at = cluster_.now;
        pod.ready_since.reset();
        cluster_.Say("pod {} of n{} fails", pod.id, node);
        cluster_.Put(pod);
        return;
      default:
        At(cluster_.nodes, node).local[pod.id].sick_until = cluster_.now + 3 + Pick(40);
        cluster_.WakeBy(node, cluster_.now);
    }
  }

  void EndFaults() {
    for (std::size_t i = 0; i < cluster_.nodes.size(); ++i) {
      SimulatedNode& node = cluster_.nodes[i];
      if (node.back_at != kNever) node.back_at = std::min(node.back_at, cluster_.now + Pick(60));
    }
    if (!HasHolder()) NewCoordinator();
    for (SimulatedCoordinator& coordinator : coordinators_) coordinator.deaf_until = 0;
    calm_ = true;
    cluster_.Say("no more faults");
  }

  // How long a rollout may take from here: each node on its own, with all the waits there are, and some more.
  Second Patience() {
    const int limit = std::max(cluster_.set().Limit(cluster_.Desired()), 1);
    const int rounds = static_cast<int>(cluster_.nodes.size()) / limit + 2;
    return 300 + rounds * (60 + cluster_.set().min_ready);
  }

  void OneSecond() {
    ++cluster_.now;
    Forget();
    cluster_.RunNodes();
    Forget();
    if (only_rollouts_) CheckNothingElseIsDown();
    for (std::size_t i = 0; i < coordinators_.size(); ++i) {
      if (cluster_.now >= coordinators_[i].next_wake) Act(coordinators_[i]);
    }
  }

  // ---- Coordinators

  bool HasHolder() const {
    return std::any_of(coordinators_.begin(), coordinators_.end(),
                       [](const SimulatedCoordinator& c) { return c.holds; });
  }

  void NewCoordinator() {
    for (SimulatedCoordinator& old : coordinators_) {
      if (old.holds) old.ends_at = cluster_.now + 10 + Pick(60);
      old.holds = false;
    }
    coordinators_.push_back({.number = ++result_.coordinators, .next_wake = cluster_.now + 1});
    cluster_.Say("coordinator {} takes over", result_.coordinators);
  }

  void MoveCoordinators() {
    std::erase_if(coordinators_, [&](const SimulatedCoordinator& c) { return cluster_.now >= c.ends_at; });
    if (!HasHolder() && Chance(10)) NewCoordinator();
    if (!Chance(3)) return;
    switch (Pick(4)) {
      case 0: NewCoordinator(); break;  // the old one has not noticed
      case 1:
        cluster_.Say("the coordinator crashes");
        coordinators_.clear();
        break;
      default:
        if (!coordinators_.empty()) coordinators_.back().deaf_until = cluster_.now + 5 + Pick(40);
    }
  }

  void Act(SimulatedCoordinator& c) {
    c.next_wake = cluster_.now + 1 + Pick(3);
    const bool heard = c.Hear(cluster_, calm_);
    if (cluster_.sets[c.set].template_since == 0) return;  // no rollout has begun
    if (!heard && !Chance(25)) return;  // only time can have changed something; it need not look at once
    if (options_.reads_what_time_made_available) c.ReadWhatTimeMadeAvailable(cluster_);
    const RolloutInput input = c.InputOf(cluster_);
    for (const RolloutStep& step : options_.plan(input).steps) {
      if (!Take(c, step)) return;
    }
  }

  // Whether to go on with the next one.
  bool Take(SimulatedCoordinator& c, const RolloutStep& step) {
    const int node = std::stoi(step.node) - 1000;
    const int id = std::stoi(step.pod_id);
    if (options_.stops_without_lease && !c.holds) {
      ++result_.refused_writes;
      return false;
    }
    if (options_.reads_set_before_step && c.set + 1 != cluster_.sets.size()) {
      c.set = cluster_.sets.size() - 1;
      return false;
    }
    const auto found = At(cluster_.pods, node).find(id);
    const SimulatedPod& seen = At(c.pods, node).at(id);
    const bool exists = found != At(cluster_.pods, node).end();
    if (!exists || (options_.names_resource_version && found->second.version != seen.version)) {
      ++result_.refused_writes;
      return true;
    }
    SimulatedPod pod = found->second;
    cluster_.Say("coordinator {}: {} pod {} of n{}: {}", c.number,
                 step.kind == RolloutStep::Kind::kDelete ? "delete" : "surge", id, node, step.reason);
    if (step.kind == RolloutStep::Kind::kDelete) {
      CheckDeletion(c, node, pod);
      ++result_.deletions;
      pod.terminating = pod.by_step = true;
      if (options_.remembers_own_writes) c.deleted.insert(id);
    } else {
      CheckSurge(c, node, pod);
      ++result_.surges;
      pod.surge_to = cluster_.sets[c.set].template_id;
      if (options_.remembers_own_writes) c.surged[id] = pod.surge_to;
    }
    cluster_.Put(pod);
    if (!calm_ && Chance(8)) {
      cluster_.Say("the answer is lost");
      c.deleted.erase(id);
      c.surged.erase(id);
      c.lists_anew = options_.looks_after_a_lost_answer;  // maybe done: observe before trying again
      return false;
    }
    if (!calm_ && Chance(2)) {
      cluster_.Say("the coordinator crashes between two steps");
      c.holds = false;
      c.ends_at = c.next_wake = cluster_.now;
      return false;
    }
    return true;
  }

  // ---- What holds at every step

  // What a step took is made good, or is no longer the rollout's: the node is set aside, or should run no pod.
  void Forget() {
    for (std::size_t i = 0; i < taken_.size(); ++i) {
      if (!taken_[i] && !surging_[i]) continue;
      const int node = static_cast<int>(i);
      const bool off = !cluster_.records[i].Desired() ||
                       SimulatedCluster::IsSetAside(cluster_.records[i], cluster_.pods[i], cluster_.set());
      if (off || cluster_.HasAvailablePod(node)) taken_[i] = false;
      if (off || !cluster_.set().Surges()) surging_[i] = false;
      bool has_old = false, has_new = false;
      for (const auto& [id, pod] : cluster_.pods[i]) {
        const bool is_new = pod.template_id == cluster_.set().template_id;
        has_old |= !is_new && !pod.terminating && !pod.failed_at;
        has_new |= is_new && pod.AvailableAt(cluster_.now, cluster_.set().min_ready);
      }
      if (has_new || !has_old) surging_[i] = false;
    }
  }

  // The same with the coordinator's eyes: where it still sees a dead node, or one that should run no pod, it rightly
  // does not count it, and what it does next is not held against it.
  int Count(const SimulatedCoordinator& c, std::vector<bool>& marked) {
    int count = 0;
    for (std::size_t i = 0; i < marked.size(); ++i) {
      if (!marked[i]) continue;
      if (!c.records[i].Desired() || SimulatedCluster::IsSetAside(c.records[i], c.pods[i], cluster_.sets[c.set])) {
        marked[i] = false;
        ++result_.excused;
      } else {
        ++count;
      }
    }
    return count;
  }

  void CheckStep(const SimulatedCoordinator& c, int node, const SimulatedPod& pod) {
    const SetSpec& set = cluster_.set();
    Check(!set.on_delete, "a step though the strategy is OnDelete");
    Check(pod.template_id != set.template_id, "a step on pod {}, which has the present template", pod.id);
    Check(!At(c.records, node).dead_since, "a step on the dead node n{}", node);
    Check(At(c.records, node).Desired(), "a step on n{}, which should run no pod", node);
    for (const auto& [id, other] : At(cluster_.pods, node)) {
      Check(!other.by_step, "a second step on n{} while pod {} has not gone from the first", node, id);
    }
  }

  void CheckDeletion(const SimulatedCoordinator& c, int node, const SimulatedPod& pod) {
    CheckStep(c, node, pod);
    if (!pod.AvailableAt(cluster_.now, cluster_.set().min_ready)) return;
    ++result_.healthy_deletions;
    Check(!cluster_.set().Surges(), "an available pod is taken though none may be unavailable");
    Forget();
    At(taken_, node) = true;
    const int down = Count(c, taken_);
    const int limit = cluster_.set().Limit(c.Desired());
    Check(down <= limit, "{} nodes are down for the rollout, and {} may be", down, limit);
  }

  void CheckSurge(const SimulatedCoordinator& c, int node, const SimulatedPod& pod) {
    CheckStep(c, node, pod);
    Check(cluster_.set().Surges(), "a surge though the strategy has none");
    if (!pod.AvailableAt(cluster_.now, cluster_.set().min_ready)) return;
    Forget();
    At(surging_, node) = true;
    const int surging = Count(c, surging_);
    const int limit = cluster_.set().Limit(c.Desired());
    Check(surging <= limit, "{} nodes surge, and {} may", surging, limit);
  }

  // RO-01: where nothing but rollouts happens, what is down is down for them.
  void CheckNothingElseIsDown() {
    int down = 0;
    for (std::size_t i = 0; i < cluster_.nodes.size(); ++i)
      down += cluster_.HasAvailablePod(static_cast<int>(i)) ? 0 : 1;
    const SetSpec& set = cluster_.set();
    const int limit = set.Surges() || set.on_delete ? 0 : set.Limit(cluster_.Desired());
    Check(down <= limit, "{} nodes have no available pod, and {} may", down, limit);
  }

  // ---- What has to come in the end

  // Nothing will happen to it by itself.
  bool IsQuiet(const SimulatedPod& pod) const {
    if (pod.terminating || pod.failed_at) return false;
    return pod.AvailableAt(cluster_.now, cluster_.set().min_ready) || cluster_.IsBad(pod.template_id, pod.node);
  }

  std::string Unsettled() {
    const SetSpec& set = cluster_.set();
    int used = 0;
    bool healthy_old_left = false;
    result_.complete = true;
    for (std::size_t i = 0; i < cluster_.nodes.size(); ++i) {
      const int node = static_cast<int>(i);
      const NodeRecord& record = cluster_.records[i];
      const SimulatedPods& pods = cluster_.pods[i];
      if (cluster_.nodes[i].back_at != kNever) return fmt::format("n{} is not back yet", i);
      if (!record.exists) continue;
      const bool works = cluster_.nodes[i].Works();
      if (!record.dead_since && !works) return fmt::format("n{} is not found dead yet", i);
      if (works && cluster_.nodes[i].set_seen + 1 < cluster_.sets.size()) return fmt::format("n{} lags behind", i);
      if (!record.should_run) {
        const bool quiet =
            std::all_of(pods.begin(), pods.end(), [&](const auto& item) { return IsQuiet(item.second); });
        if (!record.dead_since && !(record.keeps ? quiet : pods.empty())) return fmt::format("n{} is busy", i);
        continue;
      }
      if (record.dead_since) {
        if (!SimulatedCluster::IsSetAside(record, pods, set)) {
          ++used;
          result_.complete = false;
        }
        continue;
      }
      const bool available = cluster_.HasAvailablePod(node);
      const SimulatedPod* old_pod = nullptr;
      const SimulatedPod* new_pod = nullptr;
      for (const auto& [id, pod] : pods) {
        if (pod.terminating || pod.failed_at) return fmt::format("pod {} of n{} is not gone", id, i);
        (pod.template_id == set.template_id ? new_pod : old_pod) = &pod;
      }
      const std::size_t known = (old_pod != nullptr ? 1u : 0u) + (new_pod != nullptr ? 1u : 0u);
      if (known == 0 || known != pods.size()) return fmt::format("n{} has {} pods", i, pods.size());
      const bool is_bad = new_pod != nullptr && cluster_.IsBad(set.template_id, node);
      if (old_pod == nullptr && !IsQuiet(*new_pod)) return fmt::format("n{} has no available pod yet", i);
      result_.complete &= old_pod == nullptr && available;
      if (!available || (set.Surges() && known == 2)) used += set.Surges() && known == 1 ? 0 : 1;
      if (old_pod == nullptr) continue;
      if (set.on_delete) {
        if (!available && !cluster_.IsBad(old_pod->template_id, node))
          return fmt::format("n{} is not available yet", i);
        continue;
      }
      if (!available) return fmt::format("n{} has a broken old pod", i);
      if (known == 2 && !(set.Surges() && is_bad)) return fmt::format("n{} still has an old pod", i);
      if (known == 1 && set.Surges() && old_pod->surge_to == set.template_id)
        return fmt::format("n{} has not surged yet", i);
      healthy_old_left |= known == 1;
    }
    const int limit = set.Limit(cluster_.Desired());
    if (healthy_old_left && used < limit)
      return fmt::format("{} of {} are used, and a healthy old pod waits", used, limit);
    result_.limited = healthy_old_left;
    return {};
  }

  // ST-01, ST-04: the counts, made once more, pod by pod.
  void CheckStatus() {
    std::vector<NodeCount> counts;
    appsv1::DaemonSetStatus wanted;
    std::int32_t desired = 0, current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0;
    for (std::size_t i = 0; i < cluster_.nodes.size(); ++i) {
      if (!cluster_.records[i].exists) continue;
      const bool runs = cluster_.records[i].should_run;
      const SimulatedPods& pods = cluster_.pods[i];
      counts.push_back({.should_run = runs, .pods = cluster_.Facts(pods, cluster_.set(), false, cluster_.now)});
      desired += runs ? 1 : 0;
      const auto oldest =
          std::find_if(pods.begin(), pods.end(),  // ids grow with time
                       [](const auto& item) { return !item.second.terminating || !item.second.failed_at; });
      if (oldest == pods.end()) continue;
      const SimulatedPod& pod = oldest->second;
      (runs ? current : misscheduled) += 1;
      if (!runs) continue;
      ready += pod.ready_since ? 1 : 0;
      available += pod.AvailableAt(cluster_.now, cluster_.set().min_ready) ? 1 : 0;
      updated += pod.template_id == cluster_.set().template_id ? 1 : 0;
    }
    wanted.set_desirednumberscheduled(desired);
    wanted.set_currentnumberscheduled(current);
    wanted.set_numbermisscheduled(misscheduled);
    wanted.set_numberready(ready);
    wanted.set_numberavailable(available);
    wanted.set_numberunavailable(desired - available);
    wanted.set_updatednumberscheduled(updated);
    const appsv1::DaemonSetStatus status = ComputeDaemonSetStatus(0, counts, {});
    Check(!DaemonSetStatusDiffers(status, wanted), "the status is {}, and should be {}", status.ShortDebugString(),
          wanted.ShortDebugString());
  }

  void CheckProgress() {
    SimulatedCoordinator fresh;
    fresh.Hear(cluster_, /*calm=*/true);
    const RolloutProgress progress = PlanRollout(fresh.InputOf(cluster_)).progress;
    Check(progress.complete == result_.complete, "the rollout calls itself {}",
          progress.complete ? "done" : "not done");
  }

  const SimulationOptions& options_;
  SimulatedCluster cluster_;
  SimulationResult result_;
  std::vector<SimulatedCoordinator> coordinators_;
  bool only_rollouts_ = false, calm_ = false;
  int fault_percent_ = 0, template_changes_ = 0, bad_in_a_row_ = 0;
  Second faults_end_ = 0, next_template_at_ = 0;
  std::vector<bool> taken_;    // by node: a step took its healthy pod, and none has been available since
  std::vector<bool> surging_;  // by node: a step asked for a surge beside its healthy pod, and it is not through
};

}  // namespace

SimulationResult Simulate(unsigned seed, const SimulationOptions& options) { return Simulation(seed, options).Run(); }

}  // namespace daemonsetd::decide

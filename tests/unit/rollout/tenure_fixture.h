// A tenure on an API server that has nodes and DaemonSets, beside agents that do on their nodes what the objects say.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/decide/rollout_conditions.h"
#include "agent/rollout/tenure.h"
#include "tests/support/loop.h"
#include "tests/unit/rollout/cluster_api.h"
#include "tests/unit/rollout/cluster_objects.h"

namespace daemonsetd::rollout {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline const kube::NamespacedName kLog("default", "log");

class TenureTest : public ::testing::Test {
 protected:
  // Unless a test is about them, images are not waited for.
  explicit TenureTest(TenureSettings settings = {.image_wait = Nanoseconds::zero()})
      : sets_(client_, loop_.timeline(), [] { return 0.5; }, {},
              {.on_change = [this](const auto&) { Notify(); }, .on_complete = [this] { Notify(); }, .on_state = [] {}}),
        settings_(settings) {
    holds_until_ = now() + std::chrono::hours(24);
  }

  ~TenureTest() override {
    StopTenure();
    if (watching_) loop_.Cancel(watching_);
  }

  void Start() {
    if (!watching_) watching_ = loop_.Start(sets_.Run());
    tenure_ = std::make_unique<Tenure>(
        loop_.executor(), loop_.timeline(), client_, [] { return 0.5; }, settings_,
        TenurePorts{.daemon_sets = [this] { return DaemonSets(); },
                    .holds_until = [this](const std::string&) { return holds_until_; },
                    .tell =
                        [this](const auto&, auto, const auto& reason, const auto& text) {
                          events_.push_back(reason);
                          last_event_ = text;
                        },
                    .dead_nodes = [this](auto names) { dead_ = std::move(names); }});
    running_ = loop_.Start(tenure_->Run());
    Pass(milliseconds(10));
  }
  void StopTenure() {
    if (running_) loop_.Cancel(running_);
    running_.reset();
    tenure_.reset();
  }

  MonoTime now() { return loop_.timeline().mono(); }
  WallTime wall() { return loop_.timeline().Read().wall; }
  void Pass(Nanoseconds time) { loop_.Advance(time); }

  // Of this DaemonSet, on these nodes: each with a pod that has been ready for an hour.
  void Run(const appsv1::DaemonSet& set, const std::vector<std::string>& nodes) {
    api_.Put(set);
    for (const std::string& node : nodes) {
      if (!api_.All<corev1::Node>().contains({"", node})) api_.Put(MakeNode(node));
      PutPod(node, true, wall() - std::chrono::hours(1));
    }
  }
  appsv1::DaemonSet Log() { return api_.At<appsv1::DaemonSet>(kLog); }
  // As a user with kubectl.
  void UpdateImage(const std::string& image) {
    appsv1::DaemonSet set = Log();
    SetImage(set, image);
    api_.Put(set);
    Pass(milliseconds(10));
  }

  static kube::NamespacedName NameAt(const std::string& node, int sequence = 1) {
    return {"default", "log-" + node + "-" + std::to_string(sequence)};
  }
  // A pod of the present template.
  void PutPod(const std::string& node, bool ready, WallTime since, int sequence = 1) {
    corev1::Pod pod = MakePod(Log(), node, sequence);
    SetReady(pod, ready, since);
    api_.Put(pod);
  }
  void SetPodReady(const std::string& node, bool ready, int sequence = 1) {
    auto pod = api_.At<corev1::Pod>(NameAt(node, sequence));
    SetReady(pod, ready, wall());
    api_.Put(pod);
    Pass(milliseconds(10));
  }
  bool IsGoing(const std::string& node) {
    return api_.At<corev1::Pod>(NameAt(node)).metadata().has_deletiontimestamp();
  }
  std::vector<std::string> Going() {
    std::vector<std::string> names;
    for (const auto& [name, pod] : api_.All<corev1::Pod>()) {
      if (pod.metadata().has_deletiontimestamp()) names.push_back(pod.spec().nodename());
    }
    return names;
  }
  // As the agents of the nodes: what terminates is gone, and a pod of the present template is ready in its place.
  void LetAgentsReplace() {
    for (const std::string& node : Going()) {
      api_.Remove<corev1::Pod>(NameAt(node));
      PutPod(node, true, wall(), 2);
    }
    Pass(milliseconds(10));
  }
  int Told(const std::string& reason) const {
    return static_cast<int>(std::count(events_.begin(), events_.end(), reason));
  }

  testing::TestLoop loop_{seconds(60)};
  ClusterApi api_{loop_.executor(), loop_.timeline()};
  kube::RequestLimiter limiter_{loop_.executor(), loop_.timeline(), {}};
  kube::Client client_{api_, limiter_, loop_.timeline()};
  kube::Reflector<appsv1::DaemonSet> sets_;
  TenureSettings settings_;
  std::optional<MonoTime> holds_until_;
  std::vector<std::string> events_;  // their reasons
  std::string last_event_;
  std::vector<std::string> dead_;
  std::unique_ptr<Tenure> tenure_;
  std::shared_ptr<testing::Started<void>> running_, watching_;

 private:
  std::optional<std::vector<RolloutSet::DaemonSetPtr>> DaemonSets() const {
    if (!sets_.synced()) return std::nullopt;
    return sets_.All();
  }
  void Notify() {
    if (tenure_) tenure_->Notify();
  }
};

}  // namespace daemonsetd::rollout

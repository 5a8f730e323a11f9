// A node "node-a" with a DaemonSet "ds", Pod objects and local pods as a test says, and what the merge makes of them.
#pragma once

#include <list>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "agent/decide/labels.h"
#include "agent/decide/pod_merge.h"
#include "tests/support/pod_builders.h"

namespace daemonsetd::decide {

inline constexpr Seconds kNow{1'800'000'000};

class PodMergeTest : public ::testing::Test {
 protected:
  PodMergeTest() {
    node.mutable_metadata()->set_name("node-a");
    input.node = &node;
    input.node_name = "node-a";
    input.node_uid = "node-uid";
    input.daemon_sets = Knowledge::kComplete;
    input.objects = Knowledge::kComplete;
    input.runtime_listed = true;
    input.manifests_complete = true;
    input.server_reachable = true;
    input.now = WallTime(kNow);
    set.mutable_metadata()->set_uid("set");
    set.mutable_metadata()->set_name("ds");
    set.mutable_metadata()->set_namespace_("default");
    (*set.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "ds";
  }

  void HostSet() { input.sets.push_back({.daemon_set = &set, .template_hash = "new"}); }

  corev1::Pod& AddObject(const std::string& uid, const std::string& hash = "new", const std::string& owner = "set") {
    corev1::Pod& pod = objects.emplace_back(testing::MakePod({"main"}));
    pod.mutable_metadata()->set_uid(uid);
    pod.mutable_metadata()->set_name(uid);
    pod.mutable_metadata()->set_resourceversion("7");
    pod.mutable_metadata()->mutable_creationtimestamp()->set_seconds(kNow.count() + static_cast<int>(objects.size()));
    (*pod.mutable_metadata()->mutable_labels())["app"] = "ds";
    (*pod.mutable_metadata()->mutable_labels())[kRevisionHashLabel] = hash;
    (*pod.mutable_metadata()->mutable_annotations())[kSequenceAnnotation] = "1";
    pod.mutable_spec()->set_nodename("node-a");
    if (!owner.empty()) {
      metav1::OwnerReference& reference = *pod.mutable_metadata()->add_ownerreferences();
      reference.set_kind("DaemonSet");
      reference.set_uid(owner);
      reference.set_controller(true);
    }
    return pod;
  }
  LocalPod& AddLocal(const std::string& uid, const std::string& object_uid, const std::string& hash = "new") {
    return local.emplace_back(LocalPod{.uid = uid,
                                       .object_uid = object_uid,
                                       .namespace_ = "default",
                                       .name = uid,
                                       .owner_uid = "set",
                                       .template_hash = hash,
                                       .created_at = WallTime(kNow),
                                       .has_worker = true,
                                       .ready = true});
  }
  static void Terminate(corev1::Pod& pod, int seconds_from_now) {
    pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(kNow.count() + seconds_from_now);
    pod.mutable_metadata()->set_deletiongraceperiodseconds(30);
  }

  std::vector<std::string> Actions() {
    input.pods.clear();
    for (const corev1::Pod& pod : objects) input.pods.push_back(&pod);
    input.local.assign(local.begin(), local.end());
    plan = MergePods(input);
    std::vector<std::string> texts;
    for (const MergeAction& action : plan.actions) texts.push_back(Describe(action));
    return texts;
  }

  corev1::Node node;
  appsv1::DaemonSet set;
  std::list<corev1::Pod> objects;
  std::list<LocalPod> local;
  MergeInput input;
  MergePlan plan;
};

}  // namespace daemonsetd::decide

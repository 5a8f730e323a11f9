// ControllerRevisions of a DaemonSet: the history that `kubectl rollout history` and `undo` read (semantics.md section
// 8). Templates are compared by TemplateHash, never by bytes, so that an API server with new defaults, or a newer
// agent, changes no revision. Which pods are updated does not depend on them: the label controller-revision-hash is
// always TemplateHash of the template; collisionCount changes a revision's name only. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

namespace revision {
// POST. `data` is the caller's to fill (RevisionData): it needs the template as the server has it, to the last field.
struct Create {
  appsv1::ControllerRevision object;
};
// PUT with the resourceVersion that was seen: another number, labels, or owner.
struct Update {
  appsv1::ControllerRevision object;
  std::string reason;
};
// DELETE with the UID as precondition.
struct Delete {
  std::string name, uid, reason;
};
// The pod runs this template under another revision label (made by the built-in controller, or by a revision that was
// a duplicate): PATCH of the label with the UID as precondition.
struct LabelPod {
  std::string pod_id, hash;
};
}  // namespace revision
using RevisionAction = std::variant<revision::Create, revision::Update, revision::Delete, revision::LabelPod>;
std::string Describe(const RevisionAction& action);

struct RevisionInput {
  const appsv1::DaemonSet* daemon_set = nullptr;
  std::string template_hash;                                 // TemplateHash of its template
  std::vector<const appsv1::ControllerRevision*> revisions;  // of its namespace; others' are left alone
  struct PodLabel {
    std::string pod_id, hash;
  };
  std::vector<PodLabel> pods;  // every pod of the set, ended and terminating ones included
};

struct RevisionPlan {
  std::vector<RevisionAction> actions;  // in this order
  std::int64_t current = 0;             // number of the revision that is, or becomes, the current one
  std::string current_name;
};

// Empty for a DaemonSet that is being deleted. When every action has happened the next plan has none.
RevisionPlan PlanRevisions(const RevisionInput& input);

// The template that a revision holds. kInvalid, naming the revision, when its data is not what a DaemonSet's revision
// holds: it matches no template then.
Result<corev1::PodTemplateSpec> TemplateOf(const appsv1::ControllerRevision& revision);

// The patch that a revision's `data` holds, from the DaemonSet as the server wrote it in JSON: fields that this agent
// does not know are kept, so that undo brings them back.
Result<std::string> RevisionData(const std::string& daemon_set_json);

// What a POST that was answered with AlreadyExists means: `existing` is the object of that name.
enum class RevisionCollision { kOurs, kOther };
RevisionCollision JudgeCollision(const appsv1::DaemonSet& daemon_set, const std::string& template_hash,
                                 const appsv1::ControllerRevision& existing);

}  // namespace daemonsetd::decide

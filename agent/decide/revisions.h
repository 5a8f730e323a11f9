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
// PUT with the resourceVersion that was seen: another number, hash label, or owner. `adopts`: it becomes the
// DaemonSet's own, so read the DaemonSet from the server first, as upstream does: one that is gone adopts nothing.
struct Update {
  appsv1::ControllerRevision object;
  std::string reason;
  bool adopts = false;
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

// Empty for a DaemonSet that is being deleted, or whose selector takes everything or misses its own template. When
// every action has happened the plan after next has none: an orphan is adopted before it is deleted, and a revision
// keeps its label, and is kept, until no pod in `input` has to be recognised by it.
RevisionPlan PlanRevisions(const RevisionInput& input);

// The template that a revision holds. kInvalid, naming the revision, when its data is not what a DaemonSet's revision
// holds: it matches no template then. Not defaulted: TemplateHash does not see a difference.
Result<corev1::PodTemplateSpec> TemplateOf(const appsv1::ControllerRevision& revision);

// The patch that a revision's `data` holds, from the DaemonSet as the server wrote it in JSON: fields that this agent
// does not know are kept, so that undo brings them back, and numbers keep their digits. To the byte what the built-in
// controller makes of the same DaemonSet: it compares bytes, and would otherwise replace every pod when it takes over.
Result<std::string> RevisionData(const std::string& daemon_set_json);

// What a POST that was answered with AlreadyExists means: `existing` is the object of that name, read from the server.
// kOurs: the next plan takes it for the current revision, once it is in the input. kOther: it never will, for what it
// holds or for whom it belongs to; collisionCount must rise.
enum class RevisionCollision { kOurs, kOther };
RevisionCollision JudgeCollision(const appsv1::DaemonSet& daemon_set, const std::string& template_hash,
                                 const appsv1::ControllerRevision& existing);

}  // namespace daemonsetd::decide

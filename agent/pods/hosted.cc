#include "agent/pods/hosted.h"

#include "agent/decide/daemon_pod.h"

namespace daemonsetd::pods {

std::string NameOf(const decide::Workload& workload) { return workload.namespace_ + "/" + workload.name; }

std::string DaemonSetOf(const Hosted& hosted) {
  return hosted.workload.kind == decide::Workload::Kind::kDaemonSet ? NameOf(hosted.workload) : std::string();
}

Hosted MakeHosted(const appsv1::DaemonSet& daemon_set, std::string source) {
  Hosted hosted;
  hosted.source = std::move(source);
  hosted.daemon_set = daemon_set;
  decide::Workload& workload = hosted.workload;
  workload.kind = decide::Workload::Kind::kDaemonSet;
  workload.uid = daemon_set.metadata().uid();
  workload.namespace_ = daemon_set.metadata().namespace_();
  workload.name = daemon_set.metadata().name();
  workload.template_hash = decide::TemplateHash(daemon_set.spec().template_());
  workload.restart_hash = decide::RestartHash(daemon_set.spec().template_());
  workload.on_delete = daemon_set.spec().updatestrategy().type() == "OnDelete";
  return hosted;
}

}  // namespace daemonsetd::pods

#include "agent/decide/pod_merge_actions.h"

#include <fmt/format.h>

namespace daemonsetd::decide {

std::string Describe(const MergeAction& action) {
  struct Words {
    std::string operator()(const merge::AdoptPod& a) const {
      return fmt::format("adopt pod {} as {}{}", a.uid, a.object_uid, a.made_elsewhere ? " (made elsewhere)" : "");
    }
    std::string operator()(const merge::ReleasePod& a) const { return "release pod " + a.uid; }
    std::string operator()(const merge::ClaimObject& a) const {
      return fmt::format("claim object {} for set {}", a.object_uid, a.set);
    }
    std::string operator()(const merge::ReleaseObject& a) const {
      return fmt::format("release object {} from {}", a.object_uid, a.owner_uid);
    }
    std::string operator()(const merge::RelabelObject& a) const {
      return fmt::format("label object {} with {}, the template that made it", a.object_uid, a.template_hash);
    }
    std::string operator()(const merge::StopPod& a) const {
      return fmt::format("stop pod {} within {}s: {}", a.uid, a.grace.count(), a.reason);
    }
    std::string operator()(const merge::DeleteObject& a) const {
      return fmt::format("delete object {}{}: {}", a.uid,
                         a.grace ? fmt::format(" with grace {}s", a.grace->count()) : "", a.reason);
    }
    std::string operator()(const merge::CreateObject& a) const {
      return fmt::format("create object of set {}{}", a.set, a.local_uid.empty() ? "" : " for pod " + a.local_uid);
    }
    std::string operator()(const merge::CreateMirror& a) const { return "create mirror of pod " + a.uid; }
    std::string operator()(const merge::StartPod& a) const {
      return fmt::format("start pod {}{}", a.object_uid, a.made_elsewhere ? " (made elsewhere)" : "");
    }
    std::string operator()(const merge::StartProvisional& a) const {
      if (!a.local_uid.empty()) return fmt::format("go on with provisional pod {} of set {}", a.local_uid, a.set);
      return fmt::format("start a provisional pod of set {}", a.set);
    }
    std::string operator()(const merge::WriteStatus& a) const { return "write status of object " + a.object_uid; }
    std::string operator()(const merge::ForgetPod& a) const { return "forget pod " + a.uid; }
  };
  return std::visit(Words{}, action);
}

}  // namespace daemonsetd::decide

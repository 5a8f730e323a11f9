#include <fmt/format.h>

#include "agent/ctl/commands.h"
#include "agent/local/status_json.h"

namespace daemonsetd::ctl {

int Restart(const Context& context, const RestartCommand& command) {
  int code = kExitOk;
  for (const ObjectName& object : command.objects) {
    const bool daemon_set = object.kind == Kind::kDaemonSets;
    const std::string target =
        MakeTarget("/v1/restart",
                   {{"kind", ApiKind(object.kind)}, {"namespace", command.object_namespace}, {"name", object.name}});
    const Result<std::string> body = context.client.Post(target);
    if (body) {
      context.surroundings.out << fmt::format("{}/{} restarted\n", daemon_set ? "daemonset.apps" : "pod", object.name);
      continue;
    }
    // The others are restarted all the same; the first failure is the one that is answered.
    const int failed = body.error().kind() == ErrorKind::kAbsent
                           ? ReportMissing(context, object.kind, command.object_namespace, object.name)
                           : Report(context, body.error());
    if (code == kExitOk) code = failed;
  }
  return code;
}

}  // namespace daemonsetd::ctl

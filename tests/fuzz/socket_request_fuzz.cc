// Requests on the local socket: method and target, and the answers that need no file.
#include "agent/local/routes.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daemonsetd;
  const std::string text = testing::Text(data, size);
  const std::size_t space = std::min(text.find(' '), text.size());
  local::Snapshot snapshot;
  statusv1::PodSummary& pod = *snapshot.pods.add_items();
  pod.set_namespace_("default");
  pod.set_name("agent-x7k2p");
  const std::function<std::string()> configz = [] { return std::string("{}"); };
  const std::function<std::string()> metrics = [] { return std::string("# none\n"); };
  const local::RouteSources sources{.snapshot = snapshot, .now = {}, .configz = configz, .metrics_text = metrics};
  const std::string target = space < text.size() ? text.substr(space + 1) : std::string();
  (void)local::FindRoute(text.substr(0, space), target, sources);
  (void)local::MetricPath(target);
  return 0;
}

#include "agent/cluster/node_health.h"

#include <algorithm>
#include <utility>

#include "agent/node/node_images.h"

namespace daemonsetd::cluster {
NodeHealth::NodeHealth(async::Timeline& timeline, cri::Runtime& runtime, cri::Runtime& image_service,
                       node::PressureMonitor& pressure, NodeHealthSettings settings, std::function<void()> on_look)
    : timeline_(timeline),
      runtime_(runtime),
      image_service_(image_service),
      pressure_(pressure),
      settings_(settings),
      on_look_(std::move(on_look)),
      runtime_trouble_("the container runtime does not tell its state", "the container runtime tells its state again"),
      images_trouble_("the container runtime does not tell of its images, so the Node's status may be out of date",
                      "the container runtime tells of its images again") {
  runtime_health_.asked_since = timeline_.mono();
}

Task<void> NodeHealth::Run() {
  runtime_health_.asked_since = timeline_.mono();
  for (;;) {
    const MonoTime began = timeline_.mono();
    co_await AskRuntime();
    looked_ = true;
    on_look_();
    co_await timeline_.SleepUntil(began + settings_.period);
  }
}

Task<void> NodeHealth::AskRuntime() {
  const auto answer = co_await runtime_.Status(false, settings_.call_timeout);
  if (!answer) {
    runtime_trouble_.Tell(answer.error());
    co_return;
  }
  runtime_trouble_.End();
  runtime_health_.answered_at = timeline_.mono();
  runtime_health_.runtime.reset();
  runtime_health_.network.reset();
  for (const auto& condition : answer->status().conditions()) {
    const decide::RuntimeCondition said{
        .ready = condition.status(), .reason = condition.reason(), .message = condition.message()};
    if (condition.type() == "RuntimeReady") runtime_health_.runtime = said;
    if (condition.type() == "NetworkReady") runtime_health_.network = said;
  }
}

std::vector<corev1::NodeCondition> NodeHealth::Conditions(const corev1::NodeStatus& last_written) const {
  const Now now = timeline_.Read();
  const auto problems = decide::ReadinessProblems(runtime_health_, shutting_down_, now.mono);
  return decide::NodeConditions(problems, pressure_.memory(), pressure_.thresholds(), last_written, now);
}

std::optional<MonoTime> NodeHealth::NextChange() const {
  const MonoTime now = timeline_.mono();
  std::optional<MonoTime> next = pressure_.NextChange();
  const MonoTime down = runtime_health_.answered_at.value_or(runtime_health_.asked_since) + decide::kRuntimePatience;
  if (down > now) next = std::min(next.value_or(down), down);
  return next;
}

Task<std::optional<NodeHealth::Images>> NodeHealth::ListImages(std::set<std::string> preferred) {
  const auto answer = co_await image_service_.ListImages({}, settings_.call_timeout);
  if (!answer) {
    images_trouble_.Tell(answer.error());
    co_return std::nullopt;
  }
  images_trouble_.End();
  co_return node::NodeImages(answer->images(), preferred);
}

}  // namespace daemonsetd::cluster

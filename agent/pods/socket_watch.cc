#include "agent/pods/socket_watch.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/decide/labels.h"
#include "agent/decide/pod_object.h"

namespace daemonsetd::pods {

SocketWatch::SocketWatch(PodServices& services, PodWorkers& workers, RestartPodFunction restart, Nanoseconds period,
                         std::function<void()> on_change, IsReplacedFunction is_replaced)
    : services_(services),
      workers_(workers),
      restart_(std::move(restart)),
      period_(period),
      on_change_(std::move(on_change)),
      is_replaced_(std::move(is_replaced)),
      wake_(services.executor) {}

Task<void> SocketWatch::Run() {
  for (;;) {
    co_await Look();
    std::optional<MonoTime> next;
    if (period_ > Nanoseconds::zero()) next = services_.timeline.mono() + period_;
    co_await wake_.WaitUntil(services_.timeline, next);
  }
}

Task<void> SocketWatch::Look() {
  auto sockets = std::make_shared<std::vector<MountedSocket>>();
  for (const auto& [uid, worker] : workers_.all()) {
    const decide::ObservedPod* observed = services_.view.Find(uid);
    if (observed == nullptr || worker->terminating()) continue;
    for (MountedSocket& socket : PossibleSockets(worker->pod(), *observed)) sockets->push_back(std::move(socket));
  }
  if (!sockets->empty()) {
    std::function<Status()> check = [sockets, is_replaced = is_replaced_] {
      std::erase_if(*sockets, [&](const MountedSocket& socket) { return !is_replaced(socket); });
      return Ok();
    };
    if (!co_await services_.blocking.Run(std::move(check))) co_return;
  }
  std::set<std::pair<std::string, std::string>> stale;
  for (const MountedSocket& socket : *sockets) {
    stale.emplace(socket.container_id, socket.path);
    if (!told_.contains({socket.container_id, socket.path})) Tell(socket);
  }
  if (stale == told_) co_return;
  told_ = std::move(stale);
  on_change_();
}

void SocketWatch::Tell(const MountedSocket& socket) {
  const PodWorker* worker = workers_.Find(socket.pod_uid);
  if (worker == nullptr) return;
  const corev1::Pod& pod = worker->pod();
  const std::string& space = pod.metadata().namespace_();
  const std::string& name = pod.metadata().name();
  const auto& annotations = pod.metadata().annotations();
  const auto asked = annotations.find(decide::kRestartOnReplacedSocketAnnotation);
  const bool restart = asked != annotations.end() && asked->second == "true";
  const std::string fact = fmt::format("the host's socket {} was replaced; container {} still holds the old one",
                                       socket.path, socket.container);
  log::Warning(fact, {{"pod", decide::NameOf(pod)}, {"restart", restart ? "true" : "false"}});
  services_.events.Record(
      decide::ReferenceToContainer(pod, socket.container), EventType::kWarning, "StaleSocketMount",
      restart ? fact + "; the pod is restarted, as its annotation asks"
              : fmt::format("{}; mount its directory instead, or restart the pod: daemonsetctl restart pod {} -n {}",
                            fact, name, space));
  if (!restart) return;
  if (const auto stopped = restart_(space, name); !stopped) {
    log::Warning("cannot restart the pod", {{"pod", decide::NameOf(pod)}, {"err", stopped.error().message()}});
  }
}

}  // namespace daemonsetd::pods

#include "tests/unit/pods/pod_engine.h"

#include <stdexcept>

#include "agent/model/defaulting.h"

namespace daemonsetd::pods {

PodEngine::PodEngine(testing::TestLoop& loop, cri::Runtime& runtime, Records& records, const Directories& files)
    : blocking(0),
      starts(loop.executor(), 4),
      events(loop.timeline(), "node-a"),
      view(runtime, loop.timeline(), loop.executor(), RuntimeViewSettings{},
           [this](const std::string& uid) {
             if (!workers.RuntimeChanged(uid)) PodsChanged();
           }),
      images(loop.executor(), loop.timeline(), runtime, PullSettings{}),
      network(loop.executor(), loop.timeline(), runtime, std::chrono::minutes(2)),
      volumes(files, blocking),
      prober(loop.executor(), loop.timeline(), blocking, runtime, processes),
      services{.executor = loop.executor(),
               .timeline = loop.timeline(),
               .blocking = blocking,
               .runtime = runtime,
               .view = view,
               .images = images,
               .network = network,
               .volumes = volumes,
               .prober = prober,
               .starts = starts,
               .events = events,
               .records = records,
               .directories = files,
               .node = [this]() -> const corev1::Node& { return node; },
               .host_ips = [] { return std::vector<std::string>{"192.0.2.1"}; }},
      workers(services, [this] { PodsChanged(); }),
      supervisor(services, workers, [] {}) {
  node.mutable_metadata()->set_name("node-a");
}

void PodEngine::PodsChanged() {
  supervisor.Notify();
  if (on_pods_changed) on_pods_changed();
}

PodEngineTest::PodEngineTest() : runtime(loop.executor(), loop.timeline()) {
  runtime.AddImage(kImage);
  runtime.SetEventsSupported(false);
  Start();
}

PodEngineTest::~PodEngineTest() { Stop(); }

void PodEngineTest::Start() {
  engine = std::make_unique<PodEngine>(loop, runtime, records, directories());
  if (objects) engine->services.objects = objects;
  view = loop.Start(engine->view.Run());
  supervisor = loop.Start(engine->supervisor.Run());
  Apply();
}

void PodEngineTest::Stop() {
  loop.Cancel(supervisor);
  loop.Run(engine->workers.Close());
  loop.Cancel(view);
  loop.Run(engine->images.Stop());
  loop.Run(engine->prober.Close());
  loop.Settle();
  engine.reset();
}

void PodEngineTest::Restart() {
  Stop();
  Start();
}

DaemonSetSource PodEngineTest::MakeDaemonSet(const std::string& name) {
  DaemonSetSource source{.file = name + ".yaml", .object = {}};
  appsv1::DaemonSet& object = source.object;
  object.mutable_metadata()->set_name(name);
  object.mutable_metadata()->set_namespace_("default");
  object.mutable_metadata()->set_uid("uid-of-" + name);
  auto& pod_template = *object.mutable_spec()->mutable_template_();
  (*pod_template.mutable_metadata()->mutable_labels())["app"] = name;
  corev1::Container* container = pod_template.mutable_spec()->add_containers();
  container->set_name("main");
  container->set_image(kImage);
  pod_template.mutable_spec()->set_hostnetwork(true);
  model::SetDefaults(object);
  return source;
}

corev1::Container& PodEngineTest::Main(DaemonSetSource& source) {
  return *source.object.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0);
}

std::vector<std::string> PodEngineTest::RunningContainers() {
  std::vector<std::string> ids;
  for (const auto& container : runtime.Containers()) {
    if (container.state() == cri::v1::CONTAINER_RUNNING) ids.push_back(container.id());
  }
  return ids;
}

const corev1::PodStatus& PodEngineTest::PodStatus() {
  if (engine->workers.all().size() != 1) throw std::logic_error("there is not exactly one pod");
  return engine->workers.all().begin()->second->pod().status();
}

std::vector<std::string> PodEngineTest::EventReasons() {
  std::vector<std::string> reasons;
  for (const auto& logged : engine->events.Recent()) reasons.push_back(logged->event.reason());
  return reasons;
}

}  // namespace daemonsetd::pods

#include "tests/support/pod_builders.h"

#include "agent/decide/labels.h"

namespace daemonsetd::testing {

corev1::Pod MakePod(const std::vector<std::string>& containers, const std::vector<std::string>& init_containers) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("pod");
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_metadata()->set_uid("uid");
  pod.mutable_spec()->set_restartpolicy("Always");
  pod.mutable_spec()->set_terminationgraceperiodseconds(30);
  for (const std::string& name : containers) {
    corev1::Container* container = pod.mutable_spec()->add_containers();
    container->set_name(name);
    container->set_image("example.org/" + name + ":1");
  }
  for (const std::string& name : init_containers) {
    corev1::Container* container = pod.mutable_spec()->add_initcontainers();
    container->set_name(name);
    container->set_image("example.org/" + name + ":1");
  }
  return pod;
}

::runtime::v1::PodSandboxStatus MakeSandbox(const std::string& id, bool ready, std::uint32_t attempt) {
  ::runtime::v1::PodSandboxStatus sandbox;
  sandbox.set_id(id);
  sandbox.mutable_metadata()->set_uid("uid");
  sandbox.mutable_metadata()->set_attempt(attempt);
  sandbox.set_state(ready ? ::runtime::v1::SANDBOX_READY : ::runtime::v1::SANDBOX_NOTREADY);
  return sandbox;
}

decide::ObservedContainer MakeContainer(const ContainerSpec& spec) {
  decide::ObservedContainer container;
  container.sandbox_id = spec.sandbox_id;
  container.status.set_id(spec.id);
  container.status.mutable_metadata()->set_name(spec.name);
  container.status.mutable_metadata()->set_attempt(spec.restart_count);
  (*container.status.mutable_annotations())[decide::kRestartCountAnnotation] = std::to_string(spec.restart_count);
  container.status.set_state(spec.state);
  container.status.set_exit_code(spec.exit_code);
  container.status.set_started_at(1'000'000'000);
  container.status.set_created_at(1'000'000'000);
  if (spec.state == ::runtime::v1::CONTAINER_EXITED) container.status.set_finished_at(1'000'000'000 + spec.ran.count());
  return container;
}

}  // namespace daemonsetd::testing

// One node's state that shows every column and every section.
#pragma once

#include "agent/local/rfc3339.h"
#include "agent/local/snapshot.h"

namespace daemonsetd::ctl {

inline WallTime SampleNow() { return *local::ParseRfc3339("2026-11-25T12:00:00Z"); }

inline std::vector<std::shared_ptr<const decide::LoggedEvent>> SampleEvents() {
  decide::EventRing ring("daemonsetd", "node-1");
  Now now{.mono = MonoTime(std::chrono::hours(1)), .wall = *local::ParseRfc3339("2026-11-25T11:00:00Z")};
  const auto pass = [&now](Nanoseconds duration) {
    now.mono += duration;
    now.wall += duration;
  };
  const auto about = [](const char* kind, const char* object_namespace, const char* name) {
    corev1::ObjectReference reference;
    reference.set_kind(kind);
    reference.set_namespace_(object_namespace);
    reference.set_name(name);
    return reference;
  };
  const auto agent = about("Pod", "kube-system", "agent-x7k2p");
  ring.Add(about("DaemonSet", "kube-system", "agent"), decide::EventType::kNormal, "SuccessfulCreate",
           "Created pod: agent-x7k2p", now);
  ring.Add(agent, decide::EventType::kNormal, "Pulled", "Container image \"agent:1.2\" already present on machine",
           now);
  for (int i = 0; i < 4; ++i) {
    pass(std::chrono::minutes(14));
    ring.Add(agent, decide::EventType::kWarning, "Unhealthy", "Readiness probe failed: no\nanswer\x1b[2J\n", now);
  }
  ring.Add(about("Pod", "default", "web-node-1"), decide::EventType::kNormal, "Pulling", "Pulling image \"web:1\"",
           now);
  return ring.Recent();
}

inline local::Snapshot SampleSnapshot() {
  local::Snapshot snapshot;
  const auto read = [](const char* json, google::protobuf::Message& message) {
    const Status parsed = local::FromJson(json, message);
    if (!parsed) throw std::runtime_error(parsed.error().message());
  };
  read(R"({"version":{"version":"0.1.0","gitCommit":"95b7282a51c0","compiler":"clang 19.1.4","platform":"linux/amd64"},
    "nodeName":"node-1","startTime":"2026-11-20T09:00:00Z","runtime":{"name":"containerd","version":"2.1.4",
    "endpoint":"unix:///run/containerd/containerd.sock","connected":true,"since":"2026-11-25T09:00:00Z",
    "observation":"events"},"sources":{"manifests":{"path":"/etc/daemonsetd/manifests","files":3,"objects":3,
    "complete":true,"errors":[{"file":"bad.yaml","line":7,"text":"bad.yaml:7: DaemonSet default/x: spec: required"}]}},
    "counts":{"daemonSets":2,"daemonSetsHosted":1,"daemonSetsNotHosted":1,"podsDesired":2,"podsRunning":1,"podsReady":1},
    "apiServer":"not configured","warnings":["swap is on: turn it off"]})",
       snapshot.status);
  read(R"({"items":[
    {"namespace":"default","name":"gpu","uid":"u2","source":"gpu.yaml","creationTimestamp":"2026-11-25T11:59:15Z",
     "nodeSelector":"disk=ssd","selector":"app=gpu","containers":[{"name":"gpu","image":"gpu:1"}],
     "templateHash":"6d4cf56db6","updateStrategy":"OnDelete","labels":{"app":"gpu"},
     "verdict":{"blocker":"NodeSelector","reason":"nodeSelector disk=ssd: the node has disk=hdd"},
     "waitsFor":"a node with disk=ssd"},
    {"namespace":"kube-system","name":"agent","uid":"u1","source":"agent.yaml",
     "creationTimestamp":"2026-11-20T09:00:00Z","desired":1,"current":1,"ready":1,"upToDate":1,"available":1,
     "selector":"app=agent","containers":[{"name":"setup","image":"busybox:1.36","init":true},
     {"name":"agent","image":"registry.k8s.io/agent:1.2"},{"name":"proxy","image":"proxy:2"}],
     "templateHash":"7c9f8b","updateStrategy":"RollingUpdate","labels":{"app":"agent","tier":"node"},
     "annotations":{"note":"yes"},"verdict":{"shouldRun":true,"shouldKeepRunning":true},
     "admission":{"admitted":true},"podName":"agent-x7k2p"}]})",
       snapshot.daemon_sets);
  read(R"({"items":[
    {"namespace":"default","name":"web-node-1","uid":"p2","ownerKind":"Pod","ownerName":"web","phase":"Pending",
     "containersTotal":1,"status":"ContainerCreating","creationTimestamp":"2026-11-25T11:59:15Z","nodeName":"node-1",
     "message":"image web:1 is being pulled","containers":[{"name":"web","image":"web:1","state":"Waiting",
     "reason":"ContainerCreating"}]},
    {"namespace":"kube-system","name":"agent-x7k2p","uid":"p1","ownerKind":"DaemonSet","ownerName":"agent",
     "phase":"Running","readyContainers":2,"containersTotal":2,"status":"Running","restarts":3,
     "lastRestartTime":"2026-11-25T11:55:00Z","creationTimestamp":"2026-11-20T09:00:00Z",
     "startTime":"2026-11-20T09:00:01Z","podIp":"10.0.0.7","nodeName":"node-1","qosClass":"Burstable",
     "labels":{"app":"agent"},"containers":[
      {"name":"setup","image":"busybox:1.36","state":"Terminated","reason":"Completed","init":true,
       "startedAt":"2026-11-20T09:00:02Z","finishedAt":"2026-11-20T09:00:03Z"},
      {"name":"agent","image":"registry.k8s.io/agent:1.2","containerId":"0123456789abc","state":"Running","ready":true,
       "restartCount":3,"startedAt":"2026-11-25T11:55:00Z","lastTermination":{"reason":"OOMKilled","exitCode":137,
       "finishedAt":"2026-11-25T11:54:00Z"}}],
     "conditions":[{"type":"Ready","status":"True"}]}]})",
       snapshot.pods);
  read(R"({"name":"node-1","labels":{"disk":"hdd","kubernetes.io/hostname":"node-1"},
    "taints":[{"key":"dedicated","value":"db","effect":"NoSchedule"}],"capacity":{"cpu":"4","memory":"16Gi","pods":"110"},
    "allocatable":{"cpu":"4","memory":"15Gi","pods":"110"},"requested":{"cpu":"250m","memory":"128Mi","pods":"2"},
    "addresses":[{"type":"InternalIP","address":"192.0.2.10"},{"type":"Hostname","address":"node-1"}],
    "nodeInfo":{"osImage":"Debian GNU/Linux 12","kernelVersion":"6.1.0","containerRuntimeVersion":"containerd://2.1.4"},
    "conditions":[{"type":"Ready","status":"True","reason":"RuntimeReady","message":"containerd answers"}],
    "creationTimestamp":"2026-11-20T09:00:00Z"})",
       snapshot.node);
  read(R"({"items":[{"namespace":"default","name":"gpu","nodeName":"node-1","checks":[
    {"name":"manifest","detail":"gpu.yaml is valid"},
    {"name":"nodeSelector","outcome":"FAILED","detail":"disk=ssd: the node has disk=hdd"},
    {"name":"taints","outcome":"SKIPPED"}],"verdict":"does not run here","waitsFor":"a node with disk=ssd"}]})",
       snapshot.explanations);
  snapshot.events = SampleEvents();
  return snapshot;
}

}  // namespace daemonsetd::ctl

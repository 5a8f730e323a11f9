"""What kubectl shows of a pod, and what becomes of it when kubectl deletes it."""

from manifests import container
from space import container_ids, restarts, uid_of
from workloads import workload

TERMINATED = {"containerID", "exitCode", "finishedAt", "reason", "startedAt"}
CONDITION = {"lastProbeTime", "lastTransitionTime", "observedGeneration", "status", "type"}
CONDITIONS = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
CONTAINER = {"allocatedResources", "containerID", "image", "imageID", "lastState", "name", "ready", "resources",
             "restartCount", "started", "state", "volumeMounts"}
STATUS = {"allocatedResources", "conditions", "containerStatuses", "hostIP", "hostIPs", "initContainerStatuses",
          "observedGeneration", "phase", "podIP", "podIPs", "qosClass", "resources", "startTime"}
# Of a container's user a kubelet tells where the runtime does (containerd 2).
SOMETIMES = {"user"}


def keys(thing):
    return set(thing) - SOMETIMES


def test_a_pod_has_the_fields_that_a_kubelet_reports(space, nodes):
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    main = container(resources={"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}, **mount)
    first = container("first", "exit 0", **mount, resources={"requests": {"cpu": "10m"}})
    space.apply(workload("agent", [main], initContainers=[first], hostNetwork=False,
                         volumes=[{"name": "data", "emptyDir": {}}]))
    for name, pod in space.running("agent", nodes).items():
        status = pod["status"]
        main, = status["containerStatuses"]
        first, = status["initContainerStatuses"]
        assert {c["type"] for c in status["conditions"]} == CONDITIONS
        parts = [("status", status, STATUS), ("main", main, CONTAINER), ("first", first, CONTAINER),
                 *((c["type"], c, CONDITION) for c in status["conditions"])]
        differences = {what: {"missing": wanted - keys(part), "unknown": keys(part) - wanted}
                       for what, part, wanted in parts if keys(part) != wanted}
        assert differences == {}, name
        assert (keys(main["state"]), keys(main["state"]["running"])) == ({"running"}, {"startedAt"})
        assert (keys(first["state"]), keys(first["state"]["terminated"])) == ({"terminated"}, TERMINATED)
        assert (main["lastState"], main["ready"], main["started"], main["restartCount"]) == ({}, True, True, 0)
        assert main["containerID"].startswith("containerd://") and "sha256:" in main["imageID"]
        assert [keys(ip) for ip in (*status["hostIPs"], *status["podIPs"])] == [{"ip"}, {"ip"}]
        assert (status["hostIPs"][0]["ip"], status["podIPs"][0]["ip"]) == (status["hostIP"], status["podIP"])
        assert status["qosClass"] == "Burstable"
        assert status["observedGeneration"] == pod["metadata"]["generation"]


def test_a_crash_is_counted_and_told(space, nodes):
    space.apply(workload("agent"))
    pods = space.running("agent", nodes)
    for node in nodes:
        node.crash(pods[node.name])
    space.wait_for(lambda: [restarts(pod) for pod in space.pods("agent")] == [1, 1, 1], "every restart is counted")
    for name, pod in space.running("agent", nodes).items():
        status, = pod["status"]["containerStatuses"]
        assert uid_of(pod) == uid_of(pods[name])
        assert status["lastState"]["terminated"]["exitCode"] == 137
        assert status["lastState"]["terminated"]["containerID"].endswith(container_ids(pods[name])["main"])


def test_readiness_follows_the_probe(space, nodes):
    node = nodes[1]
    probe = {"exec": {"command": ["test", "-e", "/ready/yes"]}, "periodSeconds": 1}
    volume = {"name": "ready", "hostPath": {"path": str(node.agent.directory), "type": "Directory"}}
    space.apply(workload("agent", [container(readinessProbe=probe,
                                             volumeMounts=[{"name": "ready", "mountPath": "/ready"}])],
                         volumes=[volume], nodeSelector={"kubernetes.io/hostname": node.name}))
    space.wait_for(lambda: "0/1" in space.kubectl("get", "pods") and "Running" in space.kubectl("get", "pods"),
                   "it runs and is not ready")
    (node.agent.directory / "yes").touch()
    space.running("agent", [node])
    (node.agent.directory / "yes").unlink()
    space.wait_for(lambda: "0/1" in space.kubectl("get", "pods"), "it is not ready any more")


def test_a_deleted_pod_stops_gracefully_and_is_replaced(space, nodes, tmp_path):
    script = "trap 'sleep 1; touch /out/$NODE; exit 0' TERM; while :; do sleep 0.1; done"
    main = container(script=script, volumeMounts=[{"name": "out", "mountPath": "/out"}],
                     env=[{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}])
    space.apply(workload("agent", [main], terminationGracePeriodSeconds=30,
                         volumes=[{"name": "out", "hostPath": {"path": str(tmp_path)}}]))
    before = space.running("agent", nodes)
    space.kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in before.values()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node-a", "node-b", "node-c"], "each ended by itself"
    after = space.running("agent", nodes, other_than=map(uid_of, before.values()))
    names = {pod["metadata"]["name"] for pod in before.values()}
    assert not names & {pod["metadata"]["name"] for pod in after.values()}


def test_a_shorter_grace_cuts_a_longer_one(space, nodes):
    deaf = container(script="trap '' TERM; while :; do sleep 0.2; done")
    space.apply(workload("deaf", [deaf], terminationGracePeriodSeconds=3600))
    before = space.running("deaf", nodes)
    names = [pod["metadata"]["name"] for pod in before.values()]
    space.kubectl("delete", "pod", *names, "--wait=false")
    space.kubectl("delete", "pod", *names, "--wait=false", "--grace-period=1")
    space.running("deaf", nodes, other_than=map(uid_of, before.values()))


def test_a_pod_deleted_by_force_is_stopped_and_replaced(space, nodes):
    space.apply(workload("agent"))
    before = space.running("agent", nodes)
    space.kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in before.values()), "--force", "--grace-period=0")
    # Also: no container of an old pod is left.
    space.running("agent", nodes, other_than=map(uid_of, before.values()))


def test_a_pod_deleted_while_the_agent_is_down_is_stopped_when_it_is_back(space, nodes):
    node = nodes[2]
    space.apply(workload("agent"))
    before = space.running("agent", nodes)
    node.kill()
    space.kubectl("delete", "pod", before[node.name]["metadata"]["name"], "--wait=false")
    node.start()
    after = space.running("agent", nodes, other_than=[uid_of(before[node.name])])
    assert container_ids(after["node-a"]) == container_ids(before["node-a"])


def test_a_restart_of_the_agent_changes_no_pod(space, nodes):
    space.apply(workload("agent"), workload("other", hostNetwork=False))
    before = {**space.running("agent", nodes), **{f"other on {n}": p for n, p in space.running("other", nodes).items()}}
    running = [node.running() for node in nodes]
    for node in nodes:
        node.kill()
    for node in nodes:
        node.start()
    space.news_arrive(nodes)
    after = {**space.running("agent", nodes), **{f"other on {n}": p for n, p in space.running("other", nodes).items()}}
    assert [node.running() for node in nodes] == running
    assert {key: uid_of(pod) for key, pod in after.items()} == {key: uid_of(pod) for key, pod in before.items()}
    assert all(restarts(pod) == 0 for pod in after.values())

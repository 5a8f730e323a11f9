"""DaemonSets from kubectl apply to kubectl delete, on three nodes."""

import pytest
from manifests import container
from space import container_ids, is_ready, owners_of, restarts, uid_of
from workloads import plain_pod, pod_of, workload


def orphaned(space, name, count):
    pods = space.pods(name)
    return len(pods) == count and not any(map(owners_of, pods)) and space.daemon_set(name) is None


def test_a_daemon_set_runs_on_every_node(cluster, space, nodes):
    space.apply(workload("agent", hostNetwork=False, labels={"extra": "yes"}))
    pods = space.running("agent", nodes)
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": uid_of(space.daemon_set("agent")),
             "controller": True, "blockOwnerDeletion": True}
    for node in nodes:
        pod = pods[node.name]
        assert owners_of(pod) == [owner]
        assert pod["metadata"]["name"].startswith("agent-")
        assert pod["status"]["hostIP"] == node.address
        sandbox, main = sorted(node.containers("agent-"), key=lambda c: c.name)
        assert (sandbox.kind, main.name) == ("sandbox", "main") and sandbox.running and main.running
        assert container_ids(pod) == {"main": main.id} and main.uid == uid_of(pod)
    assert len({pod["metadata"]["labels"]["controller-revision-hash"] for pod in pods.values()}) == 1
    assert {pod["metadata"]["labels"]["extra"] for pod in pods.values()} == {"yes"}
    addresses = [pod["status"]["podIP"] for pod in pods.values()]
    assert len({address.rsplit(".", 2)[0] for address in addresses}) == 3, "each node has a subnet of its own"

    rows = [line.split() for line in space.kubectl("get", "pods", "-o", "wide", "--no-headers").splitlines()]
    assert sorted(row[6] for row in rows) == ["node-a", "node-b", "node-c"]
    assert all(row[1:4] == ["1/1", "Running", "0"] and row[5] in addresses for row in rows)
    assert container()["image"] in space.kubectl("get", "ds", "agent", "-o", "wide")


def test_events_tell_of_pods_and_their_set(space, nodes):
    space.apply(workload("agent"))
    pods = space.running("agent", nodes)
    names = {pod["metadata"]["name"] for pod in pods.values()}
    space.wait_for(lambda: {e["message"] for e in space.events("DaemonSet", "agent")
                            if e["reason"] == "SuccessfulCreate"} == {f"Created pod: {name}" for name in names},
                   "one event of the set for each pod")
    for node in nodes:
        name = pods[node.name]["metadata"]["name"]
        space.wait_for(lambda: {"Pulled", "Created", "Started"} <= space.reasons("Pod", name), "the pod's events")
        started = next(e for e in space.events("Pod", name) if e["reason"] == "Started")
        assert started["involvedObject"]["fieldPath"] == "spec.containers{main}"
        assert started["source"] == {"component": "daemonsetd", "host": node.name}
        assert "Started" in space.kubectl("describe", "pod", name).split("Events:")[1]
    assert "SuccessfulCreate" in space.kubectl("describe", "ds", "agent").split("Events:")[1]
    assert "Created pod" in space.kubectl("events", "--for", "daemonset/agent")


def test_a_failed_pod_is_replaced(space, nodes):
    space.apply(workload("agent"))
    before = space.running("agent", nodes)
    victim = before["node-b"]
    space.fail(victim)
    after = space.running("agent", nodes, other_than=[uid_of(victim)])
    for name in ("node-a", "node-c"):
        assert container_ids(after[name]) == container_ids(before[name])


def test_with_on_delete_a_new_template_waits_for_the_deletion_of_each_pod(space, nodes):
    space.apply(workload("agent", update_strategy="OnDelete"))
    before = space.running("agent", nodes)
    space.apply(workload("agent", update_strategy="OnDelete", annotations={"version": "2"}))
    space.kubectl("delete", "pod", before["node-c"]["metadata"]["name"])
    after = space.running("agent", nodes, other_than=[uid_of(before["node-c"])])
    versions = {name: pod["metadata"].get("annotations", {}).get("version") for name, pod in after.items()}
    assert versions == {"node-a": None, "node-b": None, "node-c": "2"}
    for name in ("node-a", "node-b"):
        assert container_ids(after[name]) == container_ids(before[name])
    hashes = {name: pod["metadata"]["labels"]["controller-revision-hash"] for name, pod in after.items()}
    assert hashes["node-a"] == hashes["node-b"] != hashes["node-c"]


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_a_deleted_daemon_set_takes_its_pods_along(space, nodes, cascade):
    space.apply(workload("agent"), workload("other"))
    space.running("agent", nodes)
    kept = space.running("other", nodes)
    space.kubectl("delete", "ds", "agent", f"--cascade={cascade}")
    space.gone("agent")
    assert space.daemon_set("agent") is None
    assert {name: container_ids(pod) for name, pod in space.running("other", nodes).items()} == {
        name: container_ids(pod) for name, pod in kept.items()}


def test_all_daemon_sets_of_a_namespace_are_deleted_at_once(space, nodes):
    space.apply(*(workload(f"agent-{number}") for number in range(3)))
    for number in range(3):
        space.running(f"agent-{number}", nodes)
    space.kubectl("delete", "ds", "--all")
    for number in range(3):
        space.gone(f"agent-{number}")
    assert all(node.containers() == [] for node in nodes)


def test_orphans_run_on_and_are_adopted_without_a_restart(space, nodes):
    space.apply(workload("agent"))
    before = space.running("agent", nodes)
    space.kubectl("delete", "ds", "agent", "--cascade=orphan")
    space.wait_for(lambda: orphaned(space, "agent", 3), "the pods have no owner")
    space.running("agent", nodes)
    space.apply(workload("agent"))
    owner = uid_of(space.daemon_set("agent"))
    space.wait_for(lambda: all([o["uid"] for o in owners_of(pod)] == [owner] for pod in space.pods("agent")),
                   "the new set owns them")
    after = space.running("agent", nodes)
    for name, pod in after.items():
        assert uid_of(pod) == uid_of(before[name])
        assert container_ids(pod) == container_ids(before[name]) and restarts(pod) == 0


def test_without_a_garbage_collector_the_pods_go_all_the_same(lone_cluster, lone_space, make_node):
    node = make_node(lone_cluster, "node-g")
    lone_space.apply(workload("agent"), workload("waits"))
    lone_space.running("agent", [node])
    lone_space.running("waits", [node])
    lone_space.kubectl("delete", "ds", "agent")
    lone_space.gone("agent")
    lone_space.kubectl("delete", "ds", "waits", "--cascade=foreground", "--wait=false")
    lone_space.gone("waits")


def test_without_a_garbage_collector_orphans_lose_their_owner(lone_cluster, lone_space, make_node):
    node = make_node(lone_cluster, "node-g", "system")
    lone_space.apply(workload("agent"))
    before = lone_space.running("agent", [node])
    lone_space.kubectl("delete", "ds", "agent", "--cascade=orphan", "--wait=false")
    lone_space.wait_for(lambda: not any(map(owners_of, lone_space.pods("agent"))), "the pods have no owner")
    if lone_space.daemon_set("agent"):
        lone_space.patch("daemonsets", "agent", {"metadata": {"finalizers": None}}, "apps/v1")
    lone_space.wait_for(lambda: orphaned(lone_space, "agent", 1), "the set is gone")
    lone_space.apply(workload("agent"))
    lone_space.wait_for(lambda: owners_of(lone_space.pods("agent")[0]), "it is adopted")
    after = lone_space.running("agent", [node])
    assert container_ids(after["node-g"]) == container_ids(before["node-g"])


@pytest.mark.parametrize("source", ["bound", "bound-all"])
def test_with_a_bound_source_others_make_the_pods(cluster, space, make_node, source):
    node = make_node(cluster, "node-d", podSource=source)
    only = {"kubernetes.io/hostname": node.name}
    space.apply(workload("made", nodeSelector=only), workload("not-made", nodeSelector=only))
    space.create(plain_pod("plain", node))
    made = space.create(pod_of(space.daemon_set("made"), node))
    pods = space.running("made", [node])
    assert uid_of(pods[node.name]) == uid_of(made)
    if source == "bound-all":
        space.wait_for(lambda: is_ready(space.pod("plain")), "the other pod runs too")
    else:
        assert space.pod("plain")["status"]["phase"] == "Pending" and node.containers("plain") == []
    space.kubectl("delete", "pod", made["metadata"]["name"])
    space.gone("made")
    assert space.pods("not-made") == [], "the agent makes none"

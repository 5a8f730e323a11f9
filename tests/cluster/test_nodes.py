"""Nodes as kubectl shows them: registered by their agents, whoever else is there or not."""

import datetime
import json
import re

from workloads import workload

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
OWN_TAINT = {"key": "daemonsetd.dev/daemonsets-only", "effect": "NoSchedule"}


def conditions(node):
    return {c["type"]: c["status"] for c in node.object()["status"]["conditions"]}


def test_nodes_register_as_kubectl_shows_them(cluster, nodes):
    rows = [line.split() for line in cluster.kubectl("get", "nodes", "-o", "wide", "--no-headers").splitlines()]
    shown = {row[0]: row for row in rows}
    assert sorted(shown) == ["node-a", "node-b", "node-c"]
    assert [row[2] for row in (shown["node-a"], shown["node-b"])] == ["edge", "<none>"]
    for node in nodes:
        _, status, _, _, version, address, *_, runtime = shown[node.name]
        assert (status, address) == ("Ready", node.address)
        assert version not in ("", "<none>") and re.match(f"containerd://v?{node.runtime.version}", runtime)
        text = cluster.kubectl("describe", "node", node.name)
        assert "KubeletReady" in text and "daemonsetd.dev/daemonsets-only:NoSchedule" in text


def test_a_node_tells_what_a_kubelet_tells(nodes):
    for node in nodes:
        thing = node.object()
        assert conditions(node) == {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False",
                                    "PIDPressure": "False"}
        for condition in thing["status"]["conditions"]:
            assert {"reason", "message", "lastHeartbeatTime", "lastTransitionTime"} <= set(condition)
        assert thing["spec"]["taints"] == [OWN_TAINT], "nothing but our own; not-ready is gone"
        labels = thing["metadata"]["labels"]
        assert (labels["kubernetes.io/hostname"], labels["kubernetes.io/os"]) == (node.name, "linux")
        assert labels["kubernetes.io/arch"] == thing["status"]["nodeInfo"]["architecture"]
        assert ("tier" in labels) == (node.name == "node-a")
        for resources in (thing["status"]["capacity"], thing["status"]["allocatable"]):
            assert {"cpu", "memory", "pods", "ephemeral-storage"} <= set(resources)
        addresses = {a["type"]: a["address"] for a in thing["status"]["addresses"]}
        assert addresses["InternalIP"] == node.address and addresses["Hostname"]
        info = thing["status"]["nodeInfo"]
        assert all(info[key] for key in ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "architecture",
                                         "containerRuntimeVersion", "kubeletVersion", "operatingSystem"))
        images = [name for image in thing["status"].get("images", []) for name in image["names"]]
        assert any("busybox" in name for name in images)


def test_a_lease_is_held_and_renewed(cluster, nodes):
    for node in nodes:
        lease = node.lease()
        assert lease["spec"]["leaseDurationSeconds"] == (10 if node.name == "node-b" else 40)
        assert lease["spec"]["holderIdentity"].startswith(node.name)
        owner = lease["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Node", node.name, node.object()["metadata"]["uid"])
    brief = nodes[1]
    before = brief.lease()["spec"]["renewTime"]
    cluster.wait_for(lambda: brief.lease()["spec"]["renewTime"] > before, "node-b's lease is renewed")


def test_what_an_administrator_writes_on_a_node_outlives_the_agents_restart(cluster, nodes):
    node = nodes[0]
    cluster.kubectl("label", "node", node.name, "rack=7", "tier=two", "--overwrite")
    cluster.kubectl("annotate", "node", node.name, "note=kept")
    cluster.kubectl("taint", "node", node.name, "spare=yes:NoSchedule")
    uid = node.object()["metadata"]["uid"]
    written = node.lease()["spec"]["renewTime"]
    node.restart()
    cluster.wait_for(lambda: node.lease()["spec"]["renewTime"] > written, "the new agent at work")
    now = node.object()
    assert now["metadata"]["uid"] == uid
    assert now["metadata"]["labels"]["rack"] == "7" and now["metadata"]["annotations"]["note"] == "kept"
    assert {"key": "spare", "value": "yes", "effect": "NoSchedule"} in now["spec"]["taints"]
    # What the configuration says of a label holds.
    cluster.wait_for(lambda: node.object()["metadata"]["labels"]["tier"] == "one", "the configured label is back")


def test_a_deleted_node_comes_back_and_its_pods_run_on(cluster, space, nodes):  # PL-18
    node = nodes[1]
    space.apply(workload("stays"))
    pods = space.running("stays", nodes)
    before, old = node.running(), node.object()["metadata"]["uid"]
    cluster.kubectl("delete", "node", node.name)
    cluster.wait_for(lambda: (now := node.object()) and now["metadata"]["uid"] != old and node.ready(),
                     "the node is registered anew and Ready")
    cluster.wait_for(lambda: (lease := node.lease())
                     and lease["metadata"]["ownerReferences"][0]["uid"] == node.object()["metadata"]["uid"],
                     "its lease belongs to the new Node")
    cluster.wait_for(lambda: node.object()["spec"].get("taints") == [OWN_TAINT], "it is free of the taint of a new node")
    after = space.running("stays", nodes)
    assert node.running() == before
    assert after["node-b"]["metadata"]["uid"] == pods["node-b"]["metadata"]["uid"]


def test_a_node_that_joins_gets_its_pods(cluster, space, nodes, make_node):
    space.apply(workload("agent", hostNetwork=False), workload("picky", nodeSelector={"tier": "three"}))
    space.running("agent", nodes)
    joined = make_node(cluster, "node-d", nodeLabels={"tier": "three"})
    space.running("agent", [*nodes, joined])
    space.running("picky", [joined])


def test_without_a_controller_manager_the_node_gets_rid_of_the_taint_of_a_new_node(lone_cluster, lone_space, make_node):
    node = make_node(lone_cluster, "node-l")
    lone_cluster.wait_for(lambda: node.object()["spec"]["taints"] == [OWN_TAINT], "nothing but our own taint")
    lone_space.apply(workload("agent"))
    lone_space.running("agent", [node])


def test_the_name_of_a_living_kubelet_is_refused(lone_cluster, lone_space, make_node):
    client = lone_cluster.client()
    name, now = "node-k", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    client.create("/api/v1/nodes", {"metadata": {"name": name}})
    client.patch(f"/api/v1/nodes/{name}/status", {"status": {"nodeInfo": {
        "kubeletVersion": "v1.37.2", **{key: "" for key in (
            "machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
            "kubeProxyVersion", "operatingSystem", "architecture")}}}})
    client.create(LEASES, {"metadata": {"name": name, "namespace": "kube-node-lease"},
                           "spec": {"holderIdentity": name, "leaseDurationSeconds": 3600, "renewTime": now}})
    lone_space.apply(workload("agent"))
    node = make_node(lone_cluster, name, start=False)
    before = node.object(), node.lease()
    node.start(wait=False)
    refusal = f"the Node {name} is held by a kubelet v1.37.2"
    lone_cluster.wait_for(lambda: refusal in node.agent.log.read_text(), "the log says why")
    lone_cluster.wait_for(lambda: refusal in node.agent.get("/v1/status")[1], "the status says why")
    assert refusal in node.ctl("get", "status")
    lone_cluster.wait_for(lambda: json.loads(node.agent.get("/v1/status")[1])["runtime"]["connected"], "the runtime seen")
    assert (node.object(), node.lease()) == before, "nothing was written"
    assert lone_space.pods() == [] and node.containers() == []
    assert lone_space.events("DaemonSet", "agent") == []

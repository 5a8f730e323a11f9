"""Where pods go when labels and taints of nodes change, by kubectl."""

from space import container_ids, uid_of
from without_server import ready_locally
from workloads import workload

TOLERATION = {"key": "dedicated", "operator": "Exists"}


def label(cluster, node, *labels):
    cluster.kubectl("label", "node", node.name, "--overwrite", *labels)


def taint(cluster, node, *taints):
    cluster.kubectl("taint", "node", node.name, *taints)


def required(*terms):
    """Affinity to nodes that match one of `terms`, each one expression: (key, operator, values)."""
    selector = [{"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
                for key, operator, values in terms]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": selector}}}


def same_containers(one, other, *nodes):
    return all(container_ids(one[node.name]) == container_ids(other[node.name]) for node in nodes)


def test_pods_follow_the_labels_of_their_nodes(cluster, space, nodes):
    a, b, c = nodes
    label(cluster, a, "disk=ssd", "weight=5")
    label(cluster, b, "zone=y", "weight=10")
    space.apply(workload("selected", nodeSelector={"disk": "ssd"}),
                workload("affine", affinity=required(("zone", "In", ["x", "y"]), ("weight", "Gt", ["20"]))))
    space.running("selected", [a])
    first = space.running("affine", [b])
    label(cluster, a, "disk=hdd")
    label(cluster, b, "disk=ssd")
    label(cluster, c, "weight=21")
    space.running("selected", [b])
    second = space.running("affine", [b, c])
    assert same_containers(first, second, b)
    label(cluster, b, "disk-", "zone-")
    label(cluster, c, "weight=19")
    space.gone("selected")
    space.gone("affine")
    assert "disk=ssd" in b.ctl("explain", "selected", "-n", space.namespace)


def test_a_taint_that_comes_later_stops_nothing_but_keeps_new_pods_away(cluster, space, nodes):  # PL-01
    a, b, c = nodes
    space.apply(workload("early"))
    before = space.running("early", nodes)
    taint(cluster, a, "dedicated=db:NoSchedule")
    space.apply(workload("late"), workload("tolerant", tolerations=[TOLERATION]))
    space.running("tolerant", nodes)  # so the agent of node-a has seen both
    space.running("late", [b, c])
    assert same_containers(before, space.running("early", nodes), a, b, c)
    space.kubectl("delete", "pod", before["node-a"]["metadata"]["name"])
    space.running("early", [b, c])
    taint(cluster, a, "dedicated-")
    space.running("early", nodes)
    space.running("late", nodes)


def test_a_taint_of_no_execute_stops_pods_until_it_is_taken_away(cluster, space, nodes):
    a, b, c = nodes
    space.apply(workload("plain"), workload("tolerant", tolerations=[TOLERATION]))
    before, tolerant = space.running("plain", nodes), space.running("tolerant", nodes)
    taint(cluster, b, "dedicated=db:NoExecute")
    during = space.running("plain", [a, c])
    assert same_containers(before, during, a, c)
    taint(cluster, b, "dedicated-")
    space.running("plain", nodes, other_than=[uid_of(before["node-b"])])
    assert same_containers(tolerant, space.running("tolerant", nodes), a, b, c)


def test_a_drained_node_keeps_its_daemon_pods_and_starts_new_ones(cluster, space, nodes):  # PL-11
    a, b, c = nodes
    space.apply(workload("early"))
    before = space.running("early", nodes)
    cluster.kubectl("drain", c.name, "--ignore-daemonsets", "--force")
    row = cluster.kubectl("get", "node", c.name, "--no-headers").split()
    assert row[1] == "Ready,SchedulingDisabled"
    cluster.wait_for(lambda: any(t["key"] == "node.kubernetes.io/unschedulable" for t in c.object()["spec"]["taints"]),
                     "the taint of a cordoned node")
    space.apply(workload("late"))
    space.running("late", nodes)
    assert same_containers(before, space.running("early", nodes), a, b, c)
    cluster.kubectl("uncordon", c.name)


def test_without_a_controller_manager_labels_and_taints_count_too(lone_cluster, lone_space, make_node):
    node = make_node(lone_cluster, "node-p")
    lone_space.apply(workload("selected", nodeSelector={"disk": "ssd"}), workload("plain"))
    lone_space.running("plain", [node])
    label(lone_cluster, node, "disk=ssd")
    lone_space.running("selected", [node])
    taint(lone_cluster, node, "dedicated=db:NoExecute")
    lone_space.gone("plain")
    lone_space.gone("selected")
    taint(lone_cluster, node, "dedicated-")
    label(lone_cluster, node, "disk-")
    lone_space.running("plain", [node])
    lone_space.gone("selected")


def test_a_label_that_went_while_the_agent_was_down_counts_when_the_server_says_so(lone_cluster, lone_space, make_node):
    # PL-07: an agent that starts judges nothing that runs; PL-06: then the pod goes, once, and the Event says why.
    node = make_node(lone_cluster, "node-q", apiServerStartWait="1s")
    label(lone_cluster, node, "disk=ssd")
    lone_space.apply(workload("selected", nodeSelector={"disk": "ssd"}))
    name = lone_space.running("selected", [node])[node.name]["metadata"]["name"]
    running = node.running()
    node.kill()
    label(lone_cluster, node, "disk-")
    lone_cluster.kill_apiserver()
    node.start(wait=False)
    ready_locally(node, "selected")
    assert node.running() == running
    lone_cluster.start_apiserver()
    lone_space.gone("selected")
    told = lone_space.wait_for(lambda: [event for event in lone_space.events("DaemonSet", "selected")
                                        if event["reason"] == "SuccessfulDelete"], "the Event")
    assert [event["message"] for event in told] == [
        f"Deleted pod: {name} (nodeSelector disk=ssd: the node has no label disk)"]

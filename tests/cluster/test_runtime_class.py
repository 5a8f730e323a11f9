"""RuntimeClass objects: whose handler a pod's sandbox gets, what waits for one that is not there, and what the API server's
admission makes of them."""

import base64
import json

import pytest
from manifests import static_pod
from space import uid_of
from without_server import ready_locally
from workloads import workload

CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
HANDLER = "runc"  # of every containerd here


@pytest.fixture
def make_class():
    """make_class(cluster, name, **fields) makes a RuntimeClass, which goes after the test. It is of no namespace. Ask for
    it before the spaces: what uses it goes first."""
    made = []

    def make(cluster, name, handler=HANDLER, **fields):
        made.append((cluster, name))
        return cluster.client().create(CLASSES, {"metadata": {"name": name}, "handler": handler, **fields})

    yield make
    for cluster, name in made:
        cluster.client().delete(f"{CLASSES}/{name}", absent=None)


def handler_of(node, pod):
    """What containerd has noted of the pod's sandbox; empty: nobody named a handler."""
    sandbox, = [c for c in node.containers(pod["metadata"]["name"]) if c.kind == "sandbox" and c.running]
    extension, = json.loads(node.runtime.ctr("containers", "info", sandbox.id))["Extensions"].values()
    return json.loads(base64.b64decode(extension["value"]))["Metadata"].get("RuntimeHandler", "")


def of_class(name, namespace, runtime_class):
    """The manifest of a static pod."""
    manifest = static_pod(name, runtimeClassName=runtime_class)
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def message_of(node, owner):
    return next((pod["message"] for pod in node.agent.pods(owner)), "")


def told(space, kind, name, reason, words):
    return [e for e in space.events(kind, name) if e["reason"] == reason and words in e["message"]]


def test_the_object_gives_the_handler_and_admission_the_overhead(make_class, space, nodes):
    make_class(space.cluster, space.namespace, overhead={"podFixed": {"memory": "1Mi"}})
    space.apply(workload("agent", runtimeClassName=space.namespace), workload("plain"))
    agents, plain = space.running("agent", nodes), space.running("plain", nodes)
    for node in nodes:
        assert (handler_of(node, agents[node.name]), handler_of(node, plain[node.name])) == (HANDLER, "")
        assert agents[node.name]["spec"]["overhead"] == {"memory": "1Mi"}


def test_a_handler_that_the_runtime_does_not_have_is_named(make_class, space, nodes):
    make_class(space.cluster, space.namespace, "no-such-handler")
    space.apply(workload("agent", runtimeClassName=space.namespace))
    pods = space.wait_for(lambda: (found := space.pods("agent")) and len(found) == len(nodes) and found, "the pods")
    for pod in pods:
        space.wait_for(lambda: told(space, "Pod", pod["metadata"]["name"], "FailedCreatePodSandBox", "no-such-handler"),
                       "an event that names the handler")


def test_a_daemon_set_waits_for_its_class(make_class, space, nodes):
    """The API server takes no pod that names a class which it does not have."""
    space.apply(workload("agent", runtimeClassName=space.namespace))
    lack = f'RuntimeClass "{space.namespace}" not found'
    space.wait_for(lambda: told(space, "DaemonSet", "agent", "FailedCreate", lack), "an event that names the class")
    for node in nodes:
        space.wait_for(lambda: lack in node.ctl("explain", "agent", "-n", space.namespace), f"{node.name} explains it")
        assert not node.containers("agent-")
    make_class(space.cluster, space.namespace)
    pods = space.running("agent", nodes)
    assert all(handler_of(node, pods[node.name]) == HANDLER for node in nodes)


def test_a_static_pod_waits_for_its_class(make_class, space, nodes):
    node = nodes[0]
    node.agent.apply("static.yaml", of_class("static", space.namespace, space.namespace))
    name = f"static-{node.name}"
    lack = f'runtimeclass "{space.namespace}" not found; create it at the API server, or add it to runtimeClasses'
    node.agent.wait_for(lambda: lack in message_of(node, name), "it says what it lacks", 60)
    make_class(space.cluster, space.namespace)
    node.agent.wait_for(lambda: node.agent.pods_ready(name), "it runs", 60)
    mirror = space.wait_for(lambda: space.pod(name), "its mirror")
    assert handler_of(node, mirror) == HANDLER


def test_where_pods_of_a_class_may_run_is_admissions_word(make_class, space, nodes):
    """As upstream: the DaemonSet has a pod on every node, and where the class does not allow it the pod is Pending."""
    key = f"{space.namespace}/class"
    make_class(space.cluster, space.namespace, scheduling={"nodeSelector": {key: "yes"}})
    space.cluster.kubectl("label", "node", nodes[0].name, f"{key}=yes")
    space.apply(workload("agent", runtimeClassName=space.namespace))

    def phases():
        return {pod["spec"]["nodeName"]: pod["status"]["phase"] for pod in space.pods("agent")}

    def unschedulable():
        return {pod["spec"]["nodeName"] for pod in space.pods("agent") for c in pod["status"].get("conditions", [])
                if c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable"}

    others = {node.name for node in nodes[1:]}
    space.wait_for(lambda: phases() == {nodes[0].name: "Running", **dict.fromkeys(others, "Pending")} and
                   unschedulable() == others, "one runs")
    for node in nodes[1:]:
        space.cluster.kubectl("label", "node", node.name, f"{key}=yes")
    space.running("agent", nodes)


def test_pods_start_again_without_the_server(make_class, lone_cluster, lone_space, make_node):
    name, static = lone_space.namespace, "static-node-r"
    node = make_node(lone_cluster, "node-r", apiServerStartWait="1s", crashLoopBackOff={"initial": "500ms"})
    make_class(lone_cluster, name)
    lone_space.apply(workload("agent", runtimeClassName=name))
    before = lone_space.running("agent", [node])[node.name]
    node.restart()  # what the pod needs is in the checkpoint then
    node.reboot(while_down=lone_cluster.kill_apiserver)
    node.start(wait=False)
    ready_locally(node, "agent")
    assert handler_of(node, before) == HANDLER, "the checkpoint knows the class"

    # Of a class that was never read nobody knows whether it exists.
    node.agent.apply("static.yaml", of_class("static", name, f"{name}-other"))
    node.agent.wait_for(lambda: "API server cannot be reached now" in message_of(node, static), "it waits", 60)
    sandbox, = [c.id for c in node.containers("agent-") if c.kind == "sandbox" and c.running]
    count = node.agent.container("agent", "main")["restartCount"]
    node.crash(before)
    node.agent.wait_for(lambda: (c := node.agent.container("agent", "main")) and c["ready"]
                        and c["restartCount"] == count + 1, "the container runs again", 90)
    assert sandbox in [c.id for c in node.containers("agent-") if c.kind == "sandbox" and c.running]

    lone_cluster.start_apiserver()
    make_class(lone_cluster, f"{name}-other")
    node.agent.wait_for(lambda: node.agent.pods_ready(static), "the class is there", 90)
    running = node.running("agent-")
    after = lone_space.running("agent", [node])[node.name]
    assert node.running("agent-") == running and uid_of(after) == uid_of(before)

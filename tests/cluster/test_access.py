"""The access that packaging/kubernetes/ gives the agents: what they do is allowed, and nothing beyond their node."""

import base64
import copy
import json
import os
import pathlib
import subprocess

import pytest

import go_tools
from cluster import KubectlError
from cluster_client import MERGE_PATCH

SHIPPED = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "kubernetes"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
NODE, OTHER = "access-1", "access-2"
NODES = "/api/v1/nodes"
CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
COORDINATOR_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
POLICY = "ValidatingAdmissionPolicy"
MIRROR = {"kubernetes.io/config.mirror": "hash", "kubernetes.io/config.hash": "hash"}
OWN_PODS = "makes pods with that spec.nodeName only"
OWNED_PODS = "agents make only pods that a DaemonSet controls"
ONLY_OWN_PODS = "changes and deletes only the pods of that node"
ONLY_OWN_NODE = "writes only that Node, and does not delete it"
ONLY_OWN_LEASE = "writes only the Lease of its own node"
ONLY_BOUND_TOKENS = "only for tokens that are bound to a pod"
ONLY_OWN_EVENTS = "writes only Events with the name of its own node"
NO_NODE = "names no node: the user of an agent is daemonsetd:node:NAME"


def node_object(name, **metadata):
    return {"metadata": {"name": name, **metadata}}


def lease_object(name):
    return {"metadata": {"name": name}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40}}


def pod_object(name, node, owner, **metadata):
    return {"metadata": {"name": name, "ownerReferences": [owner] if owner else [], **metadata},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0,
                     "tolerations": [{"operator": "Exists"}], "containers": [{"name": "main", "image": "busybox"}]}}


def controlled_by(kind, thing):
    version = "apps/v1" if kind == "DaemonSet" else "v1"
    return {"apiVersion": version, "kind": kind, "name": thing["metadata"]["name"], "uid": thing["metadata"]["uid"],
            "controller": True}


def revision_object(name, owner):
    return {"metadata": {"name": name, "ownerReferences": [owner] if owner else []}, "revision": 1,
            "data": {"spec": {"template": {"$patch": "replace"}}}}


def stateful_set(name):
    """Without replicas: it owns things, and makes none."""
    labels = {"app": name}
    return {"metadata": {"name": name}, "spec": {
        "replicas": 0, "serviceName": name, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}}}}


def event_object(namespace, host, **about):
    return {"metadata": {"generateName": "access-"}, "reason": "Started", "message": "m", "type": "Normal",
            "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "a", **about},
            "source": {"component": "daemonsetd", "host": host}}


def unconditional(thing):
    """For a PUT whatever the controllers wrote since it was read: a conflict would hide what is being asked."""
    return {**thing, "metadata": {key: value for key, value in thing["metadata"].items() if key != "resourceVersion"}}


class Identity:
    """Requests as one user."""

    def __init__(self, cluster, user, groups=("daemonsetd:nodes",)):
        self.kubeconfig = cluster.kubeconfig(user, groups)
        self.client = cluster.client(self.kubeconfig)

    def may(self, verb, resource, namespace="", *, group="", subresource="", name=""):
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace,
                      "subresource": subresource, "name": name}
        answer = self.client.create(REVIEWS, {"spec": {"resourceAttributes": attributes}})
        return answer["status"]["allowed"]

    def send(self, method, path, body=None, content_type="application/json"):
        """The decoded answer; it must be a success."""
        answer = self.client.request(method, path, body=body, content_type=content_type)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.json().get('message')}"
        return answer.json()

    def refused(self, method, path, body=None, content_type="application/json", *, says):
        """Asserts that the server forbids the request, with this text."""
        answer = self.client.request(method, path, body=body, content_type=content_type)
        assert answer.status == 403, f"{method} {path}: {answer.status} {answer.body[:500]}"
        assert says in answer.json()["message"]


class World:
    """Two nodes, a DaemonSet with a pod on each, and who may try what. `agent` is node access-1's."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.events = f"/api/v1/namespaces/{namespace}/events"
        self.accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.daemon_sets = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
        self.agent = Identity(cluster, f"daemonsetd:node:{NODE}")
        self.other = Identity(cluster, f"daemonsetd:node:{OTHER}")
        self.admin = cluster.client()
        self.nodes = {}
        for name, identity in ((NODE, self.agent), (OTHER, self.other)):
            self.admin.delete(f"{NODES}/{name}", absent=None)
            self.nodes[name] = identity.send("POST", NODES, node_object(name))
        self.set = self.admin.create(self.daemon_sets, {
            "metadata": {"name": "proxy"},
            "spec": {"selector": {"matchLabels": {"app": "proxy"}}, "template": {
                "metadata": {"labels": {"app": "proxy"}},
                "spec": {"containers": [{"name": "main", "image": "busybox"}]}}}})
        cluster.wait_for(lambda: cluster.get(f"{self.accounts}/default", absent=None), "the namespace has its account")
        self.by_set = controlled_by("DaemonSet", self.set)
        self.own = self.agent.send("POST", self.pods, pod_object("own", NODE, self.by_set))
        self.foreign = self.other.send("POST", self.pods, pod_object("foreign", OTHER, self.by_set))

    def pod(self, name):
        return f"{self.pods}/{name}"

    def take_away(self):
        for pod in self.cluster.get(self.pods)["items"]:
            self.admin.request("DELETE", self.pod(pod["metadata"]["name"]), body={"gracePeriodSeconds": 0})
        for name in (NODE, OTHER):
            self.admin.delete(f"{NODES}/{name}", absent=None)
            self.admin.delete(f"{LEASES}/{name}", absent=None)


def until_active(cluster):
    """New policies are not enforced at once: until each of them refuses something."""
    mighty = Identity(cluster, f"daemonsetd:node:{NODE}", ["daemonsetd:nodes", "system:masters"])
    account = "/api/v1/namespaces/default/serviceaccounts"
    cluster.wait_for(lambda: cluster.get(f"{account}/default", absent=None), "the service account default")
    probes = [("/api/v1/namespaces/default/pods", pod_object("probe", OTHER, None)), (NODES, node_object("probe")),
              (LEASES, lease_object("probe")), (f"{account}/default/token", {"spec": {}}),
              ("/api/v1/namespaces/default/events", event_object("default", OTHER))]

    # The policy on pods lets a coordinator do more, so these have an identity of their own.
    coordinating = Identity(cluster, "daemonsetd:coordinator-probe", ["daemonsetd:coordinators", "system:masters"])
    probes = [(mighty, *probe) for probe in probes]
    probes += [(coordinating, COORDINATOR_LEASES, lease_object("probe")),
               (coordinating, "/apis/apps/v1/namespaces/default/controllerrevisions", revision_object("probe", None))]

    def active():
        for identity, path, body in probes:
            answer = identity.client.request("POST", path, body=body, query={"dryRun": "All"})
            assert answer.status == 403 and POLICY in answer.json()["message"], f"{path}: {answer.body[:300]}"
        return True

    cluster.wait_for(active, "the admission policies are enforced")


@pytest.fixture(scope="module")
def access(cluster):
    cluster.kubectl("apply", "--server-side", "--filename", str(SHIPPED))
    until_active(cluster)


@pytest.fixture
def world(cluster, access, namespace):
    made = World(cluster, namespace)
    yield made
    made.take_away()


# What an agent does

def test_the_policies_are_well_typed(cluster, access):
    def checked():
        policies = cluster.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")["items"]
        ours = [p for p in policies if p["metadata"]["name"].startswith("daemonsetd-")]
        assert len(ours) == 7
        for policy in ours:
            status = policy["status"]
            assert status["observedGeneration"] == policy["metadata"]["generation"]
            assert not status["typeChecking"].get("expressionWarnings"), status["typeChecking"]
        return True

    cluster.wait_for(checked, "the server has checked the policies' expressions and found nothing")


def test_an_agent_keeps_its_node_and_lease(world):
    path = f"{NODES}/{NODE}"
    node = world.agent.send("GET", path)
    node["metadata"].setdefault("labels", {})["zone"] = "cellar"
    node["spec"]["taints"] = [{"key": "daemonsetd.dev/daemonsets-only", "effect": "NoSchedule"}]
    node = world.agent.send("PUT", path, unconditional(node))
    node["status"]["conditions"] = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    assert world.agent.send("PUT", f"{path}/status", unconditional(node))["status"]["conditions"][0]["status"] == "True"
    world.agent.send("PATCH", path, {"metadata": {"labels": {"zone": "attic"}}}, MERGE_PATCH)
    watched = world.agent.client.request("GET", NODES, query={"fieldSelector": f"metadata.name={NODE}"})
    assert watched.status == 200
    lease = world.agent.send("POST", LEASES, lease_object(NODE))
    lease["spec"]["leaseDurationSeconds"] = 10
    world.agent.send("PUT", f"{LEASES}/{NODE}", lease)
    assert world.agent.send("GET", f"{LEASES}/{NODE}")["spec"]["leaseDurationSeconds"] == 10


def test_an_agent_runs_the_pods_of_daemon_sets(world):
    sets = world.agent.send("GET", "/apis/apps/v1/daemonsets")["items"]
    assert world.set["metadata"]["uid"] in [one["metadata"]["uid"] for one in sets]
    with world.agent.client.watch("/apis/apps/v1/daemonsets"):
        pass
    selector = {"fieldSelector": f"spec.nodeName={NODE}"}
    listed = world.agent.client.get("/api/v1/pods", query=selector)["items"]
    assert [pod["metadata"]["name"] for pod in listed] == ["own"]
    with world.agent.client.watch("/api/v1/pods", query=selector):
        pass
    path = world.pod("own")
    pod = world.agent.send("GET", path)
    pod["status"]["phase"] = "Running"
    assert world.agent.send("PUT", f"{path}/status", unconditional(pod))["status"]["phase"] == "Running"
    world.agent.send("PATCH", f"{path}/status", {"status": {"message": "m"}}, MERGE_PATCH)
    world.agent.send("DELETE", path, {"gracePeriodSeconds": 0})
    assert world.cluster.get(path, absent=None) is None


def test_an_agent_gives_a_pod_of_its_node_to_a_daemon_set_and_takes_it_away(world):
    world.admin.create(world.pods, pod_object("orphan", NODE, None))
    owner = {**world.by_set, "blockOwnerDeletion": True}
    pod = world.agent.send("PATCH", world.pod("orphan"), {"metadata": {"ownerReferences": [owner]}},
                           STRATEGIC_MERGE_PATCH)
    assert pod["metadata"]["ownerReferences"][0]["uid"] == world.set["metadata"]["uid"]
    release = {"$patch": "delete", "uid": world.set["metadata"]["uid"]}
    pod = world.agent.send("PATCH", world.pod("orphan"), {"metadata": {"ownerReferences": [release]}},
                           STRATEGIC_MERGE_PATCH)
    assert not pod["metadata"].get("ownerReferences")


def test_an_agent_shows_its_manifests_as_mirror_pods(world):
    owner = controlled_by("Node", world.nodes[NODE])
    world.agent.send("POST", world.pods, pod_object("static", NODE, owner, annotations=MIRROR))
    world.agent.send("DELETE", world.pod("static"), {"gracePeriodSeconds": 0})


def test_an_agent_tells_events_of_its_pods_and_of_its_node(world):
    event = world.agent.send("POST", world.events, event_object(world.namespace, NODE))
    changed = world.agent.send("PATCH", f"{world.events}/{event['metadata']['name']}", {"count": 2}, MERGE_PATCH)
    assert changed["count"] == 2
    about = event_object("", NODE, kind="Node", name=NODE)
    world.agent.send("POST", "/api/v1/namespaces/default/events", about)


def token_request(pod):
    bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    return {"spec": {"expirationSeconds": 3600, "boundObjectRef": bound}}


def test_an_agent_has_what_every_pod_needs(world):
    world.agent.send("GET", f"{world.accounts}/default")
    token = world.agent.send("POST", f"{world.accounts}/default/token", token_request(world.own))["status"]["token"]
    claims = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["kubernetes.io"]["pod"]["name"] == "own"
    world.agent.send("GET", f"/api/v1/namespaces/{world.namespace}/services")
    world.agent.send("GET", "/api/v1/services")
    world.agent.send("GET", "/api/v1/namespaces/default/services/kubernetes")
    root = {"fieldSelector": "metadata.name=kube-root-ca.crt"}
    maps = f"/api/v1/namespaces/{world.namespace}/configmaps"
    world.cluster.wait_for(lambda: world.agent.client.get(maps, query=root)["items"], "the CA's ConfigMap")
    with world.agent.client.watch(maps, query=root):
        pass


def test_an_agent_looks_a_runtime_class_up_by_its_name(world):
    path = f"{CLASSES}/{world.namespace}"
    world.admin.create(CLASSES, {"metadata": {"name": world.namespace}, "handler": "runc"})
    try:
        assert world.agent.send("GET", path)["handler"] == "runc"
    finally:
        world.admin.delete(path)
    assert world.agent.client.get(path, absent=None) is None
    world.agent.refused("GET", CLASSES, says="forbidden")


def test_config_maps_and_secrets_are_readable_where_they_were_granted(cluster, world):
    for plural in ("configmaps", "secrets"):
        here = f"/api/v1/namespaces/{world.namespace}/{plural}"
        world.agent.send("GET", f"/api/v1/namespaces/kube-system/{plural}")
        world.agent.refused("GET", here, says="forbidden")
        world.agent.refused("GET", f"{here}/some", says="forbidden")
        world.agent.refused("GET", f"/api/v1/{plural}", says="forbidden")
    # As the README says.
    cluster.kubectl("--namespace", world.namespace, "create", "rolebinding", "daemonsetd-node-objects",
                    "--clusterrole=daemonsetd-node-objects", "--group=daemonsetd:nodes")
    for plural in ("configmaps", "secrets"):
        path = f"/api/v1/namespaces/{world.namespace}/{plural}"
        cluster.wait_for(lambda: world.agent.client.get(path), "the right is granted")
        world.agent.refused("POST", path, {"metadata": {"name": "made"}}, says="forbidden")
        with world.agent.client.watch(path, query={"fieldSelector": "metadata.name=some"}):
            pass


# What a coordinator may besides

ELECTION = "daemonsetd-coordinator-99-of-99"


@pytest.fixture
def coordinator(cluster, world):
    """The agent of access-1, where it may coordinate."""
    yield Identity(cluster, f"daemonsetd:node:{NODE}", ["daemonsetd:nodes", "daemonsetd:coordinators"])
    world.admin.delete(f"{COORDINATOR_LEASES}/{ELECTION}", absent=None)


def test_a_coordinator_marks_and_deletes_the_pods_of_daemon_sets(world, coordinator):
    path = world.pod("foreign")
    marks = {"metadata": {"labels": {"controller-revision-hash": "abc"},
                          "annotations": {"daemonsetd.dev/surge": "abc"}}}
    assert coordinator.send("PATCH", path, marks, MERGE_PATCH)["metadata"]["labels"] == marks["metadata"]["labels"]
    for change in ({"metadata": {"labels": {"app": "other"}}}, {"metadata": {"annotations": {"other": "yes"}}},
                   {"metadata": {"finalizers": ["example.com/stay"]}}, {"metadata": {"ownerReferences": None}},
                   {"spec": {"activeDeadlineSeconds": 5}}):
        coordinator.refused("PATCH", path, change, MERGE_PATCH, says=ONLY_OWN_PODS)
    image = {"spec": {"containers": [{"name": "main", "image": "other"}]}}
    coordinator.refused("PATCH", path, image, STRATEGIC_MERGE_PATCH, says=ONLY_OWN_PODS)
    coordinator.refused("PATCH", f"{path}/status", {"status": {"phase": "Failed"}}, MERGE_PATCH, says=ONLY_OWN_PODS)
    coordinator.refused("POST", world.pods, pod_object("a", OTHER, world.by_set), says=OWN_PODS)
    world.admin.create(world.pods, pod_object("nobodys", OTHER, None))
    coordinator.refused("DELETE", world.pod("nobodys"), says=ONLY_OWN_PODS)
    coordinator.send("DELETE", path)


def test_a_coordinator_writes_status_and_history_of_daemon_sets(world, coordinator):
    path = f"{world.daemon_sets}/proxy"
    daemon_set = coordinator.send("GET", path)
    daemon_set["status"]["numberMisscheduled"] = 7
    assert coordinator.send("PUT", f"{path}/status", unconditional(daemon_set))["status"]["numberMisscheduled"] == 7
    coordinator.refused("PUT", path, unconditional(daemon_set), says="forbidden")
    revisions = f"/apis/apps/v1/namespaces/{world.namespace}/controllerrevisions"
    made = coordinator.send("POST", revisions, revision_object("one", world.by_set))
    coordinator.send("PUT", f"{revisions}/one", {**made, "revision": 2})
    # A real one: the garbage collector takes away what an unknown owner owns.
    db = world.admin.create(f"/apis/apps/v1/namespaces/{world.namespace}/statefulsets", stateful_set("db"))
    foreign = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": db["metadata"]["uid"],
               "controller": True}
    only = "coordinators write only the ControllerRevisions of DaemonSets"
    for owner in (None, foreign):
        coordinator.refused("POST", revisions, revision_object("two", owner), says=only)
    world.admin.create(revisions, revision_object("of-another", foreign))
    coordinator.refused("DELETE", f"{revisions}/of-another", says=only)
    coordinator.send("DELETE", f"{revisions}/one")
    for path, body in ((revisions, revision_object("three", world.by_set)),
                       (COORDINATOR_LEASES, lease_object(ELECTION))):
        world.agent.refused("POST", path, body, says="forbidden")


def test_a_coordinator_writes_only_the_leases_of_its_election(world, coordinator):
    lease = coordinator.send("POST", COORDINATOR_LEASES, lease_object(ELECTION))
    lease["spec"]["leaseDurationSeconds"] = 10
    coordinator.send("PUT", f"{COORDINATOR_LEASES}/{ELECTION}", lease)
    coordinator.refused("POST", COORDINATOR_LEASES, lease_object("kube-scheduler"),
                        says="only the Leases of their election")
    coordinator.refused("DELETE", f"{COORDINATOR_LEASES}/{ELECTION}", says="forbidden")
    coordinator.refused("POST", LEASES, lease_object(OTHER), says=ONLY_OWN_LEASE)
    assert coordinator.send("GET", LEASES)["items"] is not None


# What it may not

@pytest.mark.parametrize("verb, resource, options", [
    ("create", "daemonsets", {"group": "apps"}),
    ("update", "daemonsets", {"group": "apps"}),
    ("update", "daemonsets", {"group": "apps", "subresource": "status"}),
    ("delete", "daemonsets", {"group": "apps"}),
    ("list", "deployments", {"group": "apps"}),
    ("list", "secrets", {}),
    ("get", "secrets", {"name": "some"}),
    ("list", "configmaps", {}),
    ("update", "pods", {}),
    ("deletecollection", "pods", {}),
    ("create", "pods", {"subresource": "exec"}),
    ("create", "pods", {"subresource": "binding"}),
    ("create", "pods", {"subresource": "eviction"}),
    ("patch", "pods", {"subresource": "ephemeralcontainers"}),
    ("delete", "nodes", {}),
    ("create", "nodes", {"subresource": "proxy"}),
    ("get", "nodes", {"subresource": "proxy"}),
    ("delete", "leases", {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}),
    ("list", "leases", {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}),
    ("update", "leases", {"group": "coordination.k8s.io", "namespace": "kube-system"}),
    ("list", "events", {}),
    ("delete", "events", {}),
    ("list", "serviceaccounts", {}),
    ("create", "serviceaccounts", {}),
    ("list", "runtimeclasses", {"group": "node.k8s.io"}),
    ("watch", "runtimeclasses", {"group": "node.k8s.io"}),
    ("create", "runtimeclasses", {"group": "node.k8s.io"}),
    ("impersonate", "users", {}),
    ("update", "clusterroles", {"group": "rbac.authorization.k8s.io"}),
    ("delete", "validatingadmissionpolicies", {"group": "admissionregistration.k8s.io"}),
    ("approve", "signers", {"group": "certificates.k8s.io"}),
    ("list", "certificatesigningrequests", {"group": "certificates.k8s.io"}),
    ("update", "certificatesigningrequests", {"group": "certificates.k8s.io", "subresource": "approval"}),
    ("list", "namespaces", {}),
])
def test_rbac_grants_nothing_else(cluster, access, verb, resource, options):
    assert not Identity(cluster, f"daemonsetd:node:{NODE}").may(verb, resource, **{"namespace": "default", **options})


def test_kubectl_is_told_why(cluster, world):
    manifest = json.dumps({"apiVersion": "v1", "kind": "Pod", **pod_object("kubectl", OTHER, world.by_set)})
    with pytest.raises(KubectlError, match=f"the agent of node {NODE} {OWN_PODS}"):
        cluster.kubectl("--namespace", world.namespace, "create", "-f", "-", kubeconfig=world.agent.kubeconfig,
                        stdin=manifest)
    with pytest.raises(KubectlError, match="forbidden"):
        cluster.kubectl("--namespace", world.namespace, "create", "-f", "-", kubeconfig=world.agent.kubeconfig,
                        stdin=json.dumps({**world.set, "apiVersion": "apps/v1", "kind": "DaemonSet",
                                          "metadata": {"name": "own-set"}}))


def test_no_pod_for_another_node_or_for_none(world):
    pods = world.pods
    world.agent.refused("POST", pods, pod_object("a", OTHER, world.by_set), says=OWN_PODS)
    world.agent.refused("POST", pods, pod_object("a", "", world.by_set), says=OWN_PODS)
    unset = pod_object("a", NODE, world.by_set)
    del unset["spec"]["nodeName"]
    world.agent.refused("POST", pods, unset, says=OWN_PODS)


@pytest.mark.parametrize("change", [{"kind": "ReplicaSet"}, {"apiVersion": "example.com/v1"}, {"controller": False},
                                    {"apiVersion": "v1", "kind": "Node", "name": NODE}])
def test_no_pod_that_no_daemon_set_controls(world, change):
    world.agent.refused("POST", world.pods, pod_object("a", NODE, {**world.by_set, **change}), says=OWNED_PODS)


def test_no_pod_without_an_owner_or_with_more_than_one(world):
    world.agent.refused("POST", world.pods, pod_object("a", NODE, None), says=OWNED_PODS)
    two = pod_object("a", NODE, world.by_set)
    two["metadata"]["ownerReferences"].append({**controlled_by("Node", world.nodes[NODE]), "controller": False})
    world.agent.refused("POST", world.pods, two, says=OWNED_PODS)


def test_no_mirror_pod_of_another_node(world):
    theirs = controlled_by("Node", world.nodes[OTHER])
    world.agent.refused("POST", world.pods, pod_object("a", NODE, theirs, annotations=MIRROR), says=OWNED_PODS)
    world.agent.refused("POST", world.pods, pod_object("a", OTHER, theirs, annotations=MIRROR), says=OWN_PODS)


def test_nothing_is_done_to_the_pods_of_other_nodes(world):
    world.admin.create(world.pods, pod_object("unbound", None, None))
    label = {"metadata": {"labels": {"taken": "yes"}}}
    for name in ("foreign", "unbound"):
        path = world.pod(name)
        pod = world.agent.send("GET", path)
        world.agent.refused("PATCH", path, label, MERGE_PATCH, says=ONLY_OWN_PODS)
        world.agent.refused("PATCH", path, {"metadata": {"ownerReferences": [world.by_set]}}, STRATEGIC_MERGE_PATCH,
                            says=ONLY_OWN_PODS)
        failed = {**unconditional(pod), "status": {"phase": "Failed"}}
        world.agent.refused("PUT", f"{path}/status", failed, says=ONLY_OWN_PODS)
        world.agent.refused("PATCH", f"{path}/status", {"status": {"phase": "Failed"}}, MERGE_PATCH,
                            says=ONLY_OWN_PODS)
        world.agent.refused("DELETE", path, {"gracePeriodSeconds": 0}, says=ONLY_OWN_PODS)
        world.agent.refused("DELETE", path, says=ONLY_OWN_PODS)


def test_no_pod_is_taken_over_by_a_patch(world):
    world.admin.create(world.pods, pod_object("unbound", None, None))
    for name in ("foreign", "unbound"):
        answer = world.agent.client.request("PATCH", world.pod(name), body={"spec": {"nodeName": NODE}},
                                            content_type=MERGE_PATCH)
        assert answer.status in (403, 422)
    assert world.cluster.get(world.pod("foreign"))["spec"]["nodeName"] == OTHER
    assert not world.cluster.get(world.pod("unbound"))["spec"].get("nodeName")
    own = {"spec": {"nodeName": OTHER}}
    assert world.agent.client.request("PATCH", world.pod("own"), body=own, content_type=MERGE_PATCH).status in (403, 422)


def test_not_another_node(world):
    path = f"{NODES}/{OTHER}"
    node = world.agent.send("GET", path)
    labelled = unconditional(copy.deepcopy(node))
    labelled["metadata"].setdefault("labels", {})["zone"] = "taken"
    world.agent.refused("PUT", path, labelled, says=ONLY_OWN_NODE)
    world.agent.refused("PATCH", path, {"metadata": {"labels": {"zone": "taken"}}}, MERGE_PATCH, says=ONLY_OWN_NODE)
    status = {**unconditional(node), "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    world.agent.refused("PUT", f"{path}/status", status, says=ONLY_OWN_NODE)
    world.agent.refused("POST", NODES, node_object("access-3"), says=ONLY_OWN_NODE)
    world.agent.refused("POST", NODES, {"metadata": {"generateName": NODE}}, says=ONLY_OWN_NODE)
    world.agent.refused("DELETE", f"{NODES}/{NODE}", says="forbidden")


def test_not_what_an_administrator_says_of_the_node(world):
    key, path = "security.node-restriction.kubernetes.io/trusted", f"{NODES}/{NODE}"
    says = "labels under node-restriction.kubernetes.io/ are set by an administrator"
    world.agent.refused("PATCH", path, {"metadata": {"labels": {key: "yes"}}}, MERGE_PATCH, says=says)
    world.admin.patch(path, {"metadata": {"labels": {key: "no"}}})
    world.agent.refused("PATCH", path, {"metadata": {"labels": {key: "yes"}}}, MERGE_PATCH, says=says)
    world.agent.refused("PATCH", path, {"metadata": {"labels": {key: None}}}, MERGE_PATCH, says=says)
    world.agent.send("PATCH", path, {"metadata": {"labels": {"zone": "cellar"}}}, MERGE_PATCH)
    owner = {"apiVersion": "v1", "kind": "Node", "name": OTHER, "uid": world.nodes[OTHER]["metadata"]["uid"]}
    world.agent.refused("PATCH", path, {"metadata": {"ownerReferences": [owner]}}, MERGE_PATCH,
                        says="agents do not change who owns the Node")


def test_not_the_lease_of_another_node(world):
    lease = world.other.send("POST", LEASES, lease_object(OTHER))
    world.agent.refused("PUT", f"{LEASES}/{OTHER}", lease, says=ONLY_OWN_LEASE)
    world.agent.refused("POST", LEASES, lease_object("access-3"), says=ONLY_OWN_LEASE)
    elsewhere = LEASES.replace("kube-node-lease", world.namespace)
    world.agent.refused("POST", elsewhere, lease_object(NODE), says="forbidden")


def test_only_tokens_that_die_with_a_pod(world):
    path = f"{world.accounts}/default/token"
    world.agent.refused("POST", path, {"spec": {"expirationSeconds": 3600}}, says=ONLY_BOUND_TOKENS)
    bound = token_request(world.own)
    del bound["spec"]["boundObjectRef"]["uid"]
    world.agent.refused("POST", path, bound, says=ONLY_BOUND_TOKENS)
    node = {"kind": "Node", "apiVersion": "v1", "name": NODE, "uid": world.nodes[NODE]["metadata"]["uid"]}
    world.agent.refused("POST", path, {"spec": {"boundObjectRef": node}}, says=ONLY_BOUND_TOKENS)
    # The server itself: the pod must have this service account.
    world.admin.create(world.accounts, {"metadata": {"name": "admin"}})
    answer = world.agent.client.request("POST", f"{world.accounts}/admin/token", body=token_request(world.own))
    assert answer.status in (400, 403, 409)


def test_only_events_of_the_own_node(world):
    world.agent.refused("POST", world.events, event_object(world.namespace, OTHER), says=ONLY_OWN_EVENTS)
    event = world.other.send("POST", world.events, event_object(world.namespace, OTHER))
    path = f"{world.events}/{event['metadata']['name']}"
    world.agent.refused("PATCH", path, {"message": "all is well"}, MERGE_PATCH, says=ONLY_OWN_EVENTS)
    world.agent.refused("PATCH", path, {"source": {"host": NODE}}, MERGE_PATCH, says=ONLY_OWN_EVENTS)


# Where other roles give the agents more, the policies still hold

@pytest.fixture
def mighty(cluster, world):
    """With every right of RBAC: what refuses its requests is the admission policy alone."""
    return Identity(cluster, f"daemonsetd:node:{NODE}", ["daemonsetd:nodes", "system:masters"])


def test_more_rights_do_not_reach_beyond_the_node(world, mighty):
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "own"}}
    mighty.refused("POST", f"{world.pod('own')}/eviction", eviction, says="agents do not write pods/eviction")
    binding = {"metadata": {"name": "own"}, "target": {"kind": "Node", "name": NODE}}
    mighty.refused("POST", f"{world.pod('own')}/binding", binding, says="agents do not write pods/binding")
    own = mighty.send("GET", world.pod("own"))
    own["spec"]["ephemeralContainers"] = [{"name": "spy", "image": "busybox"}]
    mighty.refused("PUT", f"{world.pod('own')}/ephemeralcontainers", unconditional(own),
                   says="agents do not write pods/ephemeralcontainers")
    mighty.refused("DELETE", f"{NODES}/{NODE}", says=ONLY_OWN_NODE)
    mighty.refused("DELETE", f"{NODES}/{OTHER}", says=ONLY_OWN_NODE)
    world.other.send("POST", LEASES, lease_object(OTHER))
    mighty.refused("DELETE", f"{LEASES}/{OTHER}", says=ONLY_OWN_LEASE)
    mighty.refused("DELETE", world.pods, says=ONLY_OWN_PODS)


def test_a_user_of_the_group_without_a_node_writes_nothing(cluster, world):
    for user in ("somebody", "daemonsetd:node:"):
        nameless = Identity(cluster, user, ["daemonsetd:nodes", "system:masters"])
        pod = pod_object("a", NODE, world.by_set)
        nameless.refused("POST", world.pods, pod, says=NO_NODE)
        nameless.refused("DELETE", world.pod("own"), says=NO_NODE)
        nameless.refused("POST", NODES, node_object("somebody"), says=NO_NODE)
        nameless.refused("POST", LEASES, lease_object("somebody"), says=ONLY_OWN_LEASE)
        nameless.refused("POST", f"{world.accounts}/default/token", token_request(world.own), says=NO_NODE)
        nameless.refused("POST", world.events, event_object(world.namespace, ""), says=ONLY_OWN_EVENTS)
    pod = pod_object("a", None, world.by_set)
    nameless.refused("POST", world.pods, pod, says=NO_NODE)


def test_others_are_not_concerned(world):
    world.admin.create(world.pods, pod_object("anything", OTHER, None))
    world.admin.delete(world.pod("anything"))
    world.admin.patch(f"{NODES}/{OTHER}", {"metadata": {"labels": {"zone": "cellar"}}})


# The kubeconfig of a node

def run_script(cluster, *arguments):
    environment = {**os.environ, "KUBECONFIG": str(cluster.admin_kubeconfig),
                   "PATH": f"{go_tools.built('kubernetes')}:{os.environ['PATH']}"}
    return subprocess.run([SHIPPED / "node-kubeconfig", *arguments], env=environment, text=True, capture_output=True,
                          timeout=120)


def test_the_shipped_program_makes_a_kubeconfig_that_works(cluster, access, tmp_path):
    made = run_script(cluster, "access-4")
    assert made.returncode == 0, made.stderr
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(made.stdout)
    who = json.loads(cluster.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig))["status"]["userInfo"]
    assert who["username"] == "daemonsetd:node:access-4"
    assert "daemonsetd:nodes" in who["groups"]
    requests = cluster.get("/apis/certificates.k8s.io/v1/certificatesigningrequests")["items"]
    assert requests == [], "nothing is left behind"


def test_the_shipped_program_says_what_is_wrong(cluster):
    for arguments, text in (((), "usage"), (("Upper",), "is not the name of a node"), (("a/b",), "is not the name")):
        made = run_script(cluster, *arguments)
        assert made.returncode == 1 and text in made.stderr and made.stdout == ""

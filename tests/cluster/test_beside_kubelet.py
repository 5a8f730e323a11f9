"""The same DaemonSets on a node of ours and on a node with kubelet, scheduler and DaemonSet controller, each on a control
plane of its own, for only one of them may make the pods of a DaemonSet. What kubectl then shows differs only where
beside_kubelet.golden says, with a reason for each difference."""

import json
import pathlib

import beside
from cluster_node import grant_access
from conftest import RIGHTS
from manifests import container
from objects import config_map
from space import Space, is_ready, restarts, waiting
from workloads import workload

GOLDEN = pathlib.Path(__file__).with_name("beside_kubelet.golden")
NAMESPACE = "beside"
NODE = "node-1"
DNS = {"clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local"}
SECONDS = 180
SETTLE_SECONDS = 60
NOWHERE = "127.0.0.1:1/nobody/nothing:1"  # a registry that refuses connections
# A busy machine must not make a probe fail in another way than by its answer.
PROBE = {"periodSeconds": 1, "timeoutSeconds": 60, "failureThreshold": 1000}
SUCCEEDS, FAILS = ({"exec": {"command": [program]}, **PROBE} for program in ("true", "false"))


def waits_with(reason, container="main"):
    return lambda pod: waiting(pod, container) == reason


def any_status(_):
    return True


def first_runs(pod):
    return "running" in pod["status"]["initContainerStatuses"][0]["state"]


def first_backs_off(pod):
    first, = pod["status"]["initContainerStatuses"]
    return first["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" and first["restartCount"] > 0


def has_crashed(pod):
    statuses = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
    return any(status["state"].get("terminated", {}).get("exitCode") for status in statuses)


def runs_unready(pod):
    return "running" in pod["status"]["containerStatuses"][0]["state"] and not is_ready(pod)


# What each is, and when it has come to rest.
CHARACTERS = {
    "plain": (workload(
        "plain",
        [container(resources={"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1"}},
                   readinessProbe=SUCCEEDS, livenessProbe=SUCCEEDS,
                   ports=[{"name": "web", "containerPort": 8080}],
                   volumeMounts=[{"name": "settings", "mountPath": "/settings"}, {"name": "data", "mountPath": "/data"},
                                 {"name": "host", "mountPath": "/host", "readOnly": True}]),
         container("second", securityContext={"runAsUser": 1000, "runAsGroup": 1000})],
        initContainers=[container("first", "exit 0", volumeMounts=[{"name": "data", "mountPath": "/data"}]),
                        container("sidecar", restartPolicy="Always", resources={"requests": {"cpu": "5m"}})],
        volumes=[{"name": "settings", "configMap": {"name": "settings"}}, {"name": "data", "emptyDir": {}},
                 {"name": "host", "hostPath": {"path": "/usr/share"}}],
        annotations={"example.com/note": "kept"}, hostNetwork=False, automountServiceAccountToken=True,
        securityContext={"fsGroup": 2000, "supplementalGroups": [3000]}, priorityClassName="system-node-critical"),
        is_ready),
    "host": (workload("host", [container(ports=[{"containerPort": 8099}])]), is_ready),
    "guaranteed": (workload("guaranteed", [container(resources={"limits": {"cpu": "20m", "memory": "32Mi"}})]), is_ready),
    "crash": (workload("crash", [container(script="echo told > /dev/termination-log; exit 3")], hostNetwork=False),
              lambda pod: waiting(pod) == "CrashLoopBackOff" and restarts(pod) > 0),
    "image": (workload("image", [container(image=NOWHERE)]), waits_with("ImagePullBackOff")),
    "never": (workload("never", [container(image="docker.io/nobody/nothing:1", imagePullPolicy="Never")]),
              waits_with("ErrImageNeverPull")),
    "init": (workload("init", initContainers=[container("first")]), first_runs),
    "failing-init": (workload("failing-init", initContainers=[container("first", "exit 4")]), first_backs_off),
    "unready": (workload("unready", [container(readinessProbe=FAILS)]), runs_unready),
    "starting": (workload("starting", [container(startupProbe=FAILS)]), runs_unready),
    "no-key": (workload("no-key", [container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {
        "name": "settings", "key": "missing"}}}])]), waits_with("CreateContainerConfigError")),
    "no-map": (workload("no-map", [container(volumeMounts=[{"name": "settings", "mountPath": "/settings"}])],
                        volumes=[{"name": "settings", "configMap": {"name": "missing"}}]), any_status),
}


class Side:
    """One of the two control planes, with its node."""

    def __init__(self, cluster, node):
        cluster.client().create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.node = node
        self.space = Space(cluster, NAMESPACE, [node])
        self.settled = {}
        self.touches = 0

    def apply(self):
        self.space.apply(config_map(NAMESPACE, "settings", key="value"),
                         *(daemon_set for daemon_set, _ in CHARACTERS.values()))

    def look(self):
        """Keeps every pod as it was when it was at rest the last time: one that crashes runs now and then. Answers which
        never were."""
        for pod in json.loads(self.space.kubectl("get", "pods", "-o", "json"))["items"]:
            name = pod["metadata"]["labels"]["app"]
            if pod["status"].get("containerStatuses") and CHARACTERS[name][1](pod):
                self.settled[name] = pod
            elif name not in self.settled and has_crashed(pod):
                self.touch(pod)
        return CHARACTERS.keys() - self.settled.keys()

    def touch(self, pod):
        """Of a container that waits for its restart a kubelet says so only when it looks at the pod for another reason."""
        self.touches += 1
        self.space.kubectl("annotate", "pod", pod["metadata"]["name"], f"{beside.TOUCHED}={self.touches}", "--overwrite")

    def things(self):
        """{(kind, name): what it is, without what is naturally unequal}"""
        self.look()
        names = {pod["metadata"]["name"]: "DAEMONSET-RANDOM" for pod in self.settled.values()}
        names[self.node.address] = "NODE-IP"
        found = {}
        for app, pod in self.settled.items():
            found["Pod", app] = pod
            found["DaemonSet", app] = self.space.daemon_set(app)
            for kind, name in (("Pod", pod["metadata"]["name"]), ("DaemonSet", app)):
                events = self.space.events(kind, name)
                found[f"{kind}Events", app] = beside.events(events)
                found |= {("Reporter", reason): who for reason, who in beside.reporters(events).items()}
        found["Node", NODE] = self.node.object()
        return {key: beside.common(thing, names) for key, thing in found.items()}

    def empty(self):
        self.space.kubectl("delete", "daemonsets", "--all", "--wait=false")
        self.space.wait_for(lambda: not self.space.pods(), "every pod is gone")


def test_kubectl_shows_of_our_pods_what_it_shows_of_a_kubelets(make_cluster, make_node):
    theirs = make_cluster(controller_manager=True, controllers="*", scheduler=True)
    ours = make_cluster(controller_manager=True)
    grant_access(ours, RIGHTS)
    sides = [Side(theirs, make_node(theirs, NODE, kubelet=True, **DNS)), Side(ours, make_node(ours, NODE, **DNS))]
    try:
        compare(*sides)
    finally:
        for side in sides:
            side.empty()


def compare(*sides):
    for side in sides:
        side.apply()

    def settled():
        restless = [side.look() for side in sides]
        assert restless == [set(), set()], "\n".join(side.space.summary() for side in sides)
        return True

    sides[0].space.wait_for(settled, "every pod has come to rest", SECONDS)
    golden = beside.Golden(GOLDEN)
    found = {}

    def as_listed():  # some things come late: Events, or why a pod waits
        theirs, ours = (side.things() for side in sides)
        found.clear()
        # Of an Event that only one side tells nobody needs to know who told it.
        found.update({key: beside.differences(theirs[key], ours[key]) for key in theirs.keys() & ours.keys()})
        problems = golden.check(found)
        assert problems == [], "\n".join(problems)
        return True

    try:
        sides[0].space.wait_for(as_listed, "the differences are those that are listed", SETTLE_SECONDS)
    finally:
        golden.accept(found)

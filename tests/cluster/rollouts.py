"""DaemonSets whose template changes, and what a rollout looks like from outside."""

import datetime
import http.client
import threading
import time

from cluster_client import ApiError
from space import is_ready, is_terminating, uid_of
from workloads import workload

from manifests import container

COORDINATOR_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/daemonsetd-coordinator"
REVISION_LABEL = "controller-revision-hash"
TOLERATED = ("node.kubernetes.io/", "daemonsetd.dev/")  # taints, by every pod of a DaemonSet


def updatable(name="web", version="1", *, strategy=None, min_ready=0, image=None, **pod_spec):
    """A DaemonSet whose template differs by an environment variable. `strategy`: of rollingUpdate, or "OnDelete"."""
    main = container(env=[{"name": "VERSION", "value": version}])
    if image:
        main.update(image=image, imagePullPolicy="Never")
    made = workload(name, [main], **pod_spec)
    made["spec"]["minReadySeconds"] = min_ready
    made["spec"]["updateStrategy"] = ({"type": "OnDelete"} if strategy == "OnDelete" else
                                      {"type": "RollingUpdate", "rollingUpdate": strategy or {"maxUnavailable": 1}})
    return made


def never_ready(*arguments, **options):
    """Likewise, but its pods never get ready."""
    made = updatable(*arguments, **options)
    made["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
    return made


def version_of(pod):
    return {variable["name"]: variable["value"] for variable in pod["spec"]["containers"][0]["env"]}["VERSION"]


def versions(space, name="web"):
    """{node: version} of the pods that are not being deleted."""
    return {pod["spec"]["nodeName"]: version_of(pod) for pod in space.pods(name)
            if "deletionTimestamp" not in pod["metadata"]}


def uids(pods):
    return {uid_of(pod) for pod in pods.values()}


def revisions(space, name="web"):
    """The ControllerRevisions of a DaemonSet, the newest last."""
    found = space.cluster.get(space.path("apps/v1", "controllerrevisions"),
                              query={"labelSelector": f"app={name}"})["items"]
    return sorted(found, key=lambda revision: revision["revision"])


def condition(space, kind, name="web"):
    status = space.daemon_set(name)["status"]
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def reports(space, name="web", **numbers):
    """A condition to wait for: the status says this of the newest generation."""
    def so():
        daemon_set = space.daemon_set(name)
        status = daemon_set["status"]
        assert status.get("observedGeneration") == daemon_set["metadata"]["generation"], status
        told = {key: status.get(key, 0) for key in numbers}
        assert told == numbers, told
        return status
    return so


def complete(space, count, name="web"):
    """A condition to wait for: what `kubectl rollout status` waits for, and the counts that go with it."""
    return reports(space, name, desiredNumberScheduled=count, currentNumberScheduled=count, numberReady=count,
                   updatedNumberScheduled=count, numberAvailable=count, numberUnavailable=0, numberMisscheduled=0)


def coordinator(cluster, nodes, lease=COORDINATOR_LEASE):
    """The node whose agent coordinates, None while there is none."""
    found = cluster.get(lease, absent=None)
    holder = found and found["spec"].get("holderIdentity")
    return next((node for node in nodes if node.name == holder), None)


def said_of_rollouts(node):
    """What `daemonsetctl get status` says of the coordinator; None: nothing."""
    lines = [line for line in node.ctl("get", "status").splitlines() if line.startswith("Rollouts:")]
    return lines[0].split(":", 1)[1].strip() if lines else None


def shard_lease(number, shards):
    return f"{COORDINATOR_LEASE}-{number + 1}-of-{shards}"


def shard_of(daemon_set, shards):
    """FNV-1a of its UID."""
    value = 0xcbf29ce484222325
    for byte in uid_of(daemon_set).encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return value % shards


def counted(space, name="web"):
    """What the status of a DaemonSet has to say, counted here from Nodes and Pods. For sets without tolerations of
    their own, on nodes that live, when no pod is within its minReadySeconds."""
    daemon_set, newest = space.daemon_set(name), revisions(space, name)[-1]["metadata"]["labels"][REVISION_LABEL]
    selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector", {})
    numbers = dict.fromkeys(("desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady",
                             "updatedNumberScheduled", "numberAvailable", "numberUnavailable"), 0)
    for node in space.cluster.get("/api/v1/nodes")["items"]:
        foreign = [taint for taint in node["spec"].get("taints", []) if taint["effect"] != "PreferNoSchedule"
                   and not taint["key"].startswith(TOLERATED)]
        wanted = not foreign and selector.items() <= node["metadata"]["labels"].items()
        here = [pod for pod in space.pods(name) if pod["spec"]["nodeName"] == node["metadata"]["name"]
                and not (is_terminating(pod) and pod["status"]["phase"] in ("Failed", "Succeeded"))]
        oldest = min(here, default=None,
                     key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
        ready = wanted and oldest is not None and any(
            c["type"] == "Ready" and c["status"] == "True" for c in oldest["status"].get("conditions", []))
        numbers["desiredNumberScheduled"] += wanted
        numbers["currentNumberScheduled"] += wanted and oldest is not None
        numbers["numberMisscheduled"] += not wanted and oldest is not None
        numbers["numberReady"] += ready
        numbers["numberAvailable"] += ready
        numbers["numberUnavailable"] += wanted and not ready
        numbers["updatedNumberScheduled"] += (wanted and oldest is not None and
                                              oldest["metadata"]["labels"][REVISION_LABEL] == newest)
    return numbers


def truthful(space, name="web"):
    """A condition to wait for: the status says what is."""
    return lambda: reports(space, name, **counted(space, name))()


class Watched:
    """Follows the pods of a DaemonSet, and keeps every moment's ready ones: `with Watched(space, "web") as seen:`
    `outlives_server`: when the API server goes, it waits for it to come back; else that is a failure."""

    def __init__(self, space, name, *, outlives_server=False):
        self.space, self.name = space, name
        self.pods, self.moments, self.problems = {}, [], []
        self.nodes_of = {}  # {UID: node} of every pod that there ever was
        self._outlives_server = outlives_server
        self._stop = threading.Event()

    def __enter__(self):
        version = self._list()
        self._thread = threading.Thread(target=self._follow, args=(version,))
        self._thread.start()
        return self

    @property
    def _selector(self):
        return {"labelSelector": f"app={self.name}"}

    def _list(self):
        listed = self.space.cluster.get(self.space.path("v1", "pods"), query=self._selector)
        self.pods = {uid_of(pod): pod for pod in listed["items"]}
        self._note()
        return listed["metadata"]["resourceVersion"]

    def _follow(self, version):
        while not self._stop.is_set():
            try:
                self._watch(version or self._list())
            except (OSError, http.client.HTTPException, ApiError) as error:
                if not self._outlives_server:
                    self.problems.append(error)  # told by __exit__, in the test's own thread
                    return
                version = None
                time.sleep(0.1)
            except Exception as error:
                self.problems.append(error)
                return

    def _watch(self, version):
        query = {**self._selector, "resourceVersion": version, "timeoutSeconds": "300"}
        with self.space.cluster.client().watch(self.space.path("v1", "pods"), query=query, seconds=300) as stream:
            for event in stream.follow():
                if self._stop.is_set():
                    return
                pod = event["object"]
                if event["type"] == "DELETED":
                    self.pods.pop(uid_of(pod), None)
                else:
                    self.pods[uid_of(pod)] = pod
                self._note()

    def _note(self):
        self.nodes_of |= {uid: pod["spec"]["nodeName"] for uid, pod in self.pods.items()}
        ready = sorted(pod["spec"]["nodeName"] for pod in self.pods.values() if is_ready(pod))
        self.moments.append((datetime.datetime.now(datetime.timezone.utc).isoformat(), ready))

    def fewest_ready(self):
        """On how many nodes a pod was ready, at the worst moment."""
        return min(len(set(ready)) for _, ready in self.moments)

    def pods_on(self, node):
        """How many pods there were on it, one after the other."""
        return list(self.nodes_of.values()).count(node.name)

    def __exit__(self, *_):
        self._stop.set()
        # An event that ends the wait of the thread.
        pod = next(iter(self.space.pods(self.name)), None)
        if pod:
            self.space.patch("pods", pod["metadata"]["name"], {"metadata": {"annotations": {"watched": "yes"}}})
        self._thread.join(timeout=320)
        assert not self._thread.is_alive() and not self.problems, self.problems

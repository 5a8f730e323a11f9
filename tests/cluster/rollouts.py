"""DaemonSets whose template changes, and what a rollout looks like from outside."""

import datetime
import threading

from space import is_ready, uid_of
from workloads import workload

from manifests import container

COORDINATOR_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/daemonsetd-coordinator"
REVISION_LABEL = "controller-revision-hash"


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


def coordinator(cluster, nodes):
    """The node whose agent coordinates, None while there is none."""
    lease = cluster.get(COORDINATOR_LEASE, absent=None)
    holder = lease and lease["spec"].get("holderIdentity")
    return next((node for node in nodes if node.name == holder), None)


class Watched:
    """Follows the pods of a DaemonSet, and keeps every moment's ready ones: `with Watched(space, "web") as seen:`"""

    def __init__(self, space, name):
        self.space, self.name = space, name
        self.pods, self.moments, self.problems = {}, [], []
        self._stop = threading.Event()

    def __enter__(self):
        path = self.space.path("v1", "pods")
        selector = {"labelSelector": f"app={self.name}"}
        listed = self.space.cluster.get(path, query=selector)
        self.pods = {uid_of(pod): pod for pod in listed["items"]}
        self._note()
        query = {**selector, "resourceVersion": listed["metadata"]["resourceVersion"]}
        self._thread = threading.Thread(target=self._follow, args=(path, query))
        self._thread.start()
        return self

    def _follow(self, path, query):
        try:
            with self.space.cluster.client().watch(path, query={**query, "timeoutSeconds": "300"}, seconds=300) as stream:
                for event in stream.follow():
                    if self._stop.is_set():
                        return
                    pod = event["object"]
                    if event["type"] == "DELETED":
                        self.pods.pop(uid_of(pod), None)
                    else:
                        self.pods[uid_of(pod)] = pod
                    self._note()
        except Exception as error:  # told by __exit__, in the test's own thread
            self.problems.append(error)

    def _note(self):
        ready = sorted(pod["spec"]["nodeName"] for pod in self.pods.values() if is_ready(pod))
        self.moments.append((datetime.datetime.now(datetime.timezone.utc).isoformat(), ready))

    def fewest_ready(self):
        """On how many nodes a pod was ready, at the worst moment."""
        return min(len(set(ready)) for _, ready in self.moments)

    def __exit__(self, *_):
        self._stop.set()
        # An event that ends the wait of the thread.
        pod = next(iter(self.space.pods(self.name)), None)
        if pod:
            self.space.patch("pods", pod["metadata"]["name"], {"metadata": {"annotations": {"watched": "yes"}}})
        self._thread.join(timeout=320)
        assert not self._thread.is_alive() and not self.problems, self.problems

"""The namespace of one test: what kubectl does in it, and what becomes of its DaemonSets on the nodes."""

import json
import time

from cluster_client import ApiError
from cluster_node import grant_objects
from daemon import DaemonError
from workloads import workload

RUN_SECONDS = 120
GONE_SECONDS = 120


class Space:
    def __init__(self, cluster, namespace, nodes, *, has_controller_manager=True):
        self.cluster = cluster
        self.namespace = namespace
        self.nodes = nodes  # all that are to be clean in the end
        grant_objects(cluster, namespace)
        account = f"{self.path('v1', 'serviceaccounts')}/default"
        if not has_controller_manager:
            cluster.client().create(self.path("v1", "serviceaccounts"), {"metadata": {"name": "default"}})
        cluster.wait_for(lambda: cluster.get(account, absent=None), "the namespace has its service account")

    # What a user does

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, **options)

    def apply(self, *manifests):
        return self.cluster.apply(*(self._here(manifest) for manifest in manifests))

    def create(self, manifest):
        """Answers the object as the server made it."""
        plural = manifest["kind"].lower() + "s"
        return self.cluster.client().create(self.path(manifest["apiVersion"], plural), self._here(manifest))

    def patch(self, plural, name, changes, api_version="v1"):
        return self.cluster.client().patch(f"{self.path(api_version, plural)}/{name}", changes)

    def fail(self, pod):
        """Says of a pod that it has failed, as an eviction does."""
        self.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge",
                     "-p", '{"status": {"phase": "Failed", "reason": "Evicted"}}')

    def path(self, api_version, plural):
        group = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
        return f"{group}/namespaces/{self.namespace}/{plural}"

    def _here(self, manifest):
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}

    # What the API server says

    def daemon_set(self, name):
        return self.cluster.get(f"{self.path('apps/v1', 'daemonsets')}/{name}", absent=None)

    def pods(self, name=None):
        """Those of the DaemonSet `name` by their label, or all."""
        query = {"labelSelector": f"app={name}"} if name else None
        return self.cluster.get(self.path("v1", "pods"), query=query)["items"]

    def pod(self, name):
        """The Pod of this very name, None when there is none."""
        return self.cluster.get(f"{self.path('v1', 'pods')}/{name}", absent=None)

    def events(self, kind, name):
        """The Events of an object, the oldest first."""
        query = {"fieldSelector": f"involvedObject.kind={kind},involvedObject.name={name}"}
        found = self.cluster.get(self.path("v1", "events"), query=query)["items"]
        return sorted(found, key=lambda event: event.get("firstTimestamp") or event.get("eventTime") or "")

    def reasons(self, kind, name):
        return {event["reason"] for event in self.events(kind, name)}

    # What becomes so

    def wait_for(self, condition, what, seconds=RUN_SECONDS):
        return self.cluster.wait_for(condition, what, seconds)

    def running(self, name, nodes, *, other_than=()):
        """Waits until the DaemonSet's pods are these: one on each of `nodes`, Ready, none anywhere else, neither as an
        object nor as a container; none has a UID of `other_than`. Answers {node's name: Pod}."""
        wanted = sorted(node.name for node in nodes)
        other_than = set(other_than)

        def so():
            pods = self.pods(name)
            assert sorted(pod["spec"].get("nodeName", "") for pod in pods) == wanted, summary(pods)
            assert all(map(is_ready, pods)), summary(pods)
            assert not {uid_of(pod) for pod in pods} & other_than, "an old pod is still there"
            for node in self.nodes:
                # By name: where an object was lost and made again, its containers keep the UID that they began with.
                here = {pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node.name}
                found = {c.pod for c in node.containers(f"{name}-") if c.namespace == self.namespace}
                assert found == here, f"{node.name} has containers of the pods {found}, not of {here}"
            return {pod["spec"]["nodeName"]: pod for pod in pods}

        try:
            # Also when no node is to have one.
            return self.wait_for(lambda: [so()], f"the pods of {name} run on {wanted} alone")[0]
        except Exception as error:
            raise type(error)(f"{error}\n{self.summary()}") from None

    def gone(self, name):
        return self.running(name, [])

    def news_arrive(self, nodes):
        """Waits until the agents have made and removed the pods of a new DaemonSet: they know all that came before."""
        self.apply(workload("news"))
        self.running("news", nodes)
        self.kubectl("delete", "ds", "news", "--wait=false")
        self.gone("news")

    def summary(self):
        """For the text of a failure."""
        lines = [f"pods of {self.namespace}:", *summary(self.pods())]
        for event in self.cluster.get(self.path("v1", "events"))["items"][-30:]:
            thing = event["involvedObject"]
            lines.append(f"{event['type']} {event['reason']} {thing['kind']}/{thing.get('name')}: {event['message']}")
        return "\n".join(lines)

    # The end

    def take_away(self):
        """Removes everything; answers what did not go."""
        if not self.cluster.apiserver.running():
            self.cluster.start_apiserver()
        for node in self.nodes:
            for manifest in node.agent.manifests.glob("*"):
                manifest.unlink()
            if not node.agent.running():
                node.start(wait=False)
        self.kubectl("delete", "daemonsets", "--all", "--wait=false")
        for daemon_set in self.cluster.get(self.path("apps/v1", "daemonsets"))["items"]:
            # Where nobody collects garbage its finalizers stay.
            self.patch("daemonsets", daemon_set["metadata"]["name"], {"metadata": {"finalizers": None}}, "apps/v1")
        self.kubectl("delete", "pods", "--all", "--wait=false", "--grace-period=1")
        deadline = time.monotonic() + GONE_SECONDS
        while left := self._left():
            if time.monotonic() > deadline:
                return left
            time.sleep(0.1)
        return []

    def _left(self):
        try:
            left = [f"pod {pod['metadata']['name']} on {pod['spec'].get('nodeName')}" for pod in self.pods()]
        except (ApiError, OSError) as error:
            left = [str(error)]
        for node in self.nodes:
            left += [f"{node.name}: {c.kind} {c.name} of {c.namespace}/{c.pod}" for c in node.containers()]
            try:
                # A pod's volumes go after its containers.
                left += [f"{node.name}: pod {pod['namespace']}/{pod['name']}" for pod in node.agent.pods()]
            except (DaemonError, json.JSONDecodeError) as error:
                left.append(f"{node.name}: {error}")
        return left


def uid_of(thing):
    return thing["metadata"]["uid"]


def owners_of(pod):
    return pod["metadata"].get("ownerReferences", [])


def is_ready(pod):
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and pod["status"]["phase"] == "Running" and not is_terminating(pod)


def is_terminating(pod):
    return "deletionTimestamp" in pod["metadata"]


def container_ids(pod):
    """{container: its ID}, without the runtime's prefix."""
    return {status["name"]: status.get("containerID", "").removeprefix("containerd://")
            for status in pod["status"].get("containerStatuses", [])}


def restarts(pod):
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))


def waiting(pod, container="main"):
    """Why the container waits: kubectl's word for it; None when it does not wait."""
    return next((status["state"].get("waiting", {}).get("reason") for status in
                 pod["status"].get("containerStatuses", []) if status["name"] == container), None)


def summary(pods):
    """One line for each pod."""
    lines = []
    for pod in pods:
        states = {status["name"]: status["state"] for status in pod["status"].get("containerStatuses", [])}
        ending = " terminating" if is_terminating(pod) else ""
        lines.append(f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}: {pod['status'].get('phase')}{ending}"
                     f"{' ready' if is_ready(pod) else ''} {json.dumps(states)}")
    return lines

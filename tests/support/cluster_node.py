"""Nodes of a test cluster: a containerd of its own and a daemonsetd that talks to the cluster's API server.

    with contextlib.closing(Runtimes()) as runtimes:
        node = ClusterNode(cluster, "node-a", runtimes.take("2"), build)
        node.start()
        node.containers("agent-")

All of it runs in the network namespace of the tests. Each containerd has a bridge and a subnet of its own there, and each
node an address on loopback. Pods on the host's network share that namespace, so two nodes cannot use one host port.
"""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import containerd
import daemon
import process_tree
from cluster import ClusterError
from cluster_client import ApiError

READY_SECONDS = 60
SETTLE_SECONDS = 20
POD_SUBNETS = "10.{}.0.0/16"
FIRST_POD_SUBNET = 214
ADDRESSES = "10.213.0.{}"  # of the nodes
NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class Runtimes:
    """Containerds for nodes, each for one node at a time; a free one is used again, for a start takes seconds."""

    def __init__(self):
        self._all, self._free = [], []

    def take(self, kind):
        for runtime in self._free:
            if runtime.kind == kind:
                self._free.remove(runtime)
                return runtime
        number = len(self._all)
        runtime = containerd.Containerd(tempfile.mkdtemp(prefix="dsd-", dir="/tmp"), kind=kind, bridge=f"dsd-node{number}",
                                        subnet=POD_SUBNETS.format(FIRST_POD_SUBNET + number))
        self._all.append(runtime)
        return runtime.start()

    def give_back(self, runtime):
        self._free.append(runtime)

    def stop(self):
        """Ends all of them; answers what was left in them, and what resisted."""
        problems = [line for runtime in self._all for line in runtime.leftovers() + runtime.stop()]
        process_tree.reap()
        return problems


class ClusterNode:
    """`config`: keys of the agent's configuration besides those that every node here needs. `unit`: as of Daemon."""

    _numbers = itertools.count(11)

    def __init__(self, cluster, name, runtime, build, *, unit=None, **config):
        self.cluster = cluster
        self.name = name
        self.runtime = runtime
        self.killed = False  # its agent, at any time
        self.address = ADDRESSES.format(next(self._numbers))
        subprocess.run(["ip", "address", "add", f"{self.address}/32", "dev", "lo"], check=True)
        self.agent = self._make_agent(build, unit, config)

    def _make_agent(self, build, unit, config):
        keys = {"kubeconfig": str(self.cluster.node_kubeconfig(self.name)), "nodeIPs": [self.address], **config}
        return daemon.Daemon(tempfile.mkdtemp(prefix="dsd-agent-", dir="/tmp"), build, self.runtime.endpoint,
                             node_name=self.name, config=keys, unit=unit)

    # The agent

    def start(self, wait=True):
        """Until its Node is Ready; with wait=False, and the server down perhaps, at once."""
        self.agent.start(wait=False)
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self):
        try:
            self.cluster.wait_for(self.ready, f"{self.name} is Ready", READY_SECONDS)
        except ClusterError as error:
            raise ClusterError(f"{error}\n--- the end of {self.agent.log}\n{self.log_tail()}") from None

    def ready(self):
        if self.agent.exited():
            raise daemon.DaemonError(f"the agent of {self.name} ended:\n{self.log_tail()}")
        node = self.object()
        return node and {c["type"]: c["status"] for c in node["status"].get("conditions", [])}.get("Ready") == "True"

    def kill(self):
        self.killed = True
        self.agent.kill()

    def terminate(self):
        return self.agent.terminate()

    def restart(self, wait=True):
        self.agent.terminate()
        return self.start(wait)

    def ctl(self, *arguments, check=True):
        return self.agent.ctl(*arguments, check=check)

    def log_tail(self, lines=60):
        return self.agent.log_tail(lines)

    # What the API server says of it

    @property
    def path(self):
        return f"{NODES}/{self.name}"

    def object(self):
        """The Node, None when there is none."""
        return self.cluster.get(self.path, absent=None)

    def lease(self):
        return self.cluster.get(f"{LEASES}/{self.name}", absent=None)

    def unregister(self):
        """Deletes its Node and Lease, when its agent is gone for good."""
        for path in (self.path, f"{LEASES}/{self.name}"):
            self.cluster.client().delete(path, absent=None)

    # What runs on it

    def containers(self, pod=None):
        """Sandboxes and containers, of the pods whose name begins with `pod` if given."""
        return self.runtime.containers(pod)

    def running(self, pod=None):
        """What must not change when nothing may restart: {(pod, container): (identity, process)}."""
        return {(c.pod, c.name): (c.id, c.pid) for c in self.containers(pod) if c.running}

    def process(self, pod, container="main"):
        """The ID of the container's first process; `pod` is a Pod object."""
        found = [c.pid for c in self.containers(pod["metadata"]["name"])
                 if c.running and c.name == container and c.uid == pod["metadata"]["uid"]]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} processes of container {container} of {pod['metadata']['name']}")
        return found[0]

    def read(self, pod, path, container="main"):
        """A file as the container sees it."""
        return pathlib.Path(f"/proc/{self.process(pod, container)}/root{path}").read_text()

    def environment(self, pod, container="main"):
        text = pathlib.Path(f"/proc/{self.process(pod, container)}/environ").read_text()
        return dict(entry.split("=", 1) for entry in text.split("\0") if entry)

    def crash(self, pod, container="main"):
        """Kills the container from outside, as the out-of-memory killer would."""
        found = [c.id for c in self.containers(pod["metadata"]["name"]) if c.running and c.name == container]
        assert len(found) == 1, found
        self.runtime.ctr("tasks", "kill", "--signal", "SIGKILL", found[0])

    # Treatment

    def reboot(self, while_down=lambda: None):
        """As after a power cut: no process, mount, network or file below /run is left, and containerd, started again,
        knows containers that ended. The agent is down; start it."""
        self.kill()
        self.runtime.kill()
        resisted = containerd.cut_power(self.runtime.directory) + self.agent.unmount()
        if resisted:
            raise daemon.DaemonError(f"{self.name} could not be rebooted: {resisted}")
        shutil.rmtree(self.runtime.directory / "state")
        subprocess.run(["ip", "link", "delete", self.runtime.bridge], capture_output=True)  # there is none without pods
        self.agent.socket.unlink(missing_ok=True)
        while_down()
        self.runtime.start()

    def reset(self):
        """Back to an empty node, whatever a test that failed left here; the agent is down."""
        if self.agent.running():
            self.agent.kill()
        resisted = self.runtime.stop() + self.agent.unmount()
        if resisted:
            raise daemon.DaemonError(f"{self.name} could not be cleaned: {resisted}")
        shutil.rmtree(self.agent.directory, ignore_errors=True)
        self.runtime.start()

    def take_away(self):
        """Ends the agent when its pods are gone; answers what it left, one line each."""
        problems = []
        if self.agent.running() and self.agent.terminate() not in (0, None):
            problems.append(f"the agent of {self.name} did not end with 0 after SIGTERM:\n{self.log_tail(20)}")
        problems += [f"{self.name}: mount {mount} stayed" for mount in containerd.mounts_below(self.agent.directory)]
        problems += [f"{self.name}: {line}" for line in self._leftovers() + self.agent.stray_cgroups()]
        if not self.agent.unmount():
            shutil.rmtree(self.agent.directory, ignore_errors=True)
        subprocess.run(["ip", "address", "delete", f"{self.address}/32", "dev", "lo"], check=True)
        return problems

    def _leftovers(self):
        """In its containerd. A shim ends a moment after its pod."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            left = self.runtime.leftovers()
            settled = not left
            if settled:
                left = [f"process {pid} ({process_tree.command_of(pid)}) stayed" for pid in self._processes()]
            if not left:
                return []
            if time.monotonic() > deadline:
                return self._end_forgotten() if settled and self.killed else left
            time.sleep(0.1)

    def _processes(self):
        """What the containerd has started and not ended."""
        return [pid for pid in containerd.processes_of(self.runtime.directory) if pid != self.runtime.pid]

    def _end_forgotten(self):
        """When the agent is killed, containerd breaks off the start that it was asked for, and now and then (2.4.2, once
        in some 60 kills) forgets that shim: no call reaches it any more, so it is not the agent's to end. Called when
        CRI knows no container any more; answers what resisted."""
        forgotten = {pid for shim in self._processes() for pid in [shim, *process_tree.descendants(shim)]}
        bundles = [bundle for pid in forgotten for bundle in containerd.bundles_of(pid)]
        for pid in forgotten:
            print(f"{self.name}: its containerd forgot process {pid} ({process_tree.command_of(pid)})")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process_tree.wait_for_end(forgotten, SETTLE_SECONDS)
        return ([f"process {pid} did not end" for pid in forgotten if process_tree.alive(pid)] +
                [line for bundle in bundles for line in bundle.remove_traces()])


def grant_access(cluster, manifests):
    """What an administrator applies so that agents may work: the directory `manifests`, where it is there."""
    if any(pathlib.Path(manifests).glob("*.yaml")):
        cluster.kubectl("apply", "--server-side", "-f", str(manifests))
        return
    cluster.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                   "metadata": {"name": "daemonsetd-nodes"},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                   "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "daemonsetd:nodes"}]})


def grant_objects(cluster, namespace):
    """And for each namespace whose pods read ConfigMaps and Secrets: they are not readable everywhere."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"namespace": namespace, "name": "daemonsetd-objects"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "watch"]}]}
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": role["metadata"],
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "daemonsetd-objects"},
               "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "daemonsetd:nodes"}]}
    client = cluster.client()
    for plural, manifest in (("roles", role), ("rolebindings", binding)):
        try:
            client.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}", manifest)
        except ApiError as error:
            if error.status != 409:
                raise

#!/usr/bin/env python3
"""chain.py BUILD [--rounds N] [--idle SECONDS] [--output FILE]: daemonsetd beside what it replaces.

On one machine, in one run, by turns: a node of daemonsetd with an API server, and a node of the built-in chain (the
controller manager's DaemonSet controller, kube-scheduler and the kubelet of the same version) with another, each on a
containerd 2 of its own. `./dev bench --chain` builds what it needs. It measures and never judges.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("support", "e2e", "cluster")]
import audit_log  # noqa: E402
import containerd  # noqa: E402
import process_tree  # noqa: E402
from cluster import Cluster, write_kubeconfig  # noqa: E402
from cluster_node import ClusterNode, Runtimes, grant_access  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from kubelet_node import KubeletNode  # noqa: E402
from processes import cpu_seconds, memory  # noqa: E402
from tables import columns  # noqa: E402
from workloads import workload  # noqa: E402

MANY = 30
SETTLE_SECONDS = 30
WAIT_SECONDS = 180
RIGHTS = ROOT / "packaging" / "kubernetes"
SETS = "/apis/apps/v1/namespaces/default/daemonsets"
NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"


class Chain:
    """A control plane and one node on it."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-chain-", dir="/tmp"))
        self.audit = self.directory / "audit.log"
        self.cluster = Cluster(self.directory / "cluster", controller_manager=True, **self.options,
                               apiserver_arguments=audit_log.arguments(self.audit, self.directory / "audit.yaml"))
        self.node = None

    def start(self, runtimes, build):
        self.cluster.start()
        self.node = self.make_node(runtimes.take("2"), build)
        self.node.start()
        self.cluster.wait_for(lambda: not self.taints_of_the_start(), f"{self.name}: the node's start is over")

    def taints_of_the_start(self):
        return [taint for taint in self.node.object()["spec"].get("taints", [])
                if taint["key"].startswith("node.kubernetes.io/")]

    def restart(self, port):
        """Its agent, from now on, talks to the API server on `port`."""
        kubeconfig = self.directory / f"port-{port}.kubeconfig"
        write_kubeconfig(kubeconfig, f"https://127.0.0.1:{port}", self.cluster.pki.ca,
                         *self.cluster.pki.files(self.user.replace(":", "-")))
        self.node.terminate()
        self.use(kubeconfig)
        self.node.start()

    def apply(self, count):
        """Seconds from the first POST to all pods Ready, as a watch shows them."""
        client = self.cluster.client()
        with client.watch(PODS, seconds=WAIT_SECONDS) as stream:
            begin = time.monotonic()
            for index in range(count):
                client.create(SETS, workload(f"bench-{index}", terminationGracePeriodSeconds=1))
            ready = set()
            for pod in stream.objects():
                if is_ready(pod):
                    ready.add(pod["metadata"]["name"])
                if len(ready) == count:
                    return time.monotonic() - begin

    def join(self):
        """Seconds from when a watch shows the new Node until the pod of a DaemonSet that was there is Ready."""
        client = self.cluster.client()
        self.node.terminate()
        self.node.unregister()
        client.create(SETS, workload("bench-0", terminationGracePeriodSeconds=1))
        with client.watch(NODES, seconds=WAIT_SECONDS) as nodes, client.watch(PODS, seconds=WAIT_SECONDS) as pods:
            self.node.start(wait=False)
            next(nodes.objects())
            begin = time.monotonic()
            next(pod for pod in pods.objects() if is_ready(pod))
            seconds = time.monotonic() - begin
        self.node.wait_until_ready()
        self.cluster.wait_for(lambda: not self.taints_of_the_start(), f"{self.name}: the node's start is over")
        self.delete(1)
        return seconds

    def delete(self, count):
        """Seconds from the first DELETE until no Pod object is left."""
        client = self.cluster.client()
        begin = time.monotonic()
        for index in range(count):
            client.delete(f"{SETS}/bench-{index}")
        self.cluster.wait_for(lambda: not client.get(PODS)["items"], "no pod is left", WAIT_SECONDS)
        return time.monotonic() - begin

    def idle(self, seconds):
        """With pods that run: memory, CPU, and what the node asks of the API server in a minute."""
        proxy = FaultProxy(self.cluster.port)  # here it only counts
        try:
            self.restart(proxy.port)
            time.sleep(SETTLE_SECONDS)
            pids = self.pids() | {"containerd": self.node.runtime.pid}
            cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
            size, asked = proxy.bytes, len(audit_log.requests_of(self.audit, self.user))
            time.sleep(seconds)
            return {"seconds": seconds,
                    "memory": {name: memory(pid) for name, pid in pids.items()},
                    "cpu_seconds": {name: round(cpu_seconds(pid) - cpu[name], 3) for name, pid in pids.items()},
                    "bytes_per_minute": (proxy.bytes - size) * 60 / seconds,
                    "requests_per_minute": (len(audit_log.requests_of(self.audit, self.user)) - asked) * 60 / seconds}
        finally:
            self.restart(self.cluster.port)
            proxy.close()

    def close(self):
        problems = self.node.take_away() if self.node else []
        self.cluster.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        return problems


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


class BuiltIn(Chain):
    name, options = "built-in chain", {"controllers": "*", "scheduler": True}
    user = "system:node:node-built-in"

    def make_node(self, runtime, _):
        return KubeletNode(self.cluster, "node-built-in", runtime)

    def use(self, kubeconfig):
        self.node.agent._kubeconfig = kubeconfig

    def pids(self):
        return {"kubelet": self.node.agent.pid, "kube-controller-manager": self.cluster.controller_manager.pid,
                "kube-scheduler": self.cluster.scheduler.pid}


class Ours(Chain):
    name, options = "daemonsetd", {}
    user = "daemonsetd:node:node-ours"

    def make_node(self, runtime, build):
        grant_access(self.cluster, RIGHTS)
        # One agent of a cluster coordinates, and asks more of the server; here is measured what every node costs.
        return ClusterNode(self.cluster, "node-ours", runtime, build, rolloutCoordinator=False)

    def use(self, kubeconfig):
        self.node.agent.config["kubeconfig"] = str(kubeconfig)

    def pids(self):
        return {"daemonsetd": self.node.agent.pid}


def measure(chains, rounds, idle_seconds):
    results = {chain.name: {} for chain in chains}
    for chain in chains:  # what is done for the first time takes longer
        chain.apply(1)
        chain.delete(1)
    for chain in chains:
        results[chain.name]["join"] = round(statistics.median(chain.join() for _ in range(rounds)), 3)
    for count in (1, MANY):
        times = {chain.name: [] for chain in chains}
        for _ in range(rounds):
            for chain in chains:
                times[chain.name].append((chain.apply(count), chain.delete(count)))
        for name, values in times.items():
            ready, gone = (round(statistics.median(column), 3) for column in zip(*values))
            results[name][str(count)] = {"apply_to_ready": ready, "delete": gone}
    for chain in chains:
        chain.apply(MANY)
        results[chain.name]["idle"] = chain.idle(idle_seconds)
        chain.delete(MANY)
    return results


def table(results):
    ours, theirs = results["daemonsetd"], results["built-in chain"]

    def row(what, value, unit, digits):
        mine, other = value(ours), value(theirs)
        return what, f"{mine:.{digits}f}{unit}", f"{other:.{digits}f}{unit}", f"{mine / other:.2f}" if other else "–"

    def of_agent(values):
        return values.get("daemonsetd", values.get("kubelet"))

    idle = ours["idle"]["seconds"]
    agents = [name for name in theirs["idle"]["memory"] if name != "containerd"]
    rows = [("", "daemonsetd", "built-in chain", "ratio")]
    rows.append(row("node registered → its pod Ready", lambda r: r["join"], " s", 2))
    for count in ("1", str(MANY)):
        rows.append(row(f"apply → Ready, {count} DaemonSets", lambda r: r[count]["apply_to_ready"], " s", 2))
        rows.append(row(f"delete → gone, {count} DaemonSets", lambda r: r[count]["delete"], " s", 2))
    rows.append(row("resident, the node's agent", lambda r: of_agent(r["idle"]["memory"])["rss_mib"], " MiB", 1))
    rows.append(row(f"CPU in {idle} idle s, the node's agent", lambda r: of_agent(r["idle"]["cpu_seconds"]), " s", 2))
    rows.append(row("requests a minute of an idle node", lambda r: r["idle"]["requests_per_minute"], "", 1))
    rows.append(row("bytes a minute of an idle node", lambda r: r["idle"]["bytes_per_minute"], "", 0))
    for name in agents[1:]:
        rows.append((f"resident, {name}", "–", f"{theirs['idle']['memory'][name]['rss_mib']:.1f} MiB", "–"))
        rows.append((f"CPU in {idle} idle s, {name}", "–", f"{theirs['idle']['cpu_seconds'][name]:.2f} s", "–"))
    return columns(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=120)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench-chain.json")
    arguments = parser.parse_args()
    containerd.enter_private_network()
    process_tree.adopt_orphans()
    runtimes, chains, problems = Runtimes(), [], []
    try:
        for kind in (Ours, BuiltIn):
            chains.append(kind())
            chains[-1].start(runtimes, arguments.build.resolve())
        results = measure(chains, arguments.rounds, arguments.idle)
    finally:
        problems = [line for chain in chains for line in chain.close()] + runtimes.stop()
    results["machine"] = {"cpus": os.cpu_count(), "kernel": os.uname().release}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))
    if problems:
        sys.exit("bench: this was left behind:\n" + "\n".join(problems))


if __name__ == "__main__":
    main()

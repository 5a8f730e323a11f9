#!/usr/bin/env python3
"""fleet.py BUILD [--sizes N…] [--idle SECONDS] [--no-update] [--no-comparison] [--output FILE]: what many nodes cost.

A real API server with etcd and, on the same machine, 50, 100 and 200 real daemonsetds whose container runtimes are
hollow; then the same agents as mere runners of pods that the built-in DaemonSet controller makes and kube-scheduler
binds. `./dev bench --fleet` builds what it needs. It measures and never judges.
"""

import argparse
import collections
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
import traffic  # noqa: E402
from cluster import Cluster, ClusterError  # noqa: E402
from cluster_client import ApiError  # noqa: E402
from cluster_node import grant_access  # noqa: E402
from daemon import metric  # noqa: E402
from hollow_fleet import HollowFleet, raise_limits  # noqa: E402
from processes import cpu_seconds, memory  # noqa: E402
from space import is_ready  # noqa: E402
from tables import columns  # noqa: E402
from workloads import workload  # noqa: E402

SIZES = (50, 100, 200)
MAX_UNAVAILABLE = "10%"
SETTLE_SECONDS = 30
AFTERMATH_SECONDS = 5  # until the last Events are sent
RETRY_SECONDS = 0.2
SILENCE_SECONDS = 20
APPLY_SECONDS = 300
ROLLOUT_SECONDS = 900
RIGHTS = ROOT / "packaging" / "kubernetes"
SETS = "/apis/apps/v1/namespaces/default/daemonsets"
PODS = "/api/v1/namespaces/default/pods"
NAME = "bench"
AGENTS = "daemonsetd:node:"
ONE = "node-0001"  # asked itself; to ask all would cost them more than a minute of idleness


class World:
    """A control plane with so many nodes."""

    def __init__(self, build, size):
        self.size = size
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-bench-", dir="/tmp"))
        self.audit = self.directory / "audit.log"
        self.cluster = Cluster(self.directory / "cluster", controller_manager=True, **self.options,
                               apiserver_arguments=audit_log.arguments(self.audit, self.directory / "audit.yaml"))
        self.fleet = None
        self._build = build

    def start(self):
        """Seconds until all nodes are registered."""
        self.cluster.start()
        grant_access(self.cluster, RIGHTS)
        self.fleet = HollowFleet(self.cluster, self._build, self.size, **self.config)
        begin = time.monotonic()
        self.fleet.start()
        self.fleet.wait_until_registered()
        return time.monotonic() - begin

    def apply(self):
        """Seconds until the pods of a new DaemonSet are Ready on all nodes."""
        manifest = workload(NAME)
        manifest["spec"]["updateStrategy"] = {"type": "RollingUpdate",
                                              "rollingUpdate": {"maxUnavailable": MAX_UNAVAILABLE}}
        begin, ready = time.monotonic(), set()
        self.cluster.client().create(SETS, manifest)
        for pod in self._follow(PODS, APPLY_SECONDS):
            if is_ready(pod):
                ready.add(pod["metadata"]["name"])
            if len(ready) == self.size:
                return time.monotonic() - begin

    def update(self):
        """Seconds from a new template until `kubectl rollout status` would say that it is rolled out."""
        begin = time.monotonic()
        patch = {"spec": {"template": {"metadata": {"annotations": {"bench": "second"}}}}}
        self.rolled_out(self.cluster.client().patch(f"{SETS}/{NAME}", patch)["metadata"]["generation"])
        return time.monotonic() - begin

    def rolled_out(self, generation):
        def so(status):
            counts = [status.get(key, 0) for key in
                      ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")]
            return status.get("observedGeneration", 0) >= generation and counts == [self.size] * 3

        for daemon_set in self._follow(SETS, ROLLOUT_SECONDS):
            if so(daemon_set.get("status", {})):
                return

    def _follow(self, path, seconds):
        """The objects at `path` as they are and as they change. In a storm of changes the server ends the watch of who
        does not read fast enough, and this one begins anew; so it does after a silence, which may have a reason."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self.cluster.client().watch(path, seconds=SILENCE_SECONDS) as stream:
                    yield from stream.objects()
            except (ApiError, OSError) as error:
                self.fleet.check()
                if time.monotonic() > deadline:
                    raise ClusterError(f"{error}\n{self.cluster.log_tails()}\n{self._behind()}") from None
                time.sleep(RETRY_SECONDS)

    def _behind(self):
        """For the text of a failure: which nodes have no pod that is Ready, and what the agent of one of them says."""
        fine = {pod["spec"].get("nodeName") for pod in self.cluster.get(PODS)["items"] if is_ready(pod)}
        behind = sorted(set(self.fleet.agents) - fine)
        status = self.cluster.get(f"{SETS}/{NAME}").get("status")
        return "\n".join([f"status of the DaemonSet: {status}", f"nodes without a pod that is Ready: {behind}",
                          *(self.fleet.agents[name].log_tail() for name in behind[:1])])

    def sample(self):
        pids = {process.name: process.pid for process in self.cluster.processes}
        agents = [cpu_seconds(agent.pid) for agent in self.fleet.agents.values()]
        return {"time": time.monotonic(),
                "cpu": {**{name: cpu_seconds(pid) for name, pid in pids.items()}, "agents": sum(agents),
                        "hollow_runtime": cpu_seconds(self.fleet.runtime.pid)},
                "cpu_of_agents": agents,
                "traffic": traffic.bytes_of_connections(self.cluster.port, "daemonsetd"),
                "calls": metric(self.fleet.agents[ONE].get("/metrics")[1], "daemonsetd_runtime_operations_total"),
                "requests": audit_log.requests(self.audit)}

    def during(self, work):
        """What happens while `work` is done, for each node; `seconds` are those that it answers, or that it takes. The
        busiest agent is the coordinator, where there is one."""
        before = self.sample()
        if seconds := work():
            time.sleep(AFTERMATH_SECONDS)
        after = self.sample()
        new = [what for key, what in after["requests"].items() if key not in before["requests"]]
        kinds = collections.Counter(audit_log.kind_of(verb, uri) for who, verb, uri in new if who.startswith(AGENTS))
        others = collections.Counter(who for who, _, _ in new
                                     if who.startswith("system:") and who != "system:apiserver")
        return {"seconds": round(seconds or after["time"] - before["time"], 1),
                "requests": round(sum(kinds.values()) / self.size, 2),
                "requests_by_kind": {kind: round(count / self.size, 2) for kind, count in kinds.most_common()},
                "requests_of_others": {who: round(count / self.size, 2) for who, count in others.most_common()},
                "connections": round(len(after["traffic"]) / self.size, 2),
                "bytes": round(traffic.difference(before["traffic"], after["traffic"]) / self.size),
                "runtime_calls": after["calls"] - before["calls"],
                "cpu_ms": {name: round((after["cpu"][name] - before["cpu"][name]) * 1000 / self.size, 1)
                           for name in after["cpu"]},
                "busiest_agent_cpu_ms": round(1000 * max(
                    then - first for first, then in zip(before["cpu_of_agents"], after["cpu_of_agents"])))}

    def measure(self, idle_seconds, with_update):
        result = {"register_seconds": round(self.start(), 1), "apply": self.during(self.apply)}
        time.sleep(SETTLE_SECONDS)
        result["idle"] = self.during(lambda: time.sleep(idle_seconds))
        agents = [memory(agent.pid) for agent in self.fleet.agents.values()]
        result["memory_mib"] = {**{process.name: round(memory(process.pid)["rss_mib"]) for process in
                                   self.cluster.processes},
                                "agent_private": round(statistics.median(m["private_mib"] for m in agents), 1),
                                "largest_agent_private": round(max(m["private_mib"] for m in agents), 1),
                                "agent_rss": round(statistics.median(m["rss_mib"] for m in agents), 1)}
        if with_update:
            self.rolled_out(generation=1)
            result["update"] = self.during(self.update)
        return result

    def close(self):
        problems = self.fleet.stop() if self.fleet else []
        problems += self.cluster.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        return problems


class Ours(World):
    name, options, config = "daemonsetd", {}, {}


class BuiltIn(World):
    name, options = "built-in controller", {"controllers": "*", "scheduler": True}
    config = {"podSource": "bound", "nodeTaints": []}


ROWS = (  # text, where it is, per node and minute, digits
    ("all nodes registered, s", ("register_seconds",), False, 1),
    ("first pods: s until Ready on all", ("apply", "seconds"), False, 1),
    ("first pods: agent's requests per node", ("apply", "requests"), False, 1),
    ("first pods: bytes per node", ("apply", "bytes"), False, 0),
    ("first pods: API server, CPU ms per node", ("apply", "cpu_ms", "kube-apiserver"), False, 1),
    ("first pods: controllers, CPU ms per node", ("apply", "cpu_ms", "controllers"), False, 1),
    ("idle: requests per node and minute", ("idle", "requests"), True, 2),
    ("idle: bytes per node and minute", ("idle", "bytes"), True, 0),
    ("idle: API server, CPU ms per node, min", ("idle", "cpu_ms", "kube-apiserver"), True, 1),
    ("idle: etcd, CPU ms per node, min", ("idle", "cpu_ms", "etcd"), True, 1),
    ("idle: an agent, CPU ms per min", ("idle", "cpu_ms", "agents"), True, 1),
    ("idle: busiest agent, CPU ms per min", ("idle", "busiest_agent_cpu_ms"), True, 0),
    ("API server, resident MiB", ("memory_mib", "kube-apiserver"), False, 0),
    ("an agent, private MiB", ("memory_mib", "agent_private"), False, 1),
    ("largest agent, private MiB", ("memory_mib", "largest_agent_private"), False, 1),
    ("update: s", ("update", "seconds"), False, 1),
    ("update: agent's requests per node", ("update", "requests"), False, 1),
    ("update: bytes per node", ("update", "bytes"), False, 0),
    ("update: API server, CPU ms per node", ("update", "cpu_ms", "kube-apiserver"), False, 1),
    ("update: controllers, CPU ms per node", ("update", "cpu_ms", "controllers"), False, 1),
    ("update: an agent, CPU ms", ("update", "cpu_ms", "agents"), False, 1),
    ("update: busiest agent, CPU ms", ("update", "busiest_agent_cpu_ms"), False, 0),
)


def value(result, path, per_minute):
    """None where it was not measured."""
    found = result
    for key in path:
        if key == "controllers":
            return sum(found.get(name, 0) for name in ("kube-controller-manager", "kube-scheduler"))
        if key not in found:
            return None
        found = found[key]
    return found * 60 / result["idle"]["seconds"] if per_minute else found


def table(name, sizes):
    """`sizes`: {number of nodes: results}. The last column is the largest fleet's value by the smallest's."""
    first, last = min(sizes), max(sizes)
    rows = [(name, *map(str, sizes), f"{last}:{first}" if first != last else "")]
    for text, path, per_minute, digits in ROWS:
        values = {size: value(result, path, per_minute) for size, result in sizes.items()}
        if None in values.values():
            continue
        ratio = f"{values[last] / values[first]:.2f}" if first != last and values[first] else ""
        rows.append((text, *(f"{number:.{digits}f}" for number in values.values()), ratio))
    return columns(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--idle", type=int, default=60)
    parser.add_argument("--no-update", action="store_true")
    parser.add_argument("--no-comparison", action="store_true", help="leave the built-in controller out")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench-fleet.json")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for line in raise_limits(max(arguments.sizes)):
        print(f"bench: {line}", file=sys.stderr)
    containerd.enter_private_network()
    process_tree.adopt_orphans()
    results = {"machine": {"cpus": os.cpu_count(), "kernel": os.uname().release}, "max_unavailable": MAX_UNAVAILABLE}
    problems = []
    for kind in (Ours,) if arguments.no_comparison else (Ours, BuiltIn):
        results[kind.name] = {}
        for size in sorted(arguments.sizes):
            world = kind(arguments.build.resolve(), size)
            try:
                results[kind.name][size] = world.measure(arguments.idle, not arguments.no_update)
            finally:
                left = world.close()
                for line in left:
                    print(f"bench: {line}", file=sys.stderr)
                problems += left
            arguments.output.write_text(json.dumps(results, indent=2) + "\n")
        print(table(kind.name, results[kind.name]), end="\n\n", flush=True)
    if problems:
        sys.exit("bench: not everything ended as it should, see above")


if __name__ == "__main__":
    main()

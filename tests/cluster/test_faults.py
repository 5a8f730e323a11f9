"""Kills at random moments, of the agent and of the API server, while DaemonSets and pods come and go.

DAEMONSETD_CHAOS_ROUNDS sets how often the agent is killed (8 times by default; the API server a tenth as often, and at
least twice), DAEMONSETD_CHAOS_SETS the number of DaemonSets (8), half of which nobody touches. DAEMONSETD_CHAOS_SEED
repeats a run: every failure names its seed.
"""

import collections
import datetime
import os
import random
import time

import pytest
from cluster import ClusterError
from space import restarts, uid_of
from workloads import workload

ROUNDS = int(os.environ.get("DAEMONSETD_CHAOS_ROUNDS", "8"))
SEED = int(os.environ.get("DAEMONSETD_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
SETS = int(os.environ.get("DAEMONSETD_CHAOS_SETS", "8"))
STEADY = [f"steady-{number}" for number in range(SETS // 2)]
CHANGING = SETS - len(STEADY)
CONFIG = {"apiServerStartWait": "1s"}


def set_of(pod):
    return pod.rsplit("-", 1)[0]


class Churn:
    """DaemonSets of one node, and what must hold for their containers at any moment."""

    def __init__(self, space, node):
        self.space, self.node = space, node
        self.rng = random.Random(SEED)
        self.present, self.made, self.done = [], 0, []
        space.apply(*(workload(name) for name in STEADY))
        self.pods = {name: space.running(name, [node])[node.name] for name in STEADY}
        self.steady = node.running("steady-")
        for _ in range(CHANGING):
            self.add()

    def note(self, what):
        self.done.append(f"{datetime.datetime.now(datetime.timezone.utc):%H:%M:%S.%f} {what}")

    def add(self):
        # A new name each time: the pods of a set and of its namesake before it may meet.
        self.made += 1
        self.present.append(f"changing-{self.made}")
        self.space.apply(workload(self.present[-1], hostNetwork=self.rng.random() < 0.7))

    def change(self):
        """One thing that a user does."""
        name = self.rng.choice(self.present)
        what = self.rng.choice(("replace the set", "delete the pod", "delete the pod by force", "fail the pod"))
        self.note(f"{what} of {name}")
        if what == "replace the set":
            self.present.remove(name)
            self.space.kubectl("delete", "ds", name, "--wait=false")
            self.add()
            return
        for pod in self.space.pods(name):
            pod = pod["metadata"]["name"]
            if what == "fail the pod":
                self.space.cluster.client().request(
                    "PATCH", f"{self.space.path('v1', 'pods')}/{pod}/status", body={"status": {"phase": "Failed"}},
                    content_type="application/merge-patch+json")
            else:
                force = ["--force", "--grace-period=0"] if what.endswith("force") else []
                self.space.kubectl("delete", "pod", pod, "--wait=false", "--ignore-not-found", *force)

    def check(self, moment):
        where = f"seed {SEED}, {moment}"
        living = self.node.runtime.living()
        live = [c for c in self.node.containers() if c.id in living]
        sandboxes = collections.Counter(set_of(c.pod) for c in live if c.kind == "sandbox")
        assert not [name for name, count in sandboxes.items() if count > 1], f"{where}: two pods of a set: {sandboxes}"
        instances = collections.Counter((c.uid, c.name) for c in live)
        assert not [key for key, count in instances.items() if count > 1], f"{where}: running twice: {instances}"
        assert self.node.running("steady-") == self.steady, f"{where}: a container restarted without a cause"

    def story(self, name):
        """What was done to a set, and what its agent knows of it."""
        log = [line for line in self.node.agent.log.read_text().splitlines() if f"/{name}" in line or "starts" in line]
        explained = self.node.ctl("explain", name, "-n", self.space.namespace, check=False)
        done = [line for line in self.done if name in line or "agent" in line]
        return "\n".join([*done, explained.stdout + explained.stderr, *log])

    def settle(self):
        for name in STEADY + self.present:
            try:
                self.space.running(name, [self.node])
            except ClusterError as error:
                raise ClusterError(f"seed {SEED}: {error}\n{self.story(name)}") from None
        self.check("at the end")
        for name, pod in self.pods.items():
            now, = self.space.pods(name)
            assert uid_of(now) == uid_of(pod) and restarts(now) == 0
        self.space.wait_for(self.node.ready, f"the Node is Ready (seed {SEED})")
        self.space.wait_for(lambda: {set_of(c.pod) for c in self.node.containers()} == {*STEADY, *self.present},
                            f"nothing is left of what was deleted (seed {SEED})")


@pytest.fixture(params=["system", "2"], ids=["containerd-system", "containerd-2"])
def churn(request, lone_cluster, lone_space, make_node):
    return Churn(lone_space, make_node(lone_cluster, "node-f", request.param, **CONFIG))


def test_an_agent_killed_at_random_moments_doubles_and_restarts_nothing(churn):
    node = churn.node
    for number in range(ROUNDS):
        churn.change()
        # Half of the kills fall into the first moments after a change or a start, when most is decided.
        time.sleep(churn.rng.choice((churn.rng.uniform(0, 0.2), churn.rng.uniform(0.1, 1.5))))
        churn.note("kill the agent")
        node.kill()
        churn.check(f"after kill {number + 1} of the agent")
        if churn.rng.random() < 0.5:
            churn.change()
        node.start(wait=False)
    churn.settle()


def test_a_server_killed_at_random_moments_doubles_and_restarts_nothing(churn):
    node, cluster = churn.node, churn.space.cluster
    for number in range(max(2, ROUNDS // 10)):
        for _ in range(churn.rng.randint(1, 3)):
            churn.change()
        time.sleep(churn.rng.uniform(0, 1))
        churn.note("kill the server, and perhaps the agent")
        cluster.kill_apiserver()
        if churn.rng.random() < 0.5:
            node.kill()
            churn.check(f"after kill {number + 1} of agent and server")
            node.start(wait=False)
            time.sleep(churn.rng.uniform(0, 2))
        churn.check(f"after kill {number + 1} of the server")
        cluster.start_apiserver()
    churn.settle()

"""Kills at random moments, of the agent and of containerd, while pods start, run, crash and stop.

DAEMONSETD_CHAOS_ROUNDS sets the number of kills (20 by default, `./dev chaos` uses 200); DAEMONSETD_CHAOS_SEED repeats a
run: every failure names its seed.
"""

import collections
import os
import random
import time

from manifests import container, daemon_set

ROUNDS = int(os.environ.get("DAEMONSETD_CHAOS_ROUNDS", "20"))
SEED = int(os.environ.get("DAEMONSETD_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
STEADY, CRASHING, STAGED, CHANGING = 8, 4, 2, 6
SETTLE_SECONDS = 90


class Population:
    """The 20 DaemonSets of a run and what must hold for their containers at any moment."""

    def __init__(self, agent, runtime, rng):
        self.agent, self.runtime, self.rng = agent, runtime, rng
        self.present = {}  # the changing ones: name → version
        self.reported = set()  # the container and sandbox IDs that the agent said run
        self.steady_ids = {}  # (pod, container) → (id, pid) that must stay

    def apply_all(self):
        for index in range(STEADY):
            self._apply(f"steady-{index}", daemon_set(f"steady-{index}"))
        for index in range(CRASHING):
            self._apply(f"crashing-{index}", daemon_set(f"crashing-{index}", [container(script="sleep 0.7; exit 1")]))
        for index in range(STAGED):
            self._apply(f"staged-{index}", daemon_set(
                f"staged-{index}", initContainers=[container("first", "sleep 0.3"), container("second", "sleep 0.3")]))
        for index in range(CHANGING):
            self.change(f"changing-{index}")

    def _apply(self, name, manifest):
        self.agent.apply(f"{name}.yaml", manifest)

    def change(self, name=None):
        """Adds, removes or changes one of the changing DaemonSets."""
        name = name or f"changing-{self.rng.randrange(CHANGING)}"
        if name in self.present and self.rng.random() < 0.4:
            self.agent.delete(f"{name}.yaml")
            del self.present[name]
            return
        version = self.present.get(name, 0) + 1
        self.present[name] = version
        self._apply(name, daemon_set(name, [container(env=[{"name": "VERSION", "value": str(version)}])]))

    def expected(self):
        kinds = (("steady", STEADY), ("crashing", CRASHING), ("staged", STAGED))
        return {f"{kind}-{index}" for kind, count in kinds for index in range(count)} | set(self.present)

    def observe(self):
        """Asks the agent what runs. A start whose call a kill cuts off is undone by containerd, so only what the agent
        has reported must stay."""
        for pod in self.agent.pods():
            if pod["sandboxId"]:
                self.reported.add(pod["sandboxId"])
            self.reported |= {c["containerId"] for c in pod["containers"] if c["state"] == "Running"}

    def check(self, moment):
        living = self.runtime.living()
        found = self.runtime.containers()
        where = f"seed {SEED}, {moment}"
        live = [c for c in found if c.id in living]
        by_instance = collections.Counter((c.uid, c.name) for c in live)
        doubled = [key for key, count in by_instance.items() if count > 1]
        assert not doubled, f"{where}: running twice: {doubled}"
        by_set = collections.Counter(owner_of(c.pod) for c in live if c.kind == "sandbox")
        overlapping = [name for name, count in by_set.items() if count > 1]
        assert not overlapping, f"{where}: two live sandboxes of {overlapping}"
        attempts = collections.Counter((c.uid, c.name, c.attempt) for c in found)
        repeated = [key for key, count in attempts.items() if count > 1]
        assert not repeated, f"{where}: an attempt number was used twice: {repeated}"
        self._check_steady(found, where)

    def _check_steady(self, found, where):
        steady = [c for c in found if owner_of(c.pod).startswith("steady-")]
        seen = {(owner_of(c.pod), c.name): (c.id, c.pid) for c in steady if c.running}
        for key, identity in self.steady_ids.items():
            now = [(c.id, c.pid, c.status) for c in steady if (owner_of(c.pod), c.name) == key]
            assert seen.get(key) == identity, f"{where}: {key} was {identity}, is {now}"
        self.steady_ids.update({key: identity for key, identity in seen.items() if identity[0] in self.reported})

    def settled(self):
        """Every wanted DaemonSet runs in its newest version, and nothing else is left."""
        pods = self.agent.pods()
        if {p["ownerName"] for p in pods} != self.expected() or len(pods) != len(self.expected()):
            return False
        for pod in pods:
            if pod["ownerName"].startswith("crashing-"):
                if not any(c["restartCount"] for c in pod["containers"]):
                    return False
            elif pod["phase"] != "Running" or pod["readyContainers"] != pod["containersTotal"]:
                return False
        return {owner_of(c.pod) for c in self.runtime.containers()} == self.expected()


def owner_of(pod):
    return pod.rsplit("-", 1)[0]


def make_population(make_daemon, runtime):
    agent = make_daemon(config={"crashLoopBackOff": {"initial": "500ms", "max": "1s"}})
    population = Population(agent, runtime, random.Random(SEED))
    population.apply_all()
    agent.start()
    return agent, population


def test_agent_killed_at_random_moments(make_daemon, runtime):
    agent, population = make_population(make_daemon, runtime)
    for number in range(ROUNDS):
        # Half of the kills fall into the first moments after a start, when most is decided.
        time.sleep(population.rng.choice((population.rng.uniform(0, 0.15), population.rng.uniform(0.1, 1.2))))
        if population.rng.random() < 0.6:
            population.change()
        population.observe()
        agent.kill()
        population.check(f"after kill {number + 1} of the agent")
        agent.start(wait=False)
    agent.wait_for(population.settled, f"seed {SEED}: everything as the manifests say", SETTLE_SECONDS)
    population.check("at the end")


def test_containerd_restarted_at_random_moments(make_daemon, runtime):
    agent, population = make_population(make_daemon, runtime)
    for number in range(max(2, ROUNDS // 10)):
        time.sleep(population.rng.uniform(0, 1.5))
        if population.rng.random() < 0.6:
            population.change()
        population.observe()
        population.rng.choice((runtime.kill, runtime.terminate))()
        time.sleep(population.rng.uniform(0, 0.5))
        runtime.start()
        population.check(f"after restart {number + 1} of containerd")
    agent.wait_for(population.settled, f"seed {SEED}: everything as the manifests say", SETTLE_SECONDS)
    population.check("at the end")

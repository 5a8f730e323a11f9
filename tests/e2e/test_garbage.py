"""What must not stay on a node: an agent that is killed at every step of a pod's life leaves nothing behind, a stalled
pull ends, an image that a loss of power damaged is fetched anew.

DAEMONSETD_KILL_STEPS=all kills at each step, one after the other (an hour); otherwise at a few of them, spread evenly.
"""

import os
import pathlib
import re
import signal
import tempfile
import time

import cgroups
import containerd as containerd_module
import pytest
from call_counter import CallGate
from containerd import images
from manifests import container, daemon_set
from registry import Registry
from tree_watch import TreeWatch

ALL_STEPS = os.environ.get("DAEMONSETD_KILL_STEPS") == "all"
FEW = 3
WAIT_SECONDS = 60
NAME = "steps"
IDENTITY = r"[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def everything(host_path):
    """A DaemonSet with all that a set-up and a tear-down do here."""
    def run(script):
        return {"exec": {"command": ["sh", "-c", script]}}

    main = container(
        lifecycle={"postStart": run("true"), "preStop": run("true")}, readinessProbe=run("true"),
        startupProbe={**run("true"), "periodSeconds": 1},
        volumeMounts=[{"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"},
                      {"name": "host", "mountPath": "/host"}, {"name": "names", "mountPath": "/names"},
                      {"name": "disk", "mountPath": "/part", "subPath": "part"}])
    volumes = [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}},
               {"name": "host", "hostPath": {"path": str(host_path), "type": "Directory"}},
               {"name": "names", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]
    return daemon_set(NAME, [main], volumes=volumes, hostNetwork=False, terminationGracePeriodSeconds=1,
                      initContainers=[container("first", "true")])


def cgroups_of(runtime):
    """Control groups in use, in every hierarchy, of any pod or container that this containerd ever had. Of a start that is
    cut off with its client the runtime itself may keep what CRI does not know any more: empty groups of a runc that was
    killed in the middle, and all of containers that it said it has removed (containerd's issue 11037)."""
    own = set(re.findall(IDENTITY, runtime.log.read_text(errors="replace"))) - runtime._removed_by_cri()
    return [path for path, _, _ in os.walk("/sys/fs/cgroup")
            if own & set(re.findall(IDENTITY, pathlib.Path(path).name)) and has_processes(pathlib.Path(path))]


def has_processes(group):
    try:
        return bool((group / "cgroup.procs").read_text().strip())
    except OSError:
        return False  # it has just gone


class Life:
    """One pod from its manifest to its end, again and again, with an agent that ends somewhere in between."""

    def __init__(self, agent, runtime):
        self.agent, self.runtime = agent, runtime
        self.host = agent.directory / "host"
        self.host.mkdir(parents=True)

    def kill(self):
        os.kill(self.agent.pid, signal.SIGKILL)

    def live(self, struck):
        """From nothing to nothing; True when the agent ended on the way."""
        self.agent.apply("steps.yaml", everything(self.host))
        self.agent.start(wait=False)
        for condition, what in ((lambda: self.agent.pods_ready(NAME), "the pod to be ready"), (self.gone, "its end")):
            self.wait(lambda: struck() or condition(), what)
            if struck():
                self.agent.kill()  # it is dead; collect it
                return True
            (self.agent.manifests / "steps.yaml").unlink(missing_ok=True)
        self.agent.terminate()
        return False

    def gone(self):
        return not self.agent.pods() and self.agent.ready() and not self.left()

    def left(self):
        found = [f"{c.kind} {c.name} {c.status}" for c in self.runtime.containers()]
        agent = self.agent
        for directory in (agent.pod_root / "pods", agent.pod_logs, agent.container_logs):
            found += [str(path) for path in directory.glob("*")]
        found += [f"mount {mount}" for mount in containerd_module.mounts_below(agent.directory)]
        found += agent.stray_cgroups()
        return found or [f"cgroup {path}" for path in cgroups_of(self.runtime)]

    def recover(self, step):
        """The next start finds the manifest gone, and takes away what the step left."""
        (self.agent.manifests / "steps.yaml").unlink(missing_ok=True)
        self.agent.start(wait=False)
        self.wait(self.gone, f"nothing to be left of {step}")
        self.agent.terminate()
        assert list(self.host.iterdir()) == [], f"{step}: something was made in a directory of the host"

    def wait(self, condition, what):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}; left: {self.left()}\n" \
                                                f"{self.agent.log_tail(60)}"
            time.sleep(0.05)


def steps_of(total):
    return range(1, total + 1) if ALL_STEPS else [total * part // (FEW + 1) for part in range(1, FEW + 1)]


@pytest.fixture
def life(make_daemon, runtime):
    # Polling less often leaves fewer calls that change nothing.
    agent = make_daemon(config={"runtimePollInterval": "500ms", "runtimeIdlePollInterval": "2s"})
    yield Life(agent, runtime)
    agent.config.pop("runtimeEndpoint", None)  # the gate is gone


@pytest.fixture
def gate(runtime, tmp_path):
    instance = CallGate(tmp_path / "gate.sock", runtime.socket)
    yield instance
    instance.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_agent_killed_at_each_call_leaves_nothing_behind(life, gate, moment):
    life.agent.config["runtimeEndpoint"] = gate.endpoint
    gate.arm(0, moment, life.kill)
    assert not life.live(lambda: gate.struck)
    total = gate.calls
    hit = 0
    for number in steps_of(total):
        gate.arm(number, moment, life.kill)
        struck = life.live(lambda: gate.struck)
        gate.disarm()
        hit += struck
        life.recover(f"a kill {moment} call {number}") if struck else None
    print(f"killed {moment} {hit} of {total} calls")
    assert hit >= (total // 2 if ALL_STEPS else 1)


@pytest.mark.parametrize("of", ["files", "groups"])
def test_an_agent_killed_at_each_file_leaves_nothing_behind(life, of):
    roots = [life.agent.pod_root, life.agent.pod_logs, life.agent.container_logs]
    if of == "groups":  # the runtime's steps in there come as well
        roots = [pathlib.Path(f"{hierarchy}{life.agent.cgroup_root}") for hierarchy in cgroups.hierarchies()]
    for root in roots:
        root.mkdir(parents=True)
    watch = TreeWatch(roots, files=of == "files")
    try:
        watch.arm(0, life.kill)
        assert not life.live(lambda: watch.struck)
        total = watch.steps
        hit = 0
        for number in steps_of(total):
            watch.arm(number, life.kill)
            struck = life.live(lambda: watch.struck)
            watch.disarm()
            hit += struck
            life.recover(f"a kill at step {number} of {of}") if struck else None
    finally:
        watch.close()
    print(f"killed at {hit} of {total} steps of {of}")
    assert hit >= (total // 2 if ALL_STEPS else 1)


@pytest.fixture
def own_image(tmp_path):
    """An archive whose only layer no other image has."""
    program = tmp_path / "marker"
    program.write_text(tempfile.mktemp())
    path = tmp_path / "own.tar"
    images.write_archive(path, "docker.io/daemonsetd/own:1", images.busybox_layer(program),
                         {"Env": [images.PATH], "Cmd": ["sh"]})
    return path


# GC-06
def test_a_pull_without_progress_is_given_up_and_tried_again(make_daemon, runtime, own_image):
    agent = make_daemon(config={"imagePullProgressTimeout": "2s"})
    with Registry() as registry:
        name = registry.put("own:1", own_image)
        registry.held.clear()
        agent.apply("a.yaml", daemon_set("a", [container(image=name)]))
        agent.start()
        agent.wait_for(lambda: "imagePullProgressTimeout" in agent.log_tail(200), "the pull to be given up")
        registry.held.set()
        agent.wait_for(lambda: agent.pods_ready("a"), "the next pull to succeed", 60)
    runtime.ctr("images", "rm", "--sync", name)


# GC-07
def test_an_image_damaged_by_a_loss_of_power_is_fetched_anew(make_daemon, runtime, own_image):
    agent = make_daemon(config={"crashLoopBackOff": {"initial": "500ms", "max": "1s"}})
    with Registry() as registry:
        name = registry.put("own:1", own_image)
        agent.apply("a.yaml", daemon_set("a", [container(image=name)]))
        agent.start()
        agent.wait_for(lambda: agent.pods_ready("a"), "the pod to run")
        agent.kill()
        cut_power(runtime, pathlib.Path(own_image.parent, "marker").read_text())
        uptime = agent.directory / "uptime"
        uptime.write_text("60.00 60.00\n")
        agent.start(launcher=["unshare", "--mount", "sh", "-c", f'mount --bind {uptime} /proc/uptime && exec "$0" "$@"'])
        agent.wait_for(lambda: "removed an image that may be damaged" in agent.log_tail(400), "the image to be removed")
        agent.wait_for(lambda: agent.pods_ready("a"), "the pod to run on the whole image", 60)
        assert registry.asked["own:1"] >= 2
        agent.terminate()
        agent.start()  # with the machine's own mounts, which the end of the test looks at
    agent.delete("a.yaml")
    agent.wait_for(lambda: not runtime.containers(), "the pod to go")
    runtime.ctr("images", "rm", "--sync", name)


def cut_power(runtime, marker):
    """What runs ends, and the program of the image with this marker is on the disk as an empty file."""
    for found in runtime.containers():
        if found.running:
            os.kill(found.pid, signal.SIGKILL)
    snapshots = [path.parent for path in (runtime.directory / "root").glob("io.containerd.snapshotter.v1.*/snapshots/*/**/marker")
                 if path.read_text() == marker]
    assert snapshots
    for root in snapshots:
        os.truncate(root / "bin" / "busybox", 0)

"""The control groups of pods, where a kubelet would have them: what is enforced there, and that none stays."""

import os
import pathlib
import signal
import subprocess
import time
import uuid

import cgroups
import pytest
from manifests import container, daemon_set

MI = 1 << 20
# One process that holds 40 MB: what it has read it can write to nobody.
HOLD = "mkfifo /tmp/nobody; sleep 1000 < /tmp/nobody & exec dd if=/dev/zero of=/tmp/nobody bs=40M count=1"


def resources(cpu=None, memory=None, requests=None):
    limits = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"resources": {"limits": limits, **({"requests": requests} if requests else {})}}


def group_of(agent, runtime, owner, qos="burstable"):
    uid = next(c.uid for c in runtime.containers(owner + "-") if c.kind == "sandbox")
    return f"{agent.cgroup_root}/kubepods/{qos + '/' if qos else ''}pod{uid}"


def memory_limit(group):
    return int(cgroups.value("memory", group, "memory.limit_in_bytes", "memory.max"))


def cpu_shares(group):
    return int(cgroups.value("cpu", group, "cpu.shares", "cpu.weight"))


def groups_of(process):
    return {line.split(":", 2)[2] for line in pathlib.Path(f"/proc/{process}/cgroup").read_text().splitlines()}


def running(runtime, owner):
    return {c.id: c.pid for c in runtime.containers(owner + "-") if c.running}


def test_a_pod_has_a_group_with_its_requests_and_limits(make_daemon, runtime):
    agent = make_daemon(config={"podPidsLimit": 123}).start()
    agent.apply("best.yaml", daemon_set("best"))
    agent.apply("fixed.yaml", daemon_set("fixed", [container(**resources("200m", "32Mi"))]))
    agent.apply("some.yaml", daemon_set("some", [container("a", **resources("100m", "32Mi", {"cpu": "50m"})),
                                                 container("b", **resources("100m", "16Mi", {"cpu": "50m"}))]))
    for owner in ("best", "fixed", "some"):
        agent.wait_for(lambda: agent.pods_ready(owner), f"{owner} running")
    groups = {"best": group_of(agent, runtime, "best", "besteffort"), "fixed": group_of(agent, runtime, "fixed", ""),
              "some": group_of(agent, runtime, "some")}
    for owner, group in groups.items():
        for process in running(runtime, owner).values():
            assert any(path.startswith(group + "/") for path in groups_of(process)), (group, groups_of(process))
        assert cgroups.value("pids", group, "pids.max") == "123"
    shares = {"best": 2, "fixed": 204, "some": 102}
    weights = {"best": 1, "fixed": 8, "some": 4}
    assert {owner: cpu_shares(group) for owner, group in groups.items()} == (weights if cgroups.unified() else shares)
    assert memory_limit(groups["fixed"]) == 32 * MI
    assert memory_limit(groups["some"]) == 48 * MI
    assert cgroups.value("cpu", groups["some"], "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"

    before = running(runtime, "some")
    for memory in ("64Mi", "32Mi"):  # a container's own limit is never above its pod's
        agent.apply("some.yaml", daemon_set("some", [container("a", **resources("100m", memory, {"cpu": "50m"})),
                                                     container("b", **resources("100m", "16Mi", {"cpu": "50m"}))]))
        agent.wait_for(lambda: memory_limit(groups["some"]) == (int(memory[:-2]) + 16) * MI, f"the group has {memory}")
    assert running(runtime, "some") == before, "in place"

    for name in ("best.yaml", "fixed.yaml", "some.yaml"):
        agent.delete(name)
    agent.wait_for(lambda: not agent.pods(), "all pods gone")
    assert agent.stray_cgroups() == []
    assert "daemonsetd_cgroup_manager_duration_seconds_count{operation_type=\"destroy\"} 3" in agent.get("/metrics")[1]


def test_what_the_containers_of_a_pod_use_together_is_limited(agent, runtime):
    """Each of them stays below its own limit."""
    agent.apply("greedy.yaml", daemon_set(
        "greedy", [container(name, HOLD, **resources(memory="60Mi")) for name in ("one", "other")],
        resources={"limits": {"memory": "64Mi"}}))

    def killed():
        containers = [agent.container("greedy", name) for name in ("one", "other")]
        return [c for c in containers if c and c["restartCount"] > 0]

    agent.wait_for(killed, "one of them to be killed", 60)
    group = group_of(agent, runtime, "greedy")
    assert memory_limit(group) == 64 * MI
    if cgroups.unified():
        assert "oom_kill 0" not in cgroups.value("memory", group, "memory.events")
    else:
        assert int(cgroups.value("memory", group, "memory.failcnt")) > 0
    assert "OOMKilled" in agent.ctl("describe", "pod", agent.pods("greedy")[0]["name"])


def make_everywhere(group, age):
    for hierarchy in cgroups.hierarchies():
        path = pathlib.Path(f"{hierarchy}{group}")
        path.mkdir(parents=True, exist_ok=True)
        os.utime(path, (time.time() - age, time.time() - age))


def there(group):
    return any(pathlib.Path(f"{hierarchy}{group}").exists() for hierarchy in cgroups.hierarchies())


def test_a_group_without_a_pod_goes_and_others_stay(make_daemon):
    agent = make_daemon()
    agent.write_config()
    top = f"{agent.cgroup_root}/kubepods"
    orphan, nested, young, used = (f"{top}/burstable/pod{uuid.uuid4()}" for _ in range(4))
    foreign = [f"{top}/burstable/other", f"{agent.cgroup_root}/pod{uuid.uuid4()}"]
    make_everywhere(f"{nested}/container", 600)
    for group, age in ((orphan, 600), (nested, 600), (used, 600), (young, 0), *((group, 600) for group in foreign)):
        make_everywhere(group, age)
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        # That one takes nobody before it has CPUs.
        in_use = [hierarchy for hierarchy in cgroups.hierarchies() if hierarchy.name != "cpuset"]
        for hierarchy in in_use:
            pathlib.Path(f"{hierarchy}{used}/cgroup.procs").write_text(str(sleeper.pid))
        agent.start()
        agent.wait_for(lambda: not there(orphan) and not there(nested), "the groups of pods that are gone to go")
        assert all(map(there, (young, used, *foreign)))
        assert sleeper.poll() is None
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()
    for group in (young, used, foreign[1]):
        assert cgroups.remove(group) == []


@pytest.mark.parametrize("groups_now", [True, False], ids=["made-now", "made-before"])
def test_a_running_pod_stays_in_the_group_that_it_has(make_daemon, runtime, groups_now):
    """Of an agent that knew no groups of pods, or whose configuration was another: its containers stay together."""
    agent = make_daemon(config={"cgroupsPerQOS": not groups_now}).start()
    agent.apply("old.yaml", daemon_set("old"))
    agent.wait_for(lambda: agent.pods_ready("old"), "the pod running")
    before = running(runtime, "old")
    agent.terminate()
    agent.config["cgroupsPerQOS"] = groups_now
    agent.start()
    agent.wait_for(lambda: agent.pods_ready("old"), "the pod adopted")
    assert running(runtime, "old") == before
    main = next(c for c in runtime.containers("old-") if c.kind == "container")
    runtime.ctr("tasks", "kill", "--signal", "SIGKILL", main.id)
    agent.wait_for(lambda: (c := agent.container("old", "main")) and c["ready"] and c["restartCount"] == 1,
                   "the container back", 60)
    parents = {str(pathlib.PurePath(path).parent) for process in running(runtime, "old").values()
               for path in groups_of(process) if path.startswith(agent.cgroup_root + "/")}
    assert parents == {agent.cgroup_root if groups_now else group_of(agent, runtime, "old", "besteffort")}
    agent.delete("old.yaml")
    agent.wait_for(lambda: not agent.pods(), "the pod gone")
    assert agent.stray_cgroups() == []

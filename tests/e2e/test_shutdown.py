"""The machine goes down, by word of a logind that is staged: a lock is held, pods stop in order, nothing starts, and
all comes back when the shutdown is called off. The real logind is asked in the virtual machine (`./dev vm-test`)."""

import pytest

from fake_logind import FakeLogind
from manifests import container, daemon_set

PRIORITIES = {"critical": 2_000_001_000, "important": 1000, "plain": 0}
SLOW_TO_STOP = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def logind(tmp_path):
    with FakeLogind(tmp_path / "logind") as instance:
        yield instance


def apply_all(agent):
    for name, priority in PRIORITIES.items():
        agent.apply(f"{name}.yaml", daemon_set(name, [container(script=SLOW_TO_STOP)], priority=priority))
    agent.wait_for(lambda: all(agent.pods_ready(name) for name in PRIORITIES), "the pods run")


def containers(runtime):
    return {c.id: c for c in runtime.containers() if c.running}


def test_pods_stop_in_order_before_the_machine_does(make_daemon, runtime, logind):  # LC-31, LC-32
    agent = make_daemon().start(launcher=logind.launcher)
    logind.wait_for_lock()  # LC-30
    apply_all(agent)
    before = containers(runtime)
    logind.begin()
    order = []

    def stopped():
        alive = {c.pod.rsplit("-", 1)[0] for c in runtime.containers() if c.running and c.name == "main"}
        order.extend(name for name in PRIORITIES if name not in alive and name not in order)
        return not alive

    agent.wait_for(stopped, "every pod has stopped")
    assert order == ["plain", "important", "critical"]
    logind.wait_for_release()
    assert not containers(runtime), "sandboxes are stopped too"
    # A crash or a new manifest would start something; nothing may (LC-31).
    agent.apply("late.yaml", daemon_set("late"))
    agent.wait_for(lambda: agent.pods("late"), "the new pod is known")
    agent.wait_for(lambda: all("shutting down" in pod.get("message", "") for pod in agent.pods()), "all wait")
    assert not containers(runtime)

    logind.call_off()
    agent.wait_for(lambda: all(agent.pods_ready(name) for name in (*PRIORITIES, "late")), "the pods run again")
    logind.wait_for_lock()
    assert not before.keys() & containers(runtime).keys()


def test_a_shutdown_that_is_called_off_leaves_alone_what_runs_still(make_daemon, runtime, logind):
    agent = make_daemon().start(launcher=logind.launcher)
    logind.wait_for_lock()
    apply_all(agent)
    before = containers(runtime)
    logind.begin()
    agent.wait_for(lambda: not agent.pods_ready("plain"), "the first pod stops")
    logind.call_off()
    agent.wait_for(lambda: all(agent.pods_ready(name) for name in PRIORITIES), "the pods run")
    kept = {c.pod.rsplit("-", 1)[0] for id_, c in containers(runtime).items() if id_ in before}
    assert "critical" in kept


def test_the_lock_is_taken_again_when_logind_is_back(make_daemon, runtime, logind):  # LC-30
    agent = make_daemon().start(launcher=logind.launcher)
    logind.wait_for_lock()
    logind.stop()
    logind.start()
    logind.wait_for_lock()
    assert agent.running()


def test_a_delay_that_is_too_short_is_told_and_kept_to(make_daemon, runtime, tmp_path):  # LC-30, LC-36
    with FakeLogind(tmp_path / "short", delay_seconds=5) as logind:
        agent = make_daemon(config={"shutdownGracePeriod": "60s"}).start(launcher=logind.launcher)
        logind.wait_for_lock()
        agent.wait_for(lambda: "InhibitDelayMaxSec=63" in agent.ctl("get", "status"), "the status says what to do")
        agent.apply("deaf.yaml", daemon_set("deaf", [container(script="trap '' TERM; sleep 1000")],
                                              terminationGracePeriodSeconds=30))
        agent.wait_for(lambda: agent.pods_ready("deaf"), "the pod runs")
        logind.begin()
        logind.wait_for_release()
        assert not containers(runtime), "it was killed within the delay"
        logind.call_off()
        logind.wait_for_lock()

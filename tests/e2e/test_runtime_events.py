"""How the daemon learns of changes: by container events where the runtime has them, by polling where not."""

import time

import pytest
from call_counter import CallCounter
from manifests import container, daemon_set

IDLE_PODS = 10
IDLE_SECONDS = 10


def has_events(runtime):
    return tuple(map(int, runtime.version.split(".")[:2])) >= (1, 7)


def observation(agent):
    return agent.json("/v1/status")["runtime"]["observation"]


@pytest.fixture
def counter(runtime, tmp_path):
    instance = CallCounter(tmp_path / "counted.sock", runtime.socket)
    yield instance
    instance.close()


def test_it_relies_on_events_where_there_are_some(agent, runtime):
    if has_events(runtime):
        agent.wait_for(lambda: observation(agent) == "events", "events relied on")
    else:
        time.sleep(5)
        assert observation(agent) == "polling"


def test_an_exit_is_noticed_also_after_restarts_of_containerd(agent, runtime):
    names = ("first", "second", "third")  # each restarts once, so without back-off
    for name in names:
        agent.apply(f"{name}.yaml", daemon_set(name))
    for name, stop in zip(names, (None, runtime.terminate, runtime.kill)):
        if stop:
            stop()
            runtime.start()
        agent.wait_for(lambda: all(agent.pods_ready(each) for each in names), "all running", 60)
        if has_events(runtime):
            agent.wait_for(lambda: observation(agent) == "events", "events relied on")
        main = next(c for c in runtime.containers(f"{name}-") if c.kind == "container" and c.running)
        runtime.ctr("tasks", "kill", "--signal", "SIGKILL", main.id)
        agent.wait_for(lambda: (c := agent.container(name, "main")) and c["restartCount"] == 1, f"restart of {name} counted")


def test_an_idle_daemon_with_events_asks_nothing(counter, make_daemon, runtime):  # the counter ends last
    agent = make_daemon(config={"runtimeEndpoint": counter.endpoint}).start()
    for index in range(IDLE_PODS):
        agent.apply(f"idle-{index}.yaml", daemon_set(f"idle-{index}", [container()]))
    agent.wait_for(lambda: sum(p["phase"] == "Running" for p in agent.pods()) == IDLE_PODS, "all pods running", 90)
    assert counter.calls > 3 * IDLE_PODS
    if not has_events(runtime):
        return
    agent.wait_for(lambda: observation(agent) == "events", "events relied on")
    time.sleep(3)  # so that what starting the pods set off is over
    before = counter.calls
    time.sleep(IDLE_SECONDS)
    assert counter.calls - before <= 2, "one list, if the rare poll falls into this time, and nothing else"

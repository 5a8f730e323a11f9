"""A shutdown of the machine as the API server sees it. tests/e2e/test_shutdown.py has the lock and the order."""

from fake_logind import FakeLogind
from space import uid_of
from workloads import workload


def condition(thing, kind):
    return next(one for one in thing["status"]["conditions"] if one["type"] == kind)


def test_the_server_knows_how_it_ended_before_the_machine_is_gone(lone_cluster, lone_space, make_node, tmp_path):
    """LC-34: told before the lock is let go. LC-35: the pod object outlives shutdown and boot, alone."""
    with FakeLogind(tmp_path / "logind") as logind:
        node = make_node(lone_cluster, "node-s", start=False)
        node.agent.start(wait=False, launcher=logind.launcher)
        node.wait_until_ready()
        logind.wait_for_lock()
        lone_space.apply(workload("web"))
        first = lone_space.running("web", [node])[node.name]
        logind.begin()
        logind.wait_for_release()
        assert condition(lone_space.pod(first["metadata"]["name"]), "Ready")["status"] == "False"
        ready = condition(node.object(), "Ready")
        assert ready["status"] == "False" and "node is shutting down" in ready["message"], ready

        node.reboot(while_down=logind.stop)
        logind.start()
        node.agent.start(wait=False, launcher=logind.launcher)
        node.wait_until_ready()
        again = lone_space.running("web", [node])[node.name]
        assert uid_of(again) == uid_of(first)
        assert [uid_of(pod) for pod in lone_space.pods("web")] == [uid_of(first)]

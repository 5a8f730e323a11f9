"""Agents on hollow runtimes, which the benchmark has by the hundred (tests/bench/fleet.py)."""

import process_tree
from cluster_node import grant_access
from conftest import BUILD, RIGHTS
from hollow_fleet import HollowFleet
from space import Space, is_ready
from workloads import workload

SIZE = 5


def test_hollow_agents_run_a_daemon_set_and_leave_nothing(make_cluster):
    cluster = make_cluster(controller_manager=True)
    grant_access(cluster, RIGHTS)
    fleet = HollowFleet(cluster, BUILD, SIZE)
    try:
        fleet.start()
        fleet.wait_until_registered()
        space = Space(cluster, "default", [])
        space.apply(workload())
        pods = space.wait_for(lambda: len(ready := list(filter(is_ready, space.pods("agent")))) == SIZE and ready,
                              "a pod is Ready on each node")
        assert sorted(pod["spec"]["nodeName"] for pod in pods) == sorted(fleet.agents)
        assert all(len(agent.pods_ready("agent")) == 1 for agent in fleet.agents.values()), "as the agents see them"
        space.kubectl("delete", "ds", "agent", "--wait=false")
        space.wait_for(lambda: not space.pods() and not any(agent.pods() for agent in fleet.agents.values()),
                       "no pod is left, in the server or on a node")
        ours = [fleet.runtime.pid, *(agent.pid for agent in fleet.agents.values())]
    finally:
        problems = fleet.stop()
    assert problems == []
    assert not [pid for pid in ours if process_tree.alive(pid)]
    assert not fleet.directory.exists()

"""A node that runs low as the API server sees it. tests/e2e/test_small_disk.py has the disks that really fill up."""

from daemon import NO_EVICTION
from space import container_ids, is_ready, uid_of
from workloads import plain_pod

TAINT = "node.kubernetes.io/pid-pressure"
# Of so many free PIDs no machine has as much.
NEVER_ENOUGH = {**NO_EVICTION, "pid.available": "99.99%"}


def condition(thing, kind):
    return next((one for one in thing["status"].get("conditions", []) if one["type"] == kind), {})


def taints(node):
    return [taint["key"] for taint in node.object()["spec"].get("taints", [])]


def restart(node, **config):
    node.agent.config.update(config)
    node.restart()


def test_the_server_knows_who_was_evicted_and_who_waits(lone_cluster, lone_space, make_node):
    node = make_node(lone_cluster, "node-e", podSource="bound-all", evictionPressureTransitionPeriod="2s")
    critical = plain_pod("critical", node)
    critical["spec"]["priorityClassName"] = "system-node-critical"
    lone_space.create(critical)
    lone_space.create(plain_pod("victim", node))
    before = {name: lone_space.wait_for(lambda: is_ready(lone_space.pod(name)) and lone_space.pod(name), f"{name} runs")
              for name in ("critical", "victim")}
    assert condition(node.object(), "PIDPressure")["status"] == "False"

    restart(node, evictionHard=NEVER_ENOUGH)
    victim = lone_space.wait_for(lambda: (pod := lone_space.pod("victim"))["status"]["phase"] == "Failed" and pod,
                                 "the victim is evicted")
    assert uid_of(victim) == uid_of(before["victim"])
    assert victim["status"]["reason"] == "Evicted"
    assert victim["status"]["message"].startswith("The node was low on resource: pids. Threshold quantity: ")
    target = condition(victim, "DisruptionTarget")
    assert (target["status"], target["reason"]) == ("True", "TerminationByKubelet")
    assert container_ids(victim) == container_ids(before["victim"]), "what was last seen of it is kept"
    lone_space.wait_for(lambda: not node.containers("victim"), "its containers are gone")
    lone_space.wait_for(lambda: {"Evicted", "Killing"} <= lone_space.reasons("Pod", "victim"), "its Events come")
    lone_space.wait_for(lambda: condition(node.object(), "PIDPressure")["status"] == "True", "the condition")
    lone_space.wait_for(lambda: TAINT in taints(node), "the taint")

    lone_space.create(plain_pod("late", node))
    lone_space.wait_for(lambda: "the node has PIDPressure" in
                        condition(lone_space.pod("late"), "PodScheduled").get("message", ""), "the new pod waits")
    assert not node.containers("late")
    told = lone_space.pod("victim")["status"]
    restart(node)
    assert not node.containers("victim") and lone_space.pod("victim")["status"] == told

    restart(node, evictionHard=NO_EVICTION)
    lone_space.wait_for(lambda: is_ready(lone_space.pod("late")), "the new pod runs")
    lone_space.wait_for(lambda: condition(node.object(), "PIDPressure")["status"] == "False", "the pressure is over")
    lone_space.wait_for(lambda: TAINT not in taints(node), "the taint is gone")
    assert lone_space.pod("victim")["status"]["reason"] == "Evicted"
    assert container_ids(lone_space.pod("critical")) == container_ids(before["critical"])

"""An API server that cannot be trusted, and a network in between that fails: connections that die without a word,
history that is gone, data that goes back in time. What runs goes on, and what changed meanwhile is carried out once.

DAEMONSETD_LONG_FAULTS=1 adds what takes minutes.
"""

import os
import time

import pytest
from objects import config_map
from space import container_ids, restarts, uid_of
from without_server import proxy  # noqa: F401, F811 (a fixture)
from workloads import workload

WRITE_BYTES = 900  # a request that creates a Pod is larger, one that renews a Lease smaller
NOTICED_SECONDS = 45  # a half-open connection (and a busy machine may need some more to tell)
SLACK_SECONDS = 15
WRITES_LOST = 3  # attempts to lose the answer to a creation, and not to another large request
SILENT = "the API server does not tell of changes"
# A watch that is resumed from the server's future is silent, as one of an idle server is; so a running agent asks again
# only when the time of the watch is over.
FOLLOWED_SECONDS = 420
AGENTS = ["is down", *["runs on"] * (os.environ.get("DAEMONSETD_LONG_FAULTS") == "1")]


@pytest.fixture
def node(lone_cluster, proxy, lone_space, make_node):
    # After lone_space, so that the namespace is emptied while the node is there and reaches the server.
    yield make_node(lone_cluster, "node-p", kubeconfig=str(proxy.kubeconfig(lone_cluster, "node-p")),
                    apiServerStartWait="1s")
    proxy.heal()


class Log:
    """What an agent logs from here on."""

    def __init__(self, node):
        self._path = node.agent.log
        self._begin = self._path.stat().st_size

    def lines(self, *words):
        with open(self._path, "rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]


def lose_an_answer(space, proxy, lose):
    """Makes DaemonSets until the answer to the creation of one's Pod is lost, by `lose`: its name and its Pod."""
    for number in range(WRITES_LOST):
        name = f"written-{number}"
        lost = lose(WRITE_BYTES)
        space.apply(workload(name))
        assert lost.wait(60), "the agent has asked for nothing"
        if pods := space.pods(name):
            return name, pods[0]
        proxy.heal()
        space.running(name, space.nodes)
    pytest.fail("the answer to the creation of a Pod could not be lost")


@pytest.mark.parametrize("how", ["swallowed", "cut"])
def test_a_write_whose_answer_is_lost_is_not_doubled(lone_space, proxy, node, how):
    """And half-open watches, which nothing but silence gives away, are noticed, and changed sets are seen to."""
    lone_space.apply(workload("stays"), workload("goes"))
    before = {name: lone_space.running(name, [node])[node.name] for name in ("stays", "goes")}
    stays = node.running("stays-")
    name, pod = lose_an_answer(lone_space, proxy, proxy.swallow_after_request if how == "swallowed"
                               else proxy.cut_after_request)
    began, log = time.monotonic(), Log(node)
    lone_space.kubectl("delete", "ds", "goes", "--wait=false")
    lone_space.apply(workload("comes"))
    if how == "swallowed":
        assert uid_of(lone_space.pods("goes")[0]) == uid_of(before["goes"]), "the agent does not know yet"
        for resource in ("daemonsets", "pods"):
            node.agent.wait_for(lambda: log.lines(SILENT, f'resource="{resource}"'),
                                f"the watch of {resource} is given up", NOTICED_SECONDS + SLACK_SECONDS)
        print(f"half-open watches were noticed after {time.monotonic() - began:.1f} s")
    assert uid_of(lone_space.running(name, [node])[node.name]) == uid_of(pod)
    lone_space.running("comes", [node])
    lone_space.gone("goes")
    told = [event for event in lone_space.events("DaemonSet", name) if event["reason"] == "SuccessfulCreate"]
    assert sum(event.get("count") or 1 for event in told) <= 1, told
    now = lone_space.running("stays", [node])[node.name]
    assert uid_of(now) == uid_of(before["stays"]) and node.running("stays-") == stays
    lone_space.wait_for(node.ready, "the Node is Ready")


def test_an_agent_lists_again_when_its_history_is_gone(lone_cluster, lone_space, proxy, node):  # AW-01
    names = ("stays", "loses-its-pod", "changes")
    lone_space.apply(*map(workload, names), workload("goes"))
    before = {name: lone_space.running(name, [node])[node.name] for name in (*names, "goes")}
    running = node.running()
    proxy.refuse()
    sets = lone_space.path("apps/v1", "daemonsets")
    heard = {"watch": "true", "timeoutSeconds": 1,
             "resourceVersion": lone_cluster.get(sets)["metadata"]["resourceVersion"]}  # by the agent, at most
    lone_space.kubectl("delete", "ds", "goes", "--wait=false")
    lone_space.kubectl("delete", "pod", before["loses-its-pod"]["metadata"]["name"], "--force", "--grace-period=0")
    lone_space.apply(workload("comes"), workload("changes", terminationGracePeriodSeconds=1))
    lone_cluster.forget_history()
    assert lone_cluster.client().request("GET", sets, query=heard).json()["object"]["code"] == 410
    assert node.running() == running, "who hears nothing changes nothing"
    proxy.heal()
    after = {name: lone_space.running(name, [node])[node.name] for name in (*names, "comes")}
    lone_space.gone("goes")
    assert uid_of(after["stays"]) == uid_of(before["stays"])
    assert uid_of(after["loses-its-pod"]) != uid_of(before["loses-its-pod"])
    for name in ("stays", "loses-its-pod"):
        assert container_ids(after[name]) == container_ids(before[name])
    assert all(restarts(pod) == 0 for pod in after.values())


@pytest.mark.parametrize("agent", AGENTS)
def test_data_that_went_back_in_time_is_followed_when_it_is_certain(lone_cluster, lone_space, proxy, node, tmp_path,
                                                                     agent):
    """D3, OF-11: a pod without its object is stopped, though its DaemonSet may get another; what both have runs on."""
    client = lone_cluster.client()
    lone_space.apply(workload("stays"), workload("returns"), workload("remade"))
    old = {name: lone_space.running(name, [node])[node.name] for name in ("stays", "returns", "remade")}
    lone_cluster.save_snapshot(tmp_path / "snapshot.db")
    lone_space.apply(workload("late"))
    lone_space.running("late", [node])
    lone_space.kubectl("delete", "ds", "returns", "--wait=false")
    lone_space.gone("returns")
    lone_space.kubectl("delete", "pod", old["remade"]["metadata"]["name"], "--wait=false")
    lone_space.running("remade", [node], other_than=[uid_of(old["remade"])])
    counter = client.create("/api/v1/namespaces/default/configmaps", config_map("default", "counter"))
    for number in range(150):  # more than what is written until the agent asks again
        client.patch("/api/v1/namespaces/default/configmaps/counter", {"data": {"number": str(number)}})
    lone_space.news_arrive([node])
    stays, log = node.running("stays-"), Log(node)
    assert stays
    if agent == "is down":
        node.terminate()  # a killed one may know a minute less of how far it had heard the server
    proxy.refuse()
    lone_cluster.restore_snapshot(tmp_path / "snapshot.db")
    assert lone_space.pod(old["remade"]["metadata"]["name"]), "the server has its old object"
    proxy.heal()
    if agent == "is down":
        node.start(wait=False)
    lone_space.wait_for(lambda: log.lines("the server went back from resourceVersion"), "the older data is followed",
                        FOLLOWED_SECONDS)
    now = {name: lone_space.running(name, [node])[node.name] for name in ("stays", "returns", "remade")}
    lone_space.gone("late")
    assert uid_of(now["stays"]) == uid_of(old["stays"]) and node.running("stays-") == stays
    assert log.lines("asking it again before believing it") or log.lines("asked again before this is believed")
    renewed = node.lease()["spec"]["renewTime"]
    lone_space.wait_for(lambda: node.ready() and node.lease()["spec"]["renewTime"] > renewed, "the node lives")
    lone_space.news_arrive([node])

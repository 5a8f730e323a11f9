"""Boots of a node whose API server cannot be used, each in its way: the right pods run from the checkpoint, the status
says what is wrong, and when the server is back nothing is started again. test_offline.py has the server that is down.

DAEMONSETD_LONG_FAULTS=1 adds the network that swallows everything, which is told after half a minute.
"""

import contextlib
import os
import re

import pytest
from cluster import Pki
from space import uid_of
from strange_server import SilentServer, StrangeServer
from without_server import pods_here, proxy, ready_locally  # noqa: F401, F811 (proxy is a fixture)
from workloads import workload

TOLD_SECONDS = 60  # a connection attempt into nothing ends after 30 s


@pytest.fixture
def node(lone_cluster, proxy, lone_space, make_node):
    # After lone_space, so that the namespace is emptied while the node is there and reaches the server.
    yield make_node(lone_cluster, "node-w", kubeconfig=str(proxy.kubeconfig(lone_cluster, "node-w")),
                    apiServerStartWait="1s", nodeLabels={"tier": "one"})
    proxy.heal()


def swallowed(proxy, _cluster, _directory):
    proxy.swallow()


def silent(proxy, _cluster, _directory):
    return SilentServer()


def unavailable(proxy, cluster, _directory):
    return StrangeServer(*cluster.pki.files("server"))


def of_another_authority(proxy, _cluster, directory):
    stranger = Pki(directory / "pki")
    stranger.make()
    return StrangeServer(*stranger.files("server"))


def of_another_name(proxy, cluster, _directory):
    return StrangeServer(*cluster.pki.server_for("elsewhere", "DNS:elsewhere.example", "IP:10.9.8.7"))


FAULTS = {  # what the status says of it
    silent: r"connecting|no answer in time \(connecting\)",
    unavailable: r"not reachable: .*no server is available \(HTTP 503\)",
    of_another_authority: r"not reachable: .*certificate is signed by an authority that certificate-authority does not",
    of_another_name: r"not reachable: .*certificate is not for 127\.0\.0\.1\b.*elsewhere\.example.*tls-server-name",
}
if os.environ.get("DAEMONSETD_LONG_FAULTS") == "1":
    FAULTS[swallowed] = r"not reachable: .*: no answer in time \(connecting\)"


def boot(node, prepare):
    """After `prepare`, which takes the server away."""
    node.reboot(while_down=prepare)
    node.start(wait=False)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_right_pods_run_and_the_status_says_what_is_wrong(lone_cluster, lone_space, proxy, node, tmp_path, fault):
    # OF-06, OF-07
    names = ("plain", "one")
    lone_space.apply(workload("plain"), workload("one", hostNetwork=False, nodeSelector={"tier": "one"}),
                     workload("two", nodeSelector={"tier": "two"}))
    before = {name: lone_space.running(name, [node])[node.name] for name in names}
    with contextlib.ExitStack() as cleanup:

        def prepare():
            if server := fault(proxy, lone_cluster, tmp_path):
                cleanup.enter_context(contextlib.closing(server))
                proxy.target = server.port

        boot(node, prepare)
        ready_locally(node, *names)
        assert pods_here(node) == set(names)
        node.agent.wait_for(lambda: re.search(rf"^API server: +.*({FAULTS[fault]})", node.ctl("get", "status"), re.M),
                            f"the status says what is wrong; it says\n{node.ctl('get', 'status')}", TOLD_SECONDS)
        running = node.running()
        proxy.heal()
    lone_space.news_arrive([node])
    after = {name: lone_space.running(name, [node])[node.name] for name in names}
    assert node.running() == running, "nothing is started again"
    assert {name: uid_of(pod) for name, pod in after.items()} == {name: uid_of(pod) for name, pod in before.items()}
    lone_space.wait_for(lambda: re.search("^API server: +reachable$", node.ctl("get", "status"), re.M), "all is well")
    lone_space.wait_for(node.ready, "the Node is Ready")


def test_labels_of_the_configuration_decide_at_a_boot_without_the_server(lone_space, proxy, node):
    """The Node of the checkpoint is as the server had it; what the configuration says since then holds."""
    lone_space.apply(workload("plain"), workload("one", nodeSelector={"tier": "one"}),
                     workload("two", nodeSelector={"tier": "two"}))
    for name in ("plain", "one"):
        lone_space.running(name, [node])
    node.agent.config["nodeLabels"] = {"tier": "two"}
    boot(node, proxy.refuse)
    ready_locally(node, "plain", "two")
    assert pods_here(node) == {"plain", "two"}
    assert "tier=one" in node.ctl("explain", "one", "-n", lone_space.namespace), "why it is not here is known"
    running = node.running()
    proxy.heal()
    lone_space.news_arrive([node])
    for name in ("plain", "two"):
        lone_space.running(name, [node])
    lone_space.gone("one")
    assert node.running() == running
    assert node.object()["metadata"]["labels"]["tier"] == "two"

"""What the tests share that take the API server from a node, or put something in its place."""

import contextlib

import pytest
from fault_proxy import FaultProxy

READY_SECONDS = 90


@pytest.fixture(scope="module")
def proxy(lone_cluster):
    """For kubeconfigs of nodes in `lone_cluster`; a test that makes it fail heals it."""
    with contextlib.closing(FaultProxy(lone_cluster.port)) as instance:
        yield instance


def ready_locally(node, *names):
    """Waits until the agent itself says that the pods of these DaemonSets are ready."""
    for name in names:
        node.agent.wait_for(lambda: node.agent.pods_ready(name), f"{name} runs by its agent's word", READY_SECONDS)


def pods_here(node):
    """The names of the DaemonSets of which something runs on the node."""
    return {c.pod.rsplit("-", 1)[0] for c in node.containers() if c.running}

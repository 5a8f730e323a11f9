"""Fixtures of the tests on a real control plane: etcd and kube-apiserver of the pinned Kubernetes on loopback.

    python3 -m pytest tests/cluster      (as root; `tests/support/go_tools.py kubernetes` first, as ./dev test cluster)

`cluster` is one control plane for all tests, with a controller manager that lacks the DaemonSet controller. A test gets
a `namespace` of its own there. Who needs other arguments, an empty server or wild treatment takes `make_cluster`. All of
it runs in a network namespace of its own.

Tests of the daemon take `nodes`, three of them in `cluster`, each with a containerd of its own (node-a: the system's,
node-b and node-c: the pinned one; the daemon of node-b runs under the restrictions of the systemd unit), and `space`: the
test's namespace, which is emptied afterwards. `make_node` makes a node of the test's own, in any cluster; `lone_space` is
a namespace where there is no controller manager and where the API server may be killed. DAEMONSETD_BUILD names the build
to test, build/asan by default.
"""

import os
import pathlib
import signal
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "cluster")]
sys.path.append(str(ROOT / "tests" / "e2e"))  # for its manifests
import cluster as cluster_module  # noqa: E402
import containerd as containerd_module  # noqa: E402
import go_tools  # noqa: E402
import process_tree  # noqa: E402
from cluster_node import ClusterNode, Runtimes, grant_access  # noqa: E402
from kubelet_node import KubeletNode  # noqa: E402
from space import Space  # noqa: E402

BUILD = pathlib.Path(os.environ.get("DAEMONSETD_BUILD", ROOT / "build" / "asan"))
RIGHTS = ROOT / "packaging" / "kubernetes"
UNIT = ROOT / "systemd" / "daemonsetd.service"
RESTORED_SECONDS = 60
# What distinguishes the shared nodes; the lease of one is short, so that a test can see it renewed.
NODES = {"node-a": ("system", {"nodeLabels": {"node-role.kubernetes.io/edge": "", "tier": "one"}}),
         "node-b": ("2", {"nodeLeaseDuration": "10s"}),
         "node-c": ("2", {})}


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the cluster tests need root, for a network namespace of their own", returncode=2)
    try:
        go_tools.built("kubernetes")
    except go_tools.ToolError as error:
        pytest.exit(str(error), returncode=2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is cut off takes its nodes away too
    containerd_module.enter_private_network()
    process_tree.adopt_orphans()


@pytest.fixture(scope="session")
def cluster():
    with new_cluster(controller_manager=True) as instance:
        yield instance
        resisted = instance.stop()
    assert resisted == [], "the control plane left this behind"


@pytest.fixture(scope="module")
def lone_cluster():
    """Without a controller manager, for the tests that stop it, go back in time and the like, one after the other."""
    with new_cluster() as instance:
        yield instance
        resisted = instance.stop()
    assert resisted == [], "the control plane left this behind"


@pytest.fixture
def namespace(cluster):
    """The name of a new namespace, deleted after the test."""
    name = new_namespace(cluster)
    yield name
    cluster.client().delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def make_cluster(request):
    """Makes control planes of the test's own, started, and takes them away afterwards."""
    request.node.control_planes = made = []

    def make(**options):
        made.append(new_cluster(**options))
        return made[-1].start()

    yield make
    assert [line for instance in made for line in instance.stop()] == []


def new_cluster(**options):
    return cluster_module.Cluster(tempfile.mkdtemp(prefix="dsd-cluster-", dir="/tmp"), **options)


def new_namespace(cluster):
    name = f"test-{os.urandom(4).hex()}"
    cluster.client().create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


# Nodes


@pytest.fixture(scope="session")
def runtimes():
    pool = Runtimes()
    try:
        yield pool
    finally:
        left = pool.stop()
    assert left == [], "the containerds were left with this"


@pytest.fixture(scope="session")
def shared_nodes(cluster, runtimes):
    grant_access(cluster, RIGHTS)
    made = []
    try:
        for name, (kind, config) in NODES.items():
            unit = UNIT if name == "node-b" else None
            made.append(ClusterNode(cluster, name, runtimes.take(kind), BUILD, unit=unit, **config))
            made[-1].agent.start(wait=False)
        for node in made:
            node.wait_until_ready()
            cluster.wait_for(lambda: not not_ready_taints(node), f"{node.name} is free of the taint of a new node")
        yield made
    finally:
        left = [line for node in made for line in node.take_away()]
    assert left == [], "the nodes left this behind"


def not_ready_taints(node):
    return [taint for taint in node.object()["spec"].get("taints", [])
            if taint["key"].startswith("node.kubernetes.io/")]


@pytest.fixture
def nodes(cluster, shared_nodes):
    """node-a, node-b and node-c; their labels and taints are put back after the test."""
    before = {node.name: node.object() for node in shared_nodes}
    yield shared_nodes
    for node in shared_nodes:
        restore(cluster, node, before[node.name])


def restore(cluster, node, before):
    """The Node's labels, taints and schedulability."""
    def marks(thing):
        taints = [(t["key"], t.get("value"), t["effect"]) for t in thing["spec"].get("taints", [])]
        return thing["metadata"]["labels"], taints, thing["spec"].get("unschedulable", False)

    def restored():
        now = node.object()
        if marks(now) == marks(before):
            return True
        gone = {key: None for key in now["metadata"]["labels"] if key not in before["metadata"]["labels"]}
        cluster.client().patch(node.path, {
            "metadata": {"labels": {**gone, **before["metadata"]["labels"]}},
            "spec": {"taints": before["spec"].get("taints"), "unschedulable": before["spec"].get("unschedulable")}})
        return False

    cluster.wait_for(restored, f"{node.name} has its labels and taints back", RESTORED_SECONDS)


@pytest.fixture
def make_node(runtimes, request):
    """make_node(cluster, name, kind="2", start=True, kubelet=False, **config): a node of the test's own, which a kubelet
    runs on request."""
    request.node.own_nodes = made = []

    def make(cluster, name, kind="2", *, start=True, kubelet=False, **config):
        runtime = runtimes.take(kind)
        node = (KubeletNode(cluster, name, runtime, **config) if kubelet else
                ClusterNode(cluster, name, runtime, BUILD, **config))
        made.append(node)
        if start:
            node.start()
        return node

    make.made = made
    yield make
    left = []
    for node in made:
        left += node.take_away()
        node.unregister()
        runtimes.give_back(node.runtime)
    if passed(request):
        assert left == [], "the nodes left this behind"


@pytest.fixture
def space(cluster, namespace, nodes, make_node, request):
    """The test's namespace as the nodes see it. What it holds is taken away, and must go."""
    instance = Space(cluster, namespace, ChainOfLists(nodes, make_node.made))
    yield instance
    empty(instance, request)


@pytest.fixture
def lone_space(lone_cluster, make_node, request):
    """A namespace in a cluster without a controller manager; its nodes are those of `make_node`."""
    grant_access(lone_cluster, RIGHTS)
    instance = Space(lone_cluster, new_namespace(lone_cluster), make_node.made, has_controller_manager=False)
    yield instance
    empty(instance, request)


class ChainOfLists:
    """Several lists as one that grows with them."""

    def __init__(self, *lists):
        self._lists = lists

    def __iter__(self):
        return (item for one in self._lists for item in one)


def empty(instance, request):
    left = instance.take_away()
    if not left:
        return
    print("\n".join(node.log_tail() for node in instance.nodes))
    for node in instance.nodes:  # so that the next test starts clean
        node.reset()
        node.start(wait=False)
    if passed(request):
        pytest.fail("this did not go:\n" + "\n".join(left))


def passed(request):
    report = getattr(request.node, "report_call", None)
    return report is not None and report.passed


@pytest.hookimpl(hookwrapper=True)  # Debian 12's pytest does not know the newer `wrapper`
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "report_" + report.when, report)
    if report.when == "call" and report.failed:
        shared = item.funcargs.get("cluster")
        for instance in ([shared] if shared else []) + getattr(item, "control_planes", []):
            report.sections.append(("the control plane's logs", instance.log_tails()))
        for node in [*item.funcargs.get("nodes", []), *getattr(item, "own_nodes", [])]:
            report.sections.append((f"the log of {node.name}'s agent", node.log_tail()))

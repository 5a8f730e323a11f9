"""Fixtures of the tests on a real control plane: etcd and kube-apiserver of the pinned Kubernetes on loopback.

    python3 -m pytest tests/cluster      (as root; `tests/support/go_tools.py kubernetes` first, as ./dev test cluster)

`cluster` is one control plane for all tests, with a controller manager that lacks the DaemonSet controller. A test gets
a `namespace` of its own there. Who needs other arguments, an empty server or wild treatment takes `make_cluster`. All of
it runs in a network namespace of its own.
"""

import os
import pathlib
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "cluster")]
import cluster as cluster_module  # noqa: E402
import containerd as containerd_module  # noqa: E402
import go_tools  # noqa: E402


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the cluster tests need root, for a network namespace of their own", returncode=2)
    try:
        go_tools.built("kubernetes")
    except go_tools.ToolError as error:
        pytest.exit(str(error), returncode=2)
    containerd_module.enter_private_network()
    containerd_module.adopt_orphans()


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
    name = f"test-{os.urandom(4).hex()}"
    cluster.client().create("/api/v1/namespaces", {"metadata": {"name": name}})
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


@pytest.hookimpl(hookwrapper=True)  # Debian 12's pytest does not know the newer `wrapper`
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        shared = item.funcargs.get("cluster")
        for instance in ([shared] if shared else []) + getattr(item, "control_planes", []):
            report.sections.append(("the control plane's logs", instance.log_tails()))

"""A node from nothing in a virtual machine: Debian 12, its cloud kernel, systemd and containerd, and the package of
daemonsetd. The API server runs on the host side of the machine's network.

    ./dev vm-test       (as root; builds the package first)

The tests are the steps of one node's life, in their order, and the first that fails is the last. DAEMONSETD_DEB names
the package. DAEMONSETD_VM_ACCELERATOR=tcg or kvm overrules what is found out: KVM where it works, else emulation.
"""

import os
import pathlib
import signal
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / name) for name in ("support", "cluster", "vm")]
sys.path.append(str(ROOT / "tests" / "e2e"))  # for its manifests
import cluster as cluster_module  # noqa: E402
import image  # noqa: E402
import machine as machine_module  # noqa: E402
from installed_node import InstalledNode  # noqa: E402
from payload import Payload  # noqa: E402

PACKAGES = ROOT / "build" / "packages"
SETUP_SECONDS = {}  # of a test, by its name


def pytest_configure(config):
    config.option.maxfail = 1


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the virtual machine's disk is built as root", returncode=2)
    # A run that is cut off takes its processes and files away too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_report_teststatus(report):
    """With -v: the seconds of each step, those of what it needed first among them."""
    if report.when == "setup":
        SETUP_SECONDS[report.nodeid] = report.duration
    if report.when == "call" and report.passed:
        return "passed", ".", f"{'PASSED':<8}{SETUP_SECONDS[report.nodeid] + report.duration:5.0f} s"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and (node := item.funcargs.get("node")):
        report.sections.append(("what the machine says", node.last_words()))


@pytest.fixture(scope="session")
def directory():
    with tempfile.TemporaryDirectory(prefix="dsd-vm-", dir="/tmp") as path:
        yield pathlib.Path(path)


@pytest.fixture(scope="session")
def cluster(directory):
    """Its controller manager signs certificates, and lacks the DaemonSet controller."""
    with cluster_module.Cluster(directory / "cluster", controller_manager=True) as instance:
        instance.kubectl("apply", "--server-side", "-f", str(ROOT / "packaging" / "kubernetes"))
        yield instance
        resisted = instance.stop()
    assert resisted == [], "the control plane left this behind"


@pytest.fixture(scope="session")
def payload(directory):
    """What comes to the machine from outside, as packages and images come to a node."""
    deb = os.environ.get("DAEMONSETD_DEB") or max(PACKAGES.glob("daemonsetd_*.deb"), key=os.path.getmtime, default=None)
    if not deb:
        pytest.exit(f"no package in {PACKAGES}; run ./dev package", returncode=2)
    return Payload.pack(pathlib.Path(deb), directory)


@pytest.fixture(scope="session")
def node(cluster, payload, directory, pytestconfig):
    disk = image.build()
    accelerator = machine_module.accelerator(disk, directory)
    say(pytestconfig, f"the virtual machine runs with {accelerator}")
    with machine_module.Machine(disk, directory / "machine", payload=payload.tar, accelerator=accelerator) as machine:
        yield InstalledNode(machine, cluster, image.NODE_NAME)


def say(pytestconfig, text):
    pytestconfig.pluginmanager.getplugin("terminalreporter").write_line(f"\n{text}")

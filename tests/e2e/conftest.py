"""Fixtures of the end-to-end tests: every test on each containerd, one private instance of it for all tests, and one
daemonsetd with empty directories for each test. On containerd 2 it runs under the restrictions of the systemd unit.

    python3 -m pytest tests/e2e [-k containerd-2]      (as root; ./dev test e2e builds first)

The name of a test ends with the containerd's version: test_pods.py::test_something[containerd-2.4.2].

DAEMONSETD_BUILD names the build to test, build/release by default. All of it runs in a network namespace of its own.
"""

import os
import pathlib
import shutil
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "e2e")]
import containerd as containerd_module  # noqa: E402
import daemon as daemon_module  # noqa: E402
import process_tree  # noqa: E402

GONE_SECONDS = 40
UNIT = ROOT / "systemd" / "daemonsetd.service"


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests start a private containerd, which needs root", returncode=2)
    containerd_module.enter_private_network()
    process_tree.adopt_orphans()


def pytest_generate_tests(metafunc):
    if "runtime" in metafunc.fixturenames:
        try:
            names = [f"containerd-{containerd_module.version_of(kind)}" for kind in containerd_module.KINDS]
        except containerd_module.HarnessError as error:
            pytest.exit(str(error), returncode=2)
        metafunc.parametrize("runtime", containerd_module.KINDS, ids=names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def runtime(request):
    instance = containerd_module.Containerd(tempfile.mkdtemp(prefix="dsd-", dir="/tmp"), kind=request.param)
    instance.start()
    yield instance
    left = instance.leftovers()
    resisted = instance.stop()
    process_tree.reap()
    assert left + resisted == [], "the tests left this behind"


@pytest.hookimpl(hookwrapper=True)  # Debian 12's pytest does not know the newer `wrapper`
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "report_" + report.when, report)


@pytest.fixture
def make_daemon(runtime, request):
    """Makes daemons in directories of their own, and takes them, their pods and their mounts away afterwards.

    A test that passed must also end well: every pod goes once its manifest is gone, and no mount and no cgroup stays.
    """
    made = []

    def make(**options):
        directory = tempfile.mkdtemp(prefix="dsd-agent-", dir="/tmp")
        build = pathlib.Path(os.environ.get("DAEMONSETD_BUILD", ROOT / "build" / "release"))
        unit = UNIT if runtime.kind == "2" else None
        instance = daemon_module.Daemon(directory, build, runtime.endpoint, unit=unit, **options)
        made.append(instance)
        return instance

    yield make
    report = getattr(request.node, "report_call", None)
    failed = report is None or report.failed
    problems = []
    for instance in made:
        if failed and instance.log.exists():
            print(f"--- the end of daemonsetd's log\n{instance.log_tail(120)}")
        problems += take_away(instance, runtime)
    if not failed:
        assert problems == []


def take_away(instance, runtime):
    problems = []
    if instance.manifests.exists():
        for manifest in instance.manifests.iterdir():
            manifest.unlink()
    if instance.config_file.exists() and not instance.running():
        try:
            instance.start()
        except daemon_module.DaemonError:
            pass  # a test of refused configurations; if pods are left, the next check says so
    deadline = time.monotonic() + GONE_SECONDS
    while left := runtime.containers():
        if time.monotonic() > deadline or not instance.running():
            problems += [f"{c.kind} {c.name} of {c.namespace}/{c.pod} did not go with its manifest" for c in left]
            force_away(runtime)
            break
        time.sleep(0.1)
    # A pod's volumes go after its containers; a daemon that ends in between leaves them to its next start.
    while instance.running() and (left := instance.pods()):
        if time.monotonic() > deadline:
            problems += [f"pod {pod['namespace']}/{pod['name']} did not go with its manifest" for pod in left]
            break
        time.sleep(0.1)
    if instance.running():
        code = instance.terminate()
        if code not in (0, None):
            problems.append(f"daemonsetd ended with {code} after SIGTERM")
    problems += [f"mount {mount} stayed" for mount in containerd_module.mounts_below(instance.directory)]
    problems += instance.stray_cgroups()
    resisted = instance.unmount()
    if not resisted:
        shutil.rmtree(instance.directory, ignore_errors=True)
    return problems + resisted


def force_away(runtime):
    """So that the next test starts clean."""
    for container in sorted(runtime.containers(), key=lambda c: c.kind):
        runtime.ctr("tasks", "rm", "--force", container.id, check=False)
        runtime.ctr("containers", "rm", container.id, check=False)


@pytest.fixture
def agent(make_daemon):
    """A running daemon with no manifests."""
    return make_daemon().start()

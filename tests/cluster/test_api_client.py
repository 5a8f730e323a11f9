"""The agent's API client on a real API server: the calls, and a copy of a collection through the server's troubles."""

import os
import pathlib
import subprocess
import time

import pytest
from conftest import ROOT
from objects import config_map

PROGRAMS = pathlib.Path(os.environ.get("DAEMONSETD_BUILD", ROOT / "build" / "asan")) / "tests" / "cluster"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WAIT_SECONDS = 60


def test_calls(cluster, namespace):
    cluster.wait_for(lambda: cluster.kubectl("get", "serviceaccounts", "-n", namespace, "-o", "name").split(),
                     "the namespace's default service account")
    result = subprocess.run([PROGRAMS / "api_client_test"], capture_output=True, text=True, timeout=120, env={
        **os.environ, "DAEMONSETD_TEST_KUBECONFIG": str(cluster.admin_kubeconfig), "DAEMONSETD_TEST_NAMESPACE": namespace})
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-4000:]
    assert "[  PASSED  ] 6 tests." in result.stdout


class Follower:
    """A running follow_config_maps; its last line is what the agent would know."""

    def __init__(self, cluster, directory):
        self.output = directory / "follower.out"
        self.log = directory / "follower.err"
        with open(self.output, "wb") as output, open(self.log, "wb") as log:
            self.process = subprocess.Popen([PROGRAMS / "follow_config_maps", cluster.admin_kubeconfig, "default"],
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=log)

    def lines(self):
        return [line for line in self.output.read_text().splitlines() if line]

    def wait_for(self, state, **values):
        wanted = " ".join([state, *(f"{name}={value}" for name, value in sorted(values.items()))])
        deadline = time.monotonic() + WAIT_SECONDS
        while self.lines()[-1:] != [wanted]:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"not {wanted!r} but {self.lines()}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)


@pytest.fixture
def follower(lone_cluster, tmp_path):
    instance = Follower(lone_cluster, tmp_path)
    yield instance
    instance.process.terminate()
    assert instance.process.wait(20) == 0, instance.log.read_text()[-3000:]


def put(cluster, **values):
    for name, value in values.items():
        cluster.apply(config_map("default", name, key=str(value)))


def test_a_copy_follows_a_server_that_is_killed_again_and_again(lone_cluster, follower):  # AW-03
    put(lone_cluster, a=1)
    follower.wait_for("live", a=1)
    for number in range(2, 6):
        lone_cluster.kill_apiserver()
        follower.wait_for("stale", a=number - 1)
        lone_cluster.start_apiserver()
        put(lone_cluster, a=number)
        follower.wait_for("live", a=number)
    lone_cluster.client().delete(f"{CONFIG_MAPS}/a")
    follower.wait_for("live")


def test_a_copy_lists_again_when_its_history_is_gone(lone_cluster, follower):  # AW-01
    put(lone_cluster, b=1, c=1)
    follower.wait_for("live", b=1, c=1)
    lone_cluster.kill_apiserver()
    follower.wait_for("stale", b=1, c=1)
    lone_cluster.start_apiserver()
    lone_cluster.client().delete(f"{CONFIG_MAPS}/c")
    put(lone_cluster, b=2)
    lone_cluster.forget_history()
    follower.wait_for("live", b=2)
    lone_cluster.client().delete(f"{CONFIG_MAPS}/b")
    follower.wait_for("live")

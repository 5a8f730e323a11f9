"""What the agent tells a service manager (sd_notify), here without systemd: the test listens on the socket."""

import os
import re
import signal
import socket
import time

import pytest
from daemon import STOP_SECONDS
from manifests import container, daemon_set

WATCHDOG_SECONDS = 2
NOWHERE = "unix:///run/daemonsetd-test/nowhere.sock"


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address):
        self.address = address
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def launcher(self, **variables):
        return ["env", f"NOTIFY_SOCKET={self.address}", *(f"{key}={value}" for key, value in variables.items())]

    def wait_for(self, condition, what, seconds=30):
        """The first message from now on that meets the condition, as a dictionary."""
        deadline = time.monotonic() + seconds
        while True:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                text = self._socket.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"not within {seconds} s: {what}; told were {self.messages[-20:]}") from None
            self.messages.append(text)
            message = dict(line.split("=", 1) for line in text.splitlines())
            if condition(message):
                return message

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    instance = Manager(str(tmp_path / "notify"))
    yield instance
    instance.close()


def serves(message):
    return message.get("READY") == "1"


def test_it_is_ready_without_a_runtime_and_tells_reloads_and_its_end(make_daemon):
    agent = make_daemon(config={"runtimeEndpoint": NOWHERE})
    manager = Manager(f"@daemonsetd-test-{os.getpid()}")  # some managers have no path for it
    agent.start(wait=False, launcher=manager.launcher())
    ready = manager.wait_for(serves, "READY")
    assert ready["STATUS"].startswith("0/0 pods ready; container runtime not ")
    assert agent.get("/livez")[0] == 200 and not agent.ready()
    agent.config["maxPods"] = 7
    agent.write_config()
    before = time.monotonic()
    os.kill(agent.pid, signal.SIGHUP)
    reloading = manager.wait_for(lambda m: m.get("RELOADING") == "1", "RELOADING")
    assert before <= int(reloading["MONOTONIC_USEC"]) / 1e6 <= time.monotonic()
    manager.wait_for(serves, "READY after the reload")
    assert agent.json("/configz")["maxPods"] == 7
    assert agent.terminate() == 0
    stopping = manager.wait_for(lambda m: m.get("STOPPING") == "1", "STOPPING")
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) >= 10_000_000
    manager.close()
    agent.config = {}  # so that its end finds a runtime


def test_its_status_follows_the_pods(make_daemon, manager):
    agent = make_daemon()
    agent.start(launcher=manager.launcher())
    manager.wait_for(lambda m: m.get("STATUS", "").startswith("0/0 pods ready; container runtime connected"), "no pods", 40)
    agent.apply("one.yaml", daemon_set("one"))
    manager.wait_for(lambda m: m.get("STATUS", "").startswith("1/1 pods ready; container runtime connected"), "one pod", 40)


def test_a_dead_runtime_and_a_dead_server_do_not_end_the_signs_of_life(make_daemon, manager, runtime, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text('{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", '
                          '"cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "u", "user": {"token": "t"}}], '
                          '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}')
    agent = make_daemon(config={"kubeconfig": str(kubeconfig), "runtimeRequestTimeout": "2s"})
    agent.start(launcher=manager.launcher(WATCHDOG_USEC=WATCHDOG_SECONDS * 1_000_000))
    os.kill(runtime.pid, signal.SIGSTOP)  # worse than dead: connections are taken and nothing is answered
    try:
        manager.wait_for(lambda m: "container runtime not reachable" in m.get("STATUS", ""), "the runtime missed", 60)
        for _ in range(4):
            manager.wait_for(lambda m: m.get("WATCHDOG") == "1", "a sign of life", 4 * WATCHDOG_SECONDS)
        assert agent.get("/livez")[0] == 200
    finally:
        os.kill(runtime.pid, signal.SIGCONT)
    manager.wait_for(lambda m: re.match("0/0 pods ready; container runtime connected; API server not reachable",
                                        m.get("STATUS", "")), "the runtime found again", 40)


@pytest.mark.parametrize("variables, named", [({"WATCHDOG_USEC": 1_000_000}, "WatchdogSec= of the unit to 2s or more"),
                                              ({"WATCHDOG_USEC": "soon"}, 'WATCHDOG_USEC=\\"soon\\" is not a number')])
def test_a_watchdog_that_cannot_be_kept_is_an_error_at_the_start(make_daemon, manager, variables, named):
    agent = make_daemon(config={"runtimeEndpoint": NOWHERE})
    agent.start(wait=False, launcher=manager.launcher(**variables))
    deadline = time.monotonic() + STOP_SECONDS
    while not agent.exited():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "cannot start" in agent.log_tail() and named in agent.log_tail()
    agent.config = {}


SERVER = ("mkdir -p /data/shut/in && touch /data/shut/in/file && chmod 0 /data/shut/in && chmod 500 /data/shut && "
          "mkdir -m 1777 /data/sticky && touch /data/sticky/file && exec httpd -f -p 8080")


def test_what_a_pod_of_another_user_needs_of_the_agent(agent):
    """Each of the capabilities that the unit leaves: without one of them this fails."""
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
               {"name": "names", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "memory", "mountPath": "/memory"},
              {"name": "names", "mountPath": "/names"}, {"name": "data", "mountPath": "/part", "subPath": "part"}]
    server = container(
        script=SERVER, volumeMounts=mounts, lifecycle={"postStart": {"exec": {"command": ["touch", "/part/started"]}}},
        startupProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        readinessProbe={"httpGet": {"path": "/names/name", "port": 8080}, "periodSeconds": 1},
        livenessProbe={"exec": {"command": ["sh", "-c", "sleep 100 & wait"]}, "timeoutSeconds": 1, "periodSeconds": 5,
                       "failureThreshold": 1000})
    agent.apply("other.yaml", daemon_set("other", [server], hostNetwork=False, volumes=volumes,
                                         securityContext={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}))
    pod = agent.wait_for(lambda: agent.pods_ready("other"), "the pod ready", 60)[0]
    data = agent.pod_root / "pods" / pod["uid"] / "volumes" / "kubernetes.io~empty-dir" / "data"
    assert (data.stat().st_mode & 0o7777, data.stat().st_gid) == (0o2777, 2000)
    assert (data / "part" / "started").stat().st_gid == 2000
    agent.wait_for(lambda: "timed out" in agent.log_tail(), "an exec probe out of time")
    assert "all its processes are ended" in agent.log_tail() and "may have left" not in agent.log_tail()
    agent.delete("other.yaml")
    agent.wait_for(lambda: not agent.pods(), "the pod gone, and its volumes with it", 40)
    assert not data.exists()

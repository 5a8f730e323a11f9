"""Networks, volumes and placement of pods."""

import socket
import subprocess

import pytest
from manifests import container, daemon_set

SERVE = "mkdir /www; echo served > /www/index.html; exec httpd -f -p {port} -h /www"


def fetch(address, port):
    try:
        with socket.create_connection((address, port), 2) as connection:
            connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
            return b"served" in connection.makefile("rb").read()
    except OSError:
        return False


def test_host_network_shares_the_nodes_ports(agent):
    agent.apply("host.yaml", daemon_set("host", [container(script=SERVE.format(port=18080))]))
    agent.wait_for(lambda: fetch("127.0.0.1", 18080), "an answer on the node's port 18080")


def test_pod_network_gives_an_address_and_host_ports(agent):
    ports = [{"containerPort": 8080, "hostPort": 18081, "protocol": "TCP"}]
    agent.apply("bridged.yaml", daemon_set("bridged", [container(script=SERVE.format(port=8080), ports=ports)],
                                           hostNetwork=False))
    pod = agent.wait_for(lambda: agent.pods_ready("bridged"), "bridged running")[0]
    assert pod["podIp"].startswith("10.213.")
    agent.wait_for(lambda: fetch(pod["podIp"], 8080), "an answer on the pod's address")
    gateway = ".".join(pod["podIp"].split(".")[:2]) + ".0.1"
    agent.wait_for(lambda: fetch(gateway, 18081), "an answer on the host port")


def test_two_daemon_sets_that_want_one_host_port(agent):
    ports = [{"containerPort": 18082, "hostPort": 18082}]
    agent.apply("a-first.yaml", daemon_set("first", [container(ports=ports)]))
    agent.wait_for(lambda: agent.pods_ready("first"), "first running")
    agent.apply("b-second.yaml", daemon_set("second", [container(ports=ports)]))
    agent.wait_for(lambda: "18082" in agent.ctl("explain", "second", check=False).stdout, "explain to name the port")
    assert not agent.pods_ready("second")
    agent.delete("a-first.yaml")  # PL-17: tried again once the port is free
    agent.wait_for(lambda: agent.pods_ready("second"), "second running once the port is free", 30)


def test_empty_dir_in_memory_has_its_size(agent):
    script = "df -k /cache | tail -n 1 | awk '{print $2}'; " + container()["command"][2]
    agent.apply("cache.yaml", daemon_set(
        "cache", [container(script=script, volumeMounts=[{"name": "cache", "mountPath": "/cache"}])],
        volumes=[{"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}]))
    pod = agent.wait_for(lambda: agent.pods_ready("cache"), "cache running")[0]
    agent.wait_for(lambda: agent.ctl("logs", pod["name"]).strip() == "16384", "a tmpfs of 16 MiB")


@pytest.mark.parametrize("kind, make", [
    ("DirectoryOrCreate", None), ("FileOrCreate", None), ("Directory", "directory"), ("File", "file"),
    ("Socket", "socket"), ("CharDevice", "device")])
def test_host_path_types(agent, tmp_path, kind, make):
    path = tmp_path / "thing"
    if make == "directory":
        path.mkdir()
    elif make == "file":
        path.write_text("x")
    elif make == "socket":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
    elif make == "device":
        subprocess.run(["mknod", path, "c", "1", "3"], check=True)
    agent.apply("paths.yaml", daemon_set(
        "paths", [container(volumeMounts=[{"name": "thing", "mountPath": "/thing"}])],
        volumes=[{"name": "thing", "hostPath": {"path": str(path), "type": kind}}]))
    agent.wait_for(lambda: agent.pods_ready("paths"), f"a pod with hostPath {kind}")
    assert path.exists()


def test_host_path_that_is_missing_is_waited_for(agent, tmp_path):
    path = tmp_path / "later"
    agent.apply("later.yaml", daemon_set(
        "later", [container(volumeMounts=[{"name": "thing", "mountPath": "/thing"}])],
        volumes=[{"name": "thing", "hostPath": {"path": str(path), "type": "Directory"}}]))
    agent.wait_for(lambda: any(str(path) in str(p) for p in agent.pods("later")), "the missing path named in the status")
    path.mkdir()
    agent.wait_for(lambda: agent.pods_ready("later"), "a start once the path is there", 150)


def test_placement_by_labels_says_why_not(make_daemon, runtime):
    agent = make_daemon(config={"nodeLabels": {"disk": "hdd"}}).start()
    agent.apply("hdd.yaml", daemon_set("on-hdd", nodeSelector={"disk": "hdd"}))
    agent.apply("ssd.yaml", daemon_set("on-ssd", nodeSelector={"disk": "ssd"}))
    agent.wait_for(lambda: agent.pods_ready("on-hdd"), "on-hdd running")
    answer = agent.ctl("explain", "on-ssd")
    assert "disk" in answer and "ssd" in answer and "hdd" in answer, answer
    assert not agent.pods("on-ssd") and not runtime.containers("on-ssd-")
    verdict = next(d for d in agent.json("/v1/daemonsets")["items"] if d["name"] == "on-ssd")["verdict"]
    assert not verdict["shouldRun"] and verdict["blocker"] == "NodeSelector"

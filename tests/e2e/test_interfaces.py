"""The Unix socket, daemonsetctl and start-up errors."""

import json
import stat

import pytest
from manifests import container, daemon_set

from daemon import metric


def test_every_endpoint_answers(agent):
    agent.apply("web.yaml", daemon_set("web"))
    agent.wait_for(lambda: agent.pods_ready("web"), "web running")
    for path in ("/livez", "/readyz", "/healthz", "/metrics", "/configz", "/v1/version"):
        assert agent.get(path)[0] == 200, path
    assert agent.json("/v1/status")["nodeName"] == "node-1"
    assert agent.json("/v1/status")["counts"]["podsReady"] == 1
    assert [d["name"] for d in agent.json("/v1/daemonsets")["items"]] == ["web"]
    assert agent.json("/v1/node")["name"] == "node-1"
    assert agent.json("/configz")
    pods = agent.json("/pods")
    assert pods["kind"] == "PodList" and pods["items"][0]["spec"]["nodeName"] == "node-1"
    assert pods["items"][0]["status"]["phase"] == "Running"
    metrics = agent.get("/metrics")[1]
    assert metric(metrics, "process_resident_memory_bytes") > 0
    assert 'daemonsetd_runtime_operations_total{operation_type="RunPodSandbox"} 1\n' in metrics
    assert 'daemonsetd_runtime_operations_duration_seconds_count{operation_type="RunPodSandbox"} 1\n' in metrics


def test_unknown_paths_and_methods_are_refused_with_a_hint(agent):
    status, body = agent.get("/v1/nothing")
    assert status == 404 and json.loads(body)["hint"]
    assert agent.get("/v1/pods", method="POST")[0] == 405


def test_socket_is_not_for_everybody(agent):
    mode = agent.socket.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) & 0o007 == 0


def test_daemonsetctl_prints_what_kubectl_users_know(agent):
    agent.apply("table.yaml", daemon_set("table"))
    pod = agent.wait_for(lambda: agent.pods_ready("table"), "table running")[0]
    head, row = agent.ctl("get", "pods").splitlines()[:2]
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == [pod["name"], "1/1", "Running", "0"]
    assert agent.ctl("get", "daemonsets").split()[:3] == ["NAME", "DESIRED", "CURRENT"]
    assert pod["name"] in agent.ctl("get", "pods", "-o", "json")
    assert pod["uid"] in agent.ctl("describe", "pod", pod["name"])
    assert "runs here" in agent.ctl("explain", "table")


def test_daemonsetctl_says_what_to_do_when_nobody_listens(make_daemon):
    agent = make_daemon()
    agent.write_config()
    result = agent.ctl("get", "pods", check=False)
    assert result.returncode != 0 and str(agent.socket) in result.stderr


@pytest.mark.parametrize("key, value, named", [
    ("runtimeEndpoint", "tcp://127.0.0.1:1", "runtimeEndpoint"),
    ("runtimeRequestTimeout", "20", "runtimeRequestTimeout"),
    ("nodeName", "Not_A_Name", "nodeName"),
    ("maxPods", -1, "maxPods"),
    ("manifestDirectroy", "/tmp", "manifestDirectroy"),
    ("kind", "KubeletConfiguration", "kind"),
])
def test_bad_configuration_is_refused_with_file_and_key(make_daemon, key, value, named):
    agent = make_daemon(config={key: value})
    agent.write_config()
    code, text = agent.check()
    assert code not in (0, None) and code > 0, "an exit code, not a crash"
    assert named in text and "config.yaml" in text, text


def test_missing_configuration_file_is_named(make_daemon):
    agent = make_daemon()
    agent.directory.mkdir(exist_ok=True)
    code, text = agent.check()
    assert code > 0 and "config.yaml" in text, text


def test_second_agent_with_the_same_state_is_refused(agent):
    code, text = agent.check()
    assert code > 0 and str(agent.directory / "state") in text, text
    assert agent.ready(), "the first one goes on"


def test_second_agent_on_the_same_socket_is_refused(agent):
    code, text = agent.check("--state-directory", str(agent.directory / "other-state"))
    assert code > 0 and str(agent.socket) in text, text
    assert agent.ready(), "the first one goes on"


def test_secret_values_are_in_no_log(agent):
    agent.apply("secret.yaml", daemon_set("secret", [container(env=[{"name": "TOKEN", "value": "hunter2-not-logged"}])]))
    agent.wait_for(lambda: agent.pods_ready("secret"), "secret running")
    assert "hunter2-not-logged" not in agent.log.read_text()

"""What an agent measures and logs of a pod's life, and how a Prometheus gets at it."""

import contextlib
import http.client
import json
import pathlib
import re
import socket
import subprocess
import urllib.request

import exposition
from daemon import metric
from manifests import container, daemon_set

ALERTS = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "monitoring" / "alerts.yaml"
# Fails its probe from the moment on that somebody makes the file.
PROBED = {"exec": {"command": ["sh", "-c", "! test -e /tmp/broken"]}, "periodSeconds": 1, "failureThreshold": 60}


def scrape(agent):
    return agent.get("/metrics")[1]


def value(agent, name, **labels):
    """Of the one sample with these labels."""
    found = [float(text) for family in exposition.parse(scrape(agent)).values() for sample, has, text in family.samples
             if sample == name and labels.items() <= has.items()]
    assert len(found) <= 1, (name, labels, found)
    return found[0] if found else 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_pod_s_life_is_counted(agent):
    init = container("first", "sleep 3")
    main = container("main", "sleep 3; exit 1")
    steady = container("steady", readinessProbe=PROBED)
    agent.apply("web.yaml", daemon_set("web", [main, steady], initContainers=[init]))
    agent.wait_for(lambda: value(agent, "daemonsetd_restarted_containers_total", container_type="container") >= 1,
                   "a restart counted")
    agent.wait_for(lambda: value(agent, "daemonsetd_prober_probe_total", probe_type="Readiness", result="successful"),
                   "a probe counted")
    assert value(agent, "daemonsetd_started_pods_total") == 1
    assert value(agent, "daemonsetd_started_containers_total", container_type="init_container") == 1
    assert value(agent, "daemonsetd_started_containers_total", container_type="container") >= 3
    assert value(agent, "daemonsetd_pod_start_duration_seconds_count") == 1
    whole = value(agent, "daemonsetd_pod_start_duration_seconds_sum")
    own = value(agent, "daemonsetd_pod_start_sli_duration_seconds_sum")
    assert own <= whole - 1, "most of the init container's 3 s is none of the agent's"
    assert value(agent, "daemonsetd_pod_worker_duration_seconds_count", operation_type="create") >= 5
    assert value(agent, "daemonsetd_running_containers", container_state="running") >= 1
    assert value(agent, "daemonsetd_active_pods") == 1
    assert value(agent, "daemonsetd_pleg_relist_duration_seconds_count") >= 1
    agent.wait_for(lambda: value(agent, "daemonsetd_checkpoint_writes_total") > 0, "the checkpoint counted")
    assert value(agent, "daemonsetd_checkpoint_errors_total") == 0
    text = scrape(agent)
    assert exposition.complaints(text) == ""
    assert "uid" not in text and agent.pods("web")[0]["uid"] not in text
    agent.delete("web.yaml")
    agent.wait_for(lambda: value(agent, "daemonsetd_pod_worker_duration_seconds_count", operation_type="terminate") >= 3
                   and value(agent, "daemonsetd_active_pods") == 0, "the end counted")


def test_what_cannot_start_is_counted(agent):
    missing = {**container(), "image": "localhost:1/there-is/none:1", "imagePullPolicy": "Never"}
    agent.apply("none.yaml", daemon_set("none", [missing]))
    agent.apply("huge.yaml", daemon_set("huge", [container(resources={"requests": {"memory": "900Ti"}})]))
    agent.wait_for(lambda: value(agent, "daemonsetd_started_containers_errors_total", container_type="container",
                                 code="ErrImageNeverPull"), "the missing image counted")
    assert value(agent, "daemonsetd_admission_rejections_total", reason="OutOfmemory") == 1


def test_a_port_serves_metrics_and_health_alone(make_daemon):
    port = free_port()
    agent = make_daemon(config={"metricsBindAddress": f"127.0.0.1:{port}"}).start()

    def ask(path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.getheader("Content-Type"), body

    status, kind, text = ask("/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert metric(text, "daemonsetd_runtime_connected") == 1
    status, kind, text = ask("/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert text.endswith("\n# EOF\n") and "# TYPE daemonsetd_http_requests counter\n" in text
    assert [ask(path)[0] for path in ("/livez", "/readyz", "/healthz")] == [200, 200, 200]
    for path in ("/v1/pods", "/v1/status", "/pods", "/configz", "/v1/logs?namespace=a&pod=b", "/v1/events?watch=1",
                 "/metrics/../v1/pods", "//metrics"):
        assert ask(path)[0] == 404, path
    assert ask("/v1/restart?kind=Pod&namespace=a&name=b", "POST")[0] == 404
    assert ask("/metrics", "POST")[0] == 405
    assert agent.get("/v1/pods")[0] == 200


def test_a_port_that_is_taken_keeps_no_pod_from_running(make_daemon):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        agent = make_daemon(config={"metricsBindAddress": f"127.0.0.1:{port}"}).start()
        agent.apply("web.yaml", daemon_set("web"))
        agent.wait_for(lambda: agent.pods_ready("web"), "web running")
        assert "Address already in use" in agent.log.read_text()

    def served():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
                return b"200 OK" in connection.recv(100)
        except OSError:
            return False

    agent.wait_for(served, "the port taken over")


def decisions(agent, **about):
    """[(message, {key: value})] of the log's lines about this object, in the order written."""
    lines = []
    for line in agent.log.read_text().splitlines():
        found = re.fullmatch(r'([DIWE])\d{4} [\d:.]+ +\d+ ([a-z_]+\.cc:\d+)\] "((?:[^"\\]|\\.)*)"(.*)', line)
        assert found, f"not klog's form: {line}"
        fields = dict(re.findall(r' (\w+)="((?:[^"\\]|\\.)*)"', found[4]))
        if found[1] != "D" and about.items() <= fields.items():
            lines.append((found[3], fields))
    return lines


def test_each_decision_is_one_line(agent):
    agent.apply("web.yaml", daemon_set("web"))
    first = agent.wait_for(lambda: agent.pods_ready("web"), "web running")[0]
    agent.apply("web.yaml", daemon_set("web", labels={"version": "2"}))
    second = agent.wait_for(lambda: [p for p in agent.pods_ready("web") or [] if p["name"] != first["name"]],
                            "web replaced")[0]
    agent.delete("web.yaml")
    agent.wait_for(lambda: not agent.pods(), "web gone")
    placed, *starts = decisions(agent, daemonSet="default/web")
    assert placed[0] == "placement of a DaemonSet" and placed[1]["verdict"] == "runs here"
    assert placed[1]["node"] == "node-1"
    assert [message for message, _ in starts] == ["starting pod", "starting pod"]
    assert [fields["pod"] for _, fields in starts] == [f"default/{pod['name']}" for pod in (first, second)]
    for pod in (first, second):
        told = decisions(agent, pod=f"default/{pod['name']}")
        assert [message for message, _ in told] == ["starting pod", "stopping pod", "pod is gone"]
        assert told[1][1]["reason"] and told[0][1]["source"].endswith("web.yaml")


def test_json_lines_have_the_keys_of_kubernetes(make_daemon):
    agent = make_daemon(config={"logging": {"format": "json", "level": "debug"}}).start()
    agent.apply("web.yaml", daemon_set("web"))
    agent.wait_for(lambda: agent.pods_ready("web"), "web running")
    lines = [json.loads(line) for line in agent.log.read_text().splitlines()]
    start = next(line for line in lines if line["msg"] == "starting pod")
    assert start["v"] == 0 and start["level"] == "info" and re.fullmatch(r"[a-z_]+\.cc:\d+", start["caller"])
    assert start["ts"] > 1.7e12, "milliseconds"
    assert start["daemonSet"] == "default/web"
    assert {line["v"] for line in lines if line["level"] == "debug"} == {4}


@contextlib.contextmanager
def prometheus(directory, targets):
    """A Prometheus with our alert rules that scrapes these; answers a function that asks its API."""
    port = free_port()
    config = {"global": {"scrape_interval": "1s"}, "rule_files": [str(ALERTS)],
              "scrape_configs": [{"job_name": "daemonsetd", "static_configs": [{"targets": targets}]}]}
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with open(directory / "prometheus.log", "wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None  # it has not begun yet, or says so with 503

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(20)


def test_a_prometheus_scrapes_it_and_takes_the_rules(make_daemon, tmp_path):
    target = f"127.0.0.1:{free_port()}"
    agent = make_daemon(config={"metricsBindAddress": target}).start()
    with prometheus(tmp_path, [target]) as ask:
        def scraped():
            found = (ask("targets") or {}).get("activeTargets", [])
            return [one for one in found if one["health"] != "unknown"]

        state, = agent.wait_for(scraped, "a scrape", 60)
        assert (state["health"], state["lastError"]) == ("up", "")
        agent.wait_for(lambda: ask("query?query=daemonsetd_node_name")["result"], "a series stored")
        series, = ask("query?query=daemonsetd_node_name")["result"]
        assert series["metric"]["node"] == "node-1"
        groups = ask("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) == ALERTS.read_text().count("- alert:")

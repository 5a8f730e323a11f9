"""Probes, hooks and resources on a real containerd: what the unit tests decide, seen from outside."""

import json
import time

from manifests import SLEEP, container, daemon_set


def ready_file(path="/tmp/ready"):
    return {"exec": {"command": ["test", "-e", path]}, "periodSeconds": 1, "failureThreshold": 1}


def reasons(agent):
    return [event["reason"] for event in agent.json("/v1/events")["items"]]


def test_readiness_is_kept_over_a_killed_agent(agent, runtime):
    agent.apply("gated.yaml", daemon_set("gated", [container(
        script="touch /tmp/ready; " + SLEEP, readinessProbe=ready_file(), startupProbe=ready_file())]))
    agent.wait_for(lambda: agent.pods_ready("gated"), "gated ready")
    before = [c.id for c in runtime.containers("gated-")]
    time.sleep(1)  # what is known reaches the disk a moment after it shows
    agent.kill()
    agent.start()
    assert agent.wait_for(lambda: agent.pods("gated"), "gated adopted")[0]["readyContainers"] == 1
    assert [c.id for c in runtime.containers("gated-")] == before


def test_a_failing_liveness_probe_restarts_the_container(agent):
    agent.apply("sick.yaml", daemon_set("sick", [container(livenessProbe=ready_file("/tmp/never"))]))
    agent.wait_for(lambda: (c := agent.container("sick", "main")) and c["restartCount"] >= 1, "a restart", 40)
    assert {"Unhealthy", "Killing"} <= set(reasons(agent))


def test_hooks_run_inside_the_containers_life(agent, tmp_path):
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo started >/out/hooks"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >>/out/hooks"]}}}
    agent.apply("hooked.yaml", daemon_set(
        "hooked", [container(lifecycle=hook, volumeMounts=[{"name": "out", "mountPath": "/out"}])],
        volumes=[{"name": "out", "hostPath": {"path": str(tmp_path)}}]))
    agent.wait_for(lambda: agent.pods_ready("hooked"), "hooked ready")
    assert (tmp_path / "hooks").read_text() == "started\n"
    agent.delete("hooked.yaml")
    agent.wait_for(lambda: not agent.pods("hooked"), "hooked gone")
    assert (tmp_path / "hooks").read_text() == "started\nstopping\n"


def test_memory_is_changed_under_the_running_container(agent, runtime):
    def limited(amount):
        return daemon_set("sized", [container(resources={"requests": {"cpu": "10m"}, "limits": {"memory": amount}})])

    agent.apply("sized.yaml", limited("64Mi"))
    agent.wait_for(lambda: agent.pods_ready("sized"), "sized ready")
    before = sorted((c.id, c.pid) for c in runtime.containers("sized-"))
    agent.apply("sized.yaml", limited("96Mi"))
    agent.wait_for(lambda: "ResizeCompleted" in reasons(agent), "the new limit")
    assert sorted((c.id, c.pid) for c in runtime.containers("sized-")) == before
    main = next(c for c in runtime.containers("sized-") if c.name == "main")
    spec = json.loads(runtime.ctr("containers", "info", main.id))["Spec"]
    assert spec["linux"]["resources"]["memory"]["limit"] == 96 << 20

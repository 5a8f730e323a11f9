"""Pods from their manifest to their end, on a real containerd."""

import json
import pathlib
import time

import quickstart
from manifests import container, daemon_set, static_pod


def logs_of(agent, pod, name="main"):
    """Text of the newest attempt's log, without CRI's time, stream and tag."""
    files = sorted(agent.pod_logs.glob(f"*_{pod['name']}_*/{name}/*.log"), key=lambda p: int(p.stem))
    return [line.split(" ", 3)[3] for line in files[-1].read_text().splitlines()] if files else []


def test_the_example_writes_and_collects_logs(agent):
    text = (pathlib.Path(quickstart.ROOT) / "examples" / "log-writer-and-collector.yaml").read_text()
    for old, new in (("/var/log/pods", str(agent.pod_logs)), ("/var/log/containers", str(agent.container_logs)),
                     ("docker.io/library/busybox:1.36", container()["image"])):
        text = text.replace(old, new)
    agent.apply("example.yaml", text)
    pod = agent.wait_for(lambda: agent.pods_ready("log-writer-and-collector"), "the example running", 40)[0]
    agent.wait_for(lambda: "line 3 from node-1" in "\n".join(logs_of(agent, pod, "collector")),
                   "the collector to see the writer's lines", 20)


def test_init_sidecar_and_main_start_in_order(agent, tmp_path):
    spec = daemon_set("ordered", [container("main", "ls /shared; " + container()["command"][2],
                                            volumeMounts=[{"name": "shared", "mountPath": "/shared"}])],
                      initContainers=[
                          container("first", "touch /shared/first",
                                    volumeMounts=[{"name": "shared", "mountPath": "/shared"}]),
                          container("side", "test -e /shared/first && touch /shared/side; " + container()["command"][2],
                                    restartPolicy="Always",
                                    volumeMounts=[{"name": "shared", "mountPath": "/shared"}]),
                          container("second", "until test -e /shared/side; do sleep 0.1; done; touch /shared/second",
                                    volumeMounts=[{"name": "shared", "mountPath": "/shared"}])],
                      volumes=[{"name": "shared", "emptyDir": {}}])
    agent.apply("ordered.yaml", spec)
    pod = agent.wait_for(lambda: next((p for p in agent.pods("ordered") if p["phase"] == "Running"
                                       and agent.container("ordered", "main")["ready"]), None), "main ready", 40)
    agent.wait_for(lambda: logs_of(agent, pod) == ["first", "second", "side"], "main to see what came before it")
    states = {c["name"]: c["state"] for c in agent.pods("ordered")[0]["containers"]}
    assert states == {"first": "Terminated", "side": "Running", "second": "Terminated", "main": "Running"}


def test_a_crash_loop_backs_off_and_says_so(make_daemon):
    agent = make_daemon(config={"crashLoopBackOff": {"initial": "2s", "max": "10s"}}).start()
    agent.apply("crash.yaml", daemon_set("crash", [container(script="exit 7")]))
    found = agent.wait_for(lambda: (c := agent.container("crash", "main")) and c["reason"] == "CrashLoopBackOff"
                           and c["restartCount"] >= 1 and c, "CrashLoopBackOff", 30)
    assert found["lastTermination"]["exitCode"] == 7
    assert agent.pods("crash")[0]["status"] == "CrashLoopBackOff"
    assert "CrashLoopBackOff" in agent.ctl("get", "pods")
    begin, count = time.monotonic(), found["restartCount"]
    agent.wait_for(lambda: agent.container("crash", "main")["restartCount"] >= count + 2, "two more restarts", 40)
    assert time.monotonic() - begin > 3, "restarts must wait longer each time"


def test_a_pod_stops_within_one_grace_period_even_if_it_ignores_the_signal(agent, runtime):
    deaf = "trap '' TERM; while :; do sleep 0.2; done"
    agent.apply("deaf.yaml", daemon_set("deaf", [container("a", deaf), container("b", deaf)],
                                        terminationGracePeriodSeconds=3))
    agent.wait_for(lambda: agent.pods_ready("deaf"), "deaf running")
    begin = time.monotonic()
    agent.delete("deaf.yaml")
    agent.wait_for(lambda: not runtime.containers("deaf-"), "deaf gone", 20)
    assert 2.5 < time.monotonic() - begin < 8, "both containers share one grace period, one after the other is 6 s"


def test_a_graceful_stop_lets_the_container_finish(agent, runtime, tmp_path):
    script = f"trap 'sleep 1; echo finished > {tmp_path}/mark; exit 0' TERM; while :; do sleep 0.1; done"
    agent.apply("polite.yaml", daemon_set(
        "polite", [container(script=script, volumeMounts=[{"name": "out", "mountPath": str(tmp_path)}])],
        terminationGracePeriodSeconds=20, volumes=[{"name": "out", "hostPath": {"path": str(tmp_path)}}]))
    agent.wait_for(lambda: agent.pods_ready("polite"), "polite running")
    agent.delete("polite.yaml")
    agent.wait_for(lambda: not runtime.containers("polite-"), "polite gone", 15)
    assert (tmp_path / "mark").read_text() == "finished\n"


def test_an_edited_manifest_replaces_the_pod_and_an_equal_one_does_not(agent, runtime):
    agent.apply("edit.yaml", daemon_set("edit"))
    before = agent.wait_for(lambda: agent.pods_ready("edit"), "edit running")[0]
    same = json.loads(json.dumps(daemon_set("edit")))
    same["spec"]["template"]["spec"]["restartPolicy"] = "Always"  # the default, written out
    agent.apply("edit.yaml", same)
    time.sleep(2)
    assert agent.pods_ready("edit")[0]["uid"] == before["uid"], "a default that is written out changes nothing"
    agent.apply("edit.yaml", daemon_set("edit", [container(env=[{"name": "NEW", "value": "1"}])]))
    agent.wait_for(lambda: (now := agent.pods_ready("edit")) and now[0]["uid"] != before["uid"], "a new pod", 30)
    assert not [c for c in runtime.containers("edit-") if c.uid == before["uid"]]


def test_a_removed_manifest_stops_its_pod_and_no_other(agent, runtime):
    for name in ("stays", "goes"):
        agent.apply(name + ".yaml", daemon_set(name))
    stays = agent.wait_for(lambda: agent.pods_ready("stays"), "stays running")[0]
    agent.wait_for(lambda: agent.pods_ready("goes"), "goes running")
    agent.delete("goes.yaml")
    agent.wait_for(lambda: not runtime.containers("goes-") and not agent.pods("goes"), "goes gone", 20)
    assert agent.pods_ready("stays")[0]["sandboxId"] == stays["sandboxId"]


def test_a_broken_manifest_keeps_the_old_pod_and_names_the_fault(agent):
    agent.apply("fragile.yaml", daemon_set("fragile"))
    before = agent.wait_for(lambda: agent.pods_ready("fragile"), "fragile running")[0]
    broken = daemon_set("fragile", [container(imagePullPolcy="Never")])
    agent.apply("fragile.yaml", broken)
    error = agent.wait_for(lambda: agent.json("/v1/status")["sources"]["manifests"]["errors"], "the error shown")[0]
    assert error["file"].endswith("fragile.yaml") and "imagePullPolcy" in error["text"]
    time.sleep(1)
    assert agent.pods_ready("fragile")[0]["sandboxId"] == before["sandboxId"]
    agent.apply("fragile.yaml", daemon_set("fragile"))
    agent.wait_for(lambda: not agent.json("/v1/status")["sources"]["manifests"]["errors"], "the error gone")
    assert agent.pods_ready("fragile")[0]["sandboxId"] == before["sandboxId"]


def test_text_that_is_no_manifest_harms_nobody(agent):
    agent.apply("good.yaml", daemon_set("good"))
    agent.apply("bad.yaml", "{{{ this: [is no yaml\n")
    agent.apply("notes.txt", "not a manifest by its name")
    agent.wait_for(lambda: agent.pods_ready("good"), "good running")
    errors = agent.wait_for(lambda: agent.json("/v1/status")["sources"]["manifests"]["errors"], "an error shown")
    assert [e["file"].rsplit("/", 1)[-1] for e in errors] == ["bad.yaml"]


def test_a_static_pod_runs_under_its_name_and_the_nodes(agent):
    agent.apply("static.yaml", static_pod("static"))
    pod = agent.wait_for(lambda: next((p for p in agent.pods() if p["name"] == "static-node-1"
                                       and p["phase"] == "Running"), None), "static-node-1 running")
    assert pod["containers"][0]["ready"]


def test_log_links_follow_the_containers(agent):
    agent.apply("linked.yaml", daemon_set("linked", [container(script="echo hello; " + container()["command"][2])]))
    pod = agent.wait_for(lambda: agent.pods_ready("linked"), "linked running")[0]
    identity = pod["containers"][0]["containerId"]
    link = agent.container_logs / f"{pod['name']}_default_main-{identity}.log"
    agent.wait_for(lambda: link.exists() and link.read_text(), f"{link.name} to lead to a log with a line")
    assert link.is_symlink() and link.read_text().rstrip().endswith("stdout F hello")
    assert "hello" in agent.ctl("logs", pod["name"])
    agent.delete("linked.yaml")
    agent.wait_for(lambda: not link.is_symlink(), "the link removed", 20)
    agent.wait_for(lambda: not list(agent.pod_logs.glob("*linked*")), "the log directory removed", 20)

"""What the agent tells of its doings, what it keeps over a restart, and the verbs that act: events, restart, top."""

import json
import stat
import subprocess

import pytest

from manifests import container, daemon_set, static_pod


def events(agent, **selection):
    query = "&".join(f"{key}={value}" for key, value in selection.items())
    return agent.json("/v1/events" + (f"?{query}" if query else ""))["items"]


def test_a_daemonset_s_events_tell_of_its_pods(agent):
    agent.apply("web.yaml", daemon_set("web"))
    pod = agent.wait_for(lambda: agent.pods_ready("web"), "web running")[0]
    created = agent.wait_for(lambda: events(agent, kind="DaemonSet", name="web"), "an event of the DaemonSet")[0]
    assert (created["type"], created["reason"]) == ("Normal", "SuccessfulCreate")
    assert created["message"] == f"Created pod: {pod['name']}"
    head, row = agent.ctl("events", "--for", "daemonset/web").splitlines()[:2]
    assert head.split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert row.split()[1:4] == ["Normal", "SuccessfulCreate", "DaemonSet/web"]
    described = agent.ctl("describe", "ds", "web")
    assert described.splitlines()[-1].split()[:2] == ["Normal", "SuccessfulCreate"]
    assert "Waits for:" in described


def test_a_stream_of_events_goes_on(agent):
    agent.apply("one.yaml", daemon_set("one"))
    agent.wait_for(lambda: events(agent, name="one"), "an event")
    command = [agent.ctl_program, "--socket", agent.socket, "events", "-w", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        try:
            first = json.loads(watch.stdout.readline())
            assert first["objectName"] == "one"
            agent.apply("two.yaml", daemon_set("two"))
            line = first
            while line["objectName"] != "two":
                line = json.loads(watch.stdout.readline())
        finally:
            watch.terminate()


def test_restart_of_a_daemonset_replaces_its_pod_gracefully(agent):
    agent.apply("web.yaml", daemon_set("web"))
    old = agent.wait_for(lambda: agent.pods_ready("web"), "web running")[0]
    assert agent.ctl("restart", "daemonset/web") == "daemonset.apps/web restarted\n"
    new = agent.wait_for(lambda: [p for p in agent.pods_ready("web") or [] if p["uid"] != old["uid"]], "the next pod")[0]
    assert new["name"] != old["name"]
    reasons = [e["reason"] for e in events(agent, kind="DaemonSet", name="web")]
    assert reasons == ["SuccessfulCreate", "SuccessfulDelete", "SuccessfulCreate"]


def test_restart_of_a_static_pod_runs_it_again(agent):
    agent.apply("solo.yaml", static_pod("solo"))

    def containers():
        return [c["containerId"] for p in agent.json("/v1/pods")["items"] if p["status"] == "Running"
                for c in p["containers"]]

    old = agent.wait_for(containers, "solo running")
    name = agent.json("/v1/pods")["items"][0]["name"]
    assert agent.ctl("restart", "pod/" + name) == f"pod/{name} restarted\n"
    agent.wait_for(lambda: containers() and containers() != old, "solo running anew")


def test_restart_of_what_is_not_here_says_so(agent):
    missing = agent.ctl("restart", "daemonset/none", check=False)
    assert missing.returncode == 3 and 'daemonset "none" not found' in missing.stderr
    agent.apply("ssd.yaml", daemon_set("ssd", nodeSelector={"disk": "ssd"}))
    agent.wait_for(lambda: agent.json("/v1/daemonsets")["items"], "the DaemonSet known")
    refused = agent.ctl("restart", "daemonset/ssd", check=False)
    assert refused.returncode == 1 and "has no pod to restart on this node" in refused.stderr


def test_top_measures_what_a_container_burns(agent):
    agent.apply("burn.yaml", daemon_set("burn", [container("busy", "while :; do :; done")]))
    pod = agent.wait_for(lambda: agent.pods_ready("burn"), "burn running")[0]
    head, row = agent.ctl("top", "pods").splitlines()
    assert head.split() == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    name, cpu, memory = row.split()
    assert name == pod["name"] and cpu.endswith("m") and int(cpu[:-1]) > 0 and memory.endswith("Mi")
    assert agent.ctl("top", "pods", "--containers").splitlines()[1].split()[:2] == [pod["name"], "busy"]
    node = agent.ctl("top", "node").splitlines()[1].split()
    assert node[0] == "node-1" and int(node[1][:-1]) > 0 and node[2].endswith("%")
    assert json.loads(agent.ctl("top", "pods", "-o", "json"))["items"][0]["containers"][0]["name"] == "busy"


def test_a_name_is_not_used_again_when_no_pod_was_left(agent):
    agent.apply("web.yaml", daemon_set("web"))
    first = agent.wait_for(lambda: agent.pods_ready("web"), "web running")[0]
    (agent.manifests / "web.yaml").unlink()
    agent.wait_for(lambda: not agent.json("/v1/pods")["items"], "web gone")
    agent.terminate()
    agent.start()
    agent.apply("web.yaml", daemon_set("web"))
    second = agent.wait_for(lambda: agent.pods_ready("web"), "web running again")[0]
    assert second["name"] != first["name"]


# OF-10: a damaged record is set aside, the agent runs, and says so.
def test_a_damaged_checkpoint_stops_nothing(agent):
    agent.apply("web.yaml", daemon_set("web"))
    before = agent.wait_for(lambda: agent.pods_ready("web"), "web running")[0]
    agent.terminate()
    checkpoint = agent.directory / "state" / "checkpoint"
    assert stat.S_IMODE(checkpoint.stat().st_mode) == 0o700
    records = list((checkpoint / "workloads").iterdir())
    assert records and all(stat.S_IMODE(record.stat().st_mode) == 0o600 for record in records)
    records[0].write_bytes(records[0].read_bytes()[:-3])
    (checkpoint / "pods" / "half.tmp").write_bytes(b"half")
    agent.start()
    after = agent.wait_for(lambda: agent.pods_ready("web"), "web adopted")[0]
    assert after["containers"] == before["containers"], "adopted, not restarted"
    warnings = agent.json("/v1/status")["warnings"]
    assert any(str(records[0]) in warning and "set aside" in warning for warning in warnings), warnings
    assert not (checkpoint / "pods" / "half.tmp").exists()
    # What the record said is known from the pod as well, and is written again.
    agent.wait_for(records[0].exists, "the record written again")


def test_a_full_disk_is_told_and_stops_nothing(make_daemon):
    agent = make_daemon()
    state = agent.directory / "state"
    state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", state], check=True)
    agent.start()
    filler = state / "filler"
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
        for _ in range(32):  # twice its size: were it another's disk, that one would not be filled
            file.write(b"x" * 4096)
    agent.apply("web.yaml", daemon_set("web"))
    agent.wait_for(lambda: agent.pods_ready("web"), "web running in spite of it")
    agent.wait_for(lambda: any("No space left" in w for w in agent.json("/v1/status")["warnings"]), "the warning")
    filler.unlink()
    agent.wait_for(lambda: not agent.json("/v1/status")["warnings"], "the warning gone")
    assert list((state / "checkpoint" / "workloads").iterdir())
    agent.terminate()
    subprocess.run(["umount", state], check=True)

"""DaemonSets of real projects on a real containerd, without an API server (tests/support/corpus.py tells what each
needs).

The manifests are not in the repository, so a fresh clone collects nothing here: a test of nothing would only look like
one. Name their directory in DAEMONSETD_CORPUS. Every image is replaced by a busybox that sleeps and answers probes;
everything else stays as its project wrote it, with the node's paths below a scratch directory.
"""

import contextlib
import json

import corpus
import pytest
from containerd import images
from manifests import SLEEP

RUN_SECONDS = 60
CASES = corpus.load() if corpus.DIRECTORY.is_dir() else []


def of(outcome):
    return [pytest.param(case, id=case.name) for case in CASES if case.outcome == outcome]


@contextlib.contextmanager
def deployed(make_daemon, case):
    """An agent on a node that has all that the DaemonSet asks a node for, and the DaemonSet applied."""
    spec = case.pod_spec
    agent = make_daemon(config={"nodeLabels": corpus.node_labels(spec), "nodeTaints": [],
                                "nodeAllocatable": corpus.resources(spec)})
    agent.write_config()
    with corpus.host_directory(agent.directory / "host") as host:
        manifest = corpus.with_stand_in(case, images.BUSYBOX_IMAGE, SLEEP, host)
        agent.start()
        agent.apply("daemonset.yaml", manifest)
        yield agent, manifest["metadata"]["name"], manifest["metadata"].get("namespace", "default")
        # What is mounted below `host` must not be in use any more.
        for file in agent.manifests.iterdir():
            file.unlink()
        agent.wait_for(lambda: not agent.pods(), "its pods to go with their manifest", RUN_SECONDS)


if CASES:
    @pytest.mark.parametrize("case", of("runs"))
    def test_runs(make_daemon, case):
        with deployed(make_daemon, case) as (agent, name, namespace):
            def running():
                return [p for p in agent.pods(name) if p["phase"] == "Running" and p["namespace"] == namespace]
            pod = agent.wait_for(running, f"{name} running", RUN_SECONDS)[0]
            assert pod["containersTotal"] == len(case.pod_spec["containers"]) + len(
                [c for c in case.pod_spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"])
            assert "runs here" in agent.ctl("explain", "-n", namespace, name)

    @pytest.mark.parametrize("case", of("waits"))
    def test_waits_and_says_for_what(make_daemon, case):
        with deployed(make_daemon, case) as (agent, name, namespace):
            def needed():
                messages = [p["message"] for p in agent.pods(name) if p["message"]]
                return [(m, n) for m in messages for n in case.needs if n in m]
            message, need = agent.wait_for(needed, f"{name} to say that it waits for {' or '.join(case.needs)}")[0]
            pod = agent.pods(name)[0]
            assert pod["phase"] == "Pending" and message
            assert need in agent.ctl("describe", "pod", "-n", namespace, pod["name"])
            assert need in agent.ctl("explain", "-n", namespace, name)

    @pytest.mark.parametrize("case", of("elsewhere"))
    def test_is_for_other_nodes_and_says_why(make_daemon, case):
        with deployed(make_daemon, case) as (agent, name, namespace):
            agent.wait_for(lambda: agent.json("/v1/daemonsets")["items"], "the DaemonSet to be read")
            assert agent.pods(name) == []
            explained = agent.ctl("explain", "-n", namespace, name)
            assert "kubernetes.io/os" in explained and "windows" in explained

    @pytest.mark.parametrize("case", of("refused"))
    def test_is_refused_with_the_place(agent, case):
        agent.apply("daemonset.yaml", json.dumps(case.manifest, default=str))
        errors = agent.wait_for(lambda: agent.json("/v1/status")["sources"]["manifests"].get("errors"), "an error")
        assert "daemonset.yaml" in errors[0]["file"] and errors[0]["message"]
        assert agent.pods() == []

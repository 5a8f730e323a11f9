"""DaemonSets of real projects, with the other objects of their files, on a real API server and one node.

Where they are found, and what stands in for their images, is told by tests/support/corpus.py; a fresh clone collects
nothing here, as in tests/e2e/test_corpus.py. Everything else is as its project wrote it, requests too, and the Node has
the labels that they ask for. corpus_expected.yaml holds all that does not simply run: what the server refuses, what a
pod waits for because its file does not bring it, and what is not supported. It is exact.

    python3 -m pytest tests/cluster/test_corpus.py -k calico      (only the selected ones are applied)
"""

import collections
import dataclasses
import pathlib
import re

import pytest
import yaml

import corpus
from cluster_node import ClusterNode, grant_access
from conftest import BUILD, RIGHTS, new_cluster
from corpus_run import CorpusRun

CASES = corpus.load() if corpus.DIRECTORY.is_dir() else []
EXPECTED = yaml.safe_load((pathlib.Path(__file__).parent / "corpus_expected.yaml").read_text())
KIND = "2"
CONFIG = {"nodeAllocatable": {"hugepages-2Mi": "8Gi"}}  # the node of a test has none
REFUSED = re.compile(r'"the API server did not take a write.*write="([^"]+)" err="(.* \(HTTP 4\d\d .*)"$', re.M)


@pytest.fixture(scope="module")
def run(runtimes, request):
    """The run of the selected DaemonSets: (CorpusRun, {name: Outcome}, the agent's log)."""
    selected = {item.callspec.params["case"].name for item in request.session.items
                if item.fspath == request.fspath and hasattr(item, "callspec")}
    cases = [with_handler(case, "runc") for case in CASES if case.name in selected or not selected]
    with new_cluster(controller_manager=True) as instance:
        grant_access(instance, RIGHTS)
        node = ClusterNode(instance, "node-corpus", runtimes.take(KIND), BUILD, **CONFIG)
        try:
            node.start()
            with corpus.host_directory(node.agent.directory / "host") as host:
                corpus_run = CorpusRun(instance, node, host, provided=EXPECTED["provided"],
                                       final={name: entry["says"] for name, entry in EXPECTED["never"].items()})
                outcomes = corpus_run.all(cases)
            log = node.agent.log.read_text()
        finally:
            left = node.take_away()
            runtimes.give_back(node.runtime)
        corpus_run.left += left
        yield corpus_run, outcomes, log
        summarize(outcomes)
        resisted = instance.stop()
    assert resisted == [], "the control plane left this behind"


def with_handler(case, handler):
    """No containerd here has the handler of a vendor's RuntimeClass."""
    companions = tuple({**companion, "handler": handler} if companion["kind"] == "RuntimeClass" else companion
                       for companion in case.companions)
    return dataclasses.replace(case, companions=companions)


def summarize(outcomes):
    found = outcomes.values()
    waited = collections.Counter(thing.split()[0] for outcome in found for thing in outcome.waited)
    print(f"\n{len(outcomes)} DaemonSets: {sum(o.phase == 'Running' for o in found)} Running, "
          f"{sum(o.ready for o in found)} Ready; {sum(bool(o.waited) for o in found)} had waited for {dict(waited)}")


if CASES:
    @pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
    def test_outcome(run, case):
        outcome = run[1][case.name]
        refused = EXPECTED["refused"].get(case.name, {})
        assert sorted(outcome.refused) == sorted(refused), outcome.refused
        for thing, entry in refused.items():
            assert entry["says"] in outcome.refused[thing]
        assert sorted(outcome.waited) == sorted(EXPECTED["provided"].get(case.name, {})), str(outcome)
        if never := EXPECTED["never"].get(case.name):
            assert outcome.phase in ("", "Pending") and never["says"] in outcome.says, str(outcome)
        elif case.outcome == "elsewhere":
            assert outcome.phase == "" and "kubernetes.io/os=windows: the node has" in outcome.says, str(outcome)
        elif "DaemonSet" not in refused:
            assert outcome.ready and outcome.says == "", str(outcome)
        assert outcome.lost == []

    def test_nothing_is_left_of_deleted_daemon_sets(run):
        assert run[0].left == []

    def test_the_server_refuses_nothing_that_the_agent_writes(run):
        """Except pods whose service account is missing."""
        refused = [(write, words) for write, words in REFUSED.findall(run[2])
                   if not (write.startswith("create pod") and re.search(r"serviceaccount .* not found", words))]
        assert refused == []

    def test_every_expectation_is_about_a_daemon_set(run):
        known = {case.name for case in CASES}
        assert [name for section in EXPECTED.values() for name in section if name not in known] == []

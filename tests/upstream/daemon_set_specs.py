#!/usr/bin/env python3
"""Runs upstream's end-to-end specs of DaemonSets, unchanged, on three nodes of ours:

    daemon_set_specs.py [--only REGEX]      (as root; ./dev e2e builds what it needs)

A control plane without a DaemonSet controller and a scheduler, three private containerds, a daemonsetd on each, and
upstream's e2e.test, all in a network namespace of its own. Prints one line for each spec and a count at the end.

expected_failures.json names the specs that cannot pass yet: why, and a text that their failure has. Exits with 1 when
another spec fails, when one of these fails with another text, and when one of these passes: then its entry must go.
--only runs the specs whose name has a match. What the programs said stays in build/upstream/. DAEMONSETD_BUILD names
the build to test, build/asan by default.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import containerd  # noqa: E402
import go_tools  # noqa: E402
import process_tree  # noqa: E402
from cluster import Cluster, die_with_parent  # noqa: E402
from cluster_node import ClusterNode, Runtimes, grant_access  # noqa: E402
from containerd import images  # noqa: E402

BUILD = pathlib.Path(os.environ.get("DAEMONSETD_BUILD", ROOT / "build" / "asan"))
RIGHTS = ROOT / "packaging" / "kubernetes"
RESULTS = ROOT / "build" / "upstream"
EXPECTED_FAILURES = HERE / "expected_failures.json"
NODES = {"node-a": "system", "node-b": "2", "node-c": "2"}  # and the kind of its containerd
FOCUS = r"\[sig-apps\] Daemon set "
SPECS_TIMEOUT = "3h"  # one that waits in vain does so for five minutes, and its clean-up may take as long


@dataclasses.dataclass(frozen=True)
class Spec:
    name: str  # what it should do, without upstream's labels
    seconds: float
    failure: str  # all of what it says; empty when it passed

    @property
    def reason(self):
        return next((line.strip() for line in self.failure.splitlines() if line.strip()), "")


def read_report(path):
    """(the specs that ran, what failed around them) of the JUnit report; it also names thousands that did not run."""
    specs, problems = [], []
    for case in xml.parse(path).getroot().iter("testcase"):
        failed = case.find("failure") if case.find("failure") is not None else case.find("error")
        failure = "" if failed is None else f"{failed.get('message') or ''}\n{failed.text or ''}".strip() or "no reason"
        if case.get("name").startswith("[It]"):
            if case.find("skipped") is None:
                specs.append(Spec(plain(case.get("name")), float(case.get("time")), failure))
        elif failure:
            problems.append(f"{case.get('name')}: {failure.splitlines()[0]}")
    return specs, problems


def plain(name):
    return " ".join(re.sub(r"\[[^\]]*\]", " ", name).split()).removeprefix("Daemon set ")


def judge(specs, expected):
    """(lines to print, what is not as it must be) for specs that ran and the failures to expect."""
    lines, problems = [], []
    for spec in specs:
        known = expected.get(spec.name)
        if known and not spec.failure:
            problems.append(f"'{spec.name}' passes; take it out of {EXPECTED_FAILURES.name}")
        elif known and known["failure"] not in spec.failure:
            problems.append(f"'{spec.name}' was expected to fail with '{known['failure']}', not so")
        elif spec.failure and not known:
            problems.append(f"'{spec.name}' failed")
        lines.append(f"{'FAILED' if spec.failure else 'passed'} {spec.seconds:4.0f} s  {spec.name}")
        if spec.failure:
            lines.append(f"               {spec.reason}")
        if spec.failure and known:
            lines.append(f"               expected: {known['why']}")
    return lines, problems


def unknown_expectations(expected, known_names):
    return [f"{EXPECTED_FAILURES.name} names '{name}', which is no spec of upstream's" for name in expected
            if name not in known_names]


class E2e:
    """Upstream's program."""

    def __init__(self):
        self._directory = go_tools.built("kubernetes-e2e")
        self._program = self._directory / "e2e.test"

    def images(self):
        """The archives of the images that the specs run, by the names that they have there."""
        references = [name for name in self._says("--list-images").split() if "/e2e-test-images/agnhost:" in name]
        return images.build_agnhost(containerd.images_directory(), self._directory / "agnhost", references)

    def spec_names(self):
        """Of all specs that FOCUS means."""
        return {plain(name) for name in re.findall(f"{FOCUS}.*", self._says("--list-tests"))}

    def run(self, cluster, only, report, log):
        """Runs the specs; answers the exit code."""
        command = [self._program, f"--ginkgo.focus={FOCUS}.*(?:{only})", "--ginkgo.v", "--ginkgo.no-color",
                   f"--ginkgo.timeout={SPECS_TIMEOUT}", f"--ginkgo.junit-report={report}", "--provider=skeleton",
                   f"--kubeconfig={cluster.admin_kubeconfig}", f"--e2e-output-dir={cluster.directory}",
                   f"--kubectl-path={go_tools.built('kubernetes') / 'kubectl'}"]
        with open(log, "wb") as output:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                  cwd=cluster.directory, preexec_fn=die_with_parent).returncode

    def _says(self, flag):
        return subprocess.run([self._program, flag], check=True, capture_output=True, text=True).stdout


def run_specs(e2e, only):
    """(the specs that ran, what went wrong besides them)."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    report, log = RESULTS / "junit.xml", RESULTS / "specs.log"
    left, nodes, runtimes = [], [], Runtimes()
    cluster = Cluster(tempfile.mkdtemp(prefix="dsd-cluster-", dir="/tmp"), controller_manager=True)
    with cluster, contextlib.ExitStack() as stack:  # every part is taken away, also when another one resists
        stack.callback(lambda: [print(f"left behind: {line}") for line in left])
        stack.callback(lambda: left.extend(cluster.stop()))
        stack.callback(lambda: left.extend(runtimes.stop()))
        grant_access(cluster, RIGHTS)
        archives = e2e.images()
        for name, kind in NODES.items():
            runtime = runtimes.take(kind)
            runtime.import_images(archives)
            # The specs compute by upstream's rule where pods should be, and want nodes without a taint.
            node = ClusterNode(cluster, name, runtime, BUILD, nodeTaints=[])
            nodes.append(node)
            stack.callback(lambda node=node: left.extend(node.take_away()))
            node.start()
        stack.callback(keep_logs, cluster, nodes)
        cluster.wait_for(lambda: not any(node.object()["spec"].get("taints") for node in nodes),
                         "no node has the taint of a new node any more")
        print(f"upstream's specs run; follow them in {log}", flush=True)
        code = e2e.run(cluster, only, report, log)
    if not report.exists():
        return [], [f"e2e.test ended with {code} and no report:\n{containerd.tail(log)}"]
    specs, around = read_report(report)
    if code != 0 and not around and not any(spec.failure for spec in specs):
        around = [f"e2e.test ended with {code}:\n{containerd.tail(log)}"]
    return specs, ["something was left behind"] * bool(left) + around


def keep_logs(cluster, nodes):
    logs = {process.name: process.log for process in cluster.processes} | {node.name: node.agent.log for node in nodes}
    for name, log in logs.items():
        with contextlib.suppress(OSError):  # it did not come to that
            shutil.copy(log, RESULTS / f"{name}.log")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", metavar="REGEX", default="", help="run the specs whose name has a match")
    only = arguments.parse_args().only
    expected = json.loads(EXPECTED_FAILURES.read_text())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is cut off takes its nodes away too
    containerd.enter_private_network()
    process_tree.adopt_orphans()
    e2e = E2e()
    problems = unknown_expectations(expected, e2e.spec_names())
    specs, more = run_specs(e2e, only)
    lines, unexpected = judge(specs, expected)
    problems += more + unexpected + ["no spec ran"] * (not specs)
    failed = [spec for spec in specs if spec.failure]
    for line in lines:
        print(line)
    for problem in problems:
        print(f"not as it must be: {problem}")
    print(f"{len(specs) - len(failed)} passed, {len(failed)} failed, {sum(spec.name in expected for spec in failed)} of "
          f"them as {EXPECTED_FAILURES.name} has it; logs and report are in {RESULTS.relative_to(ROOT)}/")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("daemon_set_specs.py: cut off")
    except (containerd.HarnessError, go_tools.ToolError) as error:
        sys.exit(f"daemon_set_specs.py: {error}")

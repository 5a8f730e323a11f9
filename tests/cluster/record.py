#!/usr/bin/env python3
"""Records what a real API server says in protobuf, for the unit tests of our client:

    python3 tests/cluster/record.py      (as root; `tests/support/go_tools.py kubernetes` first)

rewrites tests/unit/kube/testdata/cluster/: one file for the body of each answer, and README.md, which says what was
asked and what the status was. UIDs, times and resource versions differ from one recording to the next; a test of this
folder fails when a status or a media type does.
"""

import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "cluster")]
import cluster as cluster_module  # noqa: E402
import containerd as containerd_module  # noqa: E402
import go_tools  # noqa: E402
from cluster_client import PROTOBUF, PROTOBUF_WATCH  # noqa: E402
from objects import daemon_set, node  # noqa: E402

TARGET = ROOT / "tests" / "unit" / "kube" / "testdata" / "cluster"
NODES = "/api/v1/nodes"
DAEMON_SETS = "/apis/apps/v1/namespaces/recorded/daemonsets"
INITIAL = {"allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan", "sendInitialEvents": "true"}


class Recorder:
    def __init__(self, cluster, target):
        self._cluster = cluster
        self._target = target
        self._lines = []

    def answer(self, name, what, method, path, *, client=None, **options):
        """Keeps the body of one answer."""
        answer = (client or self._cluster.client()).request(method, path, accept=PROTOBUF, **options)
        return self._keep(name, what, f"{method} {path}", options.get("query"), answer.status, answer.content_type,
                          answer.body)

    def watch(self, name, what, path, query, then=None):
        """Keeps a whole watch; `then(stream)` runs while it is open."""
        with self._cluster.client().watch(path, query=query, accept=PROTOBUF_WATCH) as stream:
            if then:
                then(stream)
            stream.read_to_end()
        query = {"watch": "true", **query}
        return self._keep(name, what, f"GET {path}", query, 200, stream.content_type, bytes(stream.raw))

    def _keep(self, name, what, request, query, status, content_type, body):
        (self._target / f"{name}.bin").write_bytes(body)
        varying = {"continue": "…", "resourceVersion": "…"}
        parameters = "&".join(f"{key}={varying.get(key, value)}" for key, value in (query or {}).items())
        self._lines.append(f"| {name}.bin | {what} | `{request}{'?' + parameters if parameters else ''}` | {status} | "
                           f"{content_type} |\n")
        return body

    def finish(self):
        (self._target / "README.md").write_text(
            "# Answers of a real API server\n\n"
            f"Bodies as kube-apiserver {go_tools.version('kubernetes')} sent them, without the chunks of HTTP. "
            "Recorded by `python3 tests/cluster/record.py`.\n\n"
            "| File | What | Request | Status | Content-Type |\n|---|---|---|---|---|\n" + "".join(self._lines))


def record(cluster, target):
    """Fills the directory `target`. The cluster is a new one of the caller's, and is restarted."""
    client, recorder = cluster.client(), Recorder(cluster, target)
    for name in ("node-1", "node-2", "node-3"):
        client.create(NODES, node(name, zone="a"))
    cluster.kubectl("create", "namespace", "recorded")
    cluster.apply(daemon_set("recorded", "agent"),
                  daemon_set("recorded", "logger", updateStrategy={"type": "OnDelete"}))

    recorder.answer("node_list_page", "the first of two pages, with a continue token", "GET", NODES, query={"limit": 2})
    recorder.answer("node_list_empty", "a list of nothing", "GET", NODES, query={"labelSelector": "none=such"})
    recorder.answer("daemon_set", "an object", "GET", f"{DAEMON_SETS}/agent")
    recorder.watch("watch_daemon_sets", "two initial events, their end, MODIFIED, DELETED, ADDED, bookmarks near the end",
                   DAEMON_SETS, {**INITIAL, "timeoutSeconds": 4}, then=lambda stream: change(client, stream))
    recorder.watch("watch_nothing", "initial events of an empty collection: only the bookmark that ends them",
                   "/apis/apps/v1/namespaces/default/daemonsets", {**INITIAL, "timeoutSeconds": 1})

    recorder.answer("status_404", "no such object", "GET", f"{DAEMON_SETS}/none")
    recorder.answer("status_404_kind", "no such resource", "GET", "/apis/apps/v1/nothing")
    recorder.answer("status_403", "the user may not", "GET", f"{DAEMON_SETS}/agent",
                    client=cluster.client(cluster.node_kubeconfig("node-1")))
    recorder.answer("status_409_exists", "the object exists", "POST", DAEMON_SETS, body=daemon_set("recorded", "agent"))
    outdated = client.get(f"{DAEMON_SETS}/agent")
    client.patch(f"{DAEMON_SETS}/agent", {"metadata": {"labels": {"changed": "again"}}})
    recorder.answer("status_409_conflict", "the object was changed since it was read", "PUT", f"{DAEMON_SETS}/agent",
                    body=outdated)
    recorder.answer("status_422", "the object is invalid", "POST", DAEMON_SETS,
                    body=daemon_set("recorded", "invalid", minReadySeconds=-1))
    recorder.answer("status_400", "the parameter is invalid", "GET", DAEMON_SETS, query={"resourceVersion": "new"})
    recorder.answer("status_deleted", "the answer to a deletion", "DELETE", f"{DAEMON_SETS}/logger")

    page = client.get(NODES, query={"limit": 2})
    cluster.forget_history()
    recorder.answer("status_410_page", "a page whose list is older than what the server knows", "GET", NODES,
                    query={"limit": 2, "continue": page["metadata"]["continue"]})
    recorder.watch("watch_410", "a watch from before what the server knows: one ERROR", NODES,
                   {"resourceVersion": page["metadata"]["resourceVersion"], "timeoutSeconds": 1})
    recorder.finish()


def change(client, stream):
    stream.read_until(lambda: len(stream.frames()) >= 3, "the initial events")
    client.patch(f"{DAEMON_SETS}/agent", {"metadata": {"labels": {"changed": "once"}}})
    client.delete(f"{DAEMON_SETS}/logger")
    client.create(DAEMON_SETS, daemon_set("recorded", "logger"))


def main():
    containerd_module.enter_private_network()
    with tempfile.TemporaryDirectory(prefix="dsd-record-", dir="/tmp") as work:
        target = pathlib.Path(work, "recorded")
        target.mkdir()
        with cluster_module.Cluster(f"{work}/cluster") as cluster:
            record(cluster, target)
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(target, TARGET)
    for path in sorted(TARGET.iterdir()):
        print(f"{path.stat().st_size:6} {path.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except containerd_module.HarnessError as error:
        sys.exit(f"record.py: {error}")

#!/usr/bin/env python3
"""soak.py BUILD [MINUTES] [--output FILE]: two hours in the life of a node, and whether it is as it was.

A real API server with etcd and a node of 40 pods on a containerd 2: with probes of all kinds, with crash loops, with
logs that are rotated, with objects that change, with updates. `./dev bench --soak` builds what it needs. It judges:
memory and file descriptors must stay flat, and every container that started again must have had a reason, by what the
containers themselves wrote down. Ends with 1 and the reasons where it is not so.
"""

import argparse
import collections
import contextlib
import datetime
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("support", "e2e", "cluster")]
import containerd  # noqa: E402
import grpc_health  # noqa: E402
import process_tree  # noqa: E402
import soak_results  # noqa: E402
import soak_samples  # noqa: E402
from cluster import Cluster  # noqa: E402
from cluster_client import ApiError  # noqa: E402
from cluster_node import ClusterNode, Runtimes, grant_access  # noqa: E402
from containerd import HarnessError, images  # noqa: E402
from daemon import DaemonError  # noqa: E402
from objects import config_map  # noqa: E402
from registry import Registry  # noqa: E402
from soak_pods import Diary, Pods  # noqa: E402
from space import Space  # noqa: E402
from workloads import secret  # noqa: E402

MINUTES = 120
SAMPLE_SECONDS = 10
REPORT_SECONDS = 60
READY_SECONDS = 300
SETTLE_SECONDS = 120
UPDATED = ("rolling", "surge", "pulled")
STUCK = 4  # updates; an outage of the API server delays two
LOG_LINES = 12
# The agent keeps a thousand Events, and a pod has six in its life. In this part of the warm-up so many pods come and go
# that they are a thousand before memory is judged.
CHURN_PART, CHURN_SECONDS = 0.7, 3
UNKNOWN = datetime.timedelta(seconds=30)  # after containerd is back, until it has told of all that it lost
SPACE = "soak"
RIGHTS = ROOT / "packaging" / "kubernetes"
CONFIG = {"crashLoopBackOff": {"initial": "10s", "max": "60s"}, "containerLogMaxSize": "256Ki",
          "containerLogMaxFiles": 3,
          # Below what any disk is filled: each image that nothing needs any more is removed, if a registry has it.
          "imageGCHighThresholdPercent": 1, "imageGCLowThresholdPercent": 0, "pinnedImages": [images.BUSYBOX_IMAGE]}
READS = (("get", "status"), ("get", "pods", "-A", "-o", "wide"), ("get", "ds", "-A"), ("top", "pods"), ("events",),
         ("get", "node"), ("describe", "ds", "http-0", "-n", SPACE), ("logs", "{logs-0}", "-n", SPACE, "--tail", "20"),
         ("explain", "rolling", "-n", SPACE), ("get", "pods", "-A", "-o", "json"))


class Soak:
    def __init__(self, build, seconds):
        self.seconds = seconds
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-soak-", dir="/tmp"))
        self.changes = collections.Counter()  # by owner: how often its pods were to be replaced
        self.done = collections.Counter()  # by action
        self.notes, self.faults, self.samples = [], [], []
        self.unexplained = {}
        self.tokens = set()
        self.node = None
        self._build = build
        self._reads = itertools.cycle(READS)
        self._stack = contextlib.ExitStack()
        self._suspects = set()
        self._behind = collections.Counter()  # by owner: how many updates in a row were not finished when the next came
        self._absences = []  # [begin, end] of those of containerd
        self._outage = None  # of the API server, while it lasts
        self._whole = False  # the node and its pods

    def start(self):
        stack = self._stack
        stack.callback(self._sweep)
        self.registry = stack.enter_context(Registry())
        runtimes = Runtimes()
        stack.callback(lambda: self._left(runtimes.stop()))
        self.cluster = Cluster(self.directory / "cluster", controller_manager=True)
        stack.callback(lambda: self._left(self.cluster.stop()))
        self.cluster.start()
        grant_access(self.cluster, RIGHTS)
        self.node = ClusterNode(self.cluster, "node-soak", runtimes.take("2"), self._build, **CONFIG)
        stack.callback(self._take_node_away)
        self.health = grpc_health.Server(self.node.address)
        stack.callback(self.health.close)
        diary = self.directory / "diary"
        diary.mkdir(mode=0o777)
        self.pods = Pods(diary, self.health.port)
        self.diary = Diary(diary, self.pods.expected)
        self.node.start()
        self.cluster.client().create("/api/v1/namespaces", {"metadata": {"name": SPACE}})
        self.space = Space(self.cluster, SPACE, [self.node])
        self._whole = True
        self.set_objects()
        self.set_image(self.pods.manifest("pulled")["spec"]["template"]["spec"])
        for name, manifest in self.pods.static.items():
            self.node.agent.apply(name, self._here(manifest))
        self.space.apply(*self.pods.manifests)
        self.node.agent.wait_for(lambda: not self.unready(), "the pods are Ready", READY_SECONDS)
        self.sampler = soak_samples.Sampler(self.node)
        return len(self.pods.manifests) + len(self.pods.static)

    def unready(self):
        """Owners without a pod that is Ready; those do not count that end by themselves now and then."""
        ready = {self.owner_of(pod) for pod in self.node.agent.pods()
                 if pod["phase"] == "Running" and pod["readyContainers"] == pod["containersTotal"]}
        return sorted({owner for owner, _ in self.pods.expected} - self.pods.restarting - ready)

    def owner_of(self, pod):
        """A static pod's own name has the node's at its end."""
        return pod["ownerName"].removesuffix(f"-{self.node.name}")

    # What happens

    def script(self):
        """[(seconds after the start, name, action)]"""
        return [*((at * self.seconds, name, action) for name, action, parts in (
                    ("restarts of the API server", self.restart_api_server, (0.2, 0.5, 0.8)),
                    ("restarts of containerd", self.restart_containerd, (0.3, 0.65)),
                    ("reloads of the agent", self.reload, (0.1, 0.4, 0.7, 0.9))) for at in parts),
                *((at, name, action) for name, action, first, period in (
                    ("changes of objects", self.change_objects, 30, 60),
                    ("updates, maxUnavailable", lambda: self.update("rolling"), 20, 120),
                    ("updates, maxSurge", lambda: self.update("surge"), 80, 120),
                    ("DaemonSets made again", self.make_again, 50, 180),
                    ("images replaced", self.replace_image, 40, 300),
                    ("manifests changed", self.change_manifest, 70, 240),
                    ("reads of daemonsetctl", self.read, 5, 15)) for at in range(first, int(self.seconds), period)),
                *((at, "pods deleted", self.delete_pod) for at in range(
                    0, int(soak_samples.warm_up(self.seconds) * CHURN_PART), CHURN_SECONDS))]

    def run(self):
        begin = time.monotonic()
        due = sorted(self.script(), key=lambda entry: entry[0])
        next_sample = next_report = 0
        while (now := time.monotonic() - begin) < self.seconds:
            if self.node.agent.exited():
                raise DaemonError(f"the agent ended:\n{self.node.log_tail()}")
            if self._outage and not self._outage.is_alive():
                self._end_outage()
            while due and due[0][0] <= now and not self._outage:
                self._act(*due.pop(0)[1:])
            if now >= next_sample:
                self._sample()
                next_sample = now + SAMPLE_SECONDS
            if now >= next_report:
                self.report(now)
                next_report = now + REPORT_SECONDS
            time.sleep(0.5)
        self._end_outage()
        self.look_for_restarts()
        self._settle()

    def _settle(self):
        """Time for what is under way at the end."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while unsettled := self.unready() + list(filter(self._unfinished_status, UPDATED)):
            if time.monotonic() > deadline:
                return self.fault(f"not ready or not updated at the end: {', '.join(unsettled)}")
            time.sleep(1)

    def _sample(self):
        try:
            self.samples.append(self.sampler.take())
        except (HarnessError, OSError, subprocess.SubprocessError) as error:
            self.note(f"no sample: {str(error).splitlines()[0][:300]}")

    def _act(self, name, action):
        try:
            action()
            self.done[name] += 1
        except (ApiError, HarnessError, DaemonError, OSError, ValueError, subprocess.SubprocessError) as error:
            self.note(f"{name}: {str(error).splitlines()[0][:300]}")

    def note(self, text):
        self.notes.append(f"{time.strftime('%H:%M:%S')} {text}")
        print(f"soak: {self.notes[-1]}", flush=True)

    def fault(self, text):
        """What makes the run fail."""
        self.faults.append(text)
        self.note(f"FAULT {text}")

    def restart_api_server(self):
        """Its end takes a minute for the sake of those that watch; samples are taken meanwhile, all else waits."""
        self.note("the API server is stopped")
        self._outage = threading.Thread(target=self.cluster.stop_apiserver, daemon=True)
        self._outage.start()

    def _end_outage(self):
        if self._outage:
            self._outage.join()
            self._outage = None
            self.cluster.start_apiserver()  # not in that thread: the server would end with it
            self.note("the API server is back")

    def restart_containerd(self):
        self.note("containerd is stopped")
        self._absences.append([datetime.datetime.now(datetime.timezone.utc)])
        self.node.runtime.terminate()
        self.node.runtime.start()
        self._absences[-1].append(datetime.datetime.now(datetime.timezone.utc) + UNKNOWN)
        self.note("containerd is back")

    def reload(self):
        self.node.agent.config["nodeLabels"] = {"soak": str(self.done["reloads of the agent"])}
        self.node.agent.write_config()
        os.kill(self.node.agent.pid, signal.SIGHUP)

    def set_objects(self):
        number = str(self.done["changes of objects"] + 1)
        self.space.apply(config_map(SPACE, "settings", number=number), secret("keys", word=number))

    def change_objects(self):
        """The files must have what was set the last time, or something is slow."""
        late = []
        for pod in self.node.agent.pods():
            if self.owner_of(pod).startswith("objects-"):
                data = self.node.agent.pod_root / "pods" / pod["uid"] / "volumes"
                for file in ("number", "word", "token"):
                    for path in data.glob(f"*/data/{file}"):
                        text = path.read_text()
                        if file == "token":
                            self.tokens.add(hashlib.sha256(text.encode()).hexdigest())
                        elif text != str(self.done["changes of objects"]):
                            late.append(f"{pod['name']}/{file} is {text}")
        if late and self.done["changes of objects"]:
            self.note(f"files that are not up to date after the {self.done['changes of objects']}th change: {late}")
        self.set_objects()

    def update(self, name):
        self._rolled_out(name)
        self.changes[name] += 1
        template = {"metadata": {"annotations": {"soak": str(self.changes[name])}}}
        self.space.patch("daemonsets", name, {"spec": {"template": template}}, "apps/v1")

    def _rolled_out(self, name):
        status = self._unfinished_status(name)
        self._behind[name] = self._behind[name] + 1 if status else 0
        if status:
            self.note(f"the last update of {name} is not finished: {status}")
        if self._behind[name] == STUCK:
            self.fault(f"{name}: the last {STUCK} updates did not come to an end")

    def _unfinished_status(self, name):
        """None when the newest template runs."""
        found = self.space.daemon_set(name)
        status = found.get("status", {})
        numbers = [status.get(key) for key in ("observedGeneration", "updatedNumberScheduled", "numberAvailable")]
        return None if numbers == [found["metadata"]["generation"], 1, 1] else status

    def make_again(self):
        self.changes["again"] += 1
        self.space.kubectl("delete", "ds", "again", "--wait=false")
        self.space.wait_for(lambda: not self.space.daemon_set("again"), "the DaemonSet is gone")
        self.space.apply(self.pods.manifest("again"))

    def set_image(self, spec):
        archive = containerd.images_directory() / "busybox.tar"
        spec["containers"][0]["image"] = self.registry.put(f"soak:{self.changes['pulled']}", archive)

    def replace_image(self):
        self._rolled_out("pulled")
        self.changes["pulled"] += 1
        manifest = self.pods.manifest("pulled")
        self.set_image(manifest["spec"]["template"]["spec"])
        self.space.apply(manifest)

    def change_manifest(self):
        """Of a static pod; it is a new pod."""
        self.changes["static-0"] += 1
        manifest = json.loads(json.dumps(self.pods.static["static-0.json"]))
        manifest["metadata"]["annotations"] = {"soak": str(self.changes["static-0"])}
        self.node.agent.apply("static-0.json", self._here(manifest))

    def delete_pod(self):
        self.changes["deleted"] += 1
        for pod in self.node.agent.pods("deleted"):
            self.cluster.client().delete(f"{self.space.path('v1', 'pods')}/{pod['name']}", absent=None)

    def read(self):
        words = next(self._reads)
        pods = {self.owner_of(pod): pod["name"] for pod in self.node.agent.pods()}
        self.node.ctl(*(pods.get(word.strip("{}"), word) if word.startswith("{") else word for word in words))

    def _here(self, manifest):
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": SPACE}}

    # What is seen of it

    def look_for_restarts(self):
        """How many have their reason, by kind; notes those that have none."""
        pods = self.node.agent.pods()  # before the diary: who counts a start there has written it here
        explained, unexplained = self.diary.judge(self.changes)
        for pod in pods:
            for container in pod.get("containers", []):
                unexplained.update(self._strange(pod, container))
        for key, text in unexplained.items():
            if key not in self.unexplained:
                self.unexplained[key] = text
                self.note(f"UNEXPLAINED {text}\n{self._log_about(text)}")
        return explained

    def _strange(self, pod, container):
        """What the agent says of a container and its diary does not."""
        owner, name, uid = self.owner_of(pod), container["name"], pod["uid"]
        count, starts = container.get("restartCount", 0), self.diary.starts(owner, name, uid)
        if count > max(0, starts - 1):
            if (owner, name, uid, count) in self._suspects:  # its program has had time to begin
                yield (owner, name, uid, "count", count), (
                    f"{owner}: container {name} of pod {uid} has restart count {count} and began {starts} times")
            self._suspects.add((owner, name, uid, count))
        last, wanted = container.get("lastTermination"), self.pods.expected[owner, name].code
        if last and last.get("exitCode", 0) != wanted and not self._unknown(last):
            yield (owner, name, uid, last["containerId"]), (
                f"{owner}: container {name} of pod {uid} ended with {last.get('exitCode', 0)}, {last.get('reason')}, "
                f"and not with {wanted}")

    def _unknown(self, termination):
        """It ended while containerd was away, which then says 255 when it finds no shim to ask."""
        finished = datetime.datetime.fromisoformat(termination["finishedAt"])
        return termination.get("reason") == "Unknown" and any(
            absence[0] <= finished <= absence[-1] for absence in self._absences)

    def _log_about(self, text):
        """The agent's last lines about the owner that `text` begins with."""
        owner = text.split(":")[0]
        found = [line for line in self.node.agent.log.read_text(errors="replace").splitlines()
                 if re.search(rf"\b{re.escape(owner)}\b", line)]
        return "\n".join("    " + line[:400] for line in found[-LOG_LINES:])

    def report(self, now):
        explained = self.look_for_restarts()
        last = self.samples[-1]
        restarts = explained["exits"] + explained["fails its probe"]
        print(f"{now / 60:4.0f} min  private {last['private_mib']:5.2f} MiB  fds {last['fds']}  "
              f"cpu {last['cpu_seconds']:.1f} s  restarts {restarts}  unexplained {len(self.unexplained)}", flush=True)

    # The end

    def end(self):
        """Takes the pods away; what stays then should not."""
        self._whole = False
        self._left(self.space.take_away())
        agent = self.node.agent
        deadline = time.monotonic() + REPORT_SECONDS
        while left := [str(path) for folder in (agent.pod_root / "pods", agent.pod_logs, agent.container_logs)
                       if folder.is_dir() for path in folder.iterdir()]:
            if time.monotonic() > deadline:
                return self._left([f"{path} stayed" for path in left])
            time.sleep(1)

    def _left(self, lines):
        for line in lines:
            self.fault(f"left behind: {line}")

    def close(self):
        """Also after a run that was cut off."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        with self._stack:
            if self._whole and self.node.agent.running():
                self.end()

    def _take_node_away(self):
        try:
            self._left(self.node.take_away())
        except DaemonError as error:
            self.fault(str(error).splitlines()[0])

    def _sweep(self):
        """When nothing runs any more: what an agent that failed has left."""
        if self.node and self.node.agent.directory.exists():
            left = self.node.agent.unmount()
            self._left(left)
            if not left:
                shutil.rmtree(self.node.agent.directory, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def warnings(self):
        """How often the agent warned, by place and words."""
        found = collections.Counter(re.findall(r'^[WE]\d{4} \S+ +\d+ (\S+\] "[^"]*")',
                                               self.node.agent.log.read_text(errors="replace"), re.M))
        return dict(found.most_common())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("minutes", type=float, nargs="?", default=MINUTES)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench-soak.json")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is cut off takes its node away too
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which nohup and a shell's & would ignore
    containerd.enter_private_network()
    process_tree.adopt_orphans()
    soak = Soak(arguments.build.resolve(), arguments.minutes * 60)
    found = None
    try:
        count = soak.start()
        print(f"soak: {count} pods run; agent {soak.node.agent.pid}, {soak.directory}", flush=True)
        soak.run()
        soak.end()
        found = soak_results.result(soak, count)
    except KeyboardInterrupt:
        sys.exit("soak: cut off")
    finally:
        soak.close()
        if found:
            found.update(notes=soak.notes, faults=soak.faults)  # with those of its end
            arguments.output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(soak_results.table(found))
    if reasons := soak_results.failures(found):
        sys.exit("soak: not as it should be:\n" + "\n".join(reasons))


if __name__ == "__main__":
    main()

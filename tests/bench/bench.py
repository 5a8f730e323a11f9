#!/usr/bin/env python3
"""bench.py BUILD [--idle SECONDS] [--output FILE]: the raw CRI floor and daemonsetd, side by side on one containerd.

Runs below tests/support/with-containerd (`./dev bench` does that). Prints a table with ratios and writes FILE
(build/bench-containerd-VERSION.json). It measures and never judges: budgets are in the table for the reader, not as a test.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "e2e")]
import containerd  # noqa: E402
import daemon  # noqa: E402
from manifests import SLEEP, daemon_set, container  # noqa: E402
from processes import context_switches, cpu_seconds, memory  # noqa: E402
from tables import columns  # noqa: E402

MANY = 30
PARALLEL = (1, 2, 4, 8)
ROUNDS_OF_ONE = 5
ROUNDS_OF_MANY = 5
WAIT_SECONDS = 120


def floor(build, directory, count, parallel):
    program = build / "tests" / "bench" / "raw_cri_floor"
    run = subprocess.run([program, os.environ["DAEMONSETD_TEST_RUNTIME_ENDPOINT"], os.environ["DAEMONSETD_TEST_IMAGE"],
                          SLEEP, str(count), str(parallel), directory / "floor"],
                         check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)


def manifest(index):
    return daemon_set(f"bench-{index}", [container()], terminationGracePeriodSeconds=1)


def count_running(agent):
    counts = json.loads(agent.get("/v1/status")[1] or "{}").get("counts", {})
    return counts.get("podsReady", 0)


def entries(directory):
    """How many there are. Looking costs the daemon nothing, so only a status that is expected is asked for."""
    return len(os.listdir(directory)) if directory.exists() else 0


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: not within {WAIT_SECONDS} s: {what}")
        time.sleep(0.005)


def apply(agent, count):
    """Seconds from the first manifest's rename to `count` pods ready."""
    begin = time.monotonic()
    for index in range(count):
        agent.apply(f"bench-{index}.json", manifest(index))
    wait_until(lambda: entries(agent.container_logs) == count == count_running(agent), f"{count} pods ready")
    return time.monotonic() - begin


def delete(agent, count):
    """Seconds from the first manifest's removal until the daemon knows no pod; its last step is removing sandboxes."""
    begin = time.monotonic()
    for index in range(count):
        agent.delete(f"bench-{index}.json")
    wait_until(lambda: not entries(agent.pod_root / "pods") and agent.get("/v1/pods")[0] == 200 and not agent.pods(),
               "no pod left")
    return time.monotonic() - begin


def idle(agent, runtime, seconds):
    pids = {"daemonsetd": agent.pid, "containerd": runtime.pid}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    wakeups = context_switches(agent.pid)
    time.sleep(seconds)
    used = {name: round(cpu_seconds(pid) - before[name], 3) for name, pid in pids.items()}
    return {"seconds": seconds, "cpu_seconds": used,
            "voluntary_switches": context_switches(agent.pid) - wakeups}


def adoption(agent, runtime, count):
    """Seconds from the start of a new agent after SIGKILL until it is ready and knows `count` running pods."""
    before = sorted((c.id, c.pid) for c in runtime.containers())
    agent.kill()
    begin = time.monotonic()
    agent.start(wait=False)
    wait_until(lambda: agent.ready() and count_running(agent) == count, f"{count} pods adopted")
    seconds = time.monotonic() - begin
    time.sleep(2)
    after = sorted((c.id, c.pid) for c in runtime.containers())
    return {"seconds": seconds, "containers_changed": len(set(before) ^ set(after))}


def median(values):
    return round(statistics.median(values), 4)


def measure(build, idle_seconds):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-bench-", dir="/tmp"))
    runtime = containerd.Containerd(os.environ["DAEMONSETD_TEST_CONTAINERD_DIRECTORY"],
                                    kind=os.environ["DAEMONSETD_TEST_CONTAINERD"])
    agent = daemon.Daemon(directory / "agent", build, runtime.endpoint)
    try:
        version = floor(build, directory, 2, 2)["runtime"]  # warm-up: page cache, containerd's first shim
        agent.start()
        apply(agent, 1)
        delete(agent, 1)
        one, many = [], []
        for _ in range(ROUNDS_OF_ONE):  # interleaved, so that what else the machine does hits both
            raw = floor(build, directory, 1, 1)
            one.append((raw["start_seconds"], raw["remove_seconds"], apply(agent, 1), delete(agent, 1)))
        for _ in range(ROUNDS_OF_MANY):
            raws = [floor(build, directory, MANY, parallel) for parallel in PARALLEL]
            many.append((min(r["start_seconds"] for r in raws), min(r["remove_seconds"] for r in raws),
                         apply(agent, MANY), delete(agent, MANY)))
        apply(agent, MANY)
        result = {
            "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "containerd": version},
            "one": dict(zip(("floor_start", "floor_remove", "apply_to_ready", "delete"), map(median, zip(*one)))),
            "many": {"count": MANY, **dict(zip(("floor_start", "floor_remove", "apply_to_ready", "delete"),
                                               map(median, zip(*many))))},
            "adoption": adoption(agent, runtime, MANY),
        }
        time.sleep(15)  # so that what adoption set off is over, and memory given back
        result["memory"] = memory(agent.pid)
        result["idle"] = idle(agent, runtime, idle_seconds)
        delete(agent, MANY)
        return result
    finally:
        if agent.running():
            agent.terminate()
        agent.unmount()
        subprocess.run(["rm", "-rf", "--one-file-system", directory], check=True)


def table(result):
    def start_ratio(group):
        return f"{group['apply_to_ready'] / group['floor_start']:.2f}"

    def delete_ratio(group):
        return f"{group['delete'] / group['floor_remove']:.2f}"

    one, many, cpu = result["one"], result["many"], result["idle"]["cpu_seconds"]
    rows = [
        ("apply → ready, 1 DaemonSet", f"{one['apply_to_ready']:.3f} s", f"{one['floor_start']:.3f} s",
         start_ratio(one), "≤ 1.25"),
        (f"apply → ready, {MANY} DaemonSets", f"{many['apply_to_ready']:.2f} s", f"{many['floor_start']:.2f} s",
         start_ratio(many), "≤ 1.2"),
        ("delete, 1 DaemonSet", f"{one['delete']:.3f} s", f"{one['floor_remove']:.3f} s", delete_ratio(one), "–"),
        (f"delete, {MANY} DaemonSets", f"{many['delete']:.2f} s", f"{many['floor_remove']:.2f} s", delete_ratio(many),
         "≤ 1.2"),
        (f"restart → {MANY} pods adopted", f"{result['adoption']['seconds']:.3f} s", "–", "–", "≤ 0.3 s"),
        ("containers changed by it", str(result["adoption"]["containers_changed"]), "–", "–", "0"),
        ("resident memory", f"{result['memory']['rss_mib']:.1f} MiB", "–", "–", "≤ 20 MiB"),
        ("private memory", f"{result['memory']['private_mib']:.1f} MiB", "–", "–", "≤ 6 MiB"),
        (f"CPU in {result['idle']['seconds']} idle seconds", f"{cpu['daemonsetd']:.2f} s", "–", "–", "≤ 0.05 s"),
        ("the same, containerd", f"{cpu['containerd']:.2f} s", "–", "–", "–"),
    ]
    head = (result["machine"]["containerd"], "daemonsetd", "raw CRI floor", "ratio", "budget")
    return columns([head, *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--idle", type=int, default=60)
    parser.add_argument("--output", type=pathlib.Path, help="default: build/bench-containerd-VERSION.json")
    arguments = parser.parse_args()
    if "DAEMONSETD_TEST_RUNTIME_ENDPOINT" not in os.environ:
        sys.exit("bench: run it as ./dev bench, or below tests/support/with-containerd")
    output = arguments.output or (
        ROOT / "build" / f"bench-containerd-{os.environ['DAEMONSETD_TEST_CONTAINERD_VERSION']}.json")
    result = measure(arguments.build.resolve(), arguments.idle)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()

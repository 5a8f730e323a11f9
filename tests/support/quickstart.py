#!/usr/bin/env python3
"""quickstart.py up BUILD | down: the part of `./dev up` and `./dev down` that runs as root after everything is built.

Everything lives in one directory, $DAEMONSETD_UP_DIRECTORY or ~/.cache/daemonsetd/up: a private containerd, the manifests,
logs, pod files and the socket. The machine's own containerd, /var/log and /var/lib are not touched.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import containerd  # noqa: E402
import daemon  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = "log-writer-and-collector"
RUNNING_SECONDS = 60


def up_directory():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "daemonsetd" / "up"
    return pathlib.Path(os.environ.get("DAEMONSETD_UP_DIRECTORY", default)).resolve()


def step(what, action):
    begin = time.monotonic()
    print(f"{what:<52} ", end="", flush=True)
    answer = action()
    print(f"{time.monotonic() - begin:6.1f} s", flush=True)
    return answer


def place_examples(directory):
    """Copies examples/, with the log directories and the image replaced by those of this private installation. What is
    there stays: somebody may have edited it to see what happens."""
    manifests = directory / "manifests"
    manifests.mkdir(parents=True, exist_ok=True)
    replacements = {
        "/var/log/pods": str(directory / "daemonsetd/log/pods"),
        "/var/log/containers": str(directory / "daemonsetd/log/containers"),
        "docker.io/library/busybox:1.36": containerd.images.BUSYBOX_IMAGE,
    }
    for example in sorted((ROOT / "examples").glob("*.yaml")):
        target = manifests / example.name
        if target.exists():
            continue
        text = example.read_text()
        for old, new in replacements.items():
            text = text.replace(old, new)
        temporary = target.with_suffix(".new")  # not a manifest's suffix, so never read half
        temporary.write_text(text)
        temporary.rename(target)
    return manifests


def up(build):
    directory = up_directory()
    runtime = containerd.Containerd(directory / "containerd", bridge="dsd-up0", subnet="10.214.0.0/16")
    agent = daemon.Daemon(directory / "daemonsetd", build, runtime.endpoint, node_name="quickstart")
    if runtime.running():
        print("private containerd is running already")
    else:
        step("start a private containerd, import the images", runtime.start)
    agent.manifests = place_examples(directory)
    if agent.running() and agent.older_than_its_program():
        step("stop the old daemonsetd (containers keep running)", agent.terminate)
    if agent.running():
        print("daemonsetd is running already")
    else:
        step("start daemonsetd on examples/", agent.start)
    step(f"wait until DaemonSet {EXAMPLE} is running",
         lambda: agent.wait_for(lambda: agent.pods_ready(EXAMPLE), f"pod of {EXAMPLE} running and ready", RUNNING_SECONDS))
    time.sleep(2)  # so that the log below has something to show
    show(["daemonsetctl", "get", "pods"], agent.ctl("get", "pods"))
    pod = agent.pods(EXAMPLE)[0]["name"]
    show(["daemonsetctl", "logs", pod, "-c", "collector", "--tail=3"],
         agent.ctl("logs", pod, "-c", "collector", "--tail=3"))
    ctl = f"{agent.ctl_program} --socket {agent.socket}"
    print(f"""
Look further:
  ctl="{ctl}"
  $ctl get daemonsets        $ctl describe pod {pod}
  $ctl explain {EXAMPLE}        $ctl logs {pod} -c writer -f
Change something: edit or add a manifest in
  {agent.manifests}
The daemon's own log: {agent.log}
Stop and remove everything: ./dev down""")


def show(command, output):
    print("\n$ " + " ".join(command))
    print(output.rstrip())


def down():
    directory = up_directory()
    if not directory.exists():
        print("nothing is up")
        return
    runtime = containerd.Containerd(directory / "containerd", bridge="dsd-up0", subnet="10.214.0.0/16")
    agent = daemon.Daemon(directory / "daemonsetd", None, runtime.endpoint)
    if agent.running():
        step("stop daemonsetd", agent.terminate)
    problems = step("stop containerd and its pods, remove the files",
                    lambda: containerd.remove(runtime.directory, bridge=runtime.bridge))
    problems += agent.unmount()
    if problems:
        sys.exit("./dev down: not everything could be removed:\n  " + "\n  ".join(problems))
    shutil.rmtree(directory)


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["up"] and len(sys.argv) == 3:
            up(pathlib.Path(sys.argv[2]).resolve())
        elif sys.argv[1:] == ["down"]:
            down()
        else:
            sys.exit(__doc__)
    except (containerd.HarnessError, daemon.DaemonError) as error:
        sys.exit(f"\n./dev {sys.argv[1]}: {error}")

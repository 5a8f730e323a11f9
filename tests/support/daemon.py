"""A daemonsetd process in directories of its own, and what its Unix socket says."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import cgroups
import containerd
import process_tree
import unit_sandbox

READY_SECONDS = 30
STOP_SECONDS = 20
REQUEST_SECONDS = 10
# How full the disk of the machine is that runs the tests is none of their business.
SIGNALS = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
NO_EVICTION = dict.fromkeys(SIGNALS, "0%")


class DaemonError(Exception):
    """The daemon did not do what was waited for; the text ends with the tail of its log."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=REQUEST_SECONDS)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Daemon:
    """With `unit`, a unit file, the process gets what that grants a service and no more; a call of the kernel that the
    unit does not name ends it (Bad system call)."""

    def __init__(self, directory, build, endpoint, *, node_name="node-1", config=None, unit=None):
        self.directory = pathlib.Path(directory).resolve()
        self.build = build
        self.manifests = self.directory / "manifests"
        self.pod_root = self.directory / "pods"
        self.pod_logs = self.directory / "log" / "pods"
        self.container_logs = self.directory / "log" / "containers"
        self.socket = self.directory / "daemonsetd.sock"
        self.log = self.directory / "daemonsetd.log"
        self.config_file = self.directory / "config.yaml"
        self._pid_file = self.directory / "daemonsetd.pid"
        self._endpoint = endpoint
        self._node_name = node_name
        self.config = config or {}  # keys on top of those that move every directory here
        self.cgroup_root = "/" + "-".join(self.directory.parts[1:])
        self._unit = unit
        self._process = None
        if unit:
            self._share_mounts()

    # The process

    @property
    def program(self):
        return self._program("daemonsetd")

    @property
    def ctl_program(self):
        return self._program("daemonsetctl")

    def _program(self, name):
        for folder in ("agent", "agent/ctl", "."):
            path = pathlib.Path(self.build, folder, name)
            if path.is_file():
                return path
        raise DaemonError(f"{name} is not built below {self.build}; run ./dev build")

    @property
    def pid(self):
        return int(self._pid_file.read_text())

    def running(self):
        try:
            return process_tree.alive(self.pid) and str(self.config_file) in process_tree.command_of(self.pid, 4096)
        except (OSError, ValueError):
            return False

    def exited(self):
        """The process that `start` made has ended. Right after that it need not be the daemon's program yet."""
        return self._process is not None and self._process.poll() is not None

    def older_than_its_program(self):
        return self._pid_file.stat().st_mtime < self.program.stat().st_mtime

    def write_config(self):
        for path in (self.directory, self.manifests):
            path.mkdir(parents=True, exist_ok=True)
        keys = {
            "apiVersion": "daemonsetd.dev/v1alpha1",
            "kind": "DaemonsetdConfiguration",
            "nodeName": self._node_name,
            "manifestDirectory": str(self.manifests),
            "runtimeEndpoint": self._endpoint,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup_root,
            "podRoot": str(self.pod_root),
            "stateDirectory": str(self.directory / "state"),
            "logDirectory": str(self.pod_logs),
            "containerLogDirectory": str(self.container_logs),
            "socketPath": str(self.socket),
            "socketGroup": "",
            "evictionHard": NO_EVICTION,
            **self.config,
        }
        # JSON is YAML, and spares the tests a YAML library.
        self.config_file.write_text(json.dumps({k: v for k, v in keys.items() if v is not None}, indent=2) + "\n")

    def start(self, *flags, wait=True, launcher=()):
        """`launcher`: a program and its arguments that become daemonsetd, as unshare does."""
        self.write_config()
        if self._unit:
            self._share_mounts()
            launcher = [*launcher, *unit_sandbox.launcher(self._unit, self.program)]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen([*launcher, self.program, "--config", self.config_file, *flags],
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._pid_file.write_text(f"{self._process.pid}\n")
        if wait:
            self.wait_for(self.ready, "/readyz to answer 200", READY_SECONDS)
        return self

    def _share_mounts(self):
        """As systemd does with the whole tree at boot: what the daemon mounts must reach the runtime, and without the
        right to look at its namespace a shared mount is the daemon's only proof of it."""
        if not self._mounts():  # it would hide what is mounted below
            subprocess.run(["mount", "--bind", self.directory, self.directory], check=True)
            subprocess.run(["mount", "--make-shared", self.directory], check=True)

    def _mounts(self):
        """Of the directory itself, and below."""
        return [path for path in containerd.mounts_below(self.directory.parent) if path.is_relative_to(self.directory)]

    def ready(self):
        return self.get("/readyz")[0] == 200

    def kill(self):
        self._end(signal.SIGKILL)

    def terminate(self):
        """SIGTERM; containers keep running. Answers the exit code, None for a process started by someone else."""
        return self._end(signal.SIGTERM)

    def _end(self, number):
        pid = self._process.pid if self._process else self.pid
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it ended by itself; the exit code below tells
        if self._process:
            try:
                return self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise DaemonError(f"daemonsetd did not end within {STOP_SECONDS} s after "
                                  f"{signal.Signals(number).name}:\n{self.log_tail()}") from None
        process_tree.wait_for_end([pid], STOP_SECONDS)
        if self.running():
            raise DaemonError(f"daemonsetd (process {pid}) did not end within {STOP_SECONDS} s")
        return None

    def check(self, *flags):
        """Runs the daemon to its end, for a configuration that it must refuse: (exit code, everything it printed)."""
        result = subprocess.run([self.program, "--config", self.config_file, *flags], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=STOP_SECONDS)
        return result.returncode, result.stdout + result.stderr

    def stray_cgroups(self):
        """What must not be there once its pods are gone."""
        return [f"cgroup {group} stayed" for group in cgroups.pods_below(self.cgroup_root)]

    def unmount(self):
        """Unmounts what a killed daemon left below its directory, and takes its cgroups away; answers what resisted."""
        for mount in sorted(self._mounts(), key=lambda p: len(p.parts), reverse=True):
            subprocess.run(["umount", mount], capture_output=True)
        return [f"mount {mount} could not be unmounted" for mount in self._mounts()] + cgroups.remove(self.cgroup_root)

    def log_tail(self, lines=40):
        return containerd.tail(self.log, lines)

    # What it says

    def get(self, target, method="GET"):
        """(status, body text); (0, reason) while nobody listens."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def json(self, target):
        status, body = self.get(target)
        if status != 200:
            raise DaemonError(f"GET {target} answered {status}: {body}\n{self.log_tail()}")
        return json.loads(body)

    def ctl(self, *arguments, check=True):
        result = subprocess.run([self.ctl_program, "--socket", self.socket, *arguments], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=REQUEST_SECONDS)
        if check and result.returncode != 0:
            raise DaemonError(f"daemonsetctl {' '.join(arguments)} ended with {result.returncode}: {result.stderr}")
        return result.stdout if check else result

    def pods(self, owner=None):
        """Items of /v1/pods whose DaemonSet or static pod has the name `owner`; [] while nobody answers."""
        status, body = self.get("/v1/pods")
        items = json.loads(body).get("items", []) if status == 200 else []
        return [pod for pod in items if owner is None or pod["ownerName"] == owner]

    def pods_ready(self, owner, count=1):
        ready = [p for p in self.pods(owner)
                 if p["phase"] == "Running" and p["readyContainers"] == p["containersTotal"] > 0]
        return ready if len(ready) == count else None

    def container(self, owner, name):
        """The container summary of the only pod of `owner`, or None."""
        pods = self.pods(owner)
        return next((c for pod in pods for c in pod["containers"] if c["name"] == name), None) if len(pods) == 1 else None

    def wait_for(self, condition, what, seconds=30):
        """Polls until `condition` answers something true, and answers it."""
        deadline = time.monotonic() + seconds
        while True:
            answer = condition()
            if answer:
                return answer
            if self._process and self._process.poll() is not None:
                raise DaemonError(f"daemonsetd ended with {self._process.returncode} while waiting for {what}:\n"
                                  f"{self.log_tail()}")
            if time.monotonic() > deadline:
                pods = json.dumps(self.pods(), indent=1)[:4000]
                raise DaemonError(f"not within {seconds} s: {what}\npods: {pods}\nlog:\n{self.log_tail()}")
            time.sleep(0.05)

    # Manifests

    def apply(self, name, manifest):
        """Writes a manifest (an object, or text that need not be valid) in one step, as an editor that renames does."""
        self.manifests.mkdir(parents=True, exist_ok=True)
        text = manifest if isinstance(manifest, str) else json.dumps(manifest, indent=2)
        target = self.manifests / name
        temporary = self.manifests / ("." + name + ".new")
        temporary.write_text(text)
        temporary.rename(target)
        return target

    def delete(self, name):
        (self.manifests / name).unlink()


def metric(text, name):
    """The sum of a metric's samples in Prometheus' text form, None when it is not there."""
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+-]+)$", text, re.M)
    return sum(map(float, values)) if values else None

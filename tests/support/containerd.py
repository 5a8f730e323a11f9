"""A private containerd: its own root, state, sockets, CNI network and images, all below one directory.

There are two of them: `system`, the one in PATH (Debian 12: 1.6, without container events), and `2`, the version that
tests/support/tools pins (with events). Each runs with its own shim and ctr.

Used by tests/support/with-containerd, the end-to-end tests, the benchmark and `./dev up`. The containerd of the system
is never spoken to. Everything started here is ended by process ID and found by its directory, so nothing else on the
machine can be hit, and a containerd whose owner was killed can still be cleaned away (`remove`).

One thing cannot be moved below the directory: containerd compiles in /run/containerd/s for the sockets of its shims.
Their names are hashes, so they never clash with those of another containerd; they are removed at the end.
"""

import base64
import ctypes
import dataclasses
import fcntl
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "images"))
import build as images  # noqa: E402  (tests/support/images/build.py)
import go_tools  # noqa: E402
import process_tree  # noqa: E402

START_SECONDS = 60
STOP_SECONDS = 30
TASK_ATTEMPTS = 5
CTR_SECONDS = 60
NAMESPACE = "k8s.io"  # containerd's namespace for everything that CRI makes
REMOVED = rb'Remove\w+ \\"([0-9a-f]{64})\\" returns successfully'  # in the log of either kind
SHIM_SOCKETS = pathlib.Path("/run/containerd/s")


KINDS = ("system", "2")


class HarnessError(Exception):
    """The harness itself failed; the text says what a person can do."""


def programs_path(kind):
    """PATH for everything that belongs to this kind of containerd: its programs come first, the shim among them."""
    if kind == "system":
        return os.environ["PATH"]
    if kind not in KINDS:
        raise HarnessError(f"unknown kind of containerd '{kind}'; choose {' or '.join(KINDS)}")
    try:
        return f"{go_tools.built('containerd')}:{os.environ['PATH']}"
    except go_tools.ToolError as error:
        raise HarnessError(str(error)) from None


def version_of(kind):
    """Like "2.4.2"; what `containerd --version` says."""
    path = programs_path(kind)
    binary = shutil.which("containerd", path=path)
    if not binary:
        raise HarnessError("containerd is missing; install the Debian package containerd, or run ./dev install-deps")
    text = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"\bv?(\d+\.\d+\.\d+)", text).group(1)


@dataclasses.dataclass(frozen=True)
class Container:
    """A sandbox or container as containerd holds it. `pid` is 0 and `running` false once it has ended."""

    id: str
    kind: str  # "sandbox" or "container"
    namespace: str
    pod: str
    uid: str
    name: str  # empty for a sandbox
    attempt: int
    status: str  # of its task, in containerd's words
    running: bool
    pid: int


class Containerd:
    def __init__(self, directory, *, kind="system", bridge="dsd-test0", subnet="10.213.0.0/16", snapshotter=None):
        self.directory = pathlib.Path(directory).resolve()
        self.socket = self.directory / "containerd.sock"
        if len(str(self.socket)) > 90:
            raise HarnessError(f"{self.socket} is too long for a Unix socket; choose a shorter directory")
        self.log = self.directory / "containerd.log"
        self.bridge = bridge
        self._subnet = subnet
        self._snapshotter = snapshotter or default_snapshotter(self.directory)
        self.kind = kind
        self._process = None
        self._details = {}  # container ID → what never changes about it
        self._removed, self._log_read = set(), 0

    # Start and stop

    @functools.cached_property
    def version(self):
        return version_of(self.kind)

    @functools.cached_property
    def _path(self):
        return programs_path(self.kind)

    def _program(self, name):
        return shutil.which(name, path=self._path)

    @property
    def endpoint(self):
        return f"unix://{self.socket}"

    @property
    def pid(self):
        return int((self.directory / "containerd.pid").read_text())

    def running(self):
        try:
            return process_tree.alive(self.pid) and str(self.directory) in process_tree.command_of(self.pid, 4096) and self._answers()
        except (OSError, ValueError):
            return False

    def environment(self):
        """What tests/contract, the end-to-end tests and the benchmark read."""
        return {
            "DAEMONSETD_TEST_RUNTIME_ENDPOINT": self.endpoint,
            "DAEMONSETD_TEST_IMAGE": images.BUSYBOX_IMAGE,
            "DAEMONSETD_TEST_PAUSE_IMAGE": images.PAUSE_IMAGE,
            "DAEMONSETD_TEST_CONTAINERD": self.kind,
            "DAEMONSETD_TEST_CONTAINERD_DIRECTORY": str(self.directory),
            "DAEMONSETD_TEST_CONTAINERD_VERSION": self.version,
        }

    def start(self):
        """Starts containerd and waits until CRI answers with both images. Also after `kill`: the pods are kept."""
        for tool, package in (("containerd", "containerd"), ("containerd-shim-runc-v2", "containerd"),
                              ("ctr", "containerd"), ("runc", "runc"),
                              ("/usr/lib/cni/bridge", "containernetworking-plugins")):
            if not self._program(tool):
                raise HarnessError(f"{tool} is missing; install the Debian package {package}, or run ./dev install-deps")
        if os.geteuid() != 0:
            raise HarnessError("a private containerd needs root; run it with sudo")
        self._write_configuration()
        self.socket.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [self._program("containerd"), "--config", self.directory / "config.toml"],
                env={**os.environ, "PATH": self._path},  # where containerd looks for its shim
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (self.directory / "containerd.pid").write_text(f"{self._process.pid}\n")
        archives = images.build(images_directory())
        self._wait(time.monotonic() + START_SECONDS, "answer on its socket", self._answers)
        self.import_images(archives)
        return self

    def import_images(self, archives):
        """Those of {reference: archive} that it lacks, until CRI has them."""
        known = self._managed_images()
        for reference, archive in archives.items():
            if reference not in known:
                self.ctr("images", "import", str(archive))
        self._wait(time.monotonic() + START_SECONDS, "show the imported images through CRI",
                   lambda: set(archives) <= self._managed_images())

    def kill(self):
        """SIGKILL, as the out-of-memory killer would; shims and containers go on."""
        self._end(signal.SIGKILL)

    def terminate(self):
        """SIGTERM, as an upgrade of the package would; shims and containers go on."""
        self._end(signal.SIGTERM)

    def leftovers(self):
        """What whoever used this containerd should have taken away and did not, one line each."""
        found = []
        for container in self.containers():
            name = f"{container.namespace}/{container.pod} {container.name}".rstrip()
            found.append(f"{container.kind} {container.id[:13]} of pod {name} was not removed")
        if not found:  # each of these follows from a pod that is still there
            own = (self.directory / "root", self.directory / "state")
            for mount in mounts_below(self.directory):
                if not any(mount.is_relative_to(path) for path in own):
                    found.append(f"mount {mount} was not unmounted")
            for address in (self.directory / "ipam").glob("*/*.*.*.*"):
                found.append(f"address {address.name} was not given back: CNI DEL did not run")
        return found

    def stop(self):
        """Ends containerd, shims and containers, removes every trace; answers what resisted, one line each."""
        if self._process and self._process.poll() is None:
            self.terminate()
        self._process = None
        return remove(self.directory, bridge=self.bridge)

    # Look inside

    def ctr(self, *arguments, check=True):
        result = subprocess.run([self._program("ctr"), "--address", self.socket, "--namespace", NAMESPACE, *arguments],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CTR_SECONDS)
        if check and result.returncode != 0:
            raise HarnessError(f"ctr {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def containers(self, pod=None):
        """All sandboxes and containers that CRI knows, of the pods whose name begins with `pod` if given."""
        tasks = self._tasks()
        found = []
        removed = self._removed_by_cri()
        for identity in self.ctr("containers", "ls", "--quiet").split():
            if identity in removed:
                continue
            details = self._container_details(identity)
            if not details or (pod is not None and not details["pod"].startswith(pod)):
                continue
            pid, status = tasks.get(identity, (0, "no task"))
            running = status == "RUNNING"
            found.append(Container(id=identity, status=status, running=running, pid=pid if running else 0, **details))
        return found

    def living(self):
        """IDs of the containers whose program runs, all of one moment: `ctr` asks one shim after the other, and a
        container that ends while it does may be listed beside its successor. A runc that never came to the program, as
        a start leaves it that was cut off, does not count."""
        found = set()
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                cgroups = (entry / "cgroup").read_text()
                program = (entry / "comm").read_text()
            except OSError:
                continue  # it ended while we looked
            if state not in "ZX" and not program.startswith("runc"):
                found |= set(re.findall(r"[0-9a-f]{64}", cgroups))
        return found

    def _removed_by_cri(self):
        """IDs that CRI said it has removed. Of a start that is cut off with its client, containerd 2 may keep a record, and
        even processes, that CRI does not know any more (containerd's issue 11037)."""
        with open(self.log, "rb") as log:
            log.seek(self._log_read)
            lines = log.read().rpartition(b"\n")[0]
        self._log_read += len(lines)
        self._removed |= {name.decode() for name in re.findall(REMOVED, lines)}
        return self._removed

    def _tasks(self):
        """{identity: (pid, status)}. A shim that has not answered containerd within two seconds is UNKNOWN in a list: on
        a busy machine that says nothing, so it is asked again."""
        for _ in range(TASK_ATTEMPTS):
            tasks = {}
            for line in self.ctr("tasks", "ls").splitlines()[1:]:
                identity, pid, status = line.split()[:3]
                tasks[identity] = (int(pid), status)
            if all(status != "UNKNOWN" for _, status in tasks.values()):
                break
        return tasks

    def _container_details(self, identity):
        if identity not in self._details:
            text = self.ctr("containers", "info", identity, check=False)
            if not text:
                return None  # removed since it was listed
            info = json.loads(text)
            # The annotations that containerd's CRI adds cover pods whose maker set no kubelet labels.
            known = {**(info.get("Spec", {}).get("annotations") or {}), **(info.get("Labels") or {})}

            def first(*keys):
                return next((known[key] for key in keys if key in known), "")

            self._details[identity] = {
                "kind": first("io.cri-containerd.kind") or "container",
                "namespace": first("io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"),
                "pod": first("io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"),
                "uid": first("io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"),
                "name": first("io.kubernetes.container.name", "io.kubernetes.cri.container-name"),
                "attempt": attempt_of(info.get("Extensions") or {}),
            }
        return self._details[identity]

    # Internals

    def _managed_images(self):
        lines = self.ctr("images", "ls", check=False).splitlines()[1:]
        return {line.split()[0] for line in lines if "io.cri-containerd.image=managed" in line}

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        plugins = self.ctr("plugins", "ls", check=False)
        return any(line.split()[:2] == ["io.containerd.grpc.v1", "cri"] and line.split()[-1] == "ok"
                   for line in plugins.splitlines())

    def _wait(self, deadline, what, condition):
        while not condition():
            if self._process.poll() is not None:
                raise HarnessError(f"containerd ended with {self._process.returncode}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise HarnessError(f"containerd did not {what} in {START_SECONDS} s:\n{tail(self.log)}")
            time.sleep(0.05)

    def _end(self, number):
        pid = self._process.pid if self._process else self.pid
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if self._process:
            self._process.wait(STOP_SECONDS)
        else:
            process_tree.wait_for_end([pid], STOP_SECONDS)

    def _write_configuration(self):
        for name in ("root", "state", "opt", "cni", "ipam"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        network = {
            "cniVersion": "0.4.0",
            "name": self.bridge,
            "plugins": [
                {"type": "bridge", "bridge": self.bridge, "isGateway": True, "ipMasq": False, "hairpinMode": True,
                 "ipam": {"type": "host-local", "dataDir": str(self.directory / "ipam"),
                          "ranges": [[{"subnet": self._subnet}]], "routes": [{"dst": "0.0.0.0/0"}]}},
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
        (self.directory / "cni" / "10-daemonsetd.conflist").write_text(json.dumps(network, indent=2))
        major = int(self.version.split(".")[0])
        (self.directory / "config.toml").write_text(self._configuration(major))

    def _configuration(self, major):
        d = self.directory
        common = f"""
root = "{d}/root"
state = "{d}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
  address = "{d}/containerd.sock"
[debug]
  address = "{d}/debug.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{d}/opt"
"""
        # A test machine may lack CAP_SYS_RESOURCE, and may have AppArmor but not its parser.
        if major < 2:
            return "version = 2" + common + f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{self._snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{d}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{d}/cni"
"""
        return "version = 3" + common + f"""
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{self._snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{images.PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      Root = "{d}/runc"
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{d}/cni"
"""


def attempt_of(extensions):
    """The attempt in CRI's metadata of a container or sandbox, which containerd keeps as JSON."""
    for extension in extensions.values():
        config = json.loads(base64.b64decode(extension.get("value", ""))).get("Metadata", {}).get("Config", {})
        return config.get("metadata", {}).get("attempt", 0)
    return 0


def images_directory():
    """Built once per user, rebuilt when the sources change."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "daemonsetd" / "images"


def default_snapshotter(directory):
    """overlayfs cannot lie on overlayfs, which is what a CI job inside a container has."""
    probe = pathlib.Path(directory)
    while not probe.exists():
        probe = probe.parent
    kind = subprocess.run(["stat", "--file-system", "--format=%T", probe], check=True, capture_output=True, text=True)
    return "native" if kind.stdout.strip() in ("overlayfs", "overlay") else "overlayfs"


def enter_private_network():
    """Moves this process, before it starts others, into a network namespace of its own with only a loopback.

    Bridges, iptables rules and host ports of the tests then cannot meet those of the machine, and vanish by themselves.
    """
    clone_newnet = 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newnet) != 0:
        raise HarnessError(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}; run as root")
    siocsifflags, iff_up, iff_running = 0x8914, 0x1, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, siocsifflags, struct.pack("16sh22x", b"lo", iff_up | iff_running))


def cut_power(directory):
    """Everything of a containerd in `directory` that a power cut takes: processes, mounts, namespaces, cgroups. Its
    files stay. Answers what resisted."""
    bundles = [Bundle.read(path) for path in (directory / "state").glob("io.containerd.runtime.v2.task/*/*")]
    problems = []
    deadline = time.monotonic() + STOP_SECONDS
    while pids := processes_of(directory):
        if time.monotonic() > deadline:
            problems += [f"process {pid} ({process_tree.command_of(pid)}) did not end" for pid in pids]
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself
        process_tree.wait_for_end(pids, 1)
    for mount in sorted(mounts_below(directory), key=lambda path: len(path.parts), reverse=True):
        subprocess.run(["umount", mount], capture_output=True)
    for bundle in bundles:
        problems += bundle.remove_traces()
    problems += [f"mount {mount} could not be unmounted" for mount in mounts_below(directory)]
    return problems


def remove(directory, *, bridge=None):
    """Ends every process and removes every mount, namespace, cgroup and file of a containerd in `directory`.

    Answers what could not be removed. The caller's own process is left alone, whatever its arguments name.
    """
    directory = pathlib.Path(directory).resolve()
    problems = cut_power(directory)
    if bridge and pathlib.Path("/sys/class/net", bridge).exists():
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True)
        if pathlib.Path("/sys/class/net", bridge).exists():
            problems.append(f"network bridge {bridge} could not be deleted")
    if problems:
        return problems  # keep the directory: deleting through a mount would delete somebody's files
    shutil.rmtree(directory, ignore_errors=True)
    for path in (SHIM_SOCKETS, SHIM_SOCKETS.parent):
        try:
            path.rmdir()  # only if nobody else's socket is in it
        except OSError:
            break
    return [f"{directory} could not be removed"] if directory.exists() else []


@dataclasses.dataclass
class Bundle:
    """What a container leaves outside of containerd's own directories, read from the files beside its shim."""

    identity: str
    shim_socket: pathlib.Path | None
    network: pathlib.Path | None
    cgroup: str

    @staticmethod
    def read(path):
        try:
            spec = json.loads((path / "config.json").read_text()).get("linux", {})
        except (OSError, ValueError):
            spec = {}  # it was being created or removed
        network = next((n.get("path") for n in spec.get("namespaces", []) if n["type"] == "network"), None)
        shim = shim_address(path).removeprefix("unix://")
        # Only a namespace that CNI made is ours to remove; a pod on the host's network names none or /proc/PID/ns/net.
        own = network if network and pathlib.Path(network).name.startswith("cni-") else None
        return Bundle(path.name, pathlib.Path(shim) if shim else None, pathlib.Path(own) if own else None,
                      spec.get("cgroupsPath", ""))

    def remove_traces(self):
        problems = []
        if self.shim_socket and self.shim_socket.is_relative_to(SHIM_SOCKETS):
            self.shim_socket.unlink(missing_ok=True)
        if self.network and self.network.exists():
            subprocess.run(["umount", self.network], capture_output=True)
            try:
                self.network.unlink(missing_ok=True)
            except OSError as error:
                problems.append(f"network namespace {self.network} could not be removed: {error}")
        for path in cgroups_of(self.cgroup, self.identity):
            for _ in range(50):  # the kernel needs a moment to forget a process that was killed
                try:
                    path.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
            if path.exists():
                problems.append(f"cgroup {path} could not be removed")
        return problems


def bundles_of(pid):
    """The containers in whose cgroups a process is, as far as that tells."""
    try:
        paths = [line.split(":", 2)[2] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    except OSError:
        return []  # it has ended
    return [Bundle(pathlib.Path(path).name, None, None, path) for path in sorted(set(paths))
            if re.fullmatch("[0-9a-f]{64}", pathlib.Path(path).name)]


def shim_address(bundle):
    """Where the shim of a bundle listens: containerd 1.6 writes it alone into a file, 2 with other things as JSON."""
    try:
        if (bundle / "address").exists():
            return (bundle / "address").read_text().strip()
        return json.loads((bundle / "bootstrap.json").read_text())["address"]
    except (OSError, ValueError, KeyError):
        return ""  # it was being created or removed


def cgroups_of(cgroups_path, identity):
    """The container's groups in every hierarchy, deepest first. Only directories named by its ID."""
    if not cgroups_path or identity not in cgroups_path:
        return []
    relative = cgroups_path.lstrip("/")
    root = pathlib.Path("/sys/fs/cgroup")
    tops = [root / relative] + [hierarchy / relative for hierarchy in root.iterdir() if hierarchy.is_dir()]
    found = []
    for top in tops:
        if top.is_dir():
            found += sorted((p for p in top.rglob("*") if p.is_dir()), key=lambda p: len(p.parts), reverse=True) + [top]
    return found


def processes_of(directory):
    """Living processes that containerd in `directory` started: they name it in their arguments or run on its layers."""
    needle = str(directory)
    layers = needle + "/root/"
    own = {os.getpid(), os.getppid()}
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            program = pathlib.Path(arguments[0]).name
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if state in "ZX":
                continue
            if program.startswith(("containerd", "runc")) and any(needle in a for a in arguments):
                found.append(int(entry.name))
                continue
            with open(entry / "mountinfo") as mounts:
                for line in mounts:
                    if line.split()[4] == "/":
                        if layers in line:
                            found.append(int(entry.name))
                        break
        except (OSError, IndexError):
            continue  # it ended while we looked
    return found


def mounts_below(directory):
    prefix = str(directory) + "/"
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal.group(1), 8)), line.split()[4])
        if point.startswith(prefix):
            found.append(pathlib.Path(point))
    return found


def tail(path, lines=15):
    try:
        return "\n".join("    " + line for line in path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "    (no log)"

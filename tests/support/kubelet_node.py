"""A node of a test cluster that a real kubelet runs, for comparisons with a node of ours.

    node = KubeletNode(cluster, "node-a", runtimes.take("2"))
    node.start()          # until its Node is Ready; also after `kill` and `terminate`
    node.containers("agent-")
    node.take_away()

The cluster gives it no pods by itself: `Cluster(…, controllers="*", scheduler=True)` has the DaemonSet controller and the
scheduler. The programs are those of tests/support/go_tools.py (`kubernetes-node`).

A kubelet kills every container that it does not know, so it has a containerd to itself. Some of its paths and the sysctls
that it sets are compiled in; it runs in a mount namespace where other things are in their place, and the mounts that it
makes for pods reach its containerd through its own directory, which is shared. Its pods' cgroups lie below one of its own.
"""

import contextlib
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile

import cgroups
import go_tools
from cluster import Process, reserved_port
from cluster_node import ClusterNode
from containerd import HarnessError, mounts_below, tail

# Empty in the kubelet's eyes: there it makes the device plugins' socket and the links to containers' logs.
HIDDEN = ("/var/lib", "/var/log")
# What a kubelet sets unless it is so already.
SYSCTLS = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
           "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}
NO_EVICTION = {resource: "0%" for resource in ("memory.available", "nodefs.available", "nodefs.inodesFree",
                                               "imagefs.available", "imagefs.inodesFree")}


class Kubelet:
    """The process and its directory; what cluster_node.ClusterNode needs of an agent."""

    def __init__(self, directory, kubeconfig, endpoint, *, node_name, address, config):
        self.directory = pathlib.Path(directory).resolve()
        self.root = self.directory / "root"
        self.config_file = self.directory / "config.yaml"
        self._kubeconfig = kubeconfig
        self._endpoint = endpoint
        self._node_name = node_name
        self._address = address
        self._config = config
        self._cgroup = self.directory.name
        self._process = Process("kubelet", self.directory, self._command)

    @property
    def log(self):
        return self._process.log

    @property
    def pid(self):
        return self._process.pid

    def start(self, wait=False):
        """Does not wait, whatever `wait` says: its Node tells when it is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._share_directory()
        for hierarchy in cgroups.hierarchies():
            (hierarchy / self._cgroup).mkdir(exist_ok=True)
        self._write_config()
        self._process.start()

    def running(self):
        return self._process.running()

    def exited(self):
        return self._process.pid is not None and not self._process.running()

    def kill(self):
        """SIGKILL; containers keep running."""
        self._end(signal.SIGKILL)

    def terminate(self):
        """SIGTERM; containers keep running. Answers the exit code."""
        self._end(signal.SIGTERM)
        return self._process.code

    def log_tail(self, lines=40):
        return tail(self.log, lines)

    def stray_cgroups(self):
        """It tidies up when it comes to it, and it is not what is tested."""
        return []

    def unmount(self):
        """Takes its mounts and cgroups away; answers what resisted. Its directory is an ordinary one again."""
        for mount in sorted(mounts_below(self.directory), key=lambda path: len(path.parts), reverse=True):
            subprocess.run(["umount", mount], capture_output=True)
        problems = [f"mount {mount} could not be unmounted" for mount in mounts_below(self.directory)]
        if not problems and self._shared():
            result = subprocess.run(["umount", self.directory], capture_output=True, text=True)
            problems += [result.stderr.strip()] * (result.returncode != 0)
        return problems + cgroups.remove(f"/{self._cgroup}")

    # Internals

    def _end(self, number):
        if not self._process.end(number):
            raise HarnessError(f"kubelet (process {self.pid}) did not end after signal {number}:\n{self.log_tail()}")

    def _command(self):
        program = go_tools.built("kubernetes-node") / "kubelet"
        lines = ["set -e", f"cd '{self.directory}'"]
        # Where the machine's mounts are shared, others must not see these.
        lines += [f'mount --make-private "$(stat --format=%m {path})"' for path in (*HIDDEN, "/proc/sys")]
        lines += [f"mount -t tmpfs none {path}" for path in HIDDEN]
        for name, value in SYSCTLS.items():
            file = f"sysctl-{name.replace('/', '-')}"
            lines += [f"echo {value} > {file}", f"mount --bind {file} /proc/sys/{name}"]
        lines.append('exec "$@"')
        return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", "\n".join(lines), "sh",
                program, "--config", self.config_file, "--kubeconfig", self._kubeconfig, "--root-dir", self.root,
                "--cert-dir", self.directory / "pki", "--hostname-override", self._node_name, "--node-ip", self._address]

    def _write_config(self):
        with contextlib.ExitStack() as held:
            port, healthz = (held.enter_context(reserved_port()).getsockname()[1] for _ in range(2))
        keys = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": self._endpoint,
            "address": "127.0.0.1",
            "port": port,
            "healthzPort": healthz,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "podLogsDir": str(self.directory / "log"),
            "volumePluginDir": str(self.directory / "plugins"),
            "makeIPTablesUtilChains": False,
            "evictionHard": NO_EVICTION,
            "imageGCHighThresholdPercent": 100,
            **self._config,
        }
        self.config_file.write_text(json.dumps(keys, indent=2) + "\n")

    def _shared(self):
        return self.directory in mounts_below(self.directory.parent)

    def _share_directory(self):
        """So that mounts made in it are seen on both sides."""
        if not self._shared():
            subprocess.run(["mount", "--bind", self.directory, self.directory], check=True)
            subprocess.run(["mount", "--make-shared", self.directory], check=True)


class KubeletNode(ClusterNode):
    """`config`: keys of the kubelet's configuration besides those that every node here needs. It has no `ctl`."""

    def __init__(self, cluster, name, runtime, **config):
        super().__init__(cluster, name, runtime, None, **config)

    def _make_agent(self, build, unit, config):
        kubeconfig = self.cluster.kubeconfig(f"system:node:{self.name}", ["system:nodes"])
        return Kubelet(tempfile.mkdtemp(prefix="dsd-kubelet-", dir="/tmp"), kubeconfig, self.runtime.endpoint,
                       node_name=self.name, address=self.address, config=config)

    def take_away(self):
        problems = super().take_away()
        # A kubelet leaves the sandboxes of pods that ended to a clean-up that comes a minute later.
        resisted = self.runtime.stop() + self.agent.unmount()
        self.runtime.start()
        if not resisted:
            shutil.rmtree(self.agent.directory, ignore_errors=True)
        return problems + [f"{self.name}: {line}" for line in resisted]

    def _leftovers(self):
        return [f"{c.kind} {c.id[:13]} of pod {c.namespace}/{c.pod} runs still" for c in self.containers() if c.running]

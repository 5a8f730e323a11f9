"""Many agents on one machine: real daemonsetds with hollow runtimes (tests/bench/hollow_runtime.cc).

    with contextlib.closing(HollowFleet(cluster, build, 50)) as fleet:
        fleet.start()
        fleet.wait_until_registered()

Each has a name, an identity, a runtime and directories of its own. What they say of their pods is real as far as the
runtime's word goes: pods on the host's network, without volumes that need a mount.
"""

import concurrent.futures
import pathlib
import resource
import shutil
import signal
import tempfile
import time

import containerd
from cluster import ClusterError, Process
from cluster_node import NODES
from daemon import Daemon, DaemonError

START_SECONDS = 60
REGISTER_SECONDS = 300
POLL_SECONDS = 0.5
PARALLEL_STOPS = 16
ADDRESS = "10.212.{}.{}"  # of a node; nobody connects to it
# What is asked of the machine, for each agent and besides: with a margin.
DESCRIPTORS_OF_SERVER = 8  # a connection for each watch
THREADS_OF_AGENT = 20
OTHERS = 1000
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class HollowFleet:
    """`config`: keys of each agent's configuration; `start_delay`: milliseconds that the start of a container takes."""

    def __init__(self, cluster, build, count, *, start_delay=0, **config):
        self.cluster = cluster
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-fleet-", dir="/tmp"))
        self._count = count
        self.runtime = Process("hollow_runtime", self.directory / "logs", lambda: [
            program(build), self.directory, count, "--start-delay", start_delay])
        self.agents = {name: self._make_agent(name, number, build, config) for number, name in
                       enumerate((f"node-{number + 1:04}" for number in range(count)))}

    def _make_agent(self, name, number, build, config):
        directory = self.directory / name
        keys = {"kubeconfig": str(self.cluster.node_kubeconfig(name)),
                "cgroupsPerQOS": False,  # nothing runs that could be in one
                "nodeIPs": [ADDRESS.format(number // 250, number % 250 + 1)], **config}
        return Daemon(directory, build, f"unix://{directory}/cri.sock", node_name=name, config=keys)

    def start(self):
        """The runtimes, then the agents, all at once."""
        self.runtime.start()
        self._wait_for(lambda: "runtimes listen" in self.runtime.log.read_text(), "the hollow runtimes listen",
                       START_SECONDS)
        for agent in self.agents.values():
            agent.start(wait=False, launcher=DIES_WITH_US)
        return self

    def wait_until_registered(self):
        """All Nodes are there and Ready, and without the taints that a new node has."""
        self._wait_for(lambda: len(self._usable()) == len(self.agents), f"{len(self.agents)} nodes are Ready",
                       REGISTER_SECONDS)

    def _usable(self):
        return [node for node in self.cluster.get(NODES)["items"] if node["metadata"]["name"] in self.agents and
                ("Ready", "True") in ((c["type"], c["status"]) for c in node["status"].get("conditions", [])) and
                not any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))]

    def _wait_for(self, condition, what, seconds):
        """Seldom, for what is asked costs the server something where there are many nodes."""
        def holds():
            time.sleep(POLL_SECONDS)
            self.check()
            return condition()

        try:
            self.cluster.wait_for(holds, what, seconds)
        except ClusterError as error:
            first = next(iter(self.agents.values()))
            raise ClusterError(f"{error}\n--- the end of {first.log}\n{first.log_tail()}") from None

    def check(self):
        """Raises DaemonError when an agent, or the runtimes, ended by themselves."""
        ended = [name for name, agent in self.agents.items() if agent.exited()]
        if ended:
            raise DaemonError(f"the agent of {ended[0]} ended, of {len(ended)} that did:\n"
                              f"{self.agents[ended[0]].log_tail()}")
        if not self.runtime.running():
            raise DaemonError(f"hollow_runtime ended:\n{containerd.tail(self.runtime.log)}")

    def stop(self):
        """Ends everything and removes the directories; answers what stayed, one line each."""
        def end(name, agent):
            if not agent.log.exists():  # it was never started
                return []
            try:
                code = agent.terminate()
                return [] if code == 0 else [f"the agent of {name} ended with {code}:\n{agent.log_tail(20)}"]
            except DaemonError as error:
                return [str(error)]

        with concurrent.futures.ThreadPoolExecutor(PARALLEL_STOPS) as pool:
            problems = [line for lines in pool.map(end, *zip(*self.agents.items())) for line in lines]
        pid = self.runtime.pid
        if self.runtime.running() and not self.runtime.end(signal.SIGTERM):
            problems.append(f"hollow_runtime (process {pid}) did not end on SIGTERM")
            self.runtime.end(signal.SIGKILL)
        elif self.runtime.code not in (0, None):
            problems.append(f"hollow_runtime ended with {self.runtime.code}:\n{containerd.tail(self.runtime.log)}")
        problems += [f"mount {mount} stayed" for mount in containerd.mounts_below(self.directory)]
        shutil.rmtree(self.directory, ignore_errors=True)
        return problems

    close = stop


def program(build):
    for folder in ("tests/bench", "."):
        path = pathlib.Path(build, folder, "hollow_runtime")
        if path.is_file():
            return path
    raise DaemonError(f"hollow_runtime is not built below {build}; build the target tests/bench/hollow_runtime")


def raise_limits(count):
    """Raises the soft limits for what is started from here; answers what the machine lacks for so many agents."""
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    _, tasks = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
    wanted = {"the hard limit of open files": (descriptors, count * DESCRIPTORS_OF_SERVER + OTHERS, "ulimit -Hn"),
              "kernel.pid_max": (setting("kernel/pid_max"), count * THREADS_OF_AGENT + OTHERS, "sysctl"),
              "kernel.threads-max": (setting("kernel/threads-max"), count * THREADS_OF_AGENT + OTHERS, "sysctl"),
              # An agent that gets none looks at its manifests from time to time instead.
              "fs.inotify.max_user_instances": (setting("fs/inotify/max_user_instances"), count + 10, "sysctl")}
    missing = [f"{what} is {have}, {count} agents want {want}; raise it ({how})"
               for what, (have, want, how) in wanted.items() if 0 <= have < want]
    tasks_of_group = group_limit()
    if tasks_of_group is not None and tasks_of_group < count * THREADS_OF_AGENT + OTHERS:
        missing.append(f"pids.max of this control group is {tasks_of_group}, {count} agents want "
                       f"{count * THREADS_OF_AGENT + OTHERS}")
    return missing


def setting(name):
    return int((pathlib.Path("/proc/sys") / name).read_text())


def group_limit():
    """How many tasks the control group may have, None where nothing limits them."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = {"pids": "/sys/fs/cgroup/pids", "": "/sys/fs/cgroup"}.get(controllers)
        file = pathlib.Path(f"{root}{path}/pids.max")
        if root and file.exists() and (text := file.read_text().strip()) != "max":
            return int(text)
    return None

"""The node in the virtual machine, from both sides: what systemd, containerd and the kernel say there, and what the API
server says here."""

import contextlib
import json

UNIT = "daemonsetd.service"
CONFIGURATION = "apiVersion: daemonsetd.dev/v1alpha1\nkind: DaemonsetdConfiguration\n"
READY_SECONDS = 240
# Of each container and sandbox whose program runs: "ID PID". Files are read and containerd is not asked, so that no
# shim can be too slow to answer.
RUNNING = """
cd /run/containerd/io.containerd.runtime.v2.task/k8s.io 2>/dev/null || exit 0
for id in *; do
  pid=$(cat "$id/init.pid" 2>/dev/null) && [ -d "/proc/$pid" ] && echo "$id $pid"
done; true"""
# What pods leave behind when they are not taken down.
LEFT = """
ctr --namespace k8s.io containers ls --quiet | sed 's/^/container /'
grep -oE ' /(var/lib/kubelet|run/containerd/io[.]containerd[.](grpc|runtime))[^ ]*' /proc/self/mounts | sed 's/^/mount/'
ls -A /run/netns 2>/dev/null | sed 's/^/network namespace /'
ls -A /var/lib/kubelet/pods 2>/dev/null | sed 's/^/directory of pod /'
ls /var/lib/cni/networks/machine 2>/dev/null | grep -E '^[0-9.]+$' | sed 's/^/address /'
ls -A /var/log/pods /var/log/containers | grep -v -e '^$' -e ':$' | sed 's/^/log /'
find /sys/fs/cgroup -type d -regex '.*/\\([^/]*-\\)?pod[0-9a-f_-]+\\([.]slice\\)?' | sed 's/^/control group /'
pgrep -a containerd-shim | sed 's/^/process /'; true"""


class InstalledNode:
    def __init__(self, machine, cluster, name):
        self.machine = machine
        self.cluster = cluster
        self.name = name

    # The service

    def service(self, key):
        """A property of the unit, in systemd's words."""
        return self.machine.run(f"systemctl show {UNIT} --property {key} --value").strip()

    def main_pid(self):
        return int(self.service("MainPID"))

    def configure(self, name, text):
        """A drop-in file of the agent's configuration."""
        self.machine.write(f"/etc/daemonsetd/config.d/{name}.conf", CONFIGURATION + text + "\n")

    def status(self):
        answer = self.machine.run("daemonsetctl get status --output json", check=False)
        assert answer.startswith("{"), answer  # which `Cluster.wait_for` takes as "not yet"
        return json.loads(answer)

    def wait_for_another_agent(self, old_pid):
        """One that is not `old_pid`, and that knows its pods and the API server again."""
        self.machine.wait_until(f"systemctl is-active {UNIT} && [ $(systemctl show {UNIT} -P MainPID) != {old_pid} ]",
                                "another agent serves")
        self.wait_until_it_knows("the API server again", lambda status: status["apiServer"] == "reachable")

    def wait_until_it_knows(self, what, condition=lambda status: True, pods=None):
        """All its pods, or that many, are ready for all that the agent itself can tell, and the condition is met."""
        def knows():
            status = self.status()
            counts = status["counts"]
            return (status["runtime"]["connected"] and condition(status) and 0 < counts["podsDesired"]
                    and counts["podsReady"] == (pods or counts["podsDesired"]))

        self.cluster.wait_for(knows, f"the agent knows its pods and {what}", READY_SECONDS)

    # Its pods

    def running(self):
        """What must not change when nothing may restart: {container or sandbox: process}."""
        return dict(line.split() for line in self.machine.run(RUNNING).splitlines())

    def left_behind(self):
        return self.machine.run(LEFT).splitlines()

    def pods(self):
        """The Pod objects of this node, by their names."""
        pods = self.cluster.get("/api/v1/pods", query={"fieldSelector": f"spec.nodeName={self.name}"})["items"]
        return {pod["metadata"]["name"]: pod for pod in pods}

    def process(self, name, container="main"):
        """The ID, in the machine, of the first process of a container; of the only pod whose name begins so."""
        pod, = (pod for pod_name, pod in self.pods().items() if pod_name.startswith(name))
        status, = (s for s in pod["status"]["containerStatuses"] if s["name"] == container)
        return self.running()[status["containerID"].removeprefix("containerd://")]

    def wait_until_ready(self, count):
        """The Node is Ready, and so are its pods: that many, and none is on its way out."""
        def ready():
            pods = self.pods()
            assert len(pods) == count, f"{len(pods)} pods"
            unready = [name for name, pod in pods.items()
                       if not is_ready(pod) or "deletionTimestamp" in pod["metadata"]]
            assert not unready, f"not ready: {unready}"
            return is_ready(self.cluster.get(f"/api/v1/nodes/{self.name}", absent=None))

        self.cluster.wait_for(ready, f"{self.name} and {count} pods of it are Ready", READY_SECONDS)

    @contextlib.contextmanager
    def nothing_restarts(self):
        """Around what is done to the agent: containers, sandboxes, Pod objects and restart counts stay the same."""
        running, pods = self.running(), identities(self.pods())
        assert running and pods
        yield
        self.wait_until_ready(len(pods))
        assert self.running() == running
        assert identities(self.pods()) == pods

    def last_words(self):
        """For a failure."""
        with contextlib.suppress(Exception):
            return self.machine.run(f"systemctl status {UNIT} --no-pager; journalctl -b -u {UNIT} -n 60 --no-pager; "
                                    "journalctl -b -u containerd -n 20 --no-pager", check=False)
        return self.machine.last_words()


def is_ready(thing):
    """Whether an object is there and has the condition Ready."""
    return thing is not None and any(c["type"] == "Ready" and c["status"] == "True"
                                     for c in thing["status"].get("conditions", []))


def identities(pods):
    """{name: (UID, [restart counts])}"""
    return {name: (pod["metadata"]["uid"], [s["restartCount"] for s in pod["status"].get("containerStatuses", [])])
            for name, pod in pods.items()}

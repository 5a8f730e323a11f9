"""One daemonsetd on a runtime that starts no container (tests/bench/hollow_runtime.cc), with one DaemonSet whose pod seems
to run: enough for what is asked of its socket.

    with hollow_agent("build/asan") as agent:
        agent.ctl("get", "pods")
"""

import contextlib
import pathlib
import shutil
import signal
import tempfile

import hollow_fleet
from cluster import Process
from daemon import Daemon, DaemonError

DAEMON_SET = {
    "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "collector", "namespace": "monitoring"},
    "spec": {"selector": {"matchLabels": {"app": "collector"}},
             "template": {"metadata": {"labels": {"app": "collector"}},
                          "spec": {"hostNetwork": True, "automountServiceAccountToken": False,
                                   "containers": [{"name": "main", "image": "example.com/collector:1"}]}}}}
# Names a server where nobody listens: the agent has its client, and goes on without an answer.
KUBECONFIG = """apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nobody, user: {}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
"""


@contextlib.contextmanager
def hollow_agent(build):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-hollow-", dir="/tmp"))
    runtime = Process("hollow_runtime", directory / "logs", lambda: [hollow_fleet.program(build), directory, 1])
    home = directory / "node-0001"  # where the runtime's socket is
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    agent = Daemon(home, build, f"unix://{home}/cri.sock",
                   config={"kubeconfig": str(kubeconfig), "apiServerStartWait": "0s", "cgroupsPerQOS": False})
    try:
        runtime.start()
        agent.wait_for(lambda: "runtimes listen" in runtime.log.read_text(), "the hollow runtime to listen")
        agent.start(launcher=hollow_fleet.DIES_WITH_US, wait=False)
        agent.apply("collector.json", DAEMON_SET)
        agent.wait_for(lambda: agent.pods_ready("collector"), "the pod of the DaemonSet to be ready")
        yield agent
        code = agent.terminate()
        if code != 0:
            raise DaemonError(f"daemonsetd ended with {code}:\n{agent.log_tail()}")
    finally:
        if agent.running():
            agent.kill()
        runtime.end(signal.SIGTERM) or runtime.end(signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)

"""A real control plane on loopback, from nothing: etcd, kube-apiserver and, if wanted, kube-controller-manager without
its DaemonSet controller, or with it and kube-scheduler. Certificates, keys, kubeconfigs, data and logs lie below one
directory.

    with Cluster(directory, controller_manager=True) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", ...})
        cluster.kubectl("get", "pods", "--all-namespaces")
        cluster.wait_for(lambda: cluster.get("/api/v1/nodes/node-1", absent=None), "node-1 is registered")

The programs are those of tests/support/go_tools.py (`kubernetes`). Several instances run side by side, each with ports
of its own, also in the private network namespace of the end-to-end tests. Everything is ended by process ID.
"""

import base64
import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

import go_tools
from cluster_client import ApiClient, ApiError
from containerd import HarnessError, tail

START_SECONDS = 120
STOP_SECONDS = 90  # on SIGTERM an API server gives the requests under way, watches too, a minute
KUBECTL_SECONDS = 60
WAIT_SECONDS = 60
POLL_SECONDS = 0.05
CERTIFICATE_DAYS = 30
# Below the ports that the kernel gives to outgoing connections: a client that tries again and again to reach a server
# that is down could otherwise be given that server's port, and then talks to itself.
PORTS = range(20000, 32000)
HOST_OF_MACHINES = "10.0.2.2"  # what QEMU's virtual machines call this one's loopback
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class ClusterError(HarnessError):
    """The control plane did not do what was asked or waited for; the text ends with the tails of its logs."""


class KubectlError(ClusterError):
    """kubectl failed; the text is what it said."""


class Startable:
    """`with thing:` starts it, and stops it at the end, also when its start fails halfway."""

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()


class Cluster(Startable):
    """`controllers`: what the controller manager runs, if there is one, in the words of its flag."""

    def __init__(self, directory, *, controller_manager=False, controllers="*,-daemonset-controller", scheduler=False,
                 apiserver_arguments=(), controller_manager_arguments=()):
        self.directory = pathlib.Path(directory).resolve()
        self.pki = Pki(self.directory / "pki")
        self.admin_kubeconfig = self.directory / "admin.kubeconfig"
        self._reserved = [reserved_port() for _ in range(3)]
        self._etcd_port, self._peer_port, self.port = (held.getsockname()[1] for held in self._reserved)
        self._programs = None
        logs = self.directory / "logs"
        self.etcd = Process("etcd", logs, self._etcd_command)
        self.apiserver = Process("kube-apiserver", logs, self._apiserver_command)
        self.controller_manager = Process("kube-controller-manager", logs, self._controller_manager_command)
        self.scheduler = Process("kube-scheduler", logs, self._scheduler_command)
        self._with_controller_manager = controller_manager
        self._with_scheduler = scheduler
        self._controllers = controllers
        self._apiserver_arguments = tuple(apiserver_arguments)
        self._controller_manager_arguments = tuple(controller_manager_arguments)

    # Start and stop

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    @property
    def processes(self):
        """In the order of their start."""
        return ([self.etcd, self.apiserver] + [self.controller_manager] * self._with_controller_manager
                + [self.scheduler] * self._with_scheduler)

    def start(self):
        """Starts what is to run; answers when the API server is ready and the controller manager, if wanted, works. A
        scheduler need not have begun to work."""
        try:
            self._programs = go_tools.built("kubernetes")
            self._node_programs = go_tools.built("kubernetes-node") if self._with_scheduler else None
        except go_tools.ToolError as error:
            raise ClusterError(str(error)) from None
        if not shutil.which("openssl"):
            raise ClusterError("openssl is missing; install the Debian package openssl, or run ./dev install-deps")
        self._make_credentials()
        self._start_all()
        return self

    def _start_all(self):
        self.start_etcd()
        self.start_apiserver()
        if self._with_controller_manager:
            self.start_controller_manager()
        if self._with_scheduler:
            self.start_scheduler()

    def stop(self):
        """Ends everything and removes the directory; answers what resisted, one line each."""
        self._give_ports_back()
        problems = [f"{process.name} (process {process.pid}) did not end" for process in reversed(self.processes)
                    if process.running() and not process.end(signal.SIGKILL)]
        shutil.rmtree(self.directory, ignore_errors=True)
        return problems + [f"{self.directory} could not be removed"] * self.directory.exists()

    def start_etcd(self):
        self._give_ports_back()
        self.etcd.start()
        self._wait_for_start(self.etcd, self._etcd_answers)

    def start_apiserver(self):
        """Also after `stop_apiserver` and `kill_apiserver`: the port, the certificates and the data stay."""
        self._give_ports_back()
        self.apiserver.start()
        self._wait_for_start(self.apiserver, self.ready)

    def stop_apiserver(self):
        """SIGTERM, as an upgrade would: it ends watches and finishes requests."""
        self._end(self.apiserver, signal.SIGTERM)

    def kill_apiserver(self):
        """SIGKILL, as a power cut would."""
        self._end(self.apiserver, signal.SIGKILL)

    def restart_apiserver(self):
        self.stop_apiserver()
        self.start_apiserver()

    def start_controller_manager(self):
        """Also after `stop_controller_manager`. That it works shows in a new namespace's service account."""
        self.controller_manager.start()
        probe = self.client().create("/api/v1/namespaces", {"metadata": {"generateName": "probe-"}})["metadata"]["name"]

        def works():
            return all(self.get(f"/api/v1/namespaces/{name}/serviceaccounts/default", absent=None)
                       for name in (probe, "default"))

        self._wait_for_start(self.controller_manager, works)
        self.client().delete(f"/api/v1/namespaces/{probe}")

    def stop_controller_manager(self):
        self._end(self.controller_manager, signal.SIGTERM)

    def start_scheduler(self):
        """Also after `stop_scheduler`. That it works shows in a pod that gets a node."""
        self.scheduler.start()

    def stop_scheduler(self):
        self._end(self.scheduler, signal.SIGTERM)

    def ready(self):
        try:
            return self.client().request("GET", "/readyz").status == 200
        except OSError:
            return False

    # Data

    def compact(self):
        """Makes etcd forget every older state. The API server's watch cache still serves what it has seen since its
        start; `forget_history` empties that too."""
        status = json.loads(self.etcdctl("endpoint", "status", "--write-out=json"))
        self.etcdctl("compact", str(status[0]["Status"]["header"]["revision"]), "--physical")

    def forget_history(self):
        """From here on, a watch or a page that continues from a state before this call is answered with 410 Gone."""
        # One revision more, so that the newest object that a test knows is older than what is kept.
        self.client().create("/api/v1/namespaces", {"metadata": {"generateName": "history-"}})
        self.kill_apiserver()
        self.compact()
        self.start_apiserver()

    def save_snapshot(self, path):
        """The data of etcd, as an administrator's backup holds it, into the new file `path`."""
        self.etcdctl("snapshot", "save", str(path))

    def restore_snapshot(self, path):
        """Stops the control plane, puts the data of `path` in the place of etcd's, starts it again: time goes back."""
        for process in reversed(self.processes):
            self._end(process, signal.SIGTERM)
        shutil.rmtree(self._data)
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._run("etcdutl", "snapshot", "restore", str(path), "--data-dir", str(self._data),
                  "--initial-cluster", f"default={peer}", "--initial-advertise-peer-urls", peer)
        self._start_all()

    def etcdctl(self, *arguments):
        return self._run("etcdctl", "--endpoints", f"127.0.0.1:{self._etcd_port}", *arguments)

    # Who talks to it

    def kubeconfig(self, user, groups=(), *, directory=None):
        """Makes a client certificate for `user` and a kubeconfig that holds it; answers the file's path (mode 0600)."""
        name = user.replace(":", "-").replace("/", "-")
        certificate, key = self.pki.client(name, user, groups)
        path = pathlib.Path(directory or self.directory) / f"{name}.kubeconfig"
        write_kubeconfig(path, self.url, self.pki.ca, certificate, key)
        return path

    def node_kubeconfig(self, name):
        """The identity of the agent on node `name`, which is not a kubelet's, and which may coordinate."""
        return self.kubeconfig(f"daemonsetd:node:{name}", ["daemonsetd:nodes", "daemonsetd:coordinators"])

    def client(self, kubeconfig=None):
        """Requests to the API server as they are, as administrator or as who `kubeconfig` says."""
        name = pathlib.Path(kubeconfig or self.admin_kubeconfig).stem
        return ApiClient(self.port, self.pki.ca, *self.pki.files(name))

    def get(self, path, **options):
        """The object or list at `path`, decoded from JSON. With absent=VALUE, that value instead of an error at 404."""
        return self.client().get(path, **options)

    def kubectl(self, *arguments, kubeconfig=None, stdin=None):
        """What kubectl prints. Raises KubectlError with what it says on standard error."""
        return self._run("kubectl", "--kubeconfig", str(kubeconfig or self.admin_kubeconfig), *arguments, stdin=stdin,
                         error=KubectlError)

    def apply(self, *manifests, kubeconfig=None):
        """kubectl apply; manifests are dicts."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        return self.kubectl("apply", "-f", "-", kubeconfig=kubeconfig, stdin=json.dumps(items))

    def wait_for(self, condition, what, seconds=WAIT_SECONDS):
        """Polls until `condition` answers something true, and answers that. `what` says what should become so.

        A refused request, a failed kubectl and a failed assertion in the condition count as "not yet"; the last of them
        is named when time is up.
        """
        deadline = time.monotonic() + seconds
        while True:
            reason = "the condition was not met"
            try:
                if answer := condition():
                    return answer
            except (KubectlError, ApiError, OSError, AssertionError) as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise ClusterError(f"not so within {seconds} s: {what}; at last {reason}\n{self.log_tails()}")
            time.sleep(POLL_SECONDS)

    def log_tails(self):
        return "\n".join(f"--- the end of {process.log}\n{tail(process.log)}" for process in self.processes)

    # Internals

    @property
    def _data(self):
        return self.directory / "etcd"

    def _make_credentials(self):
        self.pki.make()
        for path, user, groups in (
                (self.admin_kubeconfig, "admin", ["system:masters"]),
                (self.directory / "controller-manager.kubeconfig", "system:kube-controller-manager", []),
                (self.directory / "scheduler.kubeconfig", "system:kube-scheduler", [])):
            if not path.exists():
                write_kubeconfig(path, self.url, self.pki.ca, *self.pki.client(path.stem, user, groups))

    def _etcd_command(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        return [self._programs / "etcd", "--data-dir", self._data, "--unsafe-no-fsync", "--log-level=warn",
                f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]

    def _apiserver_command(self):
        pki = self.pki
        return [self._programs / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
                "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.port}",
                "--endpoint-reconciler-type=none",  # else it keeps a lease of its address, and stops slowly
                f"--client-ca-file={pki.ca}", f"--tls-cert-file={pki.server}",
                f"--tls-private-key-file={pki.server_key}", f"--service-account-key-file={pki.accounts_public}",
                f"--service-account-signing-key-file={pki.accounts_key}",
                "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
                "--authorization-mode=Node,RBAC", "--enable-bootstrap-token-auth",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true", *self._apiserver_arguments]

    def _controller_manager_command(self):
        pki, kubeconfig = self.pki, self.directory / "controller-manager.kubeconfig"
        return [self._programs / "kube-controller-manager", f"--kubeconfig={kubeconfig}",
                f"--controllers={self._controllers}", "--use-service-account-credentials", "--leader-elect=false",
                f"--root-ca-file={pki.ca}", f"--service-account-private-key-file={pki.accounts_key}",
                f"--cluster-signing-cert-file={pki.ca}", f"--cluster-signing-key-file={pki.ca_key}",
                "--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000",  # by default it starts for five seconds
                *self._controller_manager_arguments]

    def _scheduler_command(self):
        kubeconfig = self.directory / "scheduler.kubeconfig"
        return [self._node_programs / "kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false",
                "--secure-port=0"]

    def _run(self, program, *arguments, stdin=None, error=ClusterError):
        environment = {**os.environ, "KUBECACHEDIR": str(self.directory / "kubectl-cache"), "KUBERC": "off"}
        environment.pop("KUBECONFIG", None)
        call = " ".join((program, *arguments))
        try:
            result = subprocess.run([self._programs / program, *arguments], env=environment, text=True,
                                    input=stdin or "", capture_output=True, timeout=KUBECTL_SECONDS)
        except subprocess.TimeoutExpired:
            raise error(f"{call}: no answer in {KUBECTL_SECONDS} s\n{self.log_tails()}") from None
        if result.returncode != 0:
            raise error(f"{call}: exit code {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def _etcd_answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._etcd_port)) == 0

    def _wait_for_start(self, process, condition):
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if not process.running():
                raise ClusterError(f"{process.name} ended with {process.code}:\n{tail(process.log)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{process.name} was not ready in {START_SECONDS} s:\n{tail(process.log)}")
            time.sleep(POLL_SECONDS)

    def _end(self, process, number):
        if not process.end(number):
            raise ClusterError(f"{process.name} did not end within {STOP_SECONDS} s of signal {number}:\n"
                               f"{tail(process.log)}")

    def _give_ports_back(self):
        for held in self._reserved:
            held.close()
        self._reserved = []


class Process:
    """One program, again and again: each start appends to the same log. It dies with whoever started it."""

    def __init__(self, name, logs, command):
        self.name = name
        self.log = logs / f"{name}.log"
        self._command = command
        self._process = None

    @property
    def pid(self):
        return self._process.pid if self._process else None

    @property
    def code(self):
        return self._process.returncode if self._process else None

    def running(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen([str(part) for part in self._command()], stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent)

    def end(self, number):
        """Sends the signal and waits; whether it ended."""
        if self.running():
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        return not self.running()


@dataclasses.dataclass(frozen=True)
class Pki:
    """One certificate authority for everybody, made with the openssl program. Keys are P-256: quick to make."""

    directory: pathlib.Path

    ca = property(lambda self: self.directory / "ca.crt")
    ca_key = property(lambda self: self.directory / "ca.key")
    server = property(lambda self: self.directory / "server.crt")
    server_key = property(lambda self: self.directory / "server.key")
    accounts_key = property(lambda self: self.directory / "accounts.key")
    accounts_public = property(lambda self: self.directory / "accounts.pub")

    def make(self):
        """Once: a second start finds the files of the first."""
        if self.accounts_public.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self._certificate("ca", "/CN=daemonsetd-test-ca", "basicConstraints=critical,CA:TRUE",
                          "keyUsage=critical,keyCertSign,cRLSign", signed=False)
        self.server_for("server", "IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc", "IP:10.96.0.1",
                        f"IP:{HOST_OF_MACHINES}")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.accounts_key)
        openssl("ec", "-in", self.accounts_key, "-pubout", "-out", self.accounts_public)

    def server_for(self, name, *alternative_names):
        """(certificate, key) files of a server, which is known by those names alone: "DNS:localhost"."""
        self._certificate(name, "/CN=kube-apiserver", "basicConstraints=critical,CA:FALSE",
                          "extendedKeyUsage=serverAuth", f"subjectAltName={','.join(alternative_names)}")
        return self.files(name)

    def client(self, name, user, groups):
        """(certificate, key) files of a client."""
        subject = "".join(f"/O={escaped(group)}" for group in groups) + f"/CN={escaped(user)}"
        self._certificate(name, subject, "basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth")
        return self.files(name)

    def files(self, name):
        """(certificate, key) that were made under this name."""
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"

    def _certificate(self, name, subject, *extensions, signed=True):
        configuration = self.directory / "openssl.cnf"  # Debian's own would add extensions of an authority
        configuration.write_text("[req]\ndistinguished_name = name\n[name]\n")
        signer = ["-CA", self.ca, "-CAkey", self.ca_key, "-addext", "authorityKeyIdentifier=keyid"] if signed else []
        added = [part for extension in ("subjectKeyIdentifier=hash", *extensions) for part in ("-addext", extension)]
        openssl("req", "-x509", "-config", configuration, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", str(CERTIFICATE_DAYS), "-subj", subject, *signer, *added,
                "-keyout", self.directory / f"{name}.key", "-out", self.directory / f"{name}.crt")


def openssl(*arguments):
    """What it prints."""
    result = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")
    return result.stdout


def escaped(text):
    """For a part of a subject of openssl's -subj."""
    return text.replace("\\", "\\\\").replace("/", "\\/").replace("+", "\\+")


def write_kubeconfig(path, url, ca, certificate, key):
    """In the form that kubeadm writes: everything in one file."""
    data = {name: base64.b64encode(file.read_bytes()).decode() for name, file in
            (("ca", ca), ("certificate", certificate), ("key", key))}
    text = f"""\
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    certificate-authority-data: {data["ca"]}
    server: {url}
users:
- name: test
  user:
    client-certificate-data: {data["certificate"]}
    client-key-data: {data["key"]}
contexts:
- name: test
  context:
    cluster: test
    user: test
current-context: test
"""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def die_with_parent():
    """In a child before it becomes its program: a test run that is killed leaves no server behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def reserved_port():
    """A socket that holds a free port of loopback, so that nobody else is given it, until it is closed."""
    for port in random.sample(PORTS, len(PORTS)):
        held = socket.socket()
        try:
            held.bind(("127.0.0.1", port))
            return held
        except OSError:
            held.close()
    raise ClusterError(f"no port of {PORTS.start}-{PORTS.stop} is free on 127.0.0.1")

"""Nodes that join a cluster: agents whose certificate is not the tests' doing, and who asks for one."""

import base64
import datetime
import hashlib
import json
import os
import subprocess

import daemon
from cluster import openssl

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
BOOTSTRAP_GROUP = "system:bootstrappers:daemonsetd"
JOIN_SECONDS = 120
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
DAY = datetime.timedelta(days=1)


class JoiningAgent(daemon.Daemon):
    """No runtime is there: what it has to do with the API server does not need one."""

    def __init__(self, cluster, directory, build, name, **config):
        super().__init__(directory, build, f"unix://{directory}/no-runtime.sock", node_name=name)
        self.cluster = cluster
        self.name = name
        self.kubeconfig = self.directory / "kubeconfig"
        self.bootstrap = self.directory / "bootstrap-kubeconfig"
        self.config = {"kubeconfig": str(self.kubeconfig), "bootstrapKubeconfig": str(self.bootstrap),
                       "nodeIPs": ["10.213.0.250"], **config}
        self.pki = self.directory / "state" / "pki"
        self.current = self.pki / "client-current.pem"
        self.write_config()

    def start(self, *flags, wait=False, **options):
        return super().start(*flags, wait=wait, **options)

    def join(self, *arguments, **options):
        """A running `daemonsetctl join` for this agent's configuration."""
        drop_ins = self.directory / "config.d"
        drop_ins.mkdir(exist_ok=True)
        return subprocess.Popen([self.ctl_program, "join", "--config", self.config_file, "--config-dir", drop_ins,
                                 *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def joined(self, *arguments):
        """(exit code, standard output, standard error) of a join that needs nobody."""
        process = self.join(*arguments)
        out, err = process.communicate(timeout=JOIN_SECONDS)
        return process.returncode, out, err

    def status(self):
        """Empty while it does not answer."""
        code, body = self.get("/v1/status")
        return json.loads(body) if code == 200 else {}

    def warnings(self):
        return "\n".join(self.status().get("warnings", []))

    def who(self):
        """As whom the API server knows who uses the agent's kubeconfig."""
        answer = self.cluster.kubectl("auth", "whoami", "-o", "json", kubeconfig=self.kubeconfig)
        return json.loads(answer)["status"]["userInfo"]

    def requests(self):
        """What is asked for in this node's name, the oldest first."""
        items = [item for item in self.cluster.get(REQUESTS)["items"]
                 if item["metadata"]["name"].startswith(f"daemonsetd-{self.name}-")]
        return sorted(items, key=lambda item: item["metadata"]["creationTimestamp"])

    def forget_requests(self):
        for request in self.requests():
            self.cluster.client().delete(f"{REQUESTS}/{request['metadata']['name']}")

    def wait_for_request(self, known=()):
        """One that nobody has decided upon and that is not among the names `known`."""
        def pending():
            return next((item for item in self.requests()
                         if not conditions(item) and item["metadata"]["name"] not in known), None)

        return self.cluster.wait_for(pending, f"{self.name} asks for a certificate")

    # What an agent holds that has run for long

    def give_identity(self, begin, end, server=None, groups=("daemonsetd:nodes", "daemonsetd:coordinators")):
        """A certificate of the cluster's authority in the place of the agent's own, valid from and until so long from
        now, and a kubeconfig that names it."""
        self.pki.mkdir(parents=True, exist_ok=True)
        pem = issue(self.cluster.pki, f"daemonsetd:node:{self.name}", groups, begin, end)
        path = self.pki / f"client-{os.urandom(4).hex()}.pem"
        path.write_text(pem)
        fresh = self.pki / "fresh"
        fresh.symlink_to(path.name)
        fresh.rename(self.current)
        ca = self.cluster.pki.ca
        write_kubeconfig(self.kubeconfig, server or self.cluster.url, ca,
                         {"client-certificate": str(self.current), "client-key": str(self.current)})
        return path

    def give_bootstrap(self, token, server=None):
        write_kubeconfig(self.bootstrap, server or self.cluster.url, self.cluster.pki.ca, {"token": token})


def conditions(request):
    return [condition["type"] for condition in request.get("status", {}).get("conditions", [])]


def write_kubeconfig(path, server, ca, user):
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "a", "user": user}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}))


def make_token(cluster, *groups):
    """A bootstrap token as kubeadm makes them."""
    identity, secret = os.urandom(3).hex(), os.urandom(8).hex()
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                   "metadata": {"namespace": "kube-system", "name": f"bootstrap-token-{identity}"},
                   "stringData": {"token-id": identity, "token-secret": secret,
                                  "usage-bootstrap-authentication": "true",
                                  **({"auth-extra-groups": ",".join(groups)} if groups else {})}})
    return f"{identity}.{secret}"


def key_hash(certificate):
    """Of the key in a certificate, as kubeadm prints it: the words of a public key in PEM are its DER form."""
    pem = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    der = base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-----")))
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def cluster_info(url, *authorities):
    """The ConfigMap that kubeadm shows to everybody."""
    pem = "".join(file.read_text() for file in authorities)
    kubeconfig = f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {base64.b64encode(pem.encode()).decode()}
    server: {url}
  name: ""
contexts: null
current-context: ""
kind: Config
users: null
"""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "kube-public", "name": "cluster-info"},
            "data": {"kubeconfig": kubeconfig}}


def request_object(name, pem, usages=("client auth", "digital signature"), signer=CLIENT_SIGNER):
    return {"metadata": {"name": name}, "spec": {"request": base64.b64encode(pem.encode()).decode(),
                                                 "signerName": signer, "usages": list(usages)}}


def signing_request(directory, subject):
    """A new key's request for it, in PEM."""
    key = directory / f"{os.urandom(4).hex()}.key"
    return openssl("req", "-new", *NEW_KEY, "-subj", subject, "-keyout", key)


def issue(pki, user, groups, begin, end):
    """Certificate and key in PEM. `openssl ca` alone lets one choose when it begins."""
    name = os.urandom(4).hex()
    key, request, certificate = (pki.directory / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
    request.write_text(openssl("req", "-new", *NEW_KEY, "-subj", subject, "-keyout", key))
    configuration, database = pki.directory / f"{name}.cnf", pki.directory / f"{name}.index"
    database.touch()
    configuration.write_text(f"""\
[ca]
default_ca = own
[own]
database = {database}
new_certs_dir = {pki.directory}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = client
[any]
organizationName = optional
commonName = supplied
[client]
extendedKeyUsage = clientAuth
""")
    now = datetime.datetime.now(datetime.timezone.utc)
    openssl("ca", "-batch", "-notext", "-preserveDN", "-config", configuration, "-cert", pki.ca, "-keyfile", pki.ca_key,
            "-in", request, "-out", certificate, "-startdate", f"{now + begin:%Y%m%d%H%M%SZ}",
            "-enddate", f"{now + end:%Y%m%d%H%M%SZ}")
    return certificate.read_text() + key.read_text()

"""How a node gets its identity at the API server, and keeps it: joining, renewal, what comes after the end of a
certificate, and who may approve what."""

import base64
import contextlib
import datetime
import os
import re
import signal
import stat

import pytest

from cluster import Pki
from cluster_node import grant_access
from conftest import BUILD, RIGHTS
from daemon import metric
from fault_proxy import FaultProxy
from identity import (BOOTSTRAP_GROUP, DAY, JOIN_SECONDS, REQUESTS, JoiningAgent, cluster_info, conditions, key_hash,
                      make_token, request_object, signing_request)
from strange_server import StrangeServer
from workloads import workload

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
COORDINATORS_TOO = ("daemonsetd:nodes", "daemonsetd:coordinators")


@pytest.fixture(scope="module")
def joined_cluster(cluster):
    grant_access(cluster, RIGHTS)
    return cluster


@pytest.fixture
def make_agent(joined_cluster, tmp_path):
    """make_agent(name, **config): an agent that has not started, and no identity yet."""
    made = []

    def make(name, **config):
        made.append(JoiningAgent(joined_cluster, tmp_path / name, BUILD, name, **config))
        return made[-1]

    yield make
    for agent in made:
        if agent.running():
            assert agent.terminate() == 0, agent.log_tail()
        for path in (f"/api/v1/nodes/{agent.name}", f"{LEASES}/{agent.name}"):
            joined_cluster.client().delete(path, absent=None)
        agent.forget_requests()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Keys and certificates of somebody else's cluster."""
    pki = Pki(tmp_path_factory.mktemp("stranger"))
    pki.make()
    return pki


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


# Joining

def test_an_administrator_joins_a_node(joined_cluster, make_agent):
    agent = make_agent("join-1")
    admin = ("--kubeconfig", joined_cluster.admin_kubeconfig)
    code, out, err = agent.joined(*admin, "--dry-run")
    assert (code, err) == (0, "") and "nothing was changed" in out
    assert not agent.kubeconfig.exists() and not agent.pki.exists() and agent.requests() == []

    code, out, err = agent.joined(*admin)
    assert (code, err) == (0, ""), out
    for step in ("the cluster has the rights and policies", "made a key", "created CertificateSigningRequest",
                 "approved it with the rights of", "received the certificate, valid until",
                 "the server takes the certificate, and the agent has its rights", f"wrote {agent.kubeconfig}",
                 "an administrator's credentials are not kept", "next: systemctl restart daemonsetd"):
        assert step in out
    who = agent.who()
    assert who["username"] == "daemonsetd:node:join-1"
    assert set(COORDINATORS_TOO) <= set(who["groups"])
    assert not agent.bootstrap.exists()
    # The layout is a kubelet's, and nobody else reads it.
    assert re.fullmatch(r"client-[0-9-]+\.pem", os.readlink(agent.current))
    assert [mode(path) for path in (agent.pki, agent.current.resolve(), agent.kubeconfig)] == [0o700, 0o600, 0o600]
    assert joined_cluster.admin_kubeconfig.read_text() not in agent.kubeconfig.read_text()

    code, out, err = agent.joined(*admin)
    assert code == 1 and "this node has an identity already" in err and "--force" in err
    before = agent.current.read_text()
    code, out, err = agent.joined(*admin, "--force", "--no-coordinator", "--lifetime", "1h")
    assert code == 0, err
    assert agent.current.read_text() != before
    assert "daemonsetd:coordinators" not in agent.who()["groups"]

    agent.start()
    joined_cluster.wait_for(lambda: joined_cluster.get("/api/v1/nodes/join-1", absent=None), "the Node is there")
    agent.wait_for(lambda: 0 < (metric(agent.get("/metrics")[1], "daemonsetd_certificate_manager_client_ttl_seconds")
                                or 0) <= 3600, "the metric tells how long the certificate lasts")


def test_a_bootstrap_token_joins_a_node_that_somebody_approves(joined_cluster, make_agent):
    agent = make_agent("join-2", kubeconfig=None)
    token = make_token(joined_cluster, BOOTSTRAP_GROUP)
    with agent.join("--server", joined_cluster.url, "--ca-file", joined_cluster.pki.ca, "--token-file", "-",
                    "--dry-run") as dry:
        out, err = dry.communicate(token + "\n", timeout=60)
    assert dry.returncode == 0 and "/etc/daemonsetd/kubeconfig" in out, "the default place, which no test writes to"

    agent = make_agent("join-2")
    joined_cluster.client().create("/api/v1/nodes", {"metadata": {"name": "join-2"}})
    now = datetime.datetime.now(datetime.timezone.utc)
    joined_cluster.client().create(LEASES, {"metadata": {"name": "join-2"}, "spec": {
        "holderIdentity": "join-2", "leaseDurationSeconds": 300, "renewTime": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}})
    with agent.join("--server", joined_cluster.url, "--ca-file", joined_cluster.pki.ca, "--token-file", "-") as process:
        process.stdin.write(token + "\n")
        process.stdin.close()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if told := re.search(r"run: (kubectl certificate approve \S+)", line):
                assert not agent.kubeconfig.exists()
                joined_cluster.kubectl(*told[1].split()[1:])
        assert process.wait(60) == 0, process.stderr.read()
    assert token not in "".join(lines)
    assert "warning: the Node join-2 is held by a kubelet" in "".join(lines), lines
    assert agent.who()["username"] == "daemonsetd:node:join-2"
    assert token in agent.bootstrap.read_text() and mode(agent.bootstrap) == 0o600
    assert agent.requests()[0]["spec"]["username"].startswith("system:bootstrap:")


@pytest.fixture
def publish_authority(joined_cluster):
    """publish_authority(*files): cluster-info for everybody, as kubeadm has it, taken away at the end."""
    made = [("rolebindings", "rbac.authorization.k8s.io"), ("roles", "rbac.authorization.k8s.io"), ("configmaps", "")]

    def publish(*authorities):
        where = {"namespace": "kube-public", "name": "cluster-info"}
        joined_cluster.apply(
            cluster_info(joined_cluster.url, *authorities),
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": where,
             "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"],
                        "verbs": ["get"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": where,
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cluster-info"},
             "subjects": [{"kind": "User", "name": "system:anonymous"}]})

    yield publish
    for resource, group in made:
        root = f"/apis/{group}/v1" if group else "/api/v1"
        joined_cluster.client().delete(f"{root}/namespaces/kube-public/{resource}/cluster-info", absent=None)


def test_a_bootstrap_token_joins_by_the_hash_of_the_authoritys_key(joined_cluster, make_agent, publish_authority,
                                                                   stranger):
    agent = make_agent("join-4")
    asked = ("--server", joined_cluster.url, "--token", make_token(joined_cluster, BOOTSTRAP_GROUP), "--ca-cert-hash")
    code, _, err = agent.joined(*asked, key_hash(joined_cluster.pki.ca))
    assert code == 1 and "403" in err and "use --ca-file" in err, "this server shows nothing to strangers"
    publish_authority(stranger.ca, joined_cluster.pki.ca)
    code, _, err = agent.joined(*asked, key_hash(joined_cluster.pki.server))
    assert code == 1 and "no authority that the server names has the key of this hash" in err
    assert agent.requests() == []

    with agent.join(*asked, key_hash(joined_cluster.pki.ca).upper().replace("SHA", "sha")) as process:
        joined_cluster.kubectl("certificate", "approve", agent.wait_for_request()["metadata"]["name"])
        out, err = process.communicate(timeout=JOIN_SECONDS)
    assert process.returncode == 0 and "authority has the key of the given hash" in out, err
    assert agent.who()["username"] == "daemonsetd:node:join-4"
    for kubeconfig in (agent.kubeconfig, agent.bootstrap):
        told = re.search("certificate-authority-data: (.*)", kubeconfig.read_text())[1]
        assert base64.b64decode(told).decode() == joined_cluster.pki.ca.read_text(), "the stranger's is not trusted"


def test_who_answers_in_the_servers_place_gets_no_token(joined_cluster, make_agent, stranger):
    """It knows the right authority, as everybody may, and names its own beside."""
    agent = make_agent("join-5")
    info = cluster_info(joined_cluster.url, stranger.ca, joined_cluster.pki.ca)
    with contextlib.closing(StrangeServer(*stranger.files("server"), status=200, answer=info)) as server:
        arguments = ("--server", f"https://127.0.0.1:{server.port}", "--token", make_token(joined_cluster),
                     "--ca-cert-hash", key_hash(joined_cluster.pki.ca))
        for dry in ((), ("--dry-run",)):
            code, out, err = agent.joined(*arguments, *dry)
            assert code == 1 and "certificate is signed by an authority that" in err, out
        assert server.asked == 2 * [("GET", "/api/v1/namespaces/kube-public/configmaps/cluster-info", None)]
    assert not agent.kubeconfig.exists() and not agent.bootstrap.exists()


def test_join_says_what_is_wrong(joined_cluster, make_agent):
    agent = make_agent("join-3")
    server = ("--server", joined_cluster.url, "--ca-file", joined_cluster.pki.ca)
    for arguments, code, text in (
            ((), 2, "say as whom to join"),
            (server, 2, "needs all of"),
            ((*server, "--token", "a", "--ca-cert-hash", f"sha256:{'a' * 64}"), 2, "not both"),
            ((*server[:2], "--token", "a", "--ca-cert-hash", f"sha256:{'a' * 63}"), 2, "64 hexadecimal digits"),
            (("--server", "http://127.0.0.1:9", "--token", "a", "--ca-cert-hash", f"sha256:{'a' * 64}"), 2, "https://"),
            (("--kubeconfig", joined_cluster.admin_kubeconfig, "--token", "a"), 2, "leave one of both out"),
            (("--kubeconfig", "/nonexistent"), 1, "no such file"),
            ((*server, "--token", "abcdef.0123456789abcdef"), 1, "401"),
            ((*server, "--token", make_token(joined_cluster)), 1, "forbidden"),
            (("--kubeconfig", joined_cluster.admin_kubeconfig, "--node-name", "Edge"), 2, "is not the name of a node"),
            (("--kubeconfig", joined_cluster.admin_kubeconfig, "--lifetime", "1m"), 2, "10m or more"),
            (("--server", "https://127.0.0.1:9", "--ca-file", joined_cluster.pki.ca, "--token", "a"), 4, "connect")):
        got, out, err = agent.joined(*arguments)
        assert got == code and text in err, f"{arguments}: {got} {out} {err}"
    assert not agent.current.exists()


# Renewal

def test_a_certificate_is_renewed_in_time(joined_cluster, make_agent):
    """Nine tenths of its life are over; a request is denied, the next one approved. The old one serves until then."""
    agent = make_agent("renew-1")
    old = agent.give_identity(-95 * DAY, 5 * DAY)
    agent.start()
    request = agent.wait_for_request()
    assert request["spec"]["username"] == "daemonsetd:node:renew-1", "with the old one's right"
    joined_cluster.kubectl("certificate", "deny", denied := request["metadata"]["name"])
    joined_cluster.wait_for(lambda: "was denied" in agent.warnings(), "get status tells of the denial")
    assert agent.current.resolve() == old
    joined_cluster.wait_for(lambda: agent.status().get("apiServer") == "reachable", "and the agent is at work with it")

    request = agent.wait_for_request(known=[denied])
    joined_cluster.kubectl("certificate", "approve", request["metadata"]["name"])
    joined_cluster.wait_for(lambda: agent.current.resolve() != old, "the link names the new certificate")
    joined_cluster.wait_for(lambda: "certificate" not in agent.warnings(), "all is well")
    assert set(COORDINATORS_TOO) <= set(agent.who()["groups"]), "the groups stay"
    assert old.exists(), "the one before stays"
    agent.wait_for(lambda: "connections are made anew" in agent.log.read_text(), "old connections are given up")
    metrics = agent.get("/metrics")[1]
    assert metric(metrics, "daemonsetd_certificate_manager_client_expiration_renew_errors") == 1
    assert metric(metrics, "daemonsetd_certificate_manager_client_ttl_seconds") > 5 * 86400


def test_what_is_not_ours_is_not_renewed(joined_cluster, make_agent):
    agent = make_agent("renew-2")
    path = agent.give_identity(-95 * DAY, 5 * DAY)
    other = path.rename(agent.directory / "theirs.pem")
    agent.kubeconfig.write_text(agent.kubeconfig.read_text().replace(str(agent.current), str(other)))
    agent.start()
    agent.wait_for(lambda: agent.status().get("apiServer") == "reachable", "the agent talks to the server")
    agent.wait_for(lambda: (metric(agent.get("/metrics")[1], "daemonsetd_certificate_manager_client_ttl_seconds") or 0)
                   > 4 * 86400, "its end is told all the same")
    assert agent.requests() == []


def test_an_expired_certificate_is_replaced_through_bootstrap_without_a_restart(joined_cluster, make_node, namespace):
    """SE-06: it runs out while the server is away. Pods run on; the agent comes back by itself."""
    cluster = joined_cluster
    with contextlib.closing(FaultProxy(cluster.port)) as proxy:
        url = f"https://127.0.0.1:{proxy.port}"
        node = make_node(cluster, "expired-1", start=False)
        helper = JoiningAgent(cluster, node.agent.directory, BUILD, node.name)
        helper.give_identity(-10 * DAY, 90 * DAY, server=url)
        node.agent.config.update(kubeconfig=str(helper.kubeconfig), bootstrapKubeconfig=str(helper.bootstrap))
        node.start()
        cluster.apply({**workload(), "metadata": {"name": "agent", "namespace": namespace}})
        cluster.wait_for(lambda: len(node.running("agent-")) == 2, "its pod runs: a sandbox and a container")
        running, agent_process = node.running("agent-"), node.agent.pid

        proxy.refuse()
        helper.give_identity(-20 * DAY, -1 * DAY, server=url)
        os.kill(node.agent.pid, signal.SIGHUP)
        cluster.wait_for(lambda: "run daemonsetctl join --force" in helper.warnings(),
                         "the end is told, and what to do")
        helper.give_bootstrap(make_token(cluster, BOOTSTRAP_GROUP), server=url)
        os.kill(node.agent.pid, signal.SIGHUP)
        cluster.wait_for(lambda: "with the bootstrap kubeconfig" in helper.warnings(), "it goes back to bootstrap")
        assert node.running("agent-") == running
        assert helper.requests() == []

        proxy.pass_on()
        request = helper.wait_for_request()
        assert request["spec"]["username"].startswith("system:bootstrap:")
        assert "daemonsetd:nodes" not in request["spec"]["groups"]
        cluster.kubectl("certificate", "approve", request["metadata"]["name"])
        cluster.wait_for(lambda: helper.status().get("apiServer") == "reachable", "the agent is back")
        cluster.wait_for(lambda: "certificate" not in helper.warnings(), "nothing is left to tell")
        assert set(COORDINATORS_TOO) <= set(helper.who()["groups"]), "with the groups of the one that expired"
        assert node.agent.pid == agent_process and node.running("agent-") == running
        cluster.client().delete(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/agent")
        cluster.wait_for(lambda: not node.containers("agent-"), "the pod is gone")
        helper.forget_requests()


# Approval

def test_an_approver_signs_off_what_is_exactly_an_agents(joined_cluster, make_agent, tmp_path):
    """A node that joins by itself, one that renews, and what an attacker would like; in the end an approver comes."""
    cluster = joined_cluster
    token = make_token(cluster, BOOTSTRAP_GROUP)
    new, renewing = make_agent("approve-new"), make_agent("approve-old")
    new.give_bootstrap(token)
    renewing.give_identity(-95 * DAY, 5 * DAY)
    old = renewing.current.resolve()
    for agent in (new, renewing):
        agent.start()
    own = [agent.wait_for_request()["metadata"]["name"] for agent in (new, renewing)]

    thief = cluster.client(cluster.kubeconfig("daemonsetd:node:approve-thief", COORDINATORS_TOO))
    subject = "/O=daemonsetd:nodes/CN=daemonsetd:node:approve-thief"
    hostile = {  # names that come before the others': looked at when those are approved
        "a-admin": request_object("a-admin", signing_request(tmp_path, "/O=kubeadm:cluster-admins" + subject)),
        "a-approver": request_object("a-approver", signing_request(tmp_path, "/O=daemonsetd:approvers" + subject)),
        "a-neighbour": request_object("a-neighbour", signing_request(
            tmp_path, "/O=daemonsetd:nodes/CN=daemonsetd:node:approve-old")),
        "a-usages": request_object("a-usages", signing_request(tmp_path, subject), usages=["client auth"])}
    for manifest in hostile.values():
        thief.create(REQUESTS, manifest)
    approver = make_agent("approve-cp", certificateApprover="all",
                          kubeconfig=str(cluster.kubeconfig("daemonsetd:node:approve-cp",
                                                            ["daemonsetd:nodes", "daemonsetd:approvers"])))
    approver.start()
    try:
        for name in own:
            cluster.wait_for(lambda name=name: conditions(cluster.get(f"{REQUESTS}/{name}")) == ["Approved"],
                             f"{name} is approved")
        assert {name: conditions(cluster.get(f"{REQUESTS}/{name}")) for name in hostile} == {n: [] for n in hostile}
    finally:
        for name in hostile:
            cluster.client().delete(f"{REQUESTS}/{name}")
    cluster.wait_for(lambda: new.kubeconfig.exists() and new.status().get("apiServer") == "reachable",
                     "the node that joined by itself is there")
    assert "daemonsetd:coordinators" not in new.who()["groups"]
    cluster.wait_for(lambda: renewing.current.resolve() != old, "the other one has its new certificate")


def test_an_approver_without_the_rights_says_so(joined_cluster, make_agent):
    agent = make_agent("approve-none", certificateApprover="renewals",
                       kubeconfig=str(joined_cluster.node_kubeconfig("approve-none")))
    agent.start()
    joined_cluster.wait_for(lambda: "50-approver.yaml" in agent.warnings(), "get status says what is missing")


# Rights

def may(cluster, user, groups, verb, resource="certificatesigningrequests", group="certificates.k8s.io", **more):
    answer = cluster.client().create(REVIEWS, {"spec": {"user": user, "groups": groups, "resourceAttributes": {
        "verb": verb, "group": group, "resource": resource, **more}}})
    return answer["status"]["allowed"]


@pytest.mark.parametrize("user, groups", [
    ("daemonsetd:node:a", ["daemonsetd:nodes", "daemonsetd:coordinators"]),
    ("system:bootstrap:abcdef", ["system:bootstrappers", BOOTSTRAP_GROUP])])
def test_requests_are_made_and_read_by_name_and_no_more(joined_cluster, user, groups):
    allowed = {verb for verb in ("create", "get", "list", "watch", "update", "patch", "delete", "deletecollection")
               if may(joined_cluster, user, groups, verb)}
    assert allowed == {"create", "get"}
    for subresource in ("approval", "status"):
        assert not may(joined_cluster, user, groups, "update", subresource=subresource)
    for verb in ("approve", "sign", "attest"):
        assert not may(joined_cluster, user, groups, verb, "signers", name="kubernetes.io/kube-apiserver-client")


def test_a_bootstrap_token_does_nothing_else(joined_cluster):
    for verb, resource, group in (("get", "nodes", ""), ("create", "nodes", ""), ("list", "pods", ""),
                                  ("get", "secrets", ""), ("list", "daemonsets", "apps"),
                                  ("create", "leases", "coordination.k8s.io")):
        assert not may(joined_cluster, "system:bootstrap:abcdef", ["system:bootstrappers", BOOTSTRAP_GROUP], verb,
                       resource, group, namespace="kube-system")


def test_an_approver_approves_for_one_signer(joined_cluster):
    who = ("daemonsetd:node:a", ["daemonsetd:nodes", "daemonsetd:approvers"])
    assert may(joined_cluster, *who, "approve", "signers", name="kubernetes.io/kube-apiserver-client")
    assert may(joined_cluster, *who, "update", subresource="approval")
    assert not may(joined_cluster, *who, "approve", "signers", name="kubernetes.io/kube-apiserver-client-kubelet")
    assert not may(joined_cluster, *who, "sign", "signers", name="kubernetes.io/kube-apiserver-client")
    assert not may(joined_cluster, *who, "update", subresource="status")

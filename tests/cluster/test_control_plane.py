"""What the other tests of this folder take for granted about the control plane, and about the harness around it."""

import json
import socket

import cluster as cluster_module
import go_tools
import process_tree
import pytest
from cluster_client import PROTOBUF, PROTOBUF_WATCH, ApiError
from conftest import new_cluster
from objects import config_map, daemon_set, node, replica_set

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
EXPIRED = 410


def test_the_server_is_the_pinned_version(cluster):
    assert cluster.get("/version")["gitVersion"] == "v" + go_tools.version("kubernetes")
    assert json.loads(cluster.kubectl("version", "-o", "json"))["clientVersion"]["gitVersion"] == "v1.37.2"


def test_the_server_survives_a_kill_with_its_data(lone_cluster):
    cluster = lone_cluster
    before = cluster.client().create(CONFIG_MAPS, config_map("default", "kept", key="value"))
    first = cluster.apiserver.pid
    cluster.kill_apiserver()
    assert not process_tree.alive(first)
    assert not cluster.ready()
    with pytest.raises(OSError):
        cluster.get(CONFIG_MAPS)
    with pytest.raises(cluster_module.KubectlError):
        cluster.kubectl("get", "configmaps")
    cluster.start_apiserver()
    assert cluster.apiserver.pid != first
    assert cluster.get(f"{CONFIG_MAPS}/kept") == before


def test_a_nodes_identity_is_known_and_may_nothing_by_itself(make_cluster):
    cluster = make_cluster()  # in the shared one the agents have been given their rights
    kubeconfig = cluster.node_kubeconfig("node-1")
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    who = json.loads(cluster.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig))["status"]["userInfo"]
    assert who["username"] == "daemonsetd:node:node-1"
    assert sorted(who["groups"]) == ["daemonsetd:coordinators", "daemonsetd:nodes", "system:authenticated"]
    with pytest.raises(ApiError, match='User "daemonsetd:node:node-1" cannot list resource "pods"') as refusal:
        cluster.client(kubeconfig).get("/api/v1/pods")
    assert refusal.value.status == 403


def test_a_right_that_is_granted_to_the_group_of_nodes_counts(cluster, namespace):
    client = cluster.client(cluster.node_kubeconfig("node-2"))
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with pytest.raises(ApiError):
        client.get(path)
    cluster.kubectl("create", "rolebinding", "nodes-may-view", "--clusterrole=view", "--group=daemonsetd:nodes",
                    "-n", namespace)
    assert cluster.wait_for(lambda: client.get(path), "node-2 may list config maps")["kind"] == "ConfigMapList"


def test_no_controller_makes_pods_of_a_daemon_set(cluster, namespace):
    cluster.client().create("/api/v1/nodes", node(f"{namespace}-node"))
    cluster.apply(daemon_set(namespace))
    stored = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/agent")
    assert stored["metadata"]["generation"] == 1
    # The controller manager is at work: another of its controllers makes a pod for an object that came later.
    cluster.apply(replica_set(namespace))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    made = cluster.wait_for(lambda: cluster.get(pods)["items"], "the ReplicaSet's pod exists")
    assert [pod["metadata"]["ownerReferences"][0]["kind"] for pod in made] == ["ReplicaSet"]
    after = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/agent")
    assert after["status"].get("observedGeneration") is None, "somebody else writes the status of DaemonSets"
    cluster.client().delete(f"/api/v1/nodes/{namespace}-node")


def test_the_controller_manager_makes_the_default_service_account(cluster, namespace):
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    assert cluster.wait_for(lambda: cluster.get(account, absent=None), "the namespace has its service account")
    root = f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt"
    published = cluster.wait_for(lambda: cluster.get(root, absent=None), "the namespace has the root certificate")
    assert published["data"]["ca.crt"].strip() == cluster.pki.ca.read_text().strip()


def test_without_a_controller_manager_nobody_makes_service_accounts(lone_cluster):
    cluster = lone_cluster
    cluster.kubectl("create", "namespace", "alone")
    cluster.client().create("/api/v1/namespaces/alone/configmaps", config_map("alone", "made"))
    assert cluster.get("/api/v1/namespaces/alone/serviceaccounts")["items"] == []
    with pytest.raises(cluster_module.KubectlError, match="serviceaccount \"default\" not found"):
        cluster.kubectl("run", "pod", "-n", "alone", "--image=registry.example/agent:1")


def test_protobuf_is_served(cluster, namespace):
    cluster.apply(daemon_set(namespace))
    answer = cluster.client().request("GET", f"/apis/apps/v1/namespaces/{namespace}/daemonsets/agent", accept=PROTOBUF)
    assert (answer.status, answer.content_type) == (200, PROTOBUF)
    assert answer.body.startswith(b"k8s\0")
    assert b"registry.example/agent:1" in answer.body
    refused = cluster.client().request("GET", f"/apis/apps/v1/namespaces/{namespace}/daemonsets/none", accept=PROTOBUF)
    assert (refused.status, refused.content_type) == (404, PROTOBUF)
    assert refused.body.startswith(b"k8s\0")


def test_a_watch_can_begin_with_what_exists(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for name in ("one", "two"):
        cluster.client().create(path, config_map(namespace, name))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true",
             "fieldSelector": "metadata.name!=kube-root-ca.crt"}

    def initial_events_end(event):
        annotations = event["object"]["metadata"].get("annotations") or {}
        return event["type"] == "BOOKMARK" and annotations.get("k8s.io/initial-events-end") == "true"

    with cluster.client().watch(path, query=query) as stream:
        stream.read_until(lambda: any(map(initial_events_end, stream.events())), "the end of the initial events")
        initial = stream.events()
        assert sorted(e["object"]["metadata"]["name"] for e in initial[:-1]) == ["one", "two"]
        assert {e["type"] for e in initial[:-1]} == {"ADDED"}
        assert initial_events_end(initial[-1])
        cluster.client().delete(f"{path}/one")
        stream.read_until(lambda: len(stream.events()) > len(initial), "the deletion")
        last = stream.events()[-1]
        assert (last["type"], last["object"]["metadata"]["name"]) == ("DELETED", "one")

    with cluster.client().watch(path, query=query, accept=PROTOBUF_WATCH) as stream:
        stream.read_until(lambda: len(stream.frames()) >= 2, "an object and the bookmark")
        assert stream.content_type == PROTOBUF_WATCH
        assert b"k8s\0" in stream.frames()[0]


def test_what_lies_before_a_compaction_is_gone(lone_cluster):
    cluster = lone_cluster
    client = cluster.client()
    oldest = client.create(CONFIG_MAPS, config_map("default", "first"))["metadata"]["resourceVersion"]
    client.create(CONFIG_MAPS, config_map("default", "second"))
    page = client.get(CONFIG_MAPS, query={"limit": 1})
    following = {"limit": 1, "continue": page["metadata"]["continue"]}
    watching = {"watch": "true", "resourceVersion": oldest, "timeoutSeconds": 1}
    assert client.request("GET", CONFIG_MAPS, query=following).status == 200
    seen = client.request("GET", CONFIG_MAPS, query=watching).body
    assert b'"second"' in seen and b'"ERROR"' not in seen

    cluster.forget_history()

    assert client.request("GET", CONFIG_MAPS, query=following).json()["code"] == EXPIRED
    answer = client.request("GET", CONFIG_MAPS, query=watching)
    assert (answer.status, answer.json()["type"], answer.json()["object"]["code"]) == (200, "ERROR", EXPIRED)


def test_a_snapshot_takes_the_data_back_in_time(lone_cluster, tmp_path):
    cluster = lone_cluster
    client = cluster.client()
    client.create(CONFIG_MAPS, config_map("default", "early"))
    cluster.save_snapshot(tmp_path / "snapshot.db")
    late = client.create(CONFIG_MAPS, config_map("default", "late"))
    for number in range(100):  # more than the server itself writes when it starts
        late = client.patch(f"{CONFIG_MAPS}/late", {"data": {"number": str(number)}})
    cluster.restore_snapshot(tmp_path / "snapshot.db")
    assert client.get(f"{CONFIG_MAPS}/early")["metadata"]["name"] == "early"
    assert client.get(f"{CONFIG_MAPS}/late", absent=None) is None
    again = int(client.get(CONFIG_MAPS)["metadata"]["resourceVersion"])
    assert again < int(late["metadata"]["resourceVersion"])


def test_two_control_planes_do_not_meet(cluster, lone_cluster):
    other = lone_cluster
    other.client().create(CONFIG_MAPS, config_map("default", "elsewhere"))
    assert cluster.get(f"{CONFIG_MAPS}/elsewhere", absent=None) is None
    with pytest.raises(OSError, match="certificate verify failed"):
        cluster_module.ApiClient(other.port, cluster.pki.ca, *cluster.pki.files("admin")).get("/version")


def test_nothing_stays_after_the_end(make_cluster):
    cluster = make_cluster(controller_manager=True)
    pids = [process.pid for process in cluster.processes]
    assert len(pids) == 3 and all(map(process_tree.alive, pids))
    assert cluster.stop() == []
    assert not any(map(process_tree.alive, pids))
    assert not cluster.directory.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", cluster.port)) != 0


def test_a_start_that_fails_says_why():
    cluster = new_cluster(apiserver_arguments=["--no-such-flag"])
    because = "kube-apiserver ended with 1:(?s:.*)unknown flag: --no-such-flag"
    with pytest.raises(cluster_module.ClusterError, match=because), cluster:
        pass
    assert not process_tree.alive(cluster.etcd.pid)
    assert not cluster.directory.exists()


def test_missing_programs_are_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("DAEMONSETD_TOOLS", str(tmp_path))
    with pytest.raises(cluster_module.ClusterError, match="is not built; run .*go_tools.py kubernetes"):
        cluster_module.Cluster(tmp_path / "cluster").start()


def test_waiting_ends_with_the_last_reason(cluster):
    with pytest.raises(cluster_module.ClusterError, match="not so within 0.2 s: the moon is full; at last GET .*404"):
        cluster.wait_for(lambda: cluster.get("/api/v1/nodes/moon"), "the moon is full", seconds=0.2)

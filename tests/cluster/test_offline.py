"""Nodes without their API server: pods run on, restart, and come back after a reboot; a reconnect restarts nothing.

DAEMONSETD_OFFLINE_ROUNDS sets how often the server is killed in the test that does it again and again (3 by default).
"""

import os
import shutil

import pytest
from manifests import container
from objects import config_map
from space import container_ids, is_ready, restarts, uid_of
from without_server import pods_here, ready_locally
from workloads import secret, workload

ROUNDS = int(os.environ.get("DAEMONSETD_OFFLINE_ROUNDS", "3"))
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
QUICK = {"apiServerStartWait": "1s", "crashLoopBackOff": {"initial": "500ms"}}


@pytest.fixture(params=["system", "2"], ids=["containerd-system", "containerd-2"])
def node(request, lone_cluster, lone_space, make_node):
    # After lone_space, so that the namespace is emptied while the node is there.
    return make_node(lone_cluster, "node-o", request.param, **QUICK)


def reconnected(space, node, *names):
    """Starts the server again; answers {name: Pod} when the agent has caught up with it."""
    space.cluster.start_apiserver()
    space.news_arrive([node])
    return {name: space.running(name, [node])[node.name] for name in names}


def test_pods_run_on_and_restart_while_the_server_is_down(lone_cluster, lone_space, node):
    lone_space.apply(workload("calm"), workload("crashing", hostNetwork=False))
    before = {name: lone_space.running(name, [node])[node.name] for name in ("calm", "crashing")}
    calm = node.running("calm-")
    lone_cluster.kill_apiserver()
    node.crash(before["crashing"])
    node.agent.wait_for(lambda: (c := node.agent.container("crashing", "main")) and c["ready"]
                        and c["restartCount"] == 1, "the crashed container runs again", 90)
    running = node.running()
    assert running.items() >= calm.items()

    node.kill()
    node.start(wait=False)
    ready_locally(node, "calm", "crashing")
    assert node.running() == running, "a restart of the agent touches nothing"

    after = reconnected(lone_space, node, "calm", "crashing")
    assert node.running() == running, "nor does the reconnect"
    assert {name: uid_of(pod) for name, pod in after.items()} == {name: uid_of(pod) for name, pod in before.items()}
    lone_space.wait_for(lambda: restarts(lone_space.pods("crashing")[0]) == 1, "the restart is reported")


def test_after_a_reboot_without_the_server_the_right_pods_run(lone_cluster, lone_space, node):  # OF-01, OF-02, OF-04
    lone_cluster.kubectl("label", "node", node.name, "disk=ssd")
    lone_space.apply(config_map(lone_space.namespace, "settings", colour="blue"), secret("keys", password="hush"))
    # What a token comes with: a controller manager, which this cluster has not, would publish it.
    lone_space.apply(config_map(lone_space.namespace, "kube-root-ca.crt", **{"ca.crt": "a certificate"}))
    main = container(env=[{"name": "P", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}}],
                     volumeMounts=[{"name": "data", "mountPath": "/data"}])
    lone_space.apply(
        workload("here", nodeSelector={"disk": "ssd"}), workload("elsewhere", nodeSelector={"disk": "hdd"}),
        workload("gone"), workload("reads", [main], hostNetwork=False, automountServiceAccountToken=True,
                                   volumes=[{"name": "data", "configMap": {"name": "settings"}}]))
    names = ("here", "reads")
    before = {name: lone_space.running(name, [node])[node.name] for name in names}
    token = node.read(before["reads"], TOKEN)
    lone_space.running("gone", [node])
    lone_space.kubectl("delete", "ds", "gone")
    lone_space.gone("gone")
    node.reboot(while_down=lone_cluster.kill_apiserver)
    node.start(wait=False)
    ready_locally(node, *names)
    assert pods_here(node) == set(names)
    assert node.read(before["reads"], "/data/colour") == "blue"
    assert node.environment(before["reads"])["P"] == "hush"
    assert node.read(before["reads"], TOKEN) == token, "it lives for an hour"

    running = node.running()
    after = reconnected(lone_space, node, *names)
    assert node.running() == running, "nothing is started again"
    assert {name: uid_of(pod) for name, pod in after.items()} == {name: uid_of(pod) for name, pod in before.items()}
    assert node.object()["metadata"]["labels"]["disk"] == "ssd"


def test_labels_known_before_decide_at_a_boot_without_the_server(lone_cluster, lone_space, node):
    # The pod was stopped for the label; the checkpoint must not bring it back.
    lone_cluster.kubectl("label", "node", node.name, "disk=ssd")
    lone_space.apply(workload("ssd", nodeSelector={"disk": "ssd"}), workload("plain"))
    lone_space.running("ssd", [node])
    lone_space.running("plain", [node])
    lone_cluster.kubectl("label", "node", node.name, "disk=hdd", "--overwrite")
    lone_space.gone("ssd")
    lone_cluster.kill_apiserver()
    assert "disk=ssd" in node.ctl("explain", "ssd", "-n", lone_space.namespace), "why it is not here is known offline too"
    node.reboot()
    node.start(wait=False)
    ready_locally(node, "plain")
    assert not node.containers("ssd-")
    assert "disk=ssd" in node.ctl("explain", "ssd", "-n", lone_space.namespace), "and after a boot"
    reconnected(lone_space, node, "plain")


def test_a_set_deleted_while_the_node_was_away_goes_when_it_is_back(lone_cluster, lone_space, node):
    lone_space.apply(workload("goes"), workload("stays"))
    lone_space.running("goes", [node])
    stays = lone_space.running("stays", [node])[node.name]
    node.kill()
    lone_space.kubectl("delete", "ds", "goes")
    node.start()
    lone_space.gone("goes")
    assert container_ids(lone_space.running("stays", [node])[node.name]) == container_ids(stays)


def test_a_set_made_while_the_node_was_away_runs_when_it_is_back(lone_cluster, lone_space, node):
    lone_space.apply(workload("early"))
    early = lone_space.running("early", [node])[node.name]
    node.reboot()
    lone_space.apply(workload("late"))
    node.start()
    lone_space.running("late", [node])
    assert uid_of(lone_space.running("early", [node])[node.name]) == uid_of(early)


def test_objects_that_were_deleted_while_the_node_was_away_are_made_again(lone_cluster, lone_space, node):  # OF-04
    # As node life cycle and pod garbage collection do it: by force, while the node does not answer.
    lone_space.apply(workload("agent"))
    before = lone_space.running("agent", [node])[node.name]
    running = node.running()
    node.kill()
    lone_space.kubectl("delete", "pod", before["metadata"]["name"], "--force", "--grace-period=0")
    node.start()
    after = lone_space.wait_for(lambda: [pod for pod in lone_space.pods("agent") if is_ready(pod)], "a new object")[0]
    assert uid_of(after) != uid_of(before)
    assert node.running() == running and container_ids(after) == container_ids(before)


def test_containers_that_only_the_runtime_knows_get_an_object_again(lone_cluster, lone_space, node):
    lone_space.apply(workload("agent"))
    before = lone_space.running("agent", [node])[node.name]
    running = node.running()
    node.kill()
    shutil.rmtree(node.agent.directory / "state")
    lone_space.kubectl("delete", "pod", before["metadata"]["name"], "--force", "--grace-period=0")
    node.start()
    after = lone_space.running("agent", [node], other_than=[uid_of(before)])[node.name]
    assert node.running() == running and container_ids(after) == container_ids(before)
    assert node.agent.pods_ready("agent"), "and a worker looks after them"


def test_a_failed_pod_that_was_deleted_while_the_agent_was_down_is_replaced(lone_cluster, lone_space, node):
    lone_space.apply(workload("agent"))
    pod = lone_space.running("agent", [node])[node.name]
    for _ in range(3):  # each failure prolongs the time for which the next failed pod stays
        lone_space.fail(pod)
        pod = lone_space.running("agent", [node], other_than=[uid_of(pod)])[node.name]
    lone_space.fail(pod)
    lone_space.wait_for(lambda: not node.running("agent-"), "its containers are stopped")
    node.kill()
    lone_space.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0", "--ignore-not-found")
    node.start()
    lone_space.running("agent", [node], other_than=[uid_of(pod)])


def test_a_server_that_is_killed_again_and_again_restarts_nothing(lone_cluster, lone_space, node):
    lone_space.apply(workload("first"), workload("second", hostNetwork=False))
    names = ["first", "second"]
    before = {name: lone_space.running(name, [node])[node.name] for name in names}
    for number in range(ROUNDS):
        running = node.running()
        lone_cluster.kill_apiserver()
        node.agent.wait_for(lambda: node.agent.pods_ready("first"), "the pods run on")
        if number % 2:
            node.kill()
            node.start(wait=False)
            ready_locally(node, "first")
        reconnected(lone_space, node, *names)
        assert node.running() == running
    after = {name: lone_space.running(name, [node])[node.name] for name in ("first", "second")}
    assert {name: uid_of(pod) for name, pod in after.items()} == {name: uid_of(pod) for name, pod in before.items()}
    assert all(is_ready(pod) and restarts(pod) == 0 for pod in after.values())

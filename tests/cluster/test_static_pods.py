"""Manifests on a node, as the API server shows them."""

from manifests import daemon_set, static_pod
from space import container_ids, is_ready, owners_of, uid_of

MIRROR = "kubernetes.io/config.mirror"


def in_namespace(space, manifest):
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": space.namespace}}


def ready_mirror(space, name):
    pod = space.pod(name)
    return pod if pod and is_ready(pod) else None


def test_a_static_pod_has_a_mirror_that_follows_its_manifest(cluster, space, nodes):
    node = nodes[0]
    node.agent.apply("static.yaml", in_namespace(space, static_pod("static")))
    name = f"static-{node.name}"
    first = space.wait_for(lambda: ready_mirror(space, name), "the mirror is Ready")
    owner, = owners_of(first)
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "Node", node.name, uid_of(node.object()), True)
    assert first["metadata"]["annotations"][MIRROR] and first["spec"]["nodeName"] == node.name
    assert space.kubectl("get", "pods", "--no-headers").split()[:3] == [name, "1/1", "Running"]
    running = node.running("static-")

    space.kubectl("delete", "pod", name, "--force", "--grace-period=0")
    second = space.wait_for(lambda: (pod := ready_mirror(space, name)) and uid_of(pod) != uid_of(first) and pod,
                            "the mirror is back")
    assert container_ids(second) == container_ids(first) and node.running("static-") == running

    (node.agent.manifests / "static.yaml").unlink()
    space.wait_for(lambda: space.pod(name) is None and not node.containers("static-"), "pod and mirror are gone")


def test_a_mirror_goes_with_a_manifest_that_was_removed_while_the_agent_was_down(space, nodes):
    node = nodes[1]
    for name in ("stays", "goes"):
        node.agent.apply(f"{name}.yaml", in_namespace(space, static_pod(name)))
    stays = space.wait_for(lambda: ready_mirror(space, f"stays-{node.name}"), "one mirror")
    space.wait_for(lambda: ready_mirror(space, f"goes-{node.name}"), "the other mirror")
    node.kill()
    node.agent.delete("goes.yaml")
    node.start()
    space.wait_for(lambda: space.pod(f"goes-{node.name}") is None and not node.containers("goes-"), "it is gone")
    assert uid_of(space.pod(f"stays-{node.name}")) == uid_of(stays)


def test_a_daemon_set_of_the_directory_runs_beside_those_of_the_server(space, nodes):
    node = nodes[2]
    node.agent.apply("local.yaml", in_namespace(space, daemon_set("local")))
    node.agent.wait_for(lambda: node.agent.pods_ready("local"), "it runs", 60)
    node.agent.delete("local.yaml")
    node.agent.wait_for(lambda: not node.containers("local-"), "it is gone", 60)

"""What a node does by itself in a rolling update. No agent here coordinates: the test does, with kubectl, deleting old
pods or marking them for a surge."""

import pytest
from rollouts import REVISION_LABEL, updatable
from space import container_ids, is_ready, restarts, uid_of

import containerd
import registry

SURGE_MARK = "daemonsetd.dev/surge"
SURGE = {"maxSurge": 1, "maxUnavailable": 0}
IMAGES_AWAITED = "the images of the new template"
REPORTED_SECONDS = 20  # long before the status is due anyway
TURN_AWAITED = "its turn in the rolling update"


@pytest.fixture
def node(request, lone_cluster, lone_space, make_node):
    """On containerd 2, or as the test's parameter says."""
    # After lone_space, so that the namespace is emptied while the node is there.
    return make_node(lone_cluster, "node-u", getattr(request, "param", "2"), rolloutCoordinator=False)


on_both = pytest.mark.parametrize("node", ["system", "2"], ids=["containerd-system", "containerd-2"], indirect=True)


@pytest.fixture
def images():
    with registry.Registry() as server:
        yield server


def with_image(image, version="2", **options):
    made = updatable(version=version, **options)
    made["spec"]["template"]["spec"]["containers"][0].update(image=image, imagePullPolicy="IfNotPresent")
    return made


def explained(space, node):
    return node.ctl("explain", "web", "-n", space.namespace)


def hash_now(space, node):
    """Of the template as the agent knows it."""
    items = node.agent.json("/v1/daemonsets")["items"]
    return next(item["templateHash"] for item in items if item["namespace"] == space.namespace)


def update(space, node, manifest):
    """Applies it, and waits until the agent knows it."""
    before = hash_now(space, node)
    space.apply(manifest)
    space.wait_for(lambda: hash_now(space, node) != before, "the agent knows the new template")


def mark(space, node, pod, *options):
    """What a coordinator does of a set that surges."""
    space.kubectl("annotate", "pod", pod["metadata"]["name"], f"{SURGE_MARK}={hash_now(space, node)}", *options)


def both_run(space, node):
    """A condition to wait for: two pods, each with its container; answers them, the older first."""
    def so():
        pods = sorted(space.pods("web"), key=lambda pod: pod["metadata"]["creationTimestamp"])
        names = {c.pod for c in node.containers("web-") if c.running and c.name == "main"}
        return pods if len(pods) == 2 and names == {pod["metadata"]["name"] for pod in pods} else None
    return so


def one_after_the_other(space, node, condition, what):
    """Waits; at no look were there containers of two pods."""
    looks = []

    def so():
        looks.append(sorted({c.pod for c in node.containers("web-")}))
        return condition()

    space.wait_for(so, what)
    assert max(map(len, looks)) == 1, looks


# Pull before stop


@on_both
def test_images_come_while_the_old_pod_runs_and_are_pulled_once(lone_space, node, images):
    name = images.put("app:2", containerd.images_directory() / "busybox.tar")
    lone_space.apply(updatable())
    first = lone_space.running("web", [node])[node.name]
    running = node.running("web-")
    images.held.clear()
    update(lone_space, node, with_image(name))
    lone_space.wait_for(lambda: IMAGES_AWAITED in explained(lone_space, node), "it says what it waits for")
    assert node.running("web-") == running
    images.held.set()
    lone_space.wait_for(lambda: TURN_AWAITED in explained(lone_space, node), "the images are here")
    assert node.running("web-") == running, "and the pod stays until somebody deletes it"
    lone_space.wait_for(lambda: name in [n for image in node.object()["status"]["images"] for n in image["names"]],
                        "its Node says so", REPORTED_SECONDS)
    assert {"Pulling", "Pulled"} <= lone_space.reasons("Pod", first["metadata"]["name"])
    lone_space.kubectl("delete", "pod", first["metadata"]["name"], "--wait=false")
    second = lone_space.running("web", [node], other_than=[uid_of(first)])[node.name]
    assert second["spec"]["containers"][0]["image"] == name
    assert images.asked["app:2"] == 1
    assert restarts(second) == 0


def test_an_image_that_cannot_be_pulled_costs_nothing(lone_space, node, images):
    missing = images.put("there:1", containerd.images_directory() / "busybox.tar").replace("there", "missing")
    lone_space.apply(updatable())
    first = lone_space.running("web", [node])[node.name]
    running = node.running("web-")
    update(lone_space, node, with_image(missing))
    text = lone_space.wait_for(lambda: (t := explained(lone_space, node)) and "ErrImagePull" in t and t, "it says why")
    assert IMAGES_AWAITED in text and "missing:1" in text, text
    assert missing in node.ctl("describe", "ds", "web", "-n", lone_space.namespace)
    lone_space.wait_for(lambda: "Failed" in lone_space.reasons("Pod", first["metadata"]["name"]), "an Event says so")
    assert node.running("web-") == running
    assert is_ready(lone_space.pod(first["metadata"]["name"]))
    update(lone_space, node, updatable())  # undo
    lone_space.wait_for(lambda: "missing:1" not in explained(lone_space, node), "nothing is waited for any more")
    assert node.running("web-") == running
    assert container_ids(lone_space.running("web", [node])[node.name]) == container_ids(first)


# One after the other


@on_both
def test_the_new_pod_starts_when_the_containers_of_the_old_one_are_gone(lone_space, node):  # RO-05
    deaf = updatable(terminationGracePeriodSeconds=4)
    deaf["spec"]["template"]["spec"]["containers"][0]["command"][2] = "trap '' TERM; while :; do sleep 0.2; done"
    lone_space.apply(deaf)
    first = lone_space.running("web", [node])[node.name]
    update(lone_space, node, updatable(version="2"))
    lone_space.kubectl("delete", "pod", first["metadata"]["name"], "--wait=false")
    one_after_the_other(lone_space, node, lambda: [
        pod for pod in lone_space.pods("web") if is_ready(pod) and uid_of(pod) != uid_of(first)], "the new pod is ready")
    lone_space.running("web", [node], other_than=[uid_of(first)])


def test_a_template_that_repairs_a_crash_loop_starts_at_once(lone_space, node):  # RO-14
    broken = updatable()
    broken["spec"]["template"]["spec"]["containers"][0]["command"][2] = "exit 1"
    lone_space.apply(broken)
    crashed, = lone_space.wait_for(lambda: [p for p in lone_space.pods("web") if restarts(p) >= 2], "it crashes again")
    update(lone_space, node, updatable(version="2"))
    lone_space.kubectl("delete", "pod", crashed["metadata"]["name"], "--wait=false")
    second = lone_space.running("web", [node], other_than=[uid_of(crashed)])[node.name]
    assert restarts(second) == 0


# Side by side


def test_the_old_pod_of_a_surge_goes_when_the_new_one_beside_it_is_available(lone_space, node):  # RO-04, RO-08
    lone_space.apply(updatable(strategy=SURGE, min_ready=10))
    first = lone_space.running("web", [node])[node.name]
    update(lone_space, node, updatable(version="2", strategy=SURGE, min_ready=10))
    lone_space.news_arrive([node])
    assert [uid_of(pod) for pod in lone_space.pods("web")] == [uid_of(first)], "not before it is told to"
    mark(lone_space, node, first)
    old, new = lone_space.wait_for(both_run(lone_space, node), "both run")
    assert container_ids(old) == container_ids(first)
    second = lone_space.running("web", [node], other_than=[uid_of(first)])[node.name]
    assert uid_of(second) == uid_of(new) and restarts(second) == 0
    conditions = {c["type"]: c["lastTransitionTime"] for c in second["status"]["conditions"]}
    told, = (e for e in lone_space.events("DaemonSet", "web") if e["reason"] == "SuccessfulDelete")
    assert "the pod of the new template is available" in told["message"]
    assert told["firstTimestamp"] >= conditions["Ready"], "minReadySeconds after it was ready"


def test_an_agent_that_starts_again_in_a_surge_goes_on_with_it(lone_space, node):
    lone_space.apply(updatable(strategy=SURGE, min_ready=20))
    first = lone_space.running("web", [node])[node.name]
    update(lone_space, node, updatable(version="2", strategy=SURGE, min_ready=20))
    hash_of_new = hash_now(lone_space, node)
    node.kill()
    lone_space.kubectl("annotate", "pod", first["metadata"]["name"], f"{SURGE_MARK}={hash_of_new}")
    node.start()
    lone_space.wait_for(both_run(lone_space, node), "both run")
    running = node.running("web-")
    node.kill()
    node.start()
    second = lone_space.running("web", [node], other_than=[uid_of(first)])[node.name]
    assert node.running("web-").items() <= running.items(), "nothing was restarted"
    assert restarts(second) == 0


def test_an_old_pod_stays_while_the_new_one_cannot_start(lone_space, node, images):  # RO-08
    missing = images.put("there:1", containerd.images_directory() / "busybox.tar").replace("there", "missing")
    lone_space.apply(updatable(strategy=SURGE))
    first = lone_space.running("web", [node])[node.name]
    running = node.running("web-")
    update(lone_space, node, with_image(missing, strategy=SURGE))
    mark(lone_space, node, first)
    lone_space.wait_for(lambda: len(lone_space.pods("web")) == 2, "the new pod is made")
    lone_space.news_arrive([node])
    assert running.items() <= node.running("web-").items()
    update(lone_space, node, updatable(version="3", strategy=SURGE))
    mark(lone_space, node, lone_space.pod(first["metadata"]["name"]), "--overwrite")
    lone_space.running("web", [node], other_than=[uid_of(first)])


def test_nothing_is_made_beside_a_pod_whose_port_of_the_host_it_needs(lone_space, node):  # RO-06
    manifests = [updatable(version=version, strategy=SURGE) for version in ("1", "2")]
    for manifest in manifests:
        manifest["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 18099}]
    lone_space.apply(manifests[0])
    first = lone_space.running("web", [node])[node.name]
    update(lone_space, node, manifests[1])
    mark(lone_space, node, first)
    lone_space.news_arrive([node])
    assert [uid_of(pod) for pod in lone_space.pods("web")] == [uid_of(first)]
    assert "18099" in explained(lone_space, node)


# Labels


def test_a_label_that_the_containers_belie_is_put_right(lone_space, node):  # RO-18
    lone_space.apply(updatable())
    first = lone_space.running("web", [node])[node.name]
    name, label = first["metadata"]["name"], first["metadata"]["labels"][REVISION_LABEL]
    update(lone_space, node, updatable(version="2"))
    lone_space.kubectl("label", "pod", name, f"{REVISION_LABEL}={hash_now(lone_space, node)}", "--overwrite")
    lone_space.wait_for(lambda: "TemplateMismatch" in lone_space.reasons("Pod", name), "an Event tells of it")
    lone_space.wait_for(lambda: lone_space.pod(name)["metadata"]["labels"][REVISION_LABEL] == label, "it is put right")
    assert container_ids(lone_space.running("web", [node])[node.name]) == container_ids(first)

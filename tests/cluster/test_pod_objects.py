"""ConfigMaps, Secrets, tokens and the downward API, as containers find them."""

import base64
import json

from manifests import container
from objects import config_map
from space import container_ids, uid_of, waiting
from workloads import secret, workload

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def from_key(kind, name, key, **more):
    return {"name": key.upper(), "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key, **more}}}


def field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def reads(name, volume, containers=None, **spec):
    """A DaemonSet whose container finds `volume` at /data."""
    main = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    return workload(name, containers or [main], volumes=[{"name": "data", **volume}], **spec)


def all_waiting(space, name, count, reason):
    pods = space.pods(name)
    return len(pods) == count and all(waiting(pod) == reason for pod in pods)


def test_config_maps_and_secrets_are_found_as_environment_and_files(space, nodes):
    space.apply(config_map(space.namespace, "settings", colour="blue", size="3"), secret("keys", password="hush"))
    main = container(env=[from_key("configMap", "settings", "colour"), from_key("secret", "keys", "password")],
                     envFrom=[{"prefix": "all_", "configMapRef": {"name": "settings"}}],
                     volumeMounts=[{"name": "settings", "mountPath": "/settings"}, {"name": "keys", "mountPath": "/keys"}])
    space.apply(workload("agent", [main], volumes=[
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "keys", "items": [{"key": "password", "path": "deep/pass"}]}}]))
    pods = space.running("agent", nodes)
    for node in nodes:
        pod = pods[node.name]
        found = node.environment(pod)
        assert (found["COLOUR"], found["PASSWORD"], found["all_size"]) == ("blue", "hush", "3")
        assert node.read(pod, "/settings/colour") == "blue" and node.read(pod, "/keys/deep/pass") == "hush"
        assert "hush" not in node.agent.log.read_text() + node.agent.get("/v1/pods")[1]


def test_the_downward_api_tells_of_the_pod(space, nodes):
    main = container(env=[field("POD", "metadata.name"), field("UID_", "metadata.uid"), field("NODE", "spec.nodeName"),
                          field("POD_IP", "status.podIP"), field("HOST_IP", "status.hostIP"),
                          field("SPACE", "metadata.namespace"), field("ACCOUNT", "spec.serviceAccountName")],
                     volumeMounts=[{"name": "data", "mountPath": "/data"}])
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    space.apply(reads("agent", {"downwardAPI": {"items": items}}, [main], hostNetwork=False))
    pods = space.running("agent", nodes)
    for node in nodes:
        pod = pods[node.name]
        found = node.environment(pod)
        assert found["POD"] == pod["metadata"]["name"] and found["UID_"] == uid_of(pod)
        assert (found["NODE"], found["HOST_IP"], found["POD_IP"]) == (node.name, node.address, pod["status"]["podIP"])
        assert (found["SPACE"], found["ACCOUNT"]) == (space.namespace, "default")
        assert 'app="agent"' in node.read(pod, "/data/labels")
        space.kubectl("label", "pod", pod["metadata"]["name"], "seen=yes")
        space.wait_for(lambda: 'seen="yes"' in node.read(pod, "/data/labels"), "the new label in the file")


def test_a_pod_finds_the_token_of_its_service_account(space, nodes):
    space.wait_for(lambda: space.kubectl("get", "configmap", "kube-root-ca.crt"), "the root certificate is published")
    space.apply(workload("agent", automountServiceAccountToken=True))
    pods = space.running("agent", nodes)
    for node in nodes:
        pod = pods[node.name]
        payload = node.read(pod, f"{ACCOUNT}/token").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["kubernetes.io"]
        assert claims["pod"] == {"name": pod["metadata"]["name"], "uid": uid_of(pod)}
        assert claims["serviceaccount"]["name"] == "default"
        assert node.read(pod, f"{ACCOUNT}/namespace") == space.namespace
        assert node.read(pod, f"{ACCOUNT}/ca.crt").strip() == space.cluster.pki.ca.read_text().strip()


def test_an_update_arrives_in_files_and_not_in_the_environment(space, nodes):
    space.apply(config_map(space.namespace, "settings", colour="blue"), secret("keys", colour="dark"))
    main = container(env=[from_key("configMap", "settings", "colour")],
                     volumeMounts=[{"name": "data", "mountPath": "/data"}])
    sources = [{"configMap": {"name": "settings"}},
               {"secret": {"name": "keys", "items": [{"key": "colour", "path": "secret"}]}}]
    space.apply(reads("agent", {"projected": {"sources": sources}}, [main]))
    pods = space.running("agent", nodes)
    space.apply(config_map(space.namespace, "settings", colour="red"), secret("keys", colour="light"))
    for node in nodes:
        pod = pods[node.name]
        space.wait_for(lambda: node.read(pod, "/data/colour") == "red" and node.read(pod, "/data/secret") == "light",
                       f"the update in {node.name}'s files")
        assert node.environment(pod)["COLOUR"] == "blue"
    assert all(container_ids(pod) == container_ids(pods[name]) for name, pod in space.running("agent", nodes).items())


def test_a_pod_waits_for_a_config_map_and_says_so(space, nodes):
    space.apply(reads("agent", {"configMap": {"name": "later"}}), reads("other", {"emptyDir": {}}))
    space.running("other", nodes)
    space.wait_for(lambda: all_waiting(space, "agent", 3, "ContainerCreating"), "every pod waits")
    for pod in space.pods("agent"):
        name = pod["metadata"]["name"]
        assert pod["status"]["phase"] == "Pending"
        space.wait_for(lambda: [e for e in space.events("Pod", name) if e["reason"] == "FailedMount"
                                and e["type"] == "Warning" and "later" in e["message"]], "an event that names it")
    assert "ContainerCreating" in space.kubectl("get", "pods")
    space.apply(config_map(space.namespace, "later", colour="blue"))
    pods = space.running("agent", nodes)
    assert all(node.read(pods[node.name], "/data/colour") == "blue" for node in nodes)


def test_a_container_waits_for_a_secret_of_its_environment(space, nodes):
    space.apply(workload("agent", [container(env=[from_key("secret", "later", "key")])]))
    space.wait_for(lambda: all_waiting(space, "agent", 3, "CreateContainerConfigError"), "every container waits")
    message = space.pods("agent")[0]["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    assert "later" in message
    space.apply(secret("later", key="value"))
    pods = space.running("agent", nodes)
    assert all(node.environment(pods[node.name])["KEY"] == "value" for node in nodes)


def test_what_is_optional_is_not_waited_for(space, nodes):
    main = container(env=[from_key("secret", "none", "key", optional=True)],
                     envFrom=[{"configMapRef": {"name": "none", "optional": True}}],
                     volumeMounts=[{"name": "data", "mountPath": "/data"}])
    space.apply(reads("agent", {"configMap": {"name": "none", "optional": True}}, [main]))
    pods = space.running("agent", nodes)
    assert all("KEY" not in node.environment(pods[node.name]) for node in nodes)
    space.apply(config_map(space.namespace, "none", colour="blue"))
    for node in nodes:
        space.wait_for(lambda: node.read(pods[node.name], "/data/colour") == "blue", "it arrives when it is made")


def test_a_missing_pull_secret_is_told_by_an_event_alone(space, nodes):
    absent = container(image="registry.invalid/absent:1")
    secrets = [{"name": "none"}]
    space.apply(workload("present", imagePullSecrets=secrets), workload("absent", [absent], imagePullSecrets=secrets))
    space.running("present", nodes)  # the image is there, so nobody asks for credentials
    pods = space.wait_for(lambda: (found := space.pods("absent")) and len(found) == 3 and found, "the other's pods")
    for pod in pods:
        name = pod["metadata"]["name"]
        told = space.wait_for(lambda: [e for e in space.events("Pod", name)
                                       if e["reason"] == "FailedToRetrieveImagePullSecret"], "the event")
        assert "(none)" in told[0]["message"]
        # The pull was tried in spite of it.
        space.wait_for(lambda: waiting(space.pod(name)) in ("ErrImagePull", "ImagePullBackOff"), "the pull's own failure")

"""Objects that the tests of this folder apply."""


def daemon_set(namespace, name="agent", **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "registry.example/agent:1"}]}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": namespace, "name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template, **spec}}


def replica_set(namespace, name="web"):
    return {**daemon_set(namespace, name, replicas=1), "kind": "ReplicaSet"}


def config_map(namespace, name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": data}


def node(name, **labels):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}

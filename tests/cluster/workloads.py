"""Objects that the nodes of these tests really run; what a container is they share with the end-to-end tests."""

from manifests import container


def workload(name="agent", containers=None, *, labels=None, annotations=None, update_strategy=None, **pod_spec):
    """A DaemonSet that really runs, for `Space.apply`: on the host's network, unless told otherwise, with the image that
    the nodes have, and with pods that stop at once."""
    labels = {"app": name, **(labels or {})}
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 2, "automountServiceAccountToken": False,
            "containers": containers or [container()], **pod_spec}
    body = {"selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": spec}}
    if update_strategy:
        body["updateStrategy"] = {"type": update_strategy}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name}, "spec": body}


def pod_of(daemon_set, node, **spec):
    """What somebody else makes of a DaemonSet as the server has it, and binds."""
    template = daemon_set["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": daemon_set["metadata"]["name"],
             "uid": daemon_set["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"{daemon_set['metadata']['name']}-other", "labels": template["metadata"]["labels"],
                         "ownerReferences": [owner]},
            "spec": {**template["spec"], "nodeName": node.name, **spec}}


def plain_pod(name, node, containers=None):
    """A Pod of nobody, bound to a node."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": node.name, "hostNetwork": True, "terminationGracePeriodSeconds": 2,
                     "automountServiceAccountToken": False, "containers": containers or [container()],
                     "tolerations": [{"operator": "Exists"}]}}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}

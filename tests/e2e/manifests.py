"""Manifests for the end-to-end tests, as Python values."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from containerd import images  # noqa: E402

# Ends at once on SIGTERM, also as process 1 of its container.
SLEEP = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


def container(name="main", script=SLEEP, **fields):
    return {"name": name, "image": images.BUSYBOX_IMAGE, "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script], **fields}


def daemon_set(name, containers=None, *, labels=None, update_strategy=None, **pod_spec):
    """A DaemonSet on the host's network (unless told otherwise) whose pods stop within a second."""
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 2, "automountServiceAccountToken": False,
            "containers": containers or [container()], **pod_spec}
    template = {"metadata": {"labels": {"app": name, **(labels or {})}}, "spec": spec}
    body = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if update_strategy:
        body["updateStrategy"] = update_strategy
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": "default"}, "spec": body}


def static_pod(name, containers=None, **pod_spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"hostNetwork": True, "terminationGracePeriodSeconds": 2,
                     "containers": containers or [container()], **pod_spec}}

#!/usr/bin/env python3
"""DaemonSets of real projects: what each needs, and the same with a stand-in for its images.

    corpus.py           lists every DaemonSet with what an agent without an API server makes of it

The manifests are not part of the repository: DAEMONSETD_CORPUS names their directory, ../shared/corpus by default.
"""

import copy
import dataclasses
import os
import pathlib
import socket
import stat
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIRECTORY = pathlib.Path(os.environ.get("DAEMONSETD_CORPUS", ROOT.parent / "shared" / "corpus"))

# Volumes that are nothing but local.
LOCAL = ("hostPath", "emptyDir")
KINDS = LOCAL + ("configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim", "ephemeral", "csi", "image",
                 "nfs", "iscsi", "fc", "gcePersistentDisk", "awsElasticBlockStore")
GONE = ("flocker", "glusterfs", "quobyte", "storageos", "photonPersistentDisk", "scaleIO")
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
FACTS = ("kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname")  # labels that are not for us to choose


@dataclasses.dataclass(frozen=True)
class Case:
    """`outcome`: "runs", "waits" (`needs` are in the message of its pod), "elsewhere" (not for this node) or "refused"."""

    name: str
    manifest: dict
    outcome: str
    needs: tuple = ()

    @property
    def pod_spec(self):
        return self.manifest["spec"]["template"]["spec"]


def load(directory=DIRECTORY):
    """Every DaemonSet of the corpus."""
    cases = []
    for file in sorted(directory.glob("*.yaml")):
        found = [o for o in yaml.safe_load_all(file.read_text()) if isinstance(o, dict) and o.get("kind") == "DaemonSet"]
        for number, manifest in enumerate(found):
            cases.append(classify(file.stem if len(found) == 1 else f"{file.stem}-{number}", manifest))
    return cases


def classify(name, manifest):
    # A disk that is written to by many nodes is wrong for the API server; no container of this one mounts it.
    is_invalid = name.startswith("k8s-invalid") and name != "k8s-invalid-rw-gce-pd"
    if manifest.get("apiVersion") != "apps/v1" or is_invalid:
        return Case(name, manifest, "refused")
    spec = manifest["spec"]["template"]["spec"]
    if not_supported(spec):
        return Case(name, manifest, "refused", not_supported(spec))
    if (spec.get("nodeSelector") or {}).get("kubernetes.io/os", "linux") != "linux":
        return Case(name, manifest, "elsewhere")
    needed = tuple(dict.fromkeys(needs(spec)))
    return Case(name, manifest, "waits" if needed else "runs", needed)


def not_supported(spec):
    """Volumes of kinds that no current Kubernetes has, and fields that no volume has."""
    found = (kind for volume in spec.get("volumes") or [] for kind in volume if kind != "name")
    return tuple(kind for kind in found if kind in GONE or kind not in KINDS)


def needs(spec):
    """What only an API server could give, in the words that the agent uses."""
    mounted = {m["name"] for c in containers(spec) for m in c.get("volumeMounts") or []}
    for volume in spec.get("volumes") or []:
        if volume["name"] not in mounted or any(kind in volume for kind in LOCAL):
            continue
        # Where no API server is configured there is no such object, and an optional one is empty.
        if source := volume.get("configMap"):
            if not source.get("optional"):
                yield f"ConfigMap {source['name']}"
        elif source := volume.get("secret"):
            if not source.get("optional"):
                yield f"Secret {source['secretName']}"
        elif source := volume.get("projected"):
            yield from projected_needs(spec, source)
        elif source := volume.get("persistentVolumeClaim"):
            yield f"PersistentVolumeClaim {source['claimName']}"
        else:
            yield f"volume {volume['name']}"
    if name := spec.get("runtimeClassName"):
        yield f"RuntimeClass {name}"
    for container in containers(spec):
        yield from environment_needs(container)


def projected_needs(spec, projected):
    for source in projected["sources"]:
        if "serviceAccountToken" in source:
            yield f"token of ServiceAccount {spec.get('serviceAccountName', 'default')}"
        for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            if key in source and not source[key].get("optional"):
                yield f"{kind} {source[key]['name']}"


def environment_needs(container):
    sources = [v.get("valueFrom") or {} for v in container.get("env") or []] + (container.get("envFrom") or [])
    for source in sources:
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"), ("configMapRef", "ConfigMap"),
                          ("secretRef", "Secret")):
            if key in source and not source[key].get("optional"):
                yield f"{kind} {source[key]['name']}"


def containers(spec):
    return (spec.get("initContainers") or []) + (spec.get("containers") or [])


def node_labels(spec):
    """Labels with which a node passes the DaemonSet's selector and the first term of its affinity."""
    labels = dict(spec.get("nodeSelector") or {})
    terms = (((spec.get("affinity") or {}).get("nodeAffinity") or {})
             .get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or [{}]
    for expression in terms[0].get("matchExpressions") or []:
        if expression["operator"] == "In":
            labels[expression["key"]] = expression["values"][0]
        elif expression["operator"] == "Exists":
            labels.setdefault(expression["key"], "")
    return {key: value for key, value in labels.items() if key not in FACTS}


def resources(spec):
    """An amount of everything that is requested, more than enough: this is not about capacity."""
    names = {"cpu", "memory", "ephemeral-storage"}
    for container in containers(spec):
        for kind in ("requests", "limits"):
            names |= set((container.get("resources") or {}).get(kind) or {})
    return {name: "64" if name == "cpu" else "256Gi" for name in names}


def with_stand_in(case, image, script, host):
    """The manifest with every image replaced by one that sleeps, and the node's paths moved below `host`.

    What belongs to the image goes with it: command, arguments, hooks, and its user where the pod insists on one.
    """
    manifest = copy.deepcopy(case.manifest)  # the case is used again, on another runtime
    spec = manifest["spec"]["template"]["spec"]
    for container in containers(spec):
        ends = container in (spec.get("initContainers") or []) and container.get("restartPolicy") != "Always"
        container.update(image=image, imagePullPolicy="IfNotPresent", command=["sh", "-c", "exit 0" if ends else script])
        for key in ("args", "lifecycle", "workingDir"):
            container.pop(key, None)
        context = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        if context.get("runAsNonRoot") and "runAsUser" not in context:
            container.setdefault("securityContext", {})["runAsUser"] = 65534
    for volume in spec.get("volumes") or []:
        if source := volume.get("hostPath"):
            source["path"] = str(make_host_path(host, source["path"], source.get("type") or ""))
    return manifest


def make_host_path(host, path, kind):
    """What the node would have at `path`, made below `host`. A path that is made already stays what it is."""
    place = pathlib.Path(str(host) + os.path.normpath("/" + path.lstrip("/")))
    if place == host / "dev" and not place.exists():
        make_devices(place)
    if place.exists() or kind in ("DirectoryOrCreate", ""):
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
    if kind == "Directory":
        place.mkdir(parents=True)
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "File":
        place.touch()
    elif kind == "Socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{os.open(place.parent, os.O_RDONLY | os.O_CLOEXEC)}/{place.name}")
    elif kind == "CharDevice":
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    elif kind == "BlockDevice":
        os.mknod(place, stat.S_IFBLK | 0o600, os.makedev(7, 0))
    return place


def make_devices(place):
    """What every container needs to have when the node's /dev is mounted over its own."""
    for directory in ("", "pts", "shm", "mqueue"):
        (place / directory).mkdir(parents=True)
    for name, numbers in DEVICES.items():
        os.mknod(place / name, stat.S_IFCHR | 0o666, os.makedev(*numbers))


def main():
    if not DIRECTORY.is_dir():
        sys.exit(f"{DIRECTORY} is not there; DAEMONSETD_CORPUS=DIRECTORY names another one")
    cases = load()
    for case in cases:
        print(f"{case.name:<45} {case.outcome:<10} {', '.join(case.needs)}")
    print(*(f"{outcome} {sum(case.outcome == outcome for case in cases)}"
            for outcome in ("runs", "waits", "elsewhere", "refused")), sep=", ")


if __name__ == "__main__":
    main()

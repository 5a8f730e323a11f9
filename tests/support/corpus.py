#!/usr/bin/env python3
"""DaemonSets of real projects, for tests/e2e and tests/cluster: what each needs, and the same with a stand-in for its
images.

    corpus.py           lists every DaemonSet with what an agent without an API server makes of it

The manifests are not part of the repository: DAEMONSETD_CORPUS names their directory, ../shared/corpus by default.
"""

import contextlib
import copy
import dataclasses
import functools
import os
import pathlib
import re
import socket
import stat
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIRECTORY = pathlib.Path(os.environ.get("DAEMONSETD_CORPUS", ROOT.parent / "shared" / "corpus"))

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, and ten times as fast
# Volumes that are nothing but local.
LOCAL = ("hostPath", "emptyDir")
KINDS = LOCAL + ("configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim", "ephemeral", "csi", "image",
                 "nfs", "iscsi", "fc", "gcePersistentDisk", "awsElasticBlockStore")
GONE = ("flocker", "glusterfs", "quobyte", "storageos", "photonPersistentDisk", "scaleIO")
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
CAPABILITIES = (  # capability.h, by their numbers
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()
# Says yes to every HTTP request, and takes every connection; a script to begin others with.
ANSWER = ("nc -ll -p %s -e sh -c 'while read -r line && [ ${#line} -gt 1 ]; do :; done; "
          "printf \"HTTP/1.0 200 OK\\r\\n\\r\\n\"' & ")
FACTS = ("kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname")  # labels that are not for us to choose


@dataclasses.dataclass(frozen=True)
class Case:
    """`outcome`: "runs", "waits" (`needs` are in the message of its pod), "elsewhere" (not for this node) or "refused"."""

    name: str
    manifest: dict
    outcome: str
    needs: tuple = ()
    companions: tuple = ()  # the other objects of its file

    @property
    def pod_spec(self):
        return self.manifest["spec"]["template"]["spec"]


def load(directory=DIRECTORY):
    """Every DaemonSet of the corpus."""
    cases = []
    for file in sorted(directory.glob("*.yaml")):
        objects = list(objects_of(file))
        found = [o for o in objects if o["kind"] == "DaemonSet"]
        others = tuple(o for o in objects if o["kind"] != "DaemonSet")
        for number, manifest in enumerate(found):
            case = classify(file.stem if len(found) == 1 else f"{file.stem}-{number}", manifest)
            cases.append(dataclasses.replace(case, companions=others))
    return cases


def objects_of(file):
    """What kubectl makes of the file: the items of a List are objects like others."""
    for document in yaml.load_all(file.read_text(), LOADER):
        if isinstance(document, dict) and document.get("kind"):
            yield from document["items"] if document["kind"] == "List" else [document]


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


def keys_of(spec, kind, name):
    """The keys of a ConfigMap or Secret that the pod names."""
    word, name_key = ("configMap", "name") if kind == "ConfigMap" else ("secret", "secretName")
    sources = [volume for volume in spec.get("volumes") or []]
    sources += [source for volume in sources for source in (volume.get("projected") or {}).get("sources") or []]
    found = [source[word] for source in sources if word in source]
    keys = {item["key"] for source in found if name in (source.get("name"), source.get(name_key))
            for item in source.get("items") or []}
    references = [(variable.get("valueFrom") or {}).get(f"{word}KeyRef") or {}
                  for container in containers(spec) for variable in container.get("env") or []]
    return sorted(keys | {reference["key"] for reference in references if reference.get("name") == name})


def containers(spec):
    return (spec.get("initContainers") or []) + (spec.get("containers") or [])


def ends(container, spec):
    """An init container, and no sidecar."""
    return container in (spec.get("initContainers") or []) and container.get("restartPolicy") != "Always"


def node_expressions(spec):
    """Those of the first term of the required node affinity."""
    terms = (((spec.get("affinity") or {}).get("nodeAffinity") or {})
             .get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or [{}]
    return terms[0].get("matchExpressions") or []


def forbidden_labels(spec):
    return [expression["key"] for expression in node_expressions(spec) if expression["operator"] == "DoesNotExist"]


def node_labels(spec):
    """Labels with which a node passes the DaemonSet's selector and the first term of its affinity."""
    labels = dict(spec.get("nodeSelector") or {})
    for expression in node_expressions(spec):
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
    """The manifest with every image replaced by one that runs `script`, and the node's paths moved below `host`.

    What belongs to the image goes with it: command, arguments, and its user where the pod insists on one. What probes
    and hooks execute becomes "true"; what they ask for over the network, the stand-in answers. What is not the same on
    every machine is not asked for: capabilities that this one lacks, places in /proc and /sys to mount at, and seccomp
    profiles that an init container installs.
    """
    manifest = copy.deepcopy(case.manifest)  # the case is used again, on another runtime
    spec = manifest["spec"]["template"]["spec"]
    for container in containers(spec):
        answers = "".join(ANSWER % port for port in asked_ports(container))
        container.update(image=image, imagePullPolicy="IfNotPresent",
                         command=["sh", "-c", "exit 0" if ends(container, spec) else answers + script])
        for key in ("args", "workingDir"):
            container.pop(key, None)
        for handler in handlers(container):
            if "exec" in handler:
                handler["exec"] = {"command": ["true"]}
            elif handler.get("httpGet", {}).get("scheme") == "HTTPS":
                handler["httpGet"]["scheme"] = "HTTP"  # the stand-in has no certificate
        for mount in container.get("volumeMounts") or []:
            if mount["mountPath"].startswith(("/proc", "/sys")):
                mount["mountPath"] = "/host" + mount["mountPath"]
        context = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        if (context.get("seccompProfile") or {}).get("type") == "Localhost":
            container["securityContext"]["seccompProfile"] = {"type": "RuntimeDefault"}
        if added := (context.get("capabilities") or {}).get("add"):
            added[:] = [name for name in added if name not in lacking_capabilities()]
        if context.get("runAsNonRoot") and "runAsUser" not in context:
            container.setdefault("securityContext", {})["runAsUser"] = 65534
    for volume in spec.get("volumes") or []:
        if source := volume.get("hostPath"):
            source["path"] = str(make_host_path(host, source["path"], source.get("type") or ""))
    return manifest


@functools.cache
def lacking_capabilities():
    """Of this machine."""
    bounds = re.search(r"^CapBnd:\s*(\w+)$", pathlib.Path("/proc/self/status").read_text(), re.M).group(1)
    return {name for number, name in enumerate(CAPABILITIES) if not int(bounds, 16) >> number & 1}


def handlers(container):
    """Of its probes and hooks."""
    found = [container.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
    found += (container.get("lifecycle") or {}).values()
    return [handler for handler in found if isinstance(handler, dict)]


def asked_ports(container):
    """The ports at which probes and hooks expect an answer."""
    named = {port.get("name"): port["containerPort"] for port in container.get("ports") or []}
    asked = [(handler.get("httpGet") or handler.get("tcpSocket") or {}).get("port") for handler in handlers(container)]
    return sorted({named.get(port, port) for port in asked if port})


@contextlib.contextmanager
def host_directory(path):
    """A place for the node's paths that is a shared mount, as a node's root is: mountPropagation needs it."""
    path.mkdir()
    subprocess.run(["mount", "--bind", path, path], check=True)
    subprocess.run(["mount", "--make-rshared", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def make_host_path(host, path, kind):
    """What the node would have at `path`, made below `host`. A path that is made already stays what it is."""
    place = pathlib.Path(str(host) + os.path.normpath("/" + path.lstrip("/")))
    if place == host / "dev" and not place.exists():
        make_devices(place)
    if place.exists() or kind == "DirectoryOrCreate" or kind == "" and not pathlib.Path(path).is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
    if kind == "Directory":
        place.mkdir(parents=True)
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind in ("File", ""):
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

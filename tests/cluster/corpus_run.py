"""The corpus on a real API server and one node: what the server takes, what each DaemonSet's pod waits for, what runs
in the end and is not as its manifest says, and what stays when all is deleted.

    run = CorpusRun(cluster, node, host, provided={"aws-node": ["Secret a"]})
    outcomes = run.all(cases)          # {case's name: Outcome}

The DaemonSets come in batches: of one batch no two have the same name or need the same host port or labels of the Node
that contradict each other, and together they do not need more than the Node has.
"""

import dataclasses
import json
import pathlib
import re
import time

import corpus
from cluster_node import grant_objects
from containerd import images, mounts_below
from manifests import SLEEP
from space import is_ready

BATCH = 24
SETTLE_SECONDS = 90  # without any news of a whole batch
GONE_SECONDS = 90
POLL_SECONDS = 0.5
ABSENT = None  # the value of a label that must not be there, also in a patch
MADE = "made by the test"


@dataclasses.dataclass
class Outcome:
    refused: dict = dataclasses.field(default_factory=dict)  # {object: the server's words}
    waited: dict = dataclasses.field(default_factory=dict)  # {object that did not exist: the words for it}
    phase: str = ""
    ready: bool = False
    says: str = ""  # what it waits for in the end
    lost: list = dataclasses.field(default_factory=list)


class Api:
    """Objects of every kind that the server knows, as manifests have them."""

    def __init__(self, cluster):
        self.client = cluster.client()
        self._kinds = {}

    def path(self, manifest):
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        if version not in self._kinds:
            found = self.client.request("GET", root)
            items = found.json()["resources"] if found.status == 200 else []
            self._kinds[version] = {item["kind"]: item for item in items if "/" not in item["name"]}
        kind = self._kinds[version].get(manifest["kind"], {"name": manifest["kind"].lower() + "s", "namespaced": True})
        return f"{root}/namespaces/{metadata.get('namespace', 'default')}/{kind['name']}" if kind["namespaced"] \
            else f"{root}/{kind['name']}"

    def create(self, manifest):
        """As kubectl does. The server's words when it refuses; an object that is there already is as good."""
        body = json.dumps(manifest, default=str).encode()  # YAML knows dates
        answer = self.client.request("POST", self.path(manifest), body=body, query={"fieldValidation": "Strict"})
        if answer.status < 300 or answer.status == 409:
            return None
        # Of an API group that it does not know the server says so in plain text.
        words = answer.json()["message"] if "json" in answer.content_type else answer.body.decode().strip()
        return f"{answer.status} {words}"

    def delete(self, manifest):
        self.client.delete(f"{self.path(manifest)}/{manifest['metadata']['name']}", absent=None)


@dataclasses.dataclass
class Needs:
    """What keeps DaemonSets apart."""

    ports: set
    labels: dict
    objects: dict
    cpu: float
    memory: float

    @classmethod
    def of(cls, case):
        spec = case.pod_spec
        requests = [(c.get("resources") or {}).get("requests") or {} for c in corpus.containers(spec)]
        objects = {(o["kind"], o["metadata"].get("namespace", "default"), o["metadata"].get("name")):
                   json.dumps(o, default=str, sort_keys=True) for o in (case.manifest, *case.companions)
                   if o["kind"] != "Namespace"}
        return cls(host_ports(spec), labels_of(spec), objects, *(sum(quantity(r.get(kind, 0)) for r in requests)
                                                                  for kind in ("cpu", "memory")))

    def fits(self, other, node):
        return (not self.ports & other.ports and agree(self.labels, other.labels) and agree(self.objects, other.objects)
                and self.cpu + other.cpu <= node.cpu and self.memory + other.memory <= node.memory)

    def add(self, other):
        self.ports |= other.ports
        self.labels |= other.labels
        self.objects |= other.objects
        self.cpu += other.cpu
        self.memory += other.memory


def agree(one, other):
    return all(one.get(key, value) == value for key, value in other.items())


def host_ports(spec):
    declared = {port.get("hostPort") or (spec.get("hostNetwork") and port["containerPort"])
                for container in corpus.containers(spec) for port in container.get("ports") or []}
    answered = {port for container in corpus.containers(spec) for port in corpus.asked_ports(container)}
    return (declared | (answered if spec.get("hostNetwork") else set())) - {None, False}


def labels_of(spec):
    """Also those that the node must not have."""
    return {**{key: ABSENT for key in corpus.forbidden_labels(spec)}, **corpus.node_labels(spec)}


def quantity(text):
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()
    return float(number) * {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


def batches(cases, node):
    """`node`: the allocatable of the Node object."""
    room = Needs(set(), {}, {}, quantity(node["cpu"]), quantity(node["memory"]))
    made = []
    for case in cases:
        needs = Needs.of(case)
        for batch, taken in made:
            if len(batch) < BATCH and taken.fits(needs, room):
                break
        else:
            batch, taken = [], Needs(set(), {}, {}, 0, 0)
            made.append((batch, taken))
        batch.append(case)
        taken.add(needs)
    return made


class CorpusRun:
    """`provided`: {case's name: ["KIND NAME" or "KIND NAME/KEY"]}, made when the agent has said that it lacks them.
    `final`: {case's name: words}, with which a pod has settled that never runs."""

    def __init__(self, cluster, node, host, *, provided=None, final=None):
        self.cluster, self.node, self.host = cluster, node, host
        self.api = Api(cluster)
        self._provided, self._final = provided or {}, final or {}
        self.left = []  # what the deletion left, one line each
        self._made = []

    def all(self, cases):
        self._make_namespaces(cases)
        outcomes = {}
        for batch, needs in batches(cases, self.node.object()["status"]["allocatable"]):
            self.api.client.patch(self.node.path, {"metadata": {"labels": needs.labels}})
            outcomes |= self._run(batch)
            self.api.client.patch(self.node.path, {"metadata": {"labels": dict.fromkeys(needs.labels)}})
        return outcomes

    def _make_namespaces(self, cases):
        names = {o["metadata"].get("namespace", "default") for case in cases for o in (case.manifest, *case.companions)}
        shipped = [o for case in cases for o in case.companions if o["kind"] == "Namespace"]
        for manifest in shipped + [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                                   for name in sorted(names)]:
            refused = self.api.create(manifest)
            name = manifest["metadata"]["name"]
            if refused:  # so are the objects in it, with the same words
                continue
            grant_objects(self.cluster, name)
            self.cluster.wait_for(lambda: self.api.client.get(
                f"/api/v1/namespaces/{name}/serviceaccounts/default", absent=None), f"{name} has its service account")

    def _run(self, batch):
        outcomes = {case.name: Outcome() for case in batch}
        applied = []
        for case in batch:
            refused = outcomes[case.name].refused
            for companion in case.companions:
                self._create(companion, refused)
            manifest = corpus.with_stand_in(case, images.BUSYBOX_IMAGE, SLEEP, self.host / case.name)
            if self._create(manifest, refused):
                applied.append(dataclasses.replace(case, manifest=manifest))
        self._settle(applied, outcomes)
        self._delete([case.manifest for case in applied])
        return outcomes

    def _create(self, manifest, refused):
        words, kind = self.api.create(manifest), manifest["kind"]
        if words:
            refused[kind if kind == "DaemonSet" else f"{kind} {manifest['metadata']['name']}"] = words
        elif kind not in ("DaemonSet", "Namespace"):
            self._made.append(manifest)
        return not words

    def _settle(self, cases, outcomes):
        """Until each is ready, or waits for what it will never get, or nothing changes any more."""
        news = time.monotonic()
        waiting = list(cases)
        while waiting and time.monotonic() < news + SETTLE_SECONDS:
            pods = {owner_of(pod): pod for pod in self.api.client.get("/api/v1/pods")["items"]}
            explained = {(e["namespace"], e["name"]): e for e in self.node.agent.json("/v1/explain")["items"]}
            for case in list(waiting):
                outcome, before = outcomes[case.name], dataclasses.asdict(outcomes[case.name])
                if self._has_settled(case, pods.get(key_of(case)), explained.get(key_of(case), {}), outcome):
                    waiting.remove(case)
                if dataclasses.asdict(outcome) != before:
                    news = time.monotonic()
            time.sleep(POLL_SECONDS)

    def _has_settled(self, case, pod, explained, outcome):
        outcome.says = explained.get("waitsFor", "")
        if pod is None:
            words = outcome.says  # and what refused it is said in an Event of the DaemonSet
        else:
            outcome.phase, outcome.ready = pod["status"]["phase"], is_ready(pod)
            words = "\n".join(dict.fromkeys(waiting_messages(pod)))
        if outcome.ready and not outcome.says:
            outcome.lost = self._lost(case, pod)
            return True
        if case.outcome == "elsewhere":
            return explained.get("verdict") == "does not run here"
        namespace = key_of(case)[0]
        for thing in self._provided.get(case.name, []):
            lacks = lacks_of(thing, namespace)
            if thing not in outcome.waited and any(lack in words and lack in outcome.says for lack in lacks):
                outcome.waited[thing] = words
                self._provide(thing, namespace, case.pod_spec)
        return case.name in self._final and self._final[case.name] in words

    def _provide(self, thing, namespace, spec):
        """Makes an object that the manifest names, with the keys that it names; of "KIND NAME/KEY" adds the key."""
        kind, name, key = parts_of(thing)
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"namespace": namespace, "name": name}}
        if kind != "ServiceAccount":
            keys = [key] if key else corpus.keys_of(spec, kind, name) or ["key"]
            manifest["data" if kind == "ConfigMap" else "stringData"] = dict.fromkeys(keys, MADE)
        if key:
            self.api.client.patch(f"{self.api.path(manifest)}/{name}", manifest)
            return
        assert not self.api.create(manifest), manifest
        self._made.append(manifest)

    # What became of it

    def _lost(self, case, pod):
        """What the manifest says and the Pod object, or the container that runs, has not."""
        stored = self.api.client.get(f"{self.api.path(case.manifest)}/{case.manifest['metadata']['name']}")
        template = stored["spec"]["template"]
        affinity = (template["spec"].get("affinity") or {}).get("nodeAffinity") or {}
        if rule := affinity.get("requiredDuringSchedulingIgnoredDuringExecution"):  # a pod has its node's name there
            rule["nodeSelectorTerms"] = [{"matchFields": [{"key": "metadata.name", "operator": "In",
                                                           "values": [self.node.name]}]}]
        lost = [*missing("spec", template["spec"], pod["spec"]),
                *missing("labels", template["metadata"].get("labels", {}), pod["metadata"].get("labels", {})),
                *missing("annotations", template["metadata"].get("annotations", {}),
                         pod["metadata"].get("annotations", {}))]
        for container in corpus.containers(pod["spec"]):
            if not corpus.ends(container, pod["spec"]):
                lost += self._lost_inside(pod, container)
        return lost

    def _lost_inside(self, pod, container):
        name = container["name"]
        process = pathlib.Path(f"/proc/{self.node.process(pod, name)}")
        environment = self.node.environment(pod, name)
        for variable in container.get("env") or []:
            value = variable.get("value")
            if variable["name"] not in environment and not is_optional(variable):
                yield f"{name}: environment lacks {variable['name']}"
            elif value and "$(" not in value and environment[variable["name"]] != value:
                yield f"{name}: {variable['name']} is {environment[variable['name']]!r}"
        mounts = {place: options.split(",") for place, options in re.findall(
            r"^\S+ \S+ \S+ \S+ (\S+) (\S+)", (process / "mountinfo").read_text(), re.M)}
        for mount in container.get("volumeMounts") or []:
            options = mounts.get(mount["mountPath"].rstrip("/") or "/")
            if options is None or mount.get("readOnly") and "ro" not in options:
                yield f"{name}: {mount['mountPath']} is mounted as {options}"
        context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
        if context.get("readOnlyRootFilesystem") and "ro" not in mounts["/"]:
            yield f"{name}: the root file system can be written to"
        status = (process / "status").read_text()
        for field, line in (("runAsUser", "Uid"), ("runAsGroup", "Gid")):
            number = re.search(rf"^{line}:\s+(\d+)", status, re.M).group(1)
            if field in context and number != str(context[field]):
                yield f"{name}: {line} is {number}, not {context[field]}"

    # The end

    def _delete(self, daemon_sets):
        for manifest in daemon_sets:
            self.api.delete(manifest)
        deadline = time.monotonic() + GONE_SECONDS
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self.left += left
        for manifest in reversed(self._made):
            self.api.delete(manifest)
        self._made.clear()

    def _left(self):
        """Of the first kind of thing of which something is left; in the order in which they go."""
        agent = self.node.agent
        return [f"Pod {p['metadata']['namespace']}/{p['metadata']['name']}"
                for p in self.api.client.get("/api/v1/pods")["items"]] or \
            [f"pod {p['namespace']}/{p['name']} in the agent" for p in agent.pods()] or \
            [f"{c.kind} {c.name} of {c.namespace}/{c.pod}" for c in self.node.containers()] or \
            [f"mount {mount}" for mount in mounts_below(agent.pod_root)] or \
            [f"directory {path}" for path in agent.pod_root.glob("pods/*")]


def parts_of(thing):
    """Of "KIND NAME" or "KIND NAME/KEY"; without a key, an empty one."""
    kind, rest = thing.split(" ")
    name, _, key = rest.partition("/")
    return kind, name, key


def lacks_of(thing, namespace):
    """What is said where this does not exist: the kubelet's words, the API server's, and those about a subPath."""
    kind, name, key = parts_of(thing)
    if key:
        return f"couldn't find key {key} in {kind} {namespace}/{name}", f"subPath {key}: the volume has no {key}"
    return (f'{kind.lower()} "{name}" not found',)


def key_of(case):
    metadata = case.manifest["metadata"]
    return metadata.get("namespace", "default"), metadata["name"]


def owner_of(pod):
    return pod["metadata"]["namespace"], pod["metadata"]["ownerReferences"][0]["name"]


def waiting_messages(pod):
    """What kubectl describe shows of its containers."""
    status = pod["status"]
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        yield from (state["message"] for state in container["state"].values() if state.get("message"))


def is_optional(variable):
    return any(source.get("optional") for source in variable.get("valueFrom", {}).values())


def missing(path, wanted, found):
    """Where `found` lacks something of `wanted`; it may have more."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from missing(f"{path}.{key}", value, found.get(key))
    elif isinstance(wanted, list) and isinstance(found, list):
        for number, value in enumerate(wanted):
            yield from missing(f"{path}[{number}]", value, found[number] if number < len(found) else None)
    elif wanted != found:
        yield f"{path} is {found!r}, not {wanted!r}"

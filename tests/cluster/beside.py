"""What objects of two control planes have in common, and a file of the differences that have to be, each with its reason.

Taken out is what no two things share: names that end at random, UIDs, times, addresses, container IDs.
"""

import json
import os
import re

ACCEPT = "DAEMONSETD_ACCEPT_GOLDEN"
NOTHING = "nothing"
# By what the items of a list are told apart, the first of these that all have.
KEYS = ("type", "mountPath", "name", "key", "ip")
PATTERNS = [
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
    (r"\b[0-9a-f]{64}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"kube-api-access-\w{5}\b", "kube-api-access-RANDOM"),
    (r"\b10\.21\d\.\d+\.\d+\b", "POD-IP"),
    (r"/tmp/dsd-[^/\" ]*", "DIRECTORY"),
    (r"back-off (\d+m)?\d+s", "back-off DELAY"),
    (r'(?<="restartCount": )[1-9]\d*', '"SOME"'),
    (r'(?<="Port": )[1-9]\d*', '"PORT"'),
    (r'(?<="controller-revision-hash": )"\w+"', '"HASH"'),
]
TOUCHED = "example.com/touched"  # what a test may give to an object of one side alone
# A limit that a kubelet reads from a cgroup of version 1 that has none.
UNLIMITED = "9007199254740988Ki"


def common(thing, names):
    """`thing` without what is naturally unequal; `names`: {text: what to say instead}."""
    text = json.dumps(thing)
    for name, word in names.items():
        text = text.replace(name, word)
    for pattern, word in PATTERNS:
        text = re.sub(pattern, word, text)
    thing = json.loads(text)
    if "metadata" in thing:
        thing["metadata"].pop("resourceVersion")
        thing["metadata"].pop("managedFields", None)
        thing["metadata"].setdefault("annotations", {}).pop(TOUCHED, None)
    if "desiredNumberScheduled" in thing.get("status", {}) and "conditions" in thing["status"]:
        # What a DaemonSet's say hangs on the moment; tests of rollouts look at that.
        thing["status"]["conditions"] = sorted(condition["type"] for condition in thing["status"]["conditions"])
    resources = thing.get("status", {}).get("resources", {})
    if resources.get("limits", {}).get("memory") == UNLIMITED:  # or not yet, as it comes
        del resources["limits"]["memory"]
        if not resources["limits"]:
            del resources["limits"]
    return thing


def events(found):
    """Events as an object: {reason of what: its type and what it says}. How often each was told does not matter."""
    told = {}
    for event in found:
        path = event["involvedObject"].get("fieldPath", "")
        entry = told.setdefault(event["reason"] + (f" of {path}" if path else ""), {"messages": []})
        entry["type"] = event["type"]
        entry["messages"] = sorted({*entry["messages"], event["message"]})
    return told


def reporters(found):
    """{reason of an Event: who told it}"""
    return {event["reason"]: {key: event[key] for key in ("source", "reportingComponent", "reportingInstance")
                              if event.get(key)} for event in found}


def differences(kubelets, ours, path=""):
    """{path: (what the kubelet's side has, what ours has)}, each as JSON in one line."""
    if kubelets == ours:
        return {}
    if isinstance(kubelets, list) and isinstance(ours, list) and isinstance([*kubelets, *ours][0], dict):
        kubelets, ours = keyed(kubelets), keyed(ours)
    if not isinstance(kubelets, dict) or not isinstance(ours, dict):
        return {path: (json.dumps(kubelets, sort_keys=True), json.dumps(ours, sort_keys=True))}
    found = {}
    for key in sorted({*kubelets, *ours}):
        below = path + (key if key.startswith("[") or not path else f".{key}")
        if key not in kubelets:
            found[below] = (NOTHING, json.dumps(ours[key], sort_keys=True))
        elif key not in ours:
            found[below] = (json.dumps(kubelets[key], sort_keys=True), NOTHING)
        else:
            found |= differences(kubelets[key], ours[key], below)
    return found


def keyed(items):
    """A list as an object, so that one item more does not shift the others."""
    for key in KEYS:
        if all(key in item for item in items):
            names = [str(item[key]) for item in items]
            if len(set(names)) == len(names):
                return {f"[{name}]": item for name, item in zip(names, items)}
    return {f"[{index}]": item for index, item in enumerate(items)}


class Golden:
    """A file of blocks:

        Pod status.resources
            of          crash, plain
            kubelet     {}
            daemonsetd  nothing
            because     …

    The first line says what kind of thing differs and where, `of` which things of that kind differ just so.
    """

    FIELDS = ("of", "kubelet", "daemonsetd", "because")

    def __init__(self, path):
        self.path = path
        self.blocks = {}  # (kind, path, kubelet's, ours) → (things, reason)
        for block in path.read_text().split("\n\n") if path.exists() else []:
            lines = [line for line in block.splitlines() if not line.startswith("#")]
            if lines:
                fields = dict(line.split(None, 1) for line in lines[1:])
                assert list(fields) == list(self.FIELDS), block
                of, kubelets, ours, because = fields.values()
                self.blocks[(*lines[0].split(" ", 1), kubelets, ours)] = (of, because)

    def check(self, found):
        """`found`: {(kind, name): differences}. Answers what is not as the file says, one line each."""
        now = self._grouped(found)
        problems = [f"not listed: {' '.join(key)} ({of})" for key, of in now.items() if key not in self.blocks]
        problems += [f"listed, and not so: {' '.join(key)}" for key in self.blocks if key not in now]
        problems += [f"differs in {of}, listed for {self.blocks[key][0]}: {' '.join(key)}"
                     for key, of in now.items() if key in self.blocks and self.blocks[key][0] != of]
        problems += [f"without a reason: {' '.join(key)}" for key, (_, because) in self.blocks.items() if because == "?"]
        return problems

    def accept(self, found):
        """With DAEMONSETD_ACCEPT_GOLDEN set, rewrites the file; a new difference then still needs its reason."""
        if not os.environ.get(ACCEPT):
            return
        head = "".join(line + "\n" for line in (self.path.read_text() if self.path.exists() else "").splitlines()
                       if line.startswith("#"))
        # A reason outlives a change of the values, or of the things, but not of both.
        reasons = {(*key[:2], of): because for key, (of, because) in self.blocks.items()}
        reasons |= {key: because for key, (_, because) in self.blocks.items()}
        blocks = []
        for key, of in sorted(self._grouped(found).items()):
            values = (of, *key[2:], reasons.get(key, reasons.get((*key[:2], of), "?")))
            blocks.append(" ".join(key[:2]) + "".join(f"\n    {field:<11} {value}"
                                                     for field, value in zip(self.FIELDS, values)))
        self.path.write_text(head + "\n" * bool(head) + "\n\n".join(blocks) + "\n")

    @staticmethod
    def _grouped(found):
        """{(kind, path, kubelet's, ours): the things}"""
        things = {}
        for (kind, name), differing in found.items():
            for path, values in differing.items():
                things.setdefault((kind, path, *values), []).append(name)
        return {key: ", ".join(sorted(names)) for key, names in things.items()}

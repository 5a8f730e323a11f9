"""The pods of the soak, and how each of their containers explains its own restarts.

Every container keeps a diary in a directory of the node: a line when it starts, before it exits by itself, when it
begins to fail its probe, when it is told to end. So the judgement of a restart needs no word of the daemon's.
"""

import collections
import dataclasses

from manifests import container, daemon_set, static_pod
from workloads import workload

PORT = 8080  # in a network of the pod's own
STAY = "trap 'say term; exit 0' TERM; while :; do sleep 1000 & wait $!; done"
SERVE = f"mkdir /www; echo fine >/www/index.html; httpd -p {PORT} -h /www"
LINES = 80  # of some 260 bytes with CRI's prefix, every two seconds
LOGS = f"""trap 'say term; exit 0' TERM
line=$(printf '%0200d' 0) number=0
while :; do
  count=0
  while [ $count -lt {LINES} ]; do echo "$number $line"; number=$((number + 1)) count=$((count + 1)); done
  sleep 2 & wait $!
done"""
STAYS, EXITS, FAILS = "stays", "exits", "fails its probe"
TOKEN_SECONDS = 600  # the shortest that a server grants


@dataclasses.dataclass(frozen=True)
class Expected:
    """Of a container: what makes it start again, if anything does, and with which code it ends then."""

    kind: str
    code: int = 0


class Pods:
    """`manifests`: of DaemonSets for the API server. `static`: {file: manifest} for the node. `expected`:
    {(owner, container): Expected}."""

    def __init__(self, diary, health_port):
        self._diary_directory = diary
        self.manifests, self.static, self.expected = [], {}, {}
        self._steady(health_port)
        self._with_objects()
        self._restarting()
        for index in range(3):
            self._add(f"logs-{index}", [("main", LOGS, {}, Expected(STAYS))])
        for name in ("rolling", "surge", "again", "pulled", "deleted"):
            self._add(name, [("main", STAY, {}, Expected(STAYS))])
        self._strategy("rolling", maxUnavailable=1)
        self._strategy("surge", maxSurge=1, maxUnavailable=0)
        self._static()

    @property
    def restarting(self):
        """Owners whose pods are not Ready at all times."""
        return {owner for (owner, _), expected in self.expected.items() if expected.kind != STAYS}

    def manifest(self, name):
        return next(manifest for manifest in self.manifests if manifest["metadata"]["name"] == name)

    def _steady(self, health_port):
        for index in range(3):
            probes = {"readinessProbe": probe(exec={"command": ["true"]}, periodSeconds=20),
                      "livenessProbe": probe(exec={"command": ["test", "-d", "/diary"]}, periodSeconds=30)}
            self._add(f"exec-{index}", [("main", STAY, probes, Expected(STAYS))])
        for index in range(7):
            get = {"httpGet": {"path": "/", "port": PORT}}
            probes = {"startupProbe": probe(**get, periodSeconds=1, failureThreshold=60),
                      "readinessProbe": probe(**get, periodSeconds=5), "livenessProbe": probe(**get, periodSeconds=10)}
            self._add(f"http-{index}", [("main", f"{SERVE}\n{STAY}", probes, Expected(STAYS))], hostNetwork=False)
        for index in range(4):
            connect = {"tcpSocket": {"port": PORT}}
            probes = {"readinessProbe": probe(**connect, periodSeconds=5, initialDelaySeconds=2),
                      "livenessProbe": probe(**connect, periodSeconds=10, initialDelaySeconds=10)}
            self._add(f"tcp-{index}", [("main", f"{SERVE}\n{STAY}", probes, Expected(STAYS))], hostNetwork=False)
        probes = {kind: probe(grpc={"port": health_port}, periodSeconds=10)
                  for kind in ("readinessProbe", "livenessProbe")}
        self._add("grpc", [("main", STAY, probes, Expected(STAYS))])

    def _with_objects(self):
        """Files that change: of a ConfigMap and a Secret, and the token, each kind alone and in one volume."""
        token = {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}}
        labels = {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}
        maps, secrets = {"configMap": {"name": "settings"}}, {"secret": {"name": "keys"}}
        volumes = [maps, {"secret": {"secretName": "keys"}}, {"projected": {"sources": [token]}},
                   {"projected": {"sources": [maps, secrets, labels]}},
                   {"projected": {"sources": [maps, secrets, labels, token]}}]
        for index, volume in enumerate(volumes):
            mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
            self._add(f"objects-{index}", [("main", STAY, mount, Expected(STAYS))],
                      volumes=[{"name": "data", **volume}])

    def _restarting(self):
        self._add("crash-soon", [("main", exits(5, 1), {}, Expected(EXITS, 1))])
        self._add("crash-later", [("main", exits(60, 42), {}, Expected(EXITS, 42))], hostNetwork=False)
        self._add("ends", [("main", exits(30, 0), {}, Expected(EXITS, 0))])
        self._add("crash-beside", [("main", STAY, {}, Expected(STAYS)),
                                   ("other", exits(20, 7), {}, Expected(EXITS, 7))])
        soon = {"periodSeconds": 5, "initialDelaySeconds": 5}
        probes = {"livenessProbe": probe(exec={"command": ["test", "-f", "/fine"]}, **soon)}
        self._add("fails-exec", [("main", fails(120, "touch /fine", "rm /fine"), probes, Expected(FAILS, 9))])
        for name, seconds, kind in (("fails-http", 180, {"httpGet": {"path": "/", "port": PORT}}),
                                    ("fails-tcp", 240, {"tcpSocket": {"port": PORT}})):
            script = fails(seconds, SERVE.replace("httpd", "httpd -f") + " & server=$!", "kill $server")
            self._add(name, [("main", script, {"livenessProbe": probe(**kind, **soon)}, Expected(FAILS, 9))],
                      hostNetwork=False)

    def _static(self):
        for index in range(3):
            spec = self._spec(f"static-{index}", [("main", STAY, {}, Expected(STAYS))])
            self.static[f"static-{index}.json"] = static_pod(f"static-{index}", **spec)
        get = {"httpGet": {"path": "/", "port": PORT}}
        for index in range(2):
            spec = self._spec(f"directory-{index}", [("main", f"{SERVE}\n{STAY}", {"livenessProbe": probe(**get)},
                                                      Expected(STAYS))], hostNetwork=False)
            self.static[f"directory-{index}.json"] = daemon_set(f"directory-{index}", **spec)

    def _add(self, name, containers, **spec):
        self.manifests.append(workload(name, **self._spec(name, containers, **spec)))

    def _spec(self, owner, containers, *, volumes=(), **spec):
        """`containers`: (name, script, fields, Expected) each."""
        made = []
        for name, script, fields, expected in containers:
            self.expected[owner, name] = expected
            fields = dict(fields)
            mounts = [{"name": "diary", "mountPath": "/diary"}, *fields.pop("volumeMounts", [])]
            made.append(container(name, diary(owner, name) + script, volumeMounts=mounts, env=[
                {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}], **fields))
        directory = {"name": "diary", "hostPath": {"path": str(self._diary_directory), "type": "Directory"}}
        return {"containers": made, "volumes": [directory, *volumes], "terminationGracePeriodSeconds": 10, **spec}

    def _strategy(self, name, **numbers):
        self.manifest(name)["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": numbers}


def probe(**fields):
    """One that a busy machine does not fail."""
    return {"timeoutSeconds": 10, "failureThreshold": 3, **fields}


def diary(owner, name):
    return f'say() {{ echo "$(date +%s) $*" >>/diary/{owner}.{name}.$POD_UID; }}; say start\n'


def exits(seconds, code):
    return f"trap 'say term; exit 0' TERM; sleep {seconds} & wait $!; say exit; exit {code}"


def fails(seconds, begin, end):
    """After so many seconds it does not answer its probe any more; then it is stopped, and says so."""
    return (f"trap 'say term; exit 9' TERM; {begin}\nsleep {seconds} & wait $!; say fail; {end}\n"
            "while :; do sleep 1000 & wait $!; done")


class Diary:
    """What the containers wrote."""

    def __init__(self, directory, expected):
        self._directory = directory
        self._expected = expected

    def entries(self):
        """{(owner, container, pod's UID): [word]}, the oldest pod of an owner first."""
        found = {}
        for path in self._directory.iterdir():
            lines = [line.split() for line in path.read_text().splitlines()]
            if lines:
                found[tuple(path.name.split("."))] = [(int(time), word) for time, word in lines]
        ordered = sorted(found, key=lambda key: (key[:2], found[key][0]))
        return {key: [word for _, word in found[key]] for key in ordered}

    def judge(self, changes):
        """(restarts that have their reason, by kind; {key: text} of what has none). `changes`: how often the pods of an
        owner were to be replaced."""
        explained, unexplained = collections.Counter(), {}
        uids = collections.defaultdict(set)
        entries = self.entries()
        for (owner, name, uid), words in entries.items():
            uids[owner].add(uid)
            expected = self._expected[owner, name]
            before = {STAYS: (), EXITS: ("exit",), FAILS: ("fail", "term")}[expected.kind]
            for index, word in enumerate(words):
                if word != "start" or index == 0:
                    continue
                if before and tuple(words[max(0, index - len(before)):index]) == before:
                    explained[expected.kind] += 1
                else:
                    unexplained[owner, name, uid, index] = (
                        f"{owner}: container {name} of pod {uid} started again after it wrote {words[:index][-3:]}")
        for owner, found in uids.items():
            explained["pods replaced"] += min(len(found) - 1, changes[owner])
            if len(found) - 1 > changes[owner]:
                unexplained[owner, "pods", len(found)] = (
                    f"{owner}: {len(found)} pods in all where there was reason for {changes[owner] + 1}")
        return explained, unexplained

    def starts(self, owner, name, uid):
        """How often the container's program began."""
        path = self._directory / f"{owner}.{name}.{uid}"
        return path.read_text().count(" start\n") if path.exists() else 0

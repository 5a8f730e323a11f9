"""Rolling updates when something goes wrong around the agent that coordinates them: it is stopped, cut off, replaced or
not permitted; the API server goes; a node vanishes; pods are refused, or never get ready.

DAEMONSETD_CHANGES_SEED repeats the changes at random; a failure names its seed.
"""

import contextlib
import itertools
import os
import pathlib
import random
import signal
import sys
import time

import pytest
from conftest import ROOT, new_cluster
from rollouts import (Watched, complete, condition, coordinator, counted, never_ready, reports, revisions,
                      said_of_rollouts, shard_lease, shard_of, truthful, uids, updatable, versions)
from space import container_ids, is_ready, is_terminating, restarts, uid_of
from without_server import proxy  # noqa: F401, F811 (a fixture)

sys.path.append(str(ROOT / "tests" / "bench"))
import audit_log  # noqa: E402

NEVER = "never.example/none:1"  # no node has it, and none pulls it
SEED = int(os.environ.get("DAEMONSETD_CHANGES_SEED", str(time.time_ns() % 1_000_000)))
CHANGES = 30
LEASE_SECONDS = 10  # of the coordinator
PATIENCE_AFTER_DENIAL = 10  # seconds, at least


@pytest.fixture(scope="module")
def lone_cluster(tmp_path_factory):
    """As for others, with an audit log."""
    directory = tmp_path_factory.mktemp("audit")
    log = directory / "audit.log"
    with new_cluster(apiserver_arguments=audit_log.arguments(log, directory / "policy.json")) as instance:
        instance.audit_log = log
        yield instance
        resisted = instance.stop()
    assert resisted == [], "the control plane left this behind"


@pytest.fixture
def start_nodes(lone_cluster, lone_space, make_node):
    """start_nodes(*names, **config): nodes in `lone_cluster`, started at one moment."""
    # After lone_space, so that the namespace is emptied while the nodes are there.
    def start(*names, **config):
        made = [make_node(lone_cluster, name, start=False, apiServerStartWait="1s", **config) for name in names]
        for node in made:
            node.start(wait=False)
        for node in made:
            node.wait_until_ready()
        return made
    return start


def roll_out(space, nodes, **options):
    """Runs version 1; answers its pods."""
    space.apply(updatable(**options))
    pods = space.running("web", nodes)
    space.wait_for(complete(space, len(nodes)), "the status is complete")
    return pods


def updated_everywhere(space, nodes, seen, first):
    """Waits for the end of an update, and asserts that each node replaced its pod once and started nothing twice."""
    space.wait_for(complete(space, len(nodes)), "the update is complete")
    after = space.running("web", nodes, other_than=uids(first))
    assert not any(map(restarts, after.values()))
    assert [seen.pods_on(node) for node in nodes] == [2] * len(nodes), seen.nodes_of
    return after


# Who coordinates


def test_an_agent_without_the_group_runs_pods_and_never_coordinates(lone_cluster, lone_space, make_node):
    plain = make_node(lone_cluster, "plain", start=False)
    lone_cluster.kubeconfig("daemonsetd:node:plain", ["daemonsetd:nodes"])  # in place of the one that it was given
    asked_before = leases_asked_for(lone_cluster, "plain")
    began = time.monotonic()
    plain.start()
    lone_space.apply(updatable())
    lone_space.running("web", [plain])
    plain.agent.wait_for(lambda: said_of_rollouts(plain) == "not permitted here", "the agent says so")
    assert "observedGeneration" not in lone_space.daemon_set("web")["status"], "nobody coordinates"
    chosen = make_node(lone_cluster, "chosen")
    nodes = [plain, chosen]
    lone_space.wait_for(complete(lone_space, 2), "another agent coordinates")
    lone_space.apply(updatable(version="2"))
    lone_space.wait_for(complete(lone_space, 2), "the update is complete")
    assert set(versions(lone_space).values()) == {"2"} and coordinator(lone_cluster, nodes) is chosen
    assert said_of_rollouts(plain) == "not permitted here" and said_of_rollouts(chosen) == "coordinates"
    asked = leases_asked_for(lone_cluster, "plain") - asked_before
    seconds = time.monotonic() - began
    print(f"asked for the Lease {asked} times in {seconds:.0f} s")
    assert 1 <= asked <= 1 + seconds / PATIENCE_AFTER_DENIAL


def leases_asked_for(cluster, name):
    """How often the agent of a node asked for the coordinator's Lease."""
    asked = audit_log.requests_of(cluster.audit_log, f"daemonsetd:node:{name}").values()
    return sum("/namespaces/kube-system/leases" in uri for _, uri in asked)


def lease_held_by(node, path):
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    return {"metadata": {"name": pathlib.PurePath(path).name},
            "spec": {"holderIdentity": node, "leaseDurationSeconds": LEASE_SECONDS, "acquireTime": moment,
                     "renewTime": moment, "leaseTransitions": 0}}


def test_each_shard_is_rolled_out_by_its_holder_alone(lone_cluster, lone_space, start_nodes, make_node):
    """The pods run on a node whose agent takes no part, so that those which do may be killed."""
    leases = [shard_lease(number, 2) for number in range(2)]
    for name, path in zip(("first", "second"), leases):
        lone_cluster.client().create(str(pathlib.PurePath(path).parent), lease_held_by(name, path))
    host = make_node(lone_cluster, "host", start=False, rolloutCoordinator=False, nodeLabels={"hosts": "yes"})
    host.start(wait=False)
    # That a node dies would wake its colleague, however it noticed that a shard is its own now.
    first, second = start_nodes("first", "second", rolloutShards=2, nodeLeaseDuration="5m")
    host.wait_until_ready()
    shards = {}
    for name in map("web-{}".format, range(20)):
        lone_space.apply(updatable(name, nodeSelector={"hosts": "yes"}))
        shards.setdefault(shard_of(lone_space.daemon_set(name), 2), name)
        if len(shards) == 2:
            break
    holders = [first, second]
    for number, name in shards.items():
        lone_space.wait_for(complete(lone_space, 1, name), f"shard {number} is coordinated")
        assert coordinator(lone_cluster, holders, leases[number]) is holders[number]
        lone_space.apply(updatable(name, "2", nodeSelector={"hosts": "yes"}))
    for name in shards.values():
        lone_space.wait_for(complete(lone_space, 1, name), f"{name} is updated")
        lone_space.running(name, [host])
    assert "shard 0: coordinates" in said_of_rollouts(first) and "shard 1: coordinates" in said_of_rollouts(second)
    assert said_of_rollouts(host) is None

    second.kill()
    for name in shards.values():
        lone_space.apply(updatable(name, "3", nodeSelector={"hosts": "yes"}))
    lone_space.wait_for(complete(lone_space, 1, shards[0]), "the other shard is rolled out")
    waits = lone_space.daemon_set(shards[1])
    if coordinator(lone_cluster, holders, leases[1]) is second:
        assert waits["status"]["observedGeneration"] < waits["metadata"]["generation"]
    lone_space.wait_for(lambda: coordinator(lone_cluster, holders, leases[1]) is first, "the other agent takes over")
    lone_space.wait_for(complete(lone_space, 1, shards[1]), "its DaemonSets go on")
    taken = lone_cluster.get(leases[1])["spec"]["acquireTime"]
    made = revisions(lone_space, shards[1])[-1]["metadata"]["creationTimestamp"]
    assert made[:19] >= taken[:19], "nothing was done meanwhile"
    assert said_of_rollouts(first) == "shard 0: coordinates, shard 1: coordinates"


@contextlib.contextmanager
def cut_off(_node, proxy):
    proxy.swallow()
    try:
        yield
    finally:
        proxy.heal()


@contextlib.contextmanager
def stopped(node, _proxy):
    pid = node.agent.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("away", [cut_off, stopped], ids=lambda way: way.__name__)
def test_a_coordinator_that_comes_back_finds_another_one(lone_cluster, lone_space, start_nodes, make_node, proxy, away):
    # The last by name, so that its own pod is the last to be replaced.
    old = make_node(lone_cluster, "node-z", kubeconfig=str(proxy.kubeconfig(lone_cluster, "node-z")))
    lone_space.wait_for(lambda: coordinator(lone_cluster, [old]), "it coordinates")
    others = start_nodes("node-x", "node-y")
    nodes = [*others, old]
    first = roll_out(lone_space, nodes, min_ready=3)
    with Watched(lone_space, "web") as seen:
        lone_space.apply(updatable(version="2", min_ready=3))
        lone_space.wait_for(lambda: "2" in versions(lone_space).values(), "the rollout has begun")
        with away(old, proxy):
            new = lone_space.wait_for(lambda: coordinator(lone_cluster, others), "another agent takes over")
            lone_space.wait_for(reports(lone_space, updatedNumberScheduled=2), "it updates the nodes that it can")
            if away is cut_off:
                assert said_of_rollouts(old) != "coordinates"
            lone_space.wait_for(lambda: all(map(is_ready, (pod for pod in lone_space.pods("web") if
                                                           pod["spec"]["nodeName"] != old.name))), "they are ready")
            updated = {pod["spec"]["nodeName"]: pod for pod in lone_space.pods("web")}
        updated_everywhere(lone_space, nodes, seen, first)
    assert seen.fewest_ready() >= 2, seen.moments
    after = lone_space.running("web", nodes)
    assert all(container_ids(after[node.name]) == container_ids(updated[node.name]) for node in others)
    lone_space.wait_for(truthful(lone_space), "the status is the truth")
    assert coordinator(lone_cluster, nodes) is new
    old.agent.wait_for(lambda: said_of_rollouts(old) == f"stands by for {new.name}", "the old one says so")
    assert "no longer coordinates" in old.agent.log.read_text()
    assert len(revisions(lone_space)) == 2


def test_an_update_goes_on_when_the_api_server_is_back(lone_cluster, lone_space, start_nodes):
    nodes = start_nodes("node-x", "node-y", "node-z")
    first = roll_out(lone_space, nodes, min_ready=2)
    with Watched(lone_space, "web", outlives_server=True) as seen:
        lone_space.apply(updatable(version="2", min_ready=2))
        lone_space.wait_for(lambda: "2" in versions(lone_space).values(), "the rollout has begun")
        ready = [pod for pod in lone_space.pods("web") if is_ready(pod)]
        lone_cluster.kill_apiserver()
        running = {node.name: node.running("web-") for node in nodes}
        for node in nodes:
            node.agent.wait_for(lambda: "not reachable" in node.ctl("get", "status"), "the agent misses the server")
        for node in nodes:
            here = node.running("web-")
            kept = {pod["metadata"]["name"] for pod in ready if pod["spec"]["nodeName"] == node.name}
            assert here.items() >= {key: now for key, now in running[node.name].items() if key[0] in kept}.items()
        lone_cluster.start_apiserver()
        updated_everywhere(lone_space, nodes, seen, first)
    assert seen.fewest_ready() >= 2, seen.moments
    lone_space.wait_for(truthful(lone_space), "the status is the truth")
    assert len(revisions(lone_space)) == 2


def test_an_agent_is_upgraded_while_it_coordinates(cluster, space, nodes):
    first = roll_out(space, nodes, min_ready=3)
    with Watched(space, "web") as seen:
        space.apply(updatable(version="2", min_ready=3))
        space.wait_for(lambda: "2" in versions(space).values(), "the rollout has begun")
        old = coordinator(cluster, nodes)
        before = {uid_of(pod): container_ids(pod) for pod in space.pods("web") if is_ready(pod)}
        made = [(revision["metadata"]["name"], revision["revision"]) for revision in revisions(space)]
        began = time.time()
        old.terminate()
        new = space.wait_for(lambda: coordinator(cluster, [node for node in nodes if node is not old]), "handed over")
        seconds = time.time() - began
        print(f"handed over after {seconds:.1f} s")
        old.start()
        updated_everywhere(space, nodes, seen, first)
    assert seconds < LEASE_SECONDS, "the others waited until the Lease had run out"
    assert new is not old and seen.fewest_ready() >= 2, seen.moments
    assert made == [(revision["metadata"]["name"], revision["revision"]) for revision in revisions(space)]
    assert len(made) == 2
    stayed = [pod for pod in space.pods("web") if uid_of(pod) in before]
    assert all(container_ids(pod) == before[uid_of(pod)] for pod in stayed)


# What stands in the way of an update


def test_an_update_that_does_not_get_on_is_told(lone_space, start_nodes):  # RO-19
    nodes = start_nodes("node-x", "node-y", rolloutProgressDeadline="10s")
    first = roll_out(lone_space, nodes)
    lone_space.apply(updatable(version="bad", image=NEVER))
    told = lone_space.wait_for(lambda: [c for c in [condition(lone_space, "Progressing")] if c["status"] == "False"],
                               "the condition says that it is stuck")[0]
    assert told["reason"] == "ProgressDeadlineExceeded" and "0 of 2 nodes" in told["message"], told
    events = lone_space.wait_for(lambda: [event for event in lone_space.events("DaemonSet", "web") if
                                          event["reason"] == "ProgressDeadlineExceeded"], "an Event says so too")
    assert [event["type"] for event in events] == ["Warning"], events
    for node in nodes:
        assert NEVER in node.ctl("describe", "ds", "web", "-n", lone_space.namespace), "each node knows what is missing"
    lone_space.apply(updatable(version="3"))
    lone_space.wait_for(complete(lone_space, 2), "a good template completes")
    lone_space.running("web", nodes, other_than=uids(first))
    lone_space.wait_for(lambda: condition(lone_space, "Progressing")["reason"] == "RolloutComplete", "that is told")
    assert condition(lone_space, "Progressing")["status"] == "True"


def test_a_failed_update_and_a_node_that_vanishes_hold_up_nothing(cluster, space, nodes, make_node):  # RO-17
    a, b, _ = nodes
    vanishing = make_node(cluster, "node-v")
    matching = [a, b, vanishing]
    for node in matching:
        cluster.kubectl("label", "node", node.name, "wanted=yes")
    first = roll_out(space, matching, min_ready=2, nodeSelector={"wanted": "yes"})
    with Watched(space, "web") as seen:
        space.apply(never_ready(version="bad", min_ready=2, nodeSelector={"wanted": "yes"}))
        space.wait_for(reports(space, updatedNumberScheduled=1, numberAvailable=2), "the first update is stuck")
        space.apply(updatable(version="3", min_ready=2, nodeSelector={"wanted": "yes"}))
        space.wait_for(lambda: "3" in versions(space).values(), "the second has begun")
        assert versions(space)[vanishing.name] == "1"
        vanishing.terminate()
        vanishing.unregister()
        space.wait_for(complete(space, 2), "the second update completes")
    # The pods of the vanished node are somebody else's to take away.
    after = {name: pod for name, pod in ((pod["spec"]["nodeName"], pod) for pod in space.pods("web")) if
             name != vanishing.name}
    assert sorted(after) == [a.name, b.name] and not uids(after) & uids(first)
    assert not any(map(restarts, after.values()))
    ended = condition(space, "Progressing")
    assert (ended["status"], ended["reason"]) == ("True", "RolloutComplete"), ended
    # The last moments of the vanished node count for it.
    assert all(len({*ready} - {vanishing.name}) >= 1 for _, ready in seen.moments), seen.moments


@contextlib.contextmanager
def pods_refused(space, node, text):
    """The API server refuses the pods of one node."""
    cluster, name = space.cluster, f"{space.namespace}-refuses"
    here = {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}}
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    check = {"expression": f"!has(object.spec.nodeName) || object.spec.nodeName != '{node.name}'", "message": text}
    cluster.apply(
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
         "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [check]}},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
         "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}})
    spec = {"nodeName": node.name, "containers": [{"name": "main", "image": "busybox"}]}
    probe = {"metadata": {"name": "probe"}, "spec": spec}

    def refused():
        answer = cluster.client().request("POST", space.path("v1", "pods"), body=probe, query={"dryRun": "All"})
        return text in answer.body.decode()

    try:
        space.wait_for(refused, "the policy works")
        yield
    finally:
        cluster.kubectl("delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", name)


def test_the_status_goes_on_where_a_pod_is_refused(space, nodes):  # ST-02
    text = "no pods for node-b today"
    first = roll_out(space, nodes)
    with pods_refused(space, nodes[1], text):
        space.apply(updatable(version="2"))
        space.wait_for(reports(space, desiredNumberScheduled=3, currentNumberScheduled=2, updatedNumberScheduled=1,
                               numberReady=2, numberAvailable=2, numberUnavailable=1), "the status counts it")
        told = space.wait_for(lambda: [event for event in space.events("DaemonSet", "web") if
                                       event["reason"] == "FailedCreate" and text in event["message"]],
                              "an Event names the refusal")[-1]
        assert told["type"] == "Warning" and told["source"]["host"] == "node-b", told
        short = condition(space, "Available")
        assert short["reason"] == "WithinBudget" and "node-b" in short["message"], short
        assert condition(space, "Progressing")["reason"] == "RolloutInProgress"
        assert versions(space) == {"node-a": "2", "node-c": "1"}
    space.wait_for(complete(space, 3), "the pod comes when it is allowed")
    space.running("web", nodes, other_than=uids(first))


def test_a_surge_that_never_gets_ready_costs_no_old_pod(space, nodes):  # RO-08
    options = {"strategy": {"maxSurge": 1, "maxUnavailable": 0}, "hostNetwork": False}
    first = roll_out(space, nodes, **options)
    with Watched(space, "web") as seen:
        space.apply(never_ready(version="2", **options))
        space.wait_for(lambda: len(space.pods("web")) == 4, "a new pod is made beside an old one")
        space.wait_for(lambda: all(pod["status"]["phase"] == "Running" for pod in space.pods("web")), "it runs")
        for _ in range(2):
            space.news_arrive(nodes)
        now = {pod["metadata"]["name"]: pod for pod in space.pods("web")}
        assert len(now) == 4
        for pod in first.values():
            same = now[pod["metadata"]["name"]]
            assert uid_of(same) == uid_of(pod) and container_ids(same) == container_ids(pod) and is_ready(same)
        space.wait_for(reports(space, desiredNumberScheduled=3, currentNumberScheduled=3, numberReady=3,
                               numberAvailable=3, updatedNumberScheduled=0), "the status counts the old ones")
    assert seen.fewest_ready() == 3, seen.moments
    space.apply(updatable(version="3", **options))
    space.wait_for(complete(space, 3), "a good version completes")
    after = space.running("web", nodes, other_than=uids(first))
    assert set(versions(space).values()) == {"3"} and not any(map(restarts, after.values()))


# Many changes


class Changes:
    """What users and nodes do to the pods of DaemonSets, at random."""

    def __init__(self, space, nodes):
        self.space, self.nodes, self.rng, self.done = space, nodes, random.Random(SEED), []

    def one(self):
        what = self.rng.choice((self.delete, self.delete, self.delete_by_force, self.fail, self.fail, self.label,
                                self.taint))
        self.done.append(f"{what.__name__} {what() or ''}")

    def _pod(self):
        """Not the old pod of the set that is updated by hand on the node that is tainted: there it is misscheduled."""
        kept = ("by-hand", self.nodes[-1].name)
        places = {(pod["metadata"]["labels"]["app"], pod["spec"]["nodeName"]): pod for pod in self.space.pods()
                  if not is_terminating(pod)}
        chosen = self.rng.choice(sorted(places.keys() - {kept}) or [None])
        return places.get(chosen)

    def delete(self, *options):
        if pod := self._pod():
            self.space.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false", "--ignore-not-found", *options)
            return pod["metadata"]["name"]

    def delete_by_force(self):
        return self.delete("--force", "--grace-period=0")

    def fail(self):
        if pod := self._pod():
            with contextlib.suppress(Exception):  # it may be gone by now
                self.space.fail(pod)
            return pod["metadata"]["name"]

    def label(self):
        node = self.rng.choice(self.nodes[1:])
        return self._mark("label", node, self.rng.choice(("wanted=yes", "wanted-")), "--overwrite")

    def taint(self):
        """Pods stay there, misscheduled, and no new ones come."""
        mark = self.rng.choice((["tested=yes:NoSchedule", "--overwrite"], ["tested-"]))
        return self._mark("taint", self.nodes[-1], *mark)

    def _mark(self, verb, node, *words):
        with contextlib.suppress(Exception):  # a taint that is not there cannot be taken away
            self.space.cluster.kubectl(verb, "node", node.name, *words)
        return f"{node.name} {words}"


def test_the_status_is_the_truth_after_many_changes_and_written_seldom(cluster, space, nodes):  # ST-01, ST-03
    names = ("web", "chosen", "by-hand")
    for node in nodes:
        cluster.kubectl("label", "node", node.name, "wanted=yes")
    space.apply(updatable("web"), updatable("chosen", nodeSelector={"wanted": "yes"}),
                updatable("by-hand", strategy="OnDelete"))
    for name in names:
        space.running(name, nodes)
        space.wait_for(complete(space, 3, name), "the status is complete")
    space.apply(updatable("by-hand", "2", strategy="OnDelete"))
    space.wait_for(reports(space, "by-hand", updatedNumberScheduled=0), "the new template is known")
    path = space.path("apps/v1", "daemonsets")
    version, began = cluster.get(path)["metadata"]["resourceVersion"], time.monotonic()
    changes = Changes(space, nodes)
    for _ in range(CHANGES):
        changes.one()
    print(f"seed {SEED}: {changes.done}")

    def settled():
        pods = space.pods()
        assert all(map(is_ready, pods)), [pod["metadata"]["name"] for pod in pods if not is_ready(pod)]
        for name in names:
            numbers = counted(space, name)
            assert numbers["desiredNumberScheduled"] == numbers["currentNumberScheduled"], (name, numbers)
            assert reports(space, name, **numbers)()
        return True

    space.wait_for(settled, f"the status is the truth (seed {SEED})")
    seconds = time.monotonic() - began
    writes = {name: [] for name in names}
    with cluster.client().watch(path, query={"resourceVersion": version, "timeoutSeconds": "2"}) as stream:
        for event in stream.read_to_end().events():
            writes[event["object"]["metadata"]["name"]].append(event["object"])
    assert settled(), "it stays the truth"
    for name, written in writes.items():
        seldom = len(written) - sum(before != after for before, after in itertools.pairwise(map(urgent_part, written)))
        print(f"{name}: {len(written)} writes of the status in {seconds:.0f} s, {seldom} of them at leisure; now "
              f"{counted(space, name)}")
        assert 1 <= seldom <= seconds + 2, f"seed {SEED}"


def urgent_part(daemon_set):
    """Of a status: what is written at once when it changes."""
    reasons = [c["reason"] for c in daemon_set["status"]["conditions"] if c["type"] == "Progressing"]
    return daemon_set["status"]["observedGeneration"], reasons


def test_a_surge_serves_each_node_at_every_moment(space, nodes):  # RO-08
    options = {"strategy": {"maxSurge": 1, "maxUnavailable": 0}, "hostNetwork": False}
    roll_out(space, nodes, **options)
    with Watched(space, "web") as seen:
        for version in ("2", "3", "4"):
            space.apply(updatable(version=version, **options))
            space.wait_for(complete(space, 3), "complete")
    assert seen.fewest_ready() == 3, seen.moments


def test_what_breaks_later_is_no_update_that_is_stuck(lone_space, start_nodes):
    nodes = start_nodes("node-x")
    manifest = updatable()
    manifest["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {
        "exec": {"command": ["test", "!", "-e", "/broken"]}, "periodSeconds": 1, "failureThreshold": 1}
    lone_space.apply(manifest)
    lone_space.wait_for(complete(lone_space, 1), "complete")
    pathlib.Path(f"/proc/{nodes[0].process(lone_space.pods('web')[0])}/root/broken").touch()
    lone_space.wait_for(reports(lone_space, numberAvailable=0), "not ready any more")
    assert condition(lone_space, "Progressing")["reason"] == "RolloutComplete"
    described = nodes[0].ctl("describe", "ds", "web", "-n", lone_space.namespace)
    assert "RolloutComplete" in described and "WithinBudget" in described

"""Rolling updates by kubectl on three nodes, with no controller: one of the agents coordinates."""

import re

from rollouts import (COORDINATOR_LEASE, REVISION_LABEL, Watched, complete, condition, coordinator, never_ready,
                      reports, revisions, uids, updatable, versions)
from space import container_ids, restarts, uid_of

ROLLED_SECONDS = "--timeout=120s"


def rollout_status(space, name="web"):
    return space.kubectl("rollout", "status", f"ds/{name}", ROLLED_SECONDS)


def history(space, name="web"):
    """[(number, change-cause)] as kubectl prints it."""
    lines = space.kubectl("rollout", "history", f"ds/{name}").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if re.match(r"\d", line)]


def hashes(pods):
    return {pod["metadata"]["labels"][REVISION_LABEL] for pod in pods.values()}


def test_kubectl_rolls_out_shows_undoes_and_restarts(space, nodes):
    space.apply(updatable())
    first = space.running("web", nodes)
    assert "successfully rolled out" in rollout_status(space)
    space.kubectl("annotate", "ds/web", "kubernetes.io/change-cause=the second")
    with Watched(space, "web") as seen:
        space.kubectl("set", "env", "ds/web", "VERSION=2")
        assert "successfully rolled out" in rollout_status(space)
    assert seen.fewest_ready() == 2, seen.moments
    second = space.running("web", nodes, other_than=uids(first))
    assert set(versions(space).values()) == {"2"} and not any(map(restarts, second.values()))
    assert [number for number, _ in history(space)] == ["1", "2"]
    assert history(space)[1][1] == "the second"
    assert hashes(second) == {revisions(space)[-1]["metadata"]["labels"][REVISION_LABEL]}
    for node in nodes:  # ST-10: which revision is the current one, and whether the node's pod has it
        described = node.ctl("describe", "ds", "web", "-n", space.namespace)
        assert revisions(space)[-1]["metadata"]["labels"][REVISION_LABEL] in described
    assert "VERSION:\t2" in space.kubectl("rollout", "history", "ds/web", "--revision=2").replace(" ", "")

    space.kubectl("rollout", "undo", "ds/web")
    rollout_status(space)
    third = space.running("web", nodes, other_than=uids(second))
    assert set(versions(space).values()) == {"1"} and hashes(third) == hashes(first)
    assert [number for number, _ in history(space)] == ["2", "3"], "an old template becomes the newest revision"
    space.kubectl("rollout", "restart", "ds/web")
    rollout_status(space)
    space.running("web", nodes, other_than=uids(third))
    assert [number for number, _ in history(space)] == ["2", "3", "4"]
    reasons = space.reasons("DaemonSet", "web")
    assert "SuccessfulDelete" in reasons
    ended = condition(space, "Progressing")
    assert (ended["status"], ended["reason"]) == ("True", "RolloutComplete"), ended
    assert condition(space, "Available")["status"] == "True"


def test_on_delete_leaves_the_pods_to_the_user(space, nodes):
    a, b, c = nodes
    space.apply(updatable(strategy="OnDelete"))
    first = space.running("web", nodes)
    space.apply(updatable(version="2", strategy="OnDelete"))
    space.wait_for(reports(space, desiredNumberScheduled=3, updatedNumberScheduled=0, numberAvailable=3),
                   "the status knows the new template")
    space.wait_for(lambda: len(revisions(space)) == 2, "the new template has its revision")
    space.kubectl("delete", "pod", first["node-b"]["metadata"]["name"])
    space.wait_for(reports(space, updatedNumberScheduled=1, numberAvailable=3), "one pod is updated")
    assert versions(space) == {"node-a": "1", "node-b": "2", "node-c": "1"}
    space.news_arrive(nodes)
    after = space.running("web", nodes)
    assert all(container_ids(after[node.name]) == container_ids(first[node.name]) for node in (a, c))


def test_bad_updates_one_after_another_cost_one_pod(space, nodes):  # RO-01, RO-12, RO-16
    space.apply(updatable())
    first = space.running("web", nodes)
    space.wait_for(complete(space, 3), "the status is complete")
    with Watched(space, "web") as seen:
        for version in ("bad-1", "bad-2", "bad-3"):
            space.apply(never_ready(version=version))
            space.wait_for(lambda: sorted(versions(space).values()) == ["1", "1", version],
                           f"one pod has version {version}")
            space.wait_for(reports(space, updatedNumberScheduled=1, numberAvailable=2, numberUnavailable=1),
                           "the status counts it")
        stuck = condition(space, "Available")
        assert "PodsNotAvailable" in stuck["reason"] or stuck["reason"] == "WithinBudget", stuck
        space.kubectl("rollout", "undo", "ds/web", "--to-revision=1")
        space.wait_for(complete(space, 3), "undone")
    assert seen.fewest_ready() == 2, seen.moments
    after = space.running("web", nodes)
    kept = [node.name for node in nodes if uid_of(after[node.name]) == uid_of(first[node.name])]
    assert len(kept) == 2, "what ran the template already was not touched"
    assert all(container_ids(after[name]) == container_ids(first[name]) for name in kept)
    assert not any(map(restarts, after.values()))


def test_a_surge_keeps_every_node_served(space, nodes):  # RO-04, RO-08
    surge = {"maxSurge": 1, "maxUnavailable": 0}
    space.apply(updatable(strategy=surge, min_ready=2, hostNetwork=False))
    first = space.running("web", nodes)
    space.wait_for(complete(space, 3), "available after minReadySeconds")
    with Watched(space, "web") as seen:
        space.apply(updatable(version="2", strategy=surge, min_ready=2, hostNetwork=False))
        rollout_status(space)
    assert seen.fewest_ready() == 3, seen.moments
    space.running("web", nodes, other_than=uids(first))
    space.wait_for(complete(space, 3), "the status is complete")


def test_a_surge_of_host_ports_is_refused_and_changes_nothing(space, nodes):  # RO-06, RO-07
    surge = {"maxSurge": 1, "maxUnavailable": 0}
    first_manifest, second_manifest = (updatable(version=version, strategy=surge, hostNetwork=False)
                                       for version in ("1", "2"))
    for manifest in (first_manifest, second_manifest):
        manifest["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 18080}]
    space.apply(first_manifest)
    space.wait_for(lambda: condition(space, "Progressing"), "the coordinator has seen the set")
    before = {pod["spec"]["nodeName"]: pod for pod in space.pods("web")}
    space.apply(second_manifest)
    told = space.wait_for(lambda: [c for c in [condition(space, "Progressing")] if c.get("status") == "False"],
                          "the condition says that it cannot be")[0]
    assert told["reason"] == "SurgeHostPortConflict" and "18080" in told["message"], told
    space.wait_for(lambda: "SurgeHostPortConflict" in space.reasons("DaemonSet", "web"), "an Event says so too")
    space.news_arrive(nodes)
    assert {uid_of(pod) for pod in space.pods("web")} == uids(before)


def test_another_agent_takes_over_in_the_middle(cluster, space, nodes):
    space.apply(updatable(min_ready=3))
    first = space.running("web", nodes)
    space.wait_for(complete(space, 3), "the status is complete")
    with Watched(space, "web") as seen:
        space.apply(updatable(version="2", min_ready=3))
        space.wait_for(lambda: "2" in versions(space).values(), "the rollout has begun")
        old = coordinator(cluster, nodes)
        old.kill()
        new = space.wait_for(lambda: [node for node in [coordinator(cluster, nodes)] if node not in (None, old)],
                             "another agent coordinates")[0]
        old.start()
        rollout_status(space)
    assert new is not old and seen.fewest_ready() >= 2, seen.moments
    space.running("web", nodes, other_than=uids(first))
    assert "coordinates" in new.ctl("get", "status") or "stands by" in old.ctl("get", "status")
    assert len(revisions(space)) == 2

    # An agent that ends in order gives it up at once.
    transitions = cluster.get(COORDINATOR_LEASE)["spec"]["leaseTransitions"]
    new.terminate()
    space.wait_for(lambda: coordinator(cluster, nodes) not in (None, new), "it was handed over")
    assert cluster.get(COORDINATOR_LEASE)["spec"]["leaseTransitions"] > transitions
    new.start()


def test_a_dead_node_holds_up_nothing_and_is_told_apart(cluster, space, nodes):  # RO-02, ST-09
    a, b, c = nodes
    space.apply(updatable())
    first = space.running("web", nodes)
    space.wait_for(complete(space, 3), "the status is complete")
    b.terminate()  # its Lease is short
    space.wait_for(reports(space, numberReady=2, numberAvailable=2, numberUnavailable=1), "node-b counts as dead")
    space.apply(updatable(version="2"))
    space.wait_for(lambda: versions(space) == {"node-a": "2", "node-b": "1", "node-c": "2"}, "the living are updated")
    space.wait_for(reports(space, updatedNumberScheduled=2, numberAvailable=2, numberUnavailable=1), "so counted")
    told = condition(space, "Available")
    assert told["reason"] in ("NodesNotReady", "WithinBudget") and "node-b" in told["message"], told
    b.start()
    space.wait_for(complete(space, 3), "node-b follows when it is back")
    space.running("web", nodes, other_than=uids(first))


def test_a_taken_revision_name_is_a_collision(space, nodes):  # RO-09, RO-10
    space.apply(updatable(strategy="OnDelete"))
    space.running("web", nodes)
    old = space.wait_for(lambda: revisions(space), "the first revision")[0]
    for revision in revisions(space):
        space.kubectl("delete", "controllerrevision", revision["metadata"]["name"])
    made = space.wait_for(lambda: revisions(space), "it is made again")[0]
    assert made["metadata"]["name"] == old["metadata"]["name"]
    # The next template's name, found out by another DaemonSet of the same name, holds something else.
    space.apply(updatable(version="2", strategy="OnDelete"))
    second = space.wait_for(lambda: revisions(space)[1:], "the second revision")[0]["metadata"]["name"]
    space.kubectl("delete", "ds", "web")
    space.gone("web")
    space.wait_for(lambda: not revisions(space), "the revisions go with their set")
    foreign = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": second}, "revision": 1,
               "data": {"spec": {"template": {"$patch": "replace", "spec": {"containers": []}}}}}
    space.apply(foreign)
    space.apply(updatable(version="2", strategy="OnDelete"))
    own = space.wait_for(lambda: revisions(space), "a revision under another name")[0]
    assert own["metadata"]["name"] != second
    assert space.daemon_set("web")["status"]["collisionCount"] == 1
    space.wait_for(complete(space, 3), "the status is complete")
    assert space.daemon_set("web")["status"]["collisionCount"] == 1


def test_a_copied_revision_is_taken_away(space, nodes):  # RO-11
    space.apply(updatable())
    first = space.running("web", nodes)
    original = space.wait_for(lambda: revisions(space), "the revision")[0]
    copy = {**original, "apiVersion": "apps/v1", "kind": "ControllerRevision"}
    copy["metadata"] = {"name": "web-copy", "labels": {**original["metadata"]["labels"], REVISION_LABEL: "copy"},
                        "ownerReferences": original["metadata"]["ownerReferences"]}
    copy["revision"] = 7
    space.create(copy)
    space.wait_for(lambda: [r["metadata"]["name"] for r in revisions(space)] == [original["metadata"]["name"]],
                   "the copy is gone")
    space.apply(updatable(version="2"))
    rollout_status(space)
    space.running("web", nodes, other_than=uids(first))


def test_what_the_built_in_controller_made_is_taken_over(space, nodes):
    """Its revisions and pods carry a hash that nobody else can compute; nothing of them is replaced."""
    space.apply(updatable(strategy="OnDelete"))
    before = space.running("web", nodes)
    own = space.wait_for(lambda: revisions(space), "the revision")[0]
    space.apply(updatable(version="2", strategy="OnDelete"))
    space.wait_for(lambda: revisions(space)[1:], "the revision of another template, under which nobody runs")
    for pod in before.values():
        space.kubectl("label", "pod", pod["metadata"]["name"], "--overwrite", f"{REVISION_LABEL}=5d4f8b7c66")
    space.patch("controllerrevisions", own["metadata"]["name"], {"metadata": {"labels": {REVISION_LABEL: "5d4f8b7c66"}}},
                "apps/v1")
    space.apply(updatable())
    space.wait_for(complete(space, 3), "its pods are known to run the present template")
    after = space.running("web", nodes)
    assert uids(after) == uids(before) and not any(map(restarts, after.values()))
    assert all(container_ids(after[node.name]) == container_ids(before[node.name]) for node in nodes)
    current = space.wait_for(lambda: [r for r in revisions(space) if r["revision"] == 3], "the newest revision")[0]
    assert current["metadata"]["name"] == own["metadata"]["name"]
    assert hashes(after) == {current["metadata"]["labels"][REVISION_LABEL]} == hashes(before)


def test_revisions_beyond_the_limit_go(space, nodes):
    manifest = updatable(strategy="OnDelete")
    manifest["spec"]["revisionHistoryLimit"] = 1
    space.apply(manifest)
    space.running("web", nodes)
    for version in ("2", "3", "4"):
        manifest = updatable(version=version, strategy="OnDelete")
        manifest["spec"]["revisionHistoryLimit"] = 1
        space.apply(manifest)
        space.wait_for(reports(space, updatedNumberScheduled=0), f"version {version} is known")
    # The first stays, since its pods still run; the newest is none of the history.
    space.wait_for(lambda: [r["revision"] for r in revisions(space)] == [1, 4], "old revisions are gone")


def test_pods_and_history_left_behind_are_adopted(space, nodes):
    space.apply(updatable())
    space.running("web", nodes)
    space.apply(updatable(version="2"))
    rollout_status(space)
    pods = space.running("web", nodes)
    space.kubectl("delete", "ds", "web", "--cascade=orphan")
    space.wait_for(lambda: not any(pod["metadata"].get("ownerReferences") for pod in space.pods("web")), "orphaned")
    space.apply(updatable(version="2"))
    space.wait_for(complete(space, 3), "adopted")
    after = space.running("web", nodes)
    assert uids(after) == uids(pods) and not any(map(restarts, after.values()))
    space.wait_for(lambda: {r["metadata"]["ownerReferences"][0]["uid"] for r in revisions(space)} ==
                   {uid_of(space.daemon_set("web"))}, "the revisions have the new owner")
    assert [number for number, _ in history(space)] == ["1", "2"]


def test_the_status_counts_each_node_once(cluster, space, nodes):  # ST-04
    a, b, c = nodes
    for node in (a, b):
        cluster.kubectl("label", "node", node.name, "--overwrite", "wanted=yes")
    space.apply(updatable(nodeSelector={"wanted": "yes"}))
    space.wait_for(complete(space, 2), "two nodes are wanted")
    space.running("web", [a, b])


def test_no_status_says_that_nothing_is_wanted(cluster, space, nodes):  # ST-05
    space.apply(updatable())
    space.running("web", nodes)
    space.wait_for(complete(space, 3), "the status is complete")
    version = cluster.get(space.path("apps/v1", "daemonsets"))["metadata"]["resourceVersion"]
    for node in nodes:
        node.restart(wait=False)
    for node in nodes:
        node.wait_until_ready()
    space.wait_for(lambda: coordinator(cluster, nodes), "somebody coordinates")
    space.apply(updatable(version="2"))
    space.wait_for(complete(space, 3), "the update is through")
    query = {"resourceVersion": version, "timeoutSeconds": "5"}
    with cluster.client().watch(space.path("apps/v1", "daemonsets"), query=query) as stream:
        for event in stream.read_to_end().events():
            status = event["object"].get("status", {})
            assert status.get("desiredNumberScheduled") == 3, event

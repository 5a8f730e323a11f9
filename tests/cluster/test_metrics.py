"""What agents on an API server measure: the series that the alert rules and the dashboard stand on. The scrape that
their tests use is recorded here: DAEMONSETD_ACCEPT_GOLDEN=1 rewrites it."""

import os
import pathlib
import re

import pytest

import exposition
from rollouts import complete, coordinator, never_ready, updatable
from workloads import workload

RECORDED = pathlib.Path(__file__).resolve().parents[1] / "packaging" / "testdata" / "scrape.prom"


def scrape(node):
    code, text = node.agent.get("/metrics")
    assert code == 200, text
    return text


def value(node, name, **labels):
    """The sum of the samples with these labels; None without any."""
    found = [float(text) for family in exposition.parse(scrape(node)).values() for sample, has, text in family.samples
             if sample == name and labels.items() <= has.items()]
    return sum(found) if found else None


def test_the_recorded_scrape_is_like_a_real_one(space, cluster, nodes):
    space.apply(workload("agent"), updatable("web"))
    space.running("agent", nodes)
    space.wait_for(complete(space, len(nodes)), "web is complete")
    node = coordinator(cluster, nodes)
    space.wait_for(lambda: value(node, "daemonsetd_daemonset_ready", namespace=space.namespace) == 2, "both are counted")
    text = scrape(node)
    assert exposition.complaints(text) == ""
    live = exposition.parse(text)
    recorded = exposition.parse(RECORDED.read_text()) if RECORDED.exists() else {}

    def outline(family, other):
        """The labels show in samples alone, and what never happened has none."""
        return family.kind, family.help, family.labels if family.samples and other.samples else None

    gone = {name for name in recorded if name not in live}
    pairs = {name: (recorded[name], live[name]) for name in recorded if name not in gone}
    other = {name: pair for name, pair in pairs.items() if outline(*pair) != outline(*reversed(pair))}
    if os.environ.get("DAEMONSETD_ACCEPT_GOLDEN"):
        RECORDED.write_text(re.sub(rf'namespace="{space.namespace}"', 'namespace="monitoring"', text))
        pytest.fail("recorded anew")
    assert recorded and not gone and not other


def test_the_api_server_and_the_coordinator_are_counted(space, cluster, nodes):
    space.apply(updatable("web"))
    space.wait_for(complete(space, len(nodes)), "web is complete")
    holder = coordinator(cluster, nodes)
    for node in nodes:
        assert value(node, "daemonsetd_api_server_offline_seconds") == 0
        assert value(node, "daemonsetd_daemonset_spec_age_seconds") == 0
        assert value(node, "rest_client_requests_total", code="201", method="POST") >= 1
        assert value(node, "rest_client_request_duration_seconds_count", verb="GET") >= 3
        assert value(node, "daemonsetd_rollout_coordinator", role="holder") == (1 if node is holder else 0)
    steps = value(holder, "daemonsetd_rollout_steps_total")
    before = {node.name: value(node, "daemonsetd_rollout_permit_wait_seconds_count") for node in nodes}
    space.apply(updatable("web", "2"))
    space.wait_for(complete(space, len(nodes)), "the update is complete")
    assert value(holder, "daemonsetd_rollout_steps_total") - steps == len(nodes)
    for node in nodes:
        space.wait_for(lambda: value(node, "daemonsetd_rollout_permit_wait_seconds_count") == before[node.name] + 1,
                       f"the permit of {node.name} is counted")
        assert value(node, "daemonsetd_rollout_waiting_pods") == 0


def test_who_waits_for_a_turn_is_counted(space, nodes):
    space.apply(updatable("web"))
    space.wait_for(complete(space, len(nodes)), "web is complete")
    space.apply(never_ready("web", "2"))
    space.wait_for(lambda: sum(value(node, "daemonsetd_rollout_waiting_pods") for node in nodes) == len(nodes) - 1,
                   "all but the one that does not get ready wait")
    assert max(value(node, "daemonsetd_rollout_waiting_seconds") for node in nodes) > 0


def test_time_without_the_server_is_counted(lone_space, lone_cluster, make_node):
    node = make_node(lone_cluster, "node-1")
    lone_space.apply(workload("agent"))
    lone_space.running("agent", [node])
    assert value(node, "daemonsetd_api_server_offline_seconds") == 0
    lone_cluster.kill_apiserver()
    lone_space.wait_for(lambda: value(node, "daemonsetd_api_server_offline_seconds") > 1, "the time offline is counted")
    lone_space.wait_for(lambda: value(node, "daemonsetd_daemonset_spec_age_seconds") > 1, "the age of the DaemonSets")
    node.restart(wait=False)
    lone_space.wait_for(lambda: node.agent.pods_ready("agent"), "the agent runs from its checkpoint")
    assert value(node, "daemonsetd_daemonset_spec_age_seconds") > 1, "the age is known from the checkpoint"
    assert value(node, "rest_client_requests_total", code="<error>") >= 1
    lone_cluster.start_apiserver()
    lone_space.wait_for(lambda: value(node, "daemonsetd_api_server_offline_seconds") == 0, "it is back")
    lone_space.wait_for(lambda: value(node, "daemonsetd_daemonset_spec_age_seconds") == 0, "its DaemonSets are new")

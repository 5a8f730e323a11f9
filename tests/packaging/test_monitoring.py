"""The alert rules and the dashboard, by promtool, on series that an agent of a real cluster gave (testdata/scrape.prom;
tests/cluster/test_metrics.py records it and finds out when it is outdated)."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import exposition  # noqa: E402

MONITORING = ROOT / "packaging" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
SCRAPE = pathlib.Path(__file__).with_name("testdata") / "scrape.prom"
TARGET = {"job": "daemonsetd", "instance": "192.0.2.10:10249"}
MINUTES = 120
STEADY, GROWS = "{}+0x%d" % MINUTES, "0+1x%d" % MINUTES


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True)


def recorded():
    """{(name, labels): values} of the recorded scrape, as promtool's tests write them: nothing moves."""
    series = {("up", key_of({})): STEADY.format(1)}
    for family in exposition.parse(SCRAPE.read_text()).values():
        for name, labels, value in family.samples:
            series[(name, key_of(labels))] = STEADY.format(float(value))
    return series


def key_of(labels):
    return tuple(sorted({**labels, **TARGET}.items()))


def changed(series, name, values, **labels):
    """Every series of this name and with these labels has other values; there must be one."""
    chosen = [key for key in series if key[0] == name and labels.items() <= dict(key[1]).items()]
    assert chosen, f"{name}{labels} is not recorded"
    return {**series, **{key: values for key in chosen}}


def added(series, name, values, **labels):
    return {**series, (name, key_of(labels)): values}


def slow(series, name, longer_than):
    """Whatever the histogram counts takes longer than this."""
    for metric, labels in list(series):
        if metric == name + "_bucket":
            bound = float(dict(labels)["le"])
            series = {**series, (metric, labels): GROWS if bound > longer_than else STEADY.format(0)}
    return series


def both(series, *changes):
    for name, values in changes:
        series = changed(series, name, values)
    return series


# What makes each alert fire, and no other.
TROUBLES = {
    "DaemonsetdDown": lambda s: changed(s, "up", STEADY.format(0)),
    "DaemonsetdRuntimeDown": lambda s: changed(s, "daemonsetd_runtime_connected", STEADY.format(0)),
    "DaemonsetdOffline": lambda s: changed(s, "daemonsetd_api_server_offline_seconds", "0+60x120"),
    "DaemonsetdSpecsOld": lambda s: changed(s, "daemonsetd_daemonset_spec_age_seconds", "86000+60x120"),
    "DaemonsetdPodMissing": lambda s: both(s, ("daemonsetd_daemonset_current", STEADY.format(0)),
                                           ("daemonsetd_daemonset_ready", STEADY.format(0))),
    "DaemonsetdPodNotReady": lambda s: changed(s, "daemonsetd_daemonset_ready", STEADY.format(0)),
    "DaemonsetdPodCrashLooping": lambda s: changed(s, "daemonsetd_pod_restarts", GROWS),
    "DaemonsetdRolloutWaiting": lambda s: changed(s, "daemonsetd_rollout_waiting_seconds", "0+60x120"),
    "DaemonsetdNoCoordinator": lambda s: changed(s, "daemonsetd_rollout_coordinator", STEADY.format(0), role="holder"),
    "DaemonsetdPlegDurationHigh": lambda s: slow(s, "daemonsetd_pleg_relist_duration_seconds", 10),
    "DaemonsetdPodStartUpLatencyHigh": lambda s: slow(s, "daemonsetd_pod_worker_duration_seconds", 60),
    "DaemonsetdRuntimeErrors": lambda s: added(
        changed(s, "daemonsetd_runtime_operations_total", "0+2x120", operation_type="CreateContainer"),
        "daemonsetd_runtime_operations_errors_total", GROWS, operation_type="CreateContainer"),
    "DaemonsetdApiServerErrors": lambda s: added(s, "rest_client_requests_total", GROWS, code="<error>", method="GET",
                                                 host=""),
    "DaemonsetdCheckpointErrors": lambda s: changed(s, "daemonsetd_checkpoint_errors_total", GROWS),
    "DaemonsetdManifestErrors": lambda s: changed(s, "daemonsetd_manifest_errors", STEADY.format(1)),
    "DaemonsetdStaleSocketMounts": lambda s: changed(s, "daemonsetd_stale_socket_mounts", STEADY.format(1)),
    "DaemonsetdFileDescriptorsLow": lambda s: both(s, ("process_open_fds", STEADY.format(900)),
                                                   ("process_max_fds", STEADY.format(1000))),
    "DaemonsetdCertificateExpiring": lambda s: changed(s, "daemonsetd_certificate_manager_client_ttl_seconds",
                                                       "25000-60x%d" % MINUTES),
    "DaemonsetdCertificateRenewalErrors": lambda s: changed(
        s, "daemonsetd_certificate_manager_client_expiration_renew_errors", GROWS),
    "DaemonsetdLogRotationErrors": lambda s: changed(s, "daemonsetd_container_log_rotation_errors_total", GROWS),
}


def fire(directory, series, alerts):
    """Complaints of promtool unless, in the end, exactly these alerts fire."""
    def written(name, labels):
        return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}"

    test = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [{
        "interval": "1m",
        "input_series": [{"series": written(*key), "values": values} for key, values in series.items()],
        "promql_expr_test": [{"expr": 'group by (alertname) (ALERTS{alertstate="firing"})', "eval_time": f"{MINUTES}m",
                              "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]}]}]}
    file = directory / "test.yaml"
    file.write_text(json.dumps(test))  # JSON is YAML
    result = promtool("test", "rules", str(file))
    return "" if result.returncode == 0 else result.stdout + result.stderr


def names_of_alerts():
    return re.findall(r"^\s*- alert: (\w+)$", ALERTS.read_text(), re.M)


def test_the_rules_are_well_formed():
    checked = promtool("check", "rules", "--lint-fatal", str(ALERTS))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert sorted(names_of_alerts()) == sorted(TROUBLES), "each alert has its trouble here"


def test_a_healthy_node_raises_no_alert(tmp_path):
    assert fire(tmp_path, recorded(), []) == ""


@pytest.mark.parametrize("alert", TROUBLES)
def test_an_alert_fires_alone(tmp_path, alert):
    assert fire(tmp_path, TROUBLES[alert](recorded()), [alert]) == ""


def expressions():
    """Every expression of the dashboard."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_the_dashboard_s_expressions_are_well_formed(tmp_path):
    rules = [{"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m")}
             for number, expr in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(rules) > 30


def test_panels_stand_side_by_side():
    taken = set()
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_metric_that_is_named_exists():
    there = exposition.parse(SCRAPE.read_text())
    text = ALERTS.read_text() + "\n".join(expressions())
    found = re.findall(r"\b(?:daemonsetd|rest_client|process)_[a-z_]+", text)
    named = {re.sub(r"_bucket$", "", name) for name in found}
    assert len(named) > 30 and named - set(there) == set()

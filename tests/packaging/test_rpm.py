"""The .rpm: what it holds and asks for, and what its scriptlets do in a root that offers what a system of Red Hat's ninth
generation does, and nothing else."""

import os
import pathlib
import re
import subprocess

import archives
import package
import pytest
import roots

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONFIG = "/etc/daemonsetd/config.yaml"
EDITED = "apiVersion: daemonsetd.dev/v1alpha1\nkind: DaemonsetdConfiguration\nnodeName: edge-17\n"
# Those that rpm 4.16 knows.
RPM_FEATURES = {"CompressedFileNames", "FileDigests", "PayloadFilesHavePrefix", "PayloadIsZstd", "RichDependencies"}


def query(rpm, text):
    return archives.run("rpm", "-qp", "--queryformat", text, rpm)


def test_holds_the_files_of_the_list(rpm):
    archives.compare_with_golden(archives.rpm_contents(rpm), GOLDEN / "rpm-contents")


def test_requires_what_every_distribution_calls_the_same(rpm):
    required = set(query(rpm, "[%{REQUIRENAME}\n]").split())
    features = {name for name in required if name.startswith("rpmlib(")}
    assert {re.sub(r"rpmlib\((.*)\)", r"\1", name) for name in features} <= RPM_FEATURES
    libraries = {name for name in required - features if "(64bit)" in name}
    assert {name.split("(")[0] for name in libraries} <= set(roots.PROVIDED)
    assert "libssl.so.3(OPENSSL_3.0.0)(64bit)" in libraries
    assert required - features - libraries == {"/bin/sh", "systemd", "rtld(GNU_HASH)", "config(daemonsetd)"}


def test_was_built_nowhere_at_the_time_of_the_commit(rpm, tarball):
    epoch = package.git("log", "-1", "--format=%ct", archives.commit_of(tarball)).decode().strip()
    assert query(rpm, "%{BUILDHOST} %{BUILDTIME}") == f"localhost {epoch}"


def test_rpmlint_has_nothing_to_say(rpm):
    done = subprocess.run(["rpmlint", "--strict", "--config", package.REPOSITORY / "packaging/rpm/rpmlint.toml", rpm],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout


def units(root):
    """What systemctl was told to do with the unit."""
    return [call for call in root.calls() if call.endswith(f" {roots.UNIT}")]


def test_install_follows_the_presets(rpm_root, rpm):
    rpm_root.rpm("--install", rpm)
    assert units(rpm_root) == ["--no-reload preset daemonsetd.service"]
    assert not rpm_root.enabled()
    assert "daemonsetd:" in rpm_root.read("/etc/group")
    assert rpm_root.rpm("--verify", "daemonsetd") == ""
    rpm_root.copy_libraries(rpm_root.path / "usr/sbin/daemonsetd")
    assert package.version() in rpm_root.run("daemonsetd", "--version")
    rpm_root.run("daemonsetd", "--check-config")


def test_install_enables_where_a_preset_says_so(rpm_root, rpm):
    rpm_root.write("/etc/systemd/system-preset/10-site.preset", "enable daemonsetd.service\n")
    rpm_root.rpm("--install", rpm)
    assert rpm_root.enabled()


@pytest.mark.parametrize("enabled", [True, False], ids=["enabled", "disabled"])
def test_an_upgrade_keeps_configuration_state_and_enablement_and_restarts(rpm_root, rpm, older_rpm, enabled):
    rpm_root.rpm("--install", older_rpm)
    if enabled:
        rpm_root.run("systemctl", "enable", roots.UNIT)
    rpm_root.write(CONFIG, EDITED)
    rpm_root.write("/var/lib/daemonsetd/state", "of this node")
    rpm_root.calls()

    for newer, options in ((rpm, []), (older_rpm, ["--oldpackage"])):  # up and down again
        rpm_root.rpm("--upgrade", *options, newer)
        assert units(rpm_root) == ["try-restart daemonsetd.service"]
        assert rpm_root.exists(f"/usr/lib/systemd/system/{roots.UNIT}")
        assert rpm_root.enabled() == enabled
        assert rpm_root.read(CONFIG) == EDITED
        assert rpm_root.exists(CONFIG + ".rpmnew")
        assert rpm_root.read("/var/lib/daemonsetd/state") == "of this node"
        assert rpm_root.rpm("--query", "daemonsetd").count("\n") == 1


def test_an_upgrade_takes_a_new_configuration_that_nobody_edited(rpm_root, rpm, older_rpm):
    rpm_root.rpm("--install", older_rpm)
    assert rpm_root.read(CONFIG).endswith(archives.ADDED_TO_OLDER_CONFIG)
    rpm_root.rpm("--upgrade", rpm)
    assert not rpm_root.read(CONFIG).endswith(archives.ADDED_TO_OLDER_CONFIG)
    assert rpm_root.rpm("--verify", "daemonsetd") == ""


def test_remove_stops_and_disables_and_keeps_what_was_edited(rpm_root, rpm):
    rpm_root.rpm("--install", rpm)
    rpm_root.run("systemctl", "enable", roots.UNIT)
    rpm_root.write(CONFIG, EDITED)
    rpm_root.write("/etc/daemonsetd/kubeconfig", "a key")
    rpm_root.write("/var/lib/daemonsetd/state", "of this node")
    rpm_root.calls()

    rpm_root.rpm("--erase", "daemonsetd")
    assert units(rpm_root) == ["--no-reload disable --now daemonsetd.service"]
    assert not rpm_root.enabled()
    assert not rpm_root.exists("/usr/sbin/daemonsetd")
    assert rpm_root.read(CONFIG + ".rpmsave") == EDITED
    assert rpm_root.read("/etc/daemonsetd/kubeconfig") == "a key"
    assert rpm_root.read("/var/lib/daemonsetd/state") == "of this node"



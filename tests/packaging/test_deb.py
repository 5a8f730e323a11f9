"""The .deb: what it holds and asks for, and what installing, upgrading, removing and purging it does to a system."""

import os
import pathlib
import subprocess

import archives
import package

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONFIG = "/etc/daemonsetd/config.yaml"
EDITED = "apiVersion: daemonsetd.dev/v1alpha1\nkind: DaemonsetdConfiguration\nnodeName: edge-17\n"


def field(deb, name):
    return archives.run("dpkg-deb", "--field", deb, name).strip()


def test_holds_the_files_of_the_list(deb):
    archives.compare_with_golden(archives.deb_contents(deb), GOLDEN / "deb-contents")


def test_control_fields(deb):
    assert field(deb, "Package") == "daemonsetd"
    assert field(deb, "Version") == package.version()
    depends = {dependency.split()[0] for dependency in field(deb, "Depends").split(", ")}
    assert depends == {"libc6", "libgcc-s1", "libssl3", "libstdc++6", "procps", "systemd"}
    assert field(deb, "Recommends").startswith("containerd (>= 1.6) | containerd.io")


def test_the_configuration_is_the_administrators(deb, tmp_path):
    archives.run("dpkg-deb", "--control", deb, tmp_path)
    assert (tmp_path / "conffiles").read_text().splitlines() == [CONFIG]


def test_lintian_has_nothing_to_say(deb):
    done = subprocess.run(["lintian", "--allow-root", "--display-info", "--pedantic", "--tag-display-limit", "0", deb],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.stdout == "" and done.returncode == 0


def test_install_starts_and_enables(debian_root, deb):
    debian_root.install(deb)
    assert debian_root.enabled()
    assert "--quiet --system start daemonsetd.service" in debian_root.calls()
    assert "daemonsetd:" in debian_root.read("/etc/group")
    debian_root.run("daemonsetd", "--check-config")
    assert package.version() in debian_root.run("daemonsetd", "--version")


def test_an_upgrade_keeps_configuration_state_and_enablement_and_restarts(debian_root, deb, older_deb):
    debian_root.install(older_deb)
    debian_root.write(CONFIG, EDITED)
    debian_root.write("/etc/daemonsetd/config.d/10-site.conf", "maxPods: 7\n")
    debian_root.write("/var/lib/daemonsetd/state", "of this node")
    debian_root.calls()

    for newer in (deb, older_deb):  # up and down again
        debian_root.install(newer, "--force-confold")
        assert debian_root.read(CONFIG) == EDITED
        assert debian_root.read("/etc/daemonsetd/config.d/10-site.conf") == "maxPods: 7\n"
        assert debian_root.read("/var/lib/daemonsetd/state") == "of this node"
        assert debian_root.enabled()
        actions = [call for call in debian_root.calls() if call.endswith(" daemonsetd.service")]
        assert "--quiet --system restart daemonsetd.service" in actions
        assert not [call for call in actions if " stop " in call or " disable " in call]


def test_an_upgrade_takes_a_new_configuration_that_nobody_edited(debian_root, deb, older_deb):
    debian_root.install(older_deb)
    assert debian_root.read(CONFIG).endswith(archives.ADDED_TO_OLDER_CONFIG)
    debian_root.install(deb)
    assert not debian_root.read(CONFIG).endswith(archives.ADDED_TO_OLDER_CONFIG)


def test_an_upgrade_does_not_enable_what_was_disabled_nor_start_what_does_not_run(debian_root, deb, older_deb):
    debian_root.install(older_deb)
    debian_root.run("systemctl", "disable", "--now", "daemonsetd.service")
    debian_root.calls()
    debian_root.install(deb)
    assert not debian_root.enabled()
    assert not [call for call in debian_root.calls() if "start " in call]


def test_remove_keeps_the_configuration_and_purge_removes_all(debian_root, deb):
    debian_root.install(deb)
    debian_root.write(CONFIG, EDITED)
    debian_root.write("/etc/daemonsetd/kubeconfig", "a key")
    debian_root.write("/var/lib/daemonsetd/state", "of this node")
    debian_root.write("/var/lib/kubelet/pods/uid/volumes/data", "of a pod")
    debian_root.calls()

    debian_root.run("dpkg", "--remove", "daemonsetd")
    assert "stop daemonsetd.service" in debian_root.calls()
    assert not debian_root.exists("/usr/sbin/daemonsetd")
    assert debian_root.read(CONFIG) == EDITED
    assert debian_root.read("/etc/daemonsetd/kubeconfig") == "a key"
    assert debian_root.read("/var/lib/daemonsetd/state") == "of this node"

    printed = debian_root.run("dpkg", "--purge", "daemonsetd")
    left = [path for path in ("/etc/daemonsetd", "/var/lib/daemonsetd", "/etc/systemd/system/daemonsetd.service")
            if debian_root.exists(path)]
    assert left == [] and not debian_root.enabled()
    assert debian_root.read("/var/lib/kubelet/pods/uid/volumes/data") == "of a pod"
    assert "volumes of pods in /var/lib/kubelet/pods are left" in printed


def test_purge_does_not_delete_across_a_mount(debian_root, deb):
    debian_root.install(deb)
    debian_root.write("/elsewhere/data", "of somebody else")
    debian_root.write("/var/lib/daemonsetd/mounted/.keep", "")
    # A bind mount within one file system is not seen by looking at device numbers.
    debian_root.mount("--bind", debian_root.path / "elsewhere", debian_root.path / "var/lib/daemonsetd/mounted")
    printed = debian_root.run("dpkg", "--purge", "daemonsetd")
    assert debian_root.read("/elsewhere/data") == "of somebody else"
    assert "/var/lib/daemonsetd is left as it is" in printed
    assert not debian_root.exists("/etc/daemonsetd")

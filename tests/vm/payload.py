"""What is brought to the virtual machine: the package, the same with a higher version, and the images that pods run."""

import dataclasses
import pathlib
import subprocess
import tarfile

from containerd import images

UPGRADE = "+upgrade1"  # after a version: a higher one


@dataclasses.dataclass(frozen=True)
class Payload:
    tar: pathlib.Path  # is the machine's second disk
    version: str

    DEB, UPGRADED_DEB = "daemonsetd.deb", "daemonsetd-upgraded.deb"

    @classmethod
    def pack(cls, deb, directory):
        version = run("dpkg-deb", "--field", deb, "Version").strip()
        payload = cls(directory / "payload.tar", version)
        archives = images.build(directory / "images")
        with tarfile.open(payload.tar, "w") as tar:
            tar.add(deb, cls.DEB)
            tar.add(repacked(deb, directory / "upgraded", version + UPGRADE), cls.UPGRADED_DEB)
            for archive in archives.values():
                tar.add(archive, f"images/{archive.name}")
        return payload


def repacked(deb, directory, version):
    """The same package as another version: what maintainer scripts do on an upgrade does not depend on what is new."""
    run("dpkg-deb", "--raw-extract", deb, directory)
    control = directory / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text("".join(f"Version: {version}\n" if line.startswith("Version:") else f"{line}\n"
                               for line in lines))
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", directory, target := directory.with_suffix(".deb"))
    return target


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout

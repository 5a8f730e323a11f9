"""What is brought to the virtual machine: the package, the same with a higher version, and the images that pods run."""

import dataclasses
import pathlib
import subprocess
import tarfile

from containerd import images
from deb import repacked

UPGRADE = "+upgrade1"  # after a version: a higher one


@dataclasses.dataclass(frozen=True)
class Payload:
    tar: pathlib.Path  # is the machine's second disk
    version: str

    DEB, UPGRADED_DEB = "daemonsetd.deb", "daemonsetd-upgraded.deb"

    @classmethod
    def pack(cls, deb, directory):
        version = subprocess.run(["dpkg-deb", "--field", deb, "Version"], check=True, capture_output=True,
                                 text=True).stdout.strip()
        payload = cls(directory / "payload.tar", version)
        archives = images.build(directory / "images")
        with tarfile.open(payload.tar, "w") as tar:
            tar.add(deb, cls.DEB)
            tar.add(repacked(deb, directory / "upgraded", version + UPGRADE), cls.UPGRADED_DEB)
            for archive in archives.values():
                tar.add(archive, f"images/{archive.name}")
        return payload

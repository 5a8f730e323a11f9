"""A .deb packed again as another version: what maintainer scripts do on an upgrade does not depend on what is new."""

import re
import subprocess


def repacked(deb, directory, version, change=lambda tree: None):
    """`directory` is filled with its files, which `change` may edit; the package lies beside it, with the suffix .deb."""
    subprocess.run(["dpkg-deb", "--raw-extract", deb, directory], check=True)
    control = directory / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
    change(directory)
    target = directory.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", directory, target], check=True,
                   stdout=subprocess.DEVNULL)
    return target

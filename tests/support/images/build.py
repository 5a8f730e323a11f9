#!/usr/bin/env python3
"""Builds the two images that the tests and the quick start run, as OCI archives, without a registry or a builder:

    build.py DIRECTORY      writes DIRECTORY/busybox.tar and DIRECTORY/pause.tar

busybox holds Debian's static busybox with all its applets; pause holds the program of pause.c. `build_agnhost` makes the
images that upstream's end-to-end specs run. The archives depend only on their inputs: fixed owners and times, so the
same files give the same digests.
"""

import hashlib
import io
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile

BUSYBOX_IMAGE = "docker.io/daemonsetd/busybox:1"
PAUSE_IMAGE = "docker.io/daemonsetd/pause:1"

HERE = pathlib.Path(__file__).resolve().parent
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Layer:
    """One uncompressed layer."""

    def __init__(self):
        self._bytes = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._bytes, mode="w", format=tarfile.USTAR_FORMAT)

    def directory(self, name, mode=0o755):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(entry)

    def file(self, name, content, mode=0o644):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), mode
        self._tar.addfile(entry, io.BytesIO(content))

    def link(self, name, target):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self._tar.addfile(entry)

    def content(self):
        self._tar.close()
        return self._bytes.getvalue()


def write_archive(path, reference, layer, config):
    """Writes an OCI image layout of one layer as a tar that `ctr images import` understands."""
    blobs = {}

    def blob(content):
        name = hashlib.sha256(content).hexdigest()
        blobs[name] = content
        return {"digest": "sha256:" + name, "size": len(content)}

    def document(value):
        return json.dumps(value, sort_keys=True).encode()

    layer_entry = blob(layer)
    image = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_entry["digest"]]},
    }
    oci = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci + "manifest.v1+json",
        "config": {"mediaType": oci + "config.v1+json", **blob(document(image))},
        "layers": [{"mediaType": oci + "layer.v1.tar", **layer_entry}],
    }
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1]}
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": manifest["mediaType"], **blob(document(manifest)), "annotations": names}],
    }
    archive = Layer()
    archive.file("oci-layout", document({"imageLayoutVersion": "1.0.0"}))
    archive.file("index.json", document(index))
    for name, content in sorted(blobs.items()):
        archive.file("blobs/sha256/" + name, content)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(archive.content())
    temporary.rename(path)


def busybox_layer(program=None):
    """A small system; with the file `program` in its root if given."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin:/usr/local/bin")
    if not busybox:
        sys.exit("build.py: no busybox on this machine; install the Debian package busybox-static")
    layer = Layer()
    for name in ("bin", "etc", "home", "root", "usr", "usr/bin", "var", "var/run"):
        layer.directory(name)
    for name in ("tmp", "var/tmp"):
        layer.directory(name, 0o1777)
    layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n"
                             b"nobody:x:65534:65534::/:/bin/false\n")
    layer.file("etc/group", b"root:x:0:\nuser:x:1000:\nnobody:x:65534:\n")
    layer.file("bin/busybox", pathlib.Path(busybox).read_bytes(), 0o755)
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            layer.link("bin/" + applet, "busybox")
    if program:
        layer.file(program.name, program.read_bytes(), 0o755)
    return layer.content()


def pause_layer(directory):
    program = directory / "pause"
    compiler = next((c for c in ("clang-19", "gcc", "clang", "cc") if shutil.which(c)), None)
    if not compiler:
        sys.exit("build.py: no C compiler on this machine; install the Debian package clang-19")
    subprocess.run([compiler, "-Os", "-static", "-s", "-Wall", "-Werror", "-o", program, HERE / "pause.c"], check=True)
    layer = Layer()
    layer.file("pause", program.read_bytes(), 0o755)
    return layer.content()


def build(directory):
    """Builds what is missing or older than its inputs; answers {image reference: archive}."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    archives = {BUSYBOX_IMAGE: directory / "busybox.tar", PAUSE_IMAGE: directory / "pause.tar"}
    newest_input = max(os.path.getmtime(HERE / name) for name in ("build.py", "pause.c"))
    if all(a.exists() and a.stat().st_mtime > newest_input for a in archives.values()):
        return archives
    write_archive(archives[BUSYBOX_IMAGE], BUSYBOX_IMAGE, busybox_layer(), {"Env": [PATH], "Cmd": ["sh"]})
    write_archive(archives[PAUSE_IMAGE], PAUSE_IMAGE, pause_layer(directory),
                  {"Env": [PATH], "Entrypoint": ["/pause"]})
    return archives


def build_agnhost(directory, program, references):
    """An image for each reference, of upstream's program agnhost and a shell, as upstream's own; answers
    {image reference: archive}. The versions differ by a label, so that each is an image of its own."""
    archives = {}
    for reference in references:
        name, tag = reference.rsplit("/", 1)[1].split(":")
        archive = archives[reference] = pathlib.Path(directory) / f"{name}-{tag}.tar"
        newest_input = max(os.path.getmtime(path) for path in (program, HERE / "build.py"))
        if not archive.exists() or archive.stat().st_mtime <= newest_input:
            write_archive(archive, reference, busybox_layer(program),
                          {"Env": [PATH], "Entrypoint": ["/agnhost"], "Cmd": ["pause"],
                           "Labels": {"org.opencontainers.image.version": tag}})
    return archives


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for reference, archive in build(sys.argv[1]).items():
        print(f"{reference}  {archive}")

"""What packages hold, and packages of an older version made from those of today."""

import os
import pathlib
import re
import subprocess
import tarfile
import tempfile

import package
from deb import repacked

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLDER = "0.0.9"
ADDED_TO_OLDER_CONFIG = "# as version 0.0.9 had it\n"


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def unpack(archive, directory):
    """The files of a .deb or .rpm, without its scripts."""
    if archive.suffix == ".deb":
        run("dpkg-deb", "--extract", archive, directory)
    else:
        with subprocess.Popen(["rpm2cpio", archive], stdout=subprocess.PIPE) as contents:
            run("cpio", "--extract", "--make-directories", "--quiet", stdin=contents.stdout, cwd=directory)
    return directory


def deb_contents(deb):
    """One line for each member: mode, owner, path."""
    lines = (line.split(None, 5) for line in run("dpkg-deb", "--contents", deb).splitlines())
    return sorted(f"{mode} {owner} {path}" for mode, owner, _, _, _, path in lines)


def rpm_contents(rpm):
    query = "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES} %{FILEFLAGS:fflags}\n]"
    return sorted(line.rstrip() for line in run("rpm", "-qp", "--queryformat", query, rpm).splitlines())


def compare_with_golden(lines, golden):
    """DAEMONSETD_ACCEPT_GOLDEN=1 writes the file anew, to be read before it is committed."""
    if os.environ.get("DAEMONSETD_ACCEPT_GOLDEN") == "1":
        golden.write_text("".join(f"{line}\n" for line in lines))
    assert lines == golden.read_text().splitlines()


def commit_of(tarball):
    with tarfile.open(tarball) as archive:
        return archive.extractfile(f"daemonsetd-{package.version()}/.commit").read().decode()


def section(program, name):
    with tempfile.NamedTemporaryFile() as file:
        run("objcopy", "--output-target=binary", f"--only-section={name}", program, file.name)
        return pathlib.Path(file.name).read_bytes()


def needed_libraries(program):
    """{library: newest version of each kind of symbol that the program takes from it}, from the ELF file itself."""
    needed = {name: {} for name in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--wide", "--dynamic", program))}
    library = None
    for line in run("readelf", "--wide", "--version-info", program).splitlines():
        if found := re.search(r"File: (\S+)", line):
            library = found[1]
        elif found := re.search(r"Name: ([A-Z]+)_([0-9.]+|[A-Z_]+)\s", line):
            needed[library].setdefault(found[1], []).append(found[2])
    return needed


def edit_config(tree):
    with (tree / "etc/daemonsetd/config.yaml").open("a") as config:
        config.write(ADDED_TO_OLDER_CONFIG)


def older_deb(deb, directory):
    """The package as if it had been released as 0.0.9, with another configuration file."""
    return repacked(deb, directory / "older", OLDER, change=edit_config)


def older_rpm(rpm, directory):
    """The same of the .rpm: its files, packed by the specification that made it, since the scriptlets are under test."""
    tree = directory / "tree"
    tree.mkdir()
    unpack(rpm, tree)
    edit_config(tree)
    text = (ROOT / "packaging/rpm/daemonsetd.spec").read_text()
    text = re.sub(r"^(Version: +).*$", rf"\g<1>{OLDER}", text, flags=re.MULTILINE)
    start, end = text.index("%install\n"), text.index("%files\n")
    text = f"{text[:start]}%install\ncp -a {tree}/. %{{buildroot}}/\n\n{text[end:]}"
    specification = directory / "daemonsetd.spec"
    specification.write_text(text.replace("w19.zstdio", "w1.gzdio"))
    run(*package.rpmbuild(specification, ROOT, directory, built=tree), stderr=subprocess.STDOUT)
    return directory / f"daemonsetd-{OLDER}-{package.RELEASE}.x86_64.rpm"

#!/usr/bin/env python3
"""Builds daemonsetd's .deb and .rpm from a tarball of the committed tree, without network and reproducibly.

  package.py [--out DIR]   both packages, and the tarball, in DIR (default: build/packages)
  package.py --check       builds twice, the second time under other circumstances, and compares every byte

The programs are compiled once: the .rpm is made of what the build of the .deb compiled, so both hold the same code.
`packaging/debian` and `packaging/rpm/daemonsetd.spec` build by themselves as well, for those who package for a distribution.
"""

import argparse
import filecmp
import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE = "1"  # of the .rpm


def version():
    return re.search(r"^  version: '([^']+)'", (REPOSITORY / "meson.build").read_text(), re.MULTILINE)[1]


def file_names(of=None):
    """Tarball, .deb and .rpm of a version, as they are called in the directory that `build` fills."""
    of = of or version()
    return f"daemonsetd-{of}.tar.gz", f"daemonsetd_{of}_amd64.deb", f"daemonsetd-{of}-{RELEASE}.x86_64.rpm"


def git(*arguments):
    # A checkout that belongs to somebody else than the one who builds (sudo) is no reason to refuse.
    return subprocess.run(["git", "-c", f"safe.directory={REPOSITORY}", *arguments], cwd=REPOSITORY, check=True,
                          stdout=subprocess.PIPE).stdout


def without_network(command):
    """`command` where there is no network. `unshare -r` gives those who are not root the right to say so."""
    return ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--", *command]


def run(command, environment, directory, log):
    with log.open("ab") as output:
        done = subprocess.run(without_network(command), cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                              stdout=output, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.stderr.write("".join(log.read_text(errors="replace").splitlines(keepends=True)[-60:]))
        sys.exit(f"package: {command[0]} failed; {log} has all of it")


def make_tarball(path, commit, epoch):
    """The committed tree as git archives it, and the commit's name: members carry the commit's time and no owner."""
    name = git("rev-parse", "--short=12", commit).decode().strip()
    archive = git("-c", "tar.umask=0022", "archive", "--format=tar", f"--prefix=daemonsetd-{version()}/",
                  f"--add-virtual-file=daemonsetd-{version()}/.commit:{name}", commit)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as packed:
        packed.write(archive)


def rpmbuild(specification, source, work, **more):
    """The command that makes an .rpm in `work`, as it would be made anywhere else and at any other time."""
    settings = {
        "_topdir": work / "rpm",
        "_rpmdir": work,
        "_builddir": source,
        "_build_name_fmt": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "_dbpath": work / "rpm/database",
        "_buildhost": "localhost",
        "use_source_date_epoch_as_buildtime": 1,
        "clamp_mtime_to_source_date_epoch": 1,
        **more,
    }
    # What BuildRequires names is called otherwise on Debian, and was found by meson.
    return ["rpmbuild", "-bb", "--nodeps", specification,
            *(word for name, value in settings.items() for word in ("--define", f"{name} {value}"))]


def build(commit, out, work, environment):
    """Fills `out` with the three files. `work` is emptied, and holds the sources and the log afterwards."""
    epoch = int(git("log", "-1", "--format=%ct", commit))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out.mkdir(parents=True, exist_ok=True)
    tarball, deb, rpm = (out / name for name in file_names())
    make_tarball(tarball, commit, epoch)
    subprocess.run(["tar", "--extract", "--preserve-permissions", "--file", tarball], cwd=work, check=True)
    source = work / f"daemonsetd-{version()}"
    (source / "debian").symlink_to("packaging/debian")
    environment = {
        **environment,
        "SOURCE_DATE_EPOCH": str(epoch),
        "CCACHE_BASEDIR": str(source),
        "GIT_CEILING_DIRECTORIES": str(work),  # the version comes from the tarball, not from a repository around it
        # The symbols' package would be forty times as big as the package, and debug information doubles the time.
        "DEB_BUILD_OPTIONS": "noautodbgsym",
        "DEB_CFLAGS_STRIP": "-g",
        "DEB_CXXFLAGS_STRIP": "-g",
    }
    run(["dpkg-buildpackage", "--build=binary", "--no-sign"], environment, source, work / "deb.log")
    shutil.move(work / deb.name, deb)

    command = rpmbuild(source / "packaging/rpm/daemonsetd.spec", source, work, built=next(source.glob("obj-*")))
    run(command, environment, source, work / "rpm.log")
    shutil.move(work / rpm.name, rpm)


def check(commit, out, work):
    """Builds once more where everything that must not matter is different."""
    first, second = out, work / "again/packages"
    build(commit, first, work / "build", dict(os.environ))
    other = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "CCACHE_DISABLE": "1", "HOME": str(work / "again")}
    mask = os.umask(0o027)
    try:
        build(commit, second, work / "again/a/longer/way/to/the/sources", other)
    finally:
        os.umask(mask)
    different = [name for name in file_names() if not filecmp.cmp(first / name, second / name, shallow=False)]
    if different:
        sys.exit(f"package: two builds differ: {' '.join(different)}; compare {first} with {second}")
    print("two builds are equal, byte for byte")
    shutil.rmtree(work / "again")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build/packages")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "build/package-work")
    parser.add_argument("--commit", default="HEAD", help="what to package instead of HEAD")
    parser.add_argument("--check", action="store_true", help="build twice and compare")
    given = parser.parse_args()
    out, work = given.out.resolve(), given.work.resolve()
    if given.commit == "HEAD" and git("status", "--porcelain", "--untracked-files=no"):
        print("package: changes that are not committed are not packaged", file=sys.stderr)
    begin = time.monotonic()
    commit = git("rev-parse", "--verify", f"{given.commit}^{{commit}}").decode().strip()  # HEAD may move meanwhile
    if given.check:
        check(commit, out, work)
    else:
        build(commit, out, work / "build", dict(os.environ))
    for name in file_names():
        print(f"{(out / name).stat().st_size:>10} {out / name}")
    print(f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()

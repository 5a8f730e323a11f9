"""How the packages were built: of what, with which libraries, and that nothing of the place shows."""

import pathlib
import re
import tarfile

import archives
import package
import pytest

PROGRAMS = ["usr/sbin/daemonsetd", "usr/bin/daemonsetctl"]
# Red Hat's ninth generation: glibc 2.34, GCC 11's libraries, OpenSSL 3.0.
NEWEST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0), "OPENSSL": (3, 0, 0)}


@pytest.fixture(scope="module", params=["deb", "rpm"])
def unpacked(request, tmp_path_factory):
    return archives.unpack(request.getfixturevalue(request.param), tmp_path_factory.mktemp(request.param))


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def test_one_version_everywhere():
    repository = package.REPOSITORY
    assert re.search(r"^Version: +(.*)$", (repository / "packaging/rpm/daemonsetd.spec").read_text(), re.MULTILINE)[1] == package.version()
    assert re.match(r"daemonsetd \((.*?)\)", (repository / "packaging/debian/changelog").read_text())[1] == package.version()


@pytest.mark.parametrize("program", PROGRAMS)
def test_needs_no_library_and_no_symbol_that_an_older_system_lacks(unpacked, program):
    needed = archives.needed_libraries(unpacked / program)
    assert set(needed) == {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2",
                           "libssl.so.3", "libcrypto.so.3"}
    newer = [f"{kind}_{version} of {library}" for library, kinds in needed.items() for kind, versions in kinds.items()
             for version in versions if not version[0].isdigit() or numbers(version) > NEWEST[kind]]
    assert newer == []


def test_both_packages_hold_the_same_programs(deb, rpm, tmp_path):
    for kind, archive in (("deb", deb), ("rpm", rpm)):
        (tmp_path / kind).mkdir()
        archives.unpack(archive, tmp_path / kind)
    for program in PROGRAMS:
        for section in (".text", ".rodata"):
            content = archives.section(tmp_path / "deb" / program, section)
            assert len(content) > 100_000
            assert archives.section(tmp_path / "rpm" / program, section) == content


@pytest.mark.parametrize("program", PROGRAMS)
def test_does_not_tell_where_it_was_built(unpacked, package_directory, program):
    content = (unpacked / program).read_bytes()
    assert b"agent/" in content  # the sources' names are there, from the top of the tree
    for place in (package.REPOSITORY, package_directory, pathlib.Path.home()):
        assert str(place).encode() + b"/" not in content


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_name_the_commit(unpacked, program, tarball):
    commit = archives.commit_of(tarball)
    assert re.fullmatch("[0-9a-f]{12,}", commit)
    assert commit.encode() in (unpacked / program).read_bytes()


def test_the_tarball_is_the_commit(tarball):
    with tarfile.open(tarball) as archive:
        members = {member.name.split("/", 1)[1]: member for member in archive if member.isfile()}
    commit = members.pop(".commit")
    assert len({member.mtime for member in members.values()} | {commit.mtime}) == 1
    tree = package.git("ls-tree", "-r", "--name-only", "-z", archives.commit_of(tarball)).decode().split("\0")
    assert set(members) == {path for path in tree if path}

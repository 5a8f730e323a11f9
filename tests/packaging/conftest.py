"""Fixtures of the packages' tests.

    python3 -m pytest tests/packaging      (the tests that install packages need root)

DAEMONSETD_PACKAGES names the directory with the packages to test, as `./dev package` fills it; without it the packages
are built first, from the committed tree.
"""

import ctypes
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / place) for place in ("packaging/build", "tests/packaging", "tests/support")]
import archives  # noqa: E402
import package  # noqa: E402
import roots  # noqa: E402


@pytest.fixture(scope="session")
def package_directory():
    if given := os.environ.get("DAEMONSETD_PACKAGES"):
        return pathlib.Path(given).resolve()
    subprocess.run([sys.executable, ROOT / "packaging/build/package.py"], check=True)
    return ROOT / "build/packages"


@pytest.fixture(scope="session")
def tarball(package_directory):
    return package_directory / package.file_names()[0]


@pytest.fixture(scope="session")
def deb(package_directory):
    return package_directory / package.file_names()[1]


@pytest.fixture(scope="session")
def rpm(package_directory):
    return package_directory / package.file_names()[2]


@pytest.fixture(scope="session")
def older_deb(deb, tmp_path_factory):
    return archives.older_deb(deb, tmp_path_factory.mktemp("older-deb"))


@pytest.fixture(scope="session")
def older_rpm(rpm, tmp_path_factory):
    return archives.older_rpm(rpm, tmp_path_factory.mktemp("older-rpm"))


@pytest.fixture(scope="session")
def private_mounts():
    """What the tests mount is seen by them alone, and is gone with them."""
    clone_newns = 0x00020000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newns) != 0:
        pytest.fail(f"no mount namespace of one's own: {os.strerror(ctypes.get_errno())}; run as root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@pytest.fixture
def debian_root(private_mounts, tmp_path):
    root = roots.DebianRoot(tmp_path)
    yield root
    root.remove()


@pytest.fixture(scope="session")
def distribution_rpm(tmp_path_factory):
    return roots.distribution_rpm(tmp_path_factory.mktemp("distribution"))


@pytest.fixture
def rpm_root(distribution_rpm, tmp_path):
    return roots.RpmRoot(tmp_path, distribution_rpm)

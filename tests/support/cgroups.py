"""The machine's control groups: one hierarchy, or with version 1 one for each controller, and perhaps one of version 2
beside them. A path ("/kubepods/pod1") names a group in all of them."""

import os
import pathlib
import re
import time

ROOT = pathlib.Path("/sys/fs/cgroup")
GONE_SECONDS = 5  # the kernel needs a moment to forget a process that was killed
POD = r"(?:[\w.-]*-)?pod[\w-]+(?:\.slice)?"


def unified():
    return (ROOT / "cgroup.controllers").exists()


def hierarchies():
    if unified():
        return [ROOT]
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink()]


def groups_below(path):
    """Directories of the group `path` and of all in it, in every hierarchy, deepest first."""
    found = []
    for hierarchy in hierarchies():
        found += [pathlib.Path(directory) for directory, _, _ in os.walk(f"{hierarchy}{path}", topdown=False)]
    return found


def pods_below(path):
    """Groups of pods in use or not."""
    return [group for group in groups_below(path) if re.fullmatch(POD, group.name)]


def processes_in(group):
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []  # it has just gone


def remove(path):
    """The group and all in it, once nothing runs there; answers what resisted, one line each."""
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        problems = []
        for group in groups_below(path):
            try:
                group.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                problems.append(f"cgroup {group} could not be removed: {error}; processes {processes_in(group)}")
        if not problems or time.monotonic() > deadline:
            return problems
        time.sleep(0.05)


def value(controller, path, v1_name, v2_name=None):
    """What a file of the group says; with version 2 the name is another, unless it is the same."""
    if unified():
        return pathlib.Path(f"{ROOT}{path}/{v2_name or v1_name}").read_text().strip()
    return pathlib.Path(f"{ROOT}/{controller}{path}/{v1_name}").read_text().strip()

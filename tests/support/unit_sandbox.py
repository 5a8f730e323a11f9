#!/usr/bin/env python3
"""Becomes a program under the restrictions of a systemd unit, without systemd.

    unit_sandbox.py UNIT -- PROGRAM ARGUMENT…

For tests: what systemd does to a process before it runs the unit's program, done from the same file by the same means:
capability bounding set, no_new_privs, umask, limits, and seccomp filters, whose groups of system calls systemd-analyze
spells out. With --kill a call that SystemCallFilter= does not name ends the process instead of failing, so that none
goes unnoticed. A directive that is neither applied here nor known to be of no concern is an error.
"""

import argparse
import ctypes
import errno
import functools
import mmap
import os
import pathlib
import re
import resource
import stat
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 24, 38, 47
CLONE_FLAGS = {"cgroup": 0x02000000, "ipc": 0x08000000, "net": 0x40000000, "mnt": 0x00020000, "pid": 0x20000000,
               "user": 0x10000000, "uts": 0x04000000}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
ALL_FAMILIES = 46
SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW, SCMP_ACT_ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
SCMP_CMP_NE, SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ = 1, 4, 7
PROT_WRITE, PROT_EXEC = 2, 4
# What these do, systemd's manager does outside of the process, or it is its own business.
NOT_OF_THE_PROCESS = {
    "Type", "NotifyAccess", "ExecStart", "ExecReload", "Restart", "RestartSec", "WatchdogSec", "KillMode",
    "TimeoutStopSec", "TasksMax", "ConfigurationDirectory", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory",
    "RuntimeDirectoryPreserve", "DevicePolicy", "KeyringMode", "AmbientCapabilities", "SystemCallErrorNumber",
    "OOMScoreAdjust",  # lower than the parent's needs CAP_SYS_RESOURCE
    "ProtectHostname",  # a UTS namespace and a filter for calls that SystemCallFilter= does not name anyway
    "ProtectClock",  # the same: a filter, capabilities that are not in the bounding set, and a device
    "SystemCallArchitectures",  # libseccomp's filters kill calls of other architectures
}
SANITIZER_CALLS = "ptrace,wait4"  # it looks for leaks at the end, in a thread that traces the others
libc = ctypes.CDLL(None, use_errno=True)


def entries(path):
    """[(section, key, value)] of a unit or another file of systemd's, in their order: a key may come several times."""
    section, found = None, []
    for line in path.read_text().replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            key, value = line.split("=", 1)
            found.append((section, key.strip(), value.strip()))
    return found


def systemd_analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], check=True, capture_output=True, text=True).stdout


def syscall_groups():
    """By name: the system calls and the groups in it."""
    groups = {}
    for line in systemd_analyze("syscall-filter").splitlines():
        if line.startswith("#"):
            break  # the kernel's calls that are in no group
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), [])
        elif line.strip() and not line.strip().startswith("#"):
            members.append(line.strip())
    return groups


def allowed_calls(values):
    groups = syscall_groups()

    def expand(name):
        return set().union(*(expand(member) for member in groups[name])) if name.startswith("@") else {name}

    allowed = set()
    for value in values:
        calls = set().union(*(expand(name) for name in value.removeprefix("~").split()))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


class ArgCmp(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    library = None

    def __init__(self, default):
        Filter.library = Filter.library or self._load()
        self.context = self.library.seccomp_init(default)

    @staticmethod
    def _load():
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_init.argtypes = [ctypes.c_uint32]
        library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
                                                   ctypes.POINTER(ArgCmp)]
        library.seccomp_load.argtypes = [ctypes.c_void_p]
        return library

    def add(self, action, call, *comparisons):
        number = self.library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # of another architecture, or newer than this libseccomp
        rules = (ArgCmp * len(comparisons))(*(ArgCmp(*c) for c in comparisons))
        problem = self.library.seccomp_rule_add_array(self.context, action, number, len(comparisons), rules)
        if problem:
            raise OSError(-problem, f"seccomp rule for {call}: {os.strerror(-problem)}")

    def load(self):
        problem = self.library.seccomp_load(self.context)
        if problem:
            raise OSError(-problem, f"seccomp_load: {os.strerror(-problem)}")


def prctl(option, *arguments):
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def capability_numbers():
    lines = re.findall(r"^(cap_\S+)\s+(\d+)", systemd_analyze("capability"), re.M)
    return {name.upper(): int(number) for name, number in lines}


def restrict_capabilities(value):
    numbers = capability_numbers()
    kept = {numbers[name] for name in value.split()}
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in range(last + 1):
        if number not in kept:
            prctl(PR_CAPBSET_DROP, number)


def flag_filters(directives, deny):
    """The directives that are filters of their own."""
    if directives.get("RestrictNamespaces") == "yes":
        names = Filter(SCMP_ACT_ALLOW)
        names.add(deny, "setns")
        names.add(SCMP_ACT_ERRNO | errno.ENOSYS, "clone3")  # its flags are out of a filter's reach; libc then uses clone
        for call in ("clone", "unshare"):
            for flag in CLONE_FLAGS.values():
                names.add(deny, call, (0, SCMP_CMP_MASKED_EQ, flag, flag))
        yield names
    if "RestrictAddressFamilies" in directives:
        kept = {FAMILIES[name] for name in directives["RestrictAddressFamilies"].split()}
        families = Filter(SCMP_ACT_ALLOW)
        for family in set(range(ALL_FAMILIES)) - kept:
            families.add(SCMP_ACT_ERRNO | errno.EAFNOSUPPORT, "socket", (0, SCMP_CMP_EQ, family, 0))
        yield families
    if directives.get("MemoryDenyWriteExecute") == "yes":
        memory = Filter(SCMP_ACT_ALLOW)
        both = PROT_WRITE | PROT_EXEC
        memory.add(deny, "mmap", (2, SCMP_CMP_MASKED_EQ, both, both))
        memory.add(deny, "mprotect", (2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC))
        memory.add(deny, "pkey_mprotect", (2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC))
        yield memory
    if directives.get("RestrictSUIDSGID") == "yes":
        bits = Filter(SCMP_ACT_ALLOW)
        for bit in (stat.S_ISUID, stat.S_ISGID):
            for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)):
                bits.add(deny, call, (argument, SCMP_CMP_MASKED_EQ, bit, bit))
        yield bits
    if directives.get("RestrictRealtime") == "yes":
        scheduling = Filter(SCMP_ACT_ALLOW)
        for policy in (1, 2, 6):  # FIFO, RR, DEADLINE
            scheduling.add(deny, "sched_setscheduler", (1, SCMP_CMP_EQ, policy, 0))
        yield scheduling
    if directives.get("LockPersonality") == "yes":
        personality = Filter(SCMP_ACT_ALLOW)
        personality.add(deny, "personality", (0, SCMP_CMP_NE, 0xFFFFFFFF, 0))
        yield personality


def apply(unit, kill, also):
    service = [(key, value) for section, key, value in entries(unit) if section == "Service"]
    directives = dict(service)
    calls = allowed_calls(value for key, value in service if key == "SystemCallFilter")
    if calls:
        calls |= also
    known = NOT_OF_THE_PROCESS | {
        "SystemCallFilter", "CapabilityBoundingSet", "NoNewPrivileges", "UMask", "LimitNOFILE", "LimitCORE",
        "RestrictNamespaces", "RestrictAddressFamilies", "MemoryDenyWriteExecute", "RestrictSUIDSGID",
        "RestrictRealtime", "LockPersonality"}
    if unknown := set(directives) - known:
        raise SystemExit(f"{unit}: this imitation of systemd knows nothing of {', '.join(sorted(unknown))}; teach it")
    os.umask(int(directives.get("UMask", "0022"), 8))
    for key, limit in (("LimitNOFILE", resource.RLIMIT_NOFILE), ("LimitCORE", resource.RLIMIT_CORE)):
        if key in directives:
            hard = resource.getrlimit(limit)[1]  # more needs CAP_SYS_RESOURCE
            most = int(directives[key]) if hard == resource.RLIM_INFINITY else min(int(directives[key]), hard)
            resource.setrlimit(limit, (most, most))
    # Everything that reads files or runs programs comes before the filters.
    deny = SCMP_ACT_KILL_PROCESS if kill else SCMP_ACT_ERRNO | errno.EPERM
    filters = list(flag_filters(directives, deny))
    if calls:
        listed = Filter(deny)
        for call in sorted(calls):
            listed.add(SCMP_ACT_ALLOW, call)
        filters.append(listed)  # the last: it forbids to load another
    if "CapabilityBoundingSet" in directives:
        restrict_capabilities(directives["CapabilityBoundingSet"])
    if directives.get("NoNewPrivileges") == "yes":
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    for each in filters:
        each.load()


@functools.cache
def sanitized(program):
    with open(program, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"__asan_init") >= 0


def launcher(unit, program):
    """The words before a program and its arguments that put it under the unit's restrictions."""
    also = ["--also", SANITIZER_CALLS] if sanitized(program) else []
    return [sys.executable, __file__, "--kill", *also, unit, "--"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--also", default="", metavar="CALL,…", help="what a sanitizer calls, on top of the unit's list")
    parser.add_argument("unit", type=pathlib.Path)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    apply(options.unit, options.kill, set(filter(None, options.also.split(","))))
    os.execv(program[0], program)


if __name__ == "__main__":
    sys.exit(main())

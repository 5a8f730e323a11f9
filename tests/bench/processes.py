"""What a process costs, as /proc says."""

import os
import pathlib


def memory(pid):
    """MiB."""
    kib = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split()[:2]
        kib[key.rstrip(":")] = int(value)
    # Clean pages of the program's file count as private only because one process maps it; the kernel drops them at will.
    return {"rss_mib": kib["Rss"] / 1024, "private_mib": kib["Private_Dirty"] / 1024,
            "anonymous_mib": kib["Anonymous"] / 1024, "program_pages_mib": kib["Private_Clean"] / 1024}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def context_switches(pid):
    """Voluntary ones, of all threads: how often it woke up."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total

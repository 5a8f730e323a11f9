"""What a node costs and holds at a moment of the soak, and whether that stayed as it was."""

import collections
import dataclasses
import os
import pathlib
import statistics
import time

import cgroups
import containerd
from daemon import metric
from processes import cpu_seconds, memory

WARM_UP_SECONDS = 900
WARM_UP_PART = 0.25  # of a short run
LEAST_SECONDS = 1800  # below, what grows at the start of any node is most of what is seen
METRICS = {"requests": "rest_client_requests_total", "runtime_calls": "daemonsetd_runtime_operations_total",
           "rotations": "daemonsetd_container_log_rotations_total", "probes": "daemonsetd_prober_probe_total",
           "restarted": "daemonsetd_restarted_containers_total",
           "images_collected": "daemonsetd_image_garbage_collected_total",
           "watch_restarts": "daemonsetd_watch_restarts_total"}


@dataclasses.dataclass(frozen=True)
class Bound:
    """`growth`: of the last quarter's median over the first quarter's; `part` of that median is allowed too. `slope`:
    an hour, by Theil-Sen."""

    key: str
    text: str
    growth: float
    part: float = 0
    slope: float | None = None
    digits: int = 0


BOUNDS = (
    Bound("private_mib", "agent's private MiB", 1, slope=0.5, digits=2),
    Bound("anonymous_mib", "agent's anonymous MiB", 1, slope=0.5, digits=2),
    Bound("fds", "agent's descriptors", 2, slope=1),
    Bound("threads", "agent's threads", 1, slope=1),
    Bound("containers", "containers and sandboxes", 2, 0.1),
    Bound("mounts", "mounts", 2, 0.1),
    Bound("cgroups", "cgroups", 2, 0.1),
    Bound("pod_directories", "directories of pods", 2, 0.1),
    Bound("log_files", "log files", 2, 0.1),
    Bound("state_files", "agent's state files", 2, 0.1),
)


class Sampler:
    def __init__(self, node):
        self._node = node
        self._begin = time.monotonic()

    def take(self):
        agent, runtime = self._node.agent, self._node.runtime
        pid = agent.pid
        kinds = fd_kinds(pid)
        found = runtime.containers()
        scrape = agent.get("/metrics")[1]
        return {"seconds": round(time.monotonic() - self._begin, 1),
                **{key: round(value, 3) for key, value in memory(pid).items()},
                "fds": sum(kinds.values()), "fd_kinds": dict(kinds), "threads": entries(f"/proc/{pid}/task"),
                "cpu_seconds": cpu_seconds(pid), "containerd_cpu_seconds": cpu_seconds(runtime.pid),
                "containerd_rss_mib": round(memory(runtime.pid)["rss_mib"], 1),
                "containers": len(found), "running": sum(container.running for container in found),
                "mounts": sum(len(containerd.mounts_below(part.directory)) for part in (runtime, agent)),
                "cgroups": len(cgroups.groups_below(agent.cgroup_root)), "pod_directories": entries(agent.pod_root / "pods"),
                "log_files": files_below(agent.pod_logs), "log_links": entries(agent.container_logs),
                "state_files": files_below(agent.directory / "state"),
                **{key: metric(scrape, name) for key, name in METRICS.items()}}


def fd_kinds(pid):
    kinds = collections.Counter()
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # closed meanwhile
        kinds["file" if target.startswith("/") else target.removeprefix("anon_inode:").split(":")[0].strip("[]")] += 1
    return kinds


def entries(directory):
    path = pathlib.Path(directory)
    return len(list(path.iterdir())) if path.is_dir() else 0


def files_below(directory):
    return sum(len(names) for _, _, names in os.walk(directory))  # which bears that some vanish meanwhile


def theil_sen(points):
    """The median of the slopes between all pairs of (time, value)."""
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for index, earlier in enumerate(points)
              for later in points[index + 1:] if later[0] != earlier[0]]
    return statistics.median(slopes) if slopes else 0.0


def warm_up(seconds):
    """How many of these seconds are none that memory is judged by."""
    return min(WARM_UP_SECONDS, seconds * WARM_UP_PART)


def judge(samples, seconds):
    """[(Bound, first, last, slope an hour, whether flat)] of a run that was to take `seconds`. A short one is not
    judged: no slope, and None for whether it is flat."""
    judged = [sample for sample in samples if sample["seconds"] >= warm_up(seconds)]
    if len(judged) < 4:
        raise ValueError(f"{len(judged)} samples are too few to judge by")
    quarter = len(judged) // 4
    long_enough = judged[-1]["seconds"] - judged[0]["seconds"] >= LEAST_SECONDS
    rows = []
    for bound in BOUNDS:
        points = [(sample["seconds"] / 3600, sample[bound.key]) for sample in judged]
        first, last = (statistics.median(value for _, value in part) for part in (points[:quarter], points[-quarter:]))
        slope = theil_sen(points) if long_enough else None
        flat = None
        if long_enough:
            flat = last - first <= max(bound.growth, bound.part * first)
            flat = flat and (bound.slope is None or slope <= bound.slope)
        rows.append((bound, first, last, slope, flat))
    return rows

"""Logs of containers: rotated by size and count, compressed, and read across all of that.

In full length with DAEMONSETD_FULL_LOGS=1 in the environment: files of 10 MiB and a container that writes as fast as
the runtime takes it, for a hundred rotations in each test. Otherwise files of 32 KiB and a slower writer.
"""

import gzip
import os
import random
import re
import subprocess
import time

import pytest
from manifests import SLEEP, container, daemon_set

from daemon import metric

FULL = bool(os.environ.get("DAEMONSETD_FULL_LOGS"))
ROTATIONS = 100 if FULL else 30
SIZE = 10 * 1024 * 1024 if FULL else 32 * 1024
PATIENCE = 1800 if FULL else 90  # seconds
ROTATED = re.compile(r"(\d+)\.log(?:\.(\d{8}-\d{6}(?:\.\d{3})?)(\.gz)?)?$")

# Writes "NUMBER ddd…" until there is a file /control/stop, then "total NUMBER". busybox's awk, 100 lines at a time.
LINE = 1000 if FULL else 150
PAUSE = "" if FULL else 'system("usleep 60000");'
WRITER = f"""awk 'BEGIN {{
  padding = sprintf("%0{LINE}d", 0); gsub("0", "d", padding)
  while ((getline line < "/control/stop") < 0) {{ for (i = 0; i < 100; i++) print n++, padding; fflush(); {PAUSE} }}
  print "total", n; fflush() }}'
{SLEEP}"""


class Writer:
    """A container that writes numbered lines, and what has become of them."""

    def __init__(self, agent, **config):
        self.agent = agent
        agent.config.update({"containerLogMaxSize": str(SIZE), "containerLogMonitorInterval": "1s", **config})
        self.control = agent.directory / "control"
        self.control.mkdir(parents=True)
        agent.start()
        agent.apply("writer.yaml", daemon_set(
            "writer", [container(script=WRITER, volumeMounts=[{"name": "control", "mountPath": "/control"}])],
            volumes=[{"name": "control", "hostPath": {"path": str(self.control)}}]))
        self.pod = agent.wait_for(lambda: agent.pods_ready("writer"), "the writer running")[0]
        self.directory, = agent.pod_logs.glob(f"*_{self.pod['name']}_*/main")

    def files(self):
        """Its log files in the order of their lines; anything else there is a failure."""
        def order(path):
            attempt, stamp, _ = ROTATED.match(path.name).groups()
            return int(attempt), stamp or "live"
        return sorted(self.directory.iterdir(), key=order)

    def rotations(self):
        """How many files were set aside: none of them is removed in these tests."""
        return sum(".log." in path.name and not path.name.endswith(".tmp") for path in self.directory.iterdir()) \
            - sum(path.with_name(path.name + ".gz").exists() for path in self.directory.glob("*.log.*"))

    def stop(self):
        """Its last line is written, and no compression is under way."""
        (self.control / "stop").write_text("\n")
        self.agent.wait_for(lambda: re.search(rb" total (\d+)\n", self.end()), "the writer's last line", PATIENCE)
        self.agent.wait_for(self.settled, "the compressions done", PATIENCE)
        return int(re.search(rb" total (\d+)\n", self.end())[1])

    def end(self):
        """Of the newest two files: the last line may have come right before a rotation. Those that are compressed, or
        about to be, tell nothing of it."""
        text = b""
        plain = [path for path in self.directory.glob("*.log*") if path.suffix not in (".gz", ".tmp")]
        for path in sorted(plain, key=modified)[-2:]:
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - 4096))
                text += file.read()
        return text

    def settled(self):
        names = [path.name for path in self.directory.iterdir()]
        aside = [name for name in names if re.search(r"\d$", name)]
        return "0.log" in names and len(aside) <= 1 and not any(name.endswith(".tmp") for name in names)

    def lines(self):
        """What the container wrote, from all files: the pieces of a line joined, as the runtime tags them."""
        pieces = {}
        for path in self.files():
            with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
                for record in file:
                    _, stream, tag, text = record.rstrip(b"\n").split(b" ", 3)
                    pieces.setdefault(stream, []).append(text)
                    if tag == b"F":
                        yield b"".join(pieces.pop(stream))
        assert not pieces, "a line has no end"


def modified(path):
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # compressed since it was listed
        return 0


def check(lines, total):
    """Every line from 0 to `total`, in order, whole, once."""
    padding = b"d" * LINE
    expected = 0
    for line in lines:
        number, _, rest = line.partition(b" ")
        if number == b"total":
            assert int(rest) == total == expected
            expected += 1
            continue
        assert int(number) == expected, f"line {expected} is missing, or line {int(number)} is there twice"
        assert rest == padding
        expected += 1
    assert expected == total + 1, "lines are missing at the end"


@pytest.fixture
def writer(make_daemon):
    return Writer(make_daemon(), containerLogMaxFiles=1000)


def report(writer, total, began):
    seconds = time.monotonic() - began
    rate = total * LINE / 1e6 / seconds
    print(f"{writer.rotations()} rotations, {total} lines, {rate:.1f} MB/s of text for {seconds:.0f} s")


# LG-01, LG-03
def test_no_line_is_lost_or_doubled_over_rotations_nor_for_a_follower(writer):
    agent, began = writer.agent, time.monotonic()
    followed = agent.directory / "followed"
    with open(followed, "wb") as out:
        follower = subprocess.Popen([agent.ctl_program, "--socket", agent.socket, "logs", "-f", writer.pod["name"]],
                                    stdout=out, stderr=subprocess.STDOUT)
    try:
        agent.wait_for(lambda: writer.rotations() >= ROTATIONS, f"{ROTATIONS} rotations", PATIENCE)
        report(writer, int(re.findall(rb" F (\d+) ", writer.end())[-1]), began)
        total = writer.stop()
        check(writer.lines(), total)
        assert writer.files()[-1].name == "0.log"
        link, = agent.container_logs.iterdir()
        assert link.resolve() == writer.files()[-1].resolve()
        metrics = agent.get("/metrics")[1]
        assert metric(metrics, "daemonsetd_container_log_rotations_total") >= ROTATIONS
        assert metric(metrics, "daemonsetd_container_log_rotation_errors_total") == 0
        agent.wait_for(lambda: f"\ntotal {total}\n".encode() in tail_of(followed), "the follower at the end", PATIENCE)
        assert follower.poll() is None
    finally:
        follower.kill()
        follower.wait()
    with open(followed, "rb") as lines:
        check((line.rstrip(b"\n") for line in lines), total)


def tail_of(path):
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read()


def test_no_line_is_lost_or_doubled_when_the_agent_is_killed_at_random_moments(writer):
    agent, kills, began = writer.agent, 0, time.monotonic()
    while writer.rotations() < (ROTATIONS if FULL else ROTATIONS // 2):
        assert time.monotonic() < began + PATIENCE
        time.sleep(random.uniform(0, 1.5))
        agent.kill()
        kills += 1
        agent.start(wait=False)
    report(writer, int(re.findall(rb" F (\d+) ", writer.end())[-1]), began)
    print(f"{kills} kills")
    assert kills >= 3
    agent.wait_for(agent.ready, "the agent ready")
    check(writer.lines(), writer.stop())


def test_tail_and_since_reach_into_rotated_files_and_the_bound_holds(make_daemon):
    writer = Writer(make_daemon(), containerLogMaxFiles=4)
    agent, name = writer.agent, writer.pod["name"]
    agent.wait_for(lambda: metric(agent.get("/metrics")[1], "daemonsetd_container_log_rotations_total") >= 8,
                   "rotations beyond the count", PATIENCE)
    total = writer.stop()
    files = writer.files()
    assert [bool(path.suffix == ".gz") for path in files] == [True, True, False, False]
    kept = [line.decode() for line in writer.lines()]
    assert kept[-1] == f"total {total}" and len(kept) < total
    assert agent.ctl("logs", name).splitlines() == kept
    for count in (1, len(kept) // 3, len(kept) - 1, len(kept) + 1):
        assert agent.ctl("logs", name, "--tail", str(count)).splitlines() == kept[-count:]
    assert agent.ctl("logs", name, "--since", "1h").splitlines() == kept
    assert agent.ctl("logs", name, "--since", "1ms") == ""


def test_the_previous_run_is_read_with_what_was_rotated_of_it(make_daemon):
    agent = make_daemon(config={"containerLogMaxSize": "32Ki", "containerLogMonitorInterval": "1s"})
    agent.start()
    script = f"""[ -e /control/again ] && {{ {SLEEP}; }}
seq 1 3000; until [ -e /control/again ]; do sleep 0.1; done; echo the end; exit 1"""
    control = agent.directory / "control"
    control.mkdir()
    agent.apply("twice.yaml", daemon_set(
        "twice", [container(script=script, volumeMounts=[{"name": "control", "mountPath": "/control"}])],
        volumes=[{"name": "control", "hostPath": {"path": str(control)}}]))
    pod = agent.wait_for(lambda: agent.pods_ready("twice"), "the first run")[0]
    directory, = agent.pod_logs.glob("*_twice-*/main")
    agent.wait_for(lambda: list(directory.glob("0.log.*")), "a rotation in the first run")
    (control / "again").write_text("")
    agent.wait_for(lambda: (agent.container("twice", "main") or {}).get("restartCount") == 1, "the second run")
    agent.wait_for(lambda: agent.pods_ready("twice"), "the second run ready")
    expected = [str(number) for number in range(1, 3001)] + ["the end"]
    assert agent.ctl("logs", "--previous", pod["name"]).splitlines() == expected


# LG-02, LG-09
def test_followers_that_hang_up_leave_no_descriptor_open(writer):
    agent = writer.agent
    agent.wait_for(lambda: writer.rotations() >= 2, "rotations", PATIENCE)
    descriptors = f"/proc/{agent.pid}/fd"
    before = len(os.listdir(descriptors))
    for _ in range(40 if not FULL else 1000):
        follower = subprocess.Popen([agent.ctl_program, "--socket", agent.socket, "logs", "-f", "--tail", "1",
                                 writer.pod["name"]], stdout=subprocess.PIPE)
        assert follower.stdout.readline()
        follower.kill()
        follower.wait()
        follower.stdout.close()
    agent.wait_for(lambda: len(os.listdir(descriptors)) <= before + 2, "the followers' descriptors closed")

"""A disk that fills up: the runtime's files, and in one test the pods' too, lie on a small file system of their own.
The node recovers by itself."""

import pathlib
import re
import subprocess
import tempfile

import containerd as containerd_module
import pytest
from containerd import images
from daemon import NO_EVICTION, metric
from manifests import container, daemon_set

DISK_BYTES = 224 << 20
IMAGE_BYTES = 12 << 20  # once packed and once unpacked
FILL_BYTES = 110 << 20  # half of it
CONFIG = {"imageGCHighThresholdPercent": 60, "imageGCLowThresholdPercent": 40, "imageMinimumGCAge": "0s",
          "imageGCPeriod": "1s", "pinnedImages": ["docker.io/test/pinned:*"]}


@pytest.fixture(scope="module")
def runtime(request):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="dsd-", dir="/tmp"))
    instance = containerd_module.Containerd(directory, kind=request.param, bridge="dsd-small0", subnet="10.214.0.0/16",
                                            snapshotter="overlayfs")
    disk, root = directory / "disk", directory / "root"
    root.mkdir()
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, root], check=True)
    try:
        yield instance.start()
    finally:
        left = instance.leftovers()
        resisted = instance.stop()
    assert left + resisted == [], "the tests left this behind"


class Pile:
    """Images of random bytes, one on top of the other."""

    def __init__(self, runtime, agent, directory):
        self.runtime, self.agent, self.directory = runtime, agent, directory
        self.known = 0

    def add(self, name):
        reference = f"docker.io/test/{name}:1"
        content = self.directory / "bytes"
        content.write_bytes(pathlib.Path("/dev/urandom").open("rb").read(IMAGE_BYTES))
        archive = self.directory / "image.tar"
        layer = images.Layer()
        layer.file("bytes", content.read_bytes())
        images.write_archive(archive, reference, layer.content(), {"Cmd": ["none"]})
        before = self.seen()
        self.runtime.import_images({reference: archive})
        self.agent.wait_for(lambda: self.seen() - before or not self.has(name), f"the agent to see {name}")

    def seen(self):
        """The images that the agent has noted down."""
        return {path.name for path in (self.agent.directory / "state" / "checkpoint" / "images").glob("*")}

    def has(self, name):
        return f"docker.io/test/{name}:1" in self.runtime._managed_images()

    def left(self, names):
        return [name for name in names if self.has(name)]


def collected(agent):
    return metric(agent.get("/metrics")[1], "daemonsetd_image_garbage_collected_total") or 0


class Node:
    """An agent whose pods write to the small disk, and evicts when less than a third of it is left."""

    def __init__(self, make_daemon, runtime):
        self.disk = runtime.directory / "root"
        self.agent = make_daemon(config={
            "podRoot": str(self.disk / "kubelet"), "logDirectory": str(self.disk / "logs"),
            "containerLogMaxSize": "1Gi", "imageMinimumGCAge": "0s", "imageGCPeriod": "1s",
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
            "pinnedImages": ["docker.io/test/kept:*"], "evictionPressureTransitionPeriod": "6s",
            "evictionHard": {**NO_EVICTION, "nodefs.available": "33%", "imagefs.available": "33%"}})

    def condition(self):
        return next(one["status"] for one in self.agent.json("/v1/node")["conditions"] if one["type"] == "DiskPressure")

    def container(self, name):
        ready = self.agent.pods_ready(name)
        return ready and ready[0]["containers"][0]["containerId"]

    def evicted(self):
        """The DaemonSets whose pods were evicted, in that order."""
        return re.findall(r"evicting a pod.*?default/([a-z]+)-", self.agent.log.read_text())

    def wait(self, condition, what):
        return self.agent.wait_for(condition, what, 120)


def once(mark, command):
    """A script that does it once: the pod that takes the place of an evicted one finds the mark."""
    return f"[ -e /marks/{mark} ] || {{ touch /marks/{mark}; {command}; }}; sleep 100000"


def test_a_disk_that_images_logs_and_a_pod_fill_comes_back_by_itself(make_daemon, runtime, tmp_path):
    node = Node(make_daemon, runtime)
    agent = node.agent
    marks = {"volumes": [{"name": "marks", "hostPath": {"path": str(tmp_path)}}]}
    mounted = [{"name": "marks", "mountPath": "/marks"}]
    agent.apply("critical.yaml", daemon_set("critical", priority=2_000_000_000))
    agent.apply("high.yaml", daemon_set("high", priority=100))
    agent.apply("low.yaml", daemon_set("low", priority=0))
    requests = {"requests": {"ephemeral-storage": "20Mi"}}
    agent.apply("modest.yaml", daemon_set("modest", [container(resources=requests)], priority=-100))
    agent.start()
    staying = {name: node.wait(lambda: node.container(name), f"{name} to run")
               for name in ("critical", "high", "modest")}
    low = node.wait(lambda: node.container("low"), "low to run")
    foreign = node.disk / "foreign"
    foreign.write_bytes(bytes(1 << 20))

    # Images go before any pod does.
    pile = Pile(runtime, agent, tmp_path)
    pile.add("kept")
    names = []
    while "Attempting to reclaim ephemeral-storage" not in agent.ctl("events"):
        assert len(names) < 9, f"nothing was reclaimed:\n{agent.log_tail()}"
        names.append(f"unused-{len(names)}")
        pile.add(names[-1])
        node.wait(lambda: full(runtime) < 67 or "EvictionThresholdMet" in agent.ctl("events"), "the need to be seen")
    node.wait(lambda: not pile.left(names), "the images that nothing needs to go")
    assert pile.has("kept")
    assert {images.BUSYBOX_IMAGE, images.PAUSE_IMAGE} <= runtime._managed_images()
    assert node.evicted() == []
    node.wait(lambda: node.condition() == "False", "the pressure to be over")

    # What writes logs without end goes, being the least important that uses more than it asked for; what asked for what
    # it uses stays, however unimportant. While there is pressure the next one waits.
    script = once("logged", f"yes {4000 * 'x'} | head -c {FILL_BYTES}")
    agent.apply("logger.yaml", daemon_set("logger", [container(script=script, volumeMounts=mounted)], priority=-10,
                                          **marks))
    node.wait(lambda: node.evicted() == ["logger"], "the logger to be evicted")
    node.wait(lambda: full(runtime) < 67, "its logs to be gone")
    node.wait(lambda: "the node has DiskPressure" in agent.ctl("explain", "logger", check=False).stdout,
              "the next logger to wait for the end of the pressure")
    node.wait(lambda: node.container("logger"), "the logger to run again")
    assert "NodeHasDiskPressure" in agent.ctl("events") and "NodeHasNoDiskPressure" in agent.ctl("events")
    assert node.container("low") == low
    agent.delete("logger.yaml")
    node.wait(lambda: not agent.pods("logger"), "the logger to go")

    # A pod that writes to its volume goes in its turn: the less important one is tried first.
    volumes = [*marks["volumes"], {"name": "scratch", "emptyDir": {}}]
    scratch = [*mounted, {"name": "scratch", "mountPath": "/scratch"}]
    script = once("filled", f"head -c {FILL_BYTES} /dev/zero > /scratch/junk")
    agent.apply("runaway.yaml", daemon_set("runaway", [container(script=script, volumeMounts=scratch)], priority=50,
                                           volumes=volumes))
    node.wait(lambda: node.evicted() == ["logger", "low", "runaway"], "the runaway pod to be evicted")
    node.wait(lambda: full(runtime) < 67, "its files to be gone")
    node.wait(lambda: node.container("runaway") and node.container("low"), "both to run again")
    assert node.condition() == "False"
    assert node.evicted() == ["logger", "low", "runaway"]
    assert {name: node.container(name) for name in staying} == staying
    assert foreign.exists() and pile.has("kept")
    assert metric(agent.get("/metrics")[1], "daemonsetd_evictions") == 3
    foreign.unlink()


# GC-01, GC-02. The last one here: its images' disk is too full for those of the pods to stay once these are gone.
def test_a_disk_full_of_images_is_brought_down_in_the_order_of_use(make_daemon, runtime, tmp_path):
    agent = make_daemon(config=CONFIG)
    agent.apply("a.yaml", daemon_set("a"))
    agent.start()
    before = agent.wait_for(lambda: agent.pods_ready("a"), "the pod to run")
    pile = Pile(runtime, agent, tmp_path)
    pile.add("pinned")
    names = []
    while not collected(agent):
        assert len(names) < 9, f"nothing was removed:\n{agent.log_tail()}"
        names.append(f"random-{len(names)}")
        pile.add(names[-1])
        agent.wait_for(lambda: full(runtime) < 60 or collected(agent), "room to be made")
    agent.wait_for(lambda: full(runtime) <= 40, "the low threshold to be reached")
    left = pile.left(names)
    assert left and left == names[-len(left):], "those that were there for longest went first, and no more than needed"
    assert pile.has("pinned")
    assert {images.BUSYBOX_IMAGE, images.PAUSE_IMAGE} <= runtime._managed_images()
    assert agent.pods_ready("a")[0]["containers"][0]["containerId"] == before[0]["containers"][0]["containerId"]

    # Something else fills it: all that nothing needs goes, and the node says that this was not enough.
    ballast = runtime.directory / "root" / "ballast"
    subprocess.run(["fallocate", "-l", str(120 << 20), ballast], check=True)
    agent.wait_for(lambda: not pile.left(names), "all other images to go")
    agent.wait_for(lambda: "FreeDiskSpaceFailed" in agent.ctl("events"), "the Event of the node")
    assert pile.has("pinned")

    # Also with no pod there, and what a pod here needs is not fetched: it is here.
    agent.delete("a.yaml")
    agent.wait_for(lambda: not runtime.containers(), "the pod to go")
    assert images.PAUSE_IMAGE in runtime._managed_images()
    agent.apply("b.yaml", daemon_set("b", [container(imagePullPolicy="Never")], nodeSelector={"no": "where"}))
    ballast.unlink()


def full(runtime):
    """Percent, as the agent counts."""
    text = subprocess.run(["df", "--output=used,avail", runtime.directory / "root"], check=True, capture_output=True,
                          text=True).stdout
    used, available = map(int, text.splitlines()[1].split())
    return 100 * used / (used + available)

"""A disk that images fill: the runtime's files lie on a small file system of their own, and the node recovers by itself."""

import pathlib
import subprocess
import tempfile

import containerd as containerd_module
import pytest
from containerd import images
from daemon import metric
from manifests import container, daemon_set

DISK_BYTES = 224 << 20
IMAGE_BYTES = 12 << 20  # once packed and once unpacked
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


# GC-01, GC-02
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

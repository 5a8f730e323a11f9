"""A virtual machine, driven through QEMU's guest agent, so that neither its network nor a login is needed for it.

    with Machine(image.build(), directory, payload=tar_file, accelerator="tcg") as machine:
        print(machine.run("systemctl is-system-running --wait"))
        machine.reboot()

What it writes goes to an overlay below `directory`, which is gone with it. A tar file, the payload, is its second
disk: that needs no file system that both sides know. The host's loopback is 10.0.2.2 there. QEMU dies with whoever
started it.
"""

import base64
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

from cluster import ClusterError, Process, Startable
from containerd import tail

BOOT_SECONDS = 300  # without KVM, on a busy machine
RUN_SECONDS = 180
CALL_SECONDS = 60
PROBE_SECONDS = 15
POLL_SECONDS = 0.1
CONSOLE_LINES = 25
KERNEL_ARGUMENTS = "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off panic=-1"


class MachineError(ClusterError):
    """The machine did not do what was asked or waited for; the text ends with the last lines of its console."""


class Machine(Startable):
    def __init__(self, image, directory, *, payload, accelerator, memory="1536M", processors=2):
        self.image = image
        self.directory = pathlib.Path(directory).resolve()
        self.payload = payload
        self.accelerator = accelerator
        self._memory, self._processors = memory, processors
        self._qemu = Process("qemu", self.directory, self._command)
        self._agent = GuestAgent(self.directory / "agent.sock")

    @property
    def console(self):
        return self.directory / "console.log"

    # Power

    def start(self):
        """Also after `cut_power`: the disk is as it was left. Until systemd has started everything."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._overlay.exists():
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.image.disk,
                            self._overlay], check=True)
        self._qemu.start()
        self._wait_for_boot()
        return self

    def reboot(self):
        """In order: every service is stopped before. QEMU ends then, and is started again: emulated, its own reset of a
        machine has been seen to take minutes."""
        self.run("systemctl --no-block reboot")
        deadline = time.monotonic() + BOOT_SECONDS
        while self._qemu.running():
            if time.monotonic() > deadline:
                raise MachineError(f"not shut down within {BOOT_SECONDS} s\n{self.last_words()}")
            time.sleep(POLL_SECONDS)
        self._agent.disconnect()
        self.start()

    def cut_power(self):
        """At once, nothing is told. What the machine has written and not synced may be there or not."""
        self._qemu.end(signal.SIGKILL)
        self._agent.disconnect()

    def stop(self):
        """Ends it and removes its directory."""
        self.cut_power()
        shutil.rmtree(self.directory, ignore_errors=True)

    # What is done in it

    def run(self, script, *, stdin=None, check=True, seconds=RUN_SECONDS):
        """What the shell script prints, standard errors after it; fails when the script does, unless check=False."""
        deadline = time.monotonic() + seconds
        program = self._call("guest-exec", path="/bin/bash", arg=["-c", script], **{"capture-output": True},
                             env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"],
                             **({"input-data": encoded(stdin)} if stdin is not None else {}))["pid"]
        while not (answer := self._call("guest-exec-status", pid=program))["exited"]:
            if time.monotonic() > deadline:
                raise MachineError(f"this took more than {seconds} s in the machine: {script}\n{self.last_words()}")
            time.sleep(POLL_SECONDS)
        output = decoded(answer, "out-data") + decoded(answer, "err-data")
        code = answer.get("exitcode", f"signal {answer.get('signal')}")
        if check and code != 0:
            raise MachineError(f"{script}: exit code {code}: {output.strip()}")
        return output

    def succeeds(self, script):
        """Whether the script ends with 0."""
        return self.run(f"if {{ {script}\n}} >/dev/null 2>&1; then echo yes; fi") == "yes\n"

    def wait_until(self, script, what, seconds=RUN_SECONDS):
        """Runs the script in the machine again and again until it ends with 0. `what` says what should become so."""
        polled = (f"for (( ; SECONDS < {seconds}; )); do if {{ {script}\n}} >/dev/null 2>&1; then exit; fi; sleep 0.2; "
                  "done; exit 1")
        try:
            self.run(polled, seconds=seconds + CALL_SECONDS)
        except MachineError:
            said = self.run(script, check=False)
            raise MachineError(f"not so within {seconds} s: {what}; {script}: {said}\n{self.last_words()}") from None

    def write(self, path, content, mode="0644"):
        self.run(f"install -D -m {mode} /dev/stdin {path}", stdin=content)

    def last_words(self):
        """For a failure: what the console shows last."""
        return f"--- the end of the console\n{tail(self.console, CONSOLE_LINES)}\n{tail(self._qemu.log, CONSOLE_LINES)}"

    # Internals

    @property
    def _overlay(self):
        return self.directory / "disk.qcow2"

    def _command(self):
        """For `Process`. cache=unsafe: what the machine syncs need not survive the host's end, only its own."""
        return [*emulator(self.image, self.accelerator, self.console, append=True),
                "-smp", self._processors, "-m", self._memory,
                "-drive", f"file={self._overlay},if=virtio,cache=unsafe",
                "-drive", f"file={self.payload},if=virtio,format=raw,readonly=on",
                "-nic", "user,model=virtio-net-pci", "-device", "virtio-rng-pci",
                "-device", "virtio-serial", "-chardev", f"socket,id=agent,path={self._agent.path},server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]

    def _wait_for_boot(self):
        """Until the guest agent answers, and systemd has started everything."""
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            if not self._qemu.running():
                raise MachineError(f"qemu ended with {self._qemu.code}\n{self.last_words()}")
            with contextlib.suppress(OSError, ValueError):
                self._agent.connect()
                break
            if time.monotonic() > deadline:
                raise MachineError(f"not booted within {BOOT_SECONDS} s\n{self.last_words()}")
            time.sleep(POLL_SECONDS)
        self.run("systemctl is-system-running --wait", check=False, seconds=BOOT_SECONDS)

    def _call(self, command, **arguments):
        try:
            return self._agent.call(command, **arguments)
        except OSError as error:
            raise MachineError(f"the guest agent does not answer: {error}\n{self.last_words()}") from None


class GuestAgent:
    """Requests to qemu-guest-agent over the socket of its serial line: one JSON object a line."""

    SYNC_SECONDS = 2

    def __init__(self, path):
        self.path = path
        self._socket = self._lines = None

    def connect(self):
        """Anew. The line may hold what was meant for another; the answer to a sync comes after it, marked by 0xff."""
        self.disconnect()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(self.SYNC_SECONDS)
        self._socket.connect(str(self.path))
        self._lines = self._socket.makefile("rb")
        number = random.randrange(1 << 31)
        self._send("guest-sync-delimited", {"id": number}, before=b"\xff")
        while json.loads(self._line().rpartition(b"\xff")[2]).get("return") != number:
            pass
        self._socket.settimeout(CALL_SECONDS)

    def disconnect(self):
        for held in (self._lines, self._socket):
            if held:
                held.close()
        self._lines = self._socket = None

    def call(self, command, **arguments):
        if not self._socket:
            raise OSError("not connected")
        self._send(command, arguments)
        answer = json.loads(self._line())
        if "error" in answer:
            raise MachineError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def _send(self, command, arguments, before=b""):
        self._socket.sendall(before + json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def _line(self):
        line = self._lines.readline()
        if not line:
            raise OSError("the line was cut")
        return line


def emulator(image, accelerator, console, append=False):
    """How the kernel of the image is started, its console written to a file."""
    model = {"kvm": "host", "tcg": "max"}[accelerator]
    threads = ",thread=multi" if accelerator == "tcg" else ""
    return ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-cpu", model,
            "-accel", accelerator + threads, "-kernel", image.kernel, "-initrd", image.initrd,
            "-append", KERNEL_ARGUMENTS, "-serial", "chardev:console",
            "-chardev", f"file,id=console,path={console},append={'on' if append else 'off'}"]


def accelerator(image, directory):
    """kvm where it can run the image's kernel, else tcg, which needs nothing. That /dev/kvm opens says little: inside
    some clouds' machines it only serves kernels that were made for them."""
    if wanted := os.environ.get("DAEMONSETD_VM_ACCELERATOR"):
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    console = pathlib.Path(directory) / "probe.log"
    probe = Process("qemu-probe", pathlib.Path(directory), lambda: [*emulator(image, "kvm", console), "-m", "512M"])
    probe.start()
    try:
        deadline = time.monotonic() + PROBE_SECONDS
        while probe.running() and time.monotonic() < deadline:
            if console.exists() and b"Linux version" in console.read_bytes():
                return "kvm"
            time.sleep(POLL_SECONDS)
        return "tcg"
    finally:
        probe.end(signal.SIGKILL)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def decoded(answer, key):
    return base64.b64decode(answer.get(key, "")).decode(errors="replace")

"""systemd-logind as far as it is about shutdowns, on a system bus of the test's own: real D-Bus, staged shutdowns.

    with FakeLogind(directory) as logind:
        daemon.start(launcher=logind.launcher)
        logind.wait_for_lock()

The bus is Debian's dbus-daemon. The service runs in a process of its own (this file as a program), told what to do by
lines on its standard input; it says on its standard output when a lock was taken and when it was let go.
"""

import os
import pathlib
import select
import subprocess
import sys
import time

WAIT_SECONDS = 30
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow own="*"/><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class FakeLogind:
    def __init__(self, directory, delay_seconds=60):
        self._directory = pathlib.Path(directory)
        self._delay_seconds = delay_seconds
        self._socket = self._directory / "bus"
        self._bus = self._service = None
        self._said = []  # what the service printed and nobody waited for yet
        self._rest = b""

    @property
    def launcher(self):
        return ("env", f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={self._socket}")

    def __enter__(self):
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "bus.conf"
        config.write_text(BUS_CONFIG.format(socket=self._socket))
        self._bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"],
                                     stdin=subprocess.DEVNULL)
        _until(self._socket.exists, "the bus listens")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._bus.kill()
        self._bus.wait()

    def start(self):
        """The service; again after `stop`, as a logind that was restarted."""
        self._service = subprocess.Popen([sys.executable, __file__, str(self._socket), str(self._delay_seconds)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._wait_for("ready")

    def stop(self):
        self._service.kill()
        self._service.wait()
        self._service.stdin.close()
        self._service.stdout.close()
        self._said, self._rest = [], b""

    def wait_for_lock(self):
        self._wait_for("locked")

    def wait_for_release(self):
        self._wait_for("released")

    def holds_off(self):
        """A lock is held: the machine would not go down yet."""
        self._read(0)
        return "released" not in self._said

    def begin(self):
        self._tell("begin")

    def call_off(self):
        self._tell("call off")

    def _tell(self, line):
        self._service.stdin.write(line.encode() + b"\n")
        self._service.stdin.flush()

    def _wait_for(self, line):
        deadline = time.monotonic() + WAIT_SECONDS
        while line not in self._said:
            if time.monotonic() > deadline:
                raise AssertionError(f"logind did not say '{line}' within {WAIT_SECONDS} s, but {self._said}")
            self._read(0.1)
        del self._said[:self._said.index(line) + 1]

    def _read(self, seconds):
        if select.select([self._service.stdout], [], [], seconds)[0]:
            text = os.read(self._service.stdout.fileno(), 4096)
            assert text, "the fake logind ended"
            *lines, self._rest = (self._rest + text).split(b"\n")
            self._said += [line.decode() for line in lines]


def _until(condition, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.02)


def serve(socket, delay_seconds):
    import dbus
    import dbus.mainloop.glib
    import dbus.service
    from gi.repository import GLib

    manager = "org.freedesktop.login1.Manager"

    def say(line):
        print(line, flush=True)

    class Logind(dbus.service.Object):
        preparing = False

        @dbus.service.method(manager, in_signature="ssss", out_signature="h")
        def Inhibit(self, what, who, why, mode):
            assert (what, who, mode) == ("shutdown", "daemonsetd", "delay") and why
            ours, theirs = os.pipe()
            GLib.io_add_watch(ours, GLib.IO_HUP, self._released)
            say("locked")
            lock = dbus.types.UnixFd(theirs)
            os.close(theirs)
            return lock

        def _released(self, descriptor, _condition):
            os.close(descriptor)
            say("released")
            return False

        @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
        def Get(self, interface, name):
            assert interface == manager
            return {"InhibitDelayMaxUSec": dbus.UInt64(delay_seconds * 1_000_000),
                    "PreparingForShutdown": dbus.Boolean(self.preparing)}[name]

        @dbus.service.signal(manager, signature="b")
        def PrepareForShutdown(self, begins):
            self.preparing = begins

    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(f"unix:path={socket}")
    name = dbus.service.BusName("org.freedesktop.login1", bus)
    logind = Logind(name, "/org/freedesktop/login1")
    loop = GLib.MainLoop()

    def obey(_source, _condition):
        line = sys.stdin.readline().strip()
        if not line:
            loop.quit()
            return False
        logind.PrepareForShutdown(line == "begin")
        return True

    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, obey)
    say("ready")
    loop.run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

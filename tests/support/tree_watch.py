"""Counts what is made, renamed and removed below some directories (inotify), and strikes at one of these steps."""

import ctypes
import os
import pathlib
import select
import struct
import threading

IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x80, 0x100, 0x200
IN_ISDIR = 0x40000000
EVENT = struct.Struct("iIII")
POLL_SECONDS = 0.05

_libc = ctypes.CDLL(None, use_errno=True)


class TreeWatch:
    """From its making until close(). Directories that come are watched too; what came into one before that is counted
    when the directory is found. Without `files`, of that only directories: of control groups, files come with them."""

    def __init__(self, roots, files=True):
        self._files = files
        self.steps, self.struck = 0, False
        self._armed = None
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._paths = {}  # by watch
        for root in roots:
            self._add(pathlib.Path(root), count=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def arm(self, number, strike):
        self.steps, self.struck = 0, False
        self._armed = (number, strike)

    def disarm(self):
        self._armed = None

    def close(self):
        self._ended.set()
        self._thread.join()
        os.close(self._fd)

    def _add(self, path, count=True):
        watch = _libc.inotify_add_watch(self._fd, os.fsencode(path), IN_MOVED_TO | IN_CREATE | IN_DELETE)
        if watch < 0:
            return  # it is gone again
        self._paths[watch] = path
        try:
            inside = list(path.iterdir())
        except OSError:
            return
        for entry in inside:
            directory = entry.is_dir() and not entry.is_symlink()
            if count and (directory or self._files):
                self._step()
            if directory:
                self._add(entry, count)

    def _follow(self):
        while not self._ended.is_set():
            if select.select([self._fd], [], [], POLL_SECONDS)[0]:
                data = os.read(self._fd, 65536)
                while data:
                    watch, mask, _, length = EVENT.unpack_from(data)
                    name = data[EVENT.size:EVENT.size + length].rstrip(b"\0")
                    data = data[EVENT.size + length:]
                    self._event(watch, mask, name)

    def _event(self, watch, mask, name):
        if mask & (IN_MOVED_TO | IN_CREATE | IN_DELETE):
            self._step()
        if mask & IN_CREATE and mask & IN_ISDIR and watch in self._paths:
            self._add(self._paths[watch] / os.fsdecode(name))

    def _step(self):
        self.steps += 1
        if self._armed and self.steps == self._armed[0]:
            (_, strike), self._armed = self._armed, None
            strike()
            self.struck = True

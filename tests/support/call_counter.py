"""A Unix socket in front of a gRPC server's that sees the calls that pass: HEADERS frames from the client (HTTP/2).
CallCounter counts them; CallGate lets a process end right before or right after one of them."""

import pathlib
import socket
import threading

PREFACE = 24  # octets that a client sends before its first frame
FRAME_HEADER = 9
HEADERS = 1
END_STREAM = 0x1


class Frames:
    """Calls `see(kind, flags, stream)` for each frame of which bytes pass by."""

    def __init__(self, see, preface=0):
        self._see, self._skip, self._pending = see, preface, bytearray()

    def __call__(self, data):
        self._pending.extend(data)
        while True:
            passed = min(self._skip, len(self._pending))
            del self._pending[:passed]
            self._skip -= passed
            if self._skip or len(self._pending) < FRAME_HEADER:
                return
            head = bytes(self._pending[:FRAME_HEADER])
            self._skip = FRAME_HEADER + int.from_bytes(head[:3], "big")
            self._see(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF)


class CallCounter:
    def __init__(self, path, target):
        self.path = pathlib.Path(path)
        self.calls = 0
        self._target = str(target)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return f"unix://{self.path}"

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            one.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                client.close()  # as a server that is down
                continue
            self._open += [client, server]
            asked, answered = self._watch()
            threading.Thread(target=self._pump, args=(client, server, asked), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, answered), daemon=True).start()

    def _watch(self):
        """What looks at the bytes of one connection, from the client and from the server, before they go on."""
        return Frames(self._count, PREFACE), lambda data: None

    def _count(self, kind, flags, stream):
        self.calls += kind == HEADERS

    @staticmethod
    def _pump(source, sink, look):
        try:
            while data := source.recv(65536):
                look(data)
                sink.sendall(data)
        except OSError:
            pass  # one end closed; the other learns of it below
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class CallGate(CallCounter):
    """arm(number, moment, strike): the call of this number, counted from then on, is hit. "before": it never arrives at
    the server. "after": the server has carried it out, and the client does not hear of that. `strike` runs meanwhile."""

    def __init__(self, path, target):
        self._armed = None
        self.struck = False
        super().__init__(path, target)

    def arm(self, number, moment, strike):
        self.calls, self.struck = 0, False
        self._armed = (number, moment, strike)

    def disarm(self):
        self._armed = None

    def _watch(self):
        awaited = set()  # the stream whose answer is waited for

        def asked(kind, flags, stream):
            self._count(kind, flags, stream)
            if kind != HEADERS or not self._armed or self.calls != self._armed[0]:
                return
            if self._armed[1] == "before":
                self._strike()
            awaited.add(stream)

        def answered(kind, flags, stream):
            if stream in awaited and flags & END_STREAM and kind in (0, HEADERS) and self._armed:
                self._strike()

        return Frames(asked, PREFACE), Frames(answered)

    def _strike(self):
        (_, _, strike), self._armed = self._armed, None
        strike()
        self.struck = True
        raise ConnectionAbortedError("the client is gone")

"""A Unix socket in front of a gRPC server's that counts the calls that pass: HEADERS frames from the client (HTTP/2)."""

import pathlib
import socket
import threading

PREFACE = 24  # octets that a client sends before its first frame
FRAME_HEADER = 9
HEADERS = 1


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
            threading.Thread(target=self._pump, args=(client, server, self._counter()), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, lambda data: None), daemon=True).start()

    def _counter(self):
        pending = bytearray()
        skip = PREFACE

        def count(data):
            nonlocal skip
            pending.extend(data)
            while True:
                if skip:
                    passed = min(skip, len(pending))
                    del pending[:passed]
                    skip -= passed
                if skip or len(pending) < FRAME_HEADER:
                    return
                self.calls += pending[3] == HEADERS
                skip = FRAME_HEADER + int.from_bytes(pending[:3], "big")

        return count

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

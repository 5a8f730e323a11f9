"""What a client asks of an API server: the bytes of its connections, and the requests in the audit log."""

import json
import socket
import threading

from cluster import reserved_port


class CountingProxy:
    """Passes TCP connections on to a port of loopback, and counts what goes through in both directions."""

    def __init__(self, target):
        self.bytes = 0
        self._target = target
        self._lock = threading.Lock()
        self._sockets = set()
        held = reserved_port()
        self.port = held.getsockname()[1]
        held.close()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with self._lock:
            open_now = [self._listener, *self._sockets]
        for one in open_now:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                self._listener.close()
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._sockets |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source, target):
        try:
            while data := source.recv(65536):
                with self._lock:
                    self.bytes += len(data)
                target.sendall(data)
        except OSError:
            pass  # ended by the other direction
        finally:
            for one in (source, target):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            with self._lock:
                self._sockets.discard(source)


def requests_of(audit_log, user):
    """The requests of `user` in a log of the API server, each once: {audit ID: (verb, URI)}."""
    found = {}
    with open(audit_log) as lines:
        for line in lines:
            event = json.loads(line)
            if event["user"]["username"] == user:
                found[event["auditID"]] = (event["verb"], event["requestURI"])
    return found

"""A server of gRPC's health protocol that says of every service that it is fine: just enough of HTTP/2 for a probe."""

import socketserver
import struct
import threading

PREFACE = 24  # bytes, before the first frame
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def literal(name, value):
    """A header as HPACK spells it without its tables."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


OPENING = b"\x88" + literal(b"content-type", b"application/grpc")  # 0x88 is ":status: 200"
SERVING = b"\0\0\0\0\x02\x08\x01"  # a message of two bytes: status = 1
CLOSING = literal(b"grpc-status", b"0")


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self._read(PREFACE)
            self._send(SETTINGS)
            while True:
                length_and_kind, flags, stream = struct.unpack(">IBI", self._read(9))
                kind, content = length_and_kind & 0xff, self._read(length_and_kind >> 8)
                if kind == SETTINGS and not flags & ACK:
                    self._send(SETTINGS, ACK)
                elif kind == PING and not flags & ACK:
                    self._send(PING, ACK, content=content)
                elif kind in (DATA, HEADERS) and flags & END_STREAM:
                    self._send(HEADERS, END_HEADERS, stream, OPENING)
                    self._send(DATA, 0, stream, SERVING)
                    self._send(HEADERS, END_HEADERS | END_STREAM, stream, CLOSING)
        except OSError:
            pass  # whoever asked has gone

    def _read(self, size):
        read = b""
        while len(read) < size:
            more = self.request.recv(size - len(read))
            if not more:
                raise ConnectionError
            read += more
        return read

    def _send(self, kind, flags=0, stream=0, content=b""):
        self.request.sendall(struct.pack(">IBI", len(content) << 8 | kind, flags, stream) + content)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, address):
        super().__init__((address, 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

"""What may answer in an API server's place: a server that speaks TLS with a certificate of the test's choice, and has
nothing but one status for whoever asks; and one that accepts connections and never says a word."""

import contextlib
import http.server
import json
import socket
import ssl
import threading


class StrangeServer:
    """Answers every request with 503, as a balancer does that has no server behind it, or with an object. `asked`: what
    it was asked, each with the credentials in its header."""

    def __init__(self, certificate, key, status=503, answer=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.asked = []
        answer = answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status,
                            "message": "no server is available"}
        self._server = _TlsServer(("127.0.0.1", 0), _handler(status, answer, self.asked))
        self._server.context = context
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class SilentServer:
    """The kernel takes connections in its name; it never does."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]

    def close(self):
        self._listening.close()


class _TlsServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def finish_request(self, request, client_address):
        """In the connection's own thread: a handshake that is broken off holds up nobody."""
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)


def _handler(status, object_, asked):
    body = json.dumps(object_).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path, self.headers.get("Authorization")))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_):
            pass

    return Handler

"""Plain requests to an API server, so that tests see its answers as they are on the wire."""

import contextlib
import dataclasses
import http.client
import json
import ssl
import time
import urllib.parse

REQUEST_SECONDS = 30
JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
PROTOBUF_WATCH = PROTOBUF + ";stream=watch"
MERGE_PATCH = "application/merge-patch+json"
RAISE = object()


class ApiError(Exception):
    """The API server refused a request, or ended or delayed a stream that was needed."""

    def __init__(self, text, status=0):
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Response:
    status: int
    content_type: str
    body: bytes

    def json(self):
        return json.loads(self.body)


class ApiClient:
    """One connection for each request. `certificate` and `key` are the files of a client's certificate."""

    def __init__(self, port, ca, certificate, key):
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.load_verify_locations(ca)
        self._context.load_cert_chain(certificate, key)

    def request(self, method, path, *, body=None, accept=JSON, content_type=JSON, query=None):
        """The answer, whatever its status. `body` is bytes or what JSON can hold."""
        with self._answer(method, path, body, accept, content_type, query, REQUEST_SECONDS) as answer:
            return Response(answer.status, answer.headers.get("Content-Type", ""), answer.read())

    def get(self, path, *, absent=RAISE, query=None):
        return self._object("GET", path, absent=absent, query=query)

    def create(self, path, manifest):
        return self._object("POST", path, body=manifest)

    def patch(self, path, changes):
        return self._object("PATCH", path, body=changes, content_type=MERGE_PATCH)

    def delete(self, path, *, absent=RAISE):
        return self._object("DELETE", path, absent=absent)

    @contextlib.contextmanager
    def watch(self, path, *, accept=JSON, query=None, seconds=REQUEST_SECONDS):
        """A Stream of the watch of `path`; the server ends it, or `seconds` of silence do."""
        query = {"watch": "true", **(query or {})}
        with self._answer("GET", path, None, accept, JSON, query, seconds) as answer:
            if answer.status != 200:
                raise ApiError(f"watch of {path}: {answer.status} {answer.read(2000)}", answer.status)
            yield Stream(answer, path, seconds)

    def _object(self, method, path, *, absent=RAISE, **options):
        answer = self.request(method, path, **options)
        if answer.status == 404 and absent is not RAISE:
            return absent
        if answer.status >= 300:
            raise ApiError(f"{method} {path}: {answer.status} {answer.json().get('message', '')}", answer.status)
        return answer.json()

    @contextlib.contextmanager
    def _answer(self, method, path, body, accept, content_type, query, seconds):
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=seconds, context=self._context)
        try:
            headers = {"Accept": accept, "User-Agent": "daemonsetd-tests"}
            if body is not None:
                headers["Content-Type"] = content_type
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body, headers)
            yield connection.getresponse()
        finally:
            connection.close()


class Stream:
    """What a watch has sent so far."""

    def __init__(self, answer, path, seconds):
        self.raw = bytearray()
        self.content_type = answer.headers.get("Content-Type", "")
        self._answer = answer
        self._path = path
        self._seconds = seconds

    def events(self):
        """The complete events of a JSON stream."""
        return [json.loads(line) for line in bytes(self.raw).split(b"\n")[:-1]]

    def objects(self):
        """Those of a JSON stream's events, as they come."""
        return (event["object"] for event in self.follow())

    def follow(self):
        """The events of a JSON stream, as they come."""
        read = 0
        while True:
            self.read_until(lambda: self.raw.rfind(b"\n") >= read, "another event")
            end = self.raw.rfind(b"\n") + 1
            for event in map(json.loads, bytes(self.raw[read:end]).split(b"\n")[:-1]):
                if event["type"] == "ERROR":
                    raise ApiError(f"the watch of {self._path}: {event['object']}", event["object"].get("code", 0))
                yield event
            read = end

    def frames(self):
        """The complete frames of a protobuf stream, without their lengths."""
        found, begin = [], 0
        while begin + 4 <= len(self.raw):
            end = begin + 4 + int.from_bytes(self.raw[begin:begin + 4], "big")
            if end > len(self.raw):
                break
            found.append(bytes(self.raw[begin + 4:end]))
            begin = end
        return found

    def read_until(self, condition, what):
        """Reads on until `condition()` is true; answers this stream."""
        deadline = time.monotonic() + self._seconds
        while not condition():
            if not self._read():
                raise ApiError(f"the watch of {self._path} ended without {what}; it sent {bytes(self.raw[-2000:])}")
            if time.monotonic() > deadline:
                raise ApiError(f"the watch of {self._path} did not bring {what} within {self._seconds} s")
        return self

    def read_to_end(self):
        """Until the server ends the stream, which the query's timeoutSeconds makes it do."""
        while self._read():
            pass
        return self

    def _read(self):
        more = self._answer.read1(65536)
        self.raw += more
        return bool(more)

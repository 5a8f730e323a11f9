"""A registry of images on loopback, which containerd asks over plain HTTP: it has what a test puts into it.

    with registry.Registry() as server:
        name = server.put("app:2", containerd.images_directory() / "busybox.tar")    # "127.0.0.1:40000/app:2"
"""

import collections
import hashlib
import http.server
import json
import re
import sys
import tarfile
import threading

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a containerd that ends breaks its connections off
            super().handle_error(request, client_address)


class Registry:
    def __init__(self):
        self.asked = collections.Counter()  # by repository and tag: how often its manifest was asked for by name
        self.held = threading.Event()  # until set, blobs are not given
        self.held.set()
        self._blobs, self._tags = {}, {}
        self._server = Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, name, archive):
        """Puts the image of an OCI archive there; answers the name to pull. Each name is an image of its own: its
        layers are the archive's, its configuration says the name."""
        repository, tag = name.rsplit(":", 1)
        with tarfile.open(archive) as files:
            def read(path):
                return files.extractfile(path).read()

            index = json.loads(read("index.json"))
            manifest = json.loads(read(self._path(index["manifests"][0]["digest"])))
            for layer in manifest["layers"]:
                self._add(read(self._path(layer["digest"])))
            config = json.loads(read(self._path(manifest["config"]["digest"])))
        config.setdefault("config", {})["Labels"] = {"name": name}
        content = json.dumps(config).encode()
        manifest["config"].update(digest=self._add(content), size=len(content))
        self._tags[repository, tag] = self._add(json.dumps(manifest).encode())
        return f"127.0.0.1:{self._server.server_port}/{name}"

    @staticmethod
    def _path(digest):
        return "blobs/" + digest.replace(":", "/")

    def _add(self, content):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self._blobs[digest] = content
        return digest

    def _handler(registry):  # noqa: N805: the handler has a self of its own
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # containerd 2 asks over TLS first, and over plain HTTP when the answer to that is one of HTTP.
            default_request_version = "HTTP/1.1"

            def do_GET(self):
                found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/?]+)(\?.*)?", self.path)
                if not found:
                    return self._answer(200, b"{}")
                repository, kind, reference = found.group(1, 2, 3)
                digest = registry._tags.get((repository, reference), reference)
                if kind == "manifests" and digest != reference and self.command == "HEAD":
                    registry.asked[f"{repository}:{reference}"] += 1
                if kind == "blobs":
                    registry.held.wait()
                content = registry._blobs.get(digest)
                if content is None:
                    return self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
                media = MANIFEST if kind == "manifests" else "application/octet-stream"
                self._answer(200, content, {"Content-Type": media, "Docker-Content-Digest": digest})

            do_HEAD = do_GET

            def _answer(self, status, content, headers=None):
                self.send_response(status)
                for key, value in {"Content-Length": len(content), **(headers or {})}.items():
                    self.send_header(key, str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        return Handler

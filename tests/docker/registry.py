"""An image registry on loopback, so that pulls are real where no registry can be reached.

Engines take an insecure registry at 127.0.0.0/8 as it is. It serves a small image under any name that begins
with ``image``, each with a layer of its own, refuses what is called ``private``, knows nothing else, and can
be made to wait.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_STEP = 0.05


class _Image(NamedTuple):
    manifest: bytes
    layer: str
    blobs: Mapping[str, bytes]


def _image(layer: bytes) -> _Image:
    """Of a file system as a tar."""
    packed = gzip.compress(layer, compresslevel=1, mtime=0)
    config = json.dumps({
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }).encode()  # fmt: skip
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
        "layers": [{"mediaType": _LAYER, "size": len(packed), "digest": _digest(packed)}],
    }).encode()  # fmt: skip
    return _Image(manifest, _digest(packed), {_digest(config): config, _digest(packed): packed})


class Registry:
    """``layer``: a file system with a name in it, as a tar. ``wait`` holds every layer until ``go_on``."""

    def __init__(self, layer: Callable[[str], bytes]) -> None:
        self._make = layer
        self._images: dict[str, _Image] = {}
        self._replaced: list[_Image] = []
        self._lock = threading.Lock()
        self._go_on = threading.Event()
        self._go_on.set()
        self.waiting = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_STEP,))

    @property
    def name(self) -> str:
        """Of an image: ``f"{registry.name}/image-a:1"``."""
        return f"127.0.0.1:{self._server.server_port}"

    def digest(self, name: str) -> str:
        """Of the manifest: what ECS calls imageDigest."""
        return _digest(self._image(name).manifest)

    def push(self, name: str) -> str:
        """Another image under the same tag; its digest. What the tag stood for can still be had by digest."""
        with self._lock:
            image = self._images.pop(name, None)
            if image is not None:
                self._replaced.append(image)
        return self.digest(name)

    def _images_of(self, name: str) -> list[_Image]:
        """What the tag stands for, and then all that any tag stood for before."""
        return [self._image(name), *self._replaced]

    def _image(self, name: str) -> _Image:
        with self._lock:
            if name not in self._images:
                self._images[name] = _image(self._make(name))
            return self._images[name]

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.go_on()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self) -> None:
        """From now on half of a layer is sent, and the rest when ``go_on`` says so."""
        self.waiting.clear()
        self._go_on.clear()

    def go_on(self) -> None:
        self._go_on.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Not to the test's output."""

        return Handler

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        parts = asked.path.strip("/").split("/")
        if parts == ["v2"]:
            self._send(asked, 200, b"{}", "application/json")
        elif parts[1].startswith("private"):
            self._refuse(asked, 401, "UNAUTHORIZED", "authentication required")
        elif not parts[1].startswith("image"):
            self._refuse(asked, 404, "NAME_UNKNOWN", "repository name not known to registry")
        elif parts[-2] == "manifests":
            self._manifest(asked, parts[1], parts[-1])
        else:
            image = next(each for each in self._images_of(parts[1]) if parts[-1] in each.blobs)
            self._blob(asked, image, parts[-1])

    def _manifest(self, asked: BaseHTTPRequestHandler, name: str, reference: str) -> None:
        """By a tag, or by a digest."""
        for image in self._images_of(name):
            if not reference.startswith("sha256:") or _digest(image.manifest) == reference:
                self._send(asked, 200, image.manifest, _MANIFEST)
                return
        self._refuse(asked, 404, "MANIFEST_UNKNOWN", "manifest unknown")

    def _blob(self, asked: BaseHTTPRequestHandler, image: _Image, digest: str) -> None:
        body = image.blobs[digest]
        if digest != image.layer or self._go_on.is_set():
            self._send(asked, 200, body, "application/octet-stream")
            return
        self._head(asked, 200, body, "application/octet-stream")
        half = len(body) // 2
        try:
            asked.wfile.write(body[:half])
            asked.wfile.flush()
            self.waiting.set()
            self._go_on.wait()
            asked.wfile.write(body[half:])
        except OSError:
            asked.close_connection = True  # whoever pulled has gone

    def _refuse(self, asked: BaseHTTPRequestHandler, status: int, code: str, message: str) -> None:
        told = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._send(asked, status, told, "application/json")

    def _send(self, asked: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        self._head(asked, status, body, kind)
        if asked.command != "HEAD":
            asked.wfile.write(body)

    def _head(self, asked: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        asked.send_response(status)
        asked.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        asked.send_header("Docker-Content-Digest", _digest(body))
        asked.send_header("Content-Type", kind)
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

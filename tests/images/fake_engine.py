"""An engine as far as images go, on a Unix socket: it answers as a test lays down and notes what is asked."""

from __future__ import annotations

import io
import json
import socketserver
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeEngine:
    """images: by tag, as /images/…/json answers. pulls: what each streams; silent: those never answered."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.images: dict[str, dict[str, Any]] = {}
        self.pulls: dict[str, list[dict[str, Any]]] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.loaded: list[dict[str, bytes]] = []
        self.ended = threading.Event()

    def has(self, name: str, *, labels: dict[str, str] | None = None) -> None:
        self.images[name] = {"Id": f"sha256:{len(self.images):064x}", "Size": 5, "Config": {"Labels": labels}}

    def load(self, archive: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            files = {member.name: _read(tar, member) for member in tar}
        self.loaded.append(files)
        [manifest] = json.loads(files["manifest.json"])
        config = json.loads(files[manifest["Config"]])["config"]
        for tag in manifest["RepoTags"]:
            self.has(tag, labels=config["Labels"])


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


@contextmanager
def fake_engine(folder: Path) -> Iterator[FakeEngine]:
    path = folder / "engine.sock"
    engine = FakeEngine(f"unix://{path}")

    class Handler(_Handler):
        told = engine

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield engine
        finally:
            engine.ended.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    told: FakeEngine

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.told.asked.append(f"GET {path}")
        if path == "/version":
            self._answer(200, {"Arch": "amd64"})
        elif (image := self.told.images.get(path.removeprefix("/images/").removesuffix("/json"))) is not None:
            self._answer(200, image)
        else:
            self._answer(404, {"message": f"no such image: {path}"})

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self._body()
        if url.path == "/images/load":
            self.told.asked.append("load")
            self.told.load(body)
            self._answer(200, {"stream": "Loaded"})
            return
        name = f"{query['fromImage']}:{query['tag']}"
        self.told.asked.append(f"pull {name}")
        if name in self.told.silent:
            self.told.ended.wait(30)
            return
        steps = self.told.pulls.get(name)
        if steps is None:
            self._answer(404, {"message": f"pull access denied for {name}"})
            return
        if not any("error" in step for step in steps):
            self.told.has(name)
        self._answer(200, *steps)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, *documents: dict[str, Any]) -> None:
        body = b"".join(json.dumps(document).encode() + b"\r\n" for document in documents)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: there is no client address on a Unix socket, and nobody reads this."""

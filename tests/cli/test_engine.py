"""Finding the Docker engine, over sockets that really answer."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from miniecs.cli import engine

ANSWERS = {
    "/info": {"OperatingSystem": "Docker Desktop", "KernelVersion": "5.15-linuxkit"},
    "/version": {"Version": "28.2.2", "Components": [{"Name": "Engine"}, {"Name": "containerd"}]},
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: there is no client address on a Unix socket, and nobody reads this."""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An engine on a Unix socket; the environment says nothing of one."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    path = tmp_path / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


def test_the_engine_that_docker_host_names(docker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker)
    assert engine.find() == engine.Engine(docker, "VM", "Docker 28.2.2")


def test_the_engine_of_the_current_context(docker: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    meta = tmp_path / "contexts/meta" / sha256(b"mine").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": docker}}}))
    assert engine.find().host == docker


def test_an_engine_that_is_not_there(docker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker + ".none")
    found = engine.find()
    assert (found.kind, found.trouble) == ("", "[Errno 2] No such file or directory")
    assert "install" in found.cure


def test_an_engine_behind_ssh_is_not_asked(docker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@host")
    found = engine.find()
    assert (found.kind, found.trouble) == ("remote", "engines behind ssh are not asked")

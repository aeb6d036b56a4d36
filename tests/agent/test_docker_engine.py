"""Engines that must not be used, and what is said of them; no real one is needed for that."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import docker
import docker.errors
import pytest

from miniecs_agent.docker.client import DockerClient
from miniecs_agent.docker.errors import Refused
from miniecs_agent.host_engine import EngineError, EngineFacts, EngineGone

INFO = {
    "ID": "E1",
    "NCPU": 4,
    "MemTotal": 2 * 1024**3 + 5,
    "Architecture": "aarch64",
    "OperatingSystem": "Debian",
    "KernelVersion": "6.1",
}


class Server(ThreadingMixIn, UnixStreamServer):
    """Answers GETs from a dictionary of paths, whatever API version they name."""

    daemon_threads = True
    answers: dict[str, tuple[int, Any]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        known = next((each for name, each in self.server.answers.items() if path.endswith(name)), None)
        status, body = known or (404, {"message": "page not found"})
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(str(tmp_path / "docker.sock"), Handler)
    made.answers = {
        "/version": (200, {"Version": "20.10", "ApiVersion": "1.41"}),
        "/info": (200, INFO),
        "/networks": (200, []),
    }
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def url(server: Server) -> str:
    return f"unix://{server.server_address}"


def test_what_an_engine_says_of_itself(server: Server) -> None:
    client = DockerClient(url(server))
    expected = EngineFacts("E1", "Docker", "20.10", "1.41", 4, 2048, "arm64", "Debian", "6.1")
    assert client.connect()[:9] == expected[:9]  # what else there is depends on this machine
    client.close()


def test_podman_is_known_by_its_components(server: Server) -> None:
    server.answers["/version"][1]["Components"] = [{"Name": "Podman Engine"}]
    client = DockerClient(url(server))
    assert client.connect().product == "Podman"
    client.close()


def test_an_engine_that_is_too_old(server: Server) -> None:
    server.answers["/version"] = (200, {"Version": "17.06", "ApiVersion": "1.30"})
    client = DockerClient(url(server))
    with pytest.raises(EngineError) as raised:
        client.connect()
    assert not isinstance(raised.value, EngineGone)
    assert str(raised.value) == (
        f"the engine at {url(server)} is too old: Docker 17.06 speaks API 1.30, and 1.32 (Docker 17.09) is "
        "the oldest that miniecs can use"
    )
    client.close()


def test_a_refusal_has_its_status_and_the_engines_words(server: Server) -> None:
    client = DockerClient(url(server))
    client.connect()
    server.answers["/json"] = (404, {"message": "No such image: x"})
    with pytest.raises(Refused) as raised:
        client.inspect_image("x")
    assert (raised.value.status, raised.value.message) == (404, "No such image: x")
    client.close()


def test_nobody_at_the_socket(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match="Cannot connect to the Docker daemon at .*systemctl start docker"):
        DockerClient(f"unix://{tmp_path}/nosuch.sock").connect()


def test_an_engine_that_goes(server: Server) -> None:
    client = DockerClient(url(server))
    client.connect()
    server.shutdown()
    server.server_close()
    Path(str(server.server_address)).unlink()
    client.close()
    with pytest.raises(EngineGone):
        client.ping()


def test_a_socket_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may open any socket: it is told by the system's error, as docker-py wraps it."""

    def refused(**settings: Any) -> None:
        wrapped = docker.errors.DockerException("Error while fetching server API version")
        raise wrapped from PermissionError(13, "Permission denied")

    monkeypatch.setattr(docker, "APIClient", refused)
    with pytest.raises(EngineError, match=r"permission denied on unix:///x: .*usermod -aG docker") as raised:
        DockerClient("unix:///x").connect()
    assert not isinstance(raised.value, EngineGone)

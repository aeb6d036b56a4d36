"""A real uvicorn on loopback around the door, with operations that only note what they were asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from miniecs.model.scope import Scope
from miniecs_api.app import create_app
from miniecs_api.door import DoorSettings
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.protocols import Headers


@dataclass
class Answer:
    result: dict[str, Any] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)


class Asked:
    """Operations that answer what the test set, or raise it, and keep what they were called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any], Scope]] = []
        self.answer: Answer | Exception = Answer()

    def call(
        self,
        service: str,
        operation: str,
        params: dict[str, Any],
        scope: Scope,
        request_id: str,
        host: str,
    ) -> Answer:
        self.calls.append((service, operation, params, scope))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Forwarded:
    """The rest of AWS, likewise."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str, bytes, Scope]] = []

    async def forward(
        self, service: str, method: str, path: str, query: str, headers: Headers, body: bytes, scope: Scope
    ) -> tuple[int, Headers, bytes]:
        self.requests.append((method, path, query, body, scope))
        if b"quantum" in dict(headers).get(b"authorization", b""):
            raise AwsError("NotImplemented", "Nobody here knows quantum.", 501)
        theirs = [(b"Content-Type", b"text/xml"), (b"Content-Length", b"999"), (b"x-theirs", b"1")]
        return 200, theirs, b"<Theirs/>"


class Administered:
    def __init__(self) -> None:
        self.resets: list[bool] = []

    def health(self) -> dict[str, Any]:
        return {"status": "ok", "version": "0", "runtime": "simulated"}

    async def reset(self, restore: bool) -> None:
        self.resets.append(restore)


IMPLEMENTED = frozenset(
    {
        ("ecs", "CreateCluster"),
        ("ecs", "ListClusters"),
        ("ecs", "RegisterTaskDefinition"),
        ("elbv2", "DescribeLoadBalancers"),
        ("elbv2", "CreateTargetGroup"),
        ("sts", "GetCallerIdentity"),
        ("cloudwatch", "PutMetricData"),
        ("cloudwatch", "DescribeAlarms"),
    }
)


@dataclass(eq=False)
class Server:
    port: int
    asked: Asked
    forwarded: Forwarded
    admin: Administered

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def raw(self, request: bytes) -> bytes:
        """What the server says to these bytes."""
        with self.connect() as connection:
            return exchange(connection, request)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """One reply, read until it is complete or the server hangs up."""
    connection.sendall(request)
    reply = b""
    while part := connection.recv(65536):
        reply += part
        head, separator, body = reply.partition(b"\r\n\r\n")
        lengths = [x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")]
        if separator and lengths and len(body) >= int(lengths[0].partition(b":")[2]):
            break
    return reply


async def pages(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"a page"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["path"]})
    await send({"type": "websocket.close", "code": 1000})


class Running:
    """Servers in threads of their own, stopped together."""

    def __init__(self) -> None:
        self._running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(self, **settings: Any) -> Server:
        asked, forwarded, admin = Asked(), Forwarded(), Administered()
        app = create_app(
            asked,
            forwarded,
            admin,
            DoorSettings(**settings),
            implemented=IMPLEMENTED,
            pages=lambda: pages,
            websockets={"/ws": echo},
        )
        # Bound and listening before the thread begins: whoever connects early waits in the backlog.
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", ws="websockets-sansio", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        self._running.append((server, thread))
        return Server(listener.getsockname()[1], asked, forwarded, admin)

    def stop(self) -> None:
        for server, _ in self._running:
            server.should_exit = True
        for _, thread in self._running:
            thread.join(10)
            assert not thread.is_alive(), "uvicorn did not stop within 10 s"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running = Running()
    yield running.start
    running.stop()


@pytest.fixture(scope="session")
def usual_server() -> Iterator[Server]:
    running = Running()
    yield running.start()
    running.stop()


@pytest.fixture
def server(usual_server: Server) -> Server:
    """A server with the usual settings that nobody has asked anything yet."""
    usual_server.asked.calls.clear()
    usual_server.asked.answer = Answer()
    usual_server.forwarded.requests.clear()
    usual_server.admin.resets.clear()
    return usual_server

"""A miniecs server as a process, and a hand-written agent that speaks to it as the ECS agent does."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from miniecs.cli import ports
from miniecs.config import ServerSettings

KEY, SECRET = "JOINJOINJOINJOINJOIN", "0123456789abcdef0123456789abcdef01234567"
OWNER = "0123456789ab"
JSON = "application/x-amz-json-1.1"
_SIOCGIFADDR = 0x8915

T = TypeVar("T")
Message = dict[str, Any]


def until(what: str, look: Callable[[], T], within: float = 10.0) -> T:
    """Look until the answer is true and return it."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {within:g} s for {what}; at last there was {seen!r}"
        time.sleep(0.02)
    return seen


def other_addresses() -> list[str]:
    """IPv4 addresses of this machine that are not loopback."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not address.startswith("127."):
                found.append(address)
    return found


class ServerProcess:
    """``miniecs server`` on a folder of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port = ports.lasting("127.0.0.1")
        given: dict[str, Any] = {
            "runtime": "docker",
            "instances": 0,
            "owner": OWNER,
            "join_access_key": KEY,
            "join_secret": SECRET,
        }
        self.settings = ServerSettings(str(folder), port=self.port, **(given | settings))
        self.log_file = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ServerProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "settings.json").write_text(json.dumps(asdict(self.settings)))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MINIECS_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "miniecs", "server", "--data-dir", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        until("the server to answer", self._answers, within=60.0)
        return self

    def stop(self) -> None:
        """As `miniecs down` ends it."""
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(20.0) == 0

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10.0)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return self.page("health")[0] == 200
        except OSError:
            return False

    def page(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/_miniecs/{path}",
            data,
            {"Content-Type": "application/json"} if data else {},
            method=method,
        )
        return _sent(request)

    def ecs(
        self,
        operation: str,
        params: Message | None = None,
        *,
        address: str = "127.0.0.1",
        sign: Callable[[str, str, bytes, dict[str, str]], dict[str, str]] | None = None,
    ) -> tuple[int, Message]:
        """Call an operation, unsigned unless ``sign`` makes the headers; (status, answer)."""
        url = f"http://{address}:{self.port}/"
        body = json.dumps(params or {}).encode()
        target = f"AmazonEC2ContainerServiceV20141113.{operation}"
        headers = {"Content-Type": JSON, "X-Amz-Target": target, "Host": f"{address}:{self.port}"}
        if sign is not None:
            headers = sign("POST", url, body, headers)
        return _sent(urllib.request.Request(url, body, headers))

    def dial(
        self,
        path: str,
        query: dict[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
        sign: Callable[[str, str, bytes, dict[str, str]], dict[str, str]] | None = None,
    ) -> Channel:
        """Open a websocket. Raises InvalidStatus."""
        address = f"{address}:{self.port}"
        tail = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        headers = sign("GET", f"http://{address}{tail}", b"", {"Host": address}) if sign is not None else {}
        headers.pop("Host", None)
        connection = connect(
            f"ws://{address}{tail}", additional_headers=headers, max_size=None, compression=None
        )
        return Channel(connection.__enter__())

    def refusal(self, path: str, query: dict[str, str] | None = None, **how: Any) -> tuple[int, Message]:
        """Status and body of a handshake that must fail."""
        try:
            channel = self.dial(path, query, **how)
        except InvalidStatus as refused:
            return refused.response.status_code, json.loads(refused.response.body or b"{}")
        channel.close()
        raise AssertionError(f"{path} {query} was let in")


class Channel:
    """A websocket of messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, kind: str, **body: Any) -> None:
        self.socket.send(json.dumps({"type": kind, "message": body}))

    def receive(self, kind: str, within: float = 10.0) -> Message:
        """The body of the next message of this type; others are passed over."""
        deadline = time.monotonic() + within
        while True:
            text = self.socket.recv(timeout=max(0.0, deadline - time.monotonic()))
            message: Message = json.loads(text)
            if message["type"] == kind:
                body: Message = message["message"]
                return body

    def ended(self, within: float = 10.0) -> tuple[int | None, str]:
        """Close code and reason, once the server has hung up."""
        deadline = time.monotonic() + within
        try:
            while True:
                self.socket.recv(timeout=max(0.0, deadline - time.monotonic()))
        except ConnectionClosed as closed:
            received = closed.rcvd
            return (received.code, received.reason) if received else (None, "")

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def signed(
    key: str = KEY, secret: str = SECRET, service: str = "ecs"
) -> Callable[[str, str, bytes, dict[str, str]], dict[str, str]]:
    """Signs as botocore's clients do."""

    def sign(method: str, url: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        request = AWSRequest(method, url, headers=headers, data=body)
        SigV4Auth(Credentials(key, secret), service, "us-east-1").add_auth(request)
        return dict(request.headers)

    return sign


# As agent 1.105.1 registers from outside of EC2, with a few of its 47 attributes.
REGISTRATION: Message = {
    "cluster": "mini",
    "clientToken": "0351cc44-7a91-4c27-a24a-c8499810ce9b",
    "instanceIdentityDocument": "",
    "instanceIdentityDocumentSignature": "",
    "attributes": [
        {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.24"},
        {"name": "ecs.capability.external"},
        {"name": "ecs.os-type", "value": "linux"},
    ],
    "totalResources": [
        {"integerValue": 2048, "name": "CPU", "type": "INTEGER"},
        {"integerValue": 24105, "name": "MEMORY", "type": "INTEGER"},
        {"name": "PORTS", "stringSetValue": ["22", "2375", "2376", "51678", "51679"], "type": "STRINGSET"},
        {"name": "PORTS_UDP", "stringSetValue": [], "type": "STRINGSET"},
    ],
}


def _sent(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=30.0) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

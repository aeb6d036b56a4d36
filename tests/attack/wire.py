"""A client that sends whatever it is given over one connection, and reads every answer to its end.

boto3 would refuse most of what is sent here before it left, and would hide a connection that was dropped.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from botocore import parsers
from botocore.compat import HTTPHeaders

from .requests import operation_model

# What any service may answer beside what its model lists: AWS's "Common Errors" and its front ends' own.
COMMON = {
    "ecs": frozenset(
        {
            "AccessDeniedException",
            "InvalidSignatureException",
            "NotImplemented",
            "RequestEntityTooLarge",
            "SerializationException",
            "UnknownOperationException",
        }
    ),
    "elbv2": frozenset(
        {
            "InvalidAction",
            "InvalidSignatureException",
            "MalformedInput",
            "MalformedQueryString",
            "MissingAction",
            "NotImplemented",
            "RequestEntityTooLarge",
            "SerializationException",
            "ValidationError",
        }
    ),
    "sts": frozenset({"InvalidAction", "MalformedInput", "MalformedQueryString", "ValidationError"}),
}
COMMON["cloudwatch"] = COMMON["elbv2"]


class Lost(AssertionError):
    """The server hung up instead of answering."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to the server, opened again when the server said that it closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, head: dict[str, str], body: bytes, method: str = "POST", path: str = "/") -> Answer:
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        answer = self.send("\r\n".join(lines).encode("latin-1") + body)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def send(self, request: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(request)
            return read(self._socket)
        except (OSError, Lost):
            self.close()
            raise


def read(connection: socket.socket) -> Answer:
    """The next final answer on the connection. Raises Lost when it ends before that."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        if end and head.split(b" ", 2)[1] == b"100":
            received = body
            continue
        if end:
            break
        received += _more(connection, received)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers["content-length"])
    while len(body) < length:
        body += _more(connection, received)
    assert len(body) == length, f"{len(body) - length} bytes too many"
    return Answer(int(first.split(" ", 2)[1]), headers, body)


def _more(connection: socket.socket, received: bytes) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise Lost(f"the server hung up after {received!r}")
    return part


_PARSERS = {"json": parsers.create_parser("json"), "query": parsers.create_parser("query")}


def parse(service: str, operation: str, answer: Answer) -> dict[str, Any]:
    """The answer as boto3 would give it."""
    described = {
        "status_code": answer.status,
        "headers": HTTPHeaders.from_pairs(answer.headers.items()),
        "body": answer.body,
        "context": {"operation_name": operation},
    }
    protocol = "json" if service == "ecs" else "query"  # as it was asked: some services speak several
    parsed = _PARSERS[protocol].parse(described, operation_model(service, operation).output_shape)
    return dict(parsed)


def allowed(service: str, operation: str) -> frozenset[str]:
    """The error codes that a client of the operation is told to expect."""
    known = set()
    for shape in operation_model(service, operation).error_shapes:
        known |= {shape.name, shape.metadata.get("error", {}).get("code", shape.name)}
    return COMMON[service] | known

"""A small client of a Docker engine's HTTP API, over its socket, with the standard library alone.

For the command line, which asks the engine little and must start fast; the docker package is the agent's.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
_TIMEOUT = 5.0
_BLOCK = 1 << 16

Query = Mapping[str, str | bool | int | list[str] | Mapping[str, Any] | None]


class DockerApiError(Exception):
    """The engine's answer is an error; the text is its own message. status: of HTTP, 200 within a stream."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class DockerApi:
    """One engine at ``unix://path`` or ``tcp://host:port``. Each call is a connection of its own.

    Calls raise DockerApiError for what the engine says, OSError where none answers. timeout: seconds
    without a byte in either direction.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._url = urlsplit(host)
        if self._url.scheme not in ("unix", "tcp", "http"):
            raise ValueError(f"{host}: only unix:// and tcp:// are supported")

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        *,
        timeout: float = _TIMEOUT,
    ) -> Any:
        """The answer's JSON; None for an empty one. body: sent as JSON, None as nothing."""
        content = None if body is None else json.dumps(body).encode()
        connection, answer = self._send(method, path, query, content, "application/json", timeout)
        try:
            text = _read(answer)
        finally:
            connection.close()
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            raise DockerApiError(answer.status, f"what it answered {path} is no JSON") from error

    def stream(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Iterable[bytes] | bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> Iterator[bytes]:
        """The answer's body in blocks as they come. body: a tar, sent in chunks when it is an iterable."""
        connection, answer = self._send(method, path, query, body, "application/x-tar", timeout)
        try:
            while block := answer.read1(_BLOCK):
                yield block
        except http.client.HTTPException as error:
            raise ConnectionError(f"the engine broke off: {error!r}") from error
        finally:
            connection.close()

    def progress(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Iterable[bytes] | bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The documents of a long answer (pull, import, build). One that tells an error is raised."""
        rest = b""
        for block in self.stream(method, path, query, body, timeout=timeout):
            *lines, rest = (rest + block).split(b"\n")
            yield from map(_document, filter(None, map(bytes.strip, lines)))
        if rest.strip():
            yield _document(rest)

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Iterable[bytes] | bytes | None,
        kind: str,
        timeout: float | None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._connection(timeout)
        target = quote(path, safe="/:@") + _encoded(query or {})
        try:
            try:
                connection.request(method, target, body, {} if body is None else {"Content-Type": kind})
            except BrokenPipeError:
                pass  # it refused before it had read everything: its answer says why
            answer = connection.getresponse()
            if answer.status >= 400:
                raise DockerApiError(answer.status, _message(_read(answer), answer.reason))
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionError(f"no engine answers at {self.host}: {error!r}") from error
        except (OSError, DockerApiError):
            connection.close()
            raise
        return connection, answer

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        if self._url.scheme == "unix":
            return _UnixConnection(self.host.removeprefix("unix://"), timeout)
        return http.client.HTTPConnection(self._url.hostname or "", self._url.port or 2375, timeout=timeout)


def configured_host() -> str:
    """The engine of the docker command: DOCKER_HOST, else its current context's, else the usual socket."""
    if given := os.environ.get("DOCKER_HOST"):
        return given
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    context = os.environ.get("DOCKER_CONTEXT") or str(_json(folder / "config.json").get("currentContext", ""))
    if context and context != "default":
        name = sha256(context.encode()).hexdigest()
        meta = _json(folder / "contexts" / "meta" / name / "meta.json")
        host = meta.get("Endpoints", {}).get("docker", {}).get("Host")
        if host:
            return str(host)
    return DEFAULT_HOST


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _encoded(query: Query) -> str:
    """Lists are repeated parameters, mappings JSON (``filters``), True is 1, None and False are left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if isinstance(value, Mapping):
            pairs.append((name, json.dumps(value)))
        elif isinstance(value, list):
            pairs.extend((name, item) for item in value)
        elif value is not None and value is not False:
            pairs.append((name, "1" if value is True else str(value)))
    return "?" + urlencode(pairs) if pairs else ""


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"the engine broke off: {error!r}") from error


def _message(text: bytes, otherwise: str) -> str:
    try:
        told = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        told = text.decode(errors="replace").strip()
    return str(told or otherwise)


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise DockerApiError(200, "it sent progress that is no JSON") from error
    if not isinstance(document, dict):
        raise DockerApiError(200, "it sent progress that is no object")
    if "error" in document:
        raise DockerApiError(200, str(document["error"]))
    return document


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""What server and proxy say to each other over their link, and how it is written.

One JSON object a message, ``{"type": T, "message": M}``. The server sends routing tables, each of them
whole; the proxy says hello first, then what it probed, counted and opened. Both read with types, since either
end may be of another version after an upgrade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from miniecs.model.routing import ListenerPlace, Probe, RoutingTable, Traffic, from_json, to_json

PATH = "/proxy"  # of the websocket, on the server


@dataclass(frozen=True, slots=True)
class Hello:
    """The proxy's first words. owner: of the data folder, which nobody else's processes can read.

    serves: the version of the table that it has, 0 for none.
    """

    owner: str
    pid: int = 0
    serves: int = 0


@dataclass(frozen=True, slots=True)
class Probes:
    """Health checks that were made, oldest first."""

    results: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Where every listener listens, all of them."""

    listeners: tuple[ListenerPlace, ...]


Told = Hello | Probes | Places | Traffic
"""What a proxy tells."""

_TYPES: dict[str, type[Told]] = {
    "miniecs.ProxyHello": Hello,
    "miniecs.Probes": Probes,
    "miniecs.ListenerPlaces": Places,
    "miniecs.Traffic": Traffic,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in _TYPES.items()}
_TABLE = "miniecs.RoutingTable"


class NotUnderstood(ValueError):
    """What came is no message of this link; the text says why."""


def write_table(table: RoutingTable) -> str:
    """The message that gives a proxy its table."""
    return _envelope(_TABLE, to_json(table))


def read_table(text: str) -> RoutingTable:
    """Raises NotUnderstood."""
    name, body = _opened(text)
    if name != _TABLE:
        raise NotUnderstood(f"{name!r} is not {_TABLE}")
    try:
        return from_json(body)
    except ValueError as problem:
        raise NotUnderstood(str(problem)) from problem


def write(told: Told) -> str:
    """The message in which a proxy tells something."""
    name = _NAMES[type(told)]
    return _envelope(name, _ADAPTERS[name].dump_json(told))


def read(text: str) -> Told:
    """Raises NotUnderstood."""
    name, body = _opened(text)
    adapter = _ADAPTERS.get(name)
    if adapter is None:
        raise NotUnderstood(f"there is no message {name!r}")
    try:
        told: Told = adapter.validate_json(body)
    except ValidationError as problem:
        raise NotUnderstood(f"{name}: {problem.errors()[0]['msg']}") from problem
    return told


def _envelope(name: str, body: bytes) -> str:
    return orjson.dumps({"type": name, "message": orjson.Fragment(body)}).decode()


def _opened(text: str) -> tuple[str, bytes]:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise NotUnderstood("it is not JSON") from problem
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise NotUnderstood("a message is an object with a type")
    return message["type"], orjson.dumps(message.get("message"))

"""What an engine tells of containers, put into our words: its events, its inspections, its times.

Pure: dictionaries of the Docker Engine API in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import Port
from miniecs_agent.host_engine import Usage

# One filter for containers and images: image events only say that what is known of images is out of date.
EVENT_FILTER = {
    "type": ["container", "image"],
    "event": [
        *("start", "die", "oom", "health_status", "destroy"),
        *("pull", "tag", "untag", "delete", "import", "load"),
    ],
}
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}
_NEVER = "0001-01-01"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Event(NamedTuple):
    """Something that happened. action: start die oom healthy unhealthy destroy image.

    at: epoch seconds of the engine's clock. runtime_id and instance are '' for images.
    """

    action: str
    at: float
    runtime_id: str = ""
    instance: str = ""
    exit_code: int | None = None


class Seen(NamedTuple):
    """A container as it is inspected. state: created running exited. Times: the engine's clock, 0 never."""

    runtime_id: str
    state: str
    exit_code: int | None
    out_of_memory: bool
    started_at: float
    finished_at: float
    health: str
    image_id: str
    tty: bool
    stop_signal: str
    labels: Mapping[str, str]
    port_bindings: Mapping[str, Sequence[Mapping[str, str]]]


def read_event(event: Mapping[str, Any], instance_label: str) -> Event | None:
    """None for what nobody needs to hear."""
    at = event.get("timeNano", 0) / 1e9
    if event.get("Type") == "image":
        return Event("image", at)
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    action, _, detail = str(event.get("Action", "")).partition(":")
    if action == "health_status":
        action = detail.strip()
    if action not in ("start", "die", "oom", "destroy", "healthy", "unhealthy"):
        return None
    code = attributes.get("exitCode")
    return Event(
        action,
        at,
        str(actor.get("ID", "")),
        str(attributes.get(instance_label, "")),
        int(code) if action == "die" and code is not None else None,
    )


def read_inspection(container: Mapping[str, Any]) -> Seen:
    state, config = container["State"], container["Config"]
    running = bool(state.get("Running"))  # a paused container is running, too
    started_at = timestamp(state.get("StartedAt"))
    known = "running" if running else "exited" if started_at else "created"
    return Seen(
        runtime_id=container["Id"],
        state=known,
        exit_code=state.get("ExitCode") if known == "exited" else None,
        out_of_memory=bool(state.get("OOMKilled")),
        started_at=started_at,
        finished_at=timestamp(state.get("FinishedAt")),
        health=_HEALTH.get((state.get("Health") or {}).get("Status", ""), "UNKNOWN"),
        image_id=container.get("Image", ""),
        tty=bool(config.get("Tty")),
        stop_signal=config.get("StopSignal") or "",
        labels=config.get("Labels") or {},
        port_bindings=(container.get("HostConfig") or {}).get("PortBindings") or {},
    )


def health(action: str) -> str | None:
    """HEALTHY or UNHEALTHY, of an event that says so."""
    return _HEALTH.get(action)


def timestamp(text: str | None) -> float:
    """Epoch seconds of RFC 3339, with as many digits as the engine likes; 0 for its "never"."""
    match = _TIME.fullmatch(text or "")
    if match is None or match[1].startswith(_NEVER):
        return 0.0
    zone = "+00:00" if match[3] == "Z" else match[3]
    whole = datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp()
    return whole + float(match[2] or 0)


def bindings_from(
    ports: Sequence[Port],
    port_bindings: Mapping[str, Sequence[Mapping[str, str]]],
    address: str,
    mode: str,
) -> tuple[NetworkBinding, ...]:
    """The bindings that a container was made with: what ``docker_config.port_bindings`` wrote, read back."""
    if mode == "host":
        return tuple(_host_binding(port, address) for port in ports)
    left = {key: list(published) for key, published in port_bindings.items()}
    found: list[NetworkBinding] = []
    for port in ports:
        numbers = container_ports(port)
        first = _take(left, f"{numbers[0]}/{port.protocol}")
        if first is None:
            continue
        bind_ip, host_port = first
        if port.container_port_range is None:
            found.append(NetworkBinding(bind_ip, port.protocol, port.container_port, host_port))
            continue
        for number in numbers[1:]:
            _take(left, f"{number}/{port.protocol}")
        published = f"{host_port}-{host_port + len(numbers) - 1}"
        found.append(NetworkBinding(bind_ip, port.protocol, None, None, port.container_port_range, published))
    return tuple(found)


def container_ports(port: Port) -> Sequence[int]:
    if port.container_port_range is None:
        return (port.container_port,)
    low, high = map(int, port.container_port_range.split("-"))
    return range(low, high + 1)


def read_usage(stats: Mapping[str, Any]) -> Usage:
    """Of GET /containers/ID/stats. Memory is without reclaimable page cache, as in `docker stats`."""
    cpu = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0
    memory = stats.get("memory_stats") or {}
    details = memory.get("stats") or {}
    inactive = details.get("total_inactive_file", details.get("inactive_file", 0))
    networks = (stats.get("networks") or {}).values()
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return Usage(
        cpu=cpu,
        memory=max((memory.get("usage") or 0) - inactive, 0),
        received=sum(each.get("rx_bytes", 0) for each in networks),
        sent=sum(each.get("tx_bytes", 0) for each in networks),
        read=_blocks(blocks, "read"),
        written=_blocks(blocks, "write"),
    )


def _blocks(blocks: Sequence[Mapping[str, Any]], op: str) -> int:
    return sum(each.get("value", 0) for each in blocks if str(each.get("op")).lower() == op)


def _take(left: dict[str, list[Mapping[str, str]]], key: str) -> tuple[str, int] | None:
    published = left.get(key)
    if not published:
        return None
    binding = published.pop(0)
    return binding.get("HostIp", ""), int(binding.get("HostPort") or 0)


def _host_binding(port: Port, address: str) -> NetworkBinding:
    if port.container_port_range is not None:
        span = port.container_port_range
        return NetworkBinding(address, port.protocol, None, None, span, span)
    number = port.host_port or port.container_port
    return NetworkBinding(address, port.protocol, port.container_port, number)

"""Task definitions as scenarios write them: RegisterTaskDefinition's parameters, or in short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def whole_definition(given: Mapping[str, Any]) -> dict[str, Any]:
    """In a cluster file's short form, cpu, memory and hostPorts stand for one container.

    containerPort: one that is reached at any host port.
    """
    if "containerDefinitions" in given:
        return dict(given)
    params = {name: value for name, value in given.items() if name not in ("hostPorts", "containerPort")}
    for name in ("cpu", "memory"):
        if isinstance(params.get(name), int):
            params[name] = str(params[name])
    container: dict[str, Any] = {"name": str(given.get("family", "")), "image": str(given.get("family", ""))}
    if "hostPorts" in given:
        container["portMappings"] = [
            {"containerPort": port, "hostPort": port} if isinstance(port, int) else _port(port)
            for port in given["hostPorts"] or ()
        ]
    if "containerPort" in given:
        port = {"containerPort": given["containerPort"]}
        container["portMappings"] = [*container.get("portMappings", ()), port]
    return params | {"containerDefinitions": [container]}


def _port(port: Any) -> dict[str, Any]:
    """``53/udp``."""
    number, _, protocol = str(port).partition("/")
    named = int(number) if number.isdecimal() else port
    return {"containerPort": named, "hostPort": named, "protocol": protocol or "tcp"}


def served_port(definition: Mapping[str, Any]) -> tuple[str, int] | None:
    """The container that a load balancer would send requests to, and its port: the first that has one."""
    for container in definition["containerDefinitions"]:
        for mapping in container.get("portMappings") or ():
            return container["name"], mapping["containerPort"]
    return None


def is_checked(definition: Mapping[str, Any]) -> bool:
    return any(
        container.get("healthCheck") is not None and container.get("essential", True)
        for container in definition["containerDefinitions"]
    )


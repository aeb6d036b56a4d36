"""The containers that hold tasks' network interfaces: one for each task in network mode awsvpc.

It has the task's address and MAC and lives as long as the task does; the task's containers join its network
namespace, so localhost is theirs together, and one of them may stop and start without anyone losing an
address. Nobody but the engine is told of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from miniecs_agent.core.spec import Document, TaskSpec
from miniecs_agent.docker import names
from miniecs_agent.docker.config import NOT_READY, is_shared
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.errors import Failure, Refused, TimedOut, network_missing
from miniecs_agent.docker.events import read_inspection
from miniecs_agent.docker.vpc_networks import VpcNetworks

log = logging.getLogger("miniecs.agent")

_ATTEMPTS = 5  # an address may still be in the hands of the task that had it before
_BETWEEN = 0.5  # seconds
_ENDPOINT_MAC_API = (1, 44)  # from here on the MAC is a property of the endpoint


@dataclass(slots=True)
class _Pause:
    """One task's. runtime_id '': not made yet."""

    runtime_id: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pauses:
    """Of one container instance."""

    def __init__(self, instance_id: str, connection: Connection, networks: VpcNetworks) -> None:
        self._instance_id = instance_id
        self._connection = connection
        self._api = connection.api
        self._networks = networks
        self._of_task: dict[str, _Pause] = {}

    def adopt(self, task_arn: str, runtime_id: str) -> None:
        """One that an agent before this one has made."""
        self._of_task[task_arn] = _Pause(runtime_id)

    def tasks(self) -> list[str]:
        return list(self._of_task)

    def task_of(self, runtime_id: str) -> str | None:
        """The task whose interface a container holds."""
        return next((arn for arn, pause in self._of_task.items() if pause.runtime_id == runtime_id), None)

    async def ensure(self, task: TaskSpec) -> str | Failure:
        """The network mode by which the task's containers join it; it runs when this returns."""
        pause = self._of_task.setdefault(task.arn, _Pause())
        async with pause.lock:
            if not pause.runtime_id:
                made = await self._make(task)
                if isinstance(made, Failure):
                    return made
                pause.runtime_id = made
        return f"container:{pause.runtime_id}"

    async def release(self, task_arn: str) -> None:
        """The task is over: give its interface back. What cannot be removed is found at the next start."""
        pause = self._of_task.get(task_arn)
        if pause is None:
            return
        async with pause.lock:
            if self._of_task.get(task_arn) is pause:
                del self._of_task[task_arn]
            if pause.runtime_id:
                await self._remove(pause.runtime_id)

    async def _remove(self, runtime_id: str) -> None:
        try:
            await self._connection.ask(partial(self._api.remove, runtime_id))
        except (Refused, TimedOut) as problem:
            if not (isinstance(problem, Refused) and problem.status in (404, 409)):
                log.warning("the network interface of a task was not removed: %s", problem)

    async def _make(self, task: TaskSpec) -> str | Failure:
        interface, vpc = _interface(task), task.document.get("vpc") or {}
        if interface is None or not vpc.get("cidr"):
            return Failure(NOT_READY, "the control plane has told no network interface for the task")
        problem: Refused | TimedOut | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_BETWEEN)
            try:
                image = await self._networks.image()
                network = await self._networks.ensure(vpc["id"], vpc["cidr"])
                body = self._body(task, interface, image, network)
                return await self._run(names.container_name(task, names.PAUSE_NAME), body, task)
            except Refused as refused:
                problem = refused
                if not (network_missing(refused) or "already in use" in refused.message.lower()):
                    break
            except TimedOut as late:
                problem = late
                break
        return Failure(NOT_READY, f"failed to set up the task's network interface: {problem}")

    async def _run(self, name: str, body: dict[str, Any], task: TaskSpec) -> str:
        """Create and start, or find what an attempt that was cut off has left. Raises Refused, TimedOut."""
        try:
            id = await self._connection.ask(partial(self._api.create, name, body))
        except Refused as refused:
            if refused.status != 409:
                raise
            seen = read_inspection(await self._connection.ask(partial(self._api.inspect, name)))
            if seen.labels.get(names.PAUSE) != task.arn:
                raise
            id = seen.runtime_id
        try:
            await self._connection.ask(partial(self._api.start, id))
        except (Refused, TimedOut):
            with suppress(Refused, TimedOut):
                await self._connection.ask(partial(self._api.remove, id))
            raise
        return id

    def _body(self, task: TaskSpec, interface: Document, image: str, network: str) -> dict[str, Any]:
        address = interface["ipv4Addresses"][0]["privateAddress"]
        mac = interface.get("macAddress") or ""
        endpoint: dict[str, Any] = {"IPAMConfig": {"IPv4Address": address}}
        body: dict[str, Any] = {
            "Image": image,
            "Hostname": interface.get("privateDnsName") or "",
            "Labels": names.owner_labels(self._networks.owner, self._instance_id) | {names.PAUSE: task.arn},
            "HostConfig": {"NetworkMode": network, **_shared_settings(task)},
            "NetworkingConfig": {"EndpointsConfig": {network: endpoint}},
        }
        version = tuple(int(part) for part in self._networks.facts.api_version.split("."))
        (endpoint if version >= _ENDPOINT_MAC_API else body)["MacAddress"] = mac
        return body


def _interface(task: TaskSpec) -> Document | None:
    interfaces: list[Document] = task.document.get("elasticNetworkInterfaces") or []
    return next((each for each in interfaces if each.get("ipv4Addresses")), None)


def _shared_settings(task: TaskSpec) -> dict[str, Any]:
    """What containers ask of the namespace that they share: search domains and net.* system controls."""
    domains: dict[str, None] = {}
    controls: dict[str, str] = {}
    for host_config in _host_configs(task):
        domains |= dict.fromkeys(host_config.get("DnsSearch") or ())
        controls |= {
            name: value for name, value in (host_config.get("Sysctls") or {}).items() if is_shared(name)
        }
    found = {"DnsSearch": list(domains), "Sysctls": controls}
    return {name: value for name, value in found.items() if value}


def _host_configs(task: TaskSpec) -> Iterator[dict[str, Any]]:
    for container in task.containers:
        text = (container.document.get("dockerConfig") or {}).get("hostConfig")
        with suppress(ValueError):  # said when the container is created
            settings = json.loads(text or "{}")
            if isinstance(settings, dict):
                yield settings

"""The host link: one websocket on which a host says what it has and is told which instances to play.

Our own, beside the ECS protocol, for what EC2 does in AWS: an instance is launched before its agent runs.
It is level-triggered: the whole desired set comes with every change, so nothing that was missed matters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from miniecs_agent.core.shapes import Each, Record, Values, fault
from miniecs_agent.core.spec import Document
from miniecs_agent.host_engine import Owner
from miniecs_agent.shell.control_plane import ControlPlane, Refused, websocket_url
from miniecs_agent.shell.line import Line

log = logging.getLogger("miniecs.agent")

HELLO, STATE, INSTANCES = "miniecs.HostHello", "miniecs.HostState", "miniecs.HostInstances"
PING, PONG = "miniecs.HostPing", "miniecs.HostPong"
REGION = "us-east-1"  # of the signature; the link is for all regions and accounts
REFUSED, DUPLICATE = 4403, 4409  # close codes, after HTTP's: who a host is comes with the hello

_FIRST_DELAY, _DELAY_GROWTH, _LONGEST_DELAY = 0.25, 1.5, 5.0
_DUPLICATE_DELAY = 5.0
_KEEP_ALIVE = 20.0  # seconds; a server that has gone without saying so is noticed in twice the time


class DesiredInstance(NamedTuple):
    """A container instance that the host is to play. cpu: units; memory: MiB; arn: once it is registered."""

    instance_id: str
    arn: str | None
    cluster: str
    zone: str
    instance_type: str
    cpu: int
    memory: int
    attributes: tuple[tuple[str, str], ...] = ()


class HostSettings(NamedTuple):
    """What is the same for all instances of a host."""

    owner: Owner
    time_scale: float = 1.0
    allow_privileged: bool = False


class Desired(NamedTuple):
    """What a host is to play, all of it. generation: the server's count of such messages on this link."""

    generation: int
    settings: HostSettings
    instances: tuple[DesiredInstance, ...]
    load_balancers: tuple[str, ...] = ()  # ARNs of those that containers are to reach


class NotWelcome(Exception):
    """The server refuses this host for good; the text is for a person."""


_INSTANCE = Record(
    {
        "instanceId": str,
        "arn": str,
        "cluster": str,
        "zone": str,
        "instanceType": str,
        "cpu": int,
        "memory": int,
        "attributes": Values(str),
    },
    ("instanceId", "cluster", "zone", "instanceType", "cpu", "memory"),
)
_DESIRED = Record(
    {
        "owner": str,
        "dataDir": str,
        "generation": int,
        "timeScale": float,
        "allowPrivileged": bool,
        "instances": Each(_INSTANCE),
        "loadBalancers": Each(str),
    },
    ("owner", "instances"),
)


def read_desired(body: Any) -> Desired:
    """A miniecs.HostInstances. Raises ValueError for what is not one."""
    problem = fault(body, _DESIRED, INSTANCES)
    if problem:
        raise ValueError(problem)
    owner = Owner(body["owner"], body.get("dataDir") or "")
    return Desired(
        body.get("generation") or 0,
        HostSettings(owner, body.get("timeScale") or 1.0, body.get("allowPrivileged") or False),
        tuple(_instance(each) for each in body["instances"]),
        tuple(body.get("loadBalancers") or ()),
    )


def _instance(document: Document) -> DesiredInstance:
    return DesiredInstance(
        instance_id=document["instanceId"],
        arn=document.get("arn") or None,
        cluster=document["cluster"],
        zone=document["zone"],
        instance_type=document["instanceType"],
        cpu=document["cpu"],
        memory=document["memory"],
        attributes=tuple((document.get("attributes") or {}).items()),
    )


class HostLink:
    """Keeps the link open.

    hello: makes the first message of each connection. told: hears what is desired. connected: hears that the
    server has let this host in (again), before it is told.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        hello: Callable[[], dict[str, Any]],
        told: Callable[[Desired], None],
        connected: Callable[[], None],
    ) -> None:
        self._control_plane = control_plane
        self._endpoint = control_plane.endpoint
        self._hello = hello
        self._told = told
        self._connected = connected
        self._line: Line | None = None
        self._heard = False  # the server's wishes, on this connection
        self._refusal = ""

    def send_state(self, body: dict[str, Any]) -> None:
        """Lost while the link is down, or has not said what is wanted: it is told again after that."""
        if self._line is not None and self._heard:
            self._line.send({"type": STATE, "message": body})

    def reconnect(self) -> None:
        """Say hello anew: what it said has changed."""
        if self._line is not None:
            self._line.close()

    async def run(self) -> None:
        """Until cancelled. Raises NotWelcome."""
        delay = _FIRST_DELAY
        url = f"{websocket_url(self._endpoint)}/host/ws"
        while True:
            try:
                socket = await self._control_plane.dial(REGION, url, keep_alive=_KEEP_ALIVE)
            except Refused as refusal:
                self._note(refusal)
                await asyncio.sleep(_DUPLICATE_DELAY if refusal.status == 409 else delay)
                delay = min(delay * _DELAY_GROWTH, _LONGEST_DELAY)
                continue
            self._heard = False
            self._line = Line(socket, "host link")
            self._line.send({"type": HELLO, "message": self._hello()})
            try:
                code = await self._line.run(self._received)
            finally:
                asked, self._line = self._line.closing, None
            if self._heard:
                delay = _FIRST_DELAY
            if asked:
                continue
            why = socket.close_reason or ""
            if code in (REFUSED, DUPLICATE):
                self._note(Refused(code - 4000, {"message": why}, ""))
            else:
                log.warning("%s hung up (code %d) %s; what runs goes on", self._endpoint, code, why)
            await asyncio.sleep(_DUPLICATE_DELAY if code == DUPLICATE else delay)
            delay = min(delay * _DELAY_GROWTH, _LONGEST_DELAY)

    def _received(self, message: Document) -> None:
        if message.get("type") == PING and self._line is not None:
            self._line.send({"type": PONG, "message": {}})
        if message.get("type") != INSTANCES:
            return
        try:
            desired = read_desired(message.get("message"))
        except ValueError as problem:
            log.error("what the server wants of this host cannot be understood: %s", problem)
            return
        self._refusal = ""
        if not self._heard:
            self._heard = True
            log.info("connected to %s", self._endpoint)
            self._connected()
        self._told(desired)

    def _note(self, refusal: Refused) -> None:
        """Say it once, not every few seconds. Raises NotWelcome where trying again cannot help."""
        endpoint = self._endpoint
        said = refusal.body.get("message") or refusal.body.get("Message") or ""
        if refusal.status == 403:
            raise NotWelcome(
                f"{endpoint} does not let this host in: {said or 'its credentials are wrong'}. "
                "Make a new token there with `miniecs agent join-command`."
            )
        if refusal.status == 409:
            text = (
                f"{endpoint} has another agent for this host already ({said}). End one of the two; this one "
                "waits until the other has gone, and touches nothing"
            )
        elif refusal.status:
            text = f"{endpoint} refuses the host link: HTTP {refusal.status} {said}"
        else:
            text = f"{endpoint} does not answer ({refusal}); it is asked again until it does"
        if text != self._refusal:
            self._refusal = text
            log.warning(text)

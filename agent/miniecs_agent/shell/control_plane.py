"""The way to a real control plane: ECS's API over HTTP, and the websockets that it names.

Everything that can go wrong on it becomes a value that the agent's core knows what to do with; nothing
is tried again here, because the core repeats what matters and knows until when it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

from miniecs_agent.core.capabilities import AGENT_HASH, AGENT_VERSION
from miniecs_agent.core.effects import Answer, ApiFailure, Channel
from miniecs_agent.shell.background import Background
from miniecs_agent.shell.host import Peer
from miniecs_agent.shell.line import CUT, Line
from miniecs_agent.shell.signing import Signer

log = logging.getLogger("miniecs.agent")

TARGET = "AmazonEC2ContainerServiceV20141113"
CONTENT_TYPE = "application/x-amz-json-1.1"
USER_AGENT = f"Amazon ECS Agent - v{AGENT_VERSION} ({AGENT_HASH}) (linux; LINUX) (+http://aws.amazon.com/ecs/)"
WELCOME_BACK = (1000, 1001, CUT, 1011)  # close codes after which the ECS agent dials at once

_AT_ONCE = 16  # calls; a control plane on the same two cores answers no more of them sooner
_KEEP_ALIVE = 4.0  # seconds; less than servers keep an idle connection, so that none closes under a request
_TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=None)
_OPEN_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 2.0
_LARGEST_MESSAGE = 64 * 1024 * 1024  # bytes: 50 tasks of the largest task definitions, several times over


class Refused(Exception):
    """A websocket was not opened. ``status``: HTTP's, or 0 when nobody answered."""

    def __init__(self, status: int, body: Mapping[str, Any], problem: str) -> None:
        self.status = status
        self.body = body
        super().__init__(problem)


class ControlPlane:
    """A control plane, for all instances of a process. Make it on the event loop; ``close`` it."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._access_key = access_key
        self._secret_key = secret_key
        self._signers: dict[str, Signer] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.background = Background()
        self._http = httpx.AsyncClient(
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=_AT_ONCE, keepalive_expiry=_KEEP_ALIVE),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            trust_env=False,  # what leads to AWS through a proxy does not lead to here
        )

    def signer(self, region: str) -> Signer:
        signer = self._signers.get(region)
        if signer is None:
            signer = self._signers[region] = Signer(self._access_key, self._secret_key, region)
        return signer

    async def call(self, region: str, operation: str, params: Mapping[str, Any]) -> Answer:
        """An operation of ECS, asked once."""
        url = f"{self.endpoint}/"
        body = orjson.dumps(params)
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"{TARGET}.{operation}"}
        async with self._turns:
            signed = self.signer(region).headers("POST", url, body, headers)
            try:
                response = await self._http.post(url, content=body, headers=signed)
            except httpx.HTTPError as problem:
                return ApiFailure("", f"{type(problem).__name__}: {problem}")
            except Exception as problem:
                # What the libraries below let out, such as an AttributeError for a connection that is reset
                # as it opens. Whoever asked waits for an answer, or would never ask again.
                log.exception("%s was not answered", operation)
                return ApiFailure("", f"{type(problem).__name__}: {problem}")
        return _answer(response)

    async def dial(self, region: str, url: str, *, keep_alive: float | None = None) -> ClientConnection:
        """Open a websocket at a ws:// or wss:// URL. Raises Refused.

        keep_alive: ask so often whether the other end is there. The ECS agent's cores notice a silent line
        by themselves.
        """
        try:
            return await connect(
                url,
                additional_headers=self.signer(region).headers("GET", url),
                user_agent_header=USER_AGENT,
                compression=None,
                proxy=None,
                ping_interval=keep_alive,
                ping_timeout=keep_alive,
                open_timeout=_OPEN_TIMEOUT,
                close_timeout=_CLOSE_TIMEOUT,
                max_size=_LARGEST_MESSAGE,
            )
        except InvalidStatus as refusal:
            body = _document(refusal.response.body or b"")
            raise Refused(refusal.response.status_code, body, str(refusal)) from refusal
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as problem:
            raise Refused(0, {}, str(problem) or type(problem).__name__) from problem
        except Exception as problem:
            log.exception("%s was not opened", url.partition("?")[0])  # as for a call
            raise Refused(0, {}, str(problem) or type(problem).__name__) from problem

    async def close(self) -> None:
        """Hang up on everything. What was not answered is not."""
        await self.background.close()
        await self._http.aclose()


class InstanceNetwork:
    """One container instance's way to the control plane (miniecs_agent.shell.host.Network).

    cluster: as the instance was told, a name or an ARN. Like the ECS agent's client it keeps what
    DiscoverPollEndpoint answered, for both channels.
    """

    def __init__(
        self, control_plane: ControlPlane, *, region: str, cluster: str, docker_version: str
    ) -> None:
        self._control_plane = control_plane
        self._region = region
        self._cluster = cluster
        self._docker_version = docker_version
        self._endpoints: dict[Channel, str] = {}
        self._send_credentials = True  # until the first ACS connection of the process
        self._problems: dict[str, str] = {}  # as last logged, by what failed

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        work = self._call(operation, params, answered)
        self._control_plane.background.start(work, f"{operation} of {caller}")

    async def _call(
        self, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        answer = await self._control_plane.call(self._region, operation, params)
        if isinstance(answer, ApiFailure):
            self._failed(operation, f"{answer.code} {answer.message}".strip())
            answered(answer)
            return
        self._problems.pop(operation, None)
        if operation == "DiscoverPollEndpoint":
            self._endpoints = {
                Channel.ACS: answer.get("endpoint", ""),
                Channel.TCS: answer.get("telemetryEndpoint", ""),
            }
        answered(answer)

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None:
        name = f"{channel.upper()} of {instance_arn.rpartition('/')[2]}"
        self._control_plane.background.start(self._connect(channel, instance_arn, name, peer), name)

    async def _connect(self, channel: Channel, instance_arn: str, name: str, peer: Peer) -> None:
        url = self._url(channel, instance_arn)
        try:
            socket = await self._control_plane.dial(self._region, url)
        except Refused as refusal:
            inactive = _is_inactive(refusal.body)
            self._failed(name, f"refused: {refusal.body or refusal}")
            peer.refused(channel, inactive=inactive)
            return
        self._problems.pop(name, None)
        if channel is Channel.ACS:
            self._send_credentials = False
        line = Line(socket, name, self._framed(url) if channel is Channel.TCS else None)
        peer.opened(channel, line)
        try:
            code = await line.run(lambda message: peer.received(channel, message))
        finally:
            # Also after a bug in what hears the messages: whoever waits for the end of a line must be told.
            if not line.closing:
                peer.closed(channel, unwelcome=socket.close_code not in WELCOME_BACK)
        log.info("%s ended with code %d", name, code)

    def _failed(self, what: str, why: str) -> None:
        """Said once: it is tried again and again, and mostly there is nobody for the same reason."""
        if self._problems.get(what) != why:
            self._problems[what] = why
            log.warning("%s: %s", what, why)

    def _url(self, channel: Channel, instance_arn: str) -> str:
        parameters = {"agentHash": AGENT_HASH, "agentVersion": AGENT_VERSION}
        if channel is Channel.ACS:
            parameters |= {
                "clusterArn": self._cluster,
                "containerInstanceArn": instance_arn,
                "dockerVersion": f"DockerVersion: {self._docker_version}",
                "protocolVersion": "2",
                "sendCredentials": "true" if self._send_credentials else "false",
                "seqNum": "1",
            }
        else:
            parameters |= {
                "cluster": self._cluster,
                "containerInstance": instance_arn,
                "dockerVersion": self._docker_version,
            }
        base = websocket_url(self._endpoints.get(channel) or self._control_plane.endpoint)
        return f"{base}/ws?{urlencode(parameters, quote_via=quote)}"

    def _framed(self, url: str) -> Callable[[bytes], bytes]:
        """TCS takes each message after a block of headers that signs it, as if it were a request's body."""
        signer = self._control_plane.signer(self._region)
        host = url.partition("://")[2].partition("/")[0]

        def frame(message: bytes) -> bytes:
            signed = signer.headers("GET", url, message)
            block = (
                f"Authorization: {signed['Authorization']}\r\nHost: {host}\r\n"
                f"X-Amz-Date: {signed['X-Amz-Date']}\r\n\r\n"
            )
            return block.encode() + message

        return frame


def websocket_url(endpoint: str) -> str:
    """An http(s) address as the one of its websockets, without a slash at its end."""
    if endpoint.startswith("http"):
        endpoint = "ws" + endpoint.removeprefix("http")
    return endpoint.rstrip("/")


def _answer(response: httpx.Response) -> Answer:
    document = _document(response.content)
    if response.is_success:
        return document
    code = document.get("__type") or response.headers.get("x-amzn-errortype") or ""
    message = str(document.get("message") or document.get("Message") or f"HTTP {response.status_code}")
    if response.status_code >= 500:
        return ApiFailure("", message)
    return ApiFailure(str(code).rpartition("#")[2].partition(":")[0], message)


def _document(body: bytes | bytearray) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _is_inactive(body: Mapping[str, Any]) -> bool:
    name = "InactiveInstanceException"
    return name in body or name in str(body.get("type", ""))

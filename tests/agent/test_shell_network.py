"""One instance's way to a control plane: calls, websockets, signatures, and all that goes wrong on them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from miniecs_agent.core.effects import Answer, ApiFailure, Channel
from miniecs_agent.core.spec import Document
from miniecs_agent.shell import control_plane
from miniecs_agent.shell import line as lines
from miniecs_agent.shell.control_plane import ControlPlane, InstanceNetwork, websocket_url
from miniecs_agent.shell.host import Connection
from miniecs_agent.shell.signing import Signer

from .cases import CLUSTER, INSTANCE
from .shell import ACS, TCS, FakeControlPlane, until

KEY, SECRET = "AKIDJOINJOINJOINJOIN", "0123456789abcdef0123456789abcdef01234567"


class Caller:
    """What a host hears of its network."""

    def __init__(self, plane: FakeControlPlane) -> None:
        self.plane = plane
        self.control_plane = ControlPlane(plane.endpoint, KEY, SECRET)
        self.network = InstanceNetwork(
            self.control_plane, region="eu-west-1", cluster=CLUSTER, docker_version="20.10.24"
        )
        self.heard: list[tuple[Any, ...]] = []
        self.lines: dict[Channel, Connection] = {}

    def opened(self, channel: Channel, connection: Connection) -> None:
        self.lines[channel] = connection
        self.heard.append(("opened", channel))

    def refused(self, channel: Channel, *, inactive: bool) -> None:
        self.heard.append(("refused", channel, inactive))

    def received(self, channel: Channel, message: Document) -> None:
        self.heard.append(("received", channel, message))
        if message.get("type") == "Bug":
            raise RuntimeError("a bug in the core")

    def closed(self, channel: Channel, *, unwelcome: bool = False) -> None:
        self.heard.append(("closed", channel, unwelcome))

    async def ask(self, operation: str, **params: Any) -> Answer:
        answers: list[Answer] = []
        self.network.call("i-1", operation, params, answers.append)
        await until(lambda: answers, f"an answer to {operation}")
        return answers[0]

    async def dial(self, channel: Channel) -> None:
        before = len(self.heard)
        self.network.dial(channel, INSTANCE, self)
        await until(lambda: len(self.heard) > before, f"{channel} to be opened or refused")

    async def hears(self, *what: Any) -> None:
        await until(lambda: what in self.heard, f"{what}, and not {self.heard}")


Story = Callable[[FakeControlPlane, Caller], Coroutine[Any, Any, None]]


def told(story: Story) -> None:
    async def play() -> None:
        plane = FakeControlPlane()
        await plane.start()
        caller = Caller(plane)
        try:
            await story(plane, caller)
        finally:
            plane.reads.set()
            await caller.control_plane.close()
            await plane.stop()

    asyncio.run(play())


def signature(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> str:
    """Check it by the letter of AWS's description of Signature Version 4; the scope that it was made for."""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8}/[\w-]+/ecs/aws4_request), SignedHeaders=([\w;-]+), "
        r"Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    assert found is not None and found[1] == KEY
    scope, names = found[2], found[3]
    assert {"host", "x-amz-date"} <= set(names.split(";"))
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{headers[name].strip()}" for name in names.split(";")),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = b"AWS4" + SECRET.encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert key.hex() == found[4]
    return scope


# Calls


def test_a_call_is_json_signed_for_its_region_and_answered() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        plane.answers["SubmitTaskStateChange"] = (200, {"acknowledgment": "ok"})
        assert await caller.ask("SubmitTaskStateChange", task="t1", pullStartedAt=1000.25) == {
            "acknowledgment": "ok"
        }
        [call] = plane.calls
        assert call.params == {"task": "t1", "pullStartedAt": 1000.25}
        assert call.headers["x-amz-target"] == "AmazonEC2ContainerServiceV20141113.SubmitTaskStateChange"
        assert call.headers["content-type"] == "application/x-amz-json-1.1"
        assert call.headers["user-agent"].startswith("Amazon ECS Agent - v1.105.1 (miniecs)")
        assert signature("POST", "/", "", call.headers, call.body).split("/")[1:] == [
            "eu-west-1",
            "ecs",
            "aws4_request",
        ]

    told(story)


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, {"__type": "ClientException", "message": "no"}, ApiFailure("ClientException", "no")),
        (
            400,
            {"__type": "com.amazonaws.ecs#InvalidParameterException", "Message": "no task"},
            ApiFailure("InvalidParameterException", "no task"),
        ),
        (403, {"message": "go away"}, ApiFailure("", "go away")),
        (500, {"__type": "ServerException", "message": "oh"}, ApiFailure("", "oh")),
        (503, b"<html>", ApiFailure("", "HTTP 503")),
        (400, b"[1]", ApiFailure("", "HTTP 400")),
        (200, b"nonsense", {}),
    ],
)
def test_failures_are_values(status: int, body: Any, failure: Answer) -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        plane.answers["SubmitTaskStateChange"] = (status, body)
        assert await caller.ask("SubmitTaskStateChange") == failure

    told(story)


def test_nobody_there_is_a_failure_without_a_code() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await plane.stop()
        answer = await caller.ask("DiscoverPollEndpoint")
        assert isinstance(answer, ApiFailure) and answer.code == "" and "ConnectError" in answer.message
        await plane.start()
        assert not isinstance(await caller.ask("DiscoverPollEndpoint"), ApiFailure)

    told(story)


def test_what_a_library_lets_out_is_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """anyio raises AttributeError for a connection that was reset as it opened."""

    async def reset(*_: Any, **__: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(httpx.AsyncHTTPTransport, "handle_async_request", reset)
            patched.setattr(control_plane, "connect", reset)
            answer = await caller.ask("SubmitTaskStateChange")
            assert isinstance(answer, ApiFailure)
            assert (answer.code, "getpeername" in answer.message) == ("", True)
            await caller.dial(Channel.ACS)
        assert caller.heard == [("refused", Channel.ACS, False)]
        assert not isinstance(await caller.ask("DiscoverPollEndpoint"), ApiFailure)

    told(story)


def test_a_hundred_calls_at_once_are_all_answered() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        answers = await asyncio.gather(*(caller.ask("SubmitTaskStateChange", n=n) for n in range(100)))
        assert answers == [{"acknowledgment": "ACK"}] * 100
        assert sorted(call.params["n"] for call in plane.calls) == list(range(100))

    told(story)


# Websockets


def test_acs_is_dialled_as_the_ecs_agent_does() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        acs = await plane.socket(ACS)
        assert acs.query == {
            "agentHash": "miniecs",
            "agentVersion": "1.105.1",
            "clusterArn": CLUSTER,
            "containerInstanceArn": INSTANCE,
            "dockerVersion": "DockerVersion: 20.10.24",
            "protocolVersion": "2",
            "sendCredentials": "true",
            "seqNum": "1",
        }
        assert "SignedHeaders=host;x-amz-date," in acs.headers["authorization"]
        signature("GET", ACS, acs.raw_query, acs.headers, b"")
        caller.lines[Channel.ACS].send({"type": "AckRequest", "message": {"messageId": "m1"}})
        await until(lambda: acs.frames, "the message")
        assert acs.frames == ['{"type":"AckRequest","message":{"messageId":"m1"}}']
        await acs.say("HeartbeatMessage", healthy=True)
        await caller.hears(
            "received", Channel.ACS, {"type": "HeartbeatMessage", "message": {"healthy": True}}
        )
        await acs.hang_up()
        await caller.hears("closed", Channel.ACS, False)
        await caller.dial(Channel.ACS)
        assert (await plane.socket(ACS, 1)).query["sendCredentials"] == "false"

    told(story)


def test_tcs_frames_are_signed_blocks_before_their_json() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.TCS)
        tcs = await plane.socket(TCS)
        assert tcs.query == {
            "agentHash": "miniecs",
            "agentVersion": "1.105.1",
            "cluster": CLUSTER,
            "containerInstance": INSTANCE,
            "dockerVersion": "20.10.24",
        }
        caller.lines[Channel.TCS].send({"type": "PublishHealthRequest", "message": {}})
        await until(lambda: tcs.frames, "the message")
        block, _, body = tcs.frames[0].partition("\r\n\r\n")
        assert body == '{"type":"PublishHealthRequest","message":{}}'
        headers = dict(each.split(": ", 1) for each in block.split("\r\n"))
        assert list(headers) == ["Authorization", "Host", "X-Amz-Date"]
        assert headers["Host"] == f"127.0.0.1:{plane.port}"
        lower = {name.lower(): value for name, value in headers.items()}
        signature("GET", TCS, tcs.raw_query, lower, body.encode())

    told(story)


@pytest.mark.parametrize(
    ("status", "body", "inactive"),
    [
        (400, {"InactiveInstanceException": "The container instance is not registered."}, True),
        (400, {"type": "InactiveInstanceException", "message": "gone"}, True),
        (409, {"AccessDeniedException": "another agent"}, False),
        (503, {}, False),
    ],
)
def test_a_refused_handshake(status: int, body: dict[str, Any], inactive: bool) -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        plane.refusals[ACS] = (status, body)
        await caller.dial(Channel.ACS)
        assert caller.heard == [("refused", Channel.ACS, inactive)]

    told(story)


def test_nobody_at_the_endpoint_is_a_refusal() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await plane.stop()
        await caller.dial(Channel.ACS)
        assert caller.heard == [("refused", Channel.ACS, False)]
        await plane.start()

    told(story)


@pytest.mark.parametrize(
    ("code", "unwelcome"), [(1000, False), (1001, False), (1011, False), (1008, True), (4000, True)]
)
def test_close_codes_say_whether_to_come_back_at_once(code: int, unwelcome: bool) -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        await (await plane.socket(ACS)).hang_up(code)
        await caller.hears("closed", Channel.ACS, unwelcome)

    told(story)


def test_a_line_that_is_cut_is_closed() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        await plane.socket(ACS)
        plane.cut(ACS)
        await caller.hears("closed", Channel.ACS, False)

    told(story)


def test_a_line_that_this_side_ends_is_not_said_to_be_closed_and_sends_what_was_said_before() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        acs = await plane.socket(ACS)
        for number in range(50):
            caller.lines[Channel.ACS].send({"type": "AckRequest", "message": {"n": number}})
        caller.lines[Channel.ACS].close()
        caller.lines[Channel.ACS].send({"type": "AckRequest", "message": {"n": "late"}})
        await until(lambda: not acs.open, "the end")
        assert [message["n"] for message in acs.of("AckRequest")] == list(range(50))
        assert [kind for kind, *_ in caller.heard] == ["opened"]

    told(story)


def test_what_is_no_message_is_ignored() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        acs = await plane.socket(ACS)
        for text in ("{", "[]", "7"):
            await acs.say_text(text)
        await acs.say("HeartbeatMessage")
        await until(lambda: len(caller.heard) == 2, "the heartbeat")
        assert caller.heard[1] == (
            "received",
            Channel.ACS,
            {"type": "HeartbeatMessage", "message": {}},
        )

    told(story)


def test_a_bug_in_what_hears_a_message_ends_the_line_and_is_told() -> None:
    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        acs = await plane.socket(ACS)
        await acs.say("Bug")
        await until(lambda: caller.heard[-1][0] == "closed", "the end")
        await until(lambda: not acs.open, "the end")

    told(story)


def test_a_peer_that_does_not_read_is_hung_up_on_and_no_more_is_kept_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 2 * 1024 * 1024
    monkeypatch.setattr(lines, "MOST_WAITING", most)

    async def story(plane: FakeControlPlane, caller: Caller) -> None:
        await caller.ask("DiscoverPollEndpoint")
        await caller.dial(Channel.ACS)
        await plane.socket(ACS)
        plane.reads.clear()
        line = caller.lines[Channel.ACS]
        assert isinstance(line, lines.Line)
        sent, waiting = 0, []
        while ("closed", Channel.ACS, False) not in caller.heard:
            line.send({"type": "AckRequest", "message": {"padding": "x" * 65536}})
            sent += 65536
            waiting.append(line._waiting_bytes)
            assert sent < 64 * 1024 * 1024, "it is kept for ever"
            await asyncio.sleep(0)
        assert max(waiting) < most + 2 * 65536

    told(story)


def test_addresses_of_websockets() -> None:
    assert websocket_url("http://localhost:4566/acs") == "ws://localhost:4566/acs"
    assert websocket_url("https://ecs-a-1.eu-west-1.amazonaws.com/") == "wss://ecs-a-1.eu-west-1.amazonaws.com"


def test_a_signature_covers_the_query_as_it_is_sent() -> None:
    url = f"ws://localhost:4566/acs/ws?dockerVersion={quote('DockerVersion: 1')}&agentHash=a"
    headers = {k.lower(): v for k, v in Signer(KEY, SECRET, "us-east-1").headers("GET", url).items()}
    assert json.dumps(sorted(headers)) == '["authorization", "x-amz-date"]'
    headers["host"] = "localhost:4566"
    signature("GET", "/acs/ws", url.partition("?")[2], headers, b"")

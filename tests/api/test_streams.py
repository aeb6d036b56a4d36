"""The control plane's part of streams and of pulls, message by message."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from miniecs.ids import Ids
from miniecs.model.stream import CHUNK, NARROW, WIDE_STREAMS, WINDOW, FlowError
from miniecs.model.task import Container, Task
from miniecs.store.memory import MemoryStore
from miniecs_api.pulls import Pull, Pulls, said
from miniecs_api.streams import Ended, Stream, Streams

ASKED = {"kind": "logs", "taskArn": "t", "container": "c", "logs": {}}


class User:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def opened(self) -> None:
        self.heard.append("opened")

    def received(self, channel: str, data: bytes) -> None:
        self.heard.append((channel, data))

    def credited(self, count: int) -> None:
        self.heard.append(count)

    def ended(self, how: Ended) -> None:
        self.heard.append(how)


class Agents:
    """Who is connected, and what they were sent."""

    def __init__(self) -> None:
        self.connected = {"i1", "i2"}
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.streams = Streams(self._send, Ids(5))

    def _send(self, instance: str, message: dict[str, Any]) -> bool:
        if instance in self.connected:
            self.sent.append((instance, message["type"][8:], message["message"]))
        return instance in self.connected

    def open(self, instance: str = "i1") -> tuple[Stream, User]:
        user = User()
        stream = self.streams.open(instance, ASKED, user)
        assert stream is not None
        self.sent.clear()
        return stream, user

    def tell(self, stream: Stream, type: str, *, instance: str = "i1", **body: Any) -> None:
        message = {"type": f"miniecs.{type}", "message": {"stream": stream.id, **body}}
        self.streams.received(instance, message)


@pytest.fixture
def agents() -> Agents:
    return Agents()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_opening_asks_the_agent(agents: Agents) -> None:
    stream = agents.streams.open("i1", ASKED, User())
    assert stream is not None
    assert agents.sent == [("i1", "StreamOpen", {"stream": stream.id, **ASKED})]
    assert agents.streams.open("i3", ASKED, User()) is None
    assert len(agents.streams) == 1


def test_what_the_agent_says_the_user_hears(agents: Agents) -> None:
    stream, user = agents.open()
    agents.tell(stream, "StreamOpened")
    agents.tell(stream, "StreamData", channel="stdout", data=b64(b"out"))
    agents.tell(stream, "StreamData", channel="stderr", data=b64(b"err"))
    agents.tell(stream, "StreamData", channel="elsewhere", data="")
    agents.tell(stream, "StreamEnd", exitCode=3)
    agents.tell(stream, "StreamData", channel="stdout", data=b64(b"late"))
    assert user.heard == ["opened", ("stdout", b"out"), ("stderr", b"err"), Ended(exit_code=3)]
    assert len(agents.streams) == 0


def test_only_its_own_agent_is_heard(agents: Agents) -> None:
    stream, user = agents.open()
    agents.tell(stream, "StreamEnd", instance="i2")
    agents.streams.received("i1", {"type": "miniecs.StreamEnd", "message": {"stream": "other"}})
    agents.streams.received("i1", {"type": "miniecs.StreamEnd", "message": None})
    assert (user.heard, len(agents.streams)) == ([], 1)


def test_credit_is_the_users_to_give(agents: Agents) -> None:
    stream, _ = agents.open()
    agents.tell(stream, "StreamData", channel="stdout", data=b64(bytes(CHUNK)))
    assert agents.sent == []
    stream.consumed(CHUNK)
    assert agents.sent == [("i1", "StreamCredit", {"stream": stream.id, "bytes": CHUNK})]
    with pytest.raises(FlowError):
        stream.consumed(1)


@pytest.mark.parametrize(
    ("type", "body"),
    [
        ("StreamData", {"channel": "stdout", "data": b64(bytes(WINDOW + 1))}),
        ("StreamData", {"channel": "stdout", "data": "?"}),
        ("StreamCredit", {"bytes": 1}),
    ],
)
def test_an_agent_that_breaks_the_rules_loses_the_stream(
    agents: Agents, type: str, body: dict[str, Any]
) -> None:
    stream, user = agents.open()
    agents.tell(stream, type, **body)
    (end,) = user.heard
    assert end.error.startswith("The agent does not keep to the protocol: ")
    assert agents.sent == [("i1", "StreamEnd", {"stream": stream.id})]


def test_input(agents: Agents) -> None:
    stream, user = agents.open()
    stream.write(bytes(CHUNK + 1))
    stream.resize(30, 100)
    stream.write(b"")
    stream.write(b"after its end")
    agents.tell(stream, "StreamCredit", bytes=CHUNK)
    data = {"stream": stream.id, "channel": "stdin"}
    assert agents.sent == [
        ("i1", "StreamData", {**data, "data": b64(bytes(CHUNK))}),
        ("i1", "StreamData", {**data, "data": b64(bytes(1))}),
        ("i1", "StreamResize", {"stream": stream.id, "rows": 30, "columns": 100}),
        ("i1", "StreamData", {**data, "data": ""}),
    ]
    assert user.heard == [CHUNK]


def test_more_input_than_there_is_credit_for_is_refused(agents: Agents) -> None:
    stream, _ = agents.open()
    stream.write(bytes(stream.window))
    with pytest.raises(FlowError):
        stream.write(b"x")


def test_many_streams_of_one_agent_are_narrow(agents: Agents) -> None:
    windows = [agents.open()[0].window for _ in range(WIDE_STREAMS + 1)]
    assert windows == [WINDOW] * WIDE_STREAMS + [NARROW]
    assert agents.open("i2")[0].window == WINDOW


def test_who_leaves_ends_it_and_hears_nothing_more(agents: Agents) -> None:
    stream, user = agents.open()
    stream.close()
    stream.close()
    assert agents.sent == [("i1", "StreamEnd", {"stream": stream.id})]
    agents.tell(stream, "StreamEnd")
    assert user.heard == []


def test_an_agent_that_is_gone_has_lost_its_streams(agents: Agents) -> None:
    (_, mine), (other, theirs) = agents.open("i1"), agents.open("i2")
    agents.streams.closed("i1")
    agents.streams.closed("i1")
    assert mine.heard == [Ended(error="The connection to the agent ended.", lost=True)]
    assert (theirs.heard, len(agents.streams)) == ([], 1)
    agents.tell(other, "StreamEnd", instance="i2", error="enough")
    assert theirs.heard == [Ended(error="enough")]


CONTAINERS = (Container("1", "web"), Container("2", "side"))
TASK = Task("t", "c", "d", "g", containers=CONTAINERS, container_instance_arn="i1")


class Store:
    """A store with one task, and the pulls that are told of it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.pulls = Pulls(self.store)
        self.put(TASK)

    def put(self, task: Task) -> Task:
        with self.store.transaction() as tx:
            tx.put(task)
        return task

    def tell(self, instance: str = "i1", **body: Any) -> None:
        whole = {"taskArn": "t", "container": "web", "image": "httpd", "status": "Downloading", **body}
        self.pulls.received(instance, {"type": "miniecs.PullProgress", "message": whole})


def test_the_latest_of_each_container() -> None:
    store = Store()
    store.tell(container="side", current=1, total=9)
    store.tell(current=1, total=5)
    store.tell(current=2, total=5)
    assert store.pulls.of(TASK) == [
        Pull("web", "httpd", "Downloading", 2, 5), Pull("side", "httpd", "Downloading", 1, 9)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"last_status": "RUNNING"}, {"last_status": "STOPPED"}, {"desired_status": "STOPPED"},
        {"containers": tuple(replace(c, runtime_id="x") for c in TASK.containers)},
    ],
)
def test_a_task_that_waits_no_more_shows_none(change: dict[str, Any]) -> None:
    store = Store()
    store.tell()
    assert store.pulls.of(store.put(replace(TASK, **change))) == []


def test_nothing_is_kept_of_tasks_that_wait_no_more() -> None:
    store = Store()
    store.tell()
    store.put(replace(TASK, last_status="RUNNING"))
    store.put(replace(TASK, arn="u"))
    store.tell(taskArn="u")
    assert len(store.pulls) == 1
    store.pulls.clear()
    assert len(store.pulls) == 0


@pytest.mark.parametrize(
    ("instance", "body"),
    [("i2", {}), ("i1", {"taskArn": "unknown"}), ("i1", {"container": "unknown"}), ("i1", {"taskArn": None})],
)
def test_nonsense_is_ignored(instance: str, body: dict[str, Any]) -> None:
    store = Store()
    store.tell(instance, **body)
    store.pulls.received("i1", {"type": "miniecs.PullProgress", "message": []})
    assert store.pulls.of(TASK) == []


@pytest.mark.parametrize(
    ("current", "total", "text"),
    [
        (34_400_000, 58_000_000, "pulling httpd, 34 of 58 MB"),
        (100_000, 2_500_000, "pulling httpd, 0.1 of 2.5 MB"),
        (9, 5_000_000, "pulling httpd, 0.0 of 5.0 MB"),
        (99_000_000, 58_000_000, "pulling httpd, 58 of 58 MB"),
        (0, 0, "pulling httpd"),
        ("x", -1, "pulling httpd"),
    ],
)
def test_how_it_is_said(current: Any, total: Any, text: str) -> None:
    store = Store()
    store.tell(current=current, total=total)
    assert [said(pull) for pull in store.pulls.of(TASK)] == [text]

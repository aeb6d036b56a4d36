"""The agent's end of streams, message by message."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from miniecs.model.stream import CHUNK, MOST_STREAMS, NARROW, WIDE_STREAMS, WINDOW
from miniecs_agent.host_engine import Command, EngineError, Output, PullProgress
from miniecs_agent.shell.streams import Streams, pull_progress

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/1"
LOGS: dict[str, Any] = {"kind": "logs", "taskArn": TASK, "container": "web", "logs": {"follow": True}}
EXEC: dict[str, Any] = {
    "kind": "exec", "taskArn": TASK, "container": "web", "exec": {"command": ["cat"], "stdin": True}
}

Message = tuple[str, dict[str, Any]]


class FakeCommand:
    """Ends when it is told to; takes input while ``takes``."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.took: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []
        self.closed = False
        self.takes = True
        self.refuses = False
        self.over = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def output(self) -> AsyncIterator[Output]:
        await self.over.wait()
        yield Output("stderr", b"bye")

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        if self.refuses:
            raise EngineError("it has ended")
        self.took.append(data)

    async def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))
        if self.refuses:
            raise EngineError("it has ended")

    async def exit_code(self) -> int:
        return self.code

    async def close(self) -> None:
        self.closed = True


class Bench:
    """One connection; ``outputs`` is what logs give, a failure ends them."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.outputs: list[Output | Exception] = []
        self.follows = True
        self.given = 0
        self.closed = 0
        self.asked: list[Any] = []
        self.command = FakeCommand(3)
        self.streams = Streams(self, self._note)

    def _note(self, message: dict[str, Any]) -> None:
        self.sent.append((message["type"][8:], message["message"]))

    async def logs(
        self, task_arn: str, container: str, *, follow: bool, tail: int | None, timestamps: bool, since: int
    ) -> AsyncIterator[Output]:
        self.asked.append((task_arn, container, follow, tail, timestamps, since))
        try:
            for output in self.outputs:
                if isinstance(output, Exception):
                    raise output
                self.given += 1
                yield output
            if self.follows and follow:
                await asyncio.Event().wait()
        finally:
            self.closed += 1

    async def execute(
        self, task_arn: str, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Command:
        self.asked.append((task_arn, container, command, tty, stdin))
        return self.command

    async def tell(self, type: str, stream: str = "s", **body: Any) -> list[Message]:
        """What the agent sends of it, and of whatever follows by itself."""
        self.streams.received({"type": f"miniecs.{type}", "message": {"stream": stream, **body}})
        return await self.heard()

    async def heard(self) -> list[Message]:
        for _ in range(50):
            await asyncio.sleep(0)
        sent, self.sent = self.sent, []
        return sent


def on(test: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
    """Run the test on a bench in an event loop, and leave no task behind."""

    async def whole() -> None:
        bench = Bench()
        await test(bench)
        bench.streams.closed()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        assert len(bench.streams) == 0

    def run() -> None:
        asyncio.run(whole())

    run.__name__ = test.__name__
    return run


def data(channel: str, content: bytes, stream: str = "s") -> Message:
    body = {"stream": stream, "channel": channel, "data": base64.b64encode(content).decode()}
    return "StreamData", body


def sizes(messages: list[Message]) -> list[int]:
    return [len(base64.b64decode(body["data"])) for type, body in messages if type == "StreamData"]


OPENED: Message = ("StreamOpened", {"stream": "s"})


@on
async def test_logs_from_beginning_to_end(bench: Bench) -> None:
    bench.outputs = [Output("stdout", b"a\n"), Output("stdout", b"b\n"), Output("stderr", b"c\n")]
    asked = {"tail": 5, "timestamps": True, "since": 7}
    assert await bench.tell("StreamOpen", **{**LOGS, "logs": asked}) == [
        OPENED, data("stdout", b"a\nb\n"), data("stderr", b"c\n"), ("StreamEnd", {"stream": "s"})
    ]
    assert bench.asked == [(TASK, "web", False, 5, True, 7)]


@on
async def test_the_engines_words_are_the_end(bench: Bench) -> None:
    bench.outputs = [Output("stdout", b"a"), EngineError("no such container")]
    assert await bench.tell("StreamOpen", **LOGS) == [
        OPENED, data("stdout", b"a"), ("StreamEnd", {"stream": "s", "error": "no such container"})
    ]


@on
async def test_nothing_is_read_that_has_no_room(bench: Bench) -> None:
    bench.outputs = [Output("stdout", bytes(CHUNK))] * 100
    begun = await bench.tell("StreamOpen", **LOGS)
    assert sum(sizes(begun)) == WINDOW
    assert bench.given * CHUNK <= WINDOW + 3 * CHUNK
    more = await bench.tell("StreamCredit", bytes=2 * CHUNK)
    assert sizes(more) == [CHUNK, CHUNK]
    assert bench.given * CHUNK <= WINDOW + 5 * CHUNK


@on
async def test_a_line_at_a_time_is_sent_at_a_time_but_a_storm_is_not(bench: Bench) -> None:
    bench.outputs = [Output("stdout", b"x\n")] * 10_000
    assert sizes(await bench.tell("StreamOpen", **LOGS)) == [20_000]


@on
async def test_the_end_of_the_user_is_the_end_of_reading(bench: Bench) -> None:
    bench.outputs = [Output("stdout", bytes(CHUNK))] * 100
    await bench.tell("StreamOpen", **LOGS)
    assert await bench.tell("StreamEnd") == []
    assert (bench.closed, len(bench.streams)) == (1, 0)
    assert await bench.tell("StreamCredit", bytes=10) == []


@on
async def test_the_end_of_the_connection_is_the_end_of_all(bench: Bench) -> None:
    await bench.tell("StreamOpen", "s", **LOGS)
    await bench.tell("StreamOpen", "t", **EXEC)
    bench.streams.closed()
    assert await bench.heard() == []
    assert (bench.closed, bench.command.closed) == (1, True)


@on
async def test_a_command(bench: Bench) -> None:
    options = {"command": ["sh", "-c", "x"], "tty": True, "stdin": True, "rows": 30, "columns": 100}
    assert await bench.tell("StreamOpen", **{**EXEC, "exec": options}) == [OPENED]
    assert bench.asked == [(TASK, "web", ["sh", "-c", "x"], True, True)]
    assert await bench.tell("StreamData", channel="stdin", data="aGk=") == []
    assert await bench.tell("StreamResize", rows=40, columns=120) == []
    assert await bench.tell("StreamResize", rows=0, columns=-1) == []
    assert await bench.tell("StreamData", channel="stdin", data="") == []
    assert (bench.command.took, bench.command.sizes) == ([b"hi", b""], [(30, 100), (40, 120)])
    bench.command.over.set()
    assert await bench.heard() == [data("stderr", b"bye"), ("StreamEnd", {"stream": "s", "exitCode": 3})]
    assert bench.command.closed


def stdin(content: bytes) -> dict[str, str]:
    return {"channel": "stdin", "data": base64.b64encode(content).decode()}


@on
async def test_input_is_credited_when_the_command_has_taken_it(bench: Bench) -> None:
    await bench.tell("StreamOpen", **EXEC)
    bench.command.reads.clear()
    for _ in range(WINDOW // CHUNK):
        assert await bench.tell("StreamData", **stdin(bytes(CHUNK))) == []
    bench.command.reads.set()
    credits = await bench.heard()
    assert credits == [("StreamCredit", {"stream": "s", "bytes": CHUNK})] * (WINDOW // CHUNK)


@on
async def test_a_command_that_has_closed_its_input_does_not_stop_the_sender(bench: Bench) -> None:
    await bench.tell("StreamOpen", **EXEC)
    bench.command.refuses = True
    assert await bench.tell("StreamResize", rows=1, columns=1) == []
    for _ in range(2 * WINDOW // CHUNK):
        credit = await bench.tell("StreamData", **stdin(bytes(CHUNK)))
        assert credit == [("StreamCredit", {"stream": "s", "bytes": CHUNK})]


@on
async def test_more_input_than_there_was_credit_for_breaks_the_stream(bench: Bench) -> None:
    await bench.tell("StreamOpen", **EXEC)
    bench.command.reads.clear()
    (end,) = await bench.tell("StreamData", **stdin(bytes(WINDOW + 1)))
    why = f"The stream is broken: {WINDOW + 1} bytes under way, where {WINDOW} may be."
    assert end == ("StreamEnd", {"stream": "s", "error": why})
    assert (bench.command.closed, len(bench.streams)) == (True, 0)


@pytest.mark.parametrize(
    ("type", "body"),
    [
        ("StreamCredit", {}), ("StreamCredit", {"bytes": -1}), ("StreamCredit", {"bytes": 1}),
        ("StreamCredit", {"bytes": "1"}), ("StreamData", {"data": "%%"}),
    ],
)
def test_what_makes_no_sense_breaks_the_stream_alone(type: str, body: dict[str, Any]) -> None:
    @on
    async def test(bench: Bench) -> None:
        await bench.tell("StreamOpen", "other", **LOGS)
        await bench.tell("StreamOpen", **EXEC)
        ((kind, end),) = await bench.tell(type, **body)
        assert (kind, end["stream"], end["error"][:22]) == ("StreamEnd", "s", "The stream is broken: ")
        assert len(bench.streams) == 1

    test()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "it has no taskArn"),
        ({"taskArn": TASK}, "it has no container"),
        ({"taskArn": TASK, "container": "web"}, "it has no None"),
        ({"taskArn": TASK, "container": "web", "kind": "cp", "cp": {}}, "it does not know 'cp'"),
        ({**LOGS, "logs": {"tail": -1}}, "tail -1 is no number of lines"),
        ({**LOGS, "logs": {"tail": "1"}}, "tail '1' is no number of lines"),
        ({**EXEC, "exec": {}}, "it has no command"),
        ({**EXEC, "exec": {"command": []}}, "it has no command"),
        ({**EXEC, "exec": {"command": [1]}}, "it has no command"),
    ],
)
def test_what_cannot_be_opened(body: dict[str, Any], why: str) -> None:
    @on
    async def test(bench: Bench) -> None:
        error = f"The agent cannot do this: {why}."
        assert await bench.tell("StreamOpen", **body) == [("StreamEnd", {"stream": "s", "error": error})]

    test()


@on
async def test_what_is_of_no_stream_is_ignored(bench: Bench) -> None:
    messages: tuple[dict[str, Any], ...] = ({}, {"message": 1}, {"message": {}}, {"message": {"stream": 1}})
    for message in messages:
        bench.streams.received({"type": "miniecs.StreamOpen", **message})
    bench.streams.received({"type": "miniecs.Future", "message": {"stream": "s"}})
    assert await bench.heard() == []


@on
async def test_the_first_streams_are_wide_the_others_narrow_and_there_is_a_last(bench: Bench) -> None:
    bench.outputs = [Output("stdout", bytes(CHUNK))] * 100
    sent = [sum(sizes(await bench.tell("StreamOpen", str(n), **LOGS))) for n in range(MOST_STREAMS)]
    assert sent == [WINDOW] * WIDE_STREAMS + [NARROW] * (MOST_STREAMS - WIDE_STREAMS)
    error = f"The agent cannot do this: this agent has {MOST_STREAMS} streams open."
    assert await bench.tell("StreamOpen", **LOGS) == [("StreamEnd", {"stream": "s", "error": error})]


@on
async def test_a_bug_ends_its_stream_and_says_so(bench: Bench) -> None:
    bench.outputs = [RuntimeError("oops")]
    error = "The agent failed: RuntimeError('oops')."
    assert await bench.tell("StreamOpen", **LOGS) == [OPENED, ("StreamEnd", {"stream": "s", "error": error})]


def test_how_far_an_image_is() -> None:
    assert pull_progress(PullProgress(TASK, "web", "httpd:2.4", "Downloading", 34, 58)) == {
        "type": "miniecs.PullProgress",
        "message": {
            "taskArn": TASK, "container": "web", "image": "httpd:2.4", "status": "Downloading",
            "current": 34, "total": 58,
        },
    }

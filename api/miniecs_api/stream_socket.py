"""The users' end of streams: a websocket at /_miniecs/streams, one for each `miniecs logs` or `miniecs exec`.

The first message asks (stream_requests.Request). Then text frames are JSON: ``streams`` or ``refused`` as
the answer; ``credit``, ``resize`` and ``end``. Binary frames are data: the number of the stream, a channel (0
stdin, 1 stdout, 2 stderr), the bytes; an empty stdin frame is its end. Credit comes from the user's program,
not from TCP: one that does not read its socket cannot answer pings either, and would be given up for dead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from miniecs.model import arns
from miniecs.model import stream as wire
from miniecs.model.stream import FlowError
from miniecs.model.task import Task
from miniecs.store import Commit, Store
from miniecs_api import stream_requests
from miniecs_api.stream_requests import Refused, Request, Target
from miniecs_api.streams import Ended, Stream, Streams

PATH = "/_miniecs/streams"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CHANNELS = {wire.STDIN: 0, wire.STDOUT: 1, wire.STDERR: 2}
_NORMAL, _POLICY_VIOLATION = 1000, 1008
_ANSWER_WITHIN = 10.0  # seconds that an agent has to say that it has begun; one that is not ours never does
_ASK_WITHIN = 10.0


class StreamSockets:
    """The ASGI app. simulated: there is nothing to see in containers."""

    def __init__(self, store: Store, streams: Streams, *, simulated: bool) -> None:
        self._store = store
        self._streams = streams
        self._simulated = simulated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        connection = _Connection(self._store, self._streams)
        writing = asyncio.create_task(connection.write(send))
        try:
            await self._serve(connection, receive)
            await writing
        except OSError:
            pass  # the line broke, which is how users leave
        finally:
            connection.close()
            writing.cancel()

    async def _serve(self, connection: _Connection, receive: Receive) -> None:
        """Until the user has left, or all was said."""
        try:
            event = await asyncio.wait_for(receive(), _ASK_WITHIN)
            if event["type"] != "websocket.receive":
                connection.leave()
                return
            request = stream_requests.read(_text(event))
            if self._simulated:
                what = "write no logs" if request.kind == "logs" else "run no commands"
                raise Refused(f"Simulated containers {what}. `up --runtime docker` runs real ones.")
            connection.open(request, stream_requests.target(self._store, request))
        except TimeoutError:
            connection.end(_POLICY_VIOLATION, "nothing was asked")
            return
        except Refused as refusal:
            connection.say({"type": "refused", "message": str(refusal), "lost": refusal.lost})
            connection.end(_NORMAL)
            return
        reading = asyncio.create_task(_read(connection, receive))
        try:
            await asyncio.wait((reading, connection.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(connection: _Connection, receive: Receive) -> None:
    try:
        while (event := await receive())["type"] == "websocket.receive":
            data = event.get("bytes")
            if data is not None:
                connection.write_to_container(data)
            else:
                connection.told(orjson.loads(event["text"]))
    except (FlowError, ValueError, KeyError, TypeError, IndexError) as problem:
        connection.end(_POLICY_VIOLATION, f"not understood: {problem!r}"[:100])
        return
    connection.leave()


class _Connection:
    """One user, with the streams of one task."""

    def __init__(self, store: Store, streams: Streams) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.writes = False  # whether the user does
        self._store = store
        self._hub = streams
        self._users: list[_User] = []
        self._out: deque[str | bytes] = deque()
        self._more = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._left = False
        self._unsubscribe: Callable[[], None] | None = None

    def open(self, request: Request, target: Target) -> None:
        """Ask the agent for each of the containers, or, to follow what has not begun, once it has."""
        self._users = [
            _User(self, number, container.name) for number, container in enumerate(target.containers)
        ]
        self.say({"type": "streams", "task": target.task.arn, "containers": [u.name for u in self._users]})
        self.writes = request.exec is not None and request.exec.stdin
        follow = request.logs is not None and request.logs.follow
        for user, container in zip(self._users, target.containers, strict=True):
            user.request = _message(request, target, user.name)
            if stream_requests.has_begun(container):
                user.start(self._hub, target.instance_arn)
            elif not follow or stream_requests.never_ran(target.task, user.name):
                why = stream_requests.never_ran(target.task, user.name)
                user.ended(Ended(error=why or f"Container {user.name} has not started yet."))
        if any(user.awaited for user in self._users):
            self._unsubscribe = self._store.subscribe(lambda commit: self._on_commit(target, commit))

    def _on_commit(self, target: Target, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is not Task or change.key != target.task.arn:
                continue
            task: Task | None = change.after
            for user in [user for user in self._users if user.awaited]:
                if task is None:
                    user.ended(Ended(error="The task is gone."))
                elif any(c.name == user.name and stream_requests.has_begun(c) for c in task.containers):
                    user.start(self._hub, target.instance_arn)
                elif (why := stream_requests.never_ran(task, user.name)) is not None:
                    user.ended(Ended(error=why))

    # From the user

    def told(self, message: dict[str, Any]) -> None:
        """Raises FlowError, and ValueError and the like for what makes no sense."""
        match message["type"]:
            case "credit":
                self._user(message["stream"]).consumed(wire.whole(message, "bytes"))
            case "resize":
                self._users[0].resize(wire.whole(message, "rows"), wire.whole(message, "columns"))
            case other:
                raise ValueError(f"no message is called {other!r}")

    def write_to_container(self, frame: bytes) -> None:
        self._user(frame[0]).write(frame[2:])

    def _user(self, number: int) -> _User:
        return {user.number: user for user in self._users}[number]

    # To the user

    def say(self, message: dict[str, Any]) -> None:
        self._put(orjson.dumps(message).decode())

    def data(self, frame: bytes) -> None:
        self._put(frame)

    def _put(self, frame: str | bytes) -> None:
        self._out.append(frame)
        self._more.set()

    def end(self, code: int, reason: str = "") -> None:
        """Close the websocket after what was said before."""
        if self._closing is None:
            self._closing = (code, reason)
            self._more.set()
        if not self.ended.done():
            self.ended.set_result(None)

    def leave(self) -> None:
        """The user has gone: nothing is said any more."""
        self._left = True
        self.end(_NORMAL)

    def has_ended(self) -> None:
        """One of the streams has."""
        if all(user.is_over for user in self._users):
            self.end(_NORMAL)

    def close(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        for user in self._users:
            user.close()

    async def write(self, send: Send) -> None:
        while not self._left:
            while self._out and not self._left:
                frame = self._out.popleft()
                name = "text" if isinstance(frame, str) else "bytes"
                await send({"type": "websocket.send", name: frame})
            if self._left:
                return
            if self._closing is not None:
                code, reason = self._closing
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return
            self._more.clear()
            await self._more.wait()


class _User:
    """One stream's listener: one container of the task."""

    def __init__(self, connection: _Connection, number: int, name: str) -> None:
        self.name = name
        self.request: dict[str, Any] = {}
        self.is_over = False
        self._connection = connection
        self.number = number
        self._stream: Stream | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def awaited(self) -> bool:
        """Whether its container has yet to begin."""
        return self._stream is None and not self.is_over

    def start(self, streams: Streams, instance_arn: str) -> None:
        self._stream = streams.open(instance_arn, self.request, self)
        name = arns.name_of(instance_arn)[:8]
        if self._stream is None:
            self.ended(Ended(error=f"The agent of container instance {name} is not connected.", lost=True))
            return
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(_ANSWER_WITHIN, self._unanswered, name)

    def _unanswered(self, instance: str) -> None:
        self.close()
        why = f"The agent of container instance {instance} does not answer: only miniecs's own agent can."
        self.ended(Ended(error=why))

    def consumed(self, count: int) -> None:
        if self._stream is not None and not self.is_over:
            self._stream.consumed(count)

    def write(self, data: bytes) -> None:
        if self._stream is not None and not self.is_over:
            self._stream.write(data)

    def resize(self, rows: int, columns: int) -> None:
        if self._stream is not None and not self.is_over:
            self._stream.resize(rows, columns)

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._stream is not None and not self.is_over:
            self._stream.close()

    # What the streams tell

    def opened(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._stream is not None and self._connection.writes:
            self.credited(self._stream.window)

    def received(self, channel: str, data: bytes) -> None:
        self._connection.data(bytes((self.number, _CHANNELS[channel])) + data)

    def credited(self, count: int) -> None:
        self._connection.say({"type": "credit", "stream": self.number, "bytes": count})

    def ended(self, how: Ended) -> None:
        self.is_over = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._connection.say(
            {
                "type": "end",
                "stream": self.number,
                "exitCode": how.exit_code,
                "error": how.error,
                "lost": how.lost,
            }
        )
        self._connection.has_ended()


def _message(request: Request, target: Target, container: str) -> dict[str, Any]:
    """The OPEN message for one container, but for the stream's id."""
    message: dict[str, Any] = {"kind": request.kind, "taskArn": target.task.arn, "container": container}
    if request.logs is not None and request.kind == "logs":
        message["logs"] = request.logs.of(container)
    if request.exec is not None and request.kind == "exec":
        message["exec"] = request.exec.model_dump()
    return message


def _text(event: MutableMapping[str, Any]) -> str:
    text = event.get("text")
    if text is None:
        raise Refused("The first message is the request, as text.")
    return str(text)

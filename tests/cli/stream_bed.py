"""A server with the users' end of streams, agents' streams behind it, and containers that are not there.

What a container wrote is a list; a command in one is a process of this machine. All between is real: uvicorn,
the gate, the hub, the agent's streams. The line between hub and agent can be cut, and the server be ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from miniecs.ids import Ids
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Container, Task
from miniecs.store.memory import MemoryStore
from miniecs_agent.host_engine import EngineError, Output
from miniecs_agent.shell import streams as agent
from miniecs_api.app import ASGIApp, create_app
from miniecs_api.door import DoorSettings
from miniecs_api.stream_socket import PATH, StreamSockets
from miniecs_api.streams import Streams

T = TypeVar("T")

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
INSTANCE = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/" + "c" * 32
ID = "0123456789abcdef" * 2
TASK = f"arn:aws:ecs:us-east-1:000000000000:task/default/{ID}"


_WITH_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Log:
    """A container's log, as an engine keeps it: (stamp, stream, line)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, bytes]] = []
        self.over = False
        self.grown = asyncio.Event()

    def write(self, data: bytes, stream: str = "stdout") -> None:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"
        self.lines.append((stamp, stream, data))
        self.grown.set()


class LocalCommand:
    """A process of this machine in the place of one in a container."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None) -> None:
        self._process = process
        self._terminal = terminal

    async def output(self) -> AsyncIterator[Output]:
        if self._terminal is not None:
            reader = asyncio.StreamReader()
            terminal = os.fdopen(os.dup(self._terminal), "rb", buffering=0)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), terminal
            )
            try:
                while data := await reader.read(65536):
                    yield Output("stdout", data)
            except OSError:
                pass  # Linux: nobody has the other side any more
            finally:
                transport.close()
            return
        queue: asyncio.Queue[Output | None] = asyncio.Queue(4)

        async def copy(name: str, source: asyncio.StreamReader) -> None:
            while data := await source.read(16384):
                await queue.put(Output(name, data))
            await queue.put(None)

        assert self._process.stdout is not None and self._process.stderr is not None
        copying = (
            asyncio.create_task(copy("stdout", self._process.stdout)),
            asyncio.create_task(copy("stderr", self._process.stderr)),
        )
        ended = 0
        while ended < len(copying):
            output = await queue.get()
            if output is None:
                ended += 1
            else:
                yield output

    async def write(self, data: bytes) -> None:
        if self._terminal is not None:
            os.write(self._terminal, data)
            return
        stdin = self._process.stdin
        assert stdin is not None
        if not data:
            stdin.close()
            return
        stdin.write(data)
        try:
            await stdin.drain()
        except ConnectionError as problem:
            raise EngineError("it reads no more") from problem

    async def resize(self, rows: int, columns: int) -> None:
        assert self._terminal is not None
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def exit_code(self) -> int:
        return await self._process.wait()

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        if self._terminal is not None:
            os.close(self._terminal)


class Engine:
    """The containers of one instance, by name; their task is always the same."""

    def __init__(self) -> None:
        self.containers: dict[str, Log] = {}
        self.asked: list[tuple[str, bool, int | None, bool, int]] = []
        self.reading = 0

    async def logs(
        self, task_arn: str, container: str, *, follow: bool, tail: int | None, timestamps: bool, since: int
    ) -> AsyncIterator[Output]:
        self.asked.append((container, follow, tail, timestamps, since))
        log = self.containers.get(container)
        if task_arn != TASK or log is None:
            raise EngineError(f"No such container: {container}")
        self.reading += 1
        try:
            at = 0 if tail is None else max(0, len(log.lines) - tail)
            oldest = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
            while True:
                while at < len(log.lines):
                    stamp, stream, line = log.lines[at]
                    at += 1
                    if stamp >= oldest:
                        yield Output(stream, stamp.encode() + b" " + line if timestamps else line)
                if log.over or not follow:
                    return
                log.grown.clear()
                await log.grown.wait()
        finally:
            self.reading -= 1

    async def execute(
        self, task_arn: str, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> LocalCommand:
        if container not in self.containers:
            raise EngineError(f"No such container: {container}")
        outer: int | None = None
        if tty:
            outer, inner = pty.openpty()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _WITH_TERMINAL, *command,
                stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            )
            os.close(inner)
        else:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        return LocalCommand(process, outer)


class Bed:
    """One server in a thread, with one task of the containers ``names`` on one instance."""

    def __init__(self, *names: str, simulated: bool = False) -> None:
        self.store = MemoryStore()
        self.loop = asyncio.new_event_loop()
        self.engine = Engine()
        self.agent: agent.Streams | None = None
        self.holds_back = False  # whether the agent's messages get lost on their way
        self.simulated = simulated
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        containers = tuple(Container(f"id-{name}", name) for name in names)
        self.put(ContainerInstance(INSTANCE, CLUSTER))
        task = Task(TASK, CLUSTER, f"{CLUSTER}:1", "family:web", containers=containers)
        self.put(replace(task, container_instance_arn=INSTANCE))
        self.port = 0
        self.hub = Streams(self._to_agent, Ids(7))
        self.start_server()
        self.start_agent()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, what: Callable[[], T]) -> T:
        """Call it in the server's thread."""

        async def called() -> T:
            return what()

        return self.wait(called())

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(20)

    # Containers

    def put(self, thing: Any) -> None:
        def write() -> None:
            with self.store.transaction() as tx:
                tx.put(thing)

        self.do(write)

    def run(self, name: str) -> Log:
        """The container begins."""
        log = self.do(Log)
        self.engine.containers[name] = log
        self._change(name, last_status="RUNNING", runtime_id=f"docker-{name}")
        return log

    def write(self, name: str, *lines: bytes, stream: str = "stdout") -> None:
        def write() -> None:
            for line in lines:
                self.engine.containers[name].write(line, stream)

        self.do(write)

    def stop(self, name: str, **changes: Any) -> None:
        """The container ends."""
        self._change(name, last_status="STOPPED", **changes)
        log = self.engine.containers.get(name)
        if log is not None:
            log.over = True
            self.do(log.grown.set)

    def _change(self, name: str, **changes: Any) -> None:
        task = self.do(lambda: self.store.get(Task, TASK))
        if task is None:
            return  # dropped, and its containers with it
        containers = tuple(replace(c, **changes) if c.name == name else c for c in task.containers)
        self.put(replace(task, containers=containers))

    # The server and the agent, which come and go

    def start_server(self) -> None:
        self.wait(self._start_server())

    async def _start_server(self) -> None:
        sockets: ASGIApp = StreamSockets(self.store, self.hub, simulated=self.simulated)
        nobody: Any = None
        app = create_app(
            nobody, nobody, nobody, DoorSettings(), implemented=frozenset(), websockets={PATH: sockets}
        )
        config = uvicorn.Config(
            app, log_level="error", lifespan="off", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server._serve([listener]))

    def stop_server(self) -> None:
        async def stop() -> None:
            assert self._server is not None and self._serving is not None
            self._server.should_exit = True
            await self._serving

        self.wait(stop())

    def start_agent(self) -> None:
        def start() -> None:
            self.agent = agent.Streams(self.engine, self._from_agent)

        self.do(start)

    def cut(self) -> None:
        """The agent's connection ends: each side is told, and nothing that was sent arrives any more."""

        def cut() -> None:
            gone, self.agent = self.agent, None
            assert gone is not None
            gone.closed()
            self.hub.closed(INSTANCE)

        self.do(cut)

    def _to_agent(self, instance_arn: str, message: dict[str, Any]) -> bool:
        there = self.agent
        if there is None:
            return False
        self.loop.call_soon(lambda: there.received(message) if self.agent is there else None)
        return True

    def _from_agent(self, message: dict[str, Any]) -> None:
        there = self.agent
        if not self.holds_back:
            self.loop.call_soon(lambda: self.hub.received(INSTANCE, message) if self.agent is there else None)

    @contextlib.contextmanager
    def folder(self, path: Path) -> Iterator[Path]:
        """A data folder on which this seems to be the server that runs, for the command line in a process."""
        script = "import sys; print(flush=True); sys.stdin.read()"
        line = [sys.executable, "-c", script, "miniecs", "server", "--data-dir", str(path)]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            told = {"pid": server.pid, "endpoint": self.endpoint, "version": "0"}
            (path / "server.json").write_text(json.dumps(told))
            try:
                yield path
            finally:
                server.kill()

    def close(self) -> None:
        if self.agent is not None:
            self.cut()
        self.stop_server()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

"""A small control plane on loopback, and an engine made of simulated ones: what the shell meets in tests.

The control plane says only what a test tells it to and keeps all that it heard; the machine outlives the
processes that use it, as Docker does.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from miniecs.clock import SystemClock
from miniecs.ids import Ids
from miniecs_agent.engine import EngineCall, EngineContainer, EngineEvent
from miniecs_agent.host_engine import (
    Command,
    EngineError,
    EngineFacts,
    EngineGone,
    InstanceEngine,
    InstanceSettings,
    Output,
    Owner,
    PullProgress,
    Usage,
)
from miniecs_agent.shell.main import AgentOptions, AgentProcess
from miniecs_agent.shell.timers import LoopTimers
from miniecs_agent.sim.engine import Latencies, SimEngine

from .cases import CLUSTER

Message = dict[str, Any]
WITHIN = 5.0  # seconds that a test waits for anything

ACS, TCS, HOST = "/acs/ws", "/tcs/ws", "/host/ws"


async def until(condition: Callable[[], object], what: str, within: float = WITHIN) -> None:
    """Wait for something that happens elsewhere on this loop."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"waited {within} s for {what}"
        await asyncio.sleep(0.005)


@dataclass
class Call:
    operation: str
    params: dict[str, Any]
    headers: dict[str, str]
    body: bytes


@dataclass
class Socket:
    """The server's end of a websocket. ``frames``: as they came; ``messages``: their JSON."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw_query: str
    send: Callable[[MutableMapping[str, Any]], Any]
    frames: list[str] = field(default_factory=list)
    open: bool = True

    @property
    def messages(self) -> list[Message]:
        return [json.loads(frame[frame.index("{") :]) for frame in self.frames]

    def of(self, kind: str) -> list[Any]:
        return [message["message"] for message in self.messages if message["type"] == kind]

    async def say(self, kind: str, /, **body: Any) -> None:
        await self.send({"type": "websocket.send", "text": json.dumps({"type": kind, "message": body})})

    async def say_text(self, text: str) -> None:
        await self.send({"type": "websocket.send", "text": text})

    async def hang_up(self, code: int = 1000, reason: str = "") -> None:
        await self.send({"type": "websocket.close", "code": code, "reason": reason})


class FakeControlPlane:
    """HTTP and websockets. ``answers``: by operation, (status, body) or a function of the parameters."""

    def __init__(self) -> None:
        self.port = 0
        self.calls: list[Call] = []
        self.sockets: list[Socket] = []
        self.answers: dict[str, Any] = {}
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}  # of handshakes, by path
        self.desired: Message | None = None  # said on the host link after each hello
        self.reads = asyncio.Event()  # cleared: nothing more is read from any websocket
        self.reads.set()
        self._server: uvicorn.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, interface="asgi3", ws="websockets-sansio", lifespan="off", log_config=None
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server._serve([listener]))
        await until(lambda: self._server is not None and self._server.started, "the fake control plane")

    async def stop(self) -> None:
        """As if killed: connections are cut, nobody listens."""
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._server.should_exit = self._server.force_exit = True
        await self._serving

    def cut(self, path: str) -> None:
        """Cut the lines of a kind, without a word."""
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            scope: Any = getattr(connection, "scope", None)
            if scope and scope["path"] == path:
                connection.transport.abort()

    # What was heard

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [call.params for call in self.calls if call.operation == operation]

    def statuses(self, task_arn: str) -> list[str]:
        return [p["status"] for p in self.of("SubmitTaskStateChange") if p["task"] == task_arn]

    def open(self, path: str) -> list[Socket]:
        return [each for each in self.sockets if each.path == path and each.open]

    async def socket(self, path: str, number: int = 0) -> Socket:
        """The ``number``-th websocket of a kind that is opened, when it is."""
        def found() -> list[Socket]:
            return [each for each in self.sockets if each.path == path]

        await until(lambda: len(found()) > number, f"{path} {number}")
        return found()[number]

    # ASGI

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._call(scope, receive, send)
        else:
            await self._connected(scope, receive, send)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        operation = headers["x-amz-target"].rpartition(".")[2]
        params = json.loads(body)
        self.calls.append(Call(operation, params, headers, body))
        answer = self.answers.get(operation, self._default(operation, params))
        status, content = answer(params) if callable(answer) else answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        start = {"type": "http.response.start", "status": status}
        await send({**start, "headers": [(b"content-length", str(len(data)).encode())]})
        await send({"type": "http.response.body", "body": data})

    def _default(self, operation: str, params: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match operation:
            case "RegisterContainerInstance":
                id = json.loads(params["instanceIdentityDocument"])["instanceId"]
                arn = CLUSTER.replace(":cluster/", ":container-instance/") + f"/{id.removeprefix('i-'):0>32}"
                return 200, {"containerInstance": {"containerInstanceArn": arn}}
            case "DiscoverPollEndpoint":
                return 200, {
                    "endpoint": f"{self.endpoint}/acs",
                    "telemetryEndpoint": f"{self.endpoint}/tcs/",
                }
        return 200, {"acknowledgment": "ACK"}

    async def _connected(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        refusal = self.refusals.get(scope["path"])
        if refusal is not None:
            data = json.dumps(refusal[1]).encode()
            headers = [(b"content-length", str(len(data)).encode())]
            start = {"type": "websocket.http.response.start", "status": refusal[0], "headers": headers}
            await send(start)
            await send({"type": "websocket.http.response.body", "body": data})
            return
        await send({"type": "websocket.accept"})
        raw = scope["query_string"].decode()
        headers_ = {name.decode(): value.decode() for name, value in scope["headers"]}
        line = Socket(scope["path"], dict(parse_qsl(raw)), headers_, raw, send)
        self.sockets.append(line)
        while (event := await receive())["type"] == "websocket.receive":
            line.frames.append(event["text"])
            await self.reads.wait()
            if self.desired is not None and line.messages[-1]["type"] == "miniecs.HostHello":
                await line.say("miniecs.HostInstances", **self.desired)
        line.open = False


# Engines


FACTS = EngineFacts(
    id="ENGINE:1",
    product="Docker",
    version="20.10.24",
    api_version="1.41",
    cpus=2,
    memory=8192,
    architecture="x86_64",
    operating_system="Debian GNU/Linux 12",
    kernel="6.1",
)
QUICK = Latencies(pull=(0.0, 0.01), create=(0.0, 0.0), start=(0.0, 0.01), stop=(0.0, 0.01))


class Machine:
    """What lasts: simulated engines by instance, whoever looks at them; and what is wrong with the engine."""

    def __init__(self) -> None:
        self.engines: dict[str, SimEngine] = {}
        self.refuses: dict[str, str] = {}  # instance id -> why it cannot be opened or removed
        self.problem: EngineError | None = None  # of the engine as a whole
        self.hosts: list[SimHost] = []
        self.opened: list[InstanceSettings] = []
        self.balancers: dict[str, str] = {}
        self.owners: list[Owner] = []

    def engine(self) -> SimHost:
        host = SimHost(self)
        self.hosts.append(host)
        return host

    def containers(self) -> list[EngineContainer]:
        return [each for engine in self.engines.values() for each in engine.containers()]

    def running(self) -> list[str]:
        return sorted(each.name for each in self.containers() if each.state == "running")


class SimHost:
    """miniecs_agent.host_engine.HostEngine, as one process sees the machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._facts: EngineFacts | None = None
        self._connected = False
        self.changed: Callable[[bool], None] = lambda answers: None
        self.progress: Callable[[PullProgress], None] = lambda progress: None

    @property
    def facts(self) -> EngineFacts:
        assert self._facts is not None
        return self._facts

    @property
    def connected(self) -> bool:
        return self._connected

    async def start(
        self, owner: Owner, changed: Callable[[bool], None], progress: Callable[[PullProgress], None]
    ) -> None:
        if self._machine.problem is not None:
            raise self._machine.problem
        self._machine.owners.append(owner)
        self._facts, self._connected = FACTS, True
        self.changed, self.progress = changed, progress

    def answers(self, answers: bool) -> None:
        """The engine goes, or comes."""
        self._connected = answers
        self.changed(answers)

    async def instances(self) -> Sequence[str]:
        return list(self._machine.engines)

    async def open(
        self, settings: InstanceSettings, listener: Callable[[EngineEvent], None]
    ) -> InstanceEngine:
        id = settings.instance_id
        self._machine.opened.append(settings)
        if id in self._machine.refuses:
            raise EngineError(self._machine.refuses[id])
        engine = self._machine.engines.get(id)
        if engine is None:
            address = f"172.31.0.{len(self._machine.engines) + 1}"
            timers = LoopTimers(SystemClock())
            engine = SimEngine(timers, Ids(), address, listener, settings.timing, QUICK)
            self._machine.engines[id] = engine
        engine.listener = listener
        return SimInstance(engine, f"172.31.0.{list(self._machine.engines).index(id) + 1}")

    async def remove(self, instance_id: str) -> None:
        if instance_id in self._machine.refuses:
            raise EngineError(self._machine.refuses[instance_id])
        self._machine.engines.pop(instance_id, None)

    async def load_balancers(self, arns: Sequence[str]) -> Mapping[str, str]:
        self._machine.balancers = {arn: f"172.31.9.{number}" for number, arn in enumerate(arns, 1)}
        return self._machine.balancers

    async def close(self) -> None:
        self._connected = False
        for engine in self._machine.engines.values():
            engine.listener = lambda event: None


class SimInstance:
    """miniecs_agent.host_engine.InstanceEngine on a simulated engine."""

    def __init__(self, engine: SimEngine, address: str) -> None:
        self.engine = engine
        self.address = address

    def perform(self, now: float, call: EngineCall) -> None:
        self.engine.perform(now, call)

    def containers(self) -> Sequence[EngineContainer]:
        return self.engine.containers()

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        running = [c for c in self.engine.containers() if c.state == "running"]
        return {(c.task_arn, c.name): Usage(10**9, 2**20, 1, 2, 3, 4) for c in running}

    async def logs(
        self,
        task_arn: str,
        container: str,
        *,
        follow: bool,
        tail: int | None,
        timestamps: bool,
        since: int = 0,
    ) -> AsyncIterator[Output]:
        yield Output("stdout", f"{container} says hello\n".encode())

    async def execute(
        self, task_arn: str, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Command:
        raise EngineError("no commands here")


# An agent's process


def instance(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "instanceId": f"i-{number:017x}",
        "arn": None,
        "cluster": CLUSTER,
        "zone": "us-east-1a",
        "instanceType": "t3.medium",
        "cpu": 2048,
        "memory": 4096,
        "attributes": {},
        **fields,
    }


def desired(*instances: dict[str, Any], generation: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "owner": "0123456789ab",
        "dataDir": "/data",
        "timeScale": 1.0,
        "allowPrivileged": False,
        "generation": generation,
        "instances": list(instances),
        **fields,
    }


class Bed:
    """A control plane, a machine, and agents' processes."""

    def __init__(self) -> None:
        self.plane = FakeControlPlane()
        self.machine = Machine()
        self.exit_code: int | None = None

    def options(self, **fields: Any) -> AgentOptions:
        given = {"access_key": "A" * 20, "secret_key": "s" * 40, "local": True, "name": "laptop"}
        return AgentOptions(self.plane.endpoint, **{**given, **fields})

    @asynccontextmanager
    async def agent(self, **fields: Any) -> AsyncIterator[AgentProcess]:
        """An agent's process; ended as by SIGTERM."""
        agent = AgentProcess(self.options(**fields), self.machine.engine)
        running = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            agent.stop()
            self.exit_code = await running

    async def killed(self, **fields: Any) -> int:
        """Run an agent that ends by itself; its exit code."""
        agent = AgentProcess(self.options(**fields), self.machine.engine)
        return await asyncio.wait_for(agent.run(), WITHIN)


@asynccontextmanager
async def bed(**fields: Any) -> AsyncIterator[Bed]:
    it = Bed()
    await it.plane.start()
    try:
        yield it
    finally:
        it.plane.reads.set()
        await it.plane.stop()


@contextmanager
def gone(machine: Machine, problem: EngineError | None = None) -> Iterator[None]:
    """The engine cannot be reached, or used."""
    machine.problem = problem or EngineGone("Cannot connect to the Docker daemon at unix:///nowhere")
    try:
        yield
    finally:
        machine.problem = None

"""Health checks over the network, of real listeners on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from miniecs.config import Timing
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import HealthCheck, Target, TargetGroup
from miniecs.serve.probes import NetworkProber, ask
from miniecs.store.memory import MemoryStore

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1"
HTTP = HealthCheck(path="/health?deep=1")
TCP = HealthCheck(protocol="TCP", path=None, matcher=None)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(answer: bytes, heard: list[bytes] | None = None) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(request)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """A listener's port; its conversations are over at the end."""
    talking: set[asyncio.Future[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over = asyncio.get_running_loop().create_future()
        talking.add(over)
        try:
            with contextlib.suppress(ConnectionError):
                await talk(reader, writer)
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            asyncio.get_running_loop().call_soon(over.set_result, None)

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*talking)


async def asked(talk: Talk, check: HealthCheck, timeout: float = 5.0) -> tuple[int | None, str]:
    async with serving(talk) as port:
        return await ask("127.0.0.1", port, check, timeout)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, "")),
        (b"HTTP/1.0 503\r\n\r\n", (503, "")),
        (b"HTTP/1.1 200 OK\r\n\r\n" + 100_000 * b"x", (200, "")),
        (b"SSH-2.0-OpenSSH\r\n", (None, "protocol")),
        (b"", (None, "protocol")),
        (10_000 * b"x", (None, "protocol")),
    ],
)
def test_http_is_judged_by_the_status_line(answer: bytes, found: tuple[int | None, str]) -> None:
    assert asyncio.run(asked(answering(answer), HTTP)) == found


def test_http_is_asked_as_a_load_balancer_asks() -> None:
    heard: list[bytes] = []
    asyncio.run(asked(answering(b"HTTP/1.1 200 OK\r\n\r\n", heard), HTTP))
    first, host, *others = heard[0].decode().split("\r\n")
    assert first == "GET /health?deep=1 HTTP/1.1"
    assert host.startswith("Host: 127.0.0.1:")
    assert "User-Agent: ELB-HealthChecker/2.0" in others


def test_tcp_needs_a_connection_only() -> None:
    assert asyncio.run(asked(silent, TCP)) == (None, "")


def test_silence_is_a_timeout_and_a_closed_port_a_refusal() -> None:
    assert asyncio.run(asked(silent, HTTP, timeout=0.05)) == (None, "timeout")
    assert asyncio.run(asked(silent, replace(HTTP, protocol="HTTPS"), timeout=0.05)) == (None, "timeout")

    async def nobody() -> tuple[int | None, str]:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await ask("127.0.0.1", port, TCP, 5.0)

    assert asyncio.run(nobody()) == (None, "refused")


class Now:
    """Timers that call at once what is due within a minute, and keep the rest."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def now(self) -> float:
        return 7.0

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        self.later.append(fn)


def test_an_instance_is_dialled_at_its_address_and_judged_by_the_matcher() -> None:
    async def work() -> None:
        store, timers = MemoryStore(), Now()
        prober = NetworkProber(store, timers, Timing().scaled(1000))
        arn = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/1"
        instance = ContainerInstance(arn, "c", ec2_instance_id="i-1", private_ip="127.0.0.1")
        group = TargetGroup(GROUP, "web", health_check=HealthCheck(matcher="204", healthy_threshold=1))
        heard = asyncio.Event()
        store.subscribe(lambda commit: heard.set())
        async with serving(answering(b"HTTP/1.1 204 x\r\n\r\n")) as port, asyncio.timeout(5.0):
            targets = [Target(GROUP, id, port, state="initial") for id in ("i-1", "127.0.0.1", "i-2")]
            with store.transaction() as tx:
                for thing in (instance, group, *targets):
                    tx.put(thing)
            prober.probe(targets)
            prober.probe(targets[:1])  # it is under way
            while not all(t.state == "healthy" or t.failures for t in store.all(Target)):
                heard.clear()
                await heard.wait()
        prober.stop()
        judged = {target.id: (target.state, target.failures) for target in store.all(Target)}
        assert judged == {"i-1": ("healthy", 0), "127.0.0.1": ("healthy", 0), "i-2": ("initial", 1)}

    asyncio.run(work())


def test_grpc_checks_are_not_made() -> None:
    async def work() -> None:
        store = MemoryStore()
        prober = NetworkProber(store, Now(), Timing())
        target = Target(GROUP, "127.0.0.1", 1, state="initial")
        with store.transaction() as tx:
            tx.put(TargetGroup(GROUP, "web", health_check=HealthCheck(grpc=True, matcher="12")))
            tx.put(target)
        prober.probe([target])
        prober.stop()
        await asyncio.sleep(0)
        assert store.get(Target, target.key) == target

    asyncio.run(work())

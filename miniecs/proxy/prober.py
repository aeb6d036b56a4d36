"""Health checks: every registered target is asked at its group's interval, a new one at once.

It only asks and says what came; whether a target is healthy is decided by who made the table. gRPC's checks
are not made.
Source: user guide, "Health checks for your target groups".
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import cast

from miniecs.model.load_balancing import HealthCheck
from miniecs.model.routing import NOWHERE, Probe, RoutedGroup, RoutedTarget, RoutingTable, target_key
from miniecs.proxy.core import Core
from miniecs.proxy.grammar import read_response
from miniecs.proxy.upstream import any_certificate

log = logging.getLogger("miniecs.proxy")

_PROBED = ("initial", "healthy", "unhealthy")
_SHORTEST_TIMEOUT = 1.0  # whatever the time scale: targets are as quick as they are
_GATHER = 0.02  # seconds, in which results become one report
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)
_TCP = ("TCP", "TLS", "TCP_UDP", "UDP")


class Prober:
    """Probes what the table says. report: takes results, several at a time."""

    def __init__(self, core: Core, report: Callable[[list[Probe]], None]) -> None:
        self._core = core
        self._report = report
        self._checks: dict[str, _Check] = {}
        self._results: list[Probe] = []

    def told(self, table: RoutingTable) -> None:
        """Take a new table: what is new in it is probed now, what is gone no more."""
        told: dict[str, _Check] = {}
        for group in table.groups:
            if not group.health_check.enabled or group.health_check.grpc:
                continue
            for target in group.targets:
                if target.state not in _PROBED:
                    continue
                key = target_key(group.arn, target.id, target.port)
                check = self._checks.get(key)
                if check is None:
                    check = _Check(self._core, key, self._seen)
                check.told(group, target, table.time_scale)
                told[key] = check
        for key, check in self._checks.items():
            if key not in told:
                check.stop()
        self._checks = told

    def close(self) -> None:
        for check in self._checks.values():
            check.stop()
        self._checks = {}

    def _seen(self, result: Probe) -> None:
        if not self._results:
            self._core.loop.call_later(_GATHER, self._flush)
        self._results.append(result)

    def _flush(self) -> None:
        results, self._results = self._results, []
        self._report(results)


class _Check:
    """The health check of one target."""

    __slots__ = ("_core", "_key", "_seen", "_spec", "_started", "_task", "interval", "slot")

    def __init__(self, core: Core, key: str, seen: Callable[[Probe], None]) -> None:
        self._core = core
        self._key = key
        self._seen = seen
        self._spec: tuple[HealthCheck, str, int, bool, float] | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0
        self.interval = 0.0
        self.slot = 0

    def told(self, group: RoutedGroup, target: RoutedTarget, time_scale: float) -> None:
        check = group.health_check
        port = target.health_port or (
            target.dial_port or target.port if check.port == "traffic-port" else int(check.port)
        )
        timeout = min(check.timeout, max(check.timeout / time_scale, _SHORTEST_TIMEOUT))
        first = self._spec is None
        tls = check.protocol == "HTTPS"
        self._spec = (check, target.address, port, tls, timeout)
        self.interval = check.interval / time_scale
        if first:
            self._core.watch(self, self._begin())

    def stop(self) -> None:
        self._spec = None
        if self._task is not None:
            self._task.cancel()

    def expire(self, now: float) -> float | None:
        if self._spec is None:
            return None
        if now < self._started + self.interval:
            return self._started + self.interval
        if self._task is not None:
            return now  # the last one is still under way
        return self._begin()

    def _begin(self) -> float:
        """Start a probe; when the next is due."""
        assert self._spec is not None
        self._started = self._core.loop.time()
        self._task = self._core.loop.create_task(self._probe(*self._spec))
        self._core.tasks.add(self._task)
        self._task.add_done_callback(self._core.tasks.discard)
        return self._started + self.interval

    async def _probe(self, check: HealthCheck, address: str, port: int, tls: bool, timeout: float) -> None:
        context = any_certificate() if tls else None
        code, detail = None, ""
        transport: asyncio.BaseTransport | None = None
        try:
            async with asyncio.timeout(timeout):
                if address == NOWHERE:
                    raise TimeoutError  # as of an address at which nobody answers, without the waiting
                question = _Question(self._core.loop, _request(check, address, port))
                transport, _ = await self._core.loop.create_connection(
                    lambda: question, address, port, ssl=context
                )
                if check.protocol not in _TCP:
                    code, detail = await question.answer
        except TimeoutError:
            detail = "timeout"
        except ConnectionRefusedError:
            detail = "refused"
        except OSError as problem:
            if problem.errno in _OURS:
                return self._not_made(problem)
            detail = "reset"
        finally:
            if transport is not None:
                cast(asyncio.Transport, transport).abort()
            self._task = None
        if self._spec is not None:
            self._seen(Probe(self._key, code, detail))

    def _not_made(self, problem: OSError) -> None:
        """What we lack says nothing of the target."""
        log.warning("a health check of %s was not made: %s", self._key, problem)


def _request(check: HealthCheck, address: str, port: int) -> bytes:
    if check.protocol in _TCP:
        return b""
    host = f"[{address}]" if ":" in address else address
    return (
        f"GET {check.path or '/'} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        "User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"
    ).encode()


class _Question(asyncio.Protocol):
    """Sends a request and gives the answer's code."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: bytes) -> None:
        self._request = request
        self._buffer = b""
        self.answer: asyncio.Future[tuple[int | None, str]] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._request:
            cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self.answer.done():
            response = read_response(self._buffer)
            if response is None:
                return
            if isinstance(response, str):
                self._say(None, "protocol")
            elif response.status >= 200:
                self._say(response.status, "")
            else:
                self._buffer = self._buffer[response.end :]

    def connection_lost(self, exc: Exception | None) -> None:
        self._say(None, "reset")

    def _say(self, code: int | None, detail: str) -> None:
        if not self.answer.done():
            self.answer.set_result((code, detail))

"""Health check probes over the network: targets on real engines are asked as a load balancer asks them.

From this process, since a few requests every some seconds are no data plane. Targets are dialled at their own
addresses, which this machine reaches where the engine is its own and runs on Linux.
"""

from __future__ import annotations

import asyncio
import re
import ssl

from miniecs.config import Timing
from miniecs.control.health import ProbeResult
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import HealthCheck, Target
from miniecs.store import Store
from miniecs_api.links import ProbeSchedule, Timers, is_match

SHORTEST_TIMEOUT = 1.0  # seconds; the time scale shortens ECS's waits, and does not make programs faster
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?: |\r|\n)")
_LONGEST_LINE = 4096
_ENCRYPTED = ("HTTPS", "TLS")

Answer = tuple[int | None, str]  # an HTTP code, or why there is none: timeout refused protocol; "" for TCP


class NetworkProber(ProbeSchedule):
    """Probes by HTTP and TCP, with TLS where the health check says so. gRPC's checks are not made."""

    def __init__(self, store: Store, timers: Timers, timing: Timing) -> None:
        self._under_way: dict[str, asyncio.Task[None]] = {}
        super().__init__(store, timers, timing)

    def stop(self) -> None:
        super().stop()
        for task in self._under_way.values():
            task.cancel()

    def probe(self, targets: list[Target]) -> None:
        for target in targets:
            check, port = self.check_of(target)
            if target.key not in self._under_way and not check.grpc:
                self._under_way[target.key] = asyncio.create_task(self._ask(target, check, port))

    async def _ask(self, target: Target, check: HealthCheck, port: int) -> None:
        try:
            await self._ask_in_time(target, check, port)
        finally:
            del self._under_way[target.key]

    async def _ask_in_time(self, target: Target, check: HealthCheck, port: int) -> None:
        timeout = max(self._timing.wait(check.timeout), SHORTEST_TIMEOUT)
        address = self._address(target)
        code, detail = (None, "timeout") if address is None else await ask(address, port, check, timeout)
        self.report([(target.key, ProbeResult(is_match(check, code, detail), code, detail))])

    def _address(self, target: Target) -> str | None:
        """Of a container instance, which is registered by its EC2 id, or the target's own."""
        if not target.id.startswith("i-"):
            return target.id
        instances = self._store.find(ContainerInstance, "machine", target.id)
        return next((instance.private_ip for instance in instances if instance.private_ip), None)


async def ask(address: str, port: int, check: HealthCheck, timeout: float) -> Answer:
    """Ask once; seconds until it is given up."""
    try:
        async with asyncio.timeout(timeout):
            return await _asked(address, port, check)
    except TimeoutError:
        return None, "timeout"
    except OSError:
        return None, "refused"
    except ValueError:  # a line without an end
        return None, "protocol"


async def _asked(address: str, port: int, check: HealthCheck) -> Answer:
    context = _any_certificate() if check.protocol in _ENCRYPTED else None
    reader, writer = await asyncio.open_connection(address, port, ssl=context, limit=_LONGEST_LINE)
    try:
        if check.protocol not in ("HTTP", "HTTPS"):
            return None, ""
        host = f"[{address}]" if ":" in address else address
        writer.write(
            f"GET {check.path or '/'} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
            "User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n".encode()
        )
        found = _STATUS_LINE.match(await reader.readline())
        return (int(found[1]), "") if found is not None else (None, "protocol")
    finally:
        writer.transport.abort()  # nobody waits for the rest of the answer


def _any_certificate() -> ssl.SSLContext:
    """Load balancers do not check their targets' certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

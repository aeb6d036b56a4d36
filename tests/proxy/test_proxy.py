"""Health checks, counts, aliases, addresses, and memory over many requests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from miniecs.model.load_balancing import HealthCheck
from miniecs.model.routing import Probe, RoutedLoadBalancer, RoutingTable, bucket_limit, bucket_of
from miniecs.proxy.reservations import Reservations
from miniecs.proxy.sockets import Numbers, bound

from .bed import Backend, Bed, bed, eventually, ok, read_head, run, says

CHECK = HealthCheck(interval=5, timeout=1, path="/health")
KEY = "group|i-one|"


def test_a_new_target_is_probed_at_once() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend, check=CHECK) as it:
            await eventually(lambda: it.probes, "a probe")
            assert it.probes == [Probe(f"{KEY}{backend.port}", 200)]
            assert backend.heads == [
                b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                b"User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"
                % backend.port
            ]
            await it.apply(replace(it.table, version=2))
            await asyncio.sleep(0.1)
            assert len(it.probes) == 1

    run(test())


def test_and_then_at_every_interval_of_the_time_scale() -> None:
    async def test() -> None:
        async with bed(Backend(), check=CHECK, time_scale=50.0) as it:
            await eventually(lambda: len(it.probes) >= 3, "three probes")
            await it.apply(it.targets("draining"))
            count = len(it.probes)
            await asyncio.sleep(0.3)
            assert len(it.probes) == count

    run(test())


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(5)


async def shut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)


@pytest.mark.parametrize(
    ("backend", "check", "code", "detail"),
    [
        (Backend("one", says(b"HTTP/1.1 503 No\r\n\r\n")), CHECK, 503, ""),
        (Backend("one", says(b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 302 F\r\n\r\n")), CHECK, 302, ""),
        (Backend("one", says(b"SSH-2.0\r\n\r\n")), CHECK, None, "protocol"),
        (Backend("one", shut), CHECK, None, "reset"),
        (Backend("one", silent), replace(CHECK, timeout=1), None, "timeout"),
        (Backend("one", silent), replace(CHECK, protocol="TCP", matcher=None, path=None), None, ""),
        (Backend("one"), replace(CHECK, port="1"), None, "refused"),
    ],
)
def test_what_a_probe_says(backend: Backend, check: HealthCheck, code: int | None, detail: str) -> None:
    async def test() -> None:
        async with bed(backend, check=check) as it:
            await eventually(lambda: it.probes, "a probe")
            assert it.probes == [Probe(f"{KEY}{backend.port}", code, detail)]

    run(test())


def test_counts_of_a_second() -> None:
    async def test() -> None:
        async with bed(Backend("one"), Backend("two")) as it:
            for _ in range(4):
                await it.get()
            await it.apply(it.targets("draining", "draining"))
            await it.get()
            await eventually(
                lambda: sum(t.requests for s in it.traffic for t in s.listeners.values()) == 5, "counts"
            )
            codes: Counter[str] = Counter()
            for second in it.traffic:
                for tally in second.listeners.values():
                    codes.update(tally.codes)
            assert codes == {"target_2xx": 4, "elb_503": 1}
            per_target: Counter[str] = Counter()
            for second in it.traffic:
                for key, tally in second.targets.items():
                    per_target[key] += tally.requests
                    assert sum(tally.latencies.values()) == tally.requests
            assert sorted(per_target.values()) == [2, 2]
            assert sum(s.groups["group"].requests for s in it.traffic if "group" in s.groups) == 4

    run(test())


def test_buckets() -> None:
    for microseconds in (0, 1, 3, 4, 5, 99, 100, 12_345, 10**6, 10**8):
        bucket = bucket_of(microseconds)
        assert microseconds < bucket_limit(bucket) and (
            bucket == 0 or microseconds >= bucket_limit(bucket - 1)
        )
        assert bucket_limit(bucket) <= max(microseconds * 1.25 + 1, 1)


async def ask(address: str, host: str, path: str = "/") -> bytes:
    where, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(where, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


def two_balancers(it: Bed) -> RoutingTable:
    first = it.table.load_balancers[0]
    second = RoutedLoadBalancer(
        "second", "other", "other.localhost", listeners=(replace(first.listeners[0], arn="listener-2"),)
    )
    return replace(it.table, load_balancers=(first, second))


def test_aliases_on_127_0_0_1() -> None:
    async def test() -> None:
        async with bed(Backend(), aliases=True) as it:
            alias = it.places[0].alias
            port = it.places[0].port
            assert alias == f"127.0.0.1:{port}"
            assert (await ask(alias, "anything")).endswith(b"one")
            await it.apply(two_balancers(it))
            assert (await ask(alias, "OTHER.localhost:99")).endswith(b"one")
            page = await ask(alias, "anything")
            assert page.startswith(b"HTTP/1.1 404 Not Found\r\n")
            assert b"  http://lb.localhost:%d/\n  http://other.localhost:%d/\n" % (port, port) in page
            await it.apply(RoutingTable())
            await eventually(lambda: not it.proxy._open, "the alias to close")
            with pytest.raises(OSError):
                await ask(alias, "anything")

    run(test())


def test_each_load_balancer_has_an_address_and_its_own_port_there() -> None:
    async def test() -> None:
        async with bed(Backend()) as it:
            await it.apply(two_balancers(it))
            addresses = [place.addresses for place in it.places]
            assert len(set(addresses)) == 2
            port = it.places[0].port
            assert all(each[0].startswith("127.0.5.") and each[0].endswith(f":{port}") for each in addresses)
            assert [place.problem for place in it.places] == ["", ""]

    run(test())


def test_further_addresses_and_ones_that_there_are_not() -> None:
    async def test() -> None:
        async with bed(Backend(), balancer={"addresses": ("127.0.3.1", "192.0.2.1")}) as it:
            (place,) = it.places
            assert [each.rpartition(":")[0] for each in place.addresses][1:] == ["127.0.3.1"]
            assert place.problem == f"192.0.2.1:{place.port}: this machine has no such address"
            assert (await ask(place.addresses[1], "a")).endswith(b"one")

    run(test())


def test_a_port_that_is_taken() -> None:
    async def test() -> None:
        with socket.create_server(("0.0.0.0", 0)) as other:
            port = other.getsockname()[1]
            async with bed(Backend(), port=port) as it:
                (place,) = it.places
                assert place.problem == f"port {port}: something else listens on it"
                assert int(place.addresses[0].rpartition(":")[2]) > 8000
                assert (await it.get()).endswith(b"one")

    run(test())


def test_listeners_that_are_not_served_say_so() -> None:
    async def test() -> None:
        async with bed(Backend(), listener={"protocol": "HTTPS"}) as it:
            (place,) = it.places
            assert (place.addresses, place.problem) == ((), "HTTPS listeners are not served yet")

    run(test())


def test_a_privileged_port_without_the_right_goes_above_8000(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.bind

    def refuse(self: socket.socket, address: tuple[str, int]) -> None:
        if address[1] < 1024:
            raise OSError(errno.EACCES, "Permission denied")
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", refuse)
    made, problem = bound("127.0.2.250", 80, frozenset((8080,)))
    assert made is not None and problem == "port 80: it may not be bound without root"
    with made:
        assert made.getsockname()[1] == 8081


class Cluster:
    """What of a cluster decides about its addresses. It has said where it listens, so its file is there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.file = folder / "proxy-table.json"
        self.links = folder.parent / "links"
        self.remembered: dict[str, int] = {}

    @contextlib.contextmanager
    def proxy(self) -> Iterator[Numbers]:
        """Until the end of the block, at which the process ends however it likes."""
        numbers = Numbers(self.remembered, Reservations(self.file, self.links), "127.0.4.")
        try:
            yield numbers
        finally:
            self.remembered = numbers.remembered
            self.file.touch()
            numbers.close()


def test_addresses_are_kept_and_never_shared(tmp_path: Path) -> None:
    ours, theirs = Cluster(tmp_path / "ours"), Cluster(tmp_path / "theirs")
    theirs.remembered = {"c": 1}
    with ours.proxy() as first, theirs.proxy() as second:
        assert [first.address(each) for each in "aba"] == ["127.0.4.1", "127.0.4.2", "127.0.4.1"]
        assert second.address("c") == "127.0.4.3"  # its own of last time was taken meanwhile
        first.keep_only(["b"])
        assert first.remembered == {"b": 2}
        assert second.address("d") == "127.0.4.1"
    with ours.proxy() as first:
        assert first.address("new") == "127.0.4.4"
        assert first.address("b") == "127.0.4.2"


def test_an_address_is_not_taken_while_its_proxy_is_dead(tmp_path: Path) -> None:
    ours, theirs = Cluster(tmp_path / "ours"), Cluster(tmp_path / "theirs")
    with ours.proxy() as first:
        assert first.address("a") == "127.0.4.1"
    with theirs.proxy() as second:
        assert second.address("b") == "127.0.4.2"
        with ours.proxy() as first:
            assert first.address("a") == "127.0.4.1"
            first.keep_only([])
        assert second.address("c") == "127.0.4.1"


def test_an_address_of_what_there_is_no_more_is_free(tmp_path: Path) -> None:
    ours, theirs = Cluster(tmp_path / "ours"), Cluster(tmp_path / "theirs")
    with ours.proxy() as first:
        assert first.address("a") == "127.0.4.1"
    ours.file.unlink()  # `miniecs down --purge`
    with theirs.proxy() as second:
        assert second.address("b") == "127.0.4.1"
    with ours.proxy() as first:
        assert first.address("a") == "127.0.4.2"


def test_where_no_reservation_can_be_left_addresses_are_claimed_all_the_same(tmp_path: Path) -> None:
    ours = Cluster(tmp_path / "ours")
    ours.links.write_text("a file where the folder should be")
    with ours.proxy() as first:
        assert first.address("a") == "127.0.4.1"


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.slow
def test_memory_stays_flat() -> None:
    async def test() -> None:
        async def various(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await read_head(reader):
                if b"/close" in head:
                    return
                if b"/chunked" in head:
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                    )
                else:
                    writer.write(ok(b"x" * 2000))

        async def some(it: Bed, rounds: int) -> None:
            for _ in range(rounds):
                async with it.client() as wire:
                    for path in (b"/", b"/chunked", b"/close", b"/"):
                        wire.send(b"GET %b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n" % path)
                        head = await wire.reader.readuntil(b"\r\n\r\n")
                        if b"chunked" in head:
                            await wire.reader.readuntil(b"0\r\n\r\n")
                        else:
                            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                            await wire.reader.readexactly(length)
                async with it.client() as wire:
                    wire.send(b"GET / HTTP/1.1\r\nHost")
                await it.ask(b"nonsense\r\n\r\n")

        async with bed(Backend(handler=various), check=CHECK) as it:
            await some(it, 200)
            gc.collect()
            before, objects = resident(), len(gc.get_objects())
            for _ in range(3):
                await asyncio.gather(*(some(it, 50) for _ in range(8)))
            await eventually(lambda: not it.proxy._clients["listener"], "all clients to be gone")
            await asyncio.sleep(0.5)
            it.traffic.clear()
            gc.collect()
            assert resident() - before < 8_000_000
            assert len(gc.get_objects()) - objects < 2000

    run(test())

"""Tables that change while requests are under way, that cannot be served, or cannot be listened for yet."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from miniecs.model.load_balancing import HealthCheck
from miniecs.model.routing import (
    Condition,
    FixedResponse,
    Forward,
    RoutedListener,
    RoutedRule,
    RoutedTarget,
    RoutingTable,
    WeightedGroup,
)
from miniecs.proxy import proxy as proxy_module
from miniecs.proxy.main import Service
from miniecs.proxy.table_file import Kept, load, save

from .bed import TO_GROUP, Backend, Bed, Wire, bed, eventually, free_port, run, table

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def with_listeners(table: RoutingTable, *listeners: RoutedListener) -> RoutingTable:
    (balancer,) = table.load_balancers
    return replace(table, load_balancers=(replace(balancer, listeners=listeners),))


def listener_of(table: RoutingTable) -> RoutedListener:
    return table.load_balancers[0].listeners[0]


def test_a_listener_s_port_changes() -> None:
    async def test() -> None:
        async with bed(Backend(), aliases=True) as it:
            before, port = it.address, free_port()
            await it.apply(with_listeners(it.table, replace(listener_of(it.table), port=port)))
            assert it.address == (before[0], port) and it.places[0].alias == f"127.0.0.1:{port}"
            assert (await it.get()).endswith(b"one")
            with pytest.raises(OSError):
                await asyncio.open_connection(*before)

    run(test())


def test_a_listener_is_deleted_and_made_again_on_its_port() -> None:
    async def test() -> None:
        async with bed(Backend(), aliases=True) as it:
            port = it.address[1]
            for number in range(5):
                await it.apply(with_listeners(it.table, replace(listener_of(it.table), arn=f"no. {number}")))
                assert (it.address[1], it.places[0].problem) == (port, "")
                assert (await it.get()).endswith(b"one")

    run(test())


def test_tables_of_one_turn_of_the_loop() -> None:
    """Sockets are opened a moment after a table: they serve the last one's listeners, not those before."""

    async def test() -> None:
        async with bed(Backend(), aliases=True) as it:
            other = replace(
                listener_of(it.table), rules=(RoutedRule("default", (), FixedResponse(200, body="other")),)
            )
            it.proxy.apply(RoutingTable())
            await it.apply(with_listeners(it.table, other))
            assert (await it.get()).endswith(b"other")
            await it.apply(it.table)
            assert (await it.get()).endswith(b"other")
            reader, writer = await asyncio.open_connection("127.0.0.1", it.places[0].port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"other")
            writer.close()

    run(test())


BAD = (
    Condition("weather", ("sunny",)),
    Condition("path-pattern", patterns=("(",)),
    Condition("source-ip", ("everywhere",)),
)


@pytest.mark.parametrize("condition", BAD)
def test_a_table_that_cannot_be_served_changes_nothing(condition: Condition) -> None:
    async def test() -> None:
        async with bed(Backend(), aliases=True) as it:
            first = listener_of(it.table)
            rules = (RoutedRule("bad", (condition,), FixedResponse(200)), *first.rules)
            bad = with_listeners(replace(it.table, groups=()), first, replace(first, arn="new", rules=rules))
            with pytest.raises(ValueError):
                it.proxy.apply(bad)
            assert it.proxy.table == it.table
            assert (await it.get()).endswith(b"one")

    run(test())


class NoLink:
    """A link to a server that is away."""

    def probes(self, results: object) -> None: ...

    def traffic(self, traffic: object) -> None: ...

    def places(self, places: object) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


def test_a_process_does_not_die_of_a_table_that_it_cannot_serve(tmp_path: Path) -> None:
    async def test() -> None:
        good = table(Backend(port=1))
        rules = (RoutedRule("bad", BAD[:1], TO_GROUP), *listener_of(good).rules)
        bad = with_listeners(good, replace(listener_of(good), rules=rules))
        save(tmp_path / "proxy-table.json", Kept(bad))
        taken: list[tuple[Callable[[], int], Callable[[RoutingTable], None]]] = []

        def make(serves: Callable[[], int], take: Callable[[RoutingTable], None]) -> NoLink:
            taken.append((serves, take))
            return NoLink()

        service = Service(tmp_path, make, tmp_path / "reservations")
        running = asyncio.create_task(service.run())
        await asyncio.sleep(0)
        ((serves, take),) = taken
        assert service.proxy.table == RoutingTable() and serves() == 0
        take(good)
        take(replace(bad, version=2))
        assert serves() == 1  # and so it tells the server, who lets what it drained go only then
        await eventually(lambda: load(tmp_path / "proxy-table.json").table == good, "the good one to be kept")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert load(tmp_path / "proxy-table.json").table == good

    run(test())


def test_weights_hold_over_many_tables() -> None:
    async def test() -> None:
        one, two = Backend("one"), Backend("two")
        async with bed(one, two) as it:
            (group,) = it.table.groups
            groups = (
                replace(group, arn="a", targets=group.targets[:1]),
                replace(group, arn="b", targets=group.targets[1:]),
            )
            forward = Forward((WeightedGroup("a", 9), WeightedGroup("b", 1)))
            made = replace(listener_of(it.table), rules=(RoutedRule("default", (), forward),))
            for version in range(20):
                await it.apply(replace(with_listeners(it.table, made), groups=groups, version=version))
                await it.get()
            assert (len(one.heads), len(two.heads)) == (18, 2)

    run(test())


class BackEnds:
    """Some of the targets."""

    def __init__(self, it: Bed, ids: set[str]) -> None:
        known = it.proxy._groups["group"].targets.values()
        self._targets = [each for each in known if each.spec.id in ids]

    def are_idle(self) -> bool:
        return not any(each.connections for each in self._targets)


def test_three_hundred_targets_that_come_and_go_under_load() -> None:
    async def test() -> None:
        backends = [Backend(str(number)) for number in range(4)]
        async with bed(*backends, check=HealthCheck(interval=5, timeout=2)) as it:
            (group,) = it.table.groups
            every = [
                RoutedTarget(f"t{number}", 80, "127.0.0.1", "healthy", backends[number % 4].port)
                for number in range(300)
            ]

            async def serve(targets: list[RoutedTarget]) -> None:
                await it.apply(replace(it.table, groups=(replace(group, targets=tuple(targets)),)))
                await asyncio.sleep(0.02)

            codes: Counter[bytes] = Counter()
            over = asyncio.Event()

            async def load(wire: Wire) -> None:
                while not over.is_set():
                    wire.send(GET)
                    codes[(await wire.answer())[0][9:12]] += 1

            await serve(every)
            async with AsyncExitStack() as stack:
                wires = [await stack.enter_async_context(it.client()) for _ in range(4)]
                loads = [asyncio.create_task(load(wire)) for wire in wires]
                for turn in range(15):
                    leaving = {each.id for each in every[turn * 20 :][:100]}
                    await serve([replace(t, state="draining") if t.id in leaving else t for t in every])
                    gone = BackEnds(it, leaving)
                    await eventually(gone.are_idle, "drained targets")
                    await serve([t for t in every if t.id not in leaving])
                    await serve(every)
                over.set()
                await asyncio.gather(*loads)
            assert set(codes) == {b"200"} and codes[b"200"] > 300
            await eventually(lambda: len(it.probes) >= 300, "all to be probed")
            assert {probe.code for probe in it.probes} == {200}
            await eventually(lambda: sum(each.open for each in backends) <= 300, "the pools")
            await it.apply(RoutingTable())
            await eventually(lambda: not any(each.open for each in backends), "all connections to end")

    run(test())


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def holes() -> list[socket.socket]:
    """Sockets on all file descriptors that are still allowed."""
    taken = []
    try:
        while True:
            taken.append(socket.socket())
    except OSError:
        return taken


def test_without_file_descriptors_nothing_is_said_of_targets_and_all_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_module, "_AGAIN", 0.05)

    async def test() -> None:
        check = HealthCheck(interval=5, timeout=2)
        async with bed(Backend(), check=check, time_scale=100.0, aliases=True) as it, it.client() as wire:
            await eventually(lambda: it.probes, "a probe")
            first = listener_of(it.table)
            another = replace(first, arn="another", port=free_port())
            with few_descriptors(0):
                taken = holes()
                seen = len(it.probes)
                wire.send(GET)
                assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
                await it.apply(with_listeners(it.table, first, another))
                assert "Too many open files" in it.places[1].problem
                await asyncio.sleep(0.2)
                assert len(it.probes) <= seen + 1
                it.places.clear()
                for each in taken:
                    each.close()
            wire.send(GET)
            assert (await wire.answer())[1] == b"one"
            await eventually(lambda: it.places, "the new listener")
            assert [each.problem for each in it.places] == ["", ""] and it.places[1].addresses
            await eventually(lambda: len(it.probes) > seen + 2, "more probes")
            assert {probe.code for probe in it.probes} == {200}

    run(test())


async def flood(it: Bed, count: int) -> list[asyncio.StreamWriter]:
    made = await asyncio.gather(
        *(asyncio.open_connection(*it.address) for _ in range(count)), return_exceptions=True
    )
    return [each[1] for each in made if not isinstance(each, BaseException)]


def test_a_flood_of_connections_ends_and_leaves_the_listener() -> None:
    async def test() -> None:
        async with bed(Backend()) as it:
            with few_descriptors(30):
                for _ in range(3):
                    writers = await flood(it, 100)
                    for writer in writers:
                        writer.close()
                    await asyncio.sleep(0.1)
                await eventually(lambda: not it.proxy._clients["listener"], "the flood to be over")
                assert (await it.get()).endswith(b"one")

    run(test())


def test_an_address_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "_AGAIN", 0.05)
    bind = socket.socket.bind
    there = False

    def later(self: socket.socket, address: tuple[str, int]) -> None:
        bind(self, ("192.0.2.1", address[1]) if address[0] == "127.0.3.1" and not there else address)

    monkeypatch.setattr(socket.socket, "bind", later)

    async def test() -> None:
        nonlocal there
        async with bed(Backend(), balancer={"addresses": ("127.0.3.1",)}) as it:
            assert len(it.places[0].addresses) == 1 and "no such address" in it.places[0].problem
            it.places.clear()
            await asyncio.sleep(0.2)
            assert not it.places  # nothing new, nothing said
            there = True
            await eventually(lambda: it.places, "the address")
            assert len(it.places[0].addresses) == 2 and not it.places[0].problem

    run(test())

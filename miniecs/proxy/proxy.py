"""The data plane of one process: tables come in, and what was probed, counted and opened goes out.

A table is taken in one step of the loop: rules, groups and targets are all the old ones or all the new.
Only the listening sockets follow a moment later, since opening them is not one step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from miniecs.ids import Ids
from miniecs.model.routing import (
    ListenerPlace,
    Probe,
    RoutedListener,
    RoutedLoadBalancer,
    RoutingTable,
    Tally,
    Traffic,
)
from miniecs.proxy.balance import Group
from miniecs.proxy.client import Client
from miniecs.proxy.core import Core, Limits
from miniecs.proxy.counts import total
from miniecs.proxy.listener import Alias, Listener, compiled
from miniecs.proxy.prober import Prober
from miniecs.proxy.sockets import BACKLOG, Numbers, bound

log = logging.getLogger("miniecs.proxy")

_REPORT_EVERY = 1.0
_AGAIN = 1.0  # seconds until what could not be opened is tried once more
_LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told what."""

    probes: Callable[[list[Probe]], None]
    traffic: Callable[[Traffic], None]
    places: Callable[[list[ListenerPlace]], None]


@dataclass(slots=True)
class _Wanted:
    """A socket to listen on. avoided: ports that it must not take instead of its own."""

    port: int
    takes: Listener | Alias  # what comes
    factory: Callable[[], Client]
    avoided: frozenset[int]


@dataclass(slots=True)
class _Open:
    """A listening socket: where it really is, and what was wrong with the port that was asked for."""

    server: asyncio.AbstractServer
    wanted: _Wanted
    address: str
    port: int
    problem: str


class Proxy:
    """Listeners, groups, health checks and counts on one loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hooks: Hooks,
        numbers: Numbers,
        *,
        ids: Ids | None = None,
        limits: Limits | None = None,
        aliases: bool = True,
    ) -> None:
        self.core = Core(loop, ids or Ids(), limits or Limits())
        self.numbers = numbers
        self.table = RoutingTable()
        self.places: list[ListenerPlace] = []
        self._hooks = hooks
        self._aliased = aliases
        self._groups: dict[str, Group] = {}
        self._listeners: dict[str, Listener] = {}
        self._clients: dict[str, set[Client]] = {}
        self._aliases: dict[int, Alias] = {}
        self._alias_clients: set[Client] = set()
        self._open: dict[tuple[str, str], _Open] = {}  # (listener or port of an alias, address asked for)
        self._problems: dict[tuple[str, str], str] = {}
        self._prober = Prober(self.core, hooks.probes)
        self._opening = asyncio.Lock()
        self._again: asyncio.TimerHandle | None = None
        self._reported = loop.time()
        self._report_timer = loop.call_later(_REPORT_EVERY, self._report)

    def apply(self, table: RoutingTable) -> None:
        """Serve this table from now on. ValueError, and all stays as it was, where it cannot be."""
        self._understand(table)
        self.table = table
        self._take_groups(table)
        self._take_listeners(table)
        self._prober.told(table)
        self._open_soon()

    async def close(self) -> None:
        """Close every socket and connection."""
        self._report_timer.cancel()
        if self._again is not None:
            self._again.cancel()
        self._prober.close()
        self.core.close()
        for each in self._open.values():
            each.server.close()
        for client in [*self._alias_clients, *(c for clients in self._clients.values() for c in clients)]:
            client.transport.abort()
        for group in self._groups.values():
            group.close()
        self.numbers.close()
        for each in self._open.values():
            await each.server.wait_closed()

    # Taking a table

    def _understand(self, table: RoutingTable) -> None:
        for balancer in table.load_balancers:
            for spec in balancer.listeners:
                known = self._listeners.get(spec.arn)
                if known is None or known.spec.rules != spec.rules:
                    for rule in spec.rules:
                        compiled(rule, {})

    def _take_groups(self, table: RoutingTable) -> None:
        told: dict[str, Group] = {}
        for spec in table.groups:
            group = self._groups.get(spec.arn)
            if group is None:
                group = Group(spec, self.core.ids)
            elif group.spec != spec:
                group.told(spec)
            told[spec.arn] = group
        for arn, group in self._groups.items():
            if arn not in told:
                group.close()
        self._groups = told

    def _take_listeners(self, table: RoutingTable) -> None:
        told: dict[str, Listener] = {}
        for balancer in table.load_balancers:
            for spec in balancer.listeners:
                if problem := _cannot(balancer, spec):
                    log.debug("%s is not served: %s", spec.arn, problem)
                    continue
                listener = self._listeners.get(spec.arn)
                if listener is None:
                    listener = Listener(balancer, spec, self._groups)
                    self._clients[spec.arn] = set()
                else:
                    listener.told(balancer, spec, self._groups)
                told[spec.arn] = listener
        for arn, listener in self._listeners.items():
            if arn not in told:
                listener.closing = True
                for client in tuple(self._clients.pop(arn)):
                    client.retire()
        self._listeners = told
        self._take_aliases(table, told)

    def _take_aliases(self, table: RoutingTable, listeners: dict[str, Listener]) -> None:
        told: dict[int, Alias] = {}
        for balancer in table.load_balancers if self._aliased else ():
            for spec in balancer.listeners:
                if spec.arn in listeners:
                    alias = told.get(spec.port)
                    if alias is None:
                        alias = told[spec.port] = self._aliases.get(spec.port) or Alias(spec.port)
                        alias.listeners = {}
                    alias.listeners[balancer.dns_name.lower().encode()] = listeners[spec.arn]
        for port, alias in self._aliases.items():
            if port not in told:
                alias.listeners = {}
        self._aliases = told

    # Sockets

    def _open_soon(self, *, again: bool = False) -> None:
        task = self.core.loop.create_task(self._open_sockets(again))
        self.core.tasks.add(task)
        task.add_done_callback(self.core.tasks.discard)

    async def _open_sockets(self, again: bool) -> None:
        """Open what the table has and close what it has not; one at a time, each for the newest table."""
        async with self._opening:
            wanted = self._wanted()
            for key, each in list(self._open.items()):
                now = wanted.get(key)
                if now is None or (now.port, now.takes) != (each.wanted.port, each.wanted.takes):
                    self._open.pop(key).server.close()
            self._problems = {key: why for key, why in self._problems.items() if key in wanted}
            self.numbers.keep_only(balancer.arn for balancer in self.table.load_balancers)
            for key, now in wanted.items():
                if key not in self._open:
                    await self._open_one(key, now)
            before, self.places = self.places, self._placed()
            if not again or self.places != before:
                self._hooks.places(self.places)
            self._try_again()

    def _try_again(self) -> None:
        """A bridge comes up after us, and what took all descriptors or addresses ends."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        unnumbered = any(self.numbers.address(each.arn) is None for each in self.table.load_balancers)
        if self._problems or unnumbered:
            self._again = self.core.loop.call_later(_AGAIN, lambda: self._open_soon(again=True))

    def _wanted(self) -> dict[tuple[str, str], _Wanted]:
        wanted: dict[tuple[str, str], _Wanted] = {}
        for balancer in self.table.load_balancers:
            own = self.numbers.address(balancer.arn)
            ports = frozenset(spec.port for spec in balancer.listeners)
            for spec in balancer.listeners:
                listener = self._listeners.get(spec.arn)
                if listener is None:
                    continue
                factory = partial(Client, self.core, listener, None, self._clients[spec.arn])
                for address in (*((own,) if own else ()), *balancer.addresses):
                    wanted[spec.arn, address] = _Wanted(spec.port, listener, factory, ports)
        taken = frozenset(self._aliases)
        for port, alias in self._aliases.items():
            factory = partial(Client, self.core, None, alias, self._alias_clients)
            wanted[str(port), _LOCAL] = _Wanted(port, alias, factory, taken)
        return wanted

    async def _open_one(self, key: tuple[str, str], wanted: _Wanted) -> None:
        made, problem = bound(key[1], wanted.port, wanted.avoided)
        if made is None:
            if self._problems.get(key) != problem:
                log.warning("a listener cannot listen: %s", problem)
            self._problems[key] = problem
            return
        self._problems.pop(key, None)
        address, port = made.getsockname()[:2]
        server = await self.core.loop.create_server(wanted.factory, sock=made, backlog=BACKLOG)
        self._open[key] = _Open(server, wanted, address, port, problem)

    def _placed(self) -> list[ListenerPlace]:
        places = []
        for balancer in self.table.load_balancers:
            for spec in balancer.listeners:
                opened = [each for (name, _), each in self._open.items() if name == spec.arn]
                problems = [why for (name, _), why in self._problems.items() if name == spec.arn]
                problems += [each.problem for each in opened if each.problem]
                if cannot := _cannot(balancer, spec):
                    problems.append(cannot)
                elif self.numbers.address(balancer.arn) is None:
                    problems.append(self.numbers.none_left)
                alias = self._open.get((str(spec.port), _LOCAL)) if spec.port in self._aliases else None
                places.append(
                    ListenerPlace(
                        spec.arn,
                        spec.port,
                        tuple(_name(each.address, each.port) for each in opened),
                        _name(alias.address, alias.port) if alias is not None else "",
                        "; ".join(dict.fromkeys(problems)),
                    )
                )
        return places

    # Counts

    def _report(self) -> None:
        now = self.core.loop.time()
        self._report_timer = self.core.loop.call_later(_REPORT_EVERY, self._report)
        listeners: dict[str, Tally] = {}
        for arn, listener in self._listeners.items():
            listener.counts.active = len(self._clients[arn])
            if (tally := listener.counts.take()) is not None:
                listeners[arn] = tally
        groups: dict[str, Tally] = {}
        targets: dict[str, Tally] = {}
        for arn, group in self._groups.items():
            found = []
            for key, target in group.targets.items():
                target.counts.active = target.busy
                if (tally := target.counts.take()) is not None:
                    targets[key] = tally
                    found.append(tally)
            if found:
                groups[arn] = total(found)
        seconds, self._reported = now - self._reported, now
        if listeners or targets:
            self._hooks.traffic(Traffic(seconds, listeners, groups, targets))


def _cannot(balancer: RoutedLoadBalancer, spec: RoutedListener) -> str:
    """Why a listener is not served, empty where it is."""
    if spec.protocol == "HTTP" and balancer.type == "application":
        return ""
    return f"{spec.protocol} listeners are not served yet"


def _name(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

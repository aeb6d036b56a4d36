"""Clients of a simulated load balancer: a steady stream of requests, and the worst one at each worst moment.

A request fails when its target's container does not run at its beginning, ends before it, or when there is
no target. Between two events nothing changes, so all requests of that time are made at once. Before each
change of what the proxy serves, every target in use gets one more request of the longest sort: a gap of a
millisecond, which a stream would hit now and then, is hit always.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from miniecs.proxy.balance import BackEnd, Group
from miniecs.sim.broken import broken
from miniecs_agent.sim.engine import SimContainer
from miniecs_agent.sim.instances import SimulatedHost

if TYPE_CHECKING:
    from miniecs.sim.world import World

NO_FAILURE = "no request fails"
ONLY_LOST = "requests fail only at lost targets, and not for long"
NOT_SICK = "a version that fails its health check gets no requests"

_SHORT, _MIDDLE = 0.05, 2.0  # seconds
_FOREVER_SICK = "answers-503"  # the image of a version that never passes
_ASIDE = 2.0  # seconds beside the health checks until a lost target gets no more requests


@dataclass(slots=True, eq=False)
class _Served:
    """One run of the container behind a target, and when each request in flight there will end."""

    back_end: BackEnd
    host: SimulatedHost
    container: SimContainer
    run: int
    ends: list[float] = field(default_factory=list)
    died_at: float = 0.0

    @property
    def runs(self) -> bool:
        return self.host.alive and self.container.state == "running" and self.container.run == self.run

    @property
    def lost(self) -> bool:
        """It ended by itself or with its host: nobody could drain it."""
        return not self.host.alive or not self.container.stopping

    def in_flight(self, now: float) -> int:
        return sum(end > now for end in self.ends)


class Requests:
    """Requests to every listener of a world, from ``start`` on.

    every: seconds between two. longest: seconds; less than the deregistration delay, or they fail by right.
    losses: hosts and containers may be lost, and requests to these may fail.
    """

    def __init__(self, world: World, *, every: float, longest: float, losses: bool = False) -> None:
        self._world = world
        self._plane = world.data_plane
        self._every = every
        self._longest = longest
        self._losses = losses
        self._number = 0
        self._next_at: float | None = None
        self._served: dict[BackEnd, _Served] = {}
        self._draining: set[BackEnd] = set()
        self._in_order_since: float | None = None
        self.met: Counter[str] = Counter()
        world.requests = self
        self._plane.before_change = self._before_change
        self._plane.after_change = self._after_change

    def start(self) -> None:
        self._next_at = self._in_order_since = self._world.now

    def stop(self) -> None:
        self._next_at = None

    # Called by the world

    def pass_time(self, until: float) -> None:
        """Make all requests until the next event."""
        at = self._next_at
        if at is None:
            return
        if not self._plane.alive:
            while at < until:
                at += self._every
                self.met["requests that came while the proxy was dead"] += 1
        while at < until:
            self._number += 1
            self._request(at, self._duration(self._number))
            at += self._every
        self._next_at = at

    def happened(self) -> None:
        """Something happened: see whose container ended with it."""
        now = self._world.now
        if not (self._world.is_up and self._plane.connected):
            self._in_order_since = None
        elif self._in_order_since is None:
            self._in_order_since = now
        for served in list(self._served.values()):
            if not served.runs and not served.died_at:
                served.died_at = now
                if count := served.in_flight(now):
                    self._failed(f"{count} in flight were reset", served)

    # Requests

    def _duration(self, number: int) -> float:
        return self._longest if number % 20 == 0 else _MIDDLE if number % 5 == 0 else _SHORT

    def _request(self, at: float, duration: float) -> None:
        for weighted in self._plane.listeners.values():
            group = weighted.next()
            target = group.next() if group is not None else None
            self.met["requests"] += 1
            if group is None or target is None:
                broken(NO_FAILURE, f"503 at {at:.3f}: {group and group.spec}")
            self._send(group, target, at, duration)

    def _send(self, group: Group, target: BackEnd, at: float, duration: float) -> None:
        served = self._served.get(target)
        if served is None or not served.runs:
            served = self._connect(target) or served
        if served is None or not served.runs:
            if served is not None:
                served.died_at = served.died_at or at
            self._failed("one was refused", served, target)
            return
        if target.spec.state != "healthy":
            self.met["requests to targets that are not healthy, as all are"] += 1
        if _FOREVER_SICK in served.container.spec.image and _has_healthy(group):
            broken(NOT_SICK, target.key)
        served.ends.append(at + duration)
        if len(served.ends) > 200:
            served.ends = [end for end in served.ends if end > at]

    def _connect(self, target: BackEnd) -> _Served | None:
        host, container = self._world.instances.behind(target.address, target.port)
        if host is None or container is None or container.state != "running" or not host.alive:
            return None
        served = self._served[target] = _Served(target, host, container, container.run)
        self.met[f"targets by {'address' if container.task.network_mode == 'awsvpc' else 'host port'}"] += 1
        return served

    def _failed(self, how: str, served: _Served | None, target: BackEnd | None = None) -> None:
        target = served.back_end if served is not None else target
        what = f"{how} at {target.key if target else ''} ({target.spec.state if target else ''})"
        if not (self._losses if served is None else served.lost):
            broken(NO_FAILURE, what)
        self.met["requests that failed at a lost target"] += 1
        if served is None:
            return  # lost before the proxy heard of it
        group = self._plane.groups.get(served.back_end.key.split("|")[0])
        if self._in_order_since is None or group is None or not _has_healthy(group):
            return  # nobody is there who could take it out, or all are unhealthy
        known_since = max(served.died_at, self._in_order_since)
        if self._world.now > known_since + self._noticed_within(group):
            broken(ONLY_LOST, f"{what}, which died at {served.died_at:.3f}")

    def _noticed_within(self, group: Group) -> float:
        """By its health checks at the latest."""
        check = group.spec.health_check
        return (check.unhealthy_threshold + 1) * check.interval + _ASIDE

    # Changes of what the proxy serves

    def _before_change(self) -> None:
        if self._next_at is None or not self._plane.alive:
            return
        for group in self._plane.groups.values():
            for target in tuple(group.usable):
                self.met["requests at the worst moment"] += 1
                self._send(group, target, self._world.now, self._longest)

    def _after_change(self) -> None:
        now = self._world.now
        there = set(self._plane.back_ends().values())
        for target in [target for target in self._served if target not in there]:
            served = self._served.pop(target)
            if not self._plane.alive:
                self.met["requests that were lost with the proxy"] += served.in_flight(now)
            elif served.runs and (count := served.in_flight(now)):
                broken(NO_FAILURE, f"{count} were cut as {target.key} went")
        for target in there - self._served.keys():
            self._connect(target)
        draining = {target for target in there if target.spec.state == "draining"}
        for target in draining - self._draining:
            in_flight = self._served[target].in_flight(now) if target in self._served else 0
            self.met["requests in flight as their target began to drain"] += in_flight
        self._draining = draining


def _has_healthy(group: Group) -> bool:
    return any(target.spec.state == "healthy" for target in group.targets.values())

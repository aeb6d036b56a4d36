"""Target groups and targets at work: which target takes a request, and its pool of connections.

They live across tables: a new table changes what they are told, never the connections that they hold.
Source: user guide, "Routing algorithms", "Target group health" (below the minimum, requests go to all
registered targets) and "Sticky sessions".
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from miniecs.ids import Ids
from miniecs.model.routing import NOWHERE, REGISTERED, RoutedGroup, RoutedTarget, Stickiness, target_key
from miniecs.proxy.counts import Counts

if TYPE_CHECKING:
    from miniecs.proxy.upstream import Upstream


class BackEnd:
    """A registered target: where it is dialled, and the connections to it."""

    __slots__ = ("accepts", "address", "connections", "counts", "idle", "key", "port", "spec", "tls", "token")

    def __init__(self, key: str, spec: RoutedTarget, tls: bool) -> None:
        self.key = key
        self.spec = spec
        self.address = spec.address
        self.port = spec.dial_port or spec.port
        self.tls = tls
        self.token = blake2b(key.encode(), digest_size=16).hexdigest().encode()
        self.accepts = True  # new requests; connections that become free are kept
        self.idle: list[Upstream] = []
        self.connections: set[Upstream] = set()  # all of them, also those being made
        self.counts = Counts()

    def told(self, spec: RoutedTarget) -> None:
        """Take what a new table says of it."""
        self.spec = spec
        self.accepts = spec.state in REGISTERED
        if not self.accepts:
            self.close_idle()

    def close_idle(self) -> None:
        while self.idle:
            self.idle.pop().close()

    def cut(self) -> None:
        """It is gone: what is in flight ends with it."""
        self.accepts = False
        self.close_idle()
        for upstream in tuple(self.connections):
            upstream.cut()

    @property
    def busy(self) -> int:
        """How many requests are in flight."""
        return len(self.connections) - len(self.idle)


class Group:
    """A target group: the targets that take requests now, and whose turn it is."""

    __slots__ = (
        "_by_token",
        "_ids",
        "_turn",
        "algorithm",
        "arn",
        "simple",
        "spec",
        "sticky",
        "targets",
        "token",
        "usable",
    )

    def __init__(self, spec: RoutedGroup, ids: Ids) -> None:
        self.arn = spec.arn
        self.token = blake2b(spec.arn.encode(), digest_size=16).hexdigest().encode()
        self.targets: dict[str, BackEnd] = {}
        self.usable: list[BackEnd] = []
        self.sticky: Stickiness | None = None
        self._by_token: dict[bytes, BackEnd] = {}
        self._ids = ids
        self._turn = -1
        self.told(spec)

    def told(self, spec: RoutedGroup) -> None:
        """Take what a new table says of the group and its targets."""
        self.spec = spec
        self.algorithm = spec.algorithm
        sticky = spec.stickiness
        self.sticky = sticky if sticky is not None and sticky.type == "lb_cookie" else None
        self.simple = self.sticky is None and spec.protocol_version == "HTTP1"
        tls = spec.protocol in ("HTTPS", "TLS")
        told: dict[str, BackEnd] = {}
        known_targets = [target for target in spec.targets if target.address != NOWHERE]
        for target in known_targets:
            key = target_key(spec.arn, target.id, target.port)
            known = self.targets.get(key)
            if known is not None and (known.address, known.port, known.tls) != (
                target.address,
                target.dial_port or target.port,
                tls,
            ):
                known.cut()
                known = None
            told[key] = known if known is not None else BackEnd(key, target, tls)
        for key, gone in self.targets.items():
            if key not in told:
                gone.cut()
        self.targets = told
        for target in known_targets:
            told[target_key(spec.arn, target.id, target.port)].told(target)
        self._choose_usable()

    def close(self) -> None:
        """The group is gone."""
        for target in self.targets.values():
            target.cut()
        self.targets = {}
        self.usable = []

    def _choose_usable(self) -> None:
        keys = (target_key(self.arn, target.id, target.port) for target in self.spec.receiving)
        self.usable = [self.targets[key] for key in keys if key in self.targets]
        self._by_token = {target.token: target for target in self.usable}

    def next(self) -> BackEnd | None:
        """The target for the next request, None where there is none."""
        usable = self.usable
        count = len(usable)
        if count < 2:
            return usable[0] if count else None
        if self.algorithm == "weighted_random":
            return usable[self._ids.number(count)]
        self._turn = turn = self._turn + 1 if self._turn + 1 < count else 0
        if self.algorithm == "least_outstanding_requests":
            # From where round robin stands: those with equally little to do take turns.
            return min((*usable[turn:], *usable[:turn]), key=lambda target: target.busy)
        return usable[turn]

    def stuck_to(self, token: bytes) -> BackEnd | None:
        """The target that a cookie names, while it takes requests and is healthy."""
        return self._by_token.get(token)


class Weighted:
    """The groups of a forward action. By turns and smoothly, so that small numbers keep the weights too."""

    __slots__ = ("_current", "_total", "groups", "only", "sticky", "weights")

    def __init__(self, groups: list[tuple[Group, int]], sticky: int | None) -> None:
        self.groups = [group for group, _ in groups]
        self.weights = [weight for _, weight in groups]
        self.sticky = sticky if len(groups) > 1 else None
        self._total = sum(self.weights)
        self.only = groups[0][0] if len(groups) == 1 and self._total else None
        self._current = [0] * len(groups)

    def next(self) -> Group | None:
        """The group for the next request; None when all weights are 0."""
        if self.only is not None or not self._total:
            return self.only
        current = self._current
        best = 0
        for index, weight in enumerate(self.weights):
            current[index] += weight
            if current[index] > current[best]:
                best = index
        current[best] -= self._total
        return self.groups[best]

    def stuck_to(self, token: bytes) -> Group | None:
        """The group that a cookie names, unless it was taken out by a weight of 0."""
        for group, weight in zip(self.groups, self.weights, strict=True):
            if group.token == token and weight:
                return group
        return None

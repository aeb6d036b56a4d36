"""The routing table: all that the data plane is told, and what it tells in return.

One value, whole, so that the data plane can swap it in one step, keep it in a file and go on with it
while the control plane is away. It has a JSON form because it crosses processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from miniecs.model.load_balancing import HealthCheck

NOWHERE = ""
"""The dial address of a target that nobody knows, such as an instance that never registered."""

_TAKES = ("healthy", "unavailable")  # no health check, no judgement
REGISTERED = ("initial", "unhealthy", *_TAKES)


@dataclass(frozen=True, slots=True)
class Stickiness:
    """How a target group binds a client to a target. cookie: the application's own, for app_cookie."""

    type: str = "lb_cookie"  # lb_cookie app_cookie source_ip
    seconds: int = 86400
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class RoutedTarget:
    """A target and where this machine dials it. state as DescribeTargetHealth says."""

    id: str
    port: int
    address: str  # the dial address: an IP, or NOWHERE
    state: str = "healthy"
    dial_port: int = 0  # 0: the target's own port
    health_port: int = 0  # 0: the port that requests go to


@dataclass(frozen=True, slots=True)
class RoutedGroup:
    """A target group with its targets and the attributes that the data plane acts on."""

    arn: str
    name: str
    protocol: str = "HTTP"  # HTTP HTTPS TCP
    protocol_version: str = "HTTP1"
    algorithm: str = "round_robin"  # round_robin least_outstanding_requests weighted_random
    stickiness: Stickiness | None = None
    minimum_healthy_count: int = 1  # below either, requests go to unhealthy targets as well
    minimum_healthy_percentage: int = 0
    health_check: HealthCheck = HealthCheck()
    targets: tuple[RoutedTarget, ...] = ()

    @property
    def registered(self) -> tuple[RoutedTarget, ...]:
        """The targets that requests could go to: those that drain, are not used or not known are none."""
        return tuple(each for each in self.targets if each.state in REGISTERED and each.address != NOWHERE)

    @property
    def healthy(self) -> tuple[RoutedTarget, ...]:
        return tuple(each for each in self.registered if each.state in _TAKES)

    @property
    def fails_open(self) -> bool:
        """Whether too few targets are healthy, so that requests go to the others as well."""
        healthy, registered = len(self.healthy), len(self.registered)
        return healthy < registered and (
            healthy < self.minimum_healthy_count
            or healthy * 100 < self.minimum_healthy_percentage * registered
        )

    @property
    def receiving(self) -> tuple[RoutedTarget, ...]:
        """The targets that get requests now."""
        return self.registered if self.fails_open else self.healthy


@dataclass(frozen=True, slots=True)
class WeightedGroup:
    arn: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Forward:
    """To one of the groups, by weight. sticky: seconds for which a client stays with its group."""

    groups: tuple[WeightedGroup, ...]
    sticky: int | None = None
    type: Literal["forward"] = "forward"


@dataclass(frozen=True, slots=True)
class Redirect:
    """Each part may hold #{protocol} #{host} #{port} #{path} #{query}."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"
    type: Literal["redirect"] = "redirect"


@dataclass(frozen=True, slots=True)
class FixedResponse:
    status: int
    content_type: str = "text/plain"
    body: str = ""
    type: Literal["fixed-response"] = "fixed-response"


Action = Forward | Redirect | FixedResponse


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: any of its values. values hold wildcards where the kind has them.

    name: of the header. pairs: (key or None, value) of query strings.
    """

    field: str  # host-header path-pattern http-request-method source-ip http-header query-string
    values: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()  # regular expressions
    name: str = ""
    pairs: tuple[tuple[str | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RoutedRule:
    """What holds when all conditions do; the default rule has none."""

    arn: str
    conditions: tuple[Condition, ...]
    action: Action


@dataclass(frozen=True, slots=True)
class RoutedListener:
    """rules: by priority, the default rule last."""

    arn: str
    port: int
    protocol: str = "HTTP"
    rules: tuple[RoutedRule, ...] = ()
    server_header: bool = True
    response_headers: tuple[tuple[str, str], ...] = ()  # set on every response
    idle_timeout: int = 350  # seconds, of TCP listeners


@dataclass(frozen=True, slots=True)
class RoutedLoadBalancer:
    """A load balancer with the attributes that the data plane acts on. Timeouts in seconds.

    addresses: where else it listens, such as the gateway of a bridge network.
    """

    arn: str
    name: str
    dns_name: str
    type: str = "application"
    idle_timeout: int = 60
    client_keep_alive: int = 3600
    xff_mode: str = "append"  # append preserve remove
    xff_client_port: bool = False
    drop_invalid_headers: bool = False
    addresses: tuple[str, ...] = ()
    listeners: tuple[RoutedListener, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Everything. time_scale divides the intervals of health checks. version: of the store it was made of."""

    version: int = 0
    load_balancers: tuple[RoutedLoadBalancer, ...] = ()
    groups: tuple[RoutedGroup, ...] = ()
    time_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One health check's outcome: the code answered, or why none was: timeout refused reset protocol.

    A TCP check that succeeds has neither.
    """

    target: str  # the target's key
    code: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ListenerPlace:
    """Where a listener really listens. problem: why nowhere, or why not at its own port."""

    listener: str
    port: int
    addresses: tuple[str, ...] = ()  # address:port
    alias: str = ""  # the convenience listener's address:port
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted since the last report. latencies: histogram bucket -> requests, see ``bucket_of``."""

    requests: int = 0
    codes: dict[str, int] = field(default_factory=dict)  # e.g. target_2xx, elb_502
    latencies: dict[int, int] = field(default_factory=dict)
    connection_errors: int = 0
    active: int = 0  # requests in flight right now; connections, for a listener
    new_connections: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """A second's counts, of what had any. seconds: how long they cover."""

    seconds: float
    listeners: dict[str, Tally] = field(default_factory=dict)
    groups: dict[str, Tally] = field(default_factory=dict)
    targets: dict[str, Tally] = field(default_factory=dict)


BUCKETS = 128
"""Latency buckets: four to a doubling of microseconds, which bounds the error of a percentile to 25 %."""


def bucket_of(microseconds: int) -> int:
    """The bucket of a latency."""
    if microseconds < 4:
        return max(microseconds, 0)
    bits = microseconds.bit_length()
    return min(4 * (bits - 2) + ((microseconds >> (bits - 3)) & 3), BUCKETS - 1)


def bucket_limit(bucket: int) -> int:
    """The microseconds below which the latencies of a bucket are."""
    if bucket < 4:
        return bucket + 1
    octave, quarter = divmod(bucket, 4)
    return (5 + quarter) << (octave - 1)


def target_key(group_arn: str, id: str, port: int) -> str:
    """As ``Target.key``."""
    return f"{group_arn}|{id}|{port}"


_table: TypeAdapter[RoutingTable] = TypeAdapter(RoutingTable)


def to_json(table: RoutingTable) -> bytes:
    """The JSON form of a table."""
    return _table.dump_json(table, exclude_defaults=False)


def from_json(body: bytes) -> RoutingTable:
    """Raises ValueError for what is not a whole table."""
    return _table.validate_json(body, extra="forbid")

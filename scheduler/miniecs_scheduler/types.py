"""The values that go into the scheduler and come out of it.

They are plain and frozen because the scheduler is a pure function: whoever calls it translates from
clusters, services and task definitions once, at the edge, and reads the answer back the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

AVAILABILITY_ZONE: Final = "ecs.availability-zone"

Reason = Literal[
    "INACTIVE",
    "AGENT",
    "ATTRIBUTE",
    "RESOURCE:CPU",
    "RESOURCE:MEMORY",
    "RESOURCE:PORTS",
    "RESOURCE:GPU",
    "RESOURCE:ENI",
    "MemberOf placement constraint unsatisfied.",
    "DistinctInstance placement constraint unsatisfied.",
]
"""Why a host cannot take a task, in ECS's words and in the order in which hosts are checked."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts: CPU units, MiB of memory, GPUs, network interfaces and the numbers of host ports."""

    cpu: int = 0
    memory: int = 0
    gpu: int = 0
    enis: int = 0
    tcp_ports: frozenset[int] = frozenset()
    udp_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Host:
    """A container instance as the scheduler sees it.

    `attributes` maps a name to its value, '' where it has none. The ports of `capacity` are those
    that the host reserves from the start (22, 2375 ...), not those that it offers.
    """

    id: str
    attributes: Mapping[str, str]
    capacity: Resources
    active: bool = True
    connected: bool = True
    ec2_instance_id: str = ""
    agent_version: str = ""
    registered_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule that binds: at most one task of the group on a host, or a query that the host matches."""

    type: Literal["distinctInstance", "memberOf"]
    expression: str = ""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A preference. `field` is instanceId, host or attribute:NAME for spread, cpu or memory for binpack."""

    type: Literal["random", "spread", "binpack"]
    field: str = ""


SERVICE_DEFAULT: Final[tuple[Strategy, ...]] = (
    Strategy("spread", f"attribute:{AVAILABILITY_ZONE}"),
    Strategy("spread", "instanceId"),
)
"""What ECS does for a service without strategies: over the zones, then fewest of its tasks on a host."""


@dataclass(frozen=True, slots=True)
class Request:
    """`count` tasks of one shape, placed together: each sees those placed before it.

    Spread and distinctInstance count the tasks of `group` alone. Without strategies the choice is
    random. `only_hosts` restricts to these hosts (StartTask, DAEMON, a substitute for one task).
    """

    demand: Resources
    count: int
    group: str
    required_attributes: tuple[tuple[str, str | None], ...] = ()
    constraints: tuple[Constraint, ...] = ()
    strategies: tuple[Strategy, ...] = ()
    seed: int = 0
    only_hosts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """One host that was considered and cannot take the task: ECS's reason, and words with numbers."""

    host: str
    reason: Reason
    detail: str
    needed: int = 0
    available: int = 0


class Narrator(Protocol):
    """Turns the numbers by which a host was chosen into a sentence."""

    def tell(self, host: Host, key: tuple[int, ...]) -> str: ...


class Placement:
    """A host for one task, and why it was chosen.

    The sentence is made when somebody reads it: a batch makes hundreds of thousands of placements a
    second, and formatting each would take longer than finding it.
    """

    __slots__ = ("_because", "host")

    def __init__(self, host: str, because: str | tuple[Narrator, Host, tuple[int, ...]]) -> None:
        self.host = host
        self._because = because

    @property
    def because(self) -> str:
        if isinstance(self._because, str):
            return self._because
        narrator, host, key = self._because
        return narrator.tell(host, key)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placement):
            return NotImplemented
        return self.host == other.host and self.because == other.because

    def __hash__(self) -> int:
        return hash(self.host)

    def __repr__(self) -> str:
        return f"Placement(host={self.host!r}, because={self.because!r})"


@dataclass(frozen=True, slots=True)
class Decision:
    """Where the tasks go, and for those that go nowhere, why.

    `rejected`, `rejections` (at most 100, closest first), `closest` and `suggestion` describe the
    moment at which the first task found no host; they are empty when all were placed. `record` is a
    JSON document of what the decision was made by, where it was asked for.
    """

    placements: tuple[Placement, ...]
    unplaced: int
    considered: int
    rejected: Mapping[str, int]
    rejections: tuple[Rejection, ...]
    closest: Rejection | None
    suggestion: str
    record: str = ""

"""What was seen of one played scenario: samples of the whole, and each task, deployment and event by itself.

Plain values, so that summaries and pictures are functions of them and can be tried on made-up ones.
All times are seconds since the scenario's beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RevisionSample:
    """A service's tasks of one task definition revision; every task is in one of these."""

    starting: int = 0  # not RUNNING, or not yet counted as healthy
    healthy: int = 0
    unhealthy: int = 0
    stopping: int = 0


@dataclass(frozen=True, slots=True)
class ServiceSample:
    """floor: what minimumHealthyPercent keeps. working: RUNNING, on a host that is there.

    Between the loss of a host and ECS's learning of it, running is more than working. blocked: its last
    placement found no host, and rests until capacity appears.
    """

    desired: int
    floor: int
    pending: int
    running: int
    healthy: int
    working: int
    blocked: bool = False
    revisions: Mapping[str, RevisionSample] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ZoneSample:
    """Hosts that are registered and not lost, what they have, and what placed tasks hold of it."""

    hosts: int = 0
    cpu: int = 0  # CPU units
    memory: int = 0  # MiB
    cpu_reserved: int = 0
    memory_reserved: int = 0
    used: int = 0  # hosts with a task
    tasks: int = 0  # placed there and not yet stopped


@dataclass(frozen=True, slots=True)
class ProviderSample:
    """A capacity provider: the hosts of its group that are there, and how many there shall be.

    reservation: CapacityProviderReservation, in percent. waiting: tasks in PROVISIONING for it.
    """

    hosts: int = 0
    desired: int = 0
    waiting: int = 0
    reservation: float = 100.0
    target: int = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """The cluster at one moment. waiting: RunTask's callers who were refused and ask again."""

    at: float
    services: Mapping[str, ServiceSample]
    zones: Mapping[str, ZoneSample]
    loose_pending: int = 0  # tasks of no service
    loose_running: int = 0
    waiting: int = 0
    providers: Mapping[str, ProviderSample] = field(default_factory=dict)


@dataclass(slots=True)
class TaskRecord:
    """One task. asked_at: when someone first wanted it, which is before created_at where it was refused."""

    id: str
    definition: str  # family:revision
    owner: str  # the service's name; the family for tasks of none
    of_service: bool
    asked_at: float
    created_at: float
    zone: str = ""
    host: str = ""  # by its name in the scenario
    running_at: float | None = None
    stopped_at: float | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    exit_code: int | None = None


@dataclass(slots=True)
class DeploymentRecord:
    """One deployment. state is its rollout's; ended_at None while it is in progress."""

    id: str
    service: str
    definition: str
    begun_at: float
    state: str = "IN_PROGRESS"
    ended_at: float | None = None
    failed_tasks: int = 0


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the story. kind: ``scenario`` (someone did it), ``service`` (ECS said it), ``decision``."""

    at: float
    kind: str
    about: str
    text: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to be shown on the time axis."""

    at: float
    text: str
    kind: str  # loss change deployment end


@dataclass
class Recording:
    """Everything of one run."""

    title: str
    variant: str
    seed: int
    samples: list[Sample] = field(default_factory=list)
    tasks: list[TaskRecord] = field(default_factory=list)
    deployments: list[DeploymentRecord] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)  # RunTask's failures: reason -> how often
    refused: int = 0  # calls of RunTask that left out a task
    unplaced: dict[str, Counter[str]] = field(default_factory=dict)  # service -> reason -> how often
    happenings: list[Happening] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    stuck: dict[str, list[str]] = field(default_factory=dict)  # service -> why it is not steady at the end
    duration: float = 0.0

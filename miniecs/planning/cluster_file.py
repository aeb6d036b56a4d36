"""The cluster file: hosts, task definitions, services and what runs, written by a person or by miniecs.

One document for a cluster that is thought up and for one that runs (the page /_miniecs/cluster has this
form), so that every question about placement is answered by the same code. Members have ECS's names where
ECS has the thing; task definitions are RegisterTaskDefinition's, with shorter words for what only placing
needs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from miniecs.model import fargate
from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.document import Document, named
from miniecs.model.instance_types import INSTANCE_TYPES, UnknownInstanceType
from miniecs.model.task_definition import TaskDefinition
from miniecs.planning.provider_items import ProviderStrategy
from miniecs.planning.rules import MAX_CONSTRAINTS, MAX_STRATEGIES, Constraints, Strategies
from miniecs.planning.sizes import (
    Cpu,
    CpuText,
    Gpus,
    GroupSize,
    HostCount,
    Memory,
    MemoryText,
    Moment,
    Port,
    Revision,
    TaskCount,
    Text,
)
from miniecs.planning.text import Mistake, Place, parse
from miniecs.planning.validate import check, nearest, where
from miniecs.planning.words import RESERVED_PORTS

_NAME = r"^[A-Za-z0-9_.-]+$"
_HOST_ID = r"^[A-Za-z0-9_.:/-]+$"


class RunningTasks(Document):
    """Tasks of one kind on one host. Without a definition, cpu and memory say what each holds.

    Those whose desiredStatus is STOPPED still hold it, and count for no rule.
    """

    task_definition: str | None = None
    count: TaskCount = 1
    group: str | None = Field(None, min_length=1, max_length=255)  # [family:FAMILY]; service:NAME
    cpu: Cpu | None = None
    memory: Memory | None = None
    gpus: Gpus | None = None
    desired_status: Literal["RUNNING", "STOPPED"] = "RUNNING"

    @model_validator(mode="after")
    def _has_size(self) -> RunningTasks:
        if self.task_definition is None and (self.cpu is None or self.memory is None):
            raise ValueError("name a taskDefinition, or give cpu and memory")
        if self.task_definition is None and self.group is None:
            raise ValueError("give a group: tasks without taskDefinition have none of their own")
        return self


class HostSpec(Document):
    """One host, or ``count`` equal ones. Zones are names or letters of the region's; attributes are texts.

    An attribute whose value is null is one that the hosts lack although all others have it.
    """

    count: HostCount = 1
    id: str | None = Field(None, pattern=_HOST_ID, max_length=256)
    type: str | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    gpus: Gpus = 0
    ports: tuple[Port, ...] = tuple(("tcp", port) for port in RESERVED_PORTS)
    zone: str | None = Field(None, pattern=_NAME)
    zones: tuple[Annotated[str, Field(pattern=_NAME)], ...] | None = Field(None, min_length=1)
    attributes: dict[str, Text | None] = {}
    capabilities: str | None = None  # of ClusterFile.capabilities; None: whatever a task definition needs
    capacity_provider: str | None = None  # whose Auto Scaling group it is of
    status: Literal["ACTIVE", "DRAINING", "REGISTERING", "REGISTRATION_FAILED", "DEREGISTERING"] = "ACTIVE"
    agent_connected: bool = True
    agent_version: str | None = None
    ec2_instance_id: str | None = named("ec2InstanceId", default=None)
    registered_at: Moment = 0.0
    tasks: tuple[RunningTasks, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> HostSpec:
        if self.zone is not None and self.zones is not None:
            raise ValueError("give zone or zones, not both")
        if self.cpu is not None and self.memory is not None:
            if self.cpu + self.memory == 0:
                raise ValueError("a host needs cpu and memory")
        elif self.type is None:
            raise ValueError("give a type (like m5.large), or cpu and memory")
        elif self.type not in INSTANCE_TYPES:
            meant = nearest(self.type, INSTANCE_TYPES)
            hint = f"Did you mean {meant}? " if meant else ""
            raise ValueError(f"{hint}{UnknownInstanceType(self.type)}; others need cpu and memory")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """CPU units and MiB of each host."""
        known = INSTANCE_TYPES.get(self.type or "")
        cpu = self.cpu if self.cpu is not None else known.cpu if known else 0
        memory = self.memory if self.memory is not None else known.memory if known else 0
        return cpu, memory


_GPUS = re.compile(r"[1-9][0-9]{0,3}")


class PlannedContainer(ContainerDefinition):
    """A container definition that need not say its image: placing does not ask for it."""

    image: str = ""
    cpu: Cpu = 0
    memory: Memory | None = None
    memory_reservation: Memory | None = None

    @model_validator(mode="after")
    def _can_be_placed(self) -> PlannedContainer:
        for each in self.resource_requirements or ():
            if each.type == "GPU" and not _GPUS.fullmatch(each.value or ""):
                raise ValueError(f"a GPU's value must be a whole number of 1 to 9999, not {each.value!r}")
        for port in self.port_mappings or ():
            if not 0 <= (port.host_port or 0) <= 65_535:
                raise ValueError(f"a hostPort must be one of 0 to 65535, not {port.host_port}")
        return self


class TaskDefinitionSpec(TaskDefinition):
    """RegisterTaskDefinition's structure, or DescribeTaskDefinition's; the last three members are ours.

    Without containerDefinitions, the task's cpu and memory, hostPorts and gpus say what it needs.
    """

    arn: str = named("taskDefinitionArn", default="")
    family: str = Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")
    revision: Revision = 0  # 0: one more than the family's one before it
    container_definitions: tuple[PlannedContainer, ...] = ()
    cpu: CpuText = None
    memory: MemoryText = None
    registered_at: Any = None
    deregistered_at: Any = None
    host_ports: tuple[Port, ...] = ()
    gpus: Gpus = 0

    @model_validator(mode="after")
    def _is_whole(self) -> TaskDefinitionSpec:
        if self.container_definitions and (self.host_ports or self.gpus):
            raise ValueError("hostPorts and gpus are for task definitions without containerDefinitions")
        if self.host_ports and self.network_mode not in ("bridge", "host"):
            raise ValueError(f"a task in network mode {self.network_mode} takes no hostPorts")
        return self


class CapacityProviderSpec(Document):
    """A capacity provider. type and maxSize are those of its Auto Scaling group, where it is known.

    waiting: tasks that are in PROVISIONING for it already.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")
    managed_scaling: Literal["ENABLED", "DISABLED"] = "ENABLED"
    type: str | None = None
    max_size: GroupSize | None = None
    waiting: TaskCount = 0

    @model_validator(mode="after")
    def _is_whole(self) -> CapacityProviderSpec:
        if self.name in fargate.PROVIDERS:
            raise ValueError(f"{self.name} has no hosts to choose from")
        if self.type is not None and self.type not in INSTANCE_TYPES:
            meant = nearest(self.type, INSTANCE_TYPES)
            raise ValueError(f"{f'did you mean {meant}? ' if meant else ''}{UnknownInstanceType(self.type)}")
        return self


class ServiceSpec(Document):
    """A service. ``count``: how many tasks of it there are; those that no host lists are placed by its rules.

    A DAEMON without count has a task on every host that can take one.
    """

    service_name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")
    task_definition: str
    count: TaskCount | None = None
    scheduling_strategy: Literal["REPLICA", "DAEMON"] = "REPLICA"
    placement_strategy: Strategies = Field((), max_length=MAX_STRATEGIES)
    placement_constraints: Constraints = Field((), max_length=MAX_CONSTRAINTS)
    capacity_provider_strategy: ProviderStrategy = ()
    launch_type: Literal["EC2"] | None = None  # None: the strategy, else the cluster's default one
    zones: tuple[str, ...] | None = None  # those of its subnets, for awsvpc; None: any

    @model_validator(mode="after")
    def _launches_in_one_way(self) -> ServiceSpec:
        if self.launch_type is not None and self.capacity_provider_strategy:
            raise ValueError("give launchType or capacityProviderStrategy, not both")
        return self

    @property
    def group(self) -> str:
        return f"service:{self.service_name}"


class ClusterFile(Document):
    """A whole cluster."""

    cluster: str = Field("default", pattern=r"^[A-Za-z0-9_-]{1,255}$")
    region: str = Field("us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
    account: str = Field("000000000000", pattern=r"^[0-9]{12}$")
    capabilities: dict[str, tuple[str, ...]] = {}
    hosts: tuple[HostSpec, ...] = ()
    capacity_providers: tuple[CapacityProviderSpec, ...] = ()
    default_capacity_provider_strategy: ProviderStrategy = ()
    task_definitions: tuple[TaskDefinitionSpec, ...] = ()
    services: tuple[ServiceSpec, ...] = ()
    _document: Any = PrivateAttr(None)
    _file: str = PrivateAttr("")

    @property
    def is_written(self) -> bool:
        """By a person, in a file; else it is how a running cluster is."""
        return self._document is not None

    def at(self, place: Place, what: str) -> str:
        """The words with the file and the line that they are about, where there is a file."""
        if not self.is_written:
            return what
        return f"{where(self._document, self._file, tuple(place))}: {what}"


def load(text: str, name: str) -> ClusterFile:
    """A cluster file's content; ``name`` is what errors call it. Raises Mistake."""
    document = parse(text, name)
    found = check(document, ClusterFile, name)
    found._document, found._file = document, name
    if not found.hosts:
        raise Mistake(
            f"{name}: there are no hosts. Give some, for example:\n"
            "  hosts:\n    - {count: 3, type: m5.large, zones: [a, b, c]}"
        )
    return found


def observed(document: dict[str, Any]) -> ClusterFile:
    """A running cluster, as its server describes it; it may have no hosts."""
    return check(document, ClusterFile, "the server's answer")

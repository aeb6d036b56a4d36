"""Tasks and their containers: what exists in the largest numbers, hence slotted and lean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from miniecs.model.frozen import quick
from miniecs.model.scope import Tag
from miniecs.model.service import PlacementConstraint, PlacementStrategy


class TaskStatus(StrEnum):
    """lastStatus, in the order in which a task passes through it; it never goes back."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"


STATUS_ORDER: Mapping[str, int] = {status.value: place for place, status in enumerate(TaskStatus)}


class NetworkBinding(NamedTuple):
    """A published port: container_port (or a range) on bind_ip:host_port."""

    bind_ip: str
    protocol: str
    container_port: int | None = None
    host_port: int | None = None
    container_port_range: str | None = None
    host_port_range: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Container:
    """One container of a task, as its agent last reported it."""

    id: str  # uuid, the last part of the container's ARN
    name: str
    last_status: str = "PENDING"  # PENDING RUNNING STOPPED
    health_status: str = "UNKNOWN"  # HEALTHY UNHEALTHY UNKNOWN
    exit_code: int | None = None
    reason: str | None = None
    runtime_id: str | None = None
    image_digest: str | None = None
    network_bindings: tuple[NetworkBinding, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    pinned_digest: str | None = None  # its image has to be this one, whatever its tag stands for by now


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """A task's elastic network interface (awsvpc), allocated by the control plane.

    A task that is PROVISIONING may have one of which only the subnet is chosen: the rest is '' then.
    """

    id: str  # eni-…
    attachment_id: str  # uuid
    subnet_id: str
    mac_address: str
    private_ipv4: str
    status: str = "PRECREATED"  # PRECREATED ATTACHING ATTACHED DETACHING DETACHED DELETED
    cidr: str = ""  # its subnet's
    vpc_id: str = ""
    vpc_cidr: str = ""

    @property
    def is_provided(self) -> bool:
        """False while only its subnet is chosen."""
        return bool(self.private_ipv4)


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """What RunTask asked of placement, kept by a task that waits for capacity; a service keeps its own."""

    constraints: tuple[PlacementConstraint, ...] = ()
    strategy: tuple[PlacementStrategy, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class Task:
    """One task. Times are epoch seconds; reserved amounts are what placement counted.

    Written by one function a field: status and agent fields by ``control.reports``,
    ``desired_status`` and stop fields by ``control.stopping``, the rest at launch.
    """

    arn: str
    cluster_arn: str
    task_definition_arn: str
    group: str
    desired_status: str = "RUNNING"
    last_status: str = "PENDING"
    health_status: str = "UNKNOWN"
    containers: tuple[Container, ...] = ()
    container_instance_arn: str | None = None
    service_arn: str | None = None
    deployment_id: str | None = None  # ecs-svc/…; a service task's startedBy
    started_by: str | None = None
    launch_type: str | None = "EC2"
    capacity_provider_name: str | None = None
    availability_zone: str | None = None
    platform_version: str | None = None
    network_interface: NetworkInterface | None = None
    network_configuration: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None  # TaskOverride in the API's member names
    reserved_cpu: int = 0  # CPU units counted on the instance
    reserved_memory: int = 0  # MiB
    enable_execute_command: bool = False
    volume_configurations: tuple[Mapping[str, Any], ...] = ()
    tags: tuple[Tag, ...] = ()
    connectivity: str | None = None
    connectivity_at: float | None = None
    created_at: float = 0.0
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    execution_stopped_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    protection_expires_at: float | None = None
    deregistered_at: float | None = None  # when its targets began to drain
    placement: PlacementRules | None = None
    placed_at: float | None = None  # when a task that had waited for capacity got its instance
    resolves_images: bool = False  # its agent's digests are what its service revision is pinned to
    because: str = ""  # why it was started and placed where it is
    version: int = 1

    @property
    def is_stopped(self) -> bool:
        return self.last_status == "STOPPED"

    @property
    def wanted(self) -> bool:
        """True while the task is meant to run."""
        return self.desired_status == "RUNNING"

    def is_protected(self, now: float) -> bool:
        """True while neither scale-in nor a deployment may stop the task."""
        return self.protection_expires_at is not None and now < self.protection_expires_at

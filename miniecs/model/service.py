"""Services and their deployments: how many tasks of what there should be, and how far a rollout is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.model.scope import Tag


@dataclass(frozen=True, slots=True)
class ServiceLoadBalancer:
    """Where a service's tasks are registered. One of target_group_arn and load_balancer_name is set."""

    container_name: str
    container_port: int
    target_group_arn: str | None = None
    load_balancer_name: str | None = None  # Classic


@dataclass(frozen=True, slots=True)
class PlacementConstraint:
    type: str  # distinctInstance memberOf
    expression: str = ""


@dataclass(frozen=True, slots=True)
class PlacementStrategy:
    type: str  # random spread binpack
    field: str = ""


@dataclass(frozen=True, slots=True)
class FailureThreshold:
    """How many failed tasks end a deployment: so many, or so many percent of desiredCount."""

    type: str = "BOUNDED_PERCENT"  # COUNT BOUNDED_PERCENT UNBOUNDED_PERCENT
    value: int = 50


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    enable: bool = False
    rollback: bool = False
    reset_on_healthy_task: bool = True
    threshold: FailureThreshold = FailureThreshold()


@dataclass(frozen=True, slots=True)
class DeploymentAlarms:
    """CloudWatch alarms that end a deployment when they go to ALARM."""

    names: tuple[str, ...] = ()
    enable: bool = False
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class EarlySuccess:
    """When a rolling deployment is complete before all of its tasks are healthy."""

    healthy_percent: int  # of desiredCount
    cleanup: str  # of the tasks of older revisions: BLOCKING (before it completes) DEFERRED (after)


@dataclass(frozen=True, slots=True)
class DeploymentConfiguration:
    """Bounds of a rolling update, in percent of desiredCount. REPLICA 200/100, DAEMON 100/0."""

    maximum_percent: int = 200
    minimum_healthy_percent: int = 100
    circuit_breaker: CircuitBreaker | None = None
    alarms: DeploymentAlarms | None = None
    strategy: str = "ROLLING"
    early_success: EarlySuccess | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """What a deployment rolls out: changing any of it makes a new deployment."""

    task_definition_arn: str
    launch_type: str | None = "EC2"
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = ()
    platform_version: str | None = None
    network_configuration: Mapping[str, Any] | None = None
    load_balancers: tuple[ServiceLoadBalancer, ...] = ()
    service_registries: tuple[Mapping[str, Any], ...] = ()
    volume_configurations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a service. Its running and pending counts are derived from its tasks."""

    id: str  # ecs-svc/<19 digits>
    revision: Revision
    revision_arn: str
    status: str = "PRIMARY"  # PRIMARY ACTIVE; a task set's may be DRAINING, too
    desired_count: int = 0
    failed_tasks: int = 0
    rollout_state: str = "IN_PROGRESS"  # IN_PROGRESS COMPLETED FAILED
    rollout_state_reason: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    launch_failures: int = 0  # batches of tasks in a row that stopped without having run: they delay the next
    last_failure_at: float = 0.0  # when the last batch of them was counted
    blocked_until: float = 0.0  # no host took its last task: launches rest until then or capacity appears
    started: bool = False  # one of its tasks has been RUNNING: from then on failed health checks are counted
    proven: bool = False  # one of its tasks was healthy: failures are counted no more, unless told otherwise


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its spec is written by the API's operations, its deployments by ``control``."""

    arn: str
    name: str
    cluster_arn: str
    desired_count: int = 0
    status: str = "ACTIVE"  # ACTIVE DRAINING INACTIVE
    revision: Revision = Revision("")
    scheduling_strategy: str = "REPLICA"  # REPLICA DAEMON
    deployment_controller: str = "ECS"  # ECS CODE_DEPLOY EXTERNAL
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()
    deployments: tuple[Deployment, ...] = ()  # newest first; the first is PRIMARY
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    health_check_grace_period: int | None = None  # seconds
    role_arn: str | None = None
    created_at: float = 0.0
    created_by: str | None = None
    inactive_at: float | None = None
    enable_ecs_managed_tags: bool = False
    propagate_tags: str = "NONE"  # TASK_DEFINITION SERVICE NONE
    enable_execute_command: bool = False
    availability_zone_rebalancing: str = "DISABLED"
    client_token: str | None = None
    tags: tuple[Tag, ...] = ()
    completed: Deployment | None = None  # the last that completed: what a rollback returns to
    moves: tuple[str, ...] = ()  # tasks started to rebalance zones, until another has stopped for each
    unbalanced: bool = False  # "is not AZ balanced" was said, and not yet how that ended
    steady: bool = False  # "has reached a steady state." was said since the last change
    steady_since: float = 0.0  # when it was said

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

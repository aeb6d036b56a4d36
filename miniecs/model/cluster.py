"""Clusters and what belongs to them: settings, capacity providers, account settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from miniecs.model.scope import Scope, Tag


@dataclass(frozen=True, slots=True)
class CapacityProviderStrategyItem:
    """One entry of a capacity provider strategy. weight 0-1000, base 0-100000."""

    capacity_provider: str
    weight: int = 0
    base: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster. Its counts (instances, tasks, services) are derived, never stored."""

    arn: str
    name: str
    status: str = "ACTIVE"  # PROVISIONING ACTIVE DEPROVISIONING FAILED INACTIVE
    created_at: float = 0.0
    inactive_at: float | None = None
    settings: tuple[tuple[str, str], ...] = ()
    configuration: Mapping[str, Any] | None = None
    service_connect_namespace: str | None = None
    capacity_providers: tuple[str, ...] = ()
    default_capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = ()
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class CapacityProvider:
    """A capacity provider backed by an Auto Scaling group (FARGATE and FARGATE_SPOT are built in)."""

    arn: str
    name: str
    scope: Scope
    status: str = "ACTIVE"  # PROVISIONING ACTIVE DEPROVISIONING INACTIVE
    type: str = "EC2_AUTOSCALING"
    cluster_name: str | None = None
    auto_scaling_group_provider: Mapping[str, Any] | None = None
    managed_instances_provider: Mapping[str, Any] | None = None
    update_status: str | None = None
    update_status_reason: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountSetting:
    """An account setting of one principal (or of the account: principal_arn ends in ``:root``)."""

    scope: Scope
    name: str
    principal_arn: str
    value: str
    is_default: bool = field(default=False)

    @property
    def key(self) -> str:
        return f"{self.scope}/{self.principal_arn}/{self.name}"


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What a clientToken answered: kind of call and token, digest of the parameters, ARNs made.

    cluster: the name of the one in which the token counts, where it does not count in all.
    """

    scope: Scope
    operation: str
    token: str
    parameters_digest: str
    resource_arns: tuple[str, ...]
    expires_at: float
    cluster: str = ""

    @property
    def key(self) -> str:
        where = f"{self.cluster}/" if self.cluster else ""
        return f"{self.scope}/{self.operation}/{where}{self.token}"

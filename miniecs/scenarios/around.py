"""What stands around a scenario's services: capacity providers with their Auto Scaling groups, target groups.

Real clusters have an infrastructure as code for these; here one entry makes all that belongs together. ECS's
own members have ECS's names and are held against its model, what is ours is said to be ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from miniecs.model.instance_types import INSTANCE_TYPES, UnknownInstanceType
from miniecs.planning.validate import nearest
from miniecs.scenarios.durations import Duration
from miniecs.scenarios.event_kinds import Strict

_NAME = r"^[A-Za-z0-9_-]{1,255}$"
_ZONE = r"^[A-Za-z0-9_.-]+$"
_MOST_HOSTS = 1_000
Size = Annotated[int, Field(ge=0, le=_MOST_HOSTS)]


class CapacityProviderGroup(Strict):
    """A capacity provider and its emulated Auto Scaling group, both of this name; so are its hosts: NAME-1 ….

    launch_time: how long a machine takes from its launch until its agent is there. The last three are
    autoScalingGroupProvider's.
    """

    name: str = Field(pattern=_NAME)
    type: str
    min_size: Size = 0
    max_size: Size = 10
    zones: list[Annotated[str, Field(pattern=_ZONE)]] = Field(default_factory=list)
    launch_time: Duration = 60.0
    managed_scaling: dict[str, Any] = Field(default_factory=dict)
    managed_termination_protection: Literal["ENABLED", "DISABLED"] = "DISABLED"
    managed_draining: Literal["ENABLED", "DISABLED"] = "ENABLED"

    @model_validator(mode="after")
    def _is_whole(self) -> CapacityProviderGroup:
        if self.min_size > self.max_size:
            raise ValueError(f"minSize {self.min_size} is more than maxSize {self.max_size}")
        if self.type not in INSTANCE_TYPES:
            meant = nearest(self.type, INSTANCE_TYPES)
            raise ValueError(f"{f'did you mean {meant}? ' if meant else ''}{UnknownInstanceType(self.type)}")
        return self

    def provider(self, group_arn: str) -> dict[str, Any]:
        """CreateCapacityProvider's parameters."""
        return {
            "name": self.name,
            "autoScalingGroupProvider": {
                "autoScalingGroupArn": group_arn,
                "managedScaling": {"status": "ENABLED", **self.managed_scaling},
                "managedTerminationProtection": self.managed_termination_protection,
                "managedDraining": self.managed_draining,
            },
        }


class TargetGroupSpec(Strict):
    """A target group behind a load balancer of its own. A service has it by ``targetGroup: NAME``.

    Elastic Load Balancing's members and defaults, but for times, which are lengths here as everywhere.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9-]{1,32}$")
    target_type: Literal["instance", "ip"] = "instance"
    health_check_interval: Duration = 30.0
    health_check_timeout: Duration = 5.0
    healthy_threshold: Annotated[int, Field(ge=2, le=10)] = 5
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)] = 2
    deregistration_delay: Duration = 300.0

    @model_validator(mode="after")
    def _is_whole(self) -> TargetGroupSpec:
        for name, least, most in (("Interval", 5, 300), ("Timeout", 2, 120)):
            length = getattr(self, f"health_check_{name.lower()}")
            if length != int(length) or not least <= length <= most:
                raise ValueError(f"healthCheck{name} must be {least} to {most} whole seconds, not {length:g}")
        if self.health_check_timeout >= self.health_check_interval:
            raise ValueError("healthCheckTimeout must be shorter than healthCheckInterval")
        if not self.deregistration_delay <= 3600 or self.deregistration_delay % 1:
            raise ValueError("deregistrationDelay must be whole seconds, at most an hour")
        return self


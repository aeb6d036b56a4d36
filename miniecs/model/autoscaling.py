"""Emulated Auto Scaling groups, their instances, and what managed scaling remembers of a capacity provider.

Amazon EC2 Auto Scaling keeps the first two, Amazon ECS the third. They are apart here as they are there: ECS
only sets a group's desired capacity, and the group makes it so.
"""

from __future__ import annotations

from dataclasses import dataclass

PENDING, IN_SERVICE, TERMINATING = "Pending", "InService", "Terminating:Wait"
NOT_REGISTERED = "Terminating"  # it shall end before it has registered, which it may just be doing


@dataclass(frozen=True, slots=True)
class AutoScalingGroup:
    """A group whose instances register in one cluster. Its sizes count instances that are not terminating."""

    arn: str
    name: str
    cluster_arn: str
    instance_type: str
    zones: tuple[str, ...]
    min_size: int
    max_size: int
    desired_capacity: int
    created_at: float = 0.0
    because: str = ""  # why desired_capacity is what it is


@dataclass(frozen=True, slots=True)
class GroupInstance:
    """One instance of a group, by its EC2 instance id. It is deleted when its machine is to end."""

    instance_id: str
    group_arn: str
    zone: str
    launched_at: float
    lifecycle_state: str = PENDING  # Pending InService Terminating Terminating:Wait
    terminating_at: float | None = None
    because: str = ""  # why it is in this state

    @property
    def stays(self) -> bool:
        return self.lifecycle_state not in (TERMINATING, NOT_REGISTERED)


@dataclass(frozen=True, slots=True)
class ManagedScaling:
    """What Amazon ECS remembers of a capacity provider between two looks. Written by ``control`` alone."""

    provider_arn: str
    above_since: float | None = None  # CapacityProviderReservation above the target
    below_since: float | None = None  # … and below it
    blocked_until: float = 0.0  # no instance took its waiting tasks: they rest until then or capacity appears

"""Container instances that miniecs plays on real engines: which there are, and on which engine.

What an instance is in ECS, its agent registers; this is what the local stand-in for EC2 knows: that the
machine was launched, where, and of what type. Without it a restart would not know what to bring back.
"""

from __future__ import annotations

from dataclasses import dataclass

LOCAL = "local"
"""The host whose agent `up` starts, on the engine of this machine."""


@dataclass(frozen=True, slots=True)
class EmulatedInstance:
    """One machine that was launched. Its registration, if any, names ``instance_id`` as the EC2 instance."""

    instance_id: str  # i-…
    host: str  # LOCAL or an engine's id
    cluster_arn: str
    instance_type: str
    zone: str
    attributes: tuple[tuple[str, str], ...] = ()  # custom ones
    group_arn: str = ""  # the Auto Scaling group that launched it


@dataclass(frozen=True, slots=True)
class EngineHost:
    """An engine elsewhere whose agent has joined, and for which its container instances were made once."""

    id: str
    name: str

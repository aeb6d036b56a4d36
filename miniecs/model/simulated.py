"""Simulated container instances: what must be remembered of one, so that it is the same after a restart.

Its containers need no record of their own. A simulated container lives in the server's memory, and all
that anyone ever saw of it stands in its task; after a restart it is taken from there again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SimulatedInstance:
    """One simulated host, by the ARN under which it is registered."""

    arn: str
    cluster_arn: str
    instance_type: str
    zone: str
    instance_id: str
    private_ip: str
    attributes: tuple[tuple[str, str], ...] = ()  # custom ones, as registered
    group_arn: str = ""  # the Auto Scaling group that launched it

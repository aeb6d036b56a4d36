"""What plays the container instances: simulated hosts in this process, or agents on real engines.

The server knows one of these and no more of either; the rest of it is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from miniecs.config import InstanceSpec

Zones = Callable[[int], str]
"""The zone of the n-th container instance of a cluster, where none was asked for."""


class Runtime(Protocol):
    """Container instances as machines; registering them is their agents' matter."""

    def start(self) -> None:
        """Begin: what ran when the server ended goes on. Needs a running event loop."""

    def stop(self) -> None:
        """Let go of everything; nothing that runs is ended."""

    def launch(self, wanted: Iterable[InstanceSpec]) -> None:
        """New container instances, without waiting for them. Raises UnknownInstanceType and AwsError."""

    def group_machines(self) -> Mapping[str, str]:
        """Machines that Auto Scaling groups launched: EC2 instance id -> group's ARN."""

    def terminate(self, instance_id: str) -> None:
        """End a group's machine, registered or not; there may be none."""

    async def add(self, wanted: InstanceSpec) -> str:
        """A new container instance; its ARN, once its agent is connected.

        Raises UnknownInstanceType, AwsError and InstanceFailed.
        """

    async def remove(self, instance_arn: str) -> None:
        """Switch off the machine of a container instance that was deregistered.

        Raises InstanceFailed when something of it is left.
        """

    async def reset(self) -> None:
        """After the store was wiped: nothing of what ran is left when this returns."""

    def begin_anew(self, *, restore: bool) -> None:
        """The reset is done; ``restore``: engines elsewhere get again what they had asked for."""

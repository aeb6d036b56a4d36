"""EC2 instance types that a container instance can have: vCPUs, memory, network interfaces.

Nominal figures of the EC2 user guide. ECS registers 1024 CPU units a vCPU; real hosts register
somewhat less memory than the nominal, here they register all of it, so that sums are easy to follow.
"""

from __future__ import annotations

from typing import NamedTuple


class InstanceType(NamedTuple):
    """memory in MiB; interfaces: how many elastic network interfaces can be attached."""

    name: str
    vcpus: int
    memory: int
    interfaces: int

    @property
    def cpu(self) -> int:
        """CPU units."""
        return self.vcpus * 1024


class UnknownInstanceType(ValueError):
    """The message lists the types that are known."""

    def __init__(self, name: str) -> None:
        known = ", ".join(f"{family} ({', '.join(sizes)})" for family, sizes in _SIZES.items())
        super().__init__(f"{name!r} is not a known instance type. Known are: {known}")


# family: size: (vCPUs, GiB, interfaces)
_SIZES: dict[str, dict[str, tuple[int, float, int]]] = {
    "t2": {
        "nano": (1, 0.5, 2),
        "micro": (1, 1, 2),
        "small": (1, 2, 3),
        "medium": (2, 4, 3),
        "large": (2, 8, 3),
        "xlarge": (4, 16, 3),
        "2xlarge": (8, 32, 3),
    },
    "t3": {
        "nano": (2, 0.5, 2),
        "micro": (2, 1, 2),
        "small": (2, 2, 3),
        "medium": (2, 4, 3),
        "large": (2, 8, 3),
        "xlarge": (4, 16, 4),
        "2xlarge": (8, 32, 4),
    },
    "t3a": {
        "nano": (2, 0.5, 2),
        "micro": (2, 1, 2),
        "small": (2, 2, 2),
        "medium": (2, 4, 3),
        "large": (2, 8, 3),
        "xlarge": (4, 16, 4),
        "2xlarge": (8, 32, 4),
    },
    "m5": {
        "large": (2, 8, 3),
        "xlarge": (4, 16, 4),
        "2xlarge": (8, 32, 4),
        "4xlarge": (16, 64, 8),
        "8xlarge": (32, 128, 8),
        "12xlarge": (48, 192, 8),
        "16xlarge": (64, 256, 15),
        "24xlarge": (96, 384, 15),
        "metal": (96, 384, 15),
    },
    "m6i": {
        "large": (2, 8, 3),
        "xlarge": (4, 16, 4),
        "2xlarge": (8, 32, 4),
        "4xlarge": (16, 64, 8),
        "8xlarge": (32, 128, 8),
        "12xlarge": (48, 192, 8),
        "16xlarge": (64, 256, 15),
        "24xlarge": (96, 384, 15),
        "32xlarge": (128, 512, 15),
        "metal": (128, 512, 15),
    },
    "c5": {
        "large": (2, 4, 3),
        "xlarge": (4, 8, 4),
        "2xlarge": (8, 16, 4),
        "4xlarge": (16, 32, 8),
        "9xlarge": (36, 72, 8),
        "12xlarge": (48, 96, 8),
        "18xlarge": (72, 144, 15),
        "24xlarge": (96, 192, 15),
        "metal": (96, 192, 15),
    },
    "c6i": {
        "large": (2, 4, 3),
        "xlarge": (4, 8, 4),
        "2xlarge": (8, 16, 4),
        "4xlarge": (16, 32, 8),
        "8xlarge": (32, 64, 8),
        "12xlarge": (48, 96, 8),
        "16xlarge": (64, 128, 15),
        "24xlarge": (96, 192, 15),
        "32xlarge": (128, 256, 15),
        "metal": (128, 256, 15),
    },
    "r5": {
        "large": (2, 16, 3),
        "xlarge": (4, 32, 4),
        "2xlarge": (8, 64, 4),
        "4xlarge": (16, 128, 8),
        "8xlarge": (32, 256, 8),
        "12xlarge": (48, 384, 8),
        "16xlarge": (64, 512, 15),
        "24xlarge": (96, 768, 15),
        "metal": (96, 768, 15),
    },
}

INSTANCE_TYPES: dict[str, InstanceType] = {
    f"{family}.{size}": InstanceType(f"{family}.{size}", vcpus, int(gib * 1024), interfaces)
    for family, sizes in _SIZES.items()
    for size, (vcpus, gib, interfaces) in sizes.items()
}

FARGATE = InstanceType("aws.fargate", vcpus=65_536, memory=256 * 1024 * 1024, interfaces=65_536)
"""Of Fargate's own machines: never scarce, for what a task may use is bounded by the task's own size."""


def instance_type(name: str) -> InstanceType:
    """The type by its name, e.g. ``t3.medium``. Raises UnknownInstanceType."""
    found = FARGATE if name == FARGATE.name else INSTANCE_TYPES.get(name)
    if found is None:
        raise UnknownInstanceType(name)
    return found

"""Fargate's capacity: container instances that no user sees, on which tasks of launch type FARGATE run.

They are registered in a cluster of their own, whose name nobody can give a cluster, as AWS keeps Fargate's
machines in accounts of its own. So they are in no cluster's lists and counts.
"""

from __future__ import annotations

from miniecs.model import arns
from miniecs.model.instance_types import FARGATE as MACHINE
from miniecs.model.scope import Scope
from miniecs.model.service import Revision
from miniecs.model.task import Task

__all__ = ["MACHINE"]

LAUNCH_TYPE = "FARGATE"
PROVIDERS = ("FARGATE", "FARGATE_SPOT")
CLUSTER = "aws.fargate"  # a dot is in no cluster's name
PLATFORM_VERSIONS = ("LATEST", "1.4.0", "1.3.0")
NEWEST_PLATFORM = "1.4.0"
PLATFORM_FAMILY = "Linux"


def cluster_arn(scope: Scope) -> str:
    return arns.cluster(scope, CLUSTER)


def is_capacity(cluster_arn: str) -> bool:
    """Whether a cluster is that of Fargate's own machines."""
    return cluster_arn.endswith(f":cluster/{CLUSTER}")


def runs(revision: Revision) -> bool:
    """Whether tasks of a revision run on Fargate; a strategy is for Fargate as a whole or not at all."""
    return revision.launch_type == LAUNCH_TYPE or any(
        item.capacity_provider in PROVIDERS for item in revision.capacity_provider_strategy
    )


def waits(task: Task) -> bool:
    """Whether a task waits for one of them."""
    return (
        task.launch_type == LAUNCH_TYPE
        and task.container_instance_arn is None
        and task.wanted
        and not task.is_stopped
    )


def running(platform_version: str | None) -> str | None:
    """What a task runs on for what was asked."""
    return NEWEST_PLATFORM if platform_version == "LATEST" else platform_version

"""Names and labels of everything that miniecs makes on an engine, and what they say when they are read back.

The engine is the agent's only memory: a name follows from what it names, so that a create that was cut off
is found again and never doubled; labels say whose it is, and carry the task's document for whoever adopts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from miniecs_agent.core.spec import Document, TaskSpec
from miniecs_agent.host_engine import Owner

OWNER = "miniecs.owner"
DATA_DIR = "miniecs.data-dir"
INSTANCE = "miniecs.instance"
TASK = "miniecs.task"
VPC = "miniecs.vpc"
LOAD_BALANCER = "miniecs.load-balancer"  # of the network whose gateway it listens on: its ARN
PAUSE = "miniecs.pause"  # of the container that holds a task's network interface: the task's ARN
PAUSE_NAME = "internalecspause"  # what the ECS agent's `~internal~ecs~pause` becomes in Docker's names
SCOPE = "miniecs.volume-scope"  # task or shared; shared volumes outlive their tasks
TASK_ARN = "com.amazonaws.ecs.task-arn"
CONTAINER_NAME = "com.amazonaws.ecs.container-name"
# They are refreshed by the control plane; whoever can list containers need not read them.
_NOT_KEPT = ("roleCredentials", "executionRoleCredentials")


def owner_labels(owner: Owner, instance_id: str) -> dict[str, str]:
    return {OWNER: owner.id, DATA_DIR: owner.data_dir, INSTANCE: instance_id}


def vpc_labels(owner: Owner, vpc_id: str) -> dict[str, str]:
    """Of a VPC's network, which is no instance's."""
    return {OWNER: owner.id, DATA_DIR: owner.data_dir, VPC: vpc_id}


def load_balancer_labels(owner: Owner, arn: str) -> dict[str, str]:
    """Of the network that a load balancer is reached on."""
    return {OWNER: owner.id, DATA_DIR: owner.data_dir, LOAD_BALANCER: arn}


def load_balancer_id(arn: str) -> str:
    """``lb-web-0123456789abcdef``: short enough for a network's name, and like no other's."""
    return "lb-" + "-".join(arn.split("/")[-2:])


def task_document(task: TaskSpec) -> str:
    """What ``document_of`` reads back."""
    kept = {name: value for name, value in task.document.items() if name not in _NOT_KEPT}
    return json.dumps(kept, separators=(",", ":"))


def document_of(labels: Mapping[str, str]) -> Document | None:
    """The ACS Task that a container was made for; None where the label is not there or not ours to read."""
    try:
        document = json.loads(labels.get(TASK, ""))
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def ecs_labels(task: TaskSpec, container: str) -> dict[str, str]:
    """The labels that the ECS agent gives every container."""
    return {
        "com.amazonaws.ecs.cluster": task.cluster_arn.rpartition("/")[2],
        TASK_ARN: task.arn,
        CONTAINER_NAME: container,
        "com.amazonaws.ecs.task-definition-family": task.family,
        "com.amazonaws.ecs.task-definition-version": task.revision,
    }


def container_name(task: TaskSpec, container: str) -> str:
    return f"ecs-{task.family}-{task.revision}-{container}-{_digits(task.arn, 'container', container)}"


def volume_name(task: TaskSpec, volume: str) -> str:
    """Of a volume that lives as long as its task."""
    return f"ecs-{task.family}-{task.revision}-{volume}-{_digits(task.arn, 'volume', volume)}"


def network_name(owner: Owner, id: str) -> str:
    """Of an instance's network, a VPC's, or a load balancer's."""
    return f"miniecs-{owner.id[:8]}-{id}"


def label_filter(labels: Mapping[str, str | None]) -> dict[str, Any]:
    """A filter of the engine's lists; a label without a value only has to be there."""
    return {"label": [name if value is None else f"{name}={value}" for name, value in labels.items()]}


def instances_of(labels: Iterable[Mapping[str, str]]) -> list[str]:
    return sorted({each[INSTANCE] for each in labels if each.get(INSTANCE)})


def _digits(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:20]

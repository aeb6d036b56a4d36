"""What tasks are found and counted by, computed all at once, bears the right names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.model.kinds import KINDS
from miniecs.model.task import NetworkInterface, Task

TASKS = next(kind for kind in KINDS if kind.type is Task)
ARN = "arn:aws:ecs:eu-west-1:111111111111:task/web/1"
LIVE = Task(
    ARN,
    "web",
    "definition",
    "group",
    last_status="PROVISIONING",
    service_arn="service",
    deployment_id="deployment",
    container_instance_arn="host",
    network_interface=NetworkInterface("eni-1", "a", "subnet-1", "", ""),
)


def found_by(task: Task) -> tuple[dict[str, object], dict[str, object]]:
    indexes = {name: function(task) for name, function in TASKS.indexes.items()}
    return indexes, {name: function(task) for name, function in TASKS.counts.items()}


def test_a_live_task() -> None:
    indexes, counts = found_by(LIVE)
    assert indexes == {
        "cluster": "web",
        "service": "service",
        "instance": "host",
        "subnet": "111111111111/eu-west-1/subnet-1",
        "waiting": None,
    }
    assert counts == {
        "cluster": ("web", "PROVISIONING"),
        "service": ("service", "PROVISIONING"),
        "deployment": ("deployment", "PROVISIONING"),
    }


@pytest.mark.parametrize(
    ("provider", "host", "waits"),
    [("own", None, ("web", "own")), ("own", "host", None), ("FARGATE", None, None), (None, None, None)],
)
def test_one_that_waits(provider: str | None, host: str | None, waits: object) -> None:
    task = replace(LIVE, capacity_provider_name=provider, container_instance_arn=host)
    assert found_by(task)[0]["waiting"] == waits


def test_one_that_is_alone_is_not_counted_for_a_service() -> None:
    indexes, counts = found_by(replace(LIVE, service_arn=None, deployment_id=None))
    assert (indexes["service"], counts["service"], counts["deployment"]) == (None, None, None)


def test_one_that_has_stopped_is_found_by_its_cluster_alone() -> None:
    indexes, counts = found_by(replace(LIVE, last_status="STOPPED"))
    assert {name for name, value in indexes.items() if value is not None} == {"cluster"}
    assert set(counts.values()) == {None}


@pytest.mark.parametrize("task", [LIVE, replace(LIVE, last_status="STOPPED")])
def test_all_at_once_in_the_order_of_names(task: Task) -> None:
    assert TASKS.values is not None
    each = [*TASKS.indexes.values(), *TASKS.counts.values()]
    assert TASKS.values(task) == tuple(function(task) for function in each)

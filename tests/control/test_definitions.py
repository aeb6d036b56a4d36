"""Deleted task definitions stay while something refers to them, and then go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.config import Timing
from miniecs.control import definitions
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model.service import Deployment, Revision, Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.reconciler import Reconciler
from miniecs.store.memory import MemoryStore

PREFIX = "arn:aws:ecs:us-east-1:000000000000:"
ARN = PREFIX + "task-definition/web:1"
CLUSTER = PREFIX + "cluster/default"
TIMING = Timing()
DELETED_AT = 1000.0
GONE_AT = DELETED_AT + TIMING.inactive_retention


def definition(status: str = "DELETE_IN_PROGRESS") -> TaskDefinition:
    return TaskDefinition.model_validate(
        {
            "taskDefinitionArn": ARN,
            "family": "web",
            "revision": 1,
            "status": status,
            "containerDefinitions": [],
            "deleteRequestedAt": DELETED_AT if status == "DELETE_IN_PROGRESS" else None,
        }
    )


def service(name: str, status: str, revision: Revision, *deployments: Revision) -> Service:
    return Service(
        f"{PREFIX}service/default/{name}",
        name,
        CLUSTER,
        status=status,
        revision=revision,
        inactive_at=GONE_AT,
        deployments=tuple(Deployment(f"ecs-svc/{n}", d, "") for n, d in enumerate(deployments)),
    )


def put(store: MemoryStore, *things: object) -> None:
    with store.transaction() as tx:
        for thing in things:
            tx.put(thing)


def reconciler(store: MemoryStore) -> Reconciler:
    return Reconciler(store, Fleets(store), Ids(seed=1), TIMING)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_it_goes_after_a_while(store: MemoryStore) -> None:
    loops = reconciler(store)
    put(store, definition("INACTIVE"))
    assert loops.step(DELETED_AT) is None
    put(store, definition())
    assert loops.step(DELETED_AT) == GONE_AT
    assert store.get(TaskDefinition, ARN) is not None
    assert loops.step(GONE_AT) is None
    assert store.get(TaskDefinition, ARN) is None


def test_a_new_reconciler_goes_on(store: MemoryStore) -> None:
    put(store, definition())
    assert reconciler(store).step(GONE_AT) is None
    assert store.get(TaskDefinition, ARN) is None


def test_a_live_task_keeps_it(store: MemoryStore) -> None:
    task = Task(PREFIX + "task/default/0f", CLUSTER, ARN, "family:web", last_status="RUNNING")
    put(store, definition(), task)
    loops = reconciler(store)
    assert loops.step(GONE_AT) == GONE_AT + TIMING.inactive_retention
    assert store.get(TaskDefinition, ARN) is not None
    stopped = replace(task, last_status="STOPPED", desired_status="STOPPED", stopped_at=GONE_AT)
    put(store, stopped)
    loops.step(GONE_AT + TIMING.inactive_retention)
    assert store.get(TaskDefinition, ARN) is None


OTHER = Revision(PREFIX + "task-definition/web:2")


@pytest.mark.parametrize(
    ("using", "kept"),
    [
        (service("a", "DRAINING", Revision(ARN)), True),
        (service("a", "DRAINING", OTHER, OTHER, Revision(ARN)), True),
        (service("a", "DRAINING", OTHER, OTHER), False),
        (service("a", "INACTIVE", Revision(ARN), Revision(ARN)), False),
    ],
)
def test_a_service_keeps_it_until_it_is_inactive(store: MemoryStore, using: Service, kept: bool) -> None:
    put(store, definition(), using)
    plan = definitions.plan(store, ARN, now=GONE_AT, timing=TIMING)
    assert bool(plan.actions) is not kept
    assert plan.wake_at == (GONE_AT + TIMING.inactive_retention if kept else None)

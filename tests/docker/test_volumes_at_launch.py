"""Volumes configured at launch: each task has one of the engine's, empty at first, and gone with it."""

from __future__ import annotations

from typing import Any

import pytest

from .clusters import Clusters
from .commands import OBEDIENT
from .daemon import Engine
from .miniecs import Miniecs
from .waiting import until

WRITES = ["sh", "-c", f"echo found $(ls -A /data); echo state > /data/mark; {OBEDIENT[2]}"]


@pytest.fixture(scope="module")
def shared_miniecs(module_clusters: Clusters) -> Miniecs:
    return module_clusters.start("--time-scale", "100")  # stopped containers stay for an hour of it


def configured(size: int) -> list[dict[str, Any]]:
    role = "arn:aws:iam::000000000000:role/ecsInfrastructureRole"
    return [{"name": "data", "managedEBSVolume": {"roleArn": role, "sizeInGiB": size}}]


def volume_of(miniecs: Miniecs, engine: Engine, arn: str) -> str:
    """The engine's name of what the task's container has at /data."""
    (container,) = miniecs.task(arn)["containers"]
    mounts = engine.client.containers.get(container["runtimeId"]).attrs["Mounts"]
    (name,) = [each["Name"] for each in mounts if each["Destination"] == "/data"]
    return str(name)


def test_each_task_has_a_volume_of_its_own_that_goes_with_it(miniecs: Miniecs, engine: Engine) -> None:
    mounts = [{"sourceVolume": "data", "containerPath": "/data"}]
    writer = {"name": "app", "command": WRITES, "mountPoints": mounts}
    definition = miniecs.register("stateful", writer, volumes=[{"name": "data", "configuredAtLaunch": True}])
    ecs = miniecs.ecs

    def volumes() -> set[str]:
        owned = {"label": f"miniecs.owner={miniecs.settings['owner']}"}
        return {str(each.name) for each in engine.client.volumes.list(filters=owned)}

    def running(other_than: str = "") -> str | None:
        """The service's one task that runs, where it has no other."""
        arns = ecs.list_tasks(serviceName="stateful")["taskArns"]
        alone = len(arns) == 1 and other_than not in arns
        return arns[0] if alone and miniecs.task(arns[0])["lastStatus"] == "RUNNING" else None

    ecs.create_service(
        serviceName="stateful",
        taskDefinition=definition,
        desiredCount=1,
        volumeConfigurations=configured(10),
    )
    first = until("the first task", running)
    assert first is not None
    assert miniecs.ok("exec", first, "--", "cat", "/data/mark") == "state\n"
    name = volume_of(miniecs, engine, first)
    ecs.update_service(service="stateful", volumeConfigurations=configured(20))
    second = until("the second task alone", lambda: running(other_than=first), 90.0)
    assert second is not None
    assert miniecs.ok("logs", second) == "found\n"
    assert miniecs.ok("exec", second, "--", "cat", "/data/mark") == "state\n"
    kept = volume_of(miniecs, engine, second)
    assert kept != name
    until("the first task's volume to be gone", lambda: name not in volumes())
    assert kept in volumes()
    ecs.delete_service(service="stateful", force=True)

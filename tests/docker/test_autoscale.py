"""`miniecs up --autoscale` on a real engine: instances that come and go, with real containers on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from .clusters import Clusters
from .commands import OBEDIENT
from .daemon import Engine
from .miniecs import Miniecs
from .waiting import until

SCALE = 60  # fifteen minutes below the target are fifteen seconds


def provider(miniecs: Miniecs) -> dict[str, Any]:
    (only,) = miniecs.json("capacity")["capacityProviders"]
    return dict(only)


def networks(miniecs: Miniecs, engine: Engine) -> list[str]:
    """Each container instance has one on the engine."""
    label = {"label": f"miniecs.data-dir={miniecs.folder}"}
    return [each.name for each in engine.client.networks.list(filters=label)]


def running(miniecs: Miniecs) -> int:
    (service,) = miniecs.ecs.describe_services(services=["web"])["services"]
    return int(service["runningCount"])


def test_a_group_grows_survives_kills_and_shrinks(clusters: Clusters, engine: Engine) -> None:
    miniecs = clusters.start("--autoscale", "1:3", "--time-scale", str(SCALE))
    assert len(miniecs.instances()) == 1
    definition = miniecs.register("web", {"name": "main", "command": OBEDIENT, "cpu": 1024})
    spread = [{"type": "spread", "field": "instanceId"}]
    made = miniecs.ecs.create_service(
        serviceName="web", taskDefinition=definition, desiredCount=5, placementStrategy=spread
    )["service"]
    assert [item["capacityProvider"] for item in made["capacityProviderStrategy"]] == ["autoscale"]
    until("some tasks to wait", lambda: miniecs.ecs.list_tasks()["taskArns"])
    miniecs.kill("server")
    until("five tasks on three instances", lambda: _answers(lambda: running(miniecs) == 5), within=60.0)
    assert len(miniecs.instances()) == 3
    assert len(networks(miniecs, engine)) >= 3
    used = {task["containerInstanceArn"] for task in miniecs.tasks() if task["lastStatus"] == "RUNNING"}
    assert len(used) == 3
    miniecs.ecs.update_service(service="web", desiredCount=1)
    until("one task to be left", lambda: running(miniecs) == 1)
    miniecs.kill("agent")
    until("one instance to be left", lambda: len(miniecs.instances()) == 1, within=90.0)
    until("the engine to be rid of the others", lambda: len(networks(miniecs, engine)) == 1, within=60.0)
    until("the task to run", lambda: running(miniecs) == 1)
    assert provider(miniecs)["reservation"] == 100
    texts = [event["text"] for event in miniecs.json("events", "autoscale")["events"]]
    assert [text.split(":")[0] for text in texts] == ["adds 2 instances", "removes 2 instances"]
    miniecs.down()
    miniecs.up("--autoscale", "1:3")
    until("the same instance", lambda: len(miniecs.instances()) == 1)


def _answers(look: Callable[[], bool]) -> bool:
    """False while the killed server is away."""
    try:
        return look()
    except (EndpointConnectionError, ConnectionClosedError):
        return False

"""Image tags that are moved while a service runs: its tasks keep the image that its deployment began with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import docker.errors
import pytest

from .clusters import Clusters
from .commands import OBEDIENT
from .daemon import Engine
from .engine import import_busybox
from .miniecs import Miniecs
from .registry import Registry
from .test_deployments import SCALE, Deployed
from .waiting import until

WITHIN = 60.0


@pytest.fixture(scope="module")
def shared_miniecs(module_clusters: Clusters) -> Miniecs:
    return module_clusters.start("--time-scale", str(SCALE))


class Tag:
    """An image that is built again and again under one tag."""

    def __init__(self, engine: Engine, name: str = "") -> None:
        self._engine = engine
        self.name = name or f"miniecs-test/moved-{uuid4().hex[:8]}:v1"
        self._ids: list[str] = []

    def build(self) -> str:
        """Another content; the image's id."""
        import_busybox(self._engine, self.name, mark=uuid4().hex)
        self._ids.append(self._engine.client.images.get(self.name).id)
        return self._ids[-1]

    def remove(self) -> None:
        for id in self._ids:
            with contextlib.suppress(docker.errors.ImageNotFound):
                self._engine.client.images.remove(id, force=True)


@pytest.fixture
def tag(engine: Engine) -> Iterator[Tag]:
    made = Tag(engine)
    yield made
    made.remove()


class Moved(Deployed):
    """A service whose containers are asked of the engine."""

    def __init__(self, miniecs: Miniecs, engine: Engine, image: str, **container: Any) -> None:
        self._engine, self._container = engine, {"image": image, **container}
        super().__init__(miniecs, f"moved-{uuid4().hex[:6]}", desiredCount=2)

    def revision(self, command: list[str], **more: Any) -> str:
        return super().revision(command, **self._container, **more)

    def running(self) -> list[str]:
        """The ids of the images that its containers are made of, as the engine has it."""
        ids = [task["containers"][0]["runtimeId"] for task in self.tasks()]
        return sorted(str(self._engine.client.containers.get(id).attrs["Image"]) for id in ids)

    def end(self) -> None:
        self.miniecs.ecs.delete_service(service=self.name, force=True)
        self.no_containers()

    def no_containers(self) -> None:
        """None of it runs: what is left can be removed with its image."""
        labels = [f"com.amazonaws.ecs.task-definition-family={self.name}"]

        def none() -> bool:
            return not self._engine.client.containers.list(filters={"label": labels})

        until("its containers to end", none, WITHIN)

    def stopped(self) -> dict[str, Any] | None:
        """A task that could not be started."""
        ecs = self.miniecs.ecs
        arns = ecs.list_tasks(serviceName=self.name, desiredStatus="STOPPED")["taskArns"]
        tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return next((dict(each) for each in tasks if each["stopCode"] == "TaskFailedToStart"), None)

    def told(self) -> set[str]:
        return {task["containers"][0]["imageDigest"] for task in self.tasks()}

    def scale(self, count: int) -> None:
        self.update(desiredCount=count)
        self.stable()

    def lose_one(self) -> None:
        lost = self.tasks()[0]["taskArn"]
        self.miniecs.ecs.stop_task(task=lost)
        until("its substitute", lambda: lost not in {t["taskArn"] for t in self.tasks()}, WITHIN)
        self.stable()

    def pinned(self) -> dict[str, Any]:
        """containerImages of what runs now."""
        ecs = self.miniecs.ecs
        newest, *_ = ecs.list_service_deployments(service=self.name)["serviceDeployments"]
        arn = newest["targetServiceRevisionArn"]
        (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
        (image,) = revision["containerImages"]
        return dict(image)


def test_a_tag_that_is_built_again_changes_nothing_until_the_next_deployment(
    miniecs: Miniecs, engine: Engine, tag: Tag
) -> None:
    first = tag.build()
    web = Moved(miniecs, engine, tag.name)
    assert web.running() == [first] * 2
    second = tag.build()
    web.scale(4)
    assert web.running() == [first] * 4
    web.lose_one()
    assert (web.running(), web.told()) == ([first] * 4, {first})
    assert web.pinned() == {"containerName": "main", "image": tag.name, "imageDigest": first}
    task = web.tasks()[0]
    assert task["containers"][0]["image"] == tag.name
    explained = [miniecs.ok("explain", each["taskArn"]) for each in web.tasks()]
    resolved = [each for each in explained if "It was the first of its deployment" in each]
    pinned = [each for each in explained if f"Container main is pinned to {first}" in each]
    assert len(resolved) <= 1 and len(resolved) + len(pinned) == 4
    told = " ".join(miniecs.ok("deployments", web.name, "--once").split())
    assert f"as {first}, whatever the tag stands for" in told

    miniecs.kill("server")
    miniecs.is_back()
    web.scale(5)
    assert web.running() == [first] * 5

    web.update(forceNewDeployment=True)
    web.stable()
    assert (web.running(), web.told()) == ([second] * 5, {second})
    assert web.pinned()["imageDigest"] == second
    web.end()


def test_a_rollback_returns_to_the_image_and_not_to_the_tag(
    miniecs: Miniecs, engine: Engine, tag: Tag
) -> None:
    first = tag.build()
    web = Moved(miniecs, engine, tag.name)
    before = web.primary["id"]
    tag.build()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    web.update(taskDefinition=web.revision(["sh", "-c", "exit 3"]), deploymentConfiguration=breaker)
    until("it to be rolled back", lambda: web.primary["id"] == before, WITHIN)
    web.stable()
    web.scale(3)
    assert web.running() == [first] * 3
    web.end()


def test_without_version_consistency_the_tag_decides(miniecs: Miniecs, engine: Engine, tag: Tag) -> None:
    first = tag.build()
    web = Moved(miniecs, engine, tag.name, versionConsistency="disabled")
    second = tag.build()
    web.scale(3)
    assert web.running() == sorted([first, first, second])
    assert "imageDigest" not in web.pinned()
    web.end()


def test_an_image_that_is_gone_is_not_replaced_by_another(
    miniecs: Miniecs, engine: Engine, registry: Registry
) -> None:
    tag = Tag(engine, f"{registry.name}/image-{uuid4().hex[:8]}:1")  # a registry that has not what was built
    first = tag.build()
    web = Moved(miniecs, engine, tag.name)
    tag.build()
    web.scale(0)
    web.no_containers()
    engine.client.images.remove(first, force=True)
    web.update(desiredCount=1)
    stopped = until("a task that fails", web.stopped, WITHIN)
    assert stopped is not None
    (container,) = stopped["containers"]
    assert container["reason"].startswith("CannotPullContainerError: "), container
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert "forceNewDeployment resolves the tag anew" in miniecs.ok("explain", stopped["taskArn"])
    web.end()
    tag.remove()


def test_a_rollback_whose_image_is_gone_fails_and_the_next_deployment_resolves_the_tag_anew(
    miniecs: Miniecs, engine: Engine, registry: Registry, tag: Tag
) -> None:
    lost = Tag(engine, f"{registry.name}/image-{uuid4().hex[:8]}:1")  # a registry that has not what was built
    first = lost.build()
    tag.build()
    web = Moved(miniecs, engine, lost.name)
    before = web.primary["id"]
    never = {"command": ["CMD-SHELL", "exit 1"], "startPeriod": 300}
    other = {"name": "main", "image": tag.name, "command": OBEDIENT, "healthCheck": never}
    configuration = {
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "minimumHealthyPercent": 0,
        "maximumPercent": 100,
    }
    web.update(
        taskDefinition=miniecs.register(web.name, other),
        deploymentConfiguration=configuration,
        availabilityZoneRebalancing="DISABLED",
    )
    of_first = {"ancestor": first}
    until("the old ones to go", lambda: not engine.client.containers.list(filters=of_first), WITHIN)
    engine.client.images.remove(first, force=True)
    release = web.described()["currentServiceDeployment"]
    miniecs.ecs.stop_service_deployment(serviceDeploymentArn=release, stopType="ROLLBACK")
    until("the rollback", lambda: web.primary["id"] == before, WITHIN)
    miniecs.kill("server")

    def ended() -> dict[str, Any] | None:
        if not miniecs.answers():
            return None
        asked = miniecs.ecs.describe_service_deployments(serviceDeploymentArns=[release])
        (found,) = asked["serviceDeployments"]
        return dict(found) if "finishedAt" in found else None

    told = until("the rollback's end", ended, WITHIN)
    assert told is not None
    assert (told["status"], told["deploymentCircuitBreaker"]["status"]) == ("ROLLBACK_FAILED", "TRIGGERED")
    assert told["statusReason"].startswith("Service deployment rollback failed because ")
    assert told["rollback"]["reason"] == "Service deployment rolled back because the user requested it."
    assert (web.primary["id"], web.primary["rolloutState"]) == (before, "FAILED")
    stopped = web.stopped()
    assert stopped is not None
    assert stopped["containers"][0]["reason"].startswith("CannotPullContainerError: "), stopped
    # One that was begun before the deployment failed is still to hear that its image is gone.
    until("no task to be left", lambda: not web.tasks(), WITHIN)
    again = lost.build()
    web.update(taskDefinition=web.good, forceNewDeployment=True)
    web.stable()
    assert web.running() == [again] * 2
    web.end()
    lost.remove()


def test_a_registrys_tag_is_pinned_to_its_digest(
    miniecs: Miniecs, engine: Engine, registry: Registry
) -> None:
    name = f"image-{uuid4().hex[:8]}"
    image, first = f"{registry.name}/{name}:1", registry.digest(name)
    web = Moved(miniecs, engine, image)
    assert web.told() == {first}
    second = registry.push(name)
    engine.client.images.remove(image, force=True)
    engine.client.images.pull(image)
    web.scale(4)
    assert web.told() == {first}
    assert len(set(web.running())) == 1
    assert web.pinned()["imageDigest"] == first
    web.update(forceNewDeployment=True)
    web.stable()
    assert web.told() == {second}
    web.end()

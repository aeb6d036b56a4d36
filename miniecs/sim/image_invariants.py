"""What must be true of every simulated service revision's images: resolved once, and then the same for all.

What a tag stood for is read off the simulated registry, not off what the control plane believes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.sim.broken import broken
from miniecs.sim.runs import deployment_of
from miniecs.store import Commit
from miniecs_agent.sim.engine import digest_of

if TYPE_CHECKING:
    from miniecs.sim.world import World

KEPT = "the images of a service revision are resolved once"
FRESH = "a deployment resolves its image tags anew"
SAME = "all tasks of a revision run the images that its first task resolved"

PINNED = "tasks of resolved images"
MOVED = "tasks of resolved images whose tag stands for another by then"
SITUATIONS = (PINNED, MOVED)


class ImageInvariants:
    """Follows a world's service revisions and what their tasks run. ``met`` counts the situations."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._pushes: dict[str, Counter[str]] = {}  # revision -> pushes of each image before it began
        self.met: Counter[str] = Counter()
        self._store.subscribe(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is ServiceRevision and change.after is not None:
                self._check_revision(change.before, change.after)
        for change in commit.changes:
            if change.kind is Task and change.after is not None and change.after.service_arn is not None:
                self._check_task(change.before, change.after)

    def _check_revision(self, before: ServiceRevision | None, after: ServiceRevision) -> None:
        images = self._images(after.spec.task_definition_arn)
        registry = self._world.instances.registry
        if before is None:
            self._pushes[after.arn] = Counter({image: registry.pushes(image) for image in images.values()})
            return
        if after.digests[: len(before.digests)] != before.digests:
            broken(KEPT, f"{after.arn}: {before.digests} -> {after.digests}")
        for container, digest in after.digests[len(before.digests) :]:
            image = images[container]
            since = range(self._pushes[after.arn][image], registry.pushes(image) + 1)
            if digest not in [digest_of(image, count) for count in since]:
                broken(FRESH, f"{after.arn} {container}: {digest} is what {image} stood for before")

    def _check_task(self, before: Task | None, after: Task) -> None:
        if after.resolves_images or (before is not None and before.containers is after.containers):
            return
        service = self._store.get(Service, after.service_arn or "")
        deployment = deployment_of(self._store, service, after) if service is not None else None
        if deployment is None:
            return
        revision = self._store.get(ServiceRevision, deployment.revision_arn)
        if revision is None:
            return
        images = self._images(after.task_definition_arn)
        for container, digest in revision.digests:
            running = next(each.image_digest for each in after.containers if each.name == container)
            if running is None:
                continue
            if running != digest:
                broken(SAME, f"{after.arn} {container}: {running}, and the revision has {digest}")
            self.met[PINNED] += 1
            if running != self._world.instances.registry.resolve(images[container]):
                self.met[MOVED] += 1

    def _images(self, definition_arn: str) -> dict[str, str]:
        definition = self._store.get(TaskDefinition, definition_arn)
        assert definition is not None, definition_arn
        return {each.name: each.image for each in definition.container_definitions}

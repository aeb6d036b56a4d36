"""Which images a deployment's tasks run, and why the tag does not decide it: in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from miniecs.control.version_consistency import revision_of
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.service import Deployment
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition

_PULL = "CannotPull"


def of_deployment(view: View, deployment: Deployment) -> Iterator[str]:
    """What each of its image tags was resolved to."""
    revision = revision_of(view, deployment)
    if revision is None:
        return
    images = _images(view, deployment.revision.task_definition_arn)
    for container, digest in revision.digests:
        image = images.get(container, "its image")
        yield f"Its tasks run {image} ({container}) as {digest}, whatever the tag stands for by now."
    if revision.attempts:
        tried = "1 task that was" if revision.attempts == 1 else f"{revision.attempts} tasks that were"
        yield f"{tried} to resolve its image tags never ran."


def of_task(view: View, task: Task) -> Iterator[str]:
    """Which image each container is pinned to; whether others wait for what this task resolves."""
    images = _images(view, task.task_definition_arn)
    for container in task.containers:
        if container.pinned_digest is not None:
            yield (
                f"Container {container.name} is pinned to {container.pinned_digest}, whatever"
                f" {images.get(container.name, 'its tag')} stands for by now: the first task of its"
                " deployment resolved the tag to it."
            )
            if (container.reason or "").startswith(_PULL):
                yield "If that image is gone, UpdateService with forceNewDeployment resolves the tag anew."
    if task.resolves_images and not task.is_stopped:
        told = ", ".join(f"{c.name} {c.image_digest}" for c in task.containers if c.image_digest)
        done = f": {told}" if told else ", and has not told yet"
        yield f"It was the first of its deployment, and resolves the image tags for the others{done}."


def waits(resolver: Task, digits: int) -> str:
    """What tasks wait for that are not started before the images are known."""
    id = arns.name_of(resolver.arn)[:digits]
    return f"No other task starts until task {id} has told which images the tags stand for."


def _images(view: View, definition_arn: str) -> dict[str, str]:
    definition = view.get(TaskDefinition, definition_arn)
    if definition is None:
        return {}
    return {each.name: each.image for each in definition.container_definitions}

"""Version consistency: a deployment's first task resolves its image tags, later ones get the same images.

Until that task has told the digests no other is started, so that a tag which is moved meanwhile makes no
difference. Source: ECS developer guide, "Container image resolution".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from miniecs.control.deployments import failed_to_start
from miniecs.control.launch import LaunchSpec
from miniecs.control.view import View
from miniecs.model import fargate
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Deployment, Service
from miniecs.model.service_deployment import ImageDigest, ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition

ATTEMPTS = 3  # tasks that may fail to start before the deployment goes on without digests


def to_resolve(service: Service, definition: TaskDefinition | None) -> tuple[str, ...]:
    """The containers whose image tags a new deployment's first task is to resolve.

    None where the service wants no task: what it is scaled to later runs what the tag stands for then.
    """
    if definition is None or (service.scheduling_strategy == "REPLICA" and not service.desired_count):
        return ()
    return tuple(
        container.name
        for container in definition.container_definitions
        if container.version_consistency != "disabled" and "@" not in container.image
    )


def resolver(view: View, deployment: Deployment, tasks: Iterable[Task]) -> Task | None:
    """Of the deployment's tasks the one whose digests all others wait for, if they do.

    What waits for capacity is waited for only where versionConsistency is ``enabled`` and not left out.
    """
    revision = revision_of(view, deployment)
    if revision is None or not revision.unresolved:
        return None
    return next((task for task in tasks if _may_yet_tell(view, revision, task)), None)


def goes_first(view: View, deployment: Deployment) -> bool:
    """Whether one task of the deployment is to start before its others."""
    revision = revision_of(view, deployment)
    return revision is not None and bool(revision.unresolved)


def others_wait(view: View, deployment: Deployment, first: Task | None) -> bool:
    """Whether the deployment starts no more than the task that went first; None: it found no host."""
    revision = revision_of(view, deployment)
    if revision is None or not revision.unresolved:
        return False
    if first is None:
        return is_asked_for(view, revision)
    return _may_yet_tell(view, revision, first)


def revision_of(view: View, deployment: Deployment) -> ServiceRevision | None:
    """A task set has none: its controller decides what each of its tasks runs."""
    return view.get(ServiceRevision, deployment.revision_arn) if deployment.revision_arn else None


def gave_up(view: View, deployment: Deployment) -> bool:
    """Whether the deployment's images could not be resolved: with a circuit breaker that ends it."""
    revision = revision_of(view, deployment)
    return revision is not None and revision.attempts >= ATTEMPTS


def learned(revision: ServiceRevision, task: Task) -> ServiceRevision:
    """The revision once a task that resolves its images has changed; the same where that tells nothing.

    What runs has told all that it ever will: an agent tells no digest of an image that it cannot name one of.
    """
    if not revision.unresolved:
        return revision
    told = {each.name: each.image_digest for each in task.containers if each.image_digest}
    found = tuple(ImageDigest(name, told[name]) for name in revision.unresolved if name in told)
    left = tuple(name for name in revision.unresolved if name not in told)
    attempts = revision.attempts
    if task.last_status == "RUNNING":
        left = ()
    elif left and failed_to_start(task):
        attempts += 1
        left = left if attempts < ATTEMPTS else ()
    if left == revision.unresolved and attempts == revision.attempts:
        return revision
    return replace(revision, digests=(*revision.digests, *found), unresolved=left, attempts=attempts)


def pinning(spec: LaunchSpec, revision: ServiceRevision | None) -> LaunchSpec:
    """What makes tasks with the images of this revision, or tasks that resolve them."""
    if revision is None or not (revision.digests or revision.unresolved):
        return spec
    return replace(spec, digests=dict(revision.digests), resolves_images=bool(revision.unresolved))


def pinned(task: Task, revision: ServiceRevision | None) -> Task:
    """The same for a task that has waited for its host since: what is known by now."""
    if revision is None or not (revision.digests or revision.unresolved):
        return task
    digests = dict(revision.digests)
    return replace(
        task,
        resolves_images=bool(revision.unresolved),
        containers=tuple(
            replace(each, pinned_digest=digests[each.name]) if each.name in digests else each
            for each in task.containers
        ),
    )


@lru_cache(maxsize=4096)
def reference(image: str, digest: str) -> str:
    """The image by its digest; the tag stays for whoever reads it. Equal ones are one object."""
    return f"{image}@{digest}"


def is_asked_for(view: View, revision: ServiceRevision) -> bool:
    """Whether versionConsistency is ``enabled`` and not only left out: then even capacity is waited for."""
    definition = view.get(TaskDefinition, revision.spec.task_definition_arn)
    return definition is not None and any(
        container.version_consistency == "enabled" and container.name in revision.unresolved
        for container in definition.container_definitions
    )


def _may_yet_tell(view: View, revision: ServiceRevision, task: Task) -> bool:
    """Of an agent that is away nobody knows when it will."""
    if task.container_instance_arn is None:
        return fargate.waits(task) or is_asked_for(view, revision)
    instance = view.get(ContainerInstance, task.container_instance_arn)
    return instance is not None and instance.agent_connected

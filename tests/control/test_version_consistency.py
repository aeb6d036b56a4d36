"""Version consistency: who resolves image tags, who waits for that, and what is pinned to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.control import version_consistency
from miniecs.control.explain import explain_service, explain_task
from miniecs.control.plan import LaunchTasks, StopTask
from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.service import CircuitBreaker, DeploymentConfiguration
from miniecs.model.service_deployment import ImageDigest, ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition

from .cases import definition, instance, service
from .lab import Lab

A, B = "sha256:a", "sha256:b"


def containers(**images: tuple[str, Any]) -> TaskDefinition:
    """Containers by name, each with an image and a versionConsistency."""
    made = tuple(
        ContainerDefinition(name=name, image=image, memory=16, version_consistency=consistency)
        for name, (image, consistency) in images.items()
    )
    return definition(container_definitions=made)


def begun(desired: int = 4, of: TaskDefinition | None = None, *things: Any, **fields: Any) -> Lab:
    """A service whose first deployment has images to resolve, planned for once."""
    of = of or definition()
    made = Lab(of, *things, **fields)
    web = replace(service(desired), deployments=())
    made.deploy(web, unresolved=version_consistency.to_resolve(web, of))
    made.settle()
    return made


def revision(lab: Lab) -> ServiceRevision:
    found = lab.store.get(ServiceRevision, lab.service.primary.revision_arn)
    assert found is not None
    return found


def pins(lab: Lab) -> list[tuple[bool, str | None]]:
    """Of each task whether it resolves, and what it is pinned to."""
    return [(task.resolves_images, task.containers[0].pinned_digest) for task in lab.tasks()]


@pytest.mark.parametrize(
    ("desired", "scheduling", "names"),
    [(1, "REPLICA", ("plain", "asked")), (0, "REPLICA", ()), (0, "DAEMON", ("plain", "asked"))],
)
def test_tags_are_resolved_unless_told_otherwise(
    desired: int, scheduling: str, names: tuple[str, ...]
) -> None:
    of = containers(
        plain=("web:1", None),
        asked=("web", "enabled"),
        off=("web", "disabled"),
        known=("web@sha256:00", None),
    )
    web = service(desired, scheduling_strategy=scheduling)
    assert version_consistency.to_resolve(web, of) == names


def test_one_task_goes_first_and_the_others_get_its_image() -> None:
    lab = begun(4)
    assert lab.launches() == [4] and pins(lab) == [(True, None)]
    assert "one of them first, which resolves the image tags" in lab.tasks()[0].because
    lab.check_idle()
    (first,) = lab.tasks()
    words = explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert any("No other task starts until task" in line for line in words), words
    lab.report(first, "PENDING", image_digest=A)
    assert revision(lab).digests == (ImageDigest("app", A),) and not revision(lab).unresolved
    lab.settle()
    assert pins(lab) == [(True, None), *[(False, A)] * 3]
    told = explain_task(lab.store, lab.tasks()[-1], now=lab.now, timing=lab.timing)
    assert any(f"Container app is pinned to {A}, whatever busybox stands for" in line for line in told), told
    lab.report(first, "RUNNING", image_digest=B)  # whatever it says later
    assert revision(lab).digests == (ImageDigest("app", A),)
    lab.converge()
    assert lab.service.primary.rollout_state == "COMPLETED"


def test_the_next_deployment_resolves_anew_and_a_rollback_does_not() -> None:
    lab = begun(2)
    lab.report(lab.tasks()[0], "PENDING", image_digest=A)
    lab.converge()
    breaker = CircuitBreaker(enable=True, rollback=True)
    settings = DeploymentConfiguration(circuit_breaker=breaker)
    configured = replace(lab.service, deployment_configuration=settings)
    lab.deploy(configured, unresolved=("app",))
    lab.settle()
    assert revision(lab).unresolved == ("app",)
    for _ in range(version_consistency.ATTEMPTS):
        lab.run(60.0)
        (trying,) = lab.tasks("PENDING")
        assert trying.resolves_images
        lab.report(trying, "STOPPED", reason="CannotPullContainerError: manifest unknown")
    lab.settle()
    assert lab.service.primary.id == configured.primary.id
    assert revision(lab).digests == (ImageDigest("app", A),)
    lab.converge()
    running = lab.tasks("RUNNING")
    lab.report(running[0], "STOPPED", exit_code=1)
    lab.settle()
    (substitute,) = lab.tasks("PENDING")
    assert substitute.containers[0].pinned_digest == A


def test_after_three_tasks_that_never_ran_it_goes_on_without() -> None:
    lab = begun(3)
    for _ in range(version_consistency.ATTEMPTS):
        lab.run(60.0)
        (trying,) = lab.tasks("PENDING")
        lab.report(trying, "STOPPED", reason="CannotPullContainerError: manifest unknown")
    assert (revision(lab).attempts, revision(lab).unresolved, revision(lab).digests) == (3, (), ())
    lab.run(60.0)
    waiting = lab.tasks("PENDING")
    assert [(t.resolves_images, t.containers[0].pinned_digest) for t in waiting] == [(False, None)] * 3
    lab.converge()
    assert lab.service.primary.rollout_state == "COMPLETED"


def test_a_larger_threshold_does_not_keep_the_breaker_from_that() -> None:
    lab = begun(40)  # its threshold is 20
    with lab.store.transaction() as tx:
        configured = DeploymentConfiguration(circuit_breaker=CircuitBreaker(enable=True))
        tx.put(replace(lab.service, deployment_configuration=configured))
    for _ in range(version_consistency.ATTEMPTS):
        lab.run(60.0)
        lab.report(lab.tasks("PENDING")[0], "STOPPED", reason="CannotPullContainerError: manifest unknown")
    lab.settle()
    assert (lab.service.primary.rollout_state, len(lab.tasks("PENDING"))) == ("FAILED", 0)


def test_an_image_without_a_digest_pins_nothing() -> None:
    """Amazon's own agent tells none of an image that was made locally."""
    lab = begun(3)
    lab.report(lab.tasks()[0], "RUNNING")
    assert (revision(lab).unresolved, revision(lab).digests) == ((), ())
    lab.settle()
    assert pins(lab)[1:] == [(False, None)] * 2


def test_each_container_is_resolved_by_itself() -> None:
    lab = begun(2, containers(main=("web:1", None), side=("envoy:1", None), off=("x:1", "disabled")))
    (first,) = lab.tasks()
    one_told = replace(first.containers[0], image_digest=A)
    assert version_consistency.learned(
        revision(lab), replace(first, containers=(one_told, *first.containers[1:]))
    ) == replace(revision(lab), digests=(ImageDigest("main", A),), unresolved=("side",))
    lab.report(first, "PENDING", image_digest=B)
    lab.settle()
    second = lab.tasks()[1]
    assert [container.pinned_digest for container in second.containers] == [B, B, None]


def test_a_task_that_is_stopped_before_it_told_is_no_attempt() -> None:
    lab = begun(2)
    (first,) = lab.tasks()
    with lab.store.transaction() as tx:
        tx.put(replace(first, last_status="STOPPED", desired_status="STOPPED", stop_code="UserInitiated"))
    lab.settle()
    assert (pins(lab)[1:], revision(lab).attempts) == ([(True, None)], 0)


def test_nobody_waits_for_an_agent_that_is_away() -> None:
    lab = begun(2)
    (first,) = lab.tasks()
    host = next(i for i in map(instance, (1, 2, 3)) if i.arn == first.container_instance_arn)
    lab.change(host, agent_connected=False)
    lab.settle()
    assert pins(lab) == [(True, None)] * 2, "another one resolves them, on another host"
    lab.report(lab.tasks()[1], "PENDING", image_digest=A)
    assert revision(lab).digests == (ImageDigest("app", A),)


@pytest.mark.parametrize("scheduling", ["REPLICA", "DAEMON"])
def test_the_plan_that_stops_the_first_task_launches_the_next(scheduling: str) -> None:
    lab = begun(2) if scheduling == "REPLICA" else begun_daemon()
    (first,) = lab.tasks()
    host = next(i for i in map(instance, (1, 2, 3)) if i.arn == first.container_instance_arn)
    lab.change(host, status="DRAINING")
    lab.plans.clear()
    lab.settle()
    (stops,) = (plan for _, plan in lab.plans if any(isinstance(action, StopTask) for action in plan.actions))
    assert [action.count for action in stops.actions if isinstance(action, LaunchTasks)] == [2]
    lab.check_idle()
    assert pins(lab) == [(True, None)] * 2, "it resolves them, on another host"


def begun_daemon() -> Lab:
    of = definition()
    lab = Lab(of)
    web = replace(service(0, scheduling_strategy="DAEMON", low=0, high=100), deployments=())
    lab.deploy(web, unresolved=version_consistency.to_resolve(web, of))
    lab.settle()
    return lab


def test_a_daemon_starts_on_one_instance_first() -> None:
    lab = begun_daemon()
    assert pins(lab) == [(True, None)]
    lab.report(lab.tasks()[0], "PENDING", image_digest=A)
    lab.settle()
    assert pins(lab)[1:] == [(False, A)] * 2


@pytest.mark.parametrize(("consistency", "waits"), [(None, False), ("enabled", True)])
def test_capacity_is_waited_for_only_where_that_was_asked_for(consistency: Any, waits: bool) -> None:
    lab = begun(3, containers(app=("web:1", consistency)))
    (first,), primary = lab.tasks(), lab.service.primary
    homeless = replace(first, container_instance_arn=None, last_status="PROVISIONING")
    assert version_consistency.others_wait(lab.store, primary, None) is waits
    assert version_consistency.others_wait(lab.store, primary, homeless) is waits
    assert (version_consistency.resolver(lab.store, primary, [homeless]) is homeless) is waits
    on_fargate = replace(homeless, launch_type="FARGATE")
    assert version_consistency.others_wait(lab.store, primary, on_fargate), "its machine is on its way"
    assert version_consistency.others_wait(lab.store, primary, first)


def test_a_reconciler_that_dies_in_between_starts_nobody_too_early() -> None:
    lab = begun(4)
    lab.restarted()
    lab.settle()
    assert pins(lab) == [(True, None)]
    lab.report(lab.tasks()[0], "PENDING", image_digest=A)
    lab.crashes = 1
    lab.settle()
    lab.restarted()
    lab.settle()
    assert pins(lab)[1:] == [(False, A)] * 3


def test_equal_references_are_one_object() -> None:
    assert version_consistency.reference("web:1", A) is version_consistency.reference("web:1", A)


def test_a_standalone_task_is_pinned_to_nothing() -> None:
    task = Task("arn", "c", "td", "family:web")
    assert version_consistency.pinned(task, None) is task

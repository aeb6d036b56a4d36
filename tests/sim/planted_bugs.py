"""Bugs planted to see whether the invariants of the simulation catch them, each a patch of the real code."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from miniecs import fleets
from miniecs.control import (
    census,
    deployments,
    launch,
    payloads,
    rebalancing,
    reports,
    rolling,
    services,
    targets,
    tasks,
    version_consistency,
)
from miniecs.control.draft import Draft
from miniecs.control.plan import AdvanceTask, Key, Plan
from miniecs.control.reports import TaskReport
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import DeploymentConfiguration
from miniecs.model.service_deployment import ImageDigest, ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.reconciler import Reconciler
from miniecs_agent.core.effects import Answer, ApiFailure
from miniecs_agent.core.tasks import TaskRunner
from miniecs_api import agent_session, agents
from miniecs_api.ecs import state_changes
from miniecs_scheduler import Host, Resources

from .planting import Bugs

BUGS = bug = Bugs()


@bug
def floor_rounds_down(patch: MonkeyPatch) -> None:
    def bounds(desired: int, config: DeploymentConfiguration) -> tuple[int, int]:
        floor = math.floor(desired * config.minimum_healthy_percent / 100)
        return floor, desired * config.maximum_percent // 100

    patch.setattr(rolling, "bounds", bounds)


@bug
def ceiling_is_ignored(patch: MonkeyPatch) -> None:
    honest = deployments.bounds
    patch.setattr(rolling, "bounds", lambda desired, config: (honest(desired, config)[0], 1000))


@bug
def stopping_tasks_do_not_count_to_the_ceiling(patch: MonkeyPatch) -> None:
    honest = services.plan

    def plan(*args: Any, **fields: Any) -> Plan:
        return honest(*args, **(fields | {"ceiling_counts_stopping": False}))

    patch.setattr(services, "plan", plan)


@bug
def tasks_are_healthy_as_soon_as_they_run(patch: MonkeyPatch) -> None:
    patch.setattr(census, "_judge_of", lambda *args: lambda *more: census.HEALTHY)


@bug
def late_reports_take_a_task_back(patch: MonkeyPatch) -> None:
    honest = reports.apply_report

    def apply_report(task: Task, definition: TaskDefinition, report: TaskReport, *, now: float) -> Task:
        after = honest(task, definition, report, now=now)
        return replace(after, last_status=report.status) if report.status == "RUNNING" else after

    patch.setattr(state_changes, "apply_report", apply_report)


def _host_of(patch: MonkeyPatch, **always: Any) -> None:
    honest = launch.host_of

    def host_of(instance: ContainerInstance) -> Host:
        return replace(honest(instance), **always)

    patch.setattr(fleets, "host_of", host_of)


@bug
def draining_instances_take_tasks(patch: MonkeyPatch) -> None:
    _host_of(patch, active=True)


@bug
def lost_agents_get_tasks(patch: MonkeyPatch) -> None:
    _host_of(patch, connected=True)


def _demand(patch: MonkeyPatch, **less: Any) -> None:
    honest = launch.demand_of_task

    def demand_of_task(task: Task, definition: TaskDefinition | None) -> Resources:
        return replace(honest(task, definition), **less)

    patch.setattr(fleets, "demand_of_task", demand_of_task)


@bug
def host_ports_are_not_accounted(patch: MonkeyPatch) -> None:
    _demand(patch, tcp_ports=frozenset())


@bug
def memory_is_not_accounted(patch: MonkeyPatch) -> None:
    _demand(patch, memory=0)


@bug
def what_stopped_tasks_held_is_not_released(patch: MonkeyPatch) -> None:
    def is_on_host(task: Task) -> bool:
        return task.container_instance_arn is not None and task.launch_type != "FARGATE"

    patch.setattr(fleets, "is_on_host", is_on_host)


@bug
def one_launch_too_many(patch: MonkeyPatch) -> None:
    honest = Draft.launch

    def launch(self: Draft, deployment: Any, count: int, because: str, **more: Any) -> None:
        honest(self, deployment, count + 1, because, **more)

    patch.setattr(Draft, "launch", launch)


@bug
def tasks_stop_before_their_targets_are_drained(patch: MonkeyPatch) -> None:
    honest = tasks._stopping

    def stopping(view: Any, task: Task, version: int, **more: Any) -> Plan:
        if task.last_status in ("RUNNING", "DEACTIVATING"):
            return Plan((AdvanceTask(task, version, "STOPPING", "planted"),))
        return honest(view, task, version, **more)

    patch.setattr(tasks, "_stopping", stopping)


@bug
def targets_are_never_deregistered(patch: MonkeyPatch) -> None:
    patch.setattr(targets, "deregistrations", lambda *args, **more: [])


@bug
def too_many_tasks_stay(patch: MonkeyPatch) -> None:
    patch.setattr(rolling, "_scale_in", lambda *args: None)


@bug
def protection_is_forgotten(patch: MonkeyPatch) -> None:
    patch.setattr(Draft, "keeps", lambda self, task: False)


@bug
def zones_are_never_balanced(patch: MonkeyPatch) -> None:
    patch.setattr(rebalancing, "begin", lambda *args: None)


@bug
def rebalancing_does_not_wait_until_the_new_task_is_healthy(patch: MonkeyPatch) -> None:
    honest = rebalancing.finish

    def finish(draft: Draft) -> None:
        cohort = draft.census.cohorts[0]
        healthy = cohort.healthy
        cohort.healthy = [*healthy, *cohort.settling, *cohort.pending]
        honest(draft)
        cohort.healthy = healthy

    patch.setattr(rebalancing, "finish", finish)


@bug
def rebalancing_stops_where_fewest_tasks_are(patch: MonkeyPatch) -> None:
    honest = rebalancing.zone_counts
    patch.setattr(rebalancing, "zone_counts", lambda tasks: honest(tasks)[::-1])


@bug
def rebalancing_starts_too_many(patch: MonkeyPatch) -> None:
    honest = rebalancing._starts

    def starts(*args: Any) -> dict[str, int]:
        return {zone: 20 * count for zone, count in honest(*args).items()}

    patch.setattr(rebalancing, "_starts", starts)


@bug
def a_task_that_moves_is_scaled_in(patch: MonkeyPatch) -> None:
    patch.setattr(rolling, "moving", lambda service, cohort: [])


@bug
def zones_of_every_service_are_balanced(patch: MonkeyPatch) -> None:
    patch.setattr(rebalancing, "may_go_on", lambda service: len(service.deployments) == 1)


@bug
def wakes_by_the_clock_are_dropped(patch: MonkeyPatch) -> None:
    honest = Reconciler.plan

    def plan(self: Reconciler, key: Key, now: float, **more: Any) -> Plan:
        return replace(honest(self, key, now, **more), wake_at=None)

    patch.setattr(Reconciler, "plan", plan)


@bug
def what_was_sent_over_a_dead_line_is_never_sent_again(patch: MonkeyPatch) -> None:
    patch.setattr(agents, "_told", lambda task: "RUNNING" if task.last_status != "STOPPING" else None)

    def send_tasks(self: agent_session.AgentSession, now: float, payloads: Iterable[dict[str, Any]]) -> None:
        if self._owner.is_connected(self.instance_arn) and self._heard_at < now:
            honest(self, now, payloads)

    honest = agent_session.AgentSession.send_tasks
    patch.setattr(agent_session.AgentSession, "send_tasks", send_tasks)


@bug
def a_report_that_nobody_answered_is_not_repeated(patch: MonkeyPatch) -> None:
    honest = TaskRunner.answered

    def answered(self: TaskRunner, now: float, task_arn: str, answer: Answer) -> None:
        honest(self, now, task_arn, {} if isinstance(answer, ApiFailure) else answer)

    patch.setattr(TaskRunner, "answered", answered)


@bug
def stops_are_not_sent_to_agents(patch: MonkeyPatch) -> None:
    honest = agents._due
    patch.setattr(agents, "_due", lambda task: None if task.last_status == "STOPPING" else honest(task))


@bug
def pinned_images_are_sent_by_their_tags(patch: MonkeyPatch) -> None:
    patch.setattr(payloads, "_image", lambda image, digest: {})


@bug
def a_deployment_keeps_the_images_of_the_one_before(patch: MonkeyPatch) -> None:
    honest, kept = version_consistency.learned, dict[tuple[str, str], str]()

    def learned(revision: ServiceRevision, task: Task) -> ServiceRevision:
        found = honest(revision, task)
        old = tuple(
            ImageDigest(name, kept.setdefault((revision.service_arn, name), digest))
            for name, digest in found.digests
        )
        return found if old == found.digests else replace(found, digests=old)

    patch.setattr(version_consistency, "learned", learned)


@bug
def digests_are_taken_from_whoever_told_last(patch: MonkeyPatch) -> None:
    honest = version_consistency.learned

    def learned(revision: ServiceRevision, task: Task) -> ServiceRevision:
        told = tuple(ImageDigest(c.name, c.image_digest) for c in task.containers if c.image_digest)
        return replace(revision, digests=told) if told and not revision.unresolved else honest(revision, task)

    patch.setattr(version_consistency, "learned", learned)

"""Bugs planted between tasks and their load balancer, to see whether a run of ``balanced`` catches them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from miniecs.control import census, registration, rolling, routing, targets, tasks
from miniecs.control.draft import Draft
from miniecs.control.plan import NOTHING, AdvanceTask, Plan
from miniecs.control.routing import routing_table
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.routing import RoutedGroup, RoutedTarget, RoutingTable
from miniecs.model.task import Task
from miniecs.proxy.balance import Group
from miniecs.reconciler import Reconciler
from miniecs_api import links, tables

from .planting import Bugs

BUGS = bug = Bugs()


@bug
def tasks_stop_without_draining(patch: MonkeyPatch) -> None:
    honest = tasks._stopping

    def stopping(view: Any, task: Task, version: int, **more: Any) -> Plan:
        if task.last_status in ("RUNNING", "DEACTIVATING"):
            return Plan((AdvanceTask(task, version, "STOPPING", "planted"),))
        return honest(view, task, version, **more)

    patch.setattr(tasks, "_stopping", stopping)


@bug
def targets_go_without_draining(patch: MonkeyPatch) -> None:
    patch.setattr(targets, "deregistered", lambda target, *, now, delay: None)


@bug
def new_targets_go_without_draining(patch: MonkeyPatch) -> None:
    honest = registration.deregistered

    def deregistered(target: Target, *, now: float, delay: float) -> Target | None:
        return None if target.state == "initial" else honest(target, now=now, delay=delay)

    patch.setattr(targets, "deregistered", deregistered)


@bug
def the_deregistration_delay_is_ignored(patch: MonkeyPatch) -> None:
    patch.setattr(targets, "deregistration_delay", lambda group: 3.0)


def _as_states(patch: MonkeyPatch, states: dict[str, str]) -> None:
    """Every table says these states for others."""

    def told(target: RoutedTarget) -> RoutedTarget:
        return replace(target, state=states.get(target.state, target.state))

    def table(*args: Any, **more: Any) -> RoutingTable:
        honest = routing_table(*args, **more)
        groups = [replace(group, targets=tuple(map(told, group.targets))) for group in honest.groups]
        return replace(honest, groups=tuple(groups))

    patch.setattr(tables, "routing_table", table)


@bug
def tables_have_draining_targets_as_healthy(patch: MonkeyPatch) -> None:
    _as_states(patch, {"draining": "healthy"})


@bug
def tables_have_unhealthy_targets_as_healthy(patch: MonkeyPatch) -> None:
    _as_states(patch, {"unhealthy": "healthy"})


@bug
def tables_have_new_targets_as_healthy(patch: MonkeyPatch) -> None:
    _as_states(patch, {"initial": "healthy"})


@bug
def tables_lack_draining_targets(patch: MonkeyPatch) -> None:
    honest = routing._group

    def group(view: Any, of: TargetGroup, dial: Any) -> RoutedGroup:
        made = honest(view, of, dial)
        return replace(made, targets=tuple(t for t in made.targets if t.state != "draining"))

    patch.setattr(routing, "_group", group)


@bug
def targets_are_registered_before_their_tasks_run(patch: MonkeyPatch) -> None:
    honest = census.take

    def take(view: Any, service: Any, **more: Any) -> census.Census:
        counted = honest(view, service, **more)
        for cohort in counted.cohorts:
            for task in cohort.pending:
                if task.created_at < more["now"] and not view.find(Target, "task", task.arn):
                    counted.unregistered += [(task, b) for b in cohort.deployment.revision.load_balancers]
        return counted

    patch.setattr(census, "take", take)
    patch.setattr(targets, "_host_port", lambda view, task, balancer: int(task.arn[-4:], 16) + 1)


@bug
def targets_are_never_registered(patch: MonkeyPatch) -> None:
    honest = Draft._registrations
    patch.setattr(Draft, "_registrations", lambda self: honest(self) if self.now % 2 < 1 else [])


@bug
def old_tasks_stop_before_new_ones_are_healthy(patch: MonkeyPatch) -> None:
    honest = census.take

    def take(view: Any, service: Any, **more: Any) -> census.Census:
        counted = honest(view, service, **more)
        for cohort in counted.cohorts if len(service.deployments) > 1 else ():
            cohort.healthy += cohort.settling
            cohort.settling = []
        return counted

    patch.setattr(census, "take", take)


@bug
def new_tasks_start_after_old_ones_have_stopped(patch: MonkeyPatch) -> None:
    patch.setattr(rolling, "bounds", lambda desired, config: (0, desired))


@bug
def draining_begins_anew_when_the_control_plane_restarts(patch: MonkeyPatch) -> None:
    def unheard_of(view: Any, served: int) -> list[Target]:
        return [target for target in view.all(Target) if target.state == "draining"]

    patch.setattr(tables, "unheard_of", unheard_of)


@bug
def draining_counts_though_the_data_plane_never_heard_of_it(patch: MonkeyPatch) -> None:
    patch.setattr(tables, "unheard_of", lambda view, served: [])


@bug
def targets_go_before_the_data_plane_could_say_what_it_knows(patch: MonkeyPatch) -> None:
    honest = targets.plan

    def plan(view: Any, key: str, *, now: float, stays_until: float = 0.0) -> Plan:
        return honest(view, key, now=now)

    patch.setattr(targets, "plan", plan)


@bug
def draining_is_forgotten_when_the_control_plane_restarts(patch: MonkeyPatch) -> None:
    honest = Reconciler.queue_everything

    def queue_everything(self: Reconciler) -> None:
        honest(self)
        for key in [key for key in self._wakes.touched if key[0] == "target"]:
            del self._wakes.touched[key]

    patch.setattr(Reconciler, "queue_everything", queue_everything)


@bug
def changes_of_targets_are_not_told_to_the_data_plane(patch: MonkeyPatch) -> None:
    honest = tables._is_told
    patch.setattr(tables, "_is_told", lambda change: change.kind is not Target and honest(change))


@bug
def crashed_tasks_keep_their_targets_and_nothing_is_probed(patch: MonkeyPatch) -> None:
    patch.setattr(tasks, "_kept", lambda view, task, version, **more: NOTHING)
    honest = links.Prober.probe

    def probe(self: links.Prober, of: list[Target]) -> None:
        honest(self, [target for target in of if target.state == "initial"])

    patch.setattr(links.Prober, "probe", probe)


@bug
def failed_probes_are_not_counted(patch: MonkeyPatch) -> None:
    patch.setattr(tasks, "_kept", lambda view, task, version, **more: NOTHING)
    honest = links.report_probes

    def report_probes(tx: Any, results: Iterable[tuple[str, Any]], *, now: float) -> None:
        honest(tx, [each for each in results if each[1].ok], now=now)

    patch.setattr(links, "report_probes", report_probes)


@bug
def unhealthy_tasks_all_stop_at_once(patch: MonkeyPatch) -> None:
    def is_moving(draft: Draft, anchor: census.Cohort) -> bool:
        return bool(draft.stops or draft.census.stopping)

    patch.setattr(rolling, "_is_moving", is_moving)


@bug
def the_proxy_fails_closed(patch: MonkeyPatch) -> None:
    honest = Group._choose_usable

    def choose(self: Group) -> None:
        honest(self)
        self.usable = [target for target in self.usable if target.spec.state == "healthy"]

    patch.setattr(Group, "_choose_usable", choose)


@bug
def the_proxy_ends_what_is_in_flight_as_a_target_drains(patch: MonkeyPatch) -> None:
    honest = Group.told

    def told(self: Group, spec: RoutedGroup) -> None:
        honest(self, spec)
        self.targets = {key: t for key, t in self.targets.items() if t.spec.state != "draining"}

    patch.setattr(Group, "told", told)

"""Bugs of task sets planted to see whether simulated runs catch them, each a patch of the real code."""

from __future__ import annotations

from dataclasses import replace
from math import floor
from typing import Any

from pytest import MonkeyPatch

from miniecs.control import rolling, task_sets
from miniecs.control.plan import Forget
from miniecs.model.service import Service
from miniecs.model.task_set import TaskSet

from .planting import Bugs

BUGS = bug = Bugs()


@bug
def shares_are_rounded_down(patch: MonkeyPatch) -> None:
    patch.setattr(task_sets, "ceil", floor)


@bug
def shares_are_computed_with_fractions_of_two(patch: MonkeyPatch) -> None:
    """66.6 % as a float is a little more than it is."""

    def computed(service: Service, task_set: TaskSet) -> int:
        return 0 if task_set.status == "DRAINING" else floor(service.desired_count * task_set.scale / 100 + 1)

    patch.setattr(task_sets, "computed", computed)


@bug
def scaling_leaves_a_task_set_steady(patch: MonkeyPatch) -> None:
    patch.setattr(task_sets, "unsettled", lambda service, task_set, *, now: task_set)


@bug
def pending_tasks_are_steady(patch: MonkeyPatch) -> None:
    patch.setattr(
        task_sets,
        "_is_in_order",
        lambda part, cohort: cohort.good == cohort.deployment.desired_count,
    )


@bug
def stopping_tasks_are_steady(patch: MonkeyPatch) -> None:
    honest = task_sets._after

    def after(part: Any, task_set: TaskSet, cohort: Any) -> TaskSet:
        part.census.stopping.clear()
        return honest(part, task_set, cohort)

    patch.setattr(task_sets, "_after", after)


@bug
def running_is_healthy_whatever_checks_it(patch: MonkeyPatch) -> None:
    patch.setattr(task_sets, "is_checked", lambda view, deployment: False)


@bug
def a_steady_task_set_stays_so(patch: MonkeyPatch) -> None:
    honest = task_sets._after

    def after(part: Any, task_set: TaskSet, cohort: Any) -> TaskSet:
        found = honest(part, task_set, cohort)
        was_steady = task_set.stability_status == "STEADY_STATE"
        return replace(found, stability_status="STEADY_STATE") if was_steady else found

    patch.setattr(task_sets, "_after", after)


@bug
def a_deleted_task_set_goes_with_its_tasks(patch: MonkeyPatch) -> None:
    def drained(draft: Any, whole: Any, task_set: TaskSet, cohort: Any) -> list[Any]:
        return [task_sets._forget(whole.view, task_set, "it was deleted")]

    patch.setattr(task_sets, "_drained", drained)


@bug
def a_deleted_task_set_keeps_its_tasks(patch: MonkeyPatch) -> None:
    honest = task_sets._drained

    def drained(draft: Any, whole: Any, task_set: TaskSet, cohort: Any) -> list[Any]:
        return [] if cohort.wanted else honest(draft, whole, task_set, cohort)

    patch.setattr(task_sets, "_drained", drained)


@bug
def a_deleted_task_set_is_kept_for_ever(patch: MonkeyPatch) -> None:
    honest = task_sets._drained

    def drained(draft: Any, whole: Any, task_set: TaskSet, cohort: Any) -> list[Any]:
        actions = honest(draft, whole, task_set, cohort)
        return [each for each in actions if not isinstance(each, Forget)]

    patch.setattr(task_sets, "_drained", drained)


@bug
def the_service_is_steady_with_its_first_task_set(patch: MonkeyPatch) -> None:
    honest = task_sets.plan

    def plan(draft: Any, **more: Any) -> Any:
        planned = honest(draft, **more)
        return replace(planned, actions=tuple(map(_steady, planned.actions)))

    patch.setattr(task_sets, "plan", plan)


def _steady(action: Any) -> Any:
    after = getattr(action, "after", None)
    return replace(action, after=replace(after, steady=True)) if isinstance(after, Service) else action


@bug
def two_are_primary(patch: MonkeyPatch) -> None:
    patch.setattr("miniecs_api.ecs.task_sets.life.primary", lambda task_sets: None)


@bug
def a_task_set_starts_more_than_it_may(patch: MonkeyPatch) -> None:
    decide = rolling.decide

    def eager(draft: Any, **more: Any) -> None:
        decide(draft, **more)
        draft.launches[:] = [replace(each, count=each.count * 3) for each in draft.launches]

    patch.setattr(rolling, "decide", eager)


@bug
def healthy_tasks_go_before_their_substitutes(patch: MonkeyPatch) -> None:
    patch.setattr(rolling, "bounds", lambda desired, of: (0, desired))

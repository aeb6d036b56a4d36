"""Bugs planted to see whether simulated releases catch them, each a patch of the real code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from miniecs import apply
from miniecs.control import (
    alarms,
    deployments,
    failures,
    history,
    releases,
    service_deployments,
    stages,
    wakes,
)
from miniecs.model.service import Deployment, Service
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision

from .planting import Bugs

BUGS = bug = Bugs()


@bug
def releases_do_not_end_with_their_deployments(patch: MonkeyPatch) -> None:
    patch.setattr(releases, "_succeed", lambda *args, **how: None)


@bug
def a_newer_release_does_not_stop_the_one_before_it(patch: MonkeyPatch) -> None:
    patch.setattr(service_deployments, "superseded", lambda deployment, *, now: deployment)


@bug
def a_stopped_release_is_pending_again(patch: MonkeyPatch) -> None:
    honest = service_deployments.closed

    def closed(*args: Any, **more: Any) -> ServiceDeployment:
        return replace(honest(*args, **more), status="PENDING", finished_at=None)

    patch.setattr(service_deployments, "closed", closed)


@bug
def revisions_are_not_kept(patch: MonkeyPatch) -> None:
    honest = apply.write_begun

    def write_begun(tx: Any, *args: Any, **more: Any) -> None:
        honest(tx, *args, **more)
        tx.delete(ServiceRevision, args[1].service_revision.arn)

    patch.setattr("miniecs_api.ecs.services.write_begun", write_begun)


@bug
def the_breaker_trips_one_failure_too_soon(patch: MonkeyPatch) -> None:
    honest = deployments.threshold
    patch.setattr(deployments, "threshold", lambda service: honest(service) - 1)


@bug
def the_breaker_never_trips(patch: MonkeyPatch) -> None:
    patch.setattr(deployments, "has_tripped", lambda service: False)


@bug
def what_is_to_be_rolled_back_is_not(patch: MonkeyPatch) -> None:
    patch.setattr(failures, "candidate", lambda service: None)


@bug
def early_success_comes_too_early(patch: MonkeyPatch) -> None:
    patch.setattr(stages, "enough", lambda configuration, desired, **more: min(1, desired))


@bug
def a_failed_rollback_is_followed_by_another(patch: MonkeyPatch) -> None:
    def candidate(service: Service) -> Deployment | None:
        return service.completed

    patch.setattr(failures, "candidate", candidate)
    patch.setattr(failures, "_rolls_back", lambda ongoing: False)


@bug
def alarms_are_not_heard(patch: MonkeyPatch) -> None:
    patch.setattr(wakes.Wakes, "_alarm", lambda *args: None)


@bug
def alarms_that_were_on_before_are_watched(patch: MonkeyPatch) -> None:
    patch.setattr(alarms, "to_watch", lambda view, service: alarms.of_service(service))


@bug
def there_is_no_bake_time(patch: MonkeyPatch) -> None:
    patch.setattr(alarms, "bake_time", lambda *args: 0.0)


@bug
def what_users_ask_for_is_not_heard(patch: MonkeyPatch) -> None:
    patch.setattr(wakes, "_ASKED_FOR", ())


@bug
def history_is_forgotten_at_once(patch: MonkeyPatch) -> None:
    patch.setattr(history, "KEPT", 0)

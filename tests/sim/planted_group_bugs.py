"""Bugs planted in capacity providers, managed scaling and groups, each a patch of the real code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from miniecs.apply.launching import Launcher
from miniecs.control import capacity, groups, managed_scaling, provisioning, scaling
from miniecs.control.plan import EndInstance, Plan
from miniecs.control.view import View
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance
from miniecs.model.instance import ContainerInstance
from miniecs_agent.sim.instances import SimulatedInstances

from .planting import Bugs

BUGS = bug = Bugs()


@bug
def waiting_tasks_take_any_instance(patch: MonkeyPatch) -> None:
    def hosts(view: View, cluster_arn: str, _provider_name: str) -> list[ContainerInstance]:
        found = view.find(ContainerInstance, "cluster", cluster_arn)
        return [instance for instance in found if instance.status != "INACTIVE"]

    patch.setattr(capacity, "hosts", hosts)


@bug
def strategies_are_forgotten(patch: MonkeyPatch) -> None:
    patch.setattr(Launcher, "_shares", lambda _self, spec, _service, _deployment, count: [(spec, count)])


@bug
def groups_are_asked_for_more_than_their_maximum(patch: MonkeyPatch) -> None:
    patch.setattr(
        managed_scaling.Seen,
        "wanted",
        property(lambda seen: scaling.desired(seen.reservation, seen.target) if seen.group else 0),
    )


@bug
def groups_launch_beyond_their_maximum(patch: MonkeyPatch) -> None:
    honest = groups._zones_for

    def zones_for(group: AutoScalingGroup, staying: list[GroupInstance], _count: int) -> tuple[str, ...]:
        return honest(group, staying, group.max_size + 1 - len(staying))

    patch.setattr(groups, "_zones_for", zones_for)


@bug
def instances_end_with_their_tasks(patch: MonkeyPatch) -> None:
    def drain(
        view: View,
        member: GroupInstance,
        instance: ContainerInstance,
        _provider: Any,
        actions: list[Any],
        **_: Any,
    ) -> None:
        actions.append(EndInstance(member, view.version(GroupInstance, member.instance_id), instance, "now"))

    patch.setattr(groups, "_drain", drain)


@bug
def termination_protection_is_forgotten(patch: MonkeyPatch) -> None:
    honest = groups._surplus

    def surplus(view: View, group: Any, _provider: Any, staying: Any, count: int) -> list[GroupInstance]:
        return honest(view, group, None, staying, count)

    patch.setattr(groups, "_surplus", surplus)


@bug
def tasks_wait_for_ever(patch: MonkeyPatch) -> None:
    honest = provisioning.plan

    def plan(*args: Any, timing: Any, **rest: Any) -> Plan:
        return honest(*args, timing=replace(timing, provisioning_timeout=1e9), **rest)

    patch.setattr(provisioning, "plan", plan)


@bug
def groups_do_not_shrink(patch: MonkeyPatch) -> None:
    honest = managed_scaling.plan

    def plan(*args: Any, timing: Any, **rest: Any) -> Plan:
        return honest(*args, timing=replace(timing, scale_in_after=1e9), **rest)

    patch.setattr(managed_scaling, "plan", plan)


@bug
def machines_outlive_their_instances(patch: MonkeyPatch) -> None:
    patch.setattr(SimulatedInstances, "terminate", lambda *_: None)

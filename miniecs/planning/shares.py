"""How a launch is shared among capacity providers, placed, and what of it would wait for their groups.

With the functions that RunTask and services share tasks by; without a strategy all tasks are one share, for
any host of the cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from miniecs.control import scaling
from miniecs.control.capacity import MOST_PROVISIONING, shares
from miniecs.control.launch import machine_of
from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.instance_types import instance_type
from miniecs.planning.cluster_file import CapacityProviderSpec
from miniecs_scheduler import Decision, Fleet, Request, place


@dataclass(frozen=True, slots=True)
class Share:
    """Tasks that one capacity provider gets, or all where there is none.

    waiting: those of the unplaced that would wait in PROVISIONING.
    """

    provider: str | None
    count: int
    decision: Decision
    waiting: int = 0

    @property
    def refused(self) -> int:
        return self.decision.unplaced - self.waiting


class Capacity(NamedTuple):
    """Where a launch may go. waiting: tasks that wait already, by provider."""

    fleet: Fleet
    instances: Mapping[str, ContainerInstance]
    providers: Mapping[str, CapacityProviderSpec]
    waiting: Counter[str]


def place_shares(
    there: Capacity,
    request: Request,
    strategy: Sequence[CapacityProviderStrategyItem],
    running: Mapping[str, int],
) -> list[Share]:
    """running: tasks by provider that base and weights are counted over."""
    if not strategy:
        return [Share(None, request.count, place(there.fleet, request))]
    found = []
    room = MOST_PROVISIONING - there.waiting.total()
    for name, count in shares(strategy, request.count, running).items():
        hosts = frozenset(i.arn for i in there.instances.values() if i.capacity_provider_name == name)
        only = hosts if request.only_hosts is None else hosts & request.only_hosts
        decision = place(there.fleet, replace(request, count=count, only_hosts=only))
        waits = there.providers[name].managed_scaling == "ENABLED"
        waiting = min(decision.unplaced, max(0, room)) if waits else 0
        room -= waiting
        found.append(Share(name, count, decision, waiting))
    return found


def whole(parts: Sequence[Share]) -> Decision:
    """All shares as one decision; what is closest is that of the first share that lacks a host."""
    if len(parts) == 1:
        return parts[0].decision
    decisions = [part.decision for part in parts]
    rejected: Counter[str] = Counter()
    for each in decisions:
        rejected.update(each.rejected)
    return Decision(
        tuple(placement for each in decisions for placement in each.placements),
        sum(each.unplaced for each in decisions),
        sum(each.considered for each in decisions),
        dict(rejected),
        tuple(rejection for each in decisions for rejection in each.rejections),
        next((each.closest for each in decisions if each.closest is not None), None),
        "; ".join(f"{each.provider}: {text}" for each in parts if (text := each.decision.suggestion)),
    )


def wait_text(there: Capacity, share: Share, request: Request) -> str:
    """What the waiting tasks of a share wait for, without its full stop."""
    spec = there.providers[share.provider or ""]
    tasks = "1 task" if share.waiting == 1 else f"{share.waiting} tasks"
    text = f"{tasks} would wait in PROVISIONING for capacity provider {spec.name}"
    if spec.type is None:
        return f"{text} until its group adds hosts"
    machine = machine_of(spec.type)
    if not scaling.fits(request.demand, machine):
        empty = instance_type(spec.type)
        return (
            f"{text} and be stopped after 30 minutes: even an empty {spec.type} ({empty.cpu} CPU units, "
            f"{empty.memory} MiB) does not take one"
        )
    apart = any(rule.type == "distinctInstance" for rule in request.constraints)
    more = scaling.lacking([scaling.Batch(request.demand, share.waiting, apart)], machine)
    hosts = sum(i.capacity_provider_name == spec.name for i in there.instances.values())
    until = f"{text} until its group adds {'a host' if more == 1 else f'{more} hosts'}"
    if spec.max_size is None or hosts + more <= spec.max_size:
        return until
    has = f"it has {hosts} of at most {spec.max_size}"
    return f"{until}, but {has}: what still waits after 30 minutes is stopped"

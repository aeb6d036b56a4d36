"""How a service's tasks lie in the Availability Zones, and what rebalancing does about it or waits for."""

from __future__ import annotations

from collections.abc import Iterator

from miniecs.config import Timing
from miniecs.control.census import Census
from miniecs.control.rebalancing import UNBALANCED, may_go_on, moving, why_not, zone_counts
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service


def zones(view: View, service: Service, counted: Census, *, now: float, timing: Timing) -> Iterator[str]:
    """Nothing of a service that is balanced, nor of a daemon: it is wherever there are instances."""
    cohort = counted.cohorts[0]
    good = (*cohort.healthy, *cohort.settling, *cohort.pending)
    counts = dict(zone_counts(task for task in good if task.availability_zone))
    if service.scheduling_strategy != "REPLICA" or sum(counts.values()) < UNBALANCED:
        return
    told = f"Tasks by zone: {', '.join(f'{tasks} in {zone}' for zone, tasks in counts.items())}."
    under_way = moving(service, cohort)
    fullest = next(iter(counts))
    if under_way:
        yield told
    for task in under_way:
        yield (
            f"Zones are rebalanced: task {arns.name_of(task.arn)[:8]} has been started in"
            f" {task.availability_zone}; once it is healthy, one in {fullest} stops."
        )
    active = _active_zones(view, service) if not under_way else set[str]()
    for zone in sorted(active - counts.keys()):
        counts[zone] = 0
    emptiest = min(counts, key=lambda zone: (counts[zone], zone))
    if under_way or counts[fullest] - counts[emptiest] < UNBALANCED:
        return
    yield told
    yield from _waits(service, counts[emptiest], emptiest, now, timing)


def _active_zones(view: View, service: Service) -> set[str]:
    instances = view.find(ContainerInstance, "cluster", service.cluster_arn)
    return {i.availability_zone for i in instances if i.status == "ACTIVE" and i.availability_zone}


def _waits(service: Service, fewest: int, emptiest: str, now: float, timing: Timing) -> Iterator[str]:
    ruled_out = why_not(
        service.scheduling_strategy, service.deployment_configuration, service.placement_strategy
    )
    if service.availability_zone_rebalancing != "ENABLED":
        but = f", which does not support {ruled_out}" if ruled_out else ""
        yield f"Its zones are not balanced, and availabilityZoneRebalancing is DISABLED{but}."
    elif not may_go_on(service) or not service.steady:
        yield "Its zones are not balanced: that is seen to once it is steady."
    elif service.steady_since + timing.rebalance_after > now:
        left = service.steady_since + timing.rebalance_after - now
        yield f"Its zones are not balanced: rebalancing begins in {left:.0f} s."
    else:
        tasks = f"{fewest} task{'' if fewest == 1 else 's'}"
        yield (
            f"Its zones are not balanced: it has {tasks} in {emptiest}, where no container instance has room"
            f" for one; it looks again every {timing.placement_retry:g} s and when one joins."
        )

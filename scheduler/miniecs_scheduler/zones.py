"""In which Availability Zones a task could be placed, and in which of them there is room for it now."""

from __future__ import annotations

from miniecs_scheduler.constraints import compile_rules
from miniecs_scheduler.fits import Fit
from miniecs_scheduler.index import Fleet
from miniecs_scheduler.types import AVAILABILITY_ZONE, Request


def zones_with_room(fleet: Fleet, request: Request) -> dict[str, bool]:
    """Zone -> whether a host there would take one more task of the request.

    Zones are those of hosts that attributes do not exclude. `only_hosts` and `count` are not looked at.
    """
    rules = compile_rules(request.required_attributes, request.constraints)
    eligible = fleet.eligible(rules, (AVAILABILITY_ZONE,), request.demand.gpu > 0)
    fit = Fit(request, rules, eligible)
    found: dict[str, bool] = {}
    for cls in eligible.classes:
        zone = cls.sample.attributes.get(AVAILABILITY_ZONE)
        if zone is not None and not found.get(zone):
            roomy = cls.order(()).walk(0, fit.least_cpu, fit.least_memory)
            found[zone] = any(map(fit.fits, roomy))
    return found

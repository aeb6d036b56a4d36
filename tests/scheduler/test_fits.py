"""Whether one more task fits on a host, and how many do: what cursors rely on."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from miniecs_scheduler import Constraint, Fleet, Host, Request, Resources
from miniecs_scheduler.constraints import compile_rules
from miniecs_scheduler.fits import Fit

from .clusters import a_model, a_request, fleet_of

ONE = Request(Resources(100, 100), 1, "service:web")


def fit_of(fleet: Fleet, request: Request) -> Fit:
    rules = compile_rules(request.required_attributes, request.constraints)
    return Fit(request, rules, fleet.eligible(rules, (), request.demand.gpu > 0))


def test_so_many_tasks_fit_as_there_is_room_for() -> None:
    """Whatever was placed on the host before."""
    for seed in range(150):
        random = Random(f"room {seed}")
        fleet, request = fleet_of(a_model(random)), a_request(random)
        fit = fit_of(fleet, request)
        for slot in fleet.slots.values():
            for before in range(4):
                fit.placed[slot] = before
                if fit.fits(slot):
                    room = fit.room(slot)
                    assert room >= 1, seed
                    fit.placed[slot] = before + min(room, 1000) - 1
                    assert fit.fits(slot), seed


def test_a_host_has_room_until_it_is_full() -> None:
    fleet = Fleet()
    fleet.put_host(Host("h", {}, Resources(1000, 750)))
    (slot,) = fleet.slots.values()
    fit = fit_of(fleet, ONE)
    for before in range(7):
        fit.placed[slot] = before
        assert (fit.fits(slot), fit.room(slot)) == (True, 7 - before)
    fit.placed[slot] = 7
    assert not fit.fits(slot)


@pytest.mark.parametrize(
    ("demand", "constraint", "plain"),
    [
        (Resources(1, 1), None, True),
        (Resources(1, 1), Constraint("memberOf", "attribute:stack == prod"), True),
        (Resources(1, 1), Constraint("memberOf", "runningTasksCount < 2"), False),
        (Resources(1, 1), Constraint("distinctInstance"), False),
        (Resources(1, 1, gpu=1), None, False),
        (Resources(1, 1, enis=1), None, False),
        (Resources(1, 1, tcp_ports=frozenset({80})), None, False),
        (Resources(1, 1, udp_ports=frozenset({53})), None, False),
    ],
)
def test_whether_cpu_and_memory_are_all_that_differs(
    demand: Resources, constraint: Constraint | None, plain: bool
) -> None:
    constraints = () if constraint is None else (constraint,)
    assert fit_of(Fleet(), replace(ONE, demand=demand, constraints=constraints)).plain is plain

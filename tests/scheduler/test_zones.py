"""In which zones a task finds room: as place() finds when it is asked of one zone alone."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from miniecs_scheduler import AVAILABILITY_ZONE, Constraint, place, zones_with_room

from .clusters import a_model, a_request, fleet_of
from .reference import excluded_by


def test_there_is_room_where_a_task_of_that_zone_alone_is_placed() -> None:
    for seed in range(300):
        random = Random(f"zones {seed}")
        model, request = a_model(random), replace(a_request(random), count=1, only_hosts=None)
        found = zones_with_room(fleet_of(model), request)
        zones = {host.attributes.get(AVAILABILITY_ZONE) for host in model.hosts.values()} - {None}
        eligible = [host for host in model.hosts.values() if not excluded_by(request, host)]
        assert found.keys() == {host.attributes.get(AVAILABILITY_ZONE) for host in eligible} - {None}, seed
        for zone in zones:
            alone = Constraint("memberOf", f"attribute:{AVAILABILITY_ZONE} == {zone}")
            asked = replace(request, constraints=(*request.constraints, alone))
            placed = bool(place(fleet_of(model), asked).placements)
            assert found.get(str(zone), False) == placed, (seed, zone)

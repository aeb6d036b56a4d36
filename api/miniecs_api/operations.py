"""Runs one operation in one transaction: the way in for the wire, the agents and the simulation alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.clock import Clock
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model.frozen import quick
from miniecs.model.scope import Scope
from miniecs.store import Store
from miniecs_api.context import ApiSettings, Context
from miniecs_api.dispatch import Operation, not_implemented, registry


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation answered, and the hints that go beside AWS's own words."""

    result: dict[str, Any]
    hints: list[str]


class Operations:
    """All operations over one store. ``call`` raises AwsError where AWS refuses, and then writes nothing."""

    def __init__(self, store: Store, fleets: Fleets, ids: Ids, clock: Clock, settings: ApiSettings) -> None:
        self._store = store
        self._fleets = fleets
        self._ids = ids
        self._clock = clock
        self._settings = settings
        self._functions: Mapping[tuple[str, str], Operation] = registry()

    def call(
        self,
        service: str,
        operation: str,
        params: dict[str, Any],
        scope: Scope,
        request_id: str = "",
        host: str = "",
    ) -> Outcome:
        """Run e.g. ("ecs", "CreateCluster") with validated params. The write is durable when it returns."""
        function = self._functions.get((service, operation))
        if function is None:
            raise not_implemented(service, operation)
        with self._store.transaction() as tx:
            ctx = Context(
                tx, self._clock.now(), self._ids, scope, self._settings, self._fleets, request_id, host, []
            )
            result = function(ctx, params)
        return Outcome(result, ctx.hints)

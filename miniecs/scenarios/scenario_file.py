"""A scenario's file: hosts, task definitions, services and what happens to them, each with its moment.

Everything in it is read and held against what is known before any of it is played.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from miniecs.model.frozen import replace
from miniecs.model.instance_types import INSTANCE_TYPES, UnknownInstanceType
from miniecs.planning.provider_items import alone, provider_item
from miniecs.planning.sizes import HostCount, Text
from miniecs.planning.validate import check, nearest
from miniecs.scenarios import event_kinds as kinds
from miniecs.scenarios.around import CapacityProviderGroup, TargetGroupSpec
from miniecs.scenarios.document import Document, read
from miniecs.scenarios.durations import Duration, Period
from miniecs.scenarios.event_kinds import Strict
from miniecs.scenarios.overrides import with_value

Given = dict[str, Any]  # in ECS's own words
Strategy = Annotated[list[Annotated[Any, BeforeValidator(provider_item)]], BeforeValidator(alone)]
_ZONE = r"^[A-Za-z0-9_.-]+$"


class HostGroup(Strict):
    """``count`` equal hosts, as in a cluster file: ID-1, ID-2 … where an id is given, else TYPE-1 ….

    Zones are names or letters of the region's, taken in turn.
    """

    count: HostCount = 1
    id: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:/-]+$", max_length=256)
    type: str
    zone: str | None = Field(None, pattern=_ZONE)
    zones: list[Annotated[str, Field(pattern=_ZONE)]] | None = Field(None, min_length=1)
    attributes: dict[str, Text] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> HostGroup:
        if self.zone is not None and self.zones is not None:
            raise ValueError("give zone or zones, not both")
        if self.type not in INSTANCE_TYPES:
            meant = nearest(self.type, INSTANCE_TYPES)
            raise ValueError(f"{f'did you mean {meant}? ' if meant else ''}{UnknownInstanceType(self.type)}")
        return self


class Event(Strict):
    """One thing that happens at a moment, counted from when all first hosts have joined."""

    at: Duration
    run_task: kinds.Run | None = None
    arrivals: kinds.Arrivals | None = None
    create_service: Given | None = None
    update_service: Given | None = None
    delete_service: Given | None = None
    scale: kinds.Scale | None = None
    deploy: kinds.Deploy | None = None
    lose_host: kinds.ALostHost | None = None
    lose_zone: kinds.ALostZone | None = None
    restore: kinds.SomeHosts | None = None
    drain: kinds.SomeHosts | None = None
    activate: kinds.SomeHosts | None = None
    add_hosts: HostGroup | None = None
    stop_task: kinds.SomeTasks | None = None
    crash_task: kinds.CrashTask | None = None
    fail_health_check: kinds.SomeTasks | None = None
    cut_link: kinds.CutLink | None = None
    slow_pulls: kinds.SlowPulls | None = None
    kill_control_plane: kinds.AKill | None = None
    update_capacity_provider: Given | None = None

    @model_validator(mode="after")
    def _one(self) -> Event:
        given = [name for name in KINDS if getattr(self, KINDS[name]) is not None]
        if len(given) != 1:
            found = f"not {len(given)} ({', '.join(given)})" if given else "such as loseZone"
            raise ValueError(f"must say one thing that happens, {found}")
        return self

    @property
    def kind(self) -> str:
        """Its word in the file."""
        return next(name for name, field in KINDS.items() if getattr(self, field) is not None)

    @property
    def field(self) -> str:
        """Its name here."""
        return KINDS[self.kind]

    @property
    def what(self) -> Any:
        return getattr(self, self.field)


KINDS: Mapping[str, str] = {
    field.alias or name: name for name, field in Event.model_fields.items() if name != "at"
}


class Scenario(Strict):
    """What one file says. ``until: steady`` ends before ``duration`` where everything is as wanted.

    default_capacity_provider_strategy: None stands for the first of capacity_providers.
    """

    title: str = ""
    seed: int = Field(default=1, ge=0)
    duration: Period
    until: Literal["steady"] | None = None
    hosts: list[HostGroup] = Field(default_factory=list)
    capacity_providers: list[CapacityProviderGroup] = Field(default_factory=list)
    default_capacity_provider_strategy: Strategy | None = None
    target_groups: list[TargetGroupSpec] = Field(default_factory=list)
    task_definitions: list[Given] = Field(default_factory=list)
    services: list[Given] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_hosts(self) -> Scenario:
        if not self.hosts and not self.capacity_providers:
            raise ValueError("there are no hosts: give some, or capacityProviders that start them")
        return self


@dataclass(frozen=True)
class Variant:
    """One way to play a file. ``name`` is '' where there is only one."""

    name: str
    scenario: Scenario
    document: Document


def load(path: Path, settings: Mapping[str, Any] | None = None) -> list[Variant]:
    """The file's variants, or its one scenario; settings are values that stand over both. Raises Mistake."""
    document = read(path)
    plain = _with_all(document, settings or {}, ())
    whole = _scenario(plain)
    if not whole.variants:
        return [Variant("", whole, plain)]
    found = []
    for name, changes in whole.variants.items():
        of_variant = replace(document, variant=name)
        changed = _with_all(_with_all(of_variant, changes, ("variants", name)), settings or {}, ())
        found.append(Variant(name, _scenario(changed), changed))
    return found


def _with_all(document: Document, values: Mapping[str, Any], said_at: tuple[str, ...]) -> Document:
    for path, value in values.items():
        document = with_value(document, path, value, said_at=(*said_at, path) if said_at else ())
    return document


def _scenario(document: Document) -> Scenario:
    return check(document.data, Scenario, document.name)

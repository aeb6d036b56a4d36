"""Our agent in place of the ECS agent: told what that one was told, it answers as that one did.

Each recording is replayed in virtual time, and containers do what they did in it. Everything that the agent
says is compared whole, in order, but for the differences that ``DELIBERATE`` lists with their reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from .differences import ALL, DELIBERATE, Body, Difference, Rewrite
from .recordings import VERSIONS, Said, by, comparable, recording
from .replay import Replay

Shown = dict[str, list[tuple[str, Body]]]


def shown(said: list[Said], rewrites: list[Rewrite]) -> Shown:
    """What was said, by channel: between channels the order is chance."""
    said = [s._replace(body=comparable(s.body, s.on)) for s in said if s.name != "connect"]
    for rewrite in rewrites:
        said = rewrite(said)
    return {on: [(s.name, s.body) for s in said if s.on == on] for on in ("api", "acs", "tcs")}


def compared(name: str, differences: Sequence[Difference]) -> tuple[Shown, Shown]:
    """What our agent said in the recording's place, and what it should have said."""
    theirs = recording(name)
    apply = [d for d in differences if name in d.recordings]
    return (
        shown(Replay(theirs).run(), [d.ours for d in apply if d.ours is not None]),
        shown(by("agent", theirs), [d.theirs for d in apply if d.theirs is not None]),
    )


@pytest.mark.parametrize("name", ALL)
def test_our_agent_says_what_the_ecs_agent_said(name: str) -> None:
    said, expected = compared(name, DELIBERATE)
    for on in ("api", "acs", "tcs"):
        assert [name for name, _ in said[on]] == [name for name, _ in expected[on]]
        for ours, theirs in zip(said[on], expected[on], strict=True):
            assert ours == theirs


@pytest.mark.parametrize("place", range(len(DELIBERATE)))
def test_every_difference_is_one(place: int) -> None:
    """None is listed that no recording shows."""
    others = [*DELIBERATE[:place], *DELIBERATE[place + 1 :]]
    differing = []
    for name in DELIBERATE[place].recordings:
        said, expected = compared(name, others)
        differing.append(said != expected)
    assert any(differing), DELIBERATE[place].reason


# Telemetry: the same members of the same types

MORE_THAN_THEIRS = {"taskMetrics.clusterArn", "tasks.clusterArn"}
LESS_THAN_THEIRS = {
    f"taskMetrics.containerMetrics.networkStatsSet.{way}{what}"
    for way in ("rx", "tx")
    for what in ("Dropped", "Errors", "Packets")
}
"""The protocol leaves them to the agent; nobody shows them, and an engine's reading is to be cheap."""


def members(value: Any, path: str = "") -> set[tuple[str, str]]:
    """(path, kind of value) of everything in a message."""
    if isinstance(value, dict):
        return {m for name, each in value.items() for m in members(each, f"{path}.{name}".lstrip("."))}
    if isinstance(value, list):
        return {m for each in value for m in members(each, path)}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {(path, "number" if number else type(value).__name__)}


def published(said: list[Said]) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for each in said:
        if each.on == "tcs" and each.name != "connect":
            found.setdefault(each.name, set()).update(members(each.body))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_telemetry_has_the_ecs_agents_members(version: str) -> None:
    theirs = published(by("agent", recording(version)))
    ours = published(Replay(recording(version)).run())
    for name, wanted in theirs.items():
        expected = {m for m in wanted if not m[0].startswith(tuple(LESS_THAN_THEIRS))}
        assert {m for m in ours[name] if m[0] not in MORE_THAN_THEIRS} == expected
    later = {"PublishInstanceStatusRequest"} if version == "1.48.1" else set()
    assert set(ours) == set(theirs) | later


def test_telemetry_is_published_every_twenty_seconds() -> None:
    replay = Replay(recording("1.105.1")).run()
    times = [each.at for each in replay if each.name == "PublishInstanceStatusRequest"]
    assert times[:5] == [0.0, 20.0, 40.0, 60.0, 80.0]

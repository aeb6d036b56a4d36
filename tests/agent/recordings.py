"""The recordings of the ECS agent, and what makes two recordings comparable."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent.parent / "data" / "agent-transcripts"
VERSIONS = ("1.105.1", "1.48.1")
RESTART = "1.105.1-restart"

CLUSTER = "arn:aws:ecs:us-west-2:123456789012:cluster/mini"
INSTANCE = "arn:aws:ecs:us-west-2:123456789012:container-instance/mini/0123456789abcdef0123456789abcdef"

_TIMES = ("pullStartedAt", "pullStoppedAt", "executionStoppedAt", "timestamp", "statusSince")
_IDS = ("clientToken", "requestId")


class Said(NamedTuple):
    """One thing that was said: by whom, on api, acs or tcs, and what."""

    at: float
    by: str
    on: str
    name: str
    body: dict[str, Any]


def recording(name: str) -> list[Said]:
    lines = (FOLDER / f"agent-{name}.jsonl").read_text().splitlines()
    return [Said(e["t"], e["from"], e["on"], e["name"], e["body"]) for e in map(json.loads, lines)]


def by(whom: str, said: Iterable[Said]) -> list[Said]:
    return [each for each in said if each.by == whom]


def payload_tasks(said: Iterable[Said]) -> list[dict[str, Any]]:
    """Every task that the server told of, in the order in which it did; a task may be there twice."""
    return [task for each in said if each.name == "PayloadMessage" for task in each.body["tasks"]]


def submissions(said: Iterable[Said]) -> list[dict[str, Any]]:
    """Parameters of every SubmitTaskStateChange."""
    return [each.body for each in said if each.name == "SubmitTaskStateChange"]


def comparable(value: Any, on: str = "") -> Any:
    """The value with moments and ids of the speaker's own replaced by words, and attributes in one order."""
    if isinstance(value, list):
        return [comparable(each, on) for each in value]
    if not isinstance(value, dict):
        return value
    shown: dict[str, Any] = {}
    for name, each in value.items():
        if name in _TIMES:
            assert isinstance(each, (int, float)), f"{name} must be a number of seconds"
            shown[name] = "a time"
        elif name in _IDS or (name == "messageId" and on == "tcs"):
            assert isinstance(each, str) and len(each) == 36, f"{name} must be a uuid"
            shown[name] = "an id"
        elif name == "attributes":
            shown[name] = sorted(each, key=lambda attribute: str(attribute["name"]))
        else:
            shown[name] = comparable(each, on)
    return shown

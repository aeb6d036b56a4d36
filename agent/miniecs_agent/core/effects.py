"""What the agent's core wants done: values that a shell carries out and answers by calling the core.

The core does no I/O, so that the same one runs against Docker on websockets and, ten thousand
of them, on simulated time.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from miniecs_agent.engine import EngineCall


class Channel(StrEnum):
    """The two websockets of an agent: commands and telemetry."""

    ACS = "acs"
    TCS = "tcs"


ACS, TCS = Channel  # quicker than through their enum, as in ``state``


class Submit(NamedTuple):
    """Call an ECS operation; the answer goes to ``AgentCore.answered`` with the same key."""

    key: str
    operation: str
    params: dict[str, Any]


class SendAcs(NamedTuple):
    message: dict[str, Any]


class SendTcs(NamedTuple):
    message: dict[str, Any]


class Open(NamedTuple):
    """Connect; answered by ``opened``, ``refused`` or ``closed``."""

    channel: Channel


class Close(NamedTuple):
    """Hang up without waiting: the core counts the channel as closed already."""

    channel: Channel


class WakeAt(NamedTuple):
    """Call ``tick`` then, or soon after. It takes the place of the one before it; more wakes do no harm."""

    at: float


class ReadUsage(NamedTuple):
    """Read what the running containers use; answered by ``usage_read``."""


class Exit(NamedTuple):
    """The agent cannot go on. Exit codes are the ECS agent's: 5 is terminal."""

    code: int
    reason: str


Effect = EngineCall | Submit | SendAcs | SendTcs | Open | Close | WakeAt | ReadUsage | Exit


class ApiFailure(NamedTuple):
    """An operation failed: with an AWS error code, or without one when nobody answered."""

    code: str
    message: str = ""


Answer = Mapping[str, Any] | ApiFailure

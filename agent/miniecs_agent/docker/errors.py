"""What an engine's refusal means: ECS's name for it, and whether to try again.

The engine's own words always stay; what to do about them is `miniecs.model.hints`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from miniecs_agent.core.state import Action

CALL_TIMEOUT = 240.0  # seconds; the ECS agent waits 4 minutes for a create and 3 for a start
DAEMON = "Error response from daemon"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class Failure(NamedTuple):
    """ECS's name and the words of what went wrong."""

    name: str
    message: str
    temporary: bool = False


class Refused(Exception):
    """The engine answered, and said no. ``status`` is HTTP's; 0 when that had said yes before."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class TimedOut(Exception):
    """The engine took a call and did not answer it in time."""


_NAMES = {
    Action.PULL: "CannotPullContainerError",
    Action.CREATE: "CannotCreateContainerError",
    Action.START: "CannotStartContainerError",
    Action.STOP: "CannotStopContainerError",
    Action.REMOVE: "CannotRemoveContainerError",
}
_REACHED = {
    Action.PULL: "pulled",
    Action.CREATE: "created",
    Action.START: "started",
    Action.STOP: "stopped",
    Action.REMOVE: "removed",
}

# Passing troubles of an engine or of its machine under load. A refusal of what was asked is none.
_PASSING = re.compile(
    r"timeout|timed out|deadline exceeded|temporar|try again|connection re(set|fused)|resource busy"
    r"|unexpected EOF|\bEOF$|too ?many ?requests|is restarting|already in progress|in use by sandbox"
    r"|failed to add the host .*exists|server misbehaving|service unavailable|context canceled",
    re.IGNORECASE,
)
# What no further try could get. Everything else of a pull is tried again, as the ECS agent does.
_NEVER_PULLED = re.compile(
    r"invalid reference format|must be lowercase|no matching manifest for|unsupported manifest"
    r"|no space left on device",
    re.IGNORECASE,
)
_NETWORK_MISSING = re.compile(r"network .* not found", re.IGNORECASE)
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)


def failure(action: Action, refused: Refused) -> Failure:
    """An answered call that did not succeed."""
    name, message = _NAMES[action], refused.message.strip()
    text = f"{DAEMON}: {message}" if refused.status else message
    if action is Action.PULL:
        return Failure(name, text, temporary=_NEVER_PULLED.search(message) is None)
    return Failure(name, text, temporary=_PASSING.search(message) is not None)


def timeout(action: Action, seconds: float) -> Failure:
    """The ECS agent's words for an engine that does not answer. Worth another try, unless it was a pull."""
    words = f"Could not transition to {_REACHED[action]}; timed out after waiting {duration(seconds)}"
    return Failure("DockerTimeoutError", words, temporary=action in (Action.STOP, Action.REMOVE))


def bug(action: Action) -> Failure:
    """Of ours: the call was never answered, and whoever waits for it must not do so for ever."""
    return Failure(_NAMES[action], "miniecs failed by a bug; its agent's log has the details")


def failure_of(action: Action, problem: Refused | TimedOut) -> Failure:
    return failure(action, problem) if isinstance(problem, Refused) else timeout(action, CALL_TIMEOUT)


def network_missing(refused: Refused) -> bool:
    return refused.status == 404 and _NETWORK_MISSING.search(refused.message) is not None


def port_taken(message: str) -> bool:
    """Whether something already listens on a port that a container was to publish."""
    return _PORT_TAKEN.search(message) is not None


def image_missing(refused: Refused) -> bool:
    return refused.status == 404 and "no such image" in refused.message.lower()


def duration(seconds: float) -> str:
    """As Go prints it: 3m0s, 18s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"

"""What an engine's refusal means: ECS's name for it, whether to try again, and what to do about it.

The engine's own words always stay; a hint stands beside them and never replaces them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from miniecs_agent.state import Action

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

_HINTS = (
    (
        re.compile(r"access denied|repository does not exist|manifest unknown|manifest for .* not found"),
        "check the image's name and tag; a private registry needs `docker login` on this machine",
    ),
    (
        re.compile(r"no such host|dial tcp|network is unreachable|Client\.Timeout|TLS handshake|no answer"),
        "the registry cannot be reached from the engine: make the image available locally "
        "(`docker load`, `docker build` or `miniecs images`); an image that is there is not pulled",
    ),
    (_PORT_TAKEN, "something else on this machine listens there: free the port, or use hostPort 0"),
    (
        re.compile(r"executable file not found|no such file or directory: unknown|exec format error"),
        "the command or entryPoint does not exist in the image, or is for another architecture",
    ),
    (re.compile(r"[Mm]inimum memory limit"), "give the container at least 6 MiB of memory"),
    (re.compile(r"no space left on device"), "the engine's disk is full: `docker system df` shows by what"),
    (
        re.compile(r"logger: no log driver named|[Ll]ogging driver .*not (found|supported)"),
        "use a log driver that the engine has: `docker info` lists them",
    ),
    (re.compile(r"OutOfMemoryError"), "raise the container's `memory`, or the task's"),
    (
        re.compile(r"[Cc]annot connect to the Docker daemon"),
        "start the engine: `sudo systemctl start docker`",
    ),
)


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


def failure_of(action: Action, problem: Refused | TimedOut) -> Failure:
    return failure(action, problem) if isinstance(problem, Refused) else timeout(action, CALL_TIMEOUT)


def network_missing(refused: Refused) -> bool:
    return refused.status == 404 and _NETWORK_MISSING.search(refused.message) is not None


def port_taken(message: str) -> bool:
    """Whether something already listens on a port that a container was to publish."""
    return _PORT_TAKEN.search(message) is not None


def image_missing(refused: Refused) -> bool:
    return refused.status == 404 and "no such image" in refused.message.lower()


def hint(words: str) -> str:
    """What to do about an engine's words; '' when they say enough."""
    return next((text for pattern, text in _HINTS if pattern.search(words)), "")


def duration(seconds: float) -> str:
    """As Go prints it: 3m0s, 18s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"

"""What a simulated container does, read from its image's name, a docker label or its environment.

An image ``sim/WORD`` (several: ``sim/WORD/WORD``), the docker label ``miniecs.simulate`` or the
environment variable ``MINIECS_SIMULATE`` (words separated by blanks). Seconds may have a fraction.
Every other image runs until it is stopped, obeys SIGTERM, is healthy and answers probes with 200.

    exit-CODE              exits with CODE as soon as it runs
    exit-CODE-after-S      exits with CODE after S seconds
    oom                    is killed for its memory (137) after a second; oom-after-S
    crash-on-start         exits with 1 as soon as it runs
    start-fails            cannot be started (CannotStartContainerError)
    create-fails           cannot be created (CannotCreateContainerError)
    pull-fails             its image does not exist (CannotPullContainerError)
    pull-flaky             its image is pulled at the third try
    pull-takes-S           its image is pulled in S seconds, each time
    ignores-sigterm        is killed after stopTimeout (137)
    stops-in-S             exits with 0 S seconds after SIGTERM
    never-healthy          its health check never succeeds
    healthy-after-S        its health check succeeds from S seconds on
    unhealthy-after-S      its health check fails from S seconds on
    answers-CODE           answers load balancers' probes with CODE; answers-CODE-after-S
    no-answer              lets probes time out; no-answer-after-S
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from miniecs.model.frozen import replace
from miniecs.model.identity import once_for_each
from miniecs_agent.core.spec import Document

LABEL = "miniecs.simulate"
VARIABLE = "MINIECS_SIMULATE"
IMAGE_PREFIX = "sim/"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Seconds and exit codes; None: never."""

    exit_code: int = 0
    exit_after: float | None = None
    exit_reason: str = ""
    create_fails: bool = False
    start_fails: bool = False
    pull_failures: int = 0  # tries that fail before one succeeds
    pull_seconds: float | None = None
    ignores_sigterm: bool = False
    stops_in: float | None = None
    healthy_after: float | None = 0.0
    unhealthy_after: float | None = None
    answers: int | None = 200  # None: no answer
    answers_after: float = 0.0  # 200 until then


class UnknownBehaviour(ValueError):
    """A word that is not in this module's list."""


NORMAL = Behaviour()
ALWAYS_FAILS = 1_000_000
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"

Change = Callable[[Behaviour, str, str], Behaviour]


def _exits(b: Behaviour, code: str, after: str) -> Behaviour:
    return replace(b, exit_code=int(code), exit_after=float(after or 0))


def _oom(b: Behaviour, _: str, after: str) -> Behaviour:
    return replace(b, exit_code=137, exit_after=float(after or 1), exit_reason=OUT_OF_MEMORY)


def _answers(b: Behaviour, code: str, after: str) -> Behaviour:
    return replace(b, answers=int(code), answers_after=float(after or 0))


_AFTER = r"(?:-after-(?P<seconds>\d+(?:\.\d+)?))?"
_SECONDS = r"(?P<seconds>\d+(?:\.\d+)?)"
_VOCABULARY: tuple[tuple[re.Pattern[str], Change], ...] = tuple(
    (re.compile(pattern), change)
    for pattern, change in (
        (rf"exit-(?P<code>\d+){_AFTER}", _exits),
        (rf"oom{_AFTER}", _oom),
        ("crash-on-start", lambda b, _code, _s: _exits(b, "1", "0")),
        ("start-fails", lambda b, _code, _s: replace(b, start_fails=True)),
        ("create-fails", lambda b, _code, _s: replace(b, create_fails=True)),
        ("pull-fails", lambda b, _code, _s: replace(b, pull_failures=ALWAYS_FAILS)),
        ("pull-flaky", lambda b, _code, _s: replace(b, pull_failures=2)),
        (f"pull-takes-{_SECONDS}", lambda b, _code, s: replace(b, pull_seconds=float(s))),
        ("ignores-sigterm", lambda b, _code, _s: replace(b, ignores_sigterm=True)),
        (f"stops-in-{_SECONDS}", lambda b, _code, s: replace(b, stops_in=float(s))),
        ("never-healthy", lambda b, _code, _s: replace(b, healthy_after=None)),
        (f"healthy-after-{_SECONDS}", lambda b, _code, s: replace(b, healthy_after=float(s))),
        (f"unhealthy-after-{_SECONDS}", lambda b, _code, s: replace(b, unhealthy_after=float(s))),
        (rf"answers-(?P<code>\d+){_AFTER}", _answers),
        (
            f"no-answer{_AFTER}",
            lambda b, _code, s: replace(b, answers=None, answers_after=float(s or 0)),
        ),
    )
)


@once_for_each(most=256)
def behaviour_of(container: Document) -> Behaviour:
    """The behaviour of an ACS Container, which tasks of one definition share. Raises UnknownBehaviour."""
    image: str = container.get("image", "")
    environment = container.get("environment")
    words = environment.get(VARIABLE, "") if environment else ""
    config = (container.get("dockerConfig") or {}).get("config", "")
    if LABEL in config:
        words += " " + str((json.loads(config).get("Labels") or {}).get(LABEL, ""))
    if not words and not image.startswith(IMAGE_PREFIX):
        return NORMAL
    return _read(image, words)


@lru_cache(maxsize=1024)
def _read(image: str, words: str) -> Behaviour:
    of_image = []
    if image.startswith(IMAGE_PREFIX):
        of_image = image.removeprefix(IMAGE_PREFIX).split("@")[0].split(":")[0].split("/")
    behaviour = NORMAL
    for word in (*of_image, *words.split()):
        behaviour = _apply(behaviour, word)
    return behaviour


def _apply(behaviour: Behaviour, word: str) -> Behaviour:
    for pattern, change in _VOCABULARY:
        match = pattern.fullmatch(word)
        if match is not None:
            found = match.groupdict()
            return change(behaviour, found.get("code") or "", found.get("seconds") or "")
    raise UnknownBehaviour(f"{word!r} is not something that a simulated container can do")

"""What happened in a simulated run, kept as it came and put into words only when someone wants to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from miniecs.control.plan import Key, Plan
from miniecs.model import arns


class Clock(Protocol):
    def now(self) -> float: ...


class History:
    """Entries in order, and how often each kind of plan action and each fault occurred."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start = clock.now()
        self._entries: list[tuple[float, str, Any, Any]] = []
        self.actions: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def note(self, kind: str, what: str, details: Mapping[str, Any]) -> None:
        """kind: call, fault, report, task …"""
        self._entries.append((self._clock.now(), kind, what, details))

    def fault(self, name: str, **details: Any) -> None:
        self.faults[name] += 1
        self.note("fault", name, details)

    def plan(self, key: Key, plan: Plan) -> None:
        for action in plan.actions:
            self.actions[type(action).__name__] += 1
        self._entries.append((self._clock.now(), "plan", key, plan))

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the start."""
        return self._clock.now() - self._start

    def lines(self, last: int = 400) -> list[str]:
        """The last entries as text, with seconds since the start."""
        return [
            f"{at - self._start:10.3f}  {_WORDS.get(kind, _plain)(kind, what, details)}"
            for at, kind, what, details in self._entries[-last:]
        ]


def _plain(kind: str, what: Any, details: Any) -> str:
    rest = " ".join(f"{name}={_short(value)}" for name, value in details.items())
    return f"{kind:6} {what} {rest}".rstrip()


def _planned(kind: str, key: Key, plan: Plan) -> str:
    actions = "; ".join(f"{type(action).__name__} {_subject(action)}" for action in plan.actions)
    return f"{kind:6} {key.loop} {_short(key.id)}: {actions}"


def _subject(action: Any) -> str:
    task = getattr(action, "task", None)
    if task is not None:
        status = getattr(action, "last_status", "")
        return f"{arns.name_of(task.arn)[:8]} {status}({action.because})"
    return f"{getattr(action, 'text', '') or getattr(action, 'count', '')}({action.because})"


def _short(value: Any) -> str:
    text = str(value)
    if text.startswith("arn:"):
        text = arns.name_of(text)
    return text if len(text) <= 160 else text[:157] + "..."


_WORDS: dict[str, Callable[[str, Any, Any], str]] = {"plan": _planned}

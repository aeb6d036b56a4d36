"""When an agent dials one of its websockets, and when it gives a silent one up.

Waits are the ECS agent's: 0.25 s growing by half up to two minutes between refused attempts,
an hour when the instance is inactive, and a silence of one to two minutes ends a connection. Ours: a
connection that ends as soon as it was made counts as refused, or two agents that take each other for a
dead one (or a proxy without a server behind it) would keep a core busy each.
"""

from __future__ import annotations

from enum import Enum

FIRST_DELAY = 0.25
DELAY_GROWTH = 1.5
LONGEST_DELAY = 120.0
INACTIVE_DELAY = 3600.0
SILENCE = 60.0
SHORT_LIVED = 1.0


class LinkState(Enum):
    IDLE = "idle"  # not to be opened yet
    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"


_IDLE, _CLOSED, _OPENING, _OPEN = LinkState  # quicker than through their enum, as in ``state``


class Link:
    """One websocket's life. ``jitter``: seconds (0-60) of more silence, so that agents do not act as one."""

    __slots__ = ("_delay", "_inactive", "_opened_at", "_silence", "heard_at", "retry_at", "state")

    def __init__(self, jitter: float) -> None:
        self.state = _IDLE
        self.retry_at = 0.0
        self.heard_at = 0.0
        self._opened_at = 0.0
        self._inactive = False
        self._silence = SILENCE + jitter
        self._delay = FIRST_DELAY

    @property
    def is_open(self) -> bool:
        return self.state is _OPEN

    def ready(self, now: float) -> None:
        """From now on the link is wanted."""
        if self.state is _IDLE:
            self.state, self.retry_at = _CLOSED, now

    def opened(self, now: float) -> None:
        self.state, self.heard_at, self._opened_at = _OPEN, now, now

    def heard(self, now: float) -> None:
        self.heard_at = now

    def closed(self, now: float, *, unwelcome: bool = False) -> None:
        """The other side hung up, or the line is dead: dial again at once, if that did not just happen."""
        if now - self._opened_at >= SHORT_LIVED:
            self._delay = FIRST_DELAY
            if not unwelcome:
                self.state, self.retry_at = _CLOSED, now
                return
        self.refused(now, inactive=False)

    def refused(self, now: float, inactive: bool) -> None:
        """The dial failed. An inactive instance has no business here for long."""
        self.state, self._inactive = _CLOSED, inactive
        if inactive:
            self.retry_at = now + INACTIVE_DELAY
            return
        self.retry_at = now + self._delay
        self._delay = min(self._delay * DELAY_GROWTH, LONGEST_DELAY)

    def hasten(self, now: float) -> None:
        """The other side is known to be back: there is nothing to wait for, unless it has said how long."""
        if self.state is _CLOSED and not self._inactive:
            self.retry_at = min(self.retry_at, now)
            self._delay = FIRST_DELAY

    def silent(self, now: float) -> bool:
        return self.state is _OPEN and now >= self.heard_at + self._silence

    def should_dial(self, now: float) -> bool:
        return self.state is _CLOSED and now >= self.retry_at

    def dialled(self) -> None:
        self.state = _OPENING

    @property
    def wake_at(self) -> float | None:
        """When to look again: at a dial, or at the end of the longest silence."""
        if self.state is _CLOSED:
            return self.retry_at
        if self.state is _OPEN:
            return self.heard_at + self._silence
        return None
